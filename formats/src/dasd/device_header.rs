//! The device header: the first 512 bytes of every CKD image file and of compressed fixed-block ones.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | eyecatcher, ASCII |
//! | 8 | 4, little-endian | heads (compressed fixed-block: 0, or sectors) |
//! | 12 | 4, little-endian | slot: bytes reserved for a track (compressed fixed-block: 0, or sector size) |
//! | 16 | 1 | low byte of the device type |
//! | 17 | 1 | file sequence number: 0 the only file, else 1, 2, ... |
//! | 18 | 2, little-endian | highest cylinder on this file; 0 on the last or only one |
//! | 20 | 12 | serial number, ASCII digits, or zeros |
//! | 32 | 480 | zeros |
//!
//! Source: files that Hercules 3.13 and SDL Hyperion 4.9 wrote.

use std::fmt;

use binrw::io::Cursor;
use binrw::{BinRead, BinWrite};
use thiserror::Error;

/// Length of the device header.
pub const DEVICE_HEADER_BYTES: usize = 512;

/// Whether an image holds tracks or fixed blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiskClass {
    /// Count-key-data.
    Ckd,
    /// Fixed blocks.
    FixedBlock,
}

/// What a file is among the files of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileRole {
    /// Slots without tables.
    Plain,
    /// A compressed base file.
    Compressed,
    /// A shadow file: what was written since it was laid over its base.
    Shadow,
}

/// How wide the offsets in a compressed file's tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OffsetWidth {
    /// 32 bits, files below 4 GiB.
    Bits32,
    /// 64 bits (SDL Hyperion).
    Bits64,
}

/// The first eight bytes of an image file, such as `CKD_P370`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Eyecatcher {
    /// Tracks or fixed blocks.
    pub class: DiskClass,
    /// What the file is.
    pub role: FileRole,
    /// Width of its offsets.
    pub width: OffsetWidth,
}

impl Eyecatcher {
    /// Reads an eyecatcher; `None` if the bytes are none.
    #[must_use]
    pub fn parse(bytes: [u8; 8]) -> Option<Self> {
        let class = match &bytes[..4] {
            b"CKD_" => DiskClass::Ckd,
            b"FBA_" => DiskClass::FixedBlock,
            _ => return None,
        };
        let role = match bytes[4] {
            b'P' => FileRole::Plain,
            b'C' => FileRole::Compressed,
            b'S' => FileRole::Shadow,
            _ => return None,
        };
        let width = match &bytes[5..] {
            b"370" => OffsetWidth::Bits32,
            b"064" => OffsetWidth::Bits64,
            _ => return None,
        };
        Some(Self { class, role, width })
    }

    /// The eight bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        let [a, b, c] = match self.class {
            DiskClass::Ckd => *b"CKD",
            DiskClass::FixedBlock => *b"FBA",
        };
        let role = match self.role {
            FileRole::Plain => b'P',
            FileRole::Compressed => b'C',
            FileRole::Shadow => b'S',
        };
        let [x, y, z] = match self.width {
            OffsetWidth::Bits32 => *b"370",
            OffsetWidth::Bits64 => *b"064",
        };
        [a, b, c, b'_', role, x, y, z]
    }
}

impl fmt::Display for Eyecatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

/// The device header's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceHeader {
    /// What the file is.
    pub eyecatcher: Eyecatcher,
    /// Tracks in a cylinder; compressed fixed-block files have 0 or the number of sectors.
    pub heads: u32,
    /// Bytes reserved for a track; compressed fixed-block files have 0 or the sector size.
    pub slot_bytes: u32,
    /// Low byte of the device type.
    pub device_code: u8,
    /// 0 in the only file of a volume, else 1, 2, ...
    pub sequence: u8,
    /// Highest cylinder on this file; 0 on the last or only one.
    pub highest_cylinder: u16,
    /// ASCII digits or zeros.
    pub serial: [u8; 12],
}

/// Why bytes are no device header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceHeaderError {
    /// Fewer than 512 bytes.
    #[error("the file has {found} bytes, fewer than a device header's 512")]
    Short {
        /// Bytes there are.
        found: usize,
    },
    /// No known eyecatcher.
    #[error("the file does not begin with a disk image's eyecatcher")]
    Eyecatcher,
}

