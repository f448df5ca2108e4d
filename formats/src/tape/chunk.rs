//! The six bytes in front of every chunk of an AWS or HET image.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 2, little-endian | length of this chunk's data |
//! | 2 | 2, little-endian | length of the chunk before it; 0 at the beginning and after a tape mark |
//! | 4 | 1 | 80 first chunk of a block, 20 last, 40 tape mark; low two bits: HET compression |
//! | 5 | 1 | 80: Bus-Tech zlib |
//!
//! Source: the AWSTAPE format as Hercules 3.13 and Hyperion 4.9 write and read it.

use zerocopy::byteorder::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Length of the header.
pub const CHUNK_HEADER_BYTES: u32 = 6;
/// Flag of the first chunk of a block.
pub const FLAG_FIRST: u8 = 0x80;
/// Flag of a tape mark.
pub const FLAG_TAPE_MARK: u8 = 0x40;
/// Flag of the last chunk of a block.
pub const FLAG_LAST: u8 = 0x20;
/// The bits that name a HET compression.
pub const COMPRESSION_BITS: u8 = 0x03;
/// Second flag byte: compressed as Bus-Tech devices do.
pub const FLAG_BUS_TECH: u8 = 0x80;

/// The header of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ChunkHeader {
    /// Bytes of data that follow.
    pub length: U16,
    /// Bytes of data of the chunk before this one.
    pub previous_length: U16,
    /// `FLAG_*` and compression.
    pub flags: u8,
    /// `FLAG_BUS_TECH` or 0.
    pub more_flags: u8,
}

impl ChunkHeader {
    /// The header of an uncompressed block of `length` bytes in one chunk.
    #[must_use]
    pub const fn block(length: u16, previous_length: u16) -> Self {
        Self {
            length: U16::new(length),
            previous_length: U16::new(previous_length),
            flags: FLAG_FIRST | FLAG_LAST,
            more_flags: 0,
        }
    }

    /// A tape mark.
    #[must_use]
    pub const fn tape_mark(previous_length: u16) -> Self {
        Self { length: U16::ZERO, previous_length: U16::new(previous_length), flags: FLAG_TAPE_MARK, more_flags: 0 }
    }

    /// Whether this is a tape mark.
    #[must_use]
    pub const fn is_tape_mark(&self) -> bool {
        self.flags & FLAG_TAPE_MARK != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of the fact sheet, which Hercules `tapemap` read as written.
    #[test]
    fn headers_lie_as_hercules_writes_them() {
        assert_eq!(ChunkHeader::block(80, 0).as_bytes(), [0x50, 0, 0, 0, 0xa0, 0]);
        assert_eq!(ChunkHeader::tape_mark(80).as_bytes(), [0, 0, 0x50, 0, 0x40, 0]);
        assert_eq!(ChunkHeader::block(32_760, 4096).as_bytes(), [0xf8, 0x7f, 0, 0x10, 0xa0, 0]);
    }
}
