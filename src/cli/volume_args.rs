//! How a volume is named on the command line.

use std::path::PathBuf;

use crate::volume::{ImageFormat, OpenOptions, Volume, VolumeError};

/// The volume, and what its content can't tell.
#[derive(Debug, Clone, clap::Args)]
pub struct VolumeArgs {
    /// Disk image or block device; its format is found from its content
    pub volume: PathBuf,
    /// Format of the image, where the content can't tell it (raw-track, fba)
    #[arg(long = "type", value_name = "FORMAT")]
    pub kind: Option<ImageFormat>,
    /// Shadow file over the image; several from the lowest up
    #[arg(long = "shadow", value_name = "FILE")]
    pub shadows: Vec<PathBuf>,
    /// Name of the shadow files as in Hercules' sf=
    #[arg(long, value_name = "PATTERN")]
    pub shadow_pattern: Option<PathBuf>,
}

impl VolumeArgs {
    /// Opens the volume for reading.
    ///
    /// # Errors
    /// As [`Volume::open`].
    pub fn open(&self) -> Result<Volume, VolumeError> {
        let options = OpenOptions { kind: self.kind, shadows: self.shadows.clone(), shadow_pattern: self.shadow_pattern.clone() };
        Volume::open(&self.volume, &options)
    }
}
