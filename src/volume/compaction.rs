//! Moves images and tables of a compressed file towards its beginning, so that its end can be cut off.
//!
//! A move is a write like any other, but for units that nobody wrote: the copies are synced before the entries lead to
//! them, so that a power loss costs none of them. What moved is free after the next sync, and then joins with its
//! neighbours.
//!
//! When nothing at the end fits a free space, the thing behind the lowest one is lifted out of the way: the space gets
//! longer, and something will fit. There is an end to that, because the lowest free space only ever gets longer or goes
//! up; and it is not begun for so little free space that it is not worth rewriting the file.

use std::sync::PoisonError;

use tapegate_formats::dasd::lookup_table::{L2_ENTRIES, L2Entry};

use super::compressed_file::{CompressedFile, images};
use super::editor::{Editor, Target};
use super::error::VolumeError;
use super::in_place::image_entry;
use super::space::{Extent, LEAST_REST_BYTES, Space};
use super::tables::Entered;

/// Part of the file that free space must have before images are lifted: one in 20, 200 MiB of a full 32-bit image.
const LEAST_FREE_PART: u64 = 20;

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

    /// Copies what lies at the end into free space, or lifts what is behind the lowest free space.
    fn copy_down(&self, editor: &Editor, most_bytes: u64, copied: &mut Vec<(Movable, Extent)>) -> Result<(), VolumeError> {
        let mut bytes = 0;
        let things = self.last_first(editor);
        for thing in &things {
            if bytes >= most_bytes || editor.space().free_bytes() == 0 {
                return Ok(());
            }
            let lower = |space: &mut Space, length, slack| space.take_below(length, slack, thing.offset());
            if let Some(extent) = self.copy(editor, *thing, lower)? {
                bytes += extent.length;
                copied.push((*thing, extent));
            }
        }
        let room = editor.room();
        if copied.is_empty()
            && room.free_bytes > room.size_bytes / LEAST_FREE_PART
            && let Some(thing) = things.last()
            && let Some(extent) = self.copy(editor, *thing, Space::take)?
        {
            copied.push((*thing, extent));
        }
        Ok(())
    }

    /// All images and tables, those at the end first.
    fn last_first(&self, editor: &Editor) -> Vec<Movable> {
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

    /// Copies a thing to space that `take` finds, if it is still where it was; a table is from then on changed in both
    /// places.
    fn copy(
        &self,
        editor: &Editor,
        thing: Movable,
        take: impl Fn(&mut Space, u64, u64) -> Option<Extent>,
    ) -> Result<Option<Extent>, VolumeError> {
        match thing {
            Movable::Image { image, offset, length, size } => {
                let _unit = editor.lock_unit(image);
                if self.tables().get(image) != Entered::Entry(L2Entry::Image { offset, length, size }) {
                    return Ok(None);
                }
                let slack = (LEAST_REST_BYTES - 1).min(u64::from(u16::MAX - length));
                let taken = take(&mut editor.space(), u64::from(length), slack);
                taken.map(|extent| self.copy_bytes(editor, offset, usize::from(length), extent)).transpose()
            }
            Movable::Table { group, offset } => {
                let _alone = editor.entering.write().unwrap_or_else(PoisonError::into_inner);
                if self.tables().table_place(group) != Some((offset, None)) {
                    return Ok(None);
                }
                let length = editor.layout.l2_table_bytes();
                let taken = take(&mut editor.space(), length as u64, 0);
                let copy = taken.map(|extent| self.copy_bytes(editor, offset, length, extent)).transpose()?;
                if let Some(extent) = copy {
                    self.tables_mut().begin_move(group, extent.offset);
                }
                Ok(copy)
            }
        }
    }

    fn copy_bytes(&self, editor: &Editor, offset: u64, length: usize, to: Extent) -> Result<Extent, VolumeError> {
        let mut bytes = vec![0; length];
        self.file().read_at(offset, &mut bytes).inspect_err(|_| editor.space().give_back(to))?;
        self.fill(editor, to, &bytes)?;
        Ok(to)
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

#[cfg(test)]
mod tests {
    use tapegate_formats::dasd::track::END_MARK;

    use super::super::create::CreateOptions;
    use super::super::opened::Source;
    use super::super::round_trip_tests::{home, track};
    use super::super::writable_images::{Sample, sample, tracks};
    use super::super::{ImageFormat, UnitAddress, UnitIndex, Volume};
    use super::*;

    /// Writes a track that is stored plain, as short ones are, and gives its slot.
    fn change(sample: &Sample, volume: &Volume, unit: u32, byte: u8) -> Vec<u8> {
        let length = 150 + (unit as usize * 37 + usize::from(byte) * 61) % 300;
        let mut slot = track(home(&sample.shape, unit), [0; 8], &[(Vec::new(), vec![byte; length])]);
        slot.extend(END_MARK);
        slot.resize(sample.shape.unit_bytes(UnitIndex(unit)) as usize, 0);
        volume.write_slot(UnitIndex(unit), 0, &slot).unwrap();
        slot
    }

    fn target(image: u32) -> Target {
        Target { image, address: UnitAddress::Block(0) }
    }

    #[test]
    fn what_is_written_between_copying_and_entering_stays() {
        let sample = sample("cckd", tracks(), &CreateOptions::new(ImageFormat::Cckd), &[]);
        let volume = sample.open_for_update();
        let Source::Compressed(image) = &volume.source else { panic!("a compressed image") };
        let (file, editor) = (image.top(), image.top().editor().unwrap());
        // The tables lie at the end of a new image; what is written goes behind them, and leaves holes before them.
        for unit in 0..90 {
            change(&sample, &volume, unit, 0x11);
        }
        volume.sync().unwrap();
        let things = file.last_first(editor).into_iter();
        let tables = things.filter(|thing| matches!(thing, Movable::Table { .. }));
        let mut copied: Vec<_> = tables.map(|table| (table, file.copy(editor, table, Space::take).unwrap().unwrap())).collect();
        assert_eq!(copied.len(), 2);
        file.copy_down(editor, u64::MAX, &mut copied).unwrap();
        let moved: Vec<u32> = copied
            .iter()
            .filter_map(|(thing, _)| if let Movable::Image { image, .. } = thing { Some(*image) } else { None })
            .collect();
        let units = [moved[0], moved[moved.len() - 1]];
        assert_ne!(units[0], units[1]);
        let expected = units.map(|unit| change(&sample, &volume, unit, 0x22));
        for (thing, copy) in copied {
            file.enter_copy(editor, thing, copy, target).unwrap();
        }
        let check = |volume: &Volume| {
            for (unit, slot) in units.into_iter().zip(&expected) {
                assert!(sample.slots(volume)[unit as usize] == *slot, "unit {unit}");
            }
        };
        check(&volume);
        volume.close().unwrap();
        drop(volume);
        check(&sample.open());
    }

    #[test]
    fn a_file_full_of_holes_gets_as_short_as_what_it_has() {
        let sample = sample("cckd", tracks(), &CreateOptions::new(ImageFormat::Cckd), &[]);
        let volume = sample.open_for_update();
        for round in 0..5 {
            for unit in 0..90 {
                change(&sample, &volume, unit, round);
            }
            volume.sync().unwrap();
        }
        let before = (volume.room().unwrap(), sample.slots(&volume));
        while volume.compact(5000).unwrap() > 0 {
            volume.sync().unwrap();
        }
        let after = volume.room().unwrap();
        assert!(before.0.free_bytes > 20_000, "{:?}", before.0);
        assert!(after.free_bytes <= after.size_bytes / LEAST_FREE_PART, "{after:?}");
        assert_eq!(std::fs::metadata(&sample.written).unwrap().len(), after.size_bytes);
        assert!(sample.slots(&volume) == before.1);
        volume.close().unwrap();
        drop(volume);
        assert!(sample.slots(&sample.open()) == before.1);
    }
}
