//! An opened AWS or HET image: blocks and tape marks in their order, and the blocks' data on demand.
//!
//! The chunk headers alone say where everything lies, so walking a tape reads only them, through a small window: a tape
//! of large blocks costs one short read a block, one of cards a few for hundreds.

use std::fs::File;
use std::io::{IoSliceMut, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tapegate_formats::tape::block::{ChainBreak, ChunkChain, ChunkRole, Expander, Method};
use tapegate_formats::tape::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use zerocopy::FromBytes;

use super::error::{TapeDefect, TapeError};
use super::looks::looks_like;

/// Bytes read ahead for headers.
const WINDOW_BYTES: usize = 4096;
/// Most slices that the kernel takes in one read (`IOV_MAX`).
const MOST_SLICES: usize = 1024;
const HEADER_BYTES: usize = CHUNK_HEADER_BYTES as usize;

/// A tape image, opened for reading.
#[derive(Debug)]
pub struct TapeImage {
    file: File,
    path: PathBuf,
    length: u64,
}

/// A block or a tape mark, and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapeItem {
    /// Offset of the first chunk's header.
    pub offset: u64,
    /// Offset behind the last chunk's data.
    pub end: u64,
    /// What it is.
    pub kind: ItemKind,
    /// The first chunk of it whose previous-length field is wrong.
    pub chain_break: Option<ChainBreak>,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// A block.
    Block {
        /// Bytes stored, chunk headers not counted; the block's length if it is not compressed.
        stored_bytes: u32,
        /// Chunks that it lies in.
        chunks: u32,
        /// How it is stored.
        method: Method,
    },
    /// A tape mark.
    TapeMark,
}

/// Where blocks are read into, again and again.
#[derive(Default)]
pub struct BlockBuffer {
    stored: Vec<u8>,
    expander: Expander,
}

impl BlockBuffer {
    /// Makes an empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl TapeImage {
    /// Opens a tape image and makes sure that it begins like one.
    ///
    /// # Errors
    /// When the file can't be read, or is something else.
    pub fn open(path: &Path) -> Result<Self, TapeError> {
        let mut file = File::open(path).map_err(|source| TapeError::io(path, "opening it", source))?;
        let length = file.seek(SeekFrom::End(0)).map_err(|source| TapeError::io(path, "finding its size", source))?;
        let image = Self { file, path: path.to_owned(), length };
        let mut start = [0; 512];
        let start = &mut start[..usize::try_from(length).map_or(512, |length| length.min(512))];
        image.read_at(0, start)?;
        match looks_like(start) {
            None => Ok(image),
            Some(looks_like) => Err(TapeError::NotATape { path: image.path, looks_like }),
        }
    }

    /// The image file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the image file when it was opened.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Reads bytes of the image as they are, chunk headers included.
    ///
    /// # Errors
    /// When they are not all there, or the medium fails.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), TapeError> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|source| TapeError::io(&self.path, format!("reading {} bytes at offset {offset}", buffer.len()), source))
    }

    /// Reads bytes of the image from `offset` on into slices, one behind the other.
    ///
    /// # Errors
    /// When they are not all there, or the medium fails.
    pub(crate) fn read_slices_at(&self, offset: u64, slices: &mut [IoSliceMut<'_>]) -> Result<(), TapeError> {
        let mut slices = slices;
        let mut at = offset;
        IoSliceMut::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let count = slices.len().min(MOST_SLICES);
            let read = match rustix::io::preadv(&self.file, &mut slices[..count], at) {
                Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => Ok(read),
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => Err(errno.into()),
            };
            let read = read.map_err(|source| TapeError::io(&self.path, format!("reading at offset {at}"), source))?;
            IoSliceMut::advance_slices(&mut slices, read);
            at += read as u64;
        }
        Ok(())
    }

    /// The blocks and tape marks from the beginning. After an error nothing more comes.
    #[must_use]
    pub fn items(&self) -> Items<'_> {
        self.items_from(0)
    }

    /// The blocks and tape marks from an offset, which must be the beginning of the tape or lie behind a tape mark.
    #[must_use]
    pub fn items_from(&self, offset: u64) -> Items<'_> {
        Items { image: self, chain: ChunkChain::new(), offset, window: Vec::new(), window_offset: 0, failed: false }
    }

    /// Reads the data of a block, expanded if it is compressed; of a tape mark, nothing.
    ///
    /// # Errors
    /// When the data does not expand, the file became shorter, or the medium fails.
    pub fn read_block<'a>(&self, item: &TapeItem, buffer: &'a mut BlockBuffer) -> Result<&'a [u8], TapeError> {
        let ItemKind::Block { stored_bytes, chunks, method } = item.kind else { return Ok(&[]) };
        let BlockBuffer { stored, expander } = buffer;
        let data = if chunks == 1 {
            stored.resize(stored_bytes as usize, 0);
            self.read_at(item.offset + u64::from(CHUNK_HEADER_BYTES), stored)?;
            &stored[..]
        } else {
            stored.resize(stored_bytes as usize + chunks as usize * HEADER_BYTES, 0);
            self.read_at(item.offset, stored)?;
            let length = strip_headers(stored);
            &stored[..length]
        };
        expander.expand(method, data).map_err(|defect| self.damaged(item.offset, defect))
    }

    /// An error of this tape at an offset.
    pub(super) fn damaged(&self, offset: u64, defect: impl Into<TapeDefect>) -> TapeError {
        TapeError::Damaged { path: self.path.clone(), offset, defect: defect.into() }
    }
}

