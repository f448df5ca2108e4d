//! Why a snapshot can't be made.

use std::io;
use std::path::PathBuf;

use tapegate_formats::tape::label::LabelError;
use thiserror::Error;

use crate::plan::PlanError;
use crate::tape::TapeError;
use crate::volume::{UnitAddress, VolumeError};

/// A snapshot that ended without a tape.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The volume can't be read, or it changed.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The tape can't be written.
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// The tape can't be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A label can't say what it must.
    #[error("the labels of file {file} can't be made")]
    Label {
        /// Number of the file on the tape.
        file: u32,
        /// The value that has no room.
        source: LabelError,
    },
    /// A unit is not as long as when the tape was planned.
    #[error(
        "{}: {address} changed while it was copied ({planned} bytes when the tape was planned, {found} now); the volume is in use: stop its writers",
        volume.display()
    )]
    Changed {
        /// The volume.
        volume: PathBuf,
        /// The unit.
        address: UnitAddress,
        /// Encoded bytes at planning.
        planned: u32,
        /// Encoded bytes when read.
        found: u32,
    },
    /// A unit of a data set in `blocks` form does not hold the blocks that were planned.
    #[error("{}: {address} does not hold the blocks that were planned; the volume is in use: stop its writers", volume.display())]
    BlocksChanged {
        /// The volume.
        volume: PathBuf,
        /// The unit.
        address: UnitAddress,
    },
    /// The finished tape is not what the plan says.
    #[error("{}: at offset {offset}, {reason}; the tape was not kept", tape.display())]
    NotAsPlanned {
        /// The tape.
        tape: PathBuf,
        /// Where.
        offset: u64,
        /// What differs.
        reason: String,
    },
    /// The journal of an interrupted run can't be used.
    #[error("{}: {reason}", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Journal or manifest can't be written or read.
    #[error("{}: {action} failed", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Nothing was selected, or what was chosen can't be done.
    #[error("{0}")]
    Refused(String),
    /// Stopped by a signal.
    #[error("stopped before the tape was complete")]
    Stopped,
}

impl SnapshotError {
    /// Whether a session that ended so leaves partial tape and journal, from which a later run can go on.
    #[must_use]
    pub fn leaves_journal(&self) -> bool {
        match self {
            Self::Tape(TapeError::Io { .. }) | Self::Io { .. } | Self::Stopped => true,
            Self::Volume(error) => matches!(error, VolumeError::Io { .. }),
            _ => false,
        }
    }
}
