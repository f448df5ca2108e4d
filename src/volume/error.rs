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
    /// A write finds no place in an image whose format limits its size. Nothing was changed; the same write succeeds
    /// when there is room again.
    #[error(
        "{}: {address}: no room for {needed_bytes} bytes: the image has {size_bytes} of the {limit_bytes} bytes that its \
         format can have, and no free space that is large enough",
        path.display()
    )]
    NoRoom {
        /// The image file.
        path: PathBuf,
        /// The unit.
        address: UnitAddress,
        /// Bytes that the unit's new image takes.
        needed_bytes: u64,
        /// Bytes of the file.
        size_bytes: u64,
        /// Bytes that the format can have.
        limit_bytes: u64,
    },
    /// Another program has the volume, it changed while it was read, or something was asked for that is against a rule.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The image file.
        path: PathBuf,
        /// The rule, and what to do.
        reason: String,
    },
}
