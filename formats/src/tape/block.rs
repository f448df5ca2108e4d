//! Blocks of AWS and HET images: how chunks make them, and how HET packs them.
//!
//! A block is one chunk or several; the first and the last carry a flag each. HET compresses a whole block and then
//! cuts it into chunks, all with the same method; a block that does not shrink is stored plain, so both kinds mix in
//! one file. The expanded length is recorded nowhere: it is found by expanding, up to the 2 MiB that no writer
//! passes. What is checked here is what Hercules' reader insists on, and the previous-length fields, which it does
//! not look at until it goes backwards.

use std::io::Read;

use thiserror::Error;

use super::chunk::{COMPRESSION_BITS, ChunkHeader, FLAG_BUS_TECH, FLAG_FIRST, FLAG_LAST, FLAG_TAPE_MARK};

/// Longest block, expanded or stored: what Hyperion's tools write and read.
pub const LONGEST_BLOCK_BYTES: u32 = 2 << 20;

/// How a block is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// As it is.
    Stored,
    /// HET, a zlib stream.
    Zlib,
    /// HET, a bzip2 stream.
    Bzip2,
    /// As Bus-Tech devices write it, a zlib stream.
    BusTech,
}

impl Method {
    /// The compression bits of the first flag byte, and the second flag byte.
    #[must_use]
    pub const fn flags(self) -> (u8, u8) {
        match self {
            Self::Stored => (0, 0),
            Self::Zlib => (1, 0),
            Self::Bzip2 => (2, 0),
            Self::BusTech => (0, FLAG_BUS_TECH),
        }
    }
}

/// Why a chunk can't stand where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChunkDefect {
    /// Flags that no writer sets.
    #[error("not a chunk header (flags {flags:02X} {more_flags:02X})")]
    Flags {
        /// First flag byte.
        flags: u8,
        /// Second flag byte.
        more_flags: u8,
    },
    /// A tape mark has no data.
    #[error("a tape mark with {length} bytes of data")]
    TapeMarkLength {
        /// Its length field.
        length: u16,
    },
    /// A tape mark before the block in front of it has its last chunk.
    #[error("a tape mark inside a block")]
    TapeMarkInBlock,
    /// A chunk without data.
    #[error("a chunk of length 0")]
    Empty,
    /// A block whose first chunk is missing.
    #[error("a block that does not begin with a first chunk")]
    NotFirst,
    /// A second first chunk in a block.
    #[error("a block begins inside another")]
    FirstInBlock,
    /// Chunks of one block with different methods.
    #[error("the compression method changes inside a block")]
    MethodChanged,
    /// A block longer than any.
    #[error("a block of more than {LONGEST_BLOCK_BYTES} bytes")]
    BlockTooLong,
}

/// A previous-length field that does not give the length of the chunk before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainBreak {
    /// What the field says.
    pub found: u16,
    /// The length of the chunk before, 0 after a tape mark and at the beginning.
    pub expected: u16,
}

/// What a chunk is, in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Bytes of data behind the header.
    pub data_bytes: u16,
    /// What it does.
    pub role: ChunkRole,
    /// Set when the chunk does not follow the one before it.
    pub chain_break: Option<ChainBreak>,
}

/// What a chunk does for its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkRole {
    /// A tape mark; it belongs to no block.
    TapeMark,
    /// A block goes on behind it.
    Part(Method),
    /// Its block is whole.
    Last(Method),
}

/// Follows the chunks of an image and says what each one is.
#[derive(Debug, Clone, Default)]
pub struct ChunkChain {
    previous_length: u16,
    /// Method and bytes so far of the block that is open.
    block: Option<(Method, u32)>,
}

impl ChunkChain {
    /// Starts at the beginning of an image, or behind a tape mark.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a block has begun and not ended.
    #[must_use]
    pub const fn in_block(&self) -> bool {
        self.block.is_some()
    }

