//! The formats of disk images, as the command line names them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Format of a disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFormat {
    /// Plain CKD: a slot a track (`CKD_P370`, `CKD_P064`).
    Ckd,
    /// Compressed CKD with 32-bit offsets (`CKD_C370`), with or without shadow files.
    Cckd,
    /// Compressed CKD with 64-bit offsets (`CKD_C064`).
    Cckd64,
    /// Linux on Z `raw_track_access`: 64 KiB a track.
    RawTrack,
    /// Plain fixed blocks.
    Fba,
    /// Compressed fixed blocks with 32-bit offsets (`FBA_C370`).
    #[serde(rename = "cfba")]
    CompressedFba,
    /// Compressed fixed blocks with 64-bit offsets (`FBA_C064`).
    #[serde(rename = "cfba64")]
    CompressedFba64,
}

impl ImageFormat {
    /// All formats.
    pub const ALL: [Self; 7] =
        [Self::Ckd, Self::Cckd, Self::Cckd64, Self::RawTrack, Self::Fba, Self::CompressedFba, Self::CompressedFba64];

    /// The name by which `--type` and `--format` know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ckd => "ckd",
            Self::Cckd => "cckd",
            Self::Cckd64 => "cckd64",
            Self::RawTrack => "raw-track",
            Self::Fba => "fba",
            Self::CompressedFba => "cfba",
            Self::CompressedFba64 => "cfba64",
        }
    }

    /// Whether it holds tracks rather than fixed blocks.
    #[must_use]
    pub const fn is_ckd(self) -> bool {
        matches!(self, Self::Ckd | Self::Cckd | Self::Cckd64 | Self::RawTrack)
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The word is no image format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no image format (ckd, cckd, cckd64, raw-track, fba, cfba, cfba64)")]
pub struct UnknownFormat(String);

impl FromStr for ImageFormat {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.name() == word).ok_or_else(|| UnknownFormat(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_one_name_everywhere() {
        for format in ImageFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{format}\""));
        }
        assert!("CKD".parse::<ImageFormat>().is_err());
    }
}
