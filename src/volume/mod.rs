//! An opened volume: units of a disk image, whatever its format.

mod closing;
mod compaction;
mod compressed;
mod compressed_file;
mod compressed_write;
mod detect;
mod editor;
mod error;
mod fixed_block;
mod format;
mod image_file;
mod in_place;
mod naming;
mod open;
mod opened;
mod packing;
mod plain_ckd;
mod raw_track;
mod shape;
mod slots;
mod space;
mod stage;
mod tables;
mod unit_source;
mod update;

pub mod create;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod recorder;
#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
mod several_files_tests;
#[cfg(test)]
mod update_tests;
#[cfg(test)]
mod writable_images;

pub use error::VolumeError;
pub use format::{ImageFormat, UnknownFormat};
pub use image_file::{FileIdentity, Fingerprint};
pub use opened::{OpenOptions, Volume};
pub use shape::{BlockShape, Shape, UnitAddress, UnitIndex};
pub use stage::{Stage, StagedUnit};
pub use unit_source::UnitSource;
pub use update::Room;
