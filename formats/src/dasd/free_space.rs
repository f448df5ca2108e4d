//! The list of free spaces in a compressed image.
//!
//! It comes in two forms. The old one is a chain: each free space begins with the offset of the next (0 in the last)
//! and its own length; offsets ascend. The new one, written when an image is closed, is one list: the eight bytes
//! `FREE_BLK` (padded to an entry's length), then offset and length of each space. Both numbers have 4 bytes, in 64-bit
//! files 8.
//!
//! A reader of units needs none of it; it tells whether the image's book-keeping can be trusted.

use thiserror::Error;

use super::compressed_header::CompressedHeader;
use super::device_header::OffsetWidth;
use super::lookup_table::TableLayout;

/// First bytes of the new form.
pub const FREE_LIST_MARK: [u8; 8] = *b"FREE_BLK";

/// A free space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// Why a list of free spaces makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("free space {number} of {of}: {reason}")]
pub struct FreeSpaceError {
    /// Which one, from 1.
    pub number: u64,
    /// How many the header names.
    pub of: u64,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Reads the free spaces that a header names; `read` fills a buffer from an offset and says whether it could.
///
/// # Errors
/// When an entry lies outside the file, or the spaces are outside the file's used part, overlap, or don't end where
/// their number says.
pub fn free_spaces(
    header: &CompressedHeader,
    width: OffsetWidth,
    mut read: impl FnMut(u64, &mut [u8]) -> bool,
) -> Result<Vec<FreeSpace>, FreeSpaceError> {
    let mut spaces = Vec::new();
    let of = header.free_spaces;
    if of == 0 {
        return Ok(spaces);
    }
    let mut buffer = [0; 16];
    let entry = match width {
        OffsetWidth::Bits32 => &mut buffer[..8],
        OffsetWidth::Bits64 => &mut buffer[..],
    };
    let entry_bytes = entry.len() as u64;
    let fail = |number, reason| Err(FreeSpaceError { number, of, reason });
    if !read(header.free_offset, entry) {
        return fail(1, "the list lies outside the file");
    }
    let listed = entry.starts_with(&FREE_LIST_MARK);
    let mut place = header.free_offset;
    let mut least_offset = 0;
    for number in 1..=of {
        if listed {
            let Some(next) = place.checked_add(entry_bytes) else { return fail(number, "its entry lies outside the file") };
            place = next;
        }
        if place == 0 {
            return fail(number, "the chain ends before it");
        }
        if !read(place, entry) {
            return fail(number, "its entry lies outside the file");
        }
        let (first, length) = numbers(entry, header.is_big_endian());
        let space = FreeSpace { offset: if listed { first } else { place }, length };
        match space.offset.checked_add(length) {
            Some(end) if end <= header.size_bytes && length >= entry_bytes && space.offset >= least_offset => least_offset = end,
            _ => return fail(number, "it lies outside the file's used part or over the one before"),
        }
        spaces.push(space);
        if !listed {
            place = first;
        }
    }
    if !listed && place != 0 {
        return fail(of, "the chain goes on behind it");
    }
    Ok(spaces)
}

/// Writes the new form of the list, for a file whose numbers lie as `layout` says.
///
/// It has one entry more than there are spaces; the header says their number and where the list is. `None` if a number
/// has no room in an entry.
#[must_use]
pub fn free_list(spaces: &[FreeSpace], layout: TableLayout) -> Option<Vec<u8>> {
    let mut list = Vec::with_capacity((1 + spaces.len()) * layout.l2_entry_bytes());
    list.extend(FREE_LIST_MARK);
    list.resize(layout.l2_entry_bytes(), 0);
    for space in spaces {
        layout.write_offset(space.offset, &mut list)?;
        layout.write_offset(space.length, &mut list)?;
    }
    Some(list)
}

/// The two numbers of an entry.
fn numbers(entry: &[u8], big_endian: bool) -> (u64, u64) {
    let number = |bytes: &[u8]| {
        let shift = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if big_endian { bytes.iter().fold(0, shift) } else { bytes.iter().rev().fold(0, shift) }
    };
    let (first, second) = entry.split_at(entry.len() / 2);
    (number(first), number(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dasd::compressed_header::OPTION_BIG_ENDIAN;

    fn header(free_offset: u64, free_spaces: u64) -> CompressedHeader {
        CompressedHeader { free_offset, free_spaces, size_bytes: 100, ..CompressedHeader::default() }
    }

    fn read_from(file: &[u8]) -> impl FnMut(u64, &mut [u8]) -> bool + '_ {
        |offset, buffer| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let Some(bytes) = start.checked_add(buffer.len()).and_then(|end| file.get(start..end)) else { return false };
            buffer.copy_from_slice(bytes);
            true
        }
    }

    fn put(file: &mut [u8], place: usize, numbers: [u32; 2]) {
        file[place..place + 4].copy_from_slice(&numbers[0].to_le_bytes());
        file[place + 4..place + 8].copy_from_slice(&numbers[1].to_le_bytes());
    }

    const BOTH: [FreeSpace; 2] = [FreeSpace { offset: 20, length: 10 }, FreeSpace { offset: 60, length: 40 }];

    #[test]
    fn a_list_that_is_written_reads_back_in_every_layout() {
        // A space is at least as long as an entry, which has 16 bytes in a 64-bit file.
        let spaces = [FreeSpace { offset: 4, length: 16 }, FreeSpace { offset: 80, length: 20 }];
        for width in [OffsetWidth::Bits32, OffsetWidth::Bits64] {
            for options in [0, OPTION_BIG_ENDIAN] {
                let header = CompressedHeader { options, ..header(30, 2) };
                let mut file = vec![0; 100];
                let list = free_list(&spaces, TableLayout::of(width, &header)).unwrap();
                file[30..30 + list.len()].copy_from_slice(&list);
                assert_eq!(free_spaces(&header, width, read_from(&file)).unwrap(), spaces);
            }
        }
        let far = [FreeSpace { offset: 1 << 32, length: 100 }];
        assert_eq!(free_list(&far, TableLayout::of(OffsetWidth::Bits32, &header(0, 1))), None);
    }

    #[test]
    fn a_chain_is_followed_from_space_to_space() {
        let mut file = [0; 100];
        put(&mut file, 20, [60, 10]);
        put(&mut file, 60, [0, 40]);
        let spaces = free_spaces(&header(20, 2), OffsetWidth::Bits32, read_from(&file)).unwrap();
        assert_eq!(spaces, BOTH);
        for wrong in [1, 3] {
            assert!(free_spaces(&header(20, wrong), OffsetWidth::Bits32, read_from(&file)).is_err());
        }
    }

    #[test]
    fn a_list_behind_the_used_part_names_each_space() {
        let mut file = [0; 124];
        file[100..108].copy_from_slice(b"FREE_BLK");
        put(&mut file, 108, [20, 10]);
        put(&mut file, 116, [60, 40]);
        let spaces = free_spaces(&header(100, 2), OffsetWidth::Bits32, read_from(&file)).unwrap();
        assert_eq!(spaces, BOTH);
        let error = free_spaces(&header(100, 3), OffsetWidth::Bits32, read_from(&file)).unwrap_err();
        assert_eq!(error.to_string(), "free space 3 of 3: its entry lies outside the file");
    }

    #[test]
    fn a_chain_in_a_circle_ends() {
        let mut file = [0; 100];
        put(&mut file, 20, [20, 10]);
        assert!(free_spaces(&header(20, u64::MAX), OffsetWidth::Bits32, read_from(&file)).is_err());
    }

    #[test]
    fn wide_entries_have_sixteen_bytes() {
        let mut file = [0; 100];
        file[40..56].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0]);
        let spaces = free_spaces(&header(40, 1), OffsetWidth::Bits64, read_from(&file)).unwrap();
        assert_eq!(spaces, [FreeSpace { offset: 40, length: 16 }]);
    }
}
