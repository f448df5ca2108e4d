//! Writing a compressed file in place.
//!
//! The order of writes is what keeps the file whole whenever it ends between two of them. A unit's new image goes to
//! free space, then its table entry is changed, then the old image's space is retired. A group's first table is written
//! and synced before the first-level entry leads to it. So an entry always leads to a complete image, the old one or the
//! new.
//!
//! Retired space is used again only after a sync (the file that a power loss goes back to still has its images) and
//! after everybody who was reading then has ended.
//!
//! What a power loss can do between two syncs is up to the kernel, which may have written an entry and not yet its
//! image: a unit that was written since the last sync can then be lost, as with Hercules' own driver, and cckdcdsk finds
//! its old image, whose space was not used again. Units that were not written since are as they were.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tapegate_formats::dasd::lookup_table::{L1_OFFSET, L1Entry, L2_ENTRIES, L2Entry};

use super::compressed_file::CompressedFile;
use super::editor::{Editor, Target, taken_by};
use super::error::VolumeError;
use super::space::{Extent, LEAST_REST_BYTES};
use super::tables::{self, Entered, EntryPlace};

/// Most bytes that an entry can say an image takes.
const LONGEST_SIZE: u64 = u16::MAX as u64;
/// Groups that get their tables together: a sync is spared for each but the first. 16 are the tracks of 270 cylinders.
const TABLES_AT_ONCE: usize = 16;

impl CompressedFile {
    /// Stores a unit's image and enters it. The caller holds the unit's lock.
    pub(super) fn store_image(&self, editor: &Editor, target: Target, image: &[u8]) -> Result<(), VolumeError> {
        let too_long = |_| {
            let (address, bytes) = (target.address, image.len());
            self.file().unsupported(format!("{address}: an image of {bytes} bytes is longer than a table entry can say"))
        };
        let length = u16::try_from(image.len()).map_err(too_long)?;
        self.mark_opened(editor)?;
        let slack = (LEAST_REST_BYTES - 1).min(LONGEST_SIZE - u64::from(length));
        let extent = self.take(editor, target, u64::from(length), slack)?;
        self.fill(editor, extent, image)?;
        self.enter(editor, target, image_entry(extent, length), Some(extent))
    }

    /// Enters a unit as null. The caller holds the unit's lock.
    pub(super) fn store_null(&self, editor: &Editor, target: Target, entry: L2Entry) -> Result<(), VolumeError> {
        let entered = self.tables().get(target.image);
        if entered == Entered::Entry(entry) || (entered == Entered::NullGroup && entry == self.null_entry()) {
            return Ok(());
        }
        self.mark_opened(editor)?;
        self.enter(editor, target, entry, None)
    }

    /// Waits until all is on stable storage; what was retired before is free afterwards.
    pub(super) fn sync(&self, editor: &Editor) -> Result<(), VolumeError> {
        let _syncing = editor.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let retired = editor.space().take_retired();
        if let Err(error) = self.file().sync() {
            editor.space().keep_retired(retired);
            return Err(error);
        }
        if retired.is_empty() {
            return Ok(());
        }
        self.wait_for_readers();
        let mut space = editor.space();
        space.release(retired);
        // An image that is on its way behind the file's end has its space already, so the end is behind it.
        if space.end() < self.file().size_bytes() { self.file().set_size(space.end()) } else { Ok(()) }
    }

    /// Writes bytes into space that was taken for them, or gives it back.
    pub(super) fn fill(&self, editor: &Editor, extent: Extent, bytes: &[u8]) -> Result<(), VolumeError> {
        let filled = self.mark_opened(editor).and_then(|()| self.file().write_at(extent.offset, bytes));
        filled.inspect_err(|_| editor.space().give_back(extent))
    }

    /// Changes a unit's entry in the file and then in memory, and retires what it led to.
    ///
    /// `taken` is the space of the new image: it is given back when the entry was not touched. When the entry's write
    /// failed, nobody knows what it leads to, and both places stay in use.
    pub(super) fn enter(
        &self,
        editor: &Editor,
        target: Target,
        entry: L2Entry,
        taken: Option<Extent>,
    ) -> Result<(), VolumeError> {
        let give_back = |_: &VolumeError| taken.into_iter().for_each(|extent| editor.space().give_back(extent));
        let entry_bytes = editor.layout.l2_entry_bytes();
        let mut bytes = Vec::with_capacity(entry_bytes);
        editor.layout.write_l2(entry, &mut bytes).ok_or_else(|| self.no_room(editor, target, 0)).inspect_err(give_back)?;
        loop {
            {
                let _entering = editor.entering.read().unwrap_or_else(PoisonError::into_inner);
                let place = self.tables().place(target.image);
                if let Some(EntryPlace { table, next, number }) = place {
                    for table in std::iter::once(table).chain(next) {
                        self.write_table(editor, table + (number * entry_bytes) as u64, &bytes)?;
                    }
                    let before = self.tables_mut().set(target.image, entry);
                    if let Some(extent) = before.and_then(taken_by) {
                        editor.space().retire(extent);
                    }
                    return Ok(());
                }
            }
            self.make_table(editor, target).inspect_err(give_back)?;
        }
    }

