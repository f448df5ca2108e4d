//! Why a tape can't be restored.

use std::path::PathBuf;

use tapegate_formats::tape::description::DescriptionError;
use tapegate_formats::tape::unit::UnitError;
use thiserror::Error;

use crate::snapshot::SnapshotError;
use crate::tape::TapeError;
use crate::volume::{UnitAddress, VolumeError};

/// A restore that ended without a volume; what was there before is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The tape can't be read.
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// A volume can't be read or made.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The manifest can't be read.
    #[error(transparent)]
    Manifest(#[from] SnapshotError),
    /// The first file is no description that this program reads.
    #[error("{}: {defect}", tape.display())]
    Description {
        /// The tape.
        tape: PathBuf,
        /// What is wrong with it; a part of the message, so no source that would be told again.
        defect: DescriptionError,
    },
    /// A unit on the tape is damaged.
    #[error("{}: file {file} at stream offset {offset}: {defect}", tape.display())]
    Unit {
        /// The tape.
        tape: PathBuf,
        /// Number of the file.
        file: u32,
        /// Offset in the file's data.
        offset: u64,
        /// What is wrong; a part of the message too.
        defect: UnitError,
    },
    /// A unit is not what the manifest says.
    #[error("{}: {address} in file {file} does not have the digest that the manifest gives", tape.display())]
    Digest {
        /// The tape.
        tape: PathBuf,
        /// Number of the file.
        file: u32,
        /// The unit.
        address: UnitAddress,
    },
    /// Parts of the tape contradict each other.
    #[error("{}: {reason}", tape.display())]
    Inconsistent {
        /// The tape.
        tape: PathBuf,
        /// What contradicts what.
        reason: String,
    },
    /// A rule forbids it.
    #[error("{0}")]
    Refused(String),
}
