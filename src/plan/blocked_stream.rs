//! A byte stream cut into tape blocks of one length, and where its bytes lie in an AWS image.
//!
//! Each block stands behind a six-byte chunk header, so byte s of the stream lies at
//! `data + s + 6 × (s / block + 1)`. Only the last block may be shorter. The previous-length fields are constants:
//! 0 for the first block, which follows a tape mark, and the block length for all others.

use tapegate_formats::tape::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};

/// A stream of `bytes` bytes that begins at tape offset `data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockedStream {
    /// Tape offset of the first block's chunk header.
    pub data: u64,
    /// Bytes of the stream.
    pub bytes: u64,
    /// Bytes of every block but the last.
    pub block_bytes: u16,
}

impl BlockedStream {
    /// Number of blocks.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.bytes.div_ceil(self.block())
    }

    /// Tape offset behind the last block.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.data + self.bytes + self.blocks() * u64::from(CHUNK_HEADER_BYTES)
    }

    /// Tape offset of byte `position` of the stream.
    #[must_use]
    pub fn place(&self, position: u64) -> u64 {
        self.data + position + (position / self.block() + 1) * u64::from(CHUNK_HEADER_BYTES)
    }

    /// Tape offset of the chunk header of block `block`, from 0.
    #[must_use]
    pub fn header_place(&self, block: u64) -> u64 {
        self.data + block * (self.block() + u64::from(CHUNK_HEADER_BYTES))
    }

    /// Bytes of block `block`, from 0; 0 behind the last.
    #[must_use]
    pub fn length_of(&self, block: u64) -> u16 {
        let left = self.bytes.saturating_sub(block * self.block());
        u16::try_from(left).map_or(self.block_bytes, |left| left.min(self.block_bytes))
    }

    /// The chunk header of block `block`, from 0.
    #[must_use]
    pub fn header(&self, block: u64) -> ChunkHeader {
        ChunkHeader::block(self.length_of(block), if block == 0 { 0 } else { self.block_bytes })
    }

    /// Length of the last block, which the tape mark behind it names; 0 for an empty stream.
    #[must_use]
    pub fn last_length(&self) -> u16 {
        self.blocks().checked_sub(1).map_or(0, |last| self.length_of(last))
    }

    fn block(&self) -> u64 {
        u64::from(self.block_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The model writes the blocks one after the other and looks where each byte came to lie.
        #[test]
        fn every_byte_lies_where_a_writer_in_order_puts_it(bytes in 0_u64..200, block_bytes in 1_u16..40, data in 0_u64..1000) {
            let stream = BlockedStream { data, bytes, block_bytes };
            let (mut at, mut position, mut previous) = (data, 0, 0);
            for block in 0..stream.blocks() {
                let length = (bytes - position).min(u64::from(block_bytes));
                prop_assert_eq!(stream.header_place(block), at);
                prop_assert_eq!(stream.header(block), ChunkHeader::block(u16::try_from(length).unwrap(), previous));
                at += 6;
                for _ in 0..length {
                    prop_assert_eq!(stream.place(position), at);
                    at += 1;
                    position += 1;
                }
                previous = u16::try_from(length).unwrap();
            }
            prop_assert_eq!(position, bytes);
            prop_assert_eq!(stream.end(), at);
            prop_assert_eq!(stream.last_length(), previous);
        }
    }
}
