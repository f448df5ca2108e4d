//! What stands behind a gate.

use crate::volume::{UnitIndex, UnitSource, Volume, VolumeError};

/// A disk that hosts read and write: a volume, or a snapshot view of one.
pub trait Disk: UnitSource + Send {
    /// Reads a whole unit as a plain image has it: a slot with its end mark and whatever lies behind, or the blocks.
    ///
    /// `buffer` is as long as the unit ([`Shape::unit_bytes`](crate::volume::Shape::unit_bytes)).
    ///
    /// # Errors
    /// When the unit can't be read, or the disk is a view that is not ready.
    fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError>;

    /// Writes bytes of a unit from `offset` in its slot on. Whoever calls writes to one unit from one thread at a time.
    ///
    /// # Errors
    /// When the disk can't be written, or the bytes pass the end of the unit.
    fn write_slot(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError>;

    /// Brings everything that was written to stable storage.
    ///
    /// # Errors
    /// When the medium fails.
    fn sync(&self) -> Result<(), VolumeError>;

    /// Whether hosts may write.
    fn is_writable(&self) -> bool;

    /// Whether it can be read now; a view is not ready without a session.
    fn is_ready(&self) -> bool {
        true
    }
}
impl Disk for Volume {
    fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        self.read_slot(unit, buffer)
    }

    fn write_slot(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        self.write_slot(unit, offset, bytes)
    }

    fn sync(&self) -> Result<(), VolumeError> {
        self.sync()
    }

    fn is_writable(&self) -> bool {
        self.is_writable()
    }
}
