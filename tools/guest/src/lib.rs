//! A guest that exercises disks without an operating system, and a model of what it must have written.
//!
//! The guest (`program.asm`) runs in a System/370, such as the Hercules emulator, and reads, updates and format-writes
//! tracks and blocks in random order. It checks every status and all that it reads, and stops at the first thing that
//! is wrong. The [`Model`] computes from the same parameters what the disks must hold after any number of operations;
//! it shares nothing with the guest but the description in `program.asm`, and nothing with tapegate's own code.

pub mod assembler;
mod content;
mod core_image;
mod model;
mod parameters;
mod random;

pub use core_image::CoreImageError;
pub use core_image::{CoreImage, Field};
pub use model::{Change, Model};
pub use parameters::{Disk, DiskKind, Kind, ParameterError, Parameters};
