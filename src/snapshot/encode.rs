//! From the units of a stage to the slices that are written to tape, without copying a body.
//!
//! In `tracks` form a unit is its header and body, and six bytes of chunk header stand wherever the stream passes a
//! block border. In `blocks` form it is a chunk header and data for each record. The bodies stay where they were read;
//! headers are made beside them, and all goes out in one gathered write.

use std::ops::Range;

use tapegate_formats::dasd::track::{COUNT_BYTES, Record, Track};
use tapegate_formats::tape::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use tapegate_formats::tape::unit::{UNIT_HEADER_BYTES, unit_header};
use zerocopy::IntoBytes;

use super::digest::UnitDigest;
use crate::plan::{BlockedStream, UnitBlocks};
use crate::volume::{Stage, UnitIndex};

/// What a stage becomes on tape: headers and digests beside the bodies that stay in the stage.
#[derive(Debug, Default)]
pub(crate) struct EncodedStage {
    /// Unit headers, in `tracks` form.
    headers: Vec<[u8; UNIT_HEADER_BYTES as usize]>,
    /// The blocks in order, in `blocks` form: number of the unit in the stage, and the data's bytes in its body.
    blocks: Vec<(usize, Range<usize>)>,
    /// Bytes of each unit's stream: header and body, or the data of its blocks.
    pub(crate) sizes: Vec<u32>,
    /// Digest of each unit.
    pub(crate) digests: Vec<UnitDigest>,
}

impl EncodedStage {
    fn clear(&mut self) {
        self.headers.clear();
        self.blocks.clear();
        self.sizes.clear();
        self.digests.clear();
    }

    /// Encodes the units that `stage` holds, of which the first is `first`, in `tracks` form.
    pub(crate) fn encode_tracks(&mut self, first: UnitIndex, stage: &Stage) {
        self.clear();
        for (unit, number) in stage.units().zip(first.0..) {
            self.headers.push(unit_header(number, unit.kind, unit.body));
            self.digests.push(UnitDigest::of(unit.body));
            // `unit_header` refuses bodies that are longer than a slot.
            self.sizes.push(UNIT_HEADER_BYTES + u32::try_from(unit.body.len()).unwrap_or(u32::MAX));
        }
    }

    /// Encodes the units of a stage in `blocks` form, and compares them with the file's block table.
    ///
    /// `home` gives the home address of a unit by its place in the stage. An error is the place in the stage of the
    /// unit that does not have the blocks that were planned.
    pub(crate) fn encode_blocks(
        &mut self,
        stage: &Stage,
        home: impl Fn(usize) -> [u8; 4],
        planned: &[UnitBlocks],
    ) -> Result<(), usize> {
        self.clear();
        for (at, unit) in stage.units().enumerate() {
            let track = Track::from_bytes(unit.body, home(at)).map_err(|_| at)?;
            let found = measure_blocks(track).ok_or(at)?;
            if planned.get(at) != Some(&found) {
                return Err(at);
            }
            let mut hasher = blake3::Hasher::new();
            for record in track_blocks(track) {
                hasher.update(record.data);
                let start = record.offset + COUNT_BYTES;
                self.blocks.push((at, start..start + record.data.len()));
            }
            self.digests.push(UnitDigest::from_hash(&hasher.finalize()));
            self.sizes.push(found.bytes);
        }
        Ok(())
    }

    /// Keeps only the first `units` units.
    pub(crate) fn truncate(&mut self, units: usize) {
        self.headers.truncate(units);
        self.blocks.retain(|(unit, _)| *unit < units);
        self.sizes.truncate(units);
        self.digests.truncate(units);
    }

    /// Bytes of all units' streams.
    pub(crate) fn bytes(&self) -> u64 {
        self.sizes.iter().map(|&size| u64::from(size)).sum()
    }

    /// The stream's bytes in order, in `tracks` form: header, body, header, body.
    pub(crate) fn parts<'a>(&'a self, stage: &'a Stage) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().zip(stage.units()).flat_map(|(header, unit)| [&header[..], unit.body])
    }

    /// The blocks in order, in `blocks` form.
    pub(crate) fn blocks<'a>(&'a self, stage: &'a Stage) -> impl Iterator<Item = &'a [u8]> {
        self.blocks.iter().map(|(unit, range)| &stage.body(*unit)[range.clone()])
    }

    /// The chunk headers of the blocks, in `blocks` form, if the block before the first has `previous` bytes.
    pub(crate) fn block_headers(&self, previous: u16) -> Vec<ChunkHeader> {
        let mut previous = previous;
        let header = |(_, range): &(usize, Range<usize>)| {
            // The length comes out of a count field's 16 bits.
            let length = u16::try_from(range.len()).unwrap_or(u16::MAX);
            ChunkHeader::block(length, std::mem::replace(&mut previous, length))
        };
        self.blocks.iter().map(header).collect()
    }
}

