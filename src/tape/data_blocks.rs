//! The data blocks of one file, and the encoded units that tapegate's own files hold.

use tapegate_formats::tape::unit::{UNIT_HEADER_BYTES, UnitHeader};

use super::error::{TapeDefect, TapeError};
use super::image::{BlockBuffer, ItemKind, Items, TapeImage};
use super::structure::TapeFile;

/// Reads the data blocks of a file in order.
pub struct DataBlocks<'a> {
    image: &'a TapeImage,
    items: Items<'a>,
    end: u64,
    buffer: BlockBuffer,
}

impl<'a> DataBlocks<'a> {
    /// Begins with the file's first data block.
    #[must_use]
    pub fn new(image: &'a TapeImage, file: &TapeFile) -> Self {
        Self { image, items: image.items_from(file.data_offset), end: file.data_end, buffer: BlockBuffer::new() }
    }

    /// Offset and data of the next block, `None` behind the last.
    ///
    /// # Errors
    /// When the block is damaged or the medium fails.
    pub fn next_block(&mut self) -> Result<Option<(u64, &[u8])>, TapeError> {
        if self.items.offset() >= self.end {
            return Ok(None);
        }
        let Some(item) = self.items.next().transpose()? else { return Ok(None) };
        match item.kind {
            ItemKind::TapeMark => Ok(None),
            ItemKind::Block { .. } => Ok(Some((item.offset, self.image.read_block(&item, &mut self.buffer)?))),
        }
    }
}

/// Reads the encoded units of a file in `tracks` form, each checked against its checksum.
pub struct UnitReader<'a> {
    blocks: DataBlocks<'a>,
    image: &'a TapeImage,
    block: Vec<u8>,
    /// How much of the block was taken.
    taken: usize,
    /// Offset of the block in the image.
    offset: u64,
    body: Vec<u8>,
}

impl<'a> UnitReader<'a> {
    /// Begins with the file's first unit.
    #[must_use]
    pub fn new(image: &'a TapeImage, file: &TapeFile) -> Self {
        let blocks = DataBlocks::new(image, file);
        Self { blocks, image, block: Vec::new(), taken: 0, offset: file.data_offset, body: Vec::new() }
    }

    /// Offset in the image of the block that the last unit ended in.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Header and body of the next unit, `None` behind the last.
    ///
    /// # Errors
    /// When there is no unit where one must be, its checksum fails, the data ends inside it, or the medium fails.
    pub fn next_unit(&mut self) -> Result<Option<(UnitHeader, &[u8])>, TapeError> {
        if !self.have_data()? {
            return Ok(None);
        }
        let begin = self.offset;
        let mut header = [0; UNIT_HEADER_BYTES as usize];
        self.fill(&mut header)?;
        let header = UnitHeader::parse(header).map_err(|defect| self.image.damaged(begin, defect))?;
        let mut body = std::mem::take(&mut self.body);
        body.resize(header.body_bytes as usize, 0);
        self.fill(&mut body)?;
        self.body = body;
        header.check(&self.body).map_err(|defect| self.image.damaged(begin, defect))?;
        Ok(Some((header, &self.body)))
    }

    /// Makes sure that there are bytes left in the block; false at the end of the data.
    fn have_data(&mut self) -> Result<bool, TapeError> {
        while self.taken == self.block.len() {
            let Some((offset, data)) = self.blocks.next_block()? else { return Ok(false) };
            self.block.clear();
            self.block.extend_from_slice(data);
            self.taken = 0;
            self.offset = offset;
        }
        Ok(true)
    }

    fn fill(&mut self, mut out: &mut [u8]) -> Result<(), TapeError> {
        while !out.is_empty() {
            if !self.have_data()? {
                return Err(self.image.damaged(self.offset, TapeDefect::EndInUnit));
            }
            let left = &self.block[self.taken..];
            let length = left.len().min(out.len());
            let (now, later) = out.split_at_mut(length);
            now.copy_from_slice(&left[..length]);
            self.taken += length;
            out = later;
        }
        Ok(())
    }
}
