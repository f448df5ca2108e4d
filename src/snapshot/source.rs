//! What a session copies: an opened volume that stands still, or a volume as of T0 behind a live gateway.

use super::live::LiveSource;
use crate::finding::Finding;
use crate::volume::{Fingerprint, UnitSource, Volume, VolumeError};

/// A volume that can be copied: its units, and what a session must know besides.
pub trait CopySource: UnitSource {
    /// Whether measuring units is much cheaper than reading them.
    fn measures_sparsely(&self) -> bool;

    /// What was odd when the volume was opened.
    fn findings(&self) -> Vec<Finding>;

    /// Identity of the volume's files at T0.
    fn fingerprint(&self) -> Fingerprint;

    /// Looks whether what was read is the volume as of T0.
    ///
    /// # Errors
    /// When it is not.
    fn check_unchanged(&self) -> Result<(), VolumeError>;

    /// What it adds to the copy, if hosts write to it meanwhile.
    fn live(&self) -> Option<&dyn LiveSource> {
        None
    }
}

impl CopySource for Volume {
    fn measures_sparsely(&self) -> bool {
        self.measures_sparsely()
    }

    fn findings(&self) -> Vec<Finding> {
        self.findings().to_vec()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint().clone()
    }

    fn check_unchanged(&self) -> Result<(), VolumeError> {
        self.check_unchanged()
    }
}
