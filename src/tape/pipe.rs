//! A tape that goes into a pipe: an AWS image, written strictly in order.

use std::io::{self, Write};
use std::path::PathBuf;

use tapegate_formats::tape::chunk::ChunkHeader;
use zerocopy::IntoBytes;

use super::error::TapeError;

/// Writes blocks and tape marks in order; a stream is cut into blocks on the way.
pub struct PipeTape {
    out: Box<dyn Write + Send>,
    /// Length of the chunk that was written last; 0 after a tape mark.
    previous: u16,
    /// The block that is being filled from a stream.
    block: Vec<u8>,
    block_bytes: u16,
    written: u64,
}

impl std::fmt::Debug for PipeTape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipeTape").field("written", &self.written).finish_non_exhaustive()
    }
}

impl PipeTape {
    /// Begins a tape whose streams are cut into blocks of `block_bytes`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, block_bytes: u16) -> Self {
        Self { out, previous: 0, block: Vec::with_capacity(block_bytes.into()), block_bytes, written: 0 }
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Writes one block as it is.
    ///
    /// # Errors
    /// When nobody reads any more, the medium fails, or the block is longer than a chunk.
    pub fn write_block(&mut self, block: &[u8]) -> Result<(), TapeError> {
        let length = u16::try_from(block.len()).map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
        self.put(ChunkHeader::block(length, self.previous).as_bytes())?;
        self.put(block)?;
        self.previous = length;
        Ok(())
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

    /// Writes a tape mark.
    ///
    /// # Errors
    /// As [`write_block`](Self::write_block).
    pub fn write_tape_mark(&mut self) -> Result<(), TapeError> {
        self.put(ChunkHeader::tape_mark(self.previous).as_bytes())?;
        self.previous = 0;
        Ok(())
    }

    /// Ends the tape.
    ///
    /// # Errors
    /// When the last bytes can't be written.
    pub fn finish(mut self) -> Result<u64, TapeError> {
        self.out.flush().map_err(failed)?;
        Ok(self.written)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), TapeError> {
        self.out.write_all(bytes).map_err(failed)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

fn failed(source: io::Error) -> TapeError {
    TapeError::Io { path: PathBuf::from("standard output"), action: "writing the tape".to_owned(), source }
}
