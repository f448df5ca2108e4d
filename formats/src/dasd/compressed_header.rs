//! The compressed device header: bytes 512 to 1023 of compressed image files.
//!
//! | field | 32-bit files | 64-bit files |
//! | --- | --- | --- |
//! | version, release, modification: 0, 3, 1 | 0, 3 bytes | same |
//! | options | 3, 1 byte | same |
//! | entries of the first-level table: units / 256, rounded up | 4, 4 bytes | same |
//! | entries of a second-level table: 256 | 8, 4 bytes | same |
//! | file size, bytes used, first free space, bytes free, largest free space, number of them, imbedded free bytes | 12, 4 bytes each | 16, 8 bytes each |
//! | cylinders, or sectors | 40, 4 bytes | 12, 4 bytes |
//! | null format | 44, 1 byte | 72 |
//! | compression of new images: 0 none, 1 zlib, 2 bzip2 | 45, 1 byte | 73 |
//! | its parameter, -1 for the default | 46, 2 bytes | 74 |
//! | zeros | to 511 | to 511 |
//!
//! Numbers are little-endian; with option 02 they are big-endian, and those of the tables too, but the number of
//! cylinders stays little-endian (so `cckdswap` leaves it). Source: files that Hercules
//! 3.13 (32 bits) and SDL Hyperion 4.9 (64 bits) wrote.

use binrw::io::Cursor;
use binrw::{BinRead, BinWrite, Endian};
use thiserror::Error;

use super::device_header::OffsetWidth;

/// Where the header begins in the file.
pub const COMPRESSED_HEADER_OFFSET: u64 = 512;
/// Length of the header.
pub const COMPRESSED_HEADER_BYTES: usize = 512;
/// Option: numbers are big-endian.
pub const OPTION_BIG_ENDIAN: u8 = 0x02;
/// Option: opened for writing since the last check. Images at rest have it too.
pub const OPTION_WRITTEN: u8 = 0x40;
/// Option: opened, and not closed yet.
pub const OPTION_OPENED: u8 = 0x80;

/// The fields of a compressed device header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompressedHeader {
    /// The option bits.
    pub options: u8,
    /// Entries of the first-level table.
    pub l1_entries: u32,
    /// Entries of a second-level table.
    pub l2_entries: u32,
    /// Cylinders; sectors on fixed-block volumes.
    pub cylinders: u32,
    /// File size in bytes, without a free chain behind the last image.
    pub size_bytes: u64,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Offset of the first free space; 0 if there is none.
    pub free_offset: u64,
    /// Bytes of all free spaces.
    pub free_bytes: u64,
    /// Bytes of the largest free space.
    pub largest_free_bytes: u64,
    /// Number of free spaces.
    pub free_spaces: u64,
    /// Bytes that images have been given beyond their length.
    pub imbedded_free_bytes: u64,
    /// Null format of units without a second-level table.
    pub null_format: u8,
    /// Compression for new images: 0 none, 1 zlib, 2 bzip2.
    pub compression: u8,
    /// Parameter of the compression; -1 for its default.
    pub parameter: i16,
}

/// Why bytes are no compressed device header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompressedHeaderError {
    /// Fewer than 512 bytes.
    #[error("the compressed header has {found} bytes of 512")]
    Short {
        /// Bytes there are.
        found: usize,
    },
    /// A version that is not known.
    #[error("version {}.{}.{} of the compressed format is not known (0.3.x is)", version[0], version[1], version[2])]
    Version {
        /// Version, release, modification.
        version: [u8; 3],
    },
    /// Second-level tables that don't have 256 entries.
    #[error("second-level tables of {found} entries (256 are known)")]
    SecondLevel {
        /// Entries claimed.
        found: u32,
    },
}

/// The 32-bit form.
#[derive(Debug, BinRead, BinWrite)]
struct Narrow {
    version: [u8; 3],
    options: u8,
    l1_entries: u32,
    l2_entries: u32,
    spaces: [u32; 7],
    #[brw(little)]
    cylinders: u32,
    null_format: u8,
    compression: u8,
    #[brw(pad_after = 464)]
    parameter: i16,
}

