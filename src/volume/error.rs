//! What can go wrong with a volume.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::shape::UnitAddress;

/// An error of a volume: which volume, where on it, and why.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// The medium failed, or the file can't be opened.
    #[error("{}: {action} failed", path.display())]
    Io {
        /// The image file.
        path: PathBuf,
        /// What was being done.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The image's headers or tables are wrong.
    #[error("{}: damaged image at offset {offset}: {reason}", path.display())]
    Corrupt {
        /// The image file.
        path: PathBuf,
        /// Offset in the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A unit can't be read from an image whose tables are in order.
    #[error("{}: {address} (offset {offset}): {reason}", path.display())]
    Unit {
        /// The image file.
        path: PathBuf,
        /// The unit.
        address: UnitAddress,
        /// Offset in the file.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A unit has no place in the image that is being made.
    #[error("{}: {address}: {reason}", path.display())]
    Unfit {
        /// The new image.
        path: PathBuf,
        /// The unit.
        address: UnitAddress,
        /// Why it can't be written.
        reason: String,
    },
    /// The content is right, but this program does not do it.
    #[error("{}: {reason}", path.display())]
    Unsupported {
        /// The image file.
        path: PathBuf,
        /// What is not done, and what to do instead.
        reason: String,
    },
    /// Another program has the volume, or it changed while it was read.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The image file.
        path: PathBuf,
        /// The rule, and what to do.
        reason: String,
    },
}