/// Moves the data of chunks together and gives its length.
fn strip_headers(bytes: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some((header, rest)) = bytes.get(from..).and_then(|rest| ChunkHeader::read_from_prefix(rest).ok()) {
        let length = usize::from(header.length.get()).min(rest.len());
        from += HEADER_BYTES;
        bytes.copy_within(from..from + length, to);
        from += length;
        to += length;
    }
    to
}

/// Iterator over the blocks and tape marks of a [`TapeImage`].
pub struct Items<'a> {
    image: &'a TapeImage,
    chain: ChunkChain,
    offset: u64,
    window: Vec<u8>,
    window_offset: u64,
    failed: bool,
}

impl Items<'_> {
    /// Offset of the next item.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The chunk header at an offset, from the window or by a read.
    fn header_at(&mut self, offset: u64) -> Result<ChunkHeader, TapeError> {
        let left = self.image.length - offset;
        if left < u64::from(CHUNK_HEADER_BYTES) {
            return Err(self.image.damaged(offset, TapeDefect::EndInHeader { left }));
        }
        let in_window = |window: &[u8], start: u64| {
            let from = usize::try_from(offset.checked_sub(start)?).ok()?;
            Some(ChunkHeader::read_from_prefix(window.get(from..)?).ok()?.0)
        };
        if let Some(header) = in_window(&self.window, self.window_offset) {
            return Ok(header);
        }
        self.window.resize(usize::try_from(left).map_or(WINDOW_BYTES, |left| left.min(WINDOW_BYTES)), 0);
        self.window_offset = offset;
        if let Err(error) = self.image.read_at(offset, &mut self.window) {
            self.window.clear();
            return Err(error);
        }
        in_window(&self.window, offset).ok_or_else(|| self.image.damaged(offset, TapeDefect::EndInHeader { left }))
    }

    fn next_item(&mut self) -> Result<TapeItem, TapeError> {
        let offset = self.offset;
        let (mut end, mut stored_bytes, mut chunks, mut chain_break) = (offset, 0, 0, None);
        loop {
            if end == self.image.length {
                return Err(self.image.damaged(offset, TapeDefect::EndInBlock));
            }
            let header = self.header_at(end)?;
            let chunk = self.chain.step(header).map_err(|defect| self.image.damaged(end, defect))?;
            // The header is inside the file, so this can't overflow.
            let data = end + u64::from(CHUNK_HEADER_BYTES);
            let left = self.image.length - data;
            if u64::from(chunk.data_bytes) > left {
                return Err(self.image.damaged(end, TapeDefect::EndInChunk { wanted: chunk.data_bytes, left }));
            }
            end = data + u64::from(chunk.data_bytes);
            stored_bytes += u32::from(chunk.data_bytes);
            chunks += 1;
            chain_break = chain_break.or(chunk.chain_break);
            let kind = match chunk.role {
                ChunkRole::Part(_) => continue,
                ChunkRole::Last(method) => ItemKind::Block { stored_bytes, chunks, method },
                ChunkRole::TapeMark => ItemKind::TapeMark,
            };
            self.offset = end;
            return Ok(TapeItem { offset, end, kind, chain_break });
        }
    }
}

impl Iterator for Items<'_> {
    type Item = Result<TapeItem, TapeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.offset >= self.image.length {
            return None;
        }
        let item = self.next_item();
        self.failed = item.is_err();
        Some(item)
    }
}
