//! Front-end 2: each disk as a plain image file in a mounted folder (FUSE).
//!
//! Whatever the format behind a disk, programs of this machine see `NAME.ckd`, a `CKD_P370` image in one file, or
//! `NAME.fba`, raw blocks, and read and write it as any file. Each request is cut into units, each of which passes the
//! gate. Snapshot views are files as well; one that is not ready can be opened, and reading it says `ENOMEDIUM`.
//!
//! | piece | what it is for |
//! | --- | --- |
//! | [`FileMount`] | the mount: made, looked after, ended |
//! | [`ImageLayout`] | bytes of a file to header and units |
//! | `filesystem` | the kernel's requests |
//! | `served_file`, `held_write` | reads and writes through the gate, at once or on a thread that may wait |
//! | `invalidation` | tells the kernel what other front-ends wrote |

mod error;
mod failure;
mod filesystem;
mod held_write;
mod image_layout;
mod invalidation;
mod modified;
mod mount;
mod mount_point;
mod requests;
mod served_file;
mod waiting_threads;

pub use error::MountError;
pub use image_layout::{ImageLayout, Piece, Place};
pub use mount::{Entry, FileMount, MountOptions};
