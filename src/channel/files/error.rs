//! Why files are not served.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The mount could not be made, or not be ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MountError {
    /// The folder can't be used.
    #[error("{}: {reason}", path.display())]
    MountPoint {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// Two files would have one name, or a name is no file name.
    #[error("{name:?} can't be the name of a file in {}: {reason}", path.display())]
    Name {
        /// The folder.
        path: PathBuf,
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// The kernel or `fusermount3` refused.
    #[error("{} can't be mounted: {advice}", path.display())]
    Mount {
        /// The folder.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
        /// What was said.
        source: io::Error,
    },
    /// Requests did not come to an end before the limit.
    #[error("{}: requests were still waiting when the mount was ended; their programs were told that it is gone", path.display())]
    StillBusy {
        /// The folder.
        path: PathBuf,
    },
    /// What was written may not be on stable storage.
    #[error("{file} could not be brought to stable storage: {source}")]
    NotSynced {
        /// Name of the file.
        file: String,
        /// Why not.
        source: io::Error,
    },
    /// The folder is free again, but the kernel keeps the connection for programs that have files open.
    #[error("{}: programs have files open and could not be cut off; they are when the gateway's process ends", path.display())]
    StillOpen {
        /// The folder.
        path: PathBuf,
    },
    /// The mount is still there.
    #[error("{} is still mounted; end it with: umount -l {}", path.display(), path.display())]
    StillMounted {
        /// The folder.
        path: PathBuf,
    },
}