    /// Takes the next header.
    ///
    /// # Errors
    /// When no chunk can be like this, or not in this place. The chain can't go on then: what follows can't be found.
    pub fn step(&mut self, header: ChunkHeader) -> Result<Chunk, ChunkDefect> {
        let length = header.length.get();
        let found = header.previous_length.get();
        let expected = self.previous_length;
        let chain_break = (found != expected).then_some(ChainBreak { found, expected });
        let method = method(header)?;
        if header.is_tape_mark() {
            if length != 0 {
                return Err(ChunkDefect::TapeMarkLength { length });
            }
            if self.in_block() {
                return Err(ChunkDefect::TapeMarkInBlock);
            }
            self.previous_length = 0;
            return Ok(Chunk { data_bytes: 0, role: ChunkRole::TapeMark, chain_break });
        }
        if length == 0 {
            return Err(ChunkDefect::Empty);
        }
        let before = match (self.block, header.flags & FLAG_FIRST != 0) {
            (None, true) => 0,
            (None, false) => return Err(ChunkDefect::NotFirst),
            (Some(_), true) => return Err(ChunkDefect::FirstInBlock),
            (Some((open, _)), false) if open != method => return Err(ChunkDefect::MethodChanged),
            (Some((_, bytes)), false) => bytes,
        };
        let bytes = before + u32::from(length);
        if bytes > LONGEST_BLOCK_BYTES {
            return Err(ChunkDefect::BlockTooLong);
        }
        self.previous_length = length;
        let last = header.flags & FLAG_LAST != 0;
        self.block = (!last).then_some((method, bytes));
        let role = if last { ChunkRole::Last(method) } else { ChunkRole::Part(method) };
        Ok(Chunk { data_bytes: length, role, chain_break })
    }
}

/// Reads the flags: which method, and nothing unknown.
const fn method(header: ChunkHeader) -> Result<Method, ChunkDefect> {
    let ChunkHeader { flags, more_flags, .. } = header;
    let known = FLAG_FIRST | FLAG_TAPE_MARK | FLAG_LAST | COMPRESSION_BITS;
    match (flags & COMPRESSION_BITS, more_flags & FLAG_BUS_TECH != 0) {
        _ if flags & !known != 0 => Err(ChunkDefect::Flags { flags, more_flags }),
        (0, false) => Ok(Method::Stored),
        (0, true) => Ok(Method::BusTech),
        (1, false) => Ok(Method::Zlib),
        (2, false) => Ok(Method::Bzip2),
        _ => Err(ChunkDefect::Flags { flags, more_flags }),
    }
}

/// Why a compressed block can't be expanded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExpandError {
    /// The data is not a whole stream of its method.
    #[error("the compressed data is damaged: {reason}")]
    Damaged {
        /// What the expander said.
        reason: String,
    },
    /// The stream is whole and holds nothing, which no block does.
    #[error("the compressed data is empty")]
    Empty,
    /// The block would be longer than any.
    #[error("the block expands to more than {LONGEST_BLOCK_BYTES} bytes")]
    TooLong,
}

/// Expands blocks, one after the other, in a buffer of its own.
pub struct Expander {
    zlib: libdeflater::Decompressor,
    buffer: Vec<u8>,
}

impl Default for Expander {
    fn default() -> Self {
        Self::new()
    }
}

impl Expander {
    /// Makes an expander; its buffer grows with the blocks.
    #[must_use]
    pub fn new() -> Self {
        Self { zlib: libdeflater::Decompressor::new(), buffer: Vec::new() }
    }

    /// Expands a block. A stored one is given back as it is.
    ///
    /// # Errors
    /// When the data is no stream of that method, holds nothing, or more than [`LONGEST_BLOCK_BYTES`].
    pub fn expand<'a>(&'a mut self, method: Method, stored: &'a [u8]) -> Result<&'a [u8], ExpandError> {
        let length = match method {
            Method::Stored => return Ok(stored),
            Method::Zlib | Method::BusTech => self.expand_zlib(stored)?,
            Method::Bzip2 => self.expand_bzip2(stored)?,
        };
        if length == 0 {
            return Err(ExpandError::Empty);
        }
        self.buffer.get(..length).ok_or(ExpandError::TooLong)
    }

