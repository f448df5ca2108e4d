//! The two levels of tables by which a compressed image finds its units (tracks, or groups of 120 sectors).
//!
//! The first-level table follows the headers. Its entry n leads to the second-level table of units 256 n to
//! 256 n + 255: an offset of 4 bytes (8 in 64-bit files), 0 if all of them are null, all ones if a shadow file has none
//! of them. A second-level entry has an offset, 2 bytes of image length and 2 of space taken (in 64-bit files then 4
//! unused); with offset 0 the length is the null format.

use super::compressed_header::CompressedHeader;
use super::device_header::OffsetWidth;

/// Where the first-level table begins in the file.
pub const L1_OFFSET: u64 = 1024;
/// Entries of a second-level table.
pub const L2_ENTRIES: usize = 256;

/// How numbers lie in a file's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableLayout {
    width: OffsetWidth,
    big_endian: bool,
}

/// An entry of the first-level table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum L1Entry {
    /// All 256 units are null in the format that the header names.
    Null,
    /// The 256 units are in a lower file.
    Below,
    /// The second-level table is at this offset.
    Table(u64),
}

/// An entry of a second-level table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum L2Entry {
    /// The unit is null; the number of the format, not checked.
    Null(u16),
    /// The unit is in a lower file.
    Below,
    /// The unit's image.
    Image {
        /// Offset in the file.
        offset: u64,
        /// Its length.
        length: u16,
        /// The space that it was given, at least its length.
        size: u16,
    },
}

impl TableLayout {
    /// The layout of a file.
    #[must_use]
    pub const fn of(width: OffsetWidth, header: &CompressedHeader) -> Self {
        Self { width, big_endian: header.is_big_endian() }
    }

    /// Bytes of a first-level entry.
    #[must_use]
    pub const fn l1_entry_bytes(self) -> usize {
        match self.width {
            OffsetWidth::Bits32 => 4,
            OffsetWidth::Bits64 => 8,
        }
    }

    /// Bytes of a second-level entry.
    #[must_use]
    pub const fn l2_entry_bytes(self) -> usize {
        2 * self.l1_entry_bytes()
    }

    /// Bytes of a second-level table.
    #[must_use]
    pub const fn l2_table_bytes(self) -> usize {
        L2_ENTRIES * self.l2_entry_bytes()
    }

    /// Reads first-level entries; an incomplete one at the end is left out.
    pub fn parse_l1(self, bytes: &[u8]) -> impl Iterator<Item = L1Entry> {
        bytes.chunks_exact(self.l1_entry_bytes()).map(move |entry| match self.offset(entry) {
            0 => L1Entry::Null,
            offset if offset == self.below() => L1Entry::Below,
            offset => L1Entry::Table(offset),
        })
    }

    /// Reads second-level entries; an incomplete one at the end is left out.
    pub fn parse_l2(self, bytes: &[u8]) -> impl Iterator<Item = L2Entry> {
        bytes.chunks_exact(self.l2_entry_bytes()).map(move |entry| {
            let (offset, rest) = entry.split_at(self.l1_entry_bytes());
            let length = self.short([rest[0], rest[1]]);
            let size = self.short([rest[2], rest[3]]);
            match self.offset(offset) {
                0 => L2Entry::Null(length),
                offset if offset == self.below() => L2Entry::Below,
                offset => L2Entry::Image { offset, length, size },
            }
        })
    }

    /// Appends a first-level entry; `None` if its offset has no room.
    #[must_use]
    pub fn write_l1(self, entry: L1Entry, bytes: &mut Vec<u8>) -> Option<()> {
        self.write_offset(
            match entry {
                L1Entry::Null => 0,
                L1Entry::Below => self.below(),
                L1Entry::Table(offset) => offset,
            },
            bytes,
        )
    }

