//! An opened volume: units of a disk image, whatever its format.

mod compressed;
mod compressed_file;
mod detect;
mod error;
mod fixed_block;
mod format;
mod image_file;
mod naming;
mod open;
mod opened;
mod plain_ckd;
mod raw_track;
mod shape;
mod slots;
mod stage;
mod unit_source;
mod update;

pub mod create;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
mod several_files_tests;

pub use error::VolumeError;
pub use format::{ImageFormat, UnknownFormat};
pub use image_file::{FileIdentity, Fingerprint};
pub use opened::{OpenOptions, Volume};
pub use shape::{BlockShape, Shape, UnitAddress, UnitIndex};
pub use stage::{Stage, StagedUnit};
pub use unit_source::UnitSource;
pub use update::Room;
