//! Writes plain fixed-block images: the blocks and nothing else. Units of zeros are left as holes.

use tapegate_formats::tape::unit::UnitKind;

use super::partial_file::PartialFile;
use crate::volume::error::VolumeError;
use crate::volume::fixed_block::UNIT_BYTES;
use crate::volume::shape::{BlockShape, UnitIndex};

/// Makes the file as long as the volume is.
pub(super) fn begin(file: &PartialFile, blocks: &BlockShape) -> Result<(), VolumeError> {
    file.set_size(blocks.blocks * u64::from(blocks.block_bytes))
}

/// Writes runs of units that are not all zeros.
pub(super) fn write(file: &PartialFile, first: UnitIndex, units: &[(UnitKind, &[u8])]) -> Result<(), VolumeError> {
    let mut run_offset = 0;
    let mut run: Vec<&[u8]> = Vec::with_capacity(units.len());
    for (unit, (_, body)) in (u64::from(first.0)..).zip(units) {
        if body.iter().all(|byte| *byte == 0) {
            file.write_slices_at(run_offset, run.iter().copied())?;
            run.clear();
        } else {
            if run.is_empty() {
                run_offset = unit * UNIT_BYTES as u64;
            }
            run.push(body);
        }
    }
    file.write_slices_at(run_offset, run.iter().copied())
}
