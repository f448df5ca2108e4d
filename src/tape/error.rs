//! What can go wrong with a tape.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// An error of a tape: which tape, where on it, and why.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TapeError {
    /// The medium failed, or the file can't be opened or made.
    #[error("{}: {action} failed", path.display())]
    Io {
        /// The tape image.
        path: PathBuf,
        /// What was being done.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A rule forbids it.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The tape image.
        path: PathBuf,
        /// The rule, and what to do.
        reason: String,
    },
}

impl TapeError {
    pub(crate) fn io(path: &Path, action: impl Into<String>, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), action: action.into(), source }
    }
}
