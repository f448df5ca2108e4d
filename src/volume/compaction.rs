//! Moves images and tables of a compressed file towards its beginning, so that its end can be cut off.
//!
//! A move is a write like any other: the bytes are copied to free space first, then the entry is changed, then the old
//! place is retired. Each goes to a lower offset, so there is an end to it. What moved is free after the next sync, and
//! then may join with its neighbours to a space that takes what found none before.

use std::sync::PoisonError;

use tapegate_formats::dasd::lookup_table::{L2_ENTRIES, L2Entry};

use super::compressed_file::{CompressedFile, images};
use super::editor::{Editor, Target, taken_by};
use super::error::VolumeError;
use super::in_place::image_entry;
use super::space::{Extent, LEAST_REST_BYTES};
use super::tables::Entered;

/// Something that lies in the file and can be moved.
enum Movable {
    Table { group: usize },
    Image { image: u32, entry: L2Entry },
}

impl CompressedFile {
    /// Moves up to `most_bytes` from the end of the file, and gives how many it moved. `target` names a unit by its
    /// number.
    pub(super) fn compact(
        &self,
        editor: &Editor,
        most_bytes: u64,
        target: impl Fn(u32) -> Target,
    ) -> Result<u64, VolumeError> {
        let mut moved = 0;
        for (offset, thing) in self.from_the_end(editor) {
            if moved >= most_bytes || editor.space().free_bytes() == 0 {
                break;
            }
            moved += match thing {
                Movable::Table { group } => self.move_table(editor, group, offset)?,
                Movable::Image { image, entry } => self.move_image(editor, target(image), entry)?,
            };
        }
        Ok(moved)
    }

    /// All images and tables, those at the end first.
    fn from_the_end(&self, editor: &Editor) -> Vec<(u64, Movable)> {
        let lowest_free = editor.space().free_extents().next().map_or(u64::MAX, |extent| extent.offset);
        let units = images(self.shape());
        let mut all = Vec::new();
        for (group, offset, entries) in self.tables().tables() {
            all.push((offset, Movable::Table { group }));
            let numbers = u32::try_from(group * L2_ENTRIES).unwrap_or(u32::MAX)..units;
            for (image, entry) in numbers.zip(entries) {
                if let L2Entry::Image { offset, .. } = entry {
                    all.push((*offset, Movable::Image { image, entry: *entry }));
                }
            }
        }
        all.retain(|(offset, _)| *offset > lowest_free);
        all.sort_unstable_by_key(|(offset, _)| std::cmp::Reverse(*offset));
        all
    }

    fn move_image(&self, editor: &Editor, target: Target, entry: L2Entry) -> Result<u64, VolumeError> {
        let L2Entry::Image { offset, length, .. } = entry else { return Ok(0) };
        let _unit = editor.lock_unit(target.image);
        if self.tables().get(target.image) != Entered::Entry(entry) {
            return Ok(0);
        }
        let bytes = u64::from(length);
        let slack = (LEAST_REST_BYTES - 1).min(u64::from(u16::MAX - length));
        let Some(extent) = editor.space().take_below(bytes, slack, offset) else { return Ok(0) };
        let mut image = vec![0; usize::from(length)];
        self.file().read_at(offset, &mut image).inspect_err(|_| editor.space().give_back(extent))?;
        self.mark_opened(editor).inspect_err(|_| editor.space().give_back(extent))?;
        self.fill(editor, extent, &image)?;
        self.enter(editor, target, image_entry(extent, length), Some(extent))?;
        Ok(taken_by(entry).map_or(0, |extent| extent.length))
    }

    fn move_table(&self, editor: &Editor, group: usize, offset: u64) -> Result<u64, VolumeError> {
        let length = editor.layout.l2_table_bytes();
        // Nobody changes an entry of it meanwhile.
        let _alone = editor.entering.write().unwrap_or_else(PoisonError::into_inner);
        let first = u32::try_from(group * L2_ENTRIES).unwrap_or(u32::MAX);
        if self.tables().place(first) != Some((offset, 0)) {
            return Ok(0);
        }
        let Some(extent) = editor.space().take_below(length as u64, 0, offset) else { return Ok(0) };
        let mut table = vec![0; length];
        self.file().read_at(offset, &mut table).inspect_err(|_| editor.space().give_back(extent))?;
        self.mark_opened(editor).inspect_err(|_| editor.space().give_back(extent))?;
        self.fill(editor, extent, &table)?;
        self.write_first_level(editor, group, extent.offset)?;
        self.tables_mut().move_table(group, extent.offset);
        editor.space().retire(Extent { offset, length: length as u64 });
        Ok(length as u64)
    }
}
