//! Why originals can't be kept, or can't be had back.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::usage::PoolUsage;

/// An error of a pool or of a share of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// There is no room for a unit, in memory or on disk. Nothing of it was kept.
    #[error("cache pool {pool} is full: a unit of {wanted_bytes} bytes has no room ({usage}); raise its limits or end a session")]
    Full {
        /// Name of the pool.
        pool: String,
        /// Bytes of the unit that was refused.
        wanted_bytes: u64,
        /// Limits, and who used how much, when it was refused.
        usage: Box<PoolUsage>,
    },
    /// The medium failed, or a file can't be made. A unit that was being put is not kept.
    #[error("{}: {action} failed{}", path.display(), at(*offset))]
    Io {
        /// The spill file, the file of bodies, or the index.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// Where in the file, where it was at one place.
        offset: Option<u64>,
        /// Why it failed.
        source: io::Error,
    },
    /// A file does not hold what was written to it, or was never one of a cache.
    #[error("{}: damaged at offset {offset}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The machine was restarted since, and the share did not sync what it kept: it may lack units.
    #[error(
        "{}: the machine was restarted since these originals were kept, and they were not synced: some may be missing; discard the view",
        path.display()
    )]
    NotDurable {
        /// The index.
        path: PathBuf,
    },
    /// A rule forbids it.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The file or device.
        path: PathBuf,
        /// The rule, and what to do.
        reason: String,
    },
    /// The pool has no spill, so it has no limit for one, and no share of it survives a restart.
    #[error("cache pool {pool} has no spill; give it one in the configuration")]
    NoSpill {
        /// Name of the pool.
        pool: String,
    },
    /// A body that no unit has.
    #[error("unit {unit} has {bytes} bytes, more than any unit of a volume")]
    TooLong {
        /// Number of the unit.
        unit: u32,
        /// Length of the body.
        bytes: u64,
    },
}

fn at(offset: Option<u64>) -> String {
    offset.map(|offset| format!(" at offset {offset}")).unwrap_or_default()
}

impl CacheError {
    pub(super) fn io(path: &Path, action: &'static str, source: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_owned(), action, offset: None, source: source.into() }
    }

    pub(super) fn io_at(path: &Path, action: &'static str, offset: u64, source: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_owned(), action, offset: Some(offset), source: source.into() }
    }

    pub(super) fn damaged(path: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), offset, reason: reason.into() }
    }

    pub(super) fn refused(path: &Path, reason: impl Into<String>) -> Self {
        Self::Refused { path: path.to_owned(), reason: reason.into() }
    }
}
