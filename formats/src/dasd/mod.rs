//! Disks: device types and geometry, tracks and records, and the image formats that hold them.

pub mod address;
pub mod characteristics;
pub mod compressed_header;
pub mod device;
pub mod device_header;
pub mod free_space;
pub mod geometry;
pub mod lookup_table;
pub mod null_track;
pub mod raw_track;
pub mod track;
pub mod track_image;
