//! The marks and the book-keeping in the header of a compressed file that is written in place.
//!
//! Before the first change the header is marked as opened, and its list of free spaces is dropped: whatever happens
//! later, Hercules and its checker make the list anew from the tables instead of believing an old one (cckdcdsk 3.13
//! refuses a marked file without `-f`, and with it says that free space was rebuilt, and nothing else). The mark is on
//! stable storage before anything changes. When the file is closed its list is written, and the mark goes last.
//!
//! The numbers are those that cckdcdsk finds right: bytes free and used add up to the file's size, and what images have
//! been given beyond their length counts as free. The list lies in a free space, or behind the end of what the size says.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tapegate_formats::dasd::compressed_header::{COMPRESSED_HEADER_OFFSET, CompressedHeader, OPTION_OPENED, OPTION_WRITTEN};
use tapegate_formats::dasd::free_space::{FreeSpace, free_list};
use tapegate_formats::dasd::lookup_table::L2Entry;

use super::compressed_file::CompressedFile;
use super::editor::Editor;
use super::error::VolumeError;
use super::space::Space;

impl CompressedFile {
    /// Marks the header as opened before the first change.
    pub(super) fn mark_opened(&self, editor: &Editor) -> Result<(), VolumeError> {
        if editor.opened.load(Ordering::Acquire) {
            return Ok(());
        }
        let _opening = editor.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if editor.opened.load(Ordering::Acquire) {
            return Ok(());
        }
        let end = editor.space().end();
        self.write_header(&CompressedHeader {
            options: self.header().options | OPTION_OPENED | OPTION_WRITTEN,
            size_bytes: end,
            used_bytes: end,
            free_offset: 0,
            free_bytes: 0,
            largest_free_bytes: 0,
            free_spaces: 0,
            ..*self.header()
        })?;
        self.file().sync()?;
        editor.opened.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes the list of free spaces and takes the mark away, if it was set, be it by a writer before that did not close
    /// the file; with `durably`, each behind a sync.
    pub(super) fn finish(&self, editor: &Editor, durably: bool) -> Result<(), VolumeError> {
        // Nobody changes an entry meanwhile; who does it later marks the file again.
        let _alone = editor.entering.write().unwrap_or_else(PoisonError::into_inner);
        let left_marked = self.header().options & OPTION_OPENED != 0 && !editor.closed.load(Ordering::Acquire);
        if !editor.opened.load(Ordering::Acquire) && !left_marked {
            return Ok(());
        }
        if editor.unsure.load(Ordering::Acquire) {
            let reason = "a table could not be written, so the image stays marked as opened; run cckdcdsk -f -3 on it";
            return Err(self.file().unsupported(reason));
        }
        let sync = || if durably { self.file().sync() } else { Ok(()) };
        sync()?;
        self.wait_for_readers();
        let mut space = editor.space();
        let retired = space.take_retired();
        space.release(retired);
        if space.end() != self.file().size_bytes() {
            self.file().set_size(space.end())?;
        }
        let (header, list) = self.book(editor, &space)?;
        self.file().write_at(header.free_offset, &list)?;
        sync()?;
        self.write_header(&header)?;
        editor.opened.store(false, Ordering::Release);
        editor.closed.store(true, Ordering::Release);
        sync()
    }

    /// The header of the file as it is now, and the list for its `free_offset`.
    fn book(&self, editor: &Editor, space: &Space) -> Result<(CompressedHeader, Vec<u8>), VolumeError> {
        let imbedded_bytes: u64 = self.tables().entries().iter().map(imbedded).sum();
        let spaces: Vec<_> =
            space.free_extents().map(|extent| FreeSpace { offset: extent.offset, length: extent.length }).collect();
        let mut header = CompressedHeader {
            options: self.header().options & !OPTION_OPENED | OPTION_WRITTEN,
            size_bytes: space.end(),
            used_bytes: space.end().saturating_sub(space.free_bytes() + imbedded_bytes),
            free_offset: 0,
            free_bytes: space.free_bytes() + imbedded_bytes,
            largest_free_bytes: spaces.iter().map(|space| space.length).max().unwrap_or(0),
            free_spaces: spaces.len() as u64,
            imbedded_free_bytes: imbedded_bytes,
            ..*self.header()
        };
        if spaces.is_empty() {
            return Ok((header, Vec::new()));
        }
        let far = || self.file().unsupported("a free space lies where its list can't lead");
        let list = free_list(&spaces, editor.layout).ok_or_else(far)?;
        let large = spaces.iter().find(|space| space.length >= list.len() as u64);
        header.free_offset = large.map_or(space.end(), |space| space.offset);
        Ok((header, list))
    }

    fn write_header(&self, header: &CompressedHeader) -> Result<(), VolumeError> {
        let width = self.width();
        let bytes = header.to_bytes(width).ok_or_else(|| self.file().unsupported("a size that its header has no room for"))?;
        self.file().write_at(COMPRESSED_HEADER_OFFSET, &bytes)
    }
}

/// Bytes that an image was given beyond its length.
fn imbedded(entry: &L2Entry) -> u64 {
    match entry {
        L2Entry::Image { length, size, .. } => u64::from(size.saturating_sub(*length)),
        L2Entry::Null(_) | L2Entry::Below => 0,
    }
}
