//! A tape that is written strictly in order: as an AWS image into a pipe, or packed, as a HET image, into a file.
//!
//! A stream is cut into blocks of one length wherever its bytes come from. So whoever has a part of it and knows its
//! position can cut and pack the blocks that lie in it beforehand (see `packed_part.rs`); only the block that two
//! parts share is packed here.

use std::io::{self, Write};

use tapegate_formats::tape::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use tapegate_formats::tape::packer::{BlockPacker, block_header};
use zerocopy::IntoBytes;

use super::error::TapeError;
use super::in_order_file::InOrderFile;
use super::packed_part::{PackedBlock, PackedPart};
use super::read_back::GroupSum;

/// Where a tape goes in order.
pub enum Output {
    /// Into a pipe.
    Pipe(Box<dyn Write + Send>),
    /// Into a file that becomes a tape when it is complete.
    File(InOrderFile),
}

/// Writes blocks and tape marks in order; a stream is cut into blocks on the way.
pub struct InOrderTape {
    out: Output,
    packer: Option<BlockPacker>,
    /// Length of the chunk that was written last; 0 after a tape mark.
    previous: u16,
    /// The block that is being filled from a stream.
    block: Vec<u8>,
    block_bytes: u16,
    /// What is stored of the block that is written.
    stored: Vec<u8>,
    written: Written,
    /// What was written since the last tape mark.
    group: GroupSum,
}

/// How much was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the image.
    pub bytes: u64,
    /// Bytes that the image would have if no block were packed: what a plan says.
    pub plain_bytes: u64,
    /// What stands before each tape mark of a packed tape.
    pub groups: Vec<GroupSum>,
}

impl std::fmt::Debug for InOrderTape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InOrderTape").field("bytes", &self.written.bytes).finish_non_exhaustive()
    }
}

impl InOrderTape {
    /// Begins a tape whose streams are cut into blocks of `block_bytes`.
    #[must_use]
    pub fn new(out: Output, packer: Option<BlockPacker>, block_bytes: u16) -> Self {
        Self {
            out,
            packer,
            previous: 0,
            block: Vec::with_capacity(block_bytes.into()),
            block_bytes,
            stored: Vec::new(),
            written: Written::default(),
            group: GroupSum::default(),
        }
    }

    /// Bytes of the image so far: where what is written next will lie.
    #[must_use]
    pub const fn place(&self) -> u64 {
        self.written.bytes
    }

    /// Writes one block as it is, or packed if it shrinks.
    ///
    /// # Errors
    /// When nobody reads any more, the medium fails, or the block is longer than a chunk.
    pub fn write_block(&mut self, block: &[u8]) -> Result<(), TapeError> {
        let mut stored = std::mem::take(&mut self.stored);
        stored.clear();
        let packed = self.packer.as_mut().map(|packer| PackedBlock::of(packer, block, &mut stored));
        let written = match packed {
            None => self.put_block(&PackedBlock::plain(block), block),
            Some(packed) => self.put_block(&packed, &stored),
        };
        self.stored = stored;
        written
    }

    /// Takes the next bytes of a stream and writes the blocks that they complete.
    ///
    /// # Errors
    /// As [`write_block`](Self::write_block).
    pub fn write_stream(&mut self, mut bytes: &[u8]) -> Result<(), TapeError> {
        while !bytes.is_empty() {
            let room = usize::from(self.block_bytes) - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == usize::from(self.block_bytes) {
                self.flush_stream()?;
            }
        }
        Ok(())
    }

    /// Ends a stream: what is left becomes its last block.
    ///
    /// # Errors
    /// As [`write_block`](Self::write_block).
    pub fn flush_stream(&mut self) -> Result<(), TapeError> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        self.write_block(&block)?;
        self.block = block;
        self.block.clear();
        Ok(())
    }

    /// Takes a part of a stream, or blocks, that were packed beforehand.
    ///
    /// # Errors
    /// As [`write_block`](Self::write_block), and when the part was packed for another position of the stream.
    pub(crate) fn write_packed(&mut self, part: &PackedPart) -> Result<(), TapeError> {
        self.write_stream(part.head())?;
        if !self.block.is_empty() && part.has_blocks() {
            let reason = "blocks were packed for another place of their stream";
            return Err(self.failed(io::Error::new(io::ErrorKind::InvalidInput, reason)));
        }
        for (block, stored) in part.blocks() {
            self.put_block(block, stored)?;
        }
        self.write_stream(part.tail())
    }

    /// Writes a tape mark.
    ///
    /// # Errors
    /// As [`write_block`](Self::write_block).
    pub fn write_tape_mark(&mut self) -> Result<(), TapeError> {
        self.put(ChunkHeader::tape_mark(self.previous).as_bytes())?;
        self.written.plain_bytes += u64::from(CHUNK_HEADER_BYTES);
        self.previous = 0;
        let group = std::mem::replace(&mut self.group, GroupSum { offset: self.written.bytes, ..GroupSum::default() });
        if self.packer.is_some() {
            self.written.groups.push(group);
        }
        Ok(())
    }

    /// Ends the tape.
    ///
    /// # Errors
    /// When the last bytes can't be written.
    pub fn finish(mut self) -> Result<Written, TapeError> {
        match &mut self.out {
            Output::Pipe(pipe) => pipe.flush().map_err(pipe_failed)?,
            Output::File(file) => file.complete()?,
        }
        Ok(self.written)
    }

    fn put_block(&mut self, block: &PackedBlock, stored: &[u8]) -> Result<(), TapeError> {
        let length = u16::try_from(stored.len()).map_err(|_| self.failed(io::ErrorKind::InvalidInput.into()))?;
        self.put(block_header(block.method, length, self.previous).as_bytes())?;
        self.put(stored)?;
        self.previous = length;
        self.written.plain_bytes += u64::from(CHUNK_HEADER_BYTES + block.bytes);
        if self.packer.is_some() {
            self.group.add(block.bytes, block.sum);
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), TapeError> {
        match &mut self.out {
            Output::Pipe(pipe) => pipe.write_all(bytes).map_err(pipe_failed)?,
            Output::File(file) => file.write(bytes)?,
        }
        self.written.bytes += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> TapeError {
        match &self.out {
            Output::Pipe(_) => pipe_failed(source),
            Output::File(file) => TapeError::io(file.path(), "writing the tape", source),
        }
    }
}

fn pipe_failed(source: io::Error) -> TapeError {
    TapeError::io("standard output".as_ref(), "writing the tape", source)
}
