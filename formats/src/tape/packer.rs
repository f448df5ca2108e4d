//! Packs blocks for a HET image; the way back is [`super::block::Expander`].
//!
//! A block that would not get shorter is stored as it is. So what is stored of a block of one chunk (65,535 bytes at
//! most) fits one chunk too, and no block has to be cut.

use super::block::Method;
use super::chunk::{COMPRESSION_BITS, ChunkHeader, FLAG_FIRST, FLAG_LAST};

/// Level of zlib, from 1 (fast) to 12 (small): near the fast end, since a host's originals wait for the stream.
const ZLIB_LEVEL: i32 = 3;

/// Packs blocks, one after the other.
pub struct BlockPacker {
    stream: Stream,
}

enum Stream {
    Zlib(libdeflater::Compressor),
    Bzip2,
}

impl BlockPacker {
    /// Packs with zlib.
    #[must_use]
    pub fn zlib() -> Self {
        let level = libdeflater::CompressionLvl::new(ZLIB_LEVEL).unwrap_or_default();
        Self { stream: Stream::Zlib(libdeflater::Compressor::new(level)) }
    }

    /// Packs with bzip2, which is smaller and many times slower.
    #[must_use]
    pub const fn bzip2() -> Self {
        Self { stream: Stream::Bzip2 }
    }

    /// Appends a block to `out` as it is to be stored, which is never longer than the block; gives how it is stored.
    pub fn pack(&mut self, block: &[u8], out: &mut Vec<u8>) -> Method {
        let begin = out.len();
        // One byte less than the block: what does not fit did not shrink.
        out.resize(begin + block.len().saturating_sub(1), 0);
        let room = out.get_mut(begin..).unwrap_or_default();
        let (method, packed) = match &mut self.stream {
            Stream::Zlib(compressor) => (Method::Zlib, compressor.zlib_compress(block, room).ok()),
            Stream::Bzip2 => (Method::Bzip2, pack_bzip2(block, room)),
        };
        match packed {
            Some(length) => {
                out.truncate(begin + length);
                method
            }
            None => {
                out.truncate(begin);
                out.extend_from_slice(block);
                Method::Stored
            }
        }
    }
}

/// The length of the packed block; `None` if it is longer than the room for it.
fn pack_bzip2(block: &[u8], room: &mut [u8]) -> Option<usize> {
    // The fastest level has blocks of 100,000 bytes, and a longer one than that is never packed.
    let mut stream = bzip2::Compress::new(bzip2::Compression::fast(), 0);
    match stream.compress(block, room, bzip2::Action::Finish) {
        Ok(bzip2::Status::StreamEnd) => usize::try_from(stream.total_out()).ok(),
        _ => None,
    }
}

/// The header of a block that is stored in one chunk of `length` bytes.
#[must_use]
pub const fn block_header(method: Method, length: u16, previous_length: u16) -> ChunkHeader {
    let (bits, more_flags) = method.flags();
    ChunkHeader {
        flags: FLAG_FIRST | FLAG_LAST | bits & COMPRESSION_BITS,
        more_flags,
        ..ChunkHeader::block(length, previous_length)
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;
    use crate::tape::block::{ChunkChain, ChunkRole, Expander};

    fn packers() -> [(Method, BlockPacker); 2] {
        [(Method::Zlib, BlockPacker::zlib()), (Method::Bzip2, BlockPacker::bzip2())]
    }

    /// Bytes that don't shrink.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| byte()).collect()
    }

    #[test]
    fn packed_blocks_expand_to_what_they_were_and_are_never_longer() {
        let mut expander = Expander::new();
        for (packed_method, mut packer) in packers() {
            for length in [1, 2, 18, 80, 4096, 32_760, 65_535] {
                for (block, shrinks) in [(vec![0x40; length], length >= 80), (noise(length), false)] {
                    let mut out = b"before".to_vec();
                    let method = packer.pack(&block, &mut out);
                    let stored = out.strip_prefix(b"before").unwrap();
                    assert_eq!(method == packed_method, shrinks, "{method:?} {length}");
                    assert!(stored.len() < block.len() || method == Method::Stored && stored.len() == block.len());
                    assert!(expander.expand(method, stored).unwrap() == block, "{method:?} {length}");
                }
            }
        }
    }

    /// The flags of the fact sheet, section 2.
    #[test]
    fn headers_name_the_method() {
        assert_eq!(block_header(Method::Stored, 80, 0).as_bytes(), [0x50, 0, 0, 0, 0xa0, 0]);
        assert_eq!(block_header(Method::Zlib, 80, 7).as_bytes(), [0x50, 0, 7, 0, 0xa1, 0]);
        assert_eq!(block_header(Method::Bzip2, 80, 0).as_bytes(), [0x50, 0, 0, 0, 0xa2, 0]);
        for method in [Method::Stored, Method::Zlib, Method::Bzip2, Method::BusTech] {
            let chunk = ChunkChain::new().step(block_header(method, 1, 0)).unwrap();
            assert_eq!(chunk.role, ChunkRole::Last(method));
        }
    }
}
