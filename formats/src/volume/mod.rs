//! What lies on a disk volume: labels, the VTOC's DSCBs, partitioned data set directories.

pub mod attributes;
pub mod date;
pub mod dscb;
pub mod extent;
pub mod label;
pub mod name;
pub mod pds;
pub mod pointer;