    /// Tries with the buffer at hand and doubles it while that is too small.
    fn expand_zlib(&mut self, stored: &[u8]) -> Result<usize, ExpandError> {
        const LONGEST: usize = LONGEST_BLOCK_BYTES as usize;
        if self.buffer.is_empty() {
            self.buffer.resize(0x1_0000, 0);
        }
        loop {
            match self.zlib.zlib_decompress(stored, &mut self.buffer) {
                Ok(length) => return Ok(length),
                Err(libdeflater::DecompressionError::InsufficientSpace) if self.buffer.len() < LONGEST => {
                    self.buffer.resize((self.buffer.len() * 2).min(LONGEST), 0);
                }
                Err(libdeflater::DecompressionError::InsufficientSpace) => return Err(ExpandError::TooLong),
                Err(error) => return Err(ExpandError::Damaged { reason: error.to_string() }),
            }
        }
    }

    fn expand_bzip2(&mut self, stored: &[u8]) -> Result<usize, ExpandError> {
        self.buffer.clear();
        let mut stream = bzip2::read::BzDecoder::new(stored).take(u64::from(LONGEST_BLOCK_BYTES) + 1);
        let length = stream.read_to_end(&mut self.buffer).map_err(|error| ExpandError::Damaged { reason: error.to_string() })?;
        if length > LONGEST_BLOCK_BYTES as usize { Err(ExpandError::TooLong) } else { Ok(length) }
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromBytes;

    use super::*;

    fn walk(headers: &[[u8; 6]]) -> Result<Vec<Chunk>, ChunkDefect> {
        let mut chain = ChunkChain::new();
        headers.iter().map(|bytes| chain.step(ChunkHeader::read_from_bytes(bytes).unwrap())).collect()
    }

    /// The fact sheet's worked example, which both maps of Hercules read as two files, the second with one block.
    #[test]
    fn a_block_of_two_chunks_ends_with_the_second() {
        let chunks = walk(&[
            [0x50, 0, 0, 0, 0xa0, 0],
            [0, 0, 0x50, 0, 0x40, 0],
            [0, 0x10, 0, 0, 0x80, 0],
            [0x64, 0, 0, 0x10, 0x20, 0],
            [0, 0, 0x64, 0, 0x40, 0],
            [0, 0, 0, 0, 0x40, 0],
        ])
        .unwrap();
        let roles: Vec<_> = chunks.iter().map(|chunk| chunk.role).collect();
        let (part, last) = (ChunkRole::Part(Method::Stored), ChunkRole::Last(Method::Stored));
        assert_eq!(roles, [last, ChunkRole::TapeMark, part, last, ChunkRole::TapeMark, ChunkRole::TapeMark]);
        assert!(chunks.iter().all(|chunk| chunk.chain_break.is_none()));
    }

    #[test]
    fn a_wrong_previous_length_is_told_and_passed() {
        let chunks = walk(&[[0x50, 0, 0, 0, 0xa0, 0], [0x50, 0, 0x51, 0, 0xa0, 0], [0, 0, 0x50, 0, 0x40, 0]]).unwrap();
        assert_eq!(chunks[1].chain_break, Some(ChainBreak { found: 0x51, expected: 0x50 }));
        assert_eq!((chunks[0].chain_break, chunks[2].chain_break), (None, None));
    }

    /// The reader errors of the fact sheet, section 2.
    #[test]
    fn chunks_out_of_place_are_refused() {
        let first = [0x50, 0, 0, 0, 0x81, 0];
        for (second, defect) in [
            ([0x50, 0, 0x50, 0, 0x80, 0], ChunkDefect::FirstInBlock),
            ([0x50, 0, 0x50, 0, 0x22, 0], ChunkDefect::MethodChanged),
            ([0, 0, 0x50, 0, 0x40, 0], ChunkDefect::TapeMarkInBlock),
            ([0, 0, 0x50, 0, 0x21, 0], ChunkDefect::Empty),
            ([1, 0, 0x50, 0, 0x40, 0], ChunkDefect::TapeMarkLength { length: 1 }),
            ([1, 0, 0x50, 0, 0x23, 0], ChunkDefect::Flags { flags: 0x23, more_flags: 0 }),
            ([1, 0, 0x50, 0, 0x21, 0x80], ChunkDefect::Flags { flags: 0x21, more_flags: 0x80 }),
            ([1, 0, 0x50, 0, 0x31, 0], ChunkDefect::Flags { flags: 0x31, more_flags: 0 }),
        ] {
            assert_eq!(walk(&[first, second]), Err(defect), "{second:02X?}");
        }
        assert_eq!(walk(&[[0x50, 0, 0, 0, 0x20, 0]]), Err(ChunkDefect::NotFirst));
        let mut chain = ChunkChain::new();
        assert_eq!(
            chain.step(ChunkHeader::read_from_bytes(&[1, 0, 0, 0, 0xa0, 0x80]).unwrap()).unwrap().role,
            ChunkRole::Last(Method::BusTech)
        );
    }

    #[test]
    fn a_block_of_endless_chunks_is_refused_at_two_mebibytes() {
        let mut headers = vec![[0xff, 0xff, 0, 0, 0x80, 0]];
        headers.resize(33, [0xff, 0xff, 0, 0, 0, 0]);
        assert_eq!(walk(&headers), Err(ChunkDefect::BlockTooLong));
        assert!(walk(&headers[..32]).is_ok());
    }

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut compressor = libdeflater::Compressor::default();
        let mut packed = vec![0; compressor.zlib_compress_bound(data.len())];
        let length = compressor.zlib_compress(data, &mut packed).unwrap();
        packed.truncate(length);
        packed
    }

