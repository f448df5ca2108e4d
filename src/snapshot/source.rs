//! Where the copier reads units: a volume now, a live gateway's session later, memory in tests.

use crate::volume::{Shape, Stage, UnitIndex, Volume, VolumeError};

/// Something that holds the units of a volume.
pub trait UnitSource: Sync {
    /// Units and their addresses.
    fn shape(&self) -> &Shape;

    /// Reads neighbouring units into a stage.
    ///
    /// # Errors
    /// When one of them can't be read at all.
    fn read_units(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError>;

    /// What messages call the volume.
    fn name(&self) -> &std::path::Path;
}

impl UnitSource for Volume {
    fn shape(&self) -> &Shape {
        self.shape()
    }

    fn read_units(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        self.read_units(first, count, stage)
    }

    fn name(&self) -> &std::path::Path {
        self.path()
    }
}
