//! What a program is told when its read or write was not done.
//!
//! | what happened | errno | why this one |
//! | --- | --- | --- |
//! | a view without a session | `ENOMEDIUM` | "No medium found": the drive is there, and nothing is in it |
//! | a write to a read-only disk | `EROFS` | |
//! | a write that changes the header | `EPERM` | the rest of the file may be written |
//! | a write or a new size past the end | `EFBIG` | `ENOSPC` would let an emulator stop and wait for room |
//! | a session protects the unit | `EACCES` | |
//! | another host kept the device too long | `EBUSY` | |
//! | a write that gives a track another's address | `EINVAL` | |
//! | the image behind is full, for longer than a write is held | `ENOSPC` | |
//! | the medium failed, or the image is damaged | `EIO` | |
//! | the gateway is being stopped | `ESHUTDOWN` | |

use std::io;

use fuser::Errno;

use crate::gate::GateError;
use crate::volume::VolumeError;

/// The errno of a failure; what an operator must look at goes to the log with its reason.
pub(super) fn errno_of(error: &GateError, file: &str) -> Errno {
    match error {
        GateError::NotReady { .. } => Errno::from_i32(libc::ENOMEDIUM),
        GateError::ReadOnly { .. } => Errno::EROFS,
        GateError::Protected { .. } => Errno::EACCES,
        GateError::OutOfRange { .. } => Errno::EFBIG,
        GateError::Disk(VolumeError::Refused { .. } | VolumeError::Unfit { .. }) => {
            tracing::warn!("{file}: {error}");
            Errno::EINVAL
        }
        error if is_full(error) => Errno::ENOSPC,
        error => {
            tracing::error!("{file}: {}", with_sources(error));
            Errno::EIO
        }
    }
}

/// Whether the same write would succeed once there is room again.
pub(super) fn is_full(error: &GateError) -> bool {
    match error {
        GateError::Disk(VolumeError::NoRoom { .. }) => true,
        GateError::Disk(VolumeError::Io { source, .. }) => {
            matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        }
        _ => false,
    }
}

/// An error with what caused it.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
