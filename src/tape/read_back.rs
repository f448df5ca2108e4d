//! A packed tape is read back before it gets its name: chunk by chunk as it must be, and every block expanded to what was
//! written.
//!
//! What was written is known by a sum over each group of blocks, those between two tape marks. The plan has the places
//! of a tape whose blocks are stored as they are, and can't say where a packed one lies.

use super::error::TapeError;
use super::image::{BlockBuffer, ItemKind, TapeImage};

/// What was written between two tape marks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupSum {
    /// Where the group begins in the image.
    pub offset: u64,
    /// Its blocks.
    pub blocks: u64,
    /// Their bytes, expanded.
    pub bytes: u64,
    /// CRC-32C of these, block behind block.
    pub sum: u32,
}

impl GroupSum {
    /// Adds a block of `bytes` bytes with this sum.
    pub(super) fn add(&mut self, bytes: u32, sum: u32) {
        self.blocks += 1;
        self.bytes += u64::from(bytes);
        self.sum = crc32c::crc32c_combine(self.sum, sum, bytes as usize);
    }
}

/// How reading a group back ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadBack {
    /// It is what was written; the offset behind its tape mark.
    Same(u64),
    /// Where it differs, and how.
    Differs(u64, String),
    /// Somebody stopped it.
    Stopped,
}

/// Reads a group back up to its tape mark. `go_on` is told the bytes of the image that were read, and stops it with `false`.
///
/// # Errors
/// When the medium fails or the tape is damaged there.
pub(crate) fn read_group_back(image: &TapeImage, written: &GroupSum, go_on: impl Fn(u64) -> bool) -> Result<ReadBack, TapeError> {
    let mut found = GroupSum { offset: written.offset, ..GroupSum::default() };
    let mut buffer = BlockBuffer::new();
    for item in image.items_from(written.offset) {
        let item = item?;
        if !go_on(item.end - item.offset) {
            return Ok(ReadBack::Stopped);
        }
        if let Some(broken) = item.chain_break {
            let reason = format!("the previous length is {} and not {}", broken.found, broken.expected);
            return Ok(ReadBack::Differs(item.offset, reason));
        }
        if item.kind == ItemKind::TapeMark && found == *written {
            return Ok(ReadBack::Same(item.end));
        }
        if item.kind == ItemKind::TapeMark {
            let reason = "the blocks before this tape mark are not those that were written";
            return Ok(ReadBack::Differs(item.offset, reason.to_owned()));
        }
        let block = image.read_block(&item, &mut buffer)?;
        // A block expands to 2 MiB at most.
        found.add(u32::try_from(block.len()).unwrap_or(u32::MAX), crc32c::crc32c(block));
    }
    Ok(ReadBack::Differs(image.length(), "a tape mark is missing".to_owned()))
}
