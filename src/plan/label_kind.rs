//! The kinds of tape labels, and what they cost in an AWS image.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tapegate_formats::tape::chunk::CHUNK_HEADER_BYTES;
use tapegate_formats::tape::label::MOST_FILES;

/// Tape bytes of a label: 80 and its chunk header.
const LABEL_BYTES: u64 = 80 + CHUNK_HEADER_BYTES as u64;
/// Tape bytes of a tape mark.
const TAPE_MARK_BYTES: u64 = CHUNK_HEADER_BYTES as u64;

/// How the files of a tape are labelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LabelKind {
    /// IBM standard labels.
    #[default]
    #[serde(rename = "sl")]
    Standard,
    /// ANSI labels.
    #[serde(rename = "al")]
    Ansi,
    /// No labels: files between tape marks.
    #[serde(rename = "nl")]
    None,
}

impl LabelKind {
    /// Bytes before the first file: the volume label.
    #[must_use]
    pub const fn volume_bytes(self) -> u64 {
        match self {
            Self::Standard | Self::Ansi => LABEL_BYTES,
            Self::None => 0,
        }
    }

    /// Bytes of a file before its data: HDR1, HDR2, tape mark.
    #[must_use]
    pub const fn header_bytes(self) -> u64 {
        match self {
            Self::Standard | Self::Ansi => 2 * LABEL_BYTES + TAPE_MARK_BYTES,
            Self::None => 0,
        }
    }

    /// Bytes of a file behind its data: tape mark, and EOF1, EOF2, tape mark.
    #[must_use]
    pub const fn trailer_bytes(self) -> u64 {
        match self {
            Self::Standard | Self::Ansi => 2 * LABEL_BYTES + 2 * TAPE_MARK_BYTES,
            Self::None => TAPE_MARK_BYTES,
        }
    }

    /// Bytes behind the last file: the second tape mark.
    #[must_use]
    pub const fn end_bytes(self) -> u64 {
        TAPE_MARK_BYTES
    }

    /// Most files that a tape with such labels can number: 4 digits, or 3 binary bytes behind a `?` on IBM tapes.
    #[must_use]
    pub const fn most_files(self) -> u32 {
        match self {
            Self::Standard => MOST_FILES,
            Self::Ansi => 9_999,
            Self::None => u32::MAX,
        }
    }
}

impl fmt::Display for LabelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Standard => "sl",
            Self::Ansi => "al",
            Self::None => "nl",
        })
    }
}

impl FromStr for LabelKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "sl" => Ok(Self::Standard),
            "al" => Ok(Self::Ansi),
            "nl" => Ok(Self::None),
            _ => Err("labels are sl (IBM standard), al (ANSI) or nl (none)".to_owned()),
        }
    }
}
