//! Moves images and tables of a compressed file towards its beginning, so that its end can be cut off.
//!
//! A move is a write like any other, but for units that nobody wrote: the copies are synced before the entries lead to
//! them, so that a power loss costs none of them. Each thing goes to a lower offset, so there is an end to it. What moved
//! is free after the next sync, and then may join with its neighbours to a space that takes what found none before.

use std::sync::PoisonError;

use tapegate_formats::dasd::lookup_table::{L2_ENTRIES, L2Entry};

use super::compressed_file::{CompressedFile, images};
use super::editor::{Editor, Target};
use super::error::VolumeError;
use super::in_place::image_entry;
use super::space::{Extent, LEAST_REST_BYTES};
use super::tables::Entered;

/// Something that lies in the file and can be moved.
#[derive(Debug, Clone, Copy)]
enum Movable {
    Table { group: usize, offset: u64 },
    Image { image: u32, offset: u64, length: u16, size: u16 },
}

impl Movable {
    const fn offset(self) -> u64 {
        match self {
            Self::Table { offset, .. } | Self::Image { offset, .. } => offset,
        }
    }
}

impl CompressedFile {
    /// Moves up to about `most_bytes` from the end of the file, and gives how many it moved. `target` names a unit by its
    /// number.
    pub(super) fn compact(&self, editor: &Editor, most_bytes: u64, target: impl Fn(u32) -> Target) -> Result<u64, VolumeError> {
        if editor.space().free_bytes() == 0 {
            return Ok(0);
        }
        self.mark_opened(editor)?;
        let mut copied = Vec::new();
        let result = self.copy_down(editor, most_bytes, &mut copied).and_then(|()| self.sync(editor));
        let mut moved = 0;
        let mut failed = result.err();
        for (thing, copy) in copied {
            if failed.is_some() {
                self.abandon(editor, thing, copy);
                continue;
            }
            match self.enter_copy(editor, thing, copy, &target) {
                Ok(bytes) => moved += bytes,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(moved), Err)
    }

    /// Copies what lies at the end into free space.
    fn copy_down(&self, editor: &Editor, most_bytes: u64, copied: &mut Vec<(Movable, Extent)>) -> Result<(), VolumeError> {
        let mut bytes = 0;
        for thing in self.from_the_end(editor) {
            if bytes >= most_bytes || editor.space().free_bytes() == 0 {
                break;
            }
            let copy = match thing {
                Movable::Table { group, offset } => self.copy_table(editor, group, offset)?,
                Movable::Image { image, offset, length, size } => {
                    let _unit = editor.lock_unit(image);
                    let entry = L2Entry::Image { offset, length, size };
                    let slack = (LEAST_REST_BYTES - 1).min(u64::from(u16::MAX - length));
                    if self.tables().get(image) == Entered::Entry(entry) {
                        self.copy(editor, offset, u64::from(length), slack)?
                    } else {
                        None
                    }
                }
            };
            if let Some(extent) = copy {
                bytes += extent.length;
                copied.push((thing, extent));
            }
        }
        Ok(())
    }

    /// All images and tables, those at the end first.
    fn from_the_end(&self, editor: &Editor) -> Vec<Movable> {
        let lowest_free = editor.space().free_extents().next().map_or(u64::MAX, |extent| extent.offset);
        let units = images(self.shape());
        let mut all = Vec::new();
        for (group, offset, entries) in self.tables().tables() {
            all.push(Movable::Table { group, offset });
            let numbers = u32::try_from(group * L2_ENTRIES).unwrap_or(u32::MAX)..units;
            all.extend(numbers.zip(entries).filter_map(|(image, entry)| match *entry {
                L2Entry::Image { offset, length, size } => Some(Movable::Image { image, offset, length, size }),
                L2Entry::Null(_) | L2Entry::Below => None,
            }));
        }
        all.retain(|thing| thing.offset() > lowest_free);
        all.sort_unstable_by_key(|thing| std::cmp::Reverse(thing.offset()));
        all
    }

    /// Copies bytes to a lower place, if there is one for them.
    fn copy(&self, editor: &Editor, offset: u64, length: u64, slack: u64) -> Result<Option<Extent>, VolumeError> {
        let Some(extent) = editor.space().take_below(length, slack, offset) else { return Ok(None) };
        // Images have up to 64 KiB, tables 4.
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file().read_at(offset, &mut bytes).inspect_err(|_| editor.space().give_back(extent))?;
        self.fill(editor, extent, &bytes)?;
        Ok(Some(extent))
    }

    /// Copies a table, which from then on is changed in both places.
    fn copy_table(&self, editor: &Editor, group: usize, offset: u64) -> Result<Option<Extent>, VolumeError> {
        let _alone = editor.entering.write().unwrap_or_else(PoisonError::into_inner);
        let place = self.tables().table_place(group);
        if place != Some((offset, None)) {
            return Ok(None);
        }
        let copy = self.copy(editor, offset, editor.layout.l2_table_bytes() as u64, 0)?;
        if let Some(extent) = copy {
            self.tables_mut().begin_move(group, extent.offset);
        }
        Ok(copy)
    }

    /// Makes the entry lead to the copy, unless the unit was written meanwhile; gives how many bytes came free.
    fn enter_copy(
        &self,
        editor: &Editor,
        thing: Movable,
        copy: Extent,
        target: impl Fn(u32) -> Target,
    ) -> Result<u64, VolumeError> {
        match thing {
            Movable::Image { image, offset, length, size } => {
                let _unit = editor.lock_unit(image);
                if self.tables().get(image) != Entered::Entry(L2Entry::Image { offset, length, size }) {
                    editor.space().give_back(copy);
                    return Ok(0);
                }
                self.enter(editor, target(image), image_entry(copy, length), Some(copy))?;
                Ok(u64::from(size))
            }
            Movable::Table { group, offset } => {
                let _alone = editor.entering.write().unwrap_or_else(PoisonError::into_inner);
                self.write_first_level(editor, group, copy.offset)?;
                self.tables_mut().end_move(group, true);
                editor.space().retire(Extent { offset, length: copy.length });
                Ok(copy.length)
            }
        }
    }

    /// Leaves a thing where it was.
    fn abandon(&self, editor: &Editor, thing: Movable, copy: Extent) {
        if let Movable::Table { group, .. } = thing {
            let _alone = editor.entering.write().unwrap_or_else(PoisonError::into_inner);
            self.tables_mut().end_move(group, false);
        }
        editor.space().give_back(copy);
    }
}
