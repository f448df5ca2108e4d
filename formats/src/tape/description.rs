//! The description: the first file of a tape that tapegate writes, from which the tape alone can be restored.
//!
//! It is one stream, cut into tape blocks like the files behind it: a header of 128 bytes, one entry for each file of
//! the tape, then encoded units ([`super::unit`]): the label track and the tracks of the VTOC. All numbers are
//! big-endian, all text is EBCDIC. `formats/UNIT-CONTAINER.md` describes it for readers of other tools.

use binrw::{BinRead, BinWrite, binrw};
use std::io::Cursor;
use thiserror::Error;

use crate::ebcdic;

/// Length of the header.
pub const DESCRIPTION_HEADER_BYTES: usize = 128;
/// Length of a file entry without its extents.
const ENTRY_BYTES: usize = 72;
/// Length of an extent in an entry.
const EXTENT_BYTES: usize = 8;
/// The version that this crate writes and reads.
pub const DESCRIPTION_VERSION: u16 = 1;

const MAGIC: [u8; 8] = ebcdic::from_ascii(*b"TGVOLUME");

/// What the volume was, and how many entries and units follow.
#[binrw]
#[brw(big, magic = b"\xe3\xc7\xe5\xd6\xd3\xe4\xd4\xc5")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriptionHeader {
    /// Offset 8: format version.
    pub version: u16,
    /// Offset 10: 1 count-key-data, 2 fixed-block.
    pub shape: u8,
    /// Offset 11: 1 when only the tracks in use were copied, 0 otherwise.
    pub used_only: u8,
    /// Offset 12: device number such as X'3390'; 0 for fixed blocks.
    pub device: u16,
    /// Offset 14: tracks in a cylinder; 0 for fixed blocks.
    pub heads: u16,
    /// Offset 16: cylinders; 0 for fixed blocks.
    pub cylinders: u32,
    /// Offset 20: bytes that the image reserved for a track; 0 for fixed blocks.
    pub slot_bytes: u32,
    /// Offset 24: blocks; 0 for count-key-data.
    pub blocks: u64,
    /// Offset 32: bytes of a block; 0 for count-key-data.
    pub block_bytes: u32,
    /// Offset 36: blocks of a unit; 0 for count-key-data.
    pub unit_blocks: u32,
    /// Offset 40: volume serial, X'40' x 6 where there is none.
    pub volser: [u8; 6],
    /// Offset 46: length of the tape blocks of `tracks` form.
    pub tape_block_bytes: u16,
    /// Offset 48: T0 in seconds since 1970-01-01 UTC.
    pub t0: i64,
    /// Offset 56: number of entries that follow.
    pub entries: u32,
    /// Offset 60: number of encoded units that follow the entries.
    pub units: u32,
    /// Offset 64: bytes of all entries.
    pub entry_bytes: u64,
    /// Offset 72: zeros.
    pub reserved: [u8; 52],
    /// Offset 124: CRC-32C of bytes 0 to 123 and of all entries.
    pub crc: u32,
}

/// A file of the tape.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Offset 0: full name, blank padded.
    pub name: [u8; 44],
    /// Offset 44: 1 data set, 2 the tracks of no data set, 3 the whole volume.
    pub class: u8,
    /// Offset 45: 1 `tracks` form, 2 `blocks` form.
    pub form: u8,
    /// Offset 46: `DS1DSORG`.
    pub dsorg: u16,
    /// Offset 48: `DS1RECFM`.
    pub recfm: u8,
    /// Offset 49: `DS1KEYL`.
    pub key_length: u8,
    /// Offset 50: `DS1LRECL`.
    pub record_length: u16,
    /// Offset 52: `DS1BLKL`.
    pub block_length: u16,
    /// Offset 54: what the data set is, for restore: 1 VSAM, 2 PDSE, 3 extended, 4 HFS, 0 anything else.
    pub special: u8,
    /// Offset 55: zero.
    pub reserved: u8,
    /// Offset 56: number of the file on the tape, from 1; 0 for an empty file of an unlabelled tape, which is not on it.
    pub number: u32,
    /// Offset 60: units on the tape: the first ones of the extents.
    pub units: u32,
    /// Offset 64: number of extents.
    #[br(temp, assert(usize::try_from(extent_count).is_ok_and(|count| count <= MOST_EXTENTS)))]
    #[bw(calc = u32::try_from(extents.len()).unwrap_or(u32::MAX))]
    extent_count: u32,
    /// Offset 68: zero.
    pub reserved2: u32,
    /// Offset 72: the extents in order: first unit and number of units of each.
    #[br(count = extent_count)]
    pub extents: Vec<DescribedExtent>,
}

/// More runs than any file of a volume can have: one for every second track of the largest volume.
const MOST_EXTENTS: usize = 1 << 26;

/// A run of units of a file.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescribedExtent {
    /// First unit on the volume.
    pub first: u32,
    /// Number of units.
    pub units: u32,
}

/// Why bytes are no description.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// The first bytes are not those of a description.
    #[error("the first file is no description of a volume, so tapegate did not write this tape")]
    Magic,
    /// Written by a later version.
    #[error("the description has format version {version}, and this program reads version {DESCRIPTION_VERSION}")]
    Version {
        /// Version found.
        version: u16,
    },
    /// The stream ends too early, or its numbers don't fit it.
    #[error("the description is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
}

fn damaged(reason: impl Into<String>) -> DescriptionError {
    DescriptionError::Damaged { reason: reason.into() }
}

/// Header and entries, read or to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The volume.
    pub header: DescriptionHeader,
    /// The files of the tape.
    pub files: Vec<FileEntry>,
}

