//! What lies on a volume: its label, and its data sets with their extents.

mod assemble;
mod data_set;
mod label;
mod members;
#[cfg(test)]
pub(crate) mod memory;
mod overlap;
mod source;
mod space;
mod used;
mod vtoc;

pub use data_set::{DataSet, DataSetKind, Extent, OtherExtent};
pub use label::VolumeLabel;
pub use members::{Directory, Member, read_directory};
pub use source::{TrackSource, VolumeTracks};
pub use used::{UsedEnd, UsedTracks, used_tracks};
pub use vtoc::VtocInfo;

use tapegate_formats::volume::name::DsName;

use crate::finding::Finding;
use crate::volume::{Shape, Stage, UnitIndex, UnitSource, VolumeError};
use vtoc::Vtoc;

/// What a volume says about its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// Its label.
    pub label: VolumeLabel,
    /// Its VTOC; `None` where there is none, or none that can be read.
    pub vtoc: Option<VtocInfo>,
    /// Data sets in the order of their DSCBs.
    pub data_sets: Vec<DataSet>,
    /// What is odd about all this.
    pub findings: Vec<Finding>,
}

impl Catalog {
    /// The catalog of a volume that has nothing but a label.
    #[must_use]
    pub const fn without_vtoc(label: VolumeLabel) -> Self {
        Self { label, vtoc: None, data_sets: Vec::new(), findings: Vec::new() }
    }

    /// Reads what lies on a volume; of a fixed-block volume that is its label.
    ///
    /// # Errors
    /// When the volume can't be read.
    pub fn of_volume(volume: &dyn UnitSource) -> Result<Self, VolumeError> {
        if let Some(tracks) = VolumeTracks::new(volume) {
            return Self::read(&tracks);
        }
        let mut label = VolumeLabel::Unlabelled;
        if let Shape::FixedBlock(shape) = volume.shape() {
            // Block 1 may be in the first unit or, where a unit is one block, in the second.
            let units = u32::from(shape.unit_blocks < 2) + 1;
            let mut stage = Stage::new();
            volume.read_units(UnitIndex(0), units.min(volume.shape().units()), &mut stage)?;
            let bytes: Vec<u8> = stage.units().flat_map(|unit| unit.body).copied().collect();
            if let Some(block_1) = bytes.get(shape.block_bytes as usize..) {
                label = VolumeLabel::of_fixed_block(block_1);
            }
        }
        Ok(Self::without_vtoc(label))
    }

    /// Reads label and VTOC. A blank volume, or one without a VTOC, has an empty catalog; damage is a finding.
    ///
    /// # Errors
    /// When the volume can't be read.
    pub fn read(source: &impl TrackSource) -> Result<Self, VolumeError> {
        let mut findings = Vec::new();
        let label = VolumeLabel::read(source, &mut findings)?;
        let VolumeLabel::Os { vtoc: pointer, .. } = label else {
            return Ok(Self { findings, ..Self::without_vtoc(label) });
        };
        let Some(vtoc) = Vtoc::read(source, pointer, &mut findings)? else {
            return Ok(Self { findings, ..Self::without_vtoc(label) });
        };
        let (info, mut data_sets) = assemble::data_sets(vtoc, &source.geometry(), &mut findings);
        overlap::check(&mut data_sets, &info, &mut findings);
        Ok(Self { label, vtoc: Some(info), data_sets, findings })
    }

    /// The data set of that name, if there is one.
    #[must_use]
    pub fn find(&self, name: &DsName) -> Option<&DataSet> {
        self.data_sets.iter().find(|data_set| data_set.name == *name)
    }
}

#[cfg(test)]
mod tests;
