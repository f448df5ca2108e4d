//! Tracks in slots: found in memory, or measured by reading their count fields alone.

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::track::{COUNT_BYTES, HOME_ADDRESS_BYTES, Step, Track, Walk};
use tapegate_formats::tape::unit::UnitKind;

use super::shape::UnitIndex;
use super::stage::Stage;

/// Bytes read at once when count fields are walked one by one.
const WINDOW_BYTES: usize = 512;
/// Windows that cost as much as one read of a whole slot. Measured: a small read from the page cache takes 0.8 us, one
/// of 56 KiB 5.9 us.
const MOST_WINDOWS: u32 = 7;

/// Declares the units of a stage whose buffer holds `count` whole slots from track `first`.
pub(super) fn stage_slots(geometry: &Geometry, first: UnitIndex, count: u32, stage: &mut Stage) {
    let slot_bytes = geometry.slot_bytes() as usize;
    for (place, track) in (first.0..first.0 + count).enumerate() {
        let home = geometry.encode_cchh(geometry.cchh(TrackIndex(track)));
        let (start, end) = (place * slot_bytes, (place + 1) * slot_bytes);
        match Track::parse(&stage.buffer()[start..end], home).map(|track| track.bytes().len()) {
            Ok(length) => stage.push(UnitKind::Track, start..start + length, None),
            Err(defect) => stage.push(UnitKind::RawSlot, start..end, Some(defect)),
        }
    }
}

/// Finds the lengths of tracks one after the other by reading as little as pays.
///
/// Few long records: the count fields are read one by one. Many short ones: the track is read at once. Neighbouring
/// tracks are mostly alike, so what a track turned out to be decides how the next is read.
#[derive(Debug)]
pub(super) struct SparseWalk {
    /// As long as a slot.
    buffer: Vec<u8>,
    /// Bytes at the slot's start that the file doesn't have: none, or the home address.
    left_out: usize,
    /// How much of a track is read first.
    first_read: usize,
}

impl SparseWalk {
    /// Walks tracks in slots that begin with a home address.
    pub(super) fn with_home_address(slot_bytes: u32) -> Self {
        Self { buffer: vec![0; slot_bytes as usize], left_out: 0, first_read: WINDOW_BYTES }
    }

    /// Walks tracks in slots whose home address the file doesn't have; lengths and the slot's include it.
    pub(super) fn without_home_address(slot_bytes: u32) -> Self {
        Self { left_out: HOME_ADDRESS_BYTES, ..Self::with_home_address(slot_bytes) }
    }

    /// The length of the track with the address `home` up to its end mark, or of its whole slot if it doesn't walk.
    ///
    /// `read` fills a buffer from an offset in the track as the file has it.
    pub(super) fn measure<E>(&mut self, home: [u8; 4], mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>) -> Result<u32, E> {
        let slot_bytes = self.buffer.len();
        // A slot has at most 64 KiB and a home address.
        let whole_slot = u32::try_from(slot_bytes).unwrap_or(u32::MAX);
        let mut walk = Walk::new(slot_bytes);
        let mut have = self.left_out..self.left_out;
        let mut window_end = 0;
        let mut windows = 0;
        loop {
            if walk.check_room().is_err() {
                return Ok(whole_slot);
            }
            let offset = walk.offset();
            if offset + COUNT_BYTES > have.end {
                let at_start = have.end == self.left_out;
                let start = if at_start { self.left_out } else { offset };
                let bytes = if at_start { self.first_read } else { WINDOW_BYTES };
                have = start..slot_bytes.min(start + bytes);
                read((start - self.left_out) as u64, &mut self.buffer[have.clone()])?;
                if at_start && self.left_out == 0 && self.buffer[1..HOME_ADDRESS_BYTES] != home {
                    return Ok(whole_slot);
                }
            }
            if offset + COUNT_BYTES > window_end {
                window_end = offset + WINDOW_BYTES;
                windows += 1;
            }
            let Some(bytes) = self.buffer[offset..].first_chunk::<COUNT_BYTES>() else { return Ok(whole_slot) };
            match walk.step(*bytes) {
                Ok(Step::Record(_)) => {}
                Ok(Step::End(length)) => {
                    self.first_read = if windows > MOST_WINDOWS { length + WINDOW_BYTES - self.left_out } else { WINDOW_BYTES };
                    return Ok(u32::try_from(length).unwrap_or(whole_slot));
                }
                Err(_) => return Ok(whole_slot),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;
    use tapegate_formats::dasd::track::END_MARK;

    use super::*;

    const HOME: [u8; 4] = [0, 0, 0, 1];
    const SLOT: usize = 8192;

    fn slot(records: &[usize], garbage: u8) -> Vec<u8> {
        let mut slot = vec![0, 0, 0, 0, 1];
        for length in std::iter::once(&8).chain(records) {
            slot.extend([9, 9, 9, 9, 9, 0]);
            slot.extend(u16::try_from(*length).unwrap().to_be_bytes());
            slot.extend(vec![0xff; *length]);
        }
        slot.extend(END_MARK);
        slot.resize(SLOT.max(slot.len()), garbage);
        slot.truncate(SLOT);
        slot
    }

    proptest! {
        #[test]
        fn reading_sparsely_finds_the_length_that_reading_all_finds(
            tracks in prop::collection::vec(prop::collection::vec(0..900_usize, 0..14), 1..12),
            flip in prop::option::of((0..12_usize, 0..SLOT)),
        ) {
            let mut slots: Vec<_> = tracks.iter().map(|records| slot(records, 0)).collect();
            if let Some(slot) = flip.and_then(|(track, _)| slots.get_mut(track)) {
                slot[flip.unwrap().1] ^= 0x11;
            }
            let mut with = SparseWalk::with_home_address(u32::try_from(SLOT).unwrap());
            let mut without = SparseWalk::without_home_address(u32::try_from(SLOT).unwrap());
            for slot in &slots {
                let read = |file: &[u8], offset: u64, buffer: &mut [u8]| {
                    let offset = usize::try_from(offset).unwrap();
                    buffer.copy_from_slice(&file[offset..offset + buffer.len()]);
                    Ok::<_, Infallible>(())
                };
                let expected = |slot: &[u8]| Track::parse(slot, HOME).map_or(SLOT, |track| track.bytes().len());
                let found = with.measure(HOME, |offset, buffer| read(slot, offset, buffer)).unwrap();
                prop_assert_eq!(found as usize, expected(slot));
                let mut named = slot.clone();
                named[1..5].copy_from_slice(&HOME);
                let found = without.measure(HOME, |offset, buffer| read(&slot[5..], offset, buffer)).unwrap();
                prop_assert_eq!(found as usize, expected(&named));
            }
        }
    }

    #[test]
    fn few_long_records_are_read_a_little_at_a_time() {
        let slot = slot(&[3000, 3000], 0);
        let mut walk = SparseWalk::with_home_address(u32::try_from(SLOT).unwrap());
        let mut read_bytes = 0;
        let length = walk
            .measure(HOME, |offset, buffer| {
                read_bytes += buffer.len();
                let offset = usize::try_from(offset).unwrap();
                buffer.copy_from_slice(&slot[offset..offset + buffer.len()]);
                Ok::<_, Infallible>(())
            })
            .unwrap();
        assert_eq!((length, read_bytes), (21 + 6016, 3 * WINDOW_BYTES));
    }
}
