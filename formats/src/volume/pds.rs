//! Directories of partitioned data sets: blocks with 8 bytes of key and 256 of data, full of member entries.
//!
//! (IBM, DFSMSdfp Using Data Sets, "PDS directory".) The first two bytes of a block count the bytes in use, themselves
//! included; entries follow, and a name of eight X'FF' ends the directory.

use std::fmt;

use thiserror::Error;
use zerocopy::byteorder::big_endian::U16;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::ebcdic;

/// Key length of a directory block.
pub const BLOCK_KEY_BYTES: usize = 8;
/// Data length of a directory block.
pub const BLOCK_BYTES: usize = 256;
/// The name that ends a directory.
pub const LAST_NAME: [u8; 8] = [0xff; 8];

/// Length of an entry without its user data.
const ENTRY_BYTES: usize = 12;
/// Length of the bytes-used field.
const USED_BYTES: usize = 2;

/// The fixed part of an entry as it lies in the block.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEntry {
    name: [u8; 8],
    track: U16,
    record: u8,
    /// X'80' alias, X'60' number of TTRs in the user data, X'1F' halfwords of user data.
    flags: u8,
}

/// A member's name: up to eight EBCDIC characters, blank padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberName(pub [u8; 8]);

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = ebcdic::to_string(&self.0);
        let text: String = text.trim_end().chars().map(|c| if c.is_control() { '.' } else { c }).collect();
        f.pad(&text)
    }
}

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Name.
    pub name: MemberName,
    /// Track of the first block, relative to the data set.
    pub track: u16,
    /// Record number of the first block.
    pub record: u8,
    /// Whether it is another name of a member.
    pub alias: bool,
    /// How many TTRs the user data begins with.
    pub notes: u8,
    /// User data: 30 bytes of ISPF statistics, or facts about a load module.
    pub user_data: &'a [u8],
}

/// What is wrong with a directory block, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The block is not one by its lengths.
    #[error("key length {key_bytes} and data length {data_bytes} are no directory block: they are 8 and 256")]
    Lengths {
        /// Key length found.
        key_bytes: usize,
        /// Data length found.
        data_bytes: usize,
    },
    /// The count of used bytes can't be.
    #[error("{used} bytes of a directory block can't be in use: 2 to 256 can")]
    Used {
        /// The count found.
        used: u16,
    },
    /// An entry passes the used bytes.
    #[error("the entry at offset {offset} passes the {used} bytes in use")]
    EntryPastEnd {
        /// Offset in the block's data.
        offset: usize,
        /// Bytes in use.
        used: usize,
    },
}

/// Entries of one block.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    /// The used part of the block.
    used: &'a [u8],
    offset: usize,
}

impl<'a> Entries<'a> {
    /// Opens a directory block.
    ///
    /// # Errors
    /// When key and data don't have the lengths of one, or the count of used bytes is not between 2 and 256. A block of
    /// zeros behind the directory's end is no error: it has no entry.
    pub fn of_block(key: &[u8], data: &'a [u8]) -> Result<Self, DirectoryError> {
        let lengths = DirectoryError::Lengths { key_bytes: key.len(), data_bytes: data.len() };
        if key.len() != BLOCK_KEY_BYTES || data.len() != BLOCK_BYTES {
            return Err(lengths);
        }
        let (used, _) = U16::read_from_prefix(data).map_err(|_| lengths)?;
        let used = used.get();
        match data.get(..usize::from(used)) {
            Some([]) => Ok(Self { used: &[], offset: 0 }),
            Some(bytes) if bytes.len() >= USED_BYTES => Ok(Self { used: bytes, offset: USED_BYTES }),
            _ => Err(DirectoryError::Used { used }),
        }
    }

    fn end(&mut self) {
        self.offset = self.used.len();
    }
}

/// One step through a directory block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A member or an alias.
    Entry(Entry<'a>),
    /// The directory ends here.
    EndOfDirectory,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Item<'a>, DirectoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.used.get(self.offset..).filter(|rest| !rest.is_empty())?;
        if rest.starts_with(&LAST_NAME) {
            self.end();
            return Some(Ok(Item::EndOfDirectory));
        }
        let past = DirectoryError::EntryPastEnd { offset: self.offset, used: self.used.len() };
        let Ok((raw, behind)) = RawEntry::read_from_prefix(rest) else {
            self.end();
            return Some(Err(past));
        };
        let Some(user_data) = behind.get(..usize::from(raw.flags & 0x1f) * 2) else {
            self.end();
            return Some(Err(past));
        };
        self.offset += ENTRY_BYTES + user_data.len();
        Some(Ok(Item::Entry(Entry {
            name: MemberName(raw.name),
            track: raw.track.get(),
            record: raw.record,
            alias: raw.flags & 0x80 != 0,
            notes: raw.flags >> 5 & 3,
            user_data,
        })))
    }
}

/// ISPF's statistics of a member: 30 bytes of user data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Version, 0 to 99.
    pub version: u8,
    /// Modification level, 0 to 99.
    pub modification: u8,
    /// Created: year and day of the year.
    pub created: (u16, u16),
    /// Changed: year and day of the year.
    pub changed: (u16, u16),
    /// Time of the change: hour, minute, second.
    pub changed_time: (u8, u8, u8),
    /// Lines now.
    pub lines: u16,
    /// Lines at the start.
    pub first_lines: u16,
    /// Lines changed.
    pub changed_lines: u16,
    /// User who changed it, EBCDIC.
    pub user: [u8; 7],
}

