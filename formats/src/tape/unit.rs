//! The encoded unit: what a tape file in `tracks` form is a stream of.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 4 | `TGU1` in EBCDIC |
//! | 4 | 4, big-endian | unit number on the volume: cylinder times heads plus head, or first block over blocks a unit |
//! | 8 | 1 | kind: 1 track, 2 raw slot, 3 fixed blocks |
//! | 9 | 3, big-endian | length of the body |
//! | 12 | 4, big-endian | CRC-32C of bytes 0 to 11 and the body |
//! | 16 | | body |
//!
//! A track's body is home address, R0 and records as on the disk, without an end mark. A raw slot is a whole slot as
//! it lies in the image, for a track that does not walk. The format is described for readers of other tools in
//! `formats/UNIT-CONTAINER.md`.

use thiserror::Error;
use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ebcdic;

/// Length of the header in front of the body.
pub const UNIT_HEADER_BYTES: u32 = 16;
/// First bytes of each encoded unit.
pub const UNIT_MAGIC: [u8; 4] = ebcdic::from_ascii(*b"TGU1");
/// Longest body: a slot of 64 KiB with a home address.
pub const LONGEST_BODY_BYTES: u32 = 65_541;

/// What a unit's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnitKind {
    /// Home address, R0 and records of a CKD track.
    Track,
    /// The whole slot of a CKD track whose records don't walk.
    RawSlot,
    /// A group of fixed blocks.
    Blocks,
}

impl UnitKind {
    const fn code(self) -> u8 {
        match self {
            Self::Track => 1,
            Self::RawSlot => 2,
            Self::Blocks => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Track),
            2 => Some(Self::RawSlot),
            3 => Some(Self::Blocks),
            _ => None,
        }
    }
}

/// The header of an encoded unit, as it lies on tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 4],
    unit: U32,
    /// Kind in the high byte, body length in the others.
    kind_and_length: U32,
    crc: U32,
}

/// A header that was read and makes sense; the body is still to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitHeader {
    /// Number of the unit on its volume.
    pub unit: u32,
    /// What the body is.
    pub kind: UnitKind,
    /// Length of the body.
    pub body_bytes: u32,
    crc: u32,
    first_crc: u32,
}

/// Why bytes are not an encoded unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnitError {
    /// The first bytes are not those of a unit.
    #[error("no unit header where one must be (found {found:08X})")]
    Magic {
        /// The first four bytes.
        found: u32,
    },
    /// A kind that this version does not know.
    #[error("unit {unit} has the unknown kind {kind}")]
    Kind {
        /// Number of the unit.
        unit: u32,
        /// The code found.
        kind: u8,
    },
    /// A body longer than any.
    #[error("unit {unit} claims a body of {body_bytes} bytes")]
    Length {
        /// Number of the unit.
        unit: u32,
        /// Length claimed.
        body_bytes: u32,
    },
    /// The body is not what was written.
    #[error("unit {unit} fails its checksum")]
    Checksum {
        /// Number of the unit.
        unit: u32,
    },
}

impl UnitHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// When magic, kind or length are none.
    pub fn parse(bytes: [u8; UNIT_HEADER_BYTES as usize]) -> Result<Self, UnitError> {
        let first_crc = crc32c::crc32c(&bytes[..12]);
        let raw: RawHeader = zerocopy::transmute!(bytes);
        if raw.magic != UNIT_MAGIC {
            return Err(UnitError::Magic { found: u32::from_be_bytes(raw.magic) });
        }
        let unit = raw.unit.get();
        let [code, length @ ..] = raw.kind_and_length.get().to_be_bytes();
        let kind = UnitKind::from_code(code).ok_or(UnitError::Kind { unit, kind: code })?;
        let body_bytes = u32::from_be_bytes([0, length[0], length[1], length[2]]);
        if body_bytes > LONGEST_BODY_BYTES {
            return Err(UnitError::Length { unit, body_bytes });
        }
        Ok(Self { unit, kind, body_bytes, crc: raw.crc.get(), first_crc })
    }

    /// Checks the body against the header's checksum.
    ///
    /// # Errors
    /// When the checksum or the length differs.
    pub fn check(&self, body: &[u8]) -> Result<(), UnitError> {
        if body.len() == self.body_bytes as usize && crc32c::crc32c_append(self.first_crc, body) == self.crc {
            Ok(())
        } else {
            Err(UnitError::Checksum { unit: self.unit })
        }
    }
}

/// Makes the header that stands in front of `body` on tape.
///
/// # Panics
/// When the body is longer than [`LONGEST_BODY_BYTES`], which no slot is.
#[must_use]
pub fn unit_header(unit: u32, kind: UnitKind, body: &[u8]) -> [u8; UNIT_HEADER_BYTES as usize] {
    assert!(body.len() <= LONGEST_BODY_BYTES as usize, "a unit's body is at most a slot");
    let [_, length @ ..] = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    let mut raw = RawHeader {
        magic: UNIT_MAGIC,
        unit: U32::new(unit),
        kind_and_length: U32::from_bytes([kind.code(), length[0], length[1], length[2]]),
        crc: U32::ZERO,
    };
    let first_crc = crc32c::crc32c(&raw.as_bytes()[..12]);
    raw.crc = U32::new(crc32c::crc32c_append(first_crc, body));
    zerocopy::transmute!(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_reads_back_as_it_was_written() {
        let body = b"home address, R0 and records";
        let header = UnitHeader::parse(unit_header(50_084, UnitKind::Track, body)).unwrap();
        assert_eq!((header.unit, header.kind, header.body_bytes), (50_084, UnitKind::Track, 28));
        assert_eq!(header.check(body), Ok(()));
    }

    /// The layout is published; the CRC was computed with Python's `crcmod` definition of CRC-32C.
    #[test]
    fn the_header_lies_as_published() {
        let header = unit_header(0x0102_0304, UnitKind::Blocks, &[]);
        assert_eq!(&header[..12], [0xe3, 0xc7, 0xe4, 0xf1, 1, 2, 3, 4, 3, 0, 0, 0]);
        assert_eq!(header[12..], crc32c::crc32c(&header[..12]).to_be_bytes());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let body = b"0123456789abcdef";
        let good = unit_header(7, UnitKind::Track, body);
        for bit in 0..128 {
            let mut header = good;
            header[bit / 8] ^= 1 << (bit % 8);
            assert!(UnitHeader::parse(header).and_then(|header| header.check(body)).is_err(), "bit {bit}");
        }
    }
}
