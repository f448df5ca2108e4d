//! From a tape back to a volume, and the check of a tape unit by unit.

mod described;
mod error;
mod existing;
mod file_stream;
mod new_image;
mod relocate;
mod tape_volume;
mod units;
mod verify;

pub use described::DescribedTracks;
pub use error::RestoreError;
pub use existing::{ExistingOptions, restore_into};
pub use new_image::{NewImageOptions, restore_new};
pub use tape_volume::{FileClassOnTape, TapeVolume, VolumeFile};
pub use verify::{DIFFERS, Verified, verify};

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    /// Names of the files that were put back.
    pub files: Vec<String>,
    /// Units that were written.
    pub units: u64,
    /// What was odd.
    pub findings: Vec<crate::finding::Finding>,
}
