//! The blocks of a data set that goes on tape as it is: how many each unit has, and how long they are together.
//!
//! In `blocks` form a unit's place is the sum over the units before it of its blocks and their chunk headers, and
//! the previous-length field of its first block is the length of the last block before it.

use serde::{Deserialize, Serialize};
use tapegate_formats::tape::chunk::CHUNK_HEADER_BYTES;

/// The tape blocks of one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitBlocks {
    /// Blocks.
    pub blocks: u32,
    /// Bytes of all of them, without chunk headers.
    pub bytes: u32,
    /// Length of the last one; 0 if there is none.
    pub last_length: u16,
}

impl UnitBlocks {
    /// Bytes on tape, chunk headers included.
    #[must_use]
    pub fn tape_bytes(&self) -> u64 {
        u64::from(self.bytes) + u64::from(self.blocks) * u64::from(CHUNK_HEADER_BYTES)
    }
}

/// The blocks of all units of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockTable {
    units: Vec<UnitBlocks>,
    /// Tape bytes of all units before each unit, and of all.
    places: Vec<u64>,
    /// Length of the last block before each unit, and of the last block of all.
    previous: Vec<u16>,
}

impl BlockTable {
    /// Makes the table of a file's units in order.
    #[must_use]
    pub fn new(units: Vec<UnitBlocks>) -> Self {
        let (mut place, mut last) = (0, 0);
        let (mut places, mut previous) = (vec![0], vec![0]);
        for unit in &units {
            place += unit.tape_bytes();
            if unit.blocks > 0 {
                last = unit.last_length;
            }
            places.push(place);
            previous.push(last);
        }
        Self { units, places, previous }
    }

    /// The units in order.
    #[must_use]
    pub fn units(&self) -> &[UnitBlocks] {
        &self.units
    }

    /// Bytes on tape before unit `j`, from the file's first data byte; for one past the last, of the whole file.
    #[must_use]
    pub fn place(&self, j: u32) -> u64 {
        self.places.get(j as usize).or(self.places.last()).copied().unwrap_or(0)
    }

    /// What the previous-length field of unit `j`'s first block says.
    #[must_use]
    pub fn previous_length(&self, j: u32) -> u16 {
        self.previous.get(j as usize).or(self.previous.last()).copied().unwrap_or(0)
    }

    /// Blocks of all units.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.units.iter().map(|unit| u64::from(unit.blocks)).sum()
    }

    /// Data bytes of all units.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.units.iter().map(|unit| u64::from(unit.bytes)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_before_an_empty_unit_is_still_the_block_before_the_next() {
        let full = UnitBlocks { blocks: 2, bytes: 180, last_length: 80 };
        let table = BlockTable::new(vec![full, UnitBlocks::default(), full]);
        assert_eq!([0, 1, 2, 3].map(|j| table.place(j)), [0, 192, 192, 384]);
        assert_eq!([0, 1, 2, 3].map(|j| table.previous_length(j)), [0, 80, 80, 80]);
        assert_eq!((table.blocks(), table.bytes()), (4, 360));
    }
}
