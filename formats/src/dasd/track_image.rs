//! A unit as compressed images store it: five bytes in front, then the content, plain or as one compressed stream.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | compression in the low two bits: 0 none, 1 zlib, 2 bzip2 |
//! | 1 | 4, big-endian | cylinder and head of a track, or number of a block group |
//! | 5 | | R0 to end mark, or the group's sectors |
//!
//! Expanded, the first byte is zero, and a track is what its slot in a plain image begins with.

use bzip2::{Action, Compress, Decompress, Status};
use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};
use thiserror::Error;

/// Bytes in front of the content.
pub const IMAGE_HEADER_BYTES: usize = 5;
/// Sectors of a block group.
pub const GROUP_SECTORS: u32 = 120;
/// Bytes of a block group's content.
pub const GROUP_BYTES: usize = 61_440;
/// Images below this length are stored plain, as Hercules does.
const LEAST_COMPRESSED_BYTES: usize = 512;

/// Why an image can't be expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Not even the bytes in front.
    #[error("an image of {length} bytes is no image")]
    Short {
        /// Its length.
        length: usize,
    },
    /// A compression that does not exist.
    #[error("the image's compression is {code}, which is none")]
    Compression {
        /// Its code.
        code: u8,
    },
    /// The compressed stream is damaged.
    #[error("the {codec} stream is damaged")]
    Stream {
        /// What it is compressed with.
        codec: &'static str,
    },
    /// It would expand to more than the unit can have.
    #[error("the image expands to more than the {room} bytes that there can be")]
    Long {
        /// Bytes that the unit can have.
        room: usize,
    },
}

/// Expands images; kept by a thread to be used again.
pub struct Expander {
    zlib: Decompressor,
}

impl Default for Expander {
    fn default() -> Self {
        Self { zlib: Decompressor::new() }
    }
}

impl Expander {
    /// Expands an image into `out`, header bytes included, and gives the length.
    ///
    /// # Errors
    /// When the image is too short, damaged, or would be longer than `out`.
    pub fn expand(&mut self, image: &[u8], out: &mut [u8]) -> Result<usize, ImageError> {
        let room = out.len();
        let (Some((header, content)), Some((out_header, out_content))) =
            (image.split_first_chunk::<IMAGE_HEADER_BYTES>(), out.split_first_chunk_mut::<IMAGE_HEADER_BYTES>())
        else {
            return Err(ImageError::Short { length: image.len() });
        };
        *out_header = *header;
        out_header[0] = 0;
        let length = match header[0] & 3 {
            0 => {
                out_content.get_mut(..content.len()).ok_or(ImageError::Long { room })?.copy_from_slice(content);
                content.len()
            }
            1 => self.zlib.zlib_decompress(content, out_content).map_err(|error| match error {
                DecompressionError::BadData => ImageError::Stream { codec: "zlib" },
                DecompressionError::InsufficientSpace => ImageError::Long { room },
            })?,
            2 => expand_bzip2(content, out_content)?,
            code => return Err(ImageError::Compression { code }),
        };
        Ok(IMAGE_HEADER_BYTES + length)
    }
}

pub(crate) fn expand_bzip2(content: &[u8], out: &mut [u8]) -> Result<usize, ImageError> {
    let damaged = ImageError::Stream { codec: "bzip2" };
    let mut stream = Decompress::new(false);
    loop {
        let (read, written) = (position(stream.total_in()), position(stream.total_out()));
        let rest = out.get_mut(written..).unwrap_or_default();
        let full = rest.is_empty();
        let status = stream.decompress(content.get(read..).unwrap_or_default(), rest).map_err(|_| damaged)?;
        if status == Status::StreamEnd {
            return Ok(position(stream.total_out()));
        }
        // A stream that neither takes nor gives bytes is cut off, or has more to give than there is room for.
        if (position(stream.total_in()), position(stream.total_out())) == (read, written) {
            return Err(if full { ImageError::Long { room: IMAGE_HEADER_BYTES + out.len() } } else { damaged });
        }
    }
}

/// A count of bytes in a buffer, which an address space holds.
fn position(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// How new images are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Stored plain.
    None,
    /// zlib at a level of libdeflate, 1 to 12.
    Zlib {
        /// Higher is smaller and slower.
        level: u8,
    },
    /// bzip2. Its levels are block sizes, and the smallest block holds any unit.
    Bzip2,
}

/// Why a compression level can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{level} is no level of zlib compression (1 to 12)")]
pub struct LevelError {
    level: u8,
}

impl Compression {
    /// The compression's number in headers and images.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Zlib { .. } => 1,
            Self::Bzip2 => 2,
        }
    }
}

/// Makes images; kept by a thread to be used again.
pub struct Packer {
    codec: Codec,
}

enum Codec {
    None,
    Zlib(Compressor),
    Bzip2,
}

