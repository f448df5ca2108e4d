//! A part of a tape that is packed before its turn to be written comes, so that many can be packed at once.
//!
//! A part of a stream begins and ends where it wants; blocks begin at multiples of their length. The bytes before the
//! first border and behind the last one belong to blocks that the parts beside have a share of: they go along unpacked.

use std::ops::Range;

use tapegate_formats::tape::block::Method;
use tapegate_formats::tape::packer::BlockPacker;

/// A block that is ready to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedBlock {
    /// How it is stored.
    pub(super) method: Method,
    /// Its bytes, expanded.
    pub(super) bytes: u32,
    /// CRC-32C of them; 0 on a tape that is not read back.
    pub(super) sum: u32,
}

impl PackedBlock {
    /// A block that is stored as it is.
    pub(super) fn plain(block: &[u8]) -> Self {
        // What is longer than a chunk is refused by whoever writes it.
        let bytes = u32::try_from(block.len()).unwrap_or(u32::MAX);
        Self { method: Method::Stored, bytes, sum: 0 }
    }

    /// Packs a block; what is to be stored of it is appended to `stored`.
    pub(super) fn of(packer: &mut BlockPacker, block: &[u8], stored: &mut Vec<u8>) -> Self {
        Self { method: packer.pack(block, stored), sum: crc32c::crc32c(block), ..Self::plain(block) }
    }
}

/// A part of a tape that was packed.
#[derive(Debug, Default)]
pub(crate) struct PackedPart {
    head: Vec<u8>,
    blocks: Vec<(PackedBlock, Range<usize>)>,
    stored: Vec<u8>,
    /// The block that is being filled, at last the tail.
    tail: Vec<u8>,
}

impl PackedPart {
    fn clear(&mut self) {
        self.head.clear();
        self.blocks.clear();
        self.stored.clear();
        self.tail.clear();
    }

    /// Packs the part of a stream that begins at `position` and consists of `pieces`.
    pub(crate) fn pack_stream<'a>(
        &mut self,
        packer: &mut BlockPacker,
        (position, block_bytes): (u64, u16),
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) {
        self.clear();
        let block_bytes = u64::from(block_bytes.max(1));
        let block = usize::try_from(block_bytes).unwrap_or(usize::MAX);
        // Less than a block.
        let mut to_border = usize::try_from((block_bytes - position % block_bytes) % block_bytes).unwrap_or(0);
        for mut piece in pieces {
            if to_border > 0 {
                let (now, later) = piece.split_at(to_border.min(piece.len()));
                self.head.extend_from_slice(now);
                to_border -= now.len();
                piece = later;
            }
            while !piece.is_empty() {
                let (now, later) = piece.split_at((block - self.tail.len()).min(piece.len()));
                self.tail.extend_from_slice(now);
                piece = later;
                if self.tail.len() == block {
                    let full = std::mem::take(&mut self.tail);
                    self.pack_block(packer, &full);
                    self.tail = full;
                    self.tail.clear();
                }
            }
        }
    }

    /// Packs whole blocks.
    pub(crate) fn pack_blocks<'a>(&mut self, packer: &mut BlockPacker, blocks: impl IntoIterator<Item = &'a [u8]>) {
        self.clear();
        blocks.into_iter().for_each(|block| self.pack_block(packer, block));
    }

    fn pack_block(&mut self, packer: &mut BlockPacker, block: &[u8]) {
        let begin = self.stored.len();
        let packed = PackedBlock::of(packer, block, &mut self.stored);
        self.blocks.push((packed, begin..self.stored.len()));
    }

    /// The bytes before the first block.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) const fn has_blocks(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// The blocks, and what is to be stored of them.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (&PackedBlock, &[u8])> {
        self.blocks.iter().map(|(block, range)| (block, &self.stored[range.clone()]))
    }

    /// The bytes behind the last block.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }
}
