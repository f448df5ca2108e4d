//! A tape image under way whose places are not known beforehand: it is written from its beginning to its end.
//!
//! As in every [`PartialTape`], the chunk header of its first block is written last of all.

use std::path::Path;
use std::sync::Arc;

use tapegate_formats::tape::chunk::CHUNK_HEADER_BYTES;

use super::error::TapeError;
use super::partial::PartialTape;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;
const HELD_BYTES: usize = CHUNK_HEADER_BYTES as usize;

/// Writes the bytes of a tape image in order.
#[derive(Debug)]
pub struct InOrderFile {
    tape: Arc<PartialTape>,
    /// The first bytes of the image, which are held back.
    held: Vec<u8>,
    buffer: Vec<u8>,
    /// Where the buffer comes to lie.
    offset: u64,
}

impl InOrderFile {
    /// Begins at the beginning of an empty file.
    #[must_use]
    pub fn new(tape: Arc<PartialTape>) -> Self {
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Self { tape, held: Vec::with_capacity(HELD_BYTES), buffer, offset: CHUNK_HEADER_BYTES.into() }
    }

    /// Where the image lies until it has its name.
    pub(super) fn path(&self) -> &Path {
        self.tape.path()
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), TapeError> {
        if self.held.len() < HELD_BYTES {
            let (held, rest) = bytes.split_at(bytes.len().min(HELD_BYTES - self.held.len()));
            self.held.extend_from_slice(held);
            bytes = rest;
        }
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        // A chunk is shorter than the buffer.
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes all that is left, and what was held back.
    pub(super) fn complete(&mut self) -> Result<(), TapeError> {
        self.flush()?;
        self.tape.write(0, &self.held)
    }

    fn flush(&mut self) -> Result<(), TapeError> {
        self.tape.write_behind(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
