//! Why a host's read or write did not go through the gate.

use thiserror::Error;

use super::watcher::Refusal;
use crate::volume::{UnitAddress, VolumeError};

/// A host's operation that was not done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GateError {
    /// The disk behind the gate failed.
    #[error(transparent)]
    Disk(#[from] VolumeError),
    /// The disk is served read-only.
    #[error("{disk} is served read-only")]
    ReadOnly {
        /// Name of the disk.
        disk: String,
    },
    /// The disk is a view without a session.
    #[error("{disk} is not ready: it is a snapshot view, and no session has started it")]
    NotReady {
        /// Name of the disk.
        disk: String,
    },
    /// A session protects the unit.
    #[error("{disk}: {address} is protected: {refusal}")]
    Protected {
        /// Name of the disk.
        disk: String,
        /// The unit.
        address: UnitAddress,
        /// What the session says.
        refusal: Refusal,
    },
    /// The disk has no such unit, or not so many bytes in it.
    #[error("{disk}: bytes {offset} to {end} of {address} are outside of it")]
    OutOfRange {
        /// Name of the disk.
        disk: String,
        /// The unit.
        address: UnitAddress,
        /// First byte asked for.
        offset: u64,
        /// Byte behind the last.
        end: u64,
    },
    /// The client was gone for too long, and its channel program was ended for it.
    #[error("{disk}: the channel program was ended, because its client was gone")]
    Revoked {
        /// Name of the disk.
        disk: String,
    },
}
