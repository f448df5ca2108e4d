//! The arguments of every command that opens a volume.

use std::path::PathBuf;

use clap::Args;

use crate::volume::{ImageFormat, OpenOptions, Volume, VolumeError};

/// Which volume, and how to open it.
#[derive(Debug, Clone, Args)]
pub struct VolumeArgs {
    /// Disk image or block device.
    pub volume: PathBuf,

    /// Format of the image, where its content can't tell.
    #[arg(long = "type", value_name = "FORMAT")]
    pub kind: Option<ImageFormat>,

    /// Shadow files over the image, the lowest first.
    #[arg(long, value_name = "FILE")]
    pub shadow: Vec<PathBuf>,

    /// Shadow files by the name that Hercules is given in `sf=`, with their number before the first dot.
    #[arg(long, value_name = "NAME", conflicts_with = "shadow")]
    pub sf: Option<PathBuf>,
}

impl VolumeArgs {
    /// Opens the volume read-only.
    ///
    /// # Errors
    /// When it is no image, damaged, or held by another program.
    pub fn open(&self) -> Result<Volume, VolumeError> {
        let options = OpenOptions { kind: self.kind, shadows: self.shadow.clone(), shadow_pattern: self.sf.clone() };
        Volume::open(&self.volume, &options)
    }
}