/// The header as it lies in the file.
#[derive(Debug, BinRead, BinWrite)]
#[brw(little)]
struct RawDeviceHeader {
    eyecatcher: [u8; 8],
    heads: u32,
    slot_bytes: u32,
    device_code: u8,
    sequence: u8,
    highest_cylinder: u16,
    #[brw(pad_after = 480)]
    serial: [u8; 12],
}

impl DeviceHeader {
    /// Reads a device header from the first bytes of a file.
    ///
    /// # Errors
    /// When there are fewer than 512 bytes, or they begin with no eyecatcher of a disk image.
    pub fn parse(bytes: &[u8]) -> Result<Self, DeviceHeaderError> {
        let short = DeviceHeaderError::Short { found: bytes.len() };
        let bytes = bytes.first_chunk::<DEVICE_HEADER_BYTES>().ok_or(short)?;
        let raw = RawDeviceHeader::read(&mut Cursor::new(&bytes[..])).map_err(|_| short)?;
        let eyecatcher = Eyecatcher::parse(raw.eyecatcher).ok_or(DeviceHeaderError::Eyecatcher)?;
        Ok(Self {
            eyecatcher,
            heads: raw.heads,
            slot_bytes: raw.slot_bytes,
            device_code: raw.device_code,
            sequence: raw.sequence,
            highest_cylinder: raw.highest_cylinder,
            serial: raw.serial,
        })
    }

    /// The header as it lies in a file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; DEVICE_HEADER_BYTES] {
        let raw = RawDeviceHeader {
            eyecatcher: self.eyecatcher.bytes(),
            heads: self.heads,
            slot_bytes: self.slot_bytes,
            device_code: self.device_code,
            sequence: self.sequence,
            highest_cylinder: self.highest_cylinder,
            serial: self.serial,
        };
        let mut bytes = [0; DEVICE_HEADER_BYTES];
        raw.write(&mut Cursor::new(&mut bytes[..])).expect("the fields and their padding are 512 bytes, as many as there are");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header that `dasdinit` 3.13 writes for a 3390.
    fn seen() -> Vec<u8> {
        let mut bytes = b"CKD_P370".to_vec();
        bytes.extend([0x0f, 0, 0, 0, 0x00, 0xde, 0, 0, 0x90, 0, 0, 0]);
        bytes.resize(512, 0);
        bytes
    }

    #[test]
    fn a_header_of_dasdinit_reads_and_writes_back() {
        let header = DeviceHeader::parse(&seen()).unwrap();
        assert_eq!((header.heads, header.slot_bytes, header.device_code), (15, 56_832, 0x90));
        assert_eq!(header.eyecatcher.to_string(), "CKD_P370");
        assert_eq!(&header.to_bytes()[..], seen());
    }

    #[test]
    fn the_first_of_two_files_says_its_highest_cylinder() {
        let mut bytes = seen();
        bytes[17..20].copy_from_slice(&[0x01, 0xd6, 0x09]);
        let header = DeviceHeader::parse(&bytes).unwrap();
        assert_eq!((header.sequence, header.highest_cylinder), (1, 2518));
    }

    #[test]
    fn every_eyecatcher_reads_as_it_is_written() {
        for text in ["CKD_P370", "CKD_C370", "CKD_S370", "CKD_P064", "CKD_C064", "CKD_S064", "FBA_C370", "FBA_S064"] {
            let bytes: [u8; 8] = text.as_bytes().try_into().unwrap();
            assert_eq!(Eyecatcher::parse(bytes).unwrap().to_string(), text);
        }
        for text in ["CKD_X370", "CKD_P390", "VOL1IPL1", "\0\0\0\0\0\0\0\0"] {
            assert_eq!(Eyecatcher::parse(text.as_bytes().try_into().unwrap()), None);
        }
    }

    #[test]
    fn a_short_or_foreign_file_has_no_header() {
        assert_eq!(DeviceHeader::parse(&seen()[..511]), Err(DeviceHeaderError::Short { found: 511 }));
        assert_eq!(DeviceHeader::parse(&[0; 512]), Err(DeviceHeaderError::Eyecatcher));
    }
}
