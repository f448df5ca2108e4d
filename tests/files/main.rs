//! Front-end 2: disks as plain image files, used as programs use them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod holding;
mod lifecycle;
mod memory_disk;
mod mounted;
mod peers;
mod reading_and_writing;
mod real_volumes;
mod waiting;
