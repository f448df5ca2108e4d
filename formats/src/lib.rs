//! Formats of mainframe disks, volumes and tapes: bytes to values and back.
//!
//! The crate has no policy, no threads and no async runtime. A program that wants only to read an AWS tape or a
//! volume table of contents takes this crate alone.
//!
//! | module | subject |
//! | --- | --- |
//! | [`dasd`] | device types, geometry, tracks and records, disk image headers and tables |
//! | [`volume`] | volume labels, DSCBs, PDS directories |
//! | [`tape`] | AWS and HET chunks, standard labels, the unit container of tapegate's own tapes |
//! | [`wire`] | messages of the protocols through which hosts reach disks |
//! | [`ebcdic`] | the code page of names and labels |

pub mod dasd;
pub mod ebcdic;
pub mod tape;
pub mod volume;
pub mod wire;
