//! The data of a tape file as a stream that can be read at any position.
//!
//! A file of whole tape blocks of one length, as tapegate writes them, is read in place: the chunk headers between the
//! blocks go into slices of their own, so that nothing is moved. Any other file (the tape was compressed or cut anew by
//! another tool) is first unpacked into a nameless file.

use std::fs::File;
use std::io::{BufWriter, IoSliceMut, Write};
use std::os::unix::fs::FileExt;

use tapegate_formats::tape::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use zerocopy::FromBytes;

use super::error::RestoreError;
use crate::plan::BlockedStream;
use crate::tape::{BlockBuffer, ItemKind, TapeError, TapeFile, TapeImage};

/// The stream of one tape file.
#[derive(Debug)]
pub(crate) struct FileStream<'a> {
    image: &'a TapeImage,
    number: u32,
    bytes: u64,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    InPlace(BlockedStream),
    Unpacked(File),
}

impl<'a> FileStream<'a> {
    /// Opens the data of a file whose blocks, but the last, should have `block_bytes`.
    ///
    /// # Errors
    /// When the file must be unpacked, and that fails.
    pub(crate) fn open(image: &'a TapeImage, file: &TapeFile, block_bytes: u16) -> Result<Self, RestoreError> {
        let stream = BlockedStream { data: file.data_offset, bytes: file.bytes, block_bytes: block_bytes.max(1) };
        let in_place = file.bytes == file.stored_bytes && stream.blocks() == file.blocks && stream.end() == file.data_end;
        let layout = if in_place { Layout::InPlace(stream) } else { Layout::Unpacked(unpack(image, file)?) };
        Ok(Self { image, number: file.number, bytes: file.bytes, layout })
    }

    /// Bytes of the stream.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of the file on the tape.
    pub(crate) const fn number(&self) -> u32 {
        self.number
    }

    /// Fills `buffer` from `position` on.
    ///
    /// # Errors
    /// When the stream ends before, the medium fails, or a chunk header is not what it was when the tape was read first.
    pub(crate) fn read_exact_at(&self, position: u64, buffer: &mut [u8]) -> Result<(), RestoreError> {
        let past_end = position.checked_add(buffer.len() as u64).is_none_or(|end| end > self.bytes);
        if past_end {
            let reason =
                format!("file {} ends before offset {} of its data", self.number, position.saturating_add(buffer.len() as u64));
            return Err(RestoreError::Inconsistent { tape: self.image.path().to_owned(), reason });
        }
        match &self.layout {
            Layout::InPlace(stream) => self.read_in_place(stream, position, buffer),
            Layout::Unpacked(file) => Ok(file
                .read_exact_at(buffer, position)
                .map_err(|source| TapeError::io(self.image.path(), "reading the unpacked file", source))?),
        }
    }

    fn read_in_place(&self, stream: &BlockedStream, position: u64, buffer: &mut [u8]) -> Result<(), RestoreError> {
        let block = u64::from(stream.block_bytes);
        let end = position + buffer.len() as u64;
        let first_border = position / block + 1;
        let borders = end.div_ceil(block).saturating_sub(first_border);
        // As many as the buffer has blocks.
        let mut headers = vec![[0; CHUNK_HEADER_BYTES as usize]; usize::try_from(borders).unwrap_or(0)];
        let mut slices = Vec::with_capacity(2 * headers.len() + 1);
        let (mut rest, mut at) = (&mut *buffer, position);
        for (header, border) in headers.iter_mut().zip(first_border..) {
            let (now, later) = rest.split_at_mut(usize::try_from(border * block - at).unwrap_or(0));
            slices.push(IoSliceMut::new(now));
            slices.push(IoSliceMut::new(header));
            (rest, at) = (later, border * block);
        }
        slices.push(IoSliceMut::new(rest));
        self.image.read_slices_at(stream.place(position), &mut slices)?;
        for (header, block) in headers.iter().zip(first_border..) {
            if ChunkHeader::read_from_bytes(header).ok() != Some(stream.header(block)) {
                let place = stream.header_place(block);
                let reason =
                    format!("the chunk header at offset {place} is not the one of block {block} of file {}", self.number);
                return Err(RestoreError::Inconsistent { tape: self.image.path().to_owned(), reason });
            }
        }
        Ok(())
    }
}

/// Writes the data of a file into a nameless file beside the system's other temporary ones.
fn unpack(image: &TapeImage, file: &TapeFile) -> Result<File, RestoreError> {
    let failed = |source| TapeError::io(image.path(), "unpacking it into a temporary file", source);
    let mut out = BufWriter::with_capacity(1 << 20, tempfile::tempfile().map_err(failed)?);
    let mut buffer = BlockBuffer::new();
    for item in image.items_from(file.data_offset) {
        let item = item?;
        if item.kind == ItemKind::TapeMark {
            break;
        }
        out.write_all(image.read_block(&item, &mut buffer)?).map_err(failed)?;
    }
    Ok(out.into_inner().map_err(|error| failed(error.into_error()))?)
}
