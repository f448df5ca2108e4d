//! An opened volume: units of a disk image, whatever its format.

mod error;
mod shape;
mod stage;

pub use error::VolumeError;
pub use shape::{BlockShape, Shape, UnitAddress, UnitIndex};
pub use stage::{Stage, StagedUnit};