/// The 64-bit form.
#[derive(Debug, BinRead, BinWrite)]
struct Wide {
    version: [u8; 3],
    options: u8,
    l1_entries: u32,
    l2_entries: u32,
    #[brw(little)]
    cylinders: u32,
    spaces: [u64; 7],
    null_format: u8,
    compression: u8,
    #[brw(pad_after = 436)]
    parameter: i16,
}

const VERSION: [u8; 3] = [0, 3, 1];

impl CompressedHeader {
    /// Reads the header from the 512 bytes behind the device header.
    ///
    /// # Errors
    /// When they are fewer, or version or size of the second-level tables are not those that are known.
    pub fn parse(bytes: &[u8], width: OffsetWidth) -> Result<Self, CompressedHeaderError> {
        let short = CompressedHeaderError::Short { found: bytes.len() };
        let bytes = bytes.first_chunk::<COMPRESSED_HEADER_BYTES>().ok_or(short)?;
        let endian = if bytes[3] & OPTION_BIG_ENDIAN == 0 { Endian::Little } else { Endian::Big };
        let cursor = &mut Cursor::new(&bytes[..]);
        let raw = match width {
            OffsetWidth::Bits64 => Wide::read_options(cursor, endian, ()).map_err(|_| short)?,
            OffsetWidth::Bits32 => Wide::from(Narrow::read_options(cursor, endian, ()).map_err(|_| short)?),
        };
        if raw.version[..2] != VERSION[..2] {
            return Err(CompressedHeaderError::Version { version: raw.version });
        }
        if raw.l2_entries != 256 {
            return Err(CompressedHeaderError::SecondLevel { found: raw.l2_entries });
        }
        let [size, used, free_offset, free, largest, free_spaces, imbedded] = raw.spaces;
        Ok(Self {
            options: raw.options,
            l1_entries: raw.l1_entries,
            l2_entries: raw.l2_entries,
            cylinders: raw.cylinders,
            size_bytes: size,
            used_bytes: used,
            free_offset,
            free_bytes: free,
            largest_free_bytes: largest,
            free_spaces,
            imbedded_free_bytes: imbedded,
            null_format: raw.null_format,
            compression: raw.compression,
            parameter: raw.parameter,
        })
    }

    /// Whether the file's numbers are big-endian.
    #[must_use]
    pub const fn is_big_endian(&self) -> bool {
        self.options & OPTION_BIG_ENDIAN != 0
    }

    /// The header as it lies in a file; `None` if a size needs more bits than the file's offsets have.
    #[must_use]
    pub fn to_bytes(&self, width: OffsetWidth) -> Option<[u8; COMPRESSED_HEADER_BYTES]> {
        let raw = Wide {
            version: VERSION,
            options: self.options,
            l1_entries: self.l1_entries,
            l2_entries: self.l2_entries,
            cylinders: self.cylinders,
            spaces: [
                self.size_bytes,
                self.used_bytes,
                self.free_offset,
                self.free_bytes,
                self.largest_free_bytes,
                self.free_spaces,
                self.imbedded_free_bytes,
            ],
            null_format: self.null_format,
            compression: self.compression,
            parameter: self.parameter,
        };
        let endian = if self.is_big_endian() { Endian::Big } else { Endian::Little };
        let mut bytes = [0; COMPRESSED_HEADER_BYTES];
        let cursor = &mut Cursor::new(&mut bytes[..]);
        match width {
            OffsetWidth::Bits64 => raw.write_options(cursor, endian, ()).ok()?,
            OffsetWidth::Bits32 => raw.narrow()?.write_options(cursor, endian, ()).ok()?,
        }
        Some(bytes)
    }
}

impl From<Narrow> for Wide {
    fn from(narrow: Narrow) -> Self {
        Self {
            version: narrow.version,
            options: narrow.options,
            l1_entries: narrow.l1_entries,
            l2_entries: narrow.l2_entries,
            cylinders: narrow.cylinders,
            spaces: narrow.spaces.map(u64::from),
            null_format: narrow.null_format,
            compression: narrow.compression,
            parameter: narrow.parameter,
        }
    }
}

