//! An opened volume: units of a disk image, whatever its format.

mod error;
mod format;
mod image_file;
mod naming;
mod open;
mod opened;
mod plain_ckd;
mod shape;
mod slots;
mod stage;

pub mod create;

pub use error::VolumeError;
pub use format::{ImageFormat, UnknownFormat};
pub use image_file::{FileIdentity, Fingerprint};
pub use opened::{OpenOptions, Volume};
pub use shape::{BlockShape, Shape, UnitAddress, UnitIndex};
pub use stage::{Stage, StagedUnit};
