//! The list of free spaces in a compressed image.
//!
//! It comes in two forms. The old one is a chain: each free space begins with the offset of the next (0 in the last)
//! and its own length. The new one, written when an image is closed, is one list: the eight bytes `FREE_BLK` (padded to
//! an entry's length), then offset and length of each space. Both numbers have 4 bytes, in 64-bit files 8.
//!
//! A reader of units needs none of it; it tells whether the image's book-keeping can be trusted.

use super::device_header::OffsetWidth;

/// First bytes of the new form.
pub const FREE_LIST_MARK: [u8; 8] = *b"FREE_BLK";

/// Two numbers of a free-space entry: offset (of the next space, or of this one) and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeEntry {
    /// Offset of the next space in the old form, of this one in the new.
    pub offset: u64,
    /// Bytes of this space.
    pub length: u64,
}

/// Bytes of an entry.
#[must_use]
pub const fn free_entry_bytes(width: OffsetWidth) -> usize {
    match width {
        OffsetWidth::Bits32 => 8,
        OffsetWidth::Bits64 => 16,
    }
}

/// Reads an entry from the start of `bytes`; `None` if they are too few.
#[must_use]
pub fn parse_free_entry(bytes: &[u8], width: OffsetWidth, big_endian: bool) -> Option<FreeEntry> {
    let bytes = bytes.get(..free_entry_bytes(width))?;
    let (offset, length) = bytes.split_at(bytes.len() / 2);
    let number = |bytes: &[u8]| {
        let shift = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if big_endian { bytes.iter().fold(0, shift) } else { bytes.iter().rev().fold(0, shift) }
    };
    Some(FreeEntry { offset: number(offset), length: number(length) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_four_or_eight_bytes_a_number() {
        let narrow = parse_free_entry(&[1, 2, 0, 0, 3, 0, 0, 0], OffsetWidth::Bits32, false);
        assert_eq!(narrow, Some(FreeEntry { offset: 0x201, length: 3 }));
        let wide = [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9];
        let wide = parse_free_entry(&wide, OffsetWidth::Bits64, true);
        assert_eq!(wide, Some(FreeEntry { offset: 0x1_0000_0002, length: 9 }));
        assert_eq!(parse_free_entry(&[0; 15], OffsetWidth::Bits64, false), None);
    }
}