impl Wide {
    fn narrow(&self) -> Option<Narrow> {
        let mut spaces = [0; 7];
        for (narrow, wide) in spaces.iter_mut().zip(self.spaces) {
            *narrow = u32::try_from(wide).ok()?;
        }
        Some(Narrow {
            version: self.version,
            options: self.options,
            l1_entries: self.l1_entries,
            l2_entries: self.l2_entries,
            spaces,
            cylinders: self.cylinders,
            null_format: self.null_format,
            compression: self.compression,
            parameter: self.parameter,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(hex: &str) -> Vec<u8> {
        let digits: String = hex.split_whitespace().collect();
        let mut bytes: Vec<u8> =
            (0..digits.len() / 2).map(|n| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).unwrap()).collect();
        bytes.resize(512, 0);
        bytes
    }

    /// A 3350 as `dasdinit -z` of Hercules 3.13 made it.
    const NARROW: &str = "000301 41 42000000 00010000 6c6f0000 6c6f0000 00000000 00000000 00000000 00000000 00000000
        2b020000 01 01 ffff";
    /// A 3330 of SDL Hyperion 4.
    const WIDE: &str = "000301 40 1f000000 00010000 9b010000 4e16000000000000 4e16000000000000 0000000000000000
        0000000000000000 0000000000000000 0000000000000000 0000000000000000 01 01 ffff";

    #[test]
    fn a_32_bit_header_of_hercules_reads_and_writes_back() {
        let header = CompressedHeader::parse(&padded(NARROW), OffsetWidth::Bits32).unwrap();
        assert_eq!((header.l1_entries, header.cylinders, header.size_bytes), (66, 555, 0x6f6c));
        assert_eq!((header.null_format, header.compression, header.parameter), (1, 1, -1));
        assert_eq!(header.to_bytes(OffsetWidth::Bits32).unwrap()[..], padded(NARROW));
    }

    #[test]
    fn a_64_bit_header_of_hyperion_reads_and_writes_back() {
        let header = CompressedHeader::parse(&padded(WIDE), OffsetWidth::Bits64).unwrap();
        assert_eq!((header.l1_entries, header.cylinders, header.used_bytes), (31, 411, 0x164e));
        assert_eq!((header.null_format, header.compression, header.parameter), (1, 1, -1));
        assert_eq!(header.to_bytes(OffsetWidth::Bits64).unwrap()[..], padded(WIDE));
    }

    #[test]
    fn a_big_endian_header_reads_alike() {
        let little = CompressedHeader::parse(&padded(NARROW), OffsetWidth::Bits32).unwrap();
        let mut bytes = padded("000301 43 00000042 00000100 00006f6c 00006f6c");
        bytes[40..48].copy_from_slice(&[0x2b, 2, 0, 0, 1, 1, 0xff, 0xff]);
        let big = CompressedHeader::parse(&bytes, OffsetWidth::Bits32).unwrap();
        assert_eq!(big, CompressedHeader { options: 0x43, ..little });
        assert_eq!(big.to_bytes(OffsetWidth::Bits32).unwrap()[..], bytes);
    }

    #[test]
    fn sizes_beyond_4_gib_have_no_32_bit_header() {
        let header = CompressedHeader { size_bytes: 1 << 32, l2_entries: 256, ..CompressedHeader::default() };
        assert_eq!(header.to_bytes(OffsetWidth::Bits32), None);
        assert!(header.to_bytes(OffsetWidth::Bits64).is_some());
    }

    #[test]
    fn an_unknown_version_is_refused() {
        let mut bytes = padded(NARROW);
        bytes[1] = 4;
        let error = CompressedHeader::parse(&bytes, OffsetWidth::Bits32).unwrap_err();
        assert_eq!(error.to_string(), "version 0.4.1 of the compressed format is not known (0.3.x is)");
        assert!(CompressedHeader::parse(&bytes[..100], OffsetWidth::Bits64).is_err());
    }
}
