//! The size table: the encoded length of every unit of a volume.
//!
//! LU(j) needs sums of lengths over runs of units, so sums are kept for every 16 units. A volume's table takes 4.5
//! bytes a unit; a unit that was not measured has length 0, which no sum over measured runs touches.

use std::ops::Range;

use tapegate_formats::tape::unit::UNIT_HEADER_BYTES;

use crate::volume::UnitIndex;

/// Units between two kept sums.
const GROUP: usize = 16;

/// Encoded lengths, and sums of them by groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeTable {
    encoded_bytes: Vec<u32>,
    /// `sums[g]` is the length of all units before group `g`.
    sums: Vec<u64>,
}

impl SizeTable {
    /// Makes the table from the length of every unit's body; 0 for those that were not measured.
    #[must_use]
    pub fn from_body_bytes(mut bytes: Vec<u32>) -> Self {
        for length in &mut bytes {
            if *length != 0 {
                *length = length.saturating_add(UNIT_HEADER_BYTES);
            }
        }
        let mut sums = Vec::with_capacity(bytes.len().div_ceil(GROUP) + 1);
        let mut sum = 0_u64;
        for group in bytes.chunks(GROUP) {
            sums.push(sum);
            sum += group.iter().map(|&length| u64::from(length)).sum::<u64>();
        }
        sums.push(sum);
        Self { encoded_bytes: bytes, sums }
    }

    /// Units in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.encoded_bytes.len()
    }

    /// Whether the volume has no unit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.encoded_bytes.is_empty()
    }

    /// Length of a unit on tape, header included; 0 if it was not measured or is no unit of the volume.
    #[must_use]
    pub fn encoded_bytes(&self, unit: UnitIndex) -> u32 {
        self.encoded_bytes.get(unit.0 as usize).copied().unwrap_or(0)
    }

    /// Length on tape of neighbouring units; those past the volume count nothing.
    #[must_use]
    pub fn run_bytes(&self, units: Range<u32>) -> u64 {
        // The lengths of a short run lie together; the kept sums lie elsewhere, and would be fetched from memory too.
        if units.len() <= 2 * GROUP
            && let Some(lengths) = self.encoded_bytes.get(units.start as usize..units.end as usize)
        {
            return lengths.iter().map(|&length| u64::from(length)).sum();
        }
        self.before(units.end).saturating_sub(self.before(units.start))
    }

    /// Length of all units before `unit`.
    fn before(&self, unit: u32) -> u64 {
        let unit = (unit as usize).min(self.encoded_bytes.len());
        let group = unit / GROUP;
        let inside: u64 = self.encoded_bytes[group * GROUP..unit].iter().map(|&length| u64::from(length)).sum();
        self.sums[group] + inside
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_is_as_long_as_its_units(bodies in prop::collection::vec(1_u32..70_000, 0..200), a in 0_u32..220, b in 0_u32..220) {
            let table = SizeTable::from_body_bytes(bodies.clone());
            let (first, end) = (a.min(b), a.max(b));
            let expected: u64 = bodies.iter().skip(first as usize).take((end - first) as usize).map(|&body| u64::from(body) + 16).sum();
            prop_assert_eq!(table.run_bytes(first..end), expected);
        }
    }

    #[test]
    fn a_unit_that_was_not_measured_has_no_length() {
        let table = SizeTable::from_body_bytes(vec![29, 0, 29]);
        assert_eq!(table.encoded_bytes(UnitIndex(0)), 45);
        assert_eq!(table.encoded_bytes(UnitIndex(1)), 0);
        assert_eq!(table.encoded_bytes(UnitIndex(9)), 0);
    }
}
