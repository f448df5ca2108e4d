//! What can go wrong with a tape.

use std::io;
use std::path::{Path, PathBuf};

use tapegate_formats::dasd::track::TrackError;
use tapegate_formats::tape::block::{ChunkDefect, ExpandError};
use tapegate_formats::tape::description::DescriptionError;
use tapegate_formats::tape::unit::UnitError;
use thiserror::Error;

use super::records::RecordError;

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
    /// The file is something else.
    #[error("{}: not an AWS or HET tape: {looks_like}", path.display())]
    NotATape {
        /// The file.
        path: PathBuf,
        /// What it looks like instead.
        looks_like: String,
    },
    /// The tape can't be read at a place.
    #[error("{}: damaged tape at offset {offset}: {defect}", path.display())]
    Damaged {
        /// The tape image.
        path: PathBuf,
        /// Offset of the block in the image.
        offset: u64,
        /// What is wrong there.
        defect: TapeDefect,
    },
    /// What was taken off the tape can't be written.
    #[error("writing what was read failed")]
    Write {
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

/// What can be wrong at a place of a tape.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TapeDefect {
    /// A chunk that can't be there.
    #[error(transparent)]
    Chunk(#[from] ChunkDefect),
    /// A compressed block that does not expand.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// A description that can't be used.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// An encoded unit that is none.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// A track in a unit that does not walk.
    #[error("unit {unit}: {defect}")]
    Track {
        /// Number of the unit.
        unit: u32,
        /// Why not.
        defect: TrackError,
    },
    /// A block without records of its format.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The file ends in a chunk header.
    #[error("the file ends inside a chunk header ({left} bytes are left)")]
    EndInHeader {
        /// Bytes of the header that are there.
        left: u64,
    },
    /// The file ends in a chunk's data.
    #[error("the file ends inside a chunk (it has {wanted} bytes, {left} are left)")]
    EndInChunk {
        /// Bytes that the chunk says it has.
        wanted: u16,
        /// Bytes that are there.
        left: u64,
    },
    /// The file ends between the chunks of a block.
    #[error("the file ends inside a block")]
    EndInBlock,
    /// More files than are listed.
    #[error("more than {most} files on one tape")]
    TooManyFiles {
        /// How many are.
        most: usize,
    },
    /// The data of a file ends in an encoded unit.
    #[error("the file's data ends inside an encoded unit")]
    EndInUnit,
}
