//! Plain fixed-block images: sectors of 512 bytes, no header. A unit is 4 KiB; the last one may be shorter.

use tapegate_formats::tape::unit::UnitKind;

use super::error::VolumeError;
use super::image_file::ImageFile;
use super::shape::{BlockShape, Shape, UnitIndex};
use super::stage::Stage;

/// Bytes of a sector.
pub(super) const SECTOR_BYTES: u32 = 512;
/// Sectors of a unit.
pub(super) const UNIT_SECTORS: u32 = 8;
/// Bytes of a unit.
pub(super) const UNIT_BYTES: usize = (SECTOR_BYTES * UNIT_SECTORS) as usize;

/// A plain fixed-block volume.
#[derive(Debug)]
pub(super) struct PlainBlocks {
    file: ImageFile,
    shape: BlockShape,
}

impl PlainBlocks {
    /// Takes an opened file as a fixed-block volume.
    pub(super) fn open(file: ImageFile) -> Result<Self, VolumeError> {
        let size = file.size_bytes();
        let sector = u64::from(SECTOR_BYTES);
        if size == 0 || !size.is_multiple_of(sector) {
            return Err(file.corrupt(size - size % sector, format!("{size} bytes are no whole number of {sector}-byte blocks")));
        }
        let shape = shape(size / sector).ok_or_else(|| file.unsupported("a volume of 16 TiB or more"))?;
        Ok(Self { file, shape })
    }

    pub(super) const fn shape(&self) -> BlockShape {
        self.shape
    }

    pub(super) const fn file(&self) -> &ImageFile {
        &self.file
    }

    /// Reads units in one read.
    pub(super) fn read(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        let bytes: usize = (first.0..first.0 + count).map(|unit| unit_bytes(&self.shape, unit)).sum();
        let offset = offset(first);
        self.file.read_at(offset, stage.refill_from(offset, bytes))?;
        for (place, unit) in (first.0..first.0 + count).enumerate() {
            let start = place * UNIT_BYTES;
            stage.push(UnitKind::Blocks, start..start + unit_bytes(&self.shape, unit), None);
        }
        Ok(())
    }

    /// Reads one unit into `buffer`, which is as long.
    pub(super) fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        self.file.read_at(offset(unit), buffer)
    }

    /// Writes bytes from `inside` of a unit on; the caller checked that they lie in it.
    pub(super) fn write_slot(&self, unit: UnitIndex, inside: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        self.file.write_at(offset(unit) + u64::from(inside), bytes)
    }

    /// Reads a block group from its first unit on; behind the end of the volume it is zeros.
    pub(super) fn read_group(&self, first_unit: u64, group: &mut [u8]) -> Result<(), VolumeError> {
        let offset = first_unit * UNIT_BYTES as u64;
        let left = usize::try_from(self.file.size_bytes().saturating_sub(offset)).unwrap_or(usize::MAX);
        let (there, behind) = group.split_at_mut(left.min(group.len()));
        behind.fill(0);
        self.file.read_at(offset, there)
    }
}

/// Where a unit is in the file.
fn offset(unit: UnitIndex) -> u64 {
    u64::from(unit.0) * UNIT_BYTES as u64
}

/// The shape of a volume of so many sectors; `None` if it has none or more units than are counted.
pub(super) fn shape(blocks: u64) -> Option<BlockShape> {
    let units = blocks.div_ceil(u64::from(UNIT_SECTORS));
    (units > 0 && u32::try_from(units).is_ok()).then_some(BlockShape {
        blocks,
        block_bytes: SECTOR_BYTES,
        unit_blocks: UNIT_SECTORS,
    })
}

/// Bytes of a unit: 4 KiB, or what the volume has left.
pub(super) fn unit_bytes(shape: &BlockShape, unit: u32) -> usize {
    Shape::FixedBlock(*shape).unit_bytes(UnitIndex(unit)) as usize
}

/// Gives the length of each unit from `first` on.
pub(super) fn measure(shape: &BlockShape, first: UnitIndex, body_bytes: &mut [u32]) {
    for (unit, length) in (first.0..).zip(body_bytes) {
        // A unit is at most 4 KiB.
        *length = u32::try_from(unit_bytes(shape, unit)).unwrap_or(u32::MAX);
    }
}
