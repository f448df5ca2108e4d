//! Where units are read: an opened volume, a volume as of T0 behind a live gateway, memory in tests.

use super::error::VolumeError;
use super::opened::Volume;
use super::shape::{Shape, UnitIndex};
use super::stage::Stage;

/// Something that holds the units of a volume.
pub trait UnitSource: Sync {
    /// Units and their addresses.
    fn shape(&self) -> &Shape;

    /// What messages call the volume.
    fn name(&self) -> &std::path::Path;

    /// Reads neighbouring units into a stage.
    ///
    /// # Errors
    /// When one of them can't be read at all.
    fn read_units(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError>;

    /// Gives the body length of each unit from `first` on, as [`read_units`](Self::read_units) would.
    ///
    /// # Errors
    /// As [`read_units`](Self::read_units).
    fn measure_units(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError>;
}

impl UnitSource for Volume {
    fn shape(&self) -> &Shape {
        self.shape()
    }

    fn name(&self) -> &std::path::Path {
        self.path()
    }

    fn read_units(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        self.read_units(first, count, stage)
    }

    fn measure_units(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        self.measure_units(first, body_bytes)
    }
}