impl Description {
    /// Writes header and entries, with counts and checksum made right.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut entries = Cursor::new(Vec::new());
        for file in &self.files {
            file.write(&mut entries).unwrap_or_else(|error| unreachable!("a vector takes every write: {error}"));
        }
        let entries = entries.into_inner();
        let mut header = self.header.clone();
        header.entries = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        header.entry_bytes = entries.len() as u64;
        header.crc = 0;
        let mut bytes = Cursor::new(Vec::with_capacity(DESCRIPTION_HEADER_BYTES + entries.len()));
        header.write(&mut bytes).unwrap_or_else(|error| unreachable!("a vector takes every write: {error}"));
        let mut bytes = bytes.into_inner();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..124]), &entries);
        bytes[124..].copy_from_slice(&crc.to_be_bytes());
        bytes.extend(entries);
        bytes
    }

    /// Whether a stream begins as a description does, as far as it is there.
    #[must_use]
    pub fn begins(stream: &[u8]) -> bool {
        stream.iter().zip(&MAGIC).all(|(found, expected)| found == expected)
    }

    /// Reads a description from the beginning of a stream; gives it and the bytes behind it, the encoded units.
    ///
    /// # Errors
    /// When the bytes are none, of a later version, or damaged.
    pub fn parse(stream: &[u8]) -> Result<(Self, &[u8]), DescriptionError> {
        if !stream.starts_with(&MAGIC) {
            return Err(DescriptionError::Magic);
        }
        let (head, rest) =
            stream.split_at_checked(DESCRIPTION_HEADER_BYTES).ok_or_else(|| damaged("it ends inside its header"))?;
        let header = DescriptionHeader::read(&mut Cursor::new(head)).map_err(|_| damaged("its header does not read"))?;
        if header.version != DESCRIPTION_VERSION {
            return Err(DescriptionError::Version { version: header.version });
        }
        let entry_bytes = usize::try_from(header.entry_bytes).map_err(|_| damaged("its entries are too long"))?;
        let (entries, units) = rest.split_at_checked(entry_bytes).ok_or_else(|| damaged("it ends inside its entries"))?;
        if crc32c::crc32c_append(crc32c::crc32c(&head[..124]), entries) != header.crc {
            return Err(damaged("its checksum is wrong"));
        }
        let files = parse_entries(entries, header.entries)?;
        Ok((Self { header, files }, units))
    }
}

fn parse_entries(bytes: &[u8], count: u32) -> Result<Vec<FileEntry>, DescriptionError> {
    let mut files = Vec::with_capacity((count as usize).min(bytes.len() / ENTRY_BYTES));
    let mut at = 0_usize;
    for _ in 0..count {
        let rest = bytes.get(at..).unwrap_or_default();
        // The extents are bounded by the bytes that are there before any are read.
        let extents = rest.get(64..68).and_then(|field| field.first_chunk()).map_or(0, |field| u32::from_be_bytes(*field));
        let length = (extents as usize).saturating_mul(EXTENT_BYTES).saturating_add(ENTRY_BYTES);
        let entry = rest.get(..length).ok_or_else(|| damaged("an entry passes its end"))?;
        files.push(FileEntry::read(&mut Cursor::new(entry)).map_err(|_| damaged("an entry does not read"))?);
        at += length;
    }
    if at == bytes.len() { Ok(files) } else { Err(damaged("bytes are left behind its entries")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        let header = DescriptionHeader {
            version: DESCRIPTION_VERSION,
            shape: 1,
            used_only: 0,
            device: 0x3390,
            heads: 15,
            cylinders: 3339,
            slot_bytes: 56_832,
            blocks: 0,
            block_bytes: 0,
            unit_blocks: 0,
            volser: [0xe3; 6],
            tape_block_bytes: 32_760,
            t0: 1_795_219_200,
            entries: 0,
            units: 2,
            entry_bytes: 0,
            reserved: [0; 52],
            crc: 0,
        };
        let file = FileEntry {
            name: [0x40; 44],
            class: 1,
            form: 1,
            dsorg: 0x4000,
            recfm: 0x90,
            key_length: 0,
            record_length: 80,
            block_length: 27_920,
            special: 0,
            reserved: 0,
            number: 2,
            units: 5,
            reserved2: 0,
            extents: vec![DescribedExtent { first: 15, units: 15 }, DescribedExtent { first: 90, units: 1 }],
        };
        Description { header, files: vec![file.clone(), FileEntry { extents: vec![], ..file }] }
    }

    #[test]
    fn a_description_reads_back_and_gives_the_units_behind_it() {
        let mut bytes = description().to_bytes();
        assert_eq!(bytes.len(), 128 + 72 + 16 + 72);
        bytes.extend(*b"units");
        let (read, units) = Description::parse(&bytes).unwrap();
        assert_eq!(units, b"units");
        assert_eq!(read.files, description().files);
        assert_eq!((read.header.entries, read.header.cylinders), (2, 3339));
        assert!(Description::begins(&bytes) && Description::begins(&bytes[..5]) && !Description::begins(b"VOL1"));
    }

    #[test]
    fn fields_lie_at_their_published_offsets() {
        let bytes = description().to_bytes();
        assert_eq!(&bytes[..12], [0xe3, 0xc7, 0xe5, 0xd6, 0xd3, 0xe4, 0xd4, 0xc5, 0, 1, 1, 0]);
        assert_eq!(&bytes[12..24], [0x33, 0x90, 0, 15, 0, 0, 0x0d, 0x0b, 0, 0, 0xde, 0]);
        assert_eq!(&bytes[56..64], [0, 0, 0, 2, 0, 0, 0, 2]);
        assert_eq!(&bytes[128 + 56..128 + 68], [0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 2]);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_an_error() {
        let good = description().to_bytes();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Description::parse(&bytes).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(Description::parse(&good[..length]).is_err(), "cut at {length}");
        }
    }
}