impl Statistics {
    /// Reads statistics from user data; `None` if its length is not 30 or it does not hold dates.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let data: &[u8; 30] = data.try_into().ok()?;
        let half = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
        let mut user = [0; 7];
        user.copy_from_slice(&data[20..27]);
        Some(Self {
            version: data[0],
            modification: data[1],
            created: packed_date([data[4], data[5], data[6], data[7]])?,
            changed: packed_date([data[8], data[9], data[10], data[11]])?,
            changed_time: (packed(data[12])?, packed(data[13])?, packed(data[3])?),
            lines: half(14),
            first_lines: half(16),
            changed_lines: half(18),
            user,
        })
    }
}

/// Two decimal digits of a byte.
fn packed(byte: u8) -> Option<u8> {
    let (tens, ones) = (byte >> 4, byte & 15);
    (tens < 10 && ones < 10).then_some(tens * 10 + ones)
}

/// A packed date, `0CYYDDDF`: C is 1 from the year 2000 on.
fn packed_date([century, year, day, sign]: [u8; 4]) -> Option<(u16, u16)> {
    let year = 1900 + u16::from(packed(century)?) * 100 + u16::from(packed(year)?);
    let ones = sign >> 4;
    let day = u16::from(packed(day)?) * 10 + u16::from(ones);
    (ones < 10 && sign & 15 >= 10 && (1..=366).contains(&day)).then_some((year, day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &[u8; 8], ttr: [u8; 3], flags: u8, user_data: &[u8]) -> Vec<u8> {
        let mut bytes = ebcdic::from_ascii(*name).to_vec();
        bytes.extend(ttr);
        bytes.push(flags);
        bytes.extend(user_data);
        bytes
    }

    fn block(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut data = vec![0, 0];
        data.extend(entries.concat());
        data[1] = u8::try_from(data.len()).unwrap();
        data.resize(BLOCK_BYTES, 0);
        data
    }

    #[test]
    fn entries_come_with_alias_notes_and_user_data() {
        let data = block(&[
            entry(b"ALPHA   ", [0, 1, 3], 0x00, &[]),
            entry(b"BETA    ", [0, 1, 3], 0x80 | 0x20 | 0x02, &[1, 2, 3, 4]),
            LAST_NAME.to_vec(),
        ]);
        let items: Vec<_> = Entries::of_block(&LAST_NAME, &data).unwrap().collect::<Result<_, _>>().unwrap();
        let [Item::Entry(alpha), Item::Entry(beta), Item::EndOfDirectory] = items[..] else { panic!("{items:?}") };
        assert_eq!((alpha.name.to_string().as_str(), alpha.track, alpha.record, alpha.alias), ("ALPHA", 1, 3, false));
        assert_eq!((beta.alias, beta.notes, beta.user_data), (true, 1, &[1, 2, 3, 4][..]));
    }

    /// The bytes that `dasdload` writes into an empty directory.
    #[test]
    fn an_empty_directory_ends_at_once_and_zero_blocks_have_no_entry() {
        let mut data = vec![0x00, 0x0e];
        data.extend(LAST_NAME);
        data.resize(BLOCK_BYTES, 0);
        let items: Vec<_> = Entries::of_block(&LAST_NAME, &data).unwrap().collect();
        assert_eq!(items, [Ok(Item::EndOfDirectory)]);
        assert_eq!(Entries::of_block(&[0; 8], &[0; BLOCK_BYTES]).unwrap().count(), 0);
    }

    #[test]
    fn an_entry_past_the_used_bytes_is_an_error_at_its_offset() {
        let mut data = block(&[entry(b"ALPHA   ", [0, 1, 3], 0x1f, &[])]);
        let items: Vec<_> = Entries::of_block(&[0; 8], &data).unwrap().collect();
        assert_eq!(items, [Err(DirectoryError::EntryPastEnd { offset: 2, used: 14 })]);
        data[0] = 0x7f;
        assert!(matches!(Entries::of_block(&[0; 8], &data), Err(DirectoryError::Used { .. })));
    }

    /// Worked by hand from the layout in IBM's ISPF books: version 01.02, created 2015.100, changed 2016.266 at 14:05:59.
    #[test]
    fn statistics_are_read_from_30_bytes() {
        let mut data = vec![0x01, 0x02, 0x00, 0x59, 0x01, 0x15, 0x10, 0x0f, 0x01, 0x16, 0x26, 0x6f, 0x14, 0x05];
        data.extend([0x00, 0x0a, 0x00, 0x08, 0x00, 0x02]);
        data.extend(ebcdic::from_ascii(*b"HERC01 "));
        data.extend([0x40; 3]);
        let statistics = Statistics::parse(&data).unwrap();
        assert_eq!((statistics.version, statistics.modification), (1, 2));
        assert_eq!((statistics.created, statistics.changed), ((2015, 100), (2016, 266)));
        assert_eq!(statistics.changed_time, (14, 5, 59));
        assert_eq!((statistics.lines, statistics.first_lines, statistics.changed_lines), (10, 8, 2));
        data[5] = 0xab;
        assert_eq!(Statistics::parse(&data), None);
    }

    proptest! {
        #[test]
        fn any_block_gives_entries_or_an_error_and_ends(data in proptest::collection::vec(any::<u8>(), BLOCK_BYTES), used in 0..=256_u16) {
            let mut data = data;
            data[..2].copy_from_slice(&used.to_be_bytes());
            if let Ok(entries) = Entries::of_block(&[0; 8], &data) {
                prop_assert!(entries.count() <= BLOCK_BYTES / ENTRY_BYTES + 1);
            }
        }
    }
}