    /// Gives a unit's group its table, and some groups behind it theirs.
    fn make_table(&self, editor: &Editor, target: Target) -> Result<(), VolumeError> {
        let (first, _) = tables::split(target.image);
        let null = self.null_entry();
        let groups: Vec<_> = self.tables().without_table(first, null).take(TABLES_AT_ONCE).collect();
        let mut made = Vec::new();
        for (group, fill) in groups {
            match self.write_new_table(editor, target, fill) {
                Ok(extent) => made.push((group, fill, extent)),
                Err(error) if group == first => return Err(error),
                // Those behind can wait for a write of their own.
                Err(_) => break,
            }
        }
        let synced = self.file().sync();
        // Somebody else may have made the same tables meanwhile.
        let _alone = editor.entering.write().unwrap_or_else(PoisonError::into_inner);
        for (group, fill, extent) in made {
            let taken = self.tables().table_place(group).is_some();
            if synced.is_err() || taken {
                editor.space().give_back(extent);
                continue;
            }
            self.write_first_level(editor, group, extent.offset)?;
            self.tables_mut().add_table(group, extent.offset, fill);
        }
        synced
    }

    /// Writes a table of equal entries into free space.
    fn write_new_table(&self, editor: &Editor, target: Target, fill: L2Entry) -> Result<Extent, VolumeError> {
        let length = editor.layout.l2_table_bytes();
        let mut table = Vec::with_capacity(length);
        for _ in 0..L2_ENTRIES {
            editor.layout.write_l2(fill, &mut table).ok_or_else(|| self.no_room(editor, target, length as u64))?;
        }
        // Nothing says that a table takes more than it has.
        let extent = self.take(editor, target, length as u64, 0)?;
        self.fill(editor, extent, &table)?;
        Ok(extent)
    }

    /// Makes the first-level entry of a group lead to a table.
    pub(super) fn write_first_level(&self, editor: &Editor, group: usize, table: u64) -> Result<(), VolumeError> {
        let mut bytes = Vec::with_capacity(editor.layout.l1_entry_bytes());
        let place = L1_OFFSET + (group * editor.layout.l1_entry_bytes()) as u64;
        let far = || self.file().corrupt(place, "a table lies where no first-level entry can lead");
        editor.layout.write_l1(L1Entry::Table(table), &mut bytes).ok_or_else(far)?;
        self.write_table(editor, place, &bytes)
    }

    fn write_table(&self, editor: &Editor, offset: u64, bytes: &[u8]) -> Result<(), VolumeError> {
        // The file may have been closed since the image was written.
        self.mark_opened(editor)?;
        self.file().write_at(offset, bytes).inspect_err(|_| editor.unsure.store(true, Ordering::Release))
    }

    /// Takes space; when there is none, a sync first makes free what is retired.
    fn take(&self, editor: &Editor, target: Target, length: u64, slack: u64) -> Result<Extent, VolumeError> {
        let (taken, retired) = {
            let mut space = editor.space();
            (space.take(length, slack), space.retired_bytes())
        };
        if let Some(extent) = taken {
            return Ok(extent);
        }
        if retired > 0 {
            self.sync(editor)?;
        }
        let taken = editor.space().take(length, slack);
        taken.ok_or_else(|| self.no_room(editor, target, length))
    }

    fn no_room(&self, editor: &Editor, target: Target, needed_bytes: u64) -> VolumeError {
        let room = editor.room();
        VolumeError::NoRoom {
            path: self.file().path().to_owned(),
            address: target.address,
            needed_bytes,
            size_bytes: room.size_bytes,
            limit_bytes: room.limit_bytes,
        }
    }

    /// The entry of a unit that is null as those of a group without a table are.
    fn null_entry(&self) -> L2Entry {
        L2Entry::Null(u16::from(self.null_format().number()))
    }
}

/// The entry of an image of `length` bytes.
pub(super) fn image_entry(extent: Extent, length: u16) -> L2Entry {
    // Space for an image was taken with no more slack than an entry can say.
    let size = u16::try_from(extent.length).unwrap_or(u16::MAX);
    L2Entry::Image { offset: extent.offset, length, size }
}