    fn bzip2(data: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        bzip2::read::BzEncoder::new(data, bzip2::Compression::fast()).read_to_end(&mut packed).unwrap();
        packed
    }

    #[test]
    fn blocks_expand_to_what_they_were() {
        let mut expander = Expander::new();
        for length in [1_usize, 80, 65_535, 65_537, LONGEST_BLOCK_BYTES as usize] {
            // Long runs: bzip2 is slow at sorting anything else that repeats.
            let block: Vec<u8> = (0..length).map(|at| (at / 999).to_le_bytes()[0]).collect();
            for (method, packed) in
                [(Method::Zlib, zlib(&block)), (Method::BusTech, zlib(&block)), (Method::Bzip2, bzip2(&block))]
            {
                assert!(expander.expand(method, &packed).unwrap() == block, "{method:?} {length}");
            }
        }
    }

    #[test]
    fn a_block_that_expands_without_end_is_refused() {
        let bomb = vec![0; LONGEST_BLOCK_BYTES as usize + 1];
        let mut expander = Expander::new();
        assert_eq!(expander.expand(Method::Zlib, &zlib(&bomb)), Err(ExpandError::TooLong));
        assert_eq!(expander.expand(Method::Bzip2, &bzip2(&bomb)), Err(ExpandError::TooLong));
        assert_eq!(expander.expand(Method::Zlib, &zlib(&[])), Err(ExpandError::Empty));
    }

    #[test]
    fn cut_and_flipped_data_is_refused() {
        let block = b"a block of some length, a block of some length, and its end";
        for (method, packed) in [(Method::Zlib, zlib(block)), (Method::Bzip2, bzip2(block))] {
            let mut expander = Expander::new();
            for cut in 0..packed.len() {
                assert!(expander.expand(method, &packed[..cut]).is_err(), "{method:?} cut at {cut}");
            }
            for bit in 0..packed.len() * 8 {
                let mut flipped = packed.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                if let Ok(data) = expander.expand(method, &flipped) {
                    // Bits that say nothing about the data: zlib's level, bzip2's block size and padding.
                    assert_eq!(data, block, "{method:?} bit {bit}");
                }
            }
        }
    }
}