impl Packer {
    /// Makes a packer.
    ///
    /// # Errors
    /// When the level does not exist.
    pub fn new(compression: Compression) -> Result<Self, LevelError> {
        let codec = match compression {
            Compression::None => Codec::None,
            Compression::Zlib { level } => {
                let known = CompressionLvl::new(i32::from(level)).ok().filter(|_| level > 0);
                Codec::Zlib(Compressor::new(known.ok_or(LevelError { level })?))
            }
            Compression::Bzip2 => Codec::Bzip2,
        };
        Ok(Self { codec })
    }

    /// Appends the image of `unit`, which begins with its five header bytes, to `images` and gives the image's length.
    ///
    /// Short units, and those that compression does not make smaller, are stored plain.
    pub fn pack(&mut self, unit: &[u8], images: &mut Vec<u8>) -> usize {
        let start = images.len();
        images.extend_from_slice(unit);
        let Some((header, content)) = unit.split_first_chunk::<IMAGE_HEADER_BYTES>() else {
            return unit.len();
        };
        images[start] = 0;
        if unit.len() < LEAST_COMPRESSED_BYTES {
            return unit.len();
        }
        // One byte less than the content has: a stream that does not fit is not worth having.
        let room = content.len() - 1;
        let begin = start + header.len();
        let out = &mut images[begin..begin + room];
        let (code, length) = match &mut self.codec {
            Codec::None => return unit.len(),
            Codec::Zlib(compressor) => (1, compressor.zlib_compress(content, out).ok()),
            Codec::Bzip2 => (2, compress_bzip2(content, out)),
        };
        match length {
            Some(length) => {
                images[start] = code;
                images.truncate(begin + length);
                header.len() + length
            }
            None => {
                images[begin..].copy_from_slice(content);
                unit.len()
            }
        }
    }
}

/// Compresses into `out`; `None` if it does not fit.
fn compress_bzip2(content: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut stream = Compress::new(bzip2::Compression::fast(), 0);
    loop {
        let (read, written) = (position(stream.total_in()), position(stream.total_out()));
        let status = stream.compress(content.get(read..)?, out.get_mut(written..)?, Action::Finish).ok()?;
        if status == Status::StreamEnd {
            return Some(position(stream.total_out()));
        }
        if (position(stream.total_in()), position(stream.total_out())) == (read, written) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVERY: [Compression; 4] =
        [Compression::None, Compression::Zlib { level: 1 }, Compression::Zlib { level: 6 }, Compression::Bzip2];

    fn round_trip(unit: &[u8], compression: Compression) -> (u8, usize, Vec<u8>) {
        let mut images = vec![0x77];
        let length = Packer::new(compression).unwrap().pack(unit, &mut images);
        assert_eq!(images.len(), 1 + length);
        let mut out = vec![0xaa; unit.len()];
        let expanded = Expander::default().expand(&images[1..], &mut out).unwrap();
        assert_eq!(expanded, unit.len());
        (images[1], length, out)
    }

    #[test]
    fn a_compressible_unit_shrinks_and_a_short_one_is_stored() {
        let unit = vec![0; 4000];
        for compression in EVERY {
            let (code, length, out) = round_trip(&unit, compression);
            assert_eq!((code, out.as_slice()), (compression.number(), &unit[..]));
            assert!(length < 200 || compression == Compression::None);
            assert_eq!(round_trip(&unit[..511], compression).0, 0);
        }
    }

    #[test]
    fn a_unit_too_long_for_its_slot_is_refused_in_every_compression() {
        for compression in EVERY {
            let mut images = Vec::new();
            Packer::new(compression).unwrap().pack(&[0; 4000], &mut images);
            let error = Expander::default().expand(&images, &mut [0; 3999]).unwrap_err();
            assert_eq!(error, ImageError::Long { room: 3999 });
        }
    }

    #[test]
    fn levels_that_do_not_exist_are_refused() {
        assert!(Packer::new(Compression::Zlib { level: 0 }).is_err());
        assert!(Packer::new(Compression::Zlib { level: 13 }).is_err());
    }

    proptest! {
        #[test]
        fn every_unit_comes_back(bytes in prop::collection::vec(any::<u8>(), 5..3000), repeat in 1_usize..4) {
            let mut unit = bytes.repeat(repeat);
            unit[0] = 0;
            for compression in EVERY {
                prop_assert_eq!(&round_trip(&unit, compression).2, &unit);
            }
        }

        #[test]
        fn any_bytes_expand_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..300), code in 0_u8..4) {
            let mut image = bytes;
            if let Some(first) = image.first_mut() {
                *first = code;
            }
            let mut out = [0; 1000];
            if let Ok(length) = Expander::default().expand(&image, &mut out) {
                prop_assert!(length <= out.len());
            }
        }
    }
}