/// The chunk headers of those blocks that begin inside `range` of a stream.
pub(crate) fn chunk_headers(stream: &BlockedStream, range: Range<u64>) -> Vec<ChunkHeader> {
    let block = u64::from(stream.block_bytes);
    (range.start.div_ceil(block)..range.end.div_ceil(block)).map(|block| stream.header(block)).collect()
}

/// Where a write that begins with stream byte `position` starts on tape: at the byte, or at the chunk header in front.
pub(crate) fn write_place(stream: &BlockedStream, position: u64) -> u64 {
    let place = stream.place(position);
    if position.is_multiple_of(u64::from(stream.block_bytes)) { place - u64::from(CHUNK_HEADER_BYTES) } else { place }
}

/// Weaves the parts of a stream from `position` on with the chunk headers that belong between them.
pub(crate) fn weave<'a>(
    stream: &BlockedStream,
    position: u64,
    headers: &'a [ChunkHeader],
    parts: impl Iterator<Item = &'a [u8]>,
) -> Vec<&'a [u8]> {
    let block = u64::from(stream.block_bytes);
    let mut headers = headers.iter();
    let mut slices = Vec::new();
    let mut at = position;
    for mut part in parts {
        while !part.is_empty() {
            let inside = at % block;
            if inside == 0
                && let Some(header) = headers.next()
            {
                slices.push(header.as_bytes());
            }
            // Less than a block, which fits any usize.
            let room = usize::try_from(block - inside).unwrap_or(usize::MAX);
            let (now, later) = part.split_at(room.min(part.len()));
            slices.push(now);
            at += now.len() as u64;
            part = later;
        }
    }
    slices
}

/// The blocks of a track in `blocks` form: the data of its user records up to an end-of-file record.
pub(crate) fn track_blocks<'a>(track: Track<'a>) -> impl Iterator<Item = Record<'a>> {
    track.user_records().take_while(|record| !record.count.is_end_of_file())
}

/// Sums up the blocks of a track for the block table; `None` if a block has a key, which no tape block can carry.
pub(crate) fn measure_blocks(track: Track<'_>) -> Option<UnitBlocks> {
    let mut sum = UnitBlocks::default();
    for record in track_blocks(track) {
        if !record.key.is_empty() || record.data.is_empty() {
            return None;
        }
        sum.blocks += 1;
        sum.bytes += u32::from(record.count.data_length.get());
        sum.last_length = record.count.data_length.get();
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The stream written in two pieces, each at its place, is the stream written at once block by block.
        #[test]
        fn woven_pieces_make_the_tape_of_a_writer_in_order(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..12),
            cut in 0_usize..12,
            block_bytes in 1_u16..40,
        ) {
            let bytes: Vec<u8> = parts.concat();
            let stream = BlockedStream { data: 0, bytes: bytes.len() as u64, block_bytes };
            let mut expected: Vec<u8> = Vec::new();
            let mut previous = 0;
            for block in bytes.chunks(block_bytes.into()) {
                let length = u16::try_from(block.len()).unwrap();
                expected.extend(ChunkHeader::block(length, previous).as_bytes());
                expected.extend(block);
                previous = length;
            }
            let mut tape = vec![0; expected.len()];
            let cut = cut.min(parts.len());
            for range in [0..cut, cut..parts.len()] {
                let start: u64 = parts[..range.start].iter().map(|part| part.len() as u64).sum();
                let length: u64 = parts[range.clone()].iter().map(|part| part.len() as u64).sum();
                if length == 0 {
                    continue;
                }
                let headers = chunk_headers(&stream, start..start + length);
                let slices = weave(&stream, start, &headers, parts[range].iter().map(Vec::as_slice));
                let woven: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                let place = usize::try_from(write_place(&stream, start)).unwrap();
                tape[place..place + woven.len()].copy_from_slice(&woven);
            }
            prop_assert_eq!(tape, expected);
        }
    }
}