    /// Appends a second-level entry; `None` if its offset has no room.
    #[must_use]
    pub fn write_l2(self, entry: L2Entry, bytes: &mut Vec<u8>) -> Option<()> {
        let (offset, length, size) = match entry {
            L2Entry::Null(format) => (0, format, format),
            L2Entry::Below => (self.below(), u16::MAX, u16::MAX),
            L2Entry::Image { offset, length, size } => (offset, length, size),
        };
        self.write_offset(offset, bytes)?;
        for number in [length, size] {
            bytes.extend(if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
        }
        if self.width == OffsetWidth::Bits64 {
            bytes.extend([0; 4]);
        }
        Some(())
    }

    /// The offset that says "in a lower file": all ones.
    const fn below(self) -> u64 {
        match self.width {
            OffsetWidth::Bits32 => u32::MAX as u64,
            OffsetWidth::Bits64 => u64::MAX,
        }
    }

    /// Appends an offset, or another number as wide; `None` if it has no room.
    pub(super) fn write_offset(self, offset: u64, bytes: &mut Vec<u8>) -> Option<()> {
        match self.width {
            OffsetWidth::Bits32 => {
                let offset = u32::try_from(offset).ok()?;
                bytes.extend(if self.big_endian { offset.to_be_bytes() } else { offset.to_le_bytes() });
            }
            OffsetWidth::Bits64 => bytes.extend(if self.big_endian { offset.to_be_bytes() } else { offset.to_le_bytes() }),
        }
        Some(())
    }

    fn offset(self, bytes: &[u8]) -> u64 {
        let shift = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, shift) } else { bytes.iter().rev().fold(0, shift) }
    }

    const fn short(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(width: OffsetWidth, big_endian: bool) -> TableLayout {
        TableLayout { width, big_endian }
    }

    /// Entries that Hercules 3.13 wrote for tracks 0 and 1, and for one never written.
    #[test]
    fn entries_of_hercules_read_as_it_means_them() {
        let bytes = [0x08, 0x0d, 0, 0, 0x39, 1, 0x39, 1, 0x41, 0x0e, 0, 0, 0x1d, 0, 0x1d, 0, 0, 0, 0, 0, 1, 0, 1, 0];
        let entries: Vec<_> = layout(OffsetWidth::Bits32, false).parse_l2(&bytes).collect();
        assert_eq!(
            entries,
            [
                L2Entry::Image { offset: 3336, length: 313, size: 313 },
                L2Entry::Image { offset: 3649, length: 29, size: 29 },
                L2Entry::Null(1)
            ]
        );
    }

    #[test]
    fn all_ones_lead_to_a_lower_file_in_either_width() {
        for width in [OffsetWidth::Bits32, OffsetWidth::Bits64] {
            let layout = layout(width, false);
            assert_eq!(layout.parse_l1(&[0xff; 8]).next(), Some(L1Entry::Below));
            assert_eq!(layout.parse_l2(&[0xff; 16]).next(), Some(L2Entry::Below));
        }
        // In a 64-bit file 32 ones are an offset like any other.
        let narrow = layout(OffsetWidth::Bits64, false).parse_l1(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).next();
        assert_eq!(narrow, Some(L1Entry::Table(0xffff_ffff)));
    }

    #[test]
    fn entries_read_back_in_every_layout() {
        let l1 = [L1Entry::Null, L1Entry::Below, L1Entry::Table(0x1234_5678)];
        let l2 = [L2Entry::Null(2), L2Entry::Below, L2Entry::Image { offset: 0x0908_0706, length: 0x1234, size: 0x2345 }];
        for (width, big_endian) in
            [(OffsetWidth::Bits32, false), (OffsetWidth::Bits32, true), (OffsetWidth::Bits64, false), (OffsetWidth::Bits64, true)]
        {
            let layout = layout(width, big_endian);
            let mut bytes = Vec::new();
            l1.iter().for_each(|entry| layout.write_l1(*entry, &mut bytes).unwrap());
            assert_eq!(layout.parse_l1(&bytes).collect::<Vec<_>>(), l1);
            bytes.clear();
            l2.iter().for_each(|entry| layout.write_l2(*entry, &mut bytes).unwrap());
            assert_eq!(bytes.len(), 3 * layout.l2_entry_bytes());
            assert_eq!(layout.parse_l2(&bytes).collect::<Vec<_>>(), l2);
        }
    }

    #[test]
    fn an_offset_beyond_4_gib_has_no_room_in_a_32_bit_file() {
        let far = L1Entry::Table(1 << 32);
        assert_eq!(layout(OffsetWidth::Bits32, false).write_l1(far, &mut Vec::new()), None);
        assert_eq!(layout(OffsetWidth::Bits64, false).write_l1(far, &mut Vec::new()), Some(()));
    }
}
