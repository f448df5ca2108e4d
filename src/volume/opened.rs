//! The opened volume: one interface over all image formats.

use std::path::{Path, PathBuf};

use super::compressed::CompressedImage;
use super::error::VolumeError;
use super::fixed_block::{self, PlainBlocks};
use super::format::ImageFormat;
use super::image_file::{Fingerprint, ImageFile};
use super::plain_ckd::PlainCkd;
use super::raw_track::RawTracks;
use super::shape::{Shape, UnitAddress, UnitIndex};
use super::stage::Stage;
use crate::finding::Finding;

/// How a volume is to be opened.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// The format, where the content can't tell it. `fba` and `raw-track` take any content of the right length; for the
    /// others opening fails if the content tells another.
    pub kind: Option<ImageFormat>,
    /// Shadow files over the image, the lowest first.
    pub shadows: Vec<PathBuf>,
    /// Name pattern of shadow files as in Hercules' `sf=`: the character before the first dot of the last path
    /// component stands for 1 to 8. Those that exist, up to the first that does not, come behind
    /// [`shadows`](Self::shadows).
    pub shadow_pattern: Option<PathBuf>,
}

/// An opened volume, under a lock on each of its files: shared on those that are read, exclusive on those that are
/// written.
#[derive(Debug)]
pub struct Volume {
    path: PathBuf,
    format: ImageFormat,
    shape: Shape,
    findings: Vec<Finding>,
    fingerprint: Fingerprint,
    pub(super) writable: bool,
    pub(super) source: Source,
}

/// Where units come from.
#[derive(Debug)]
pub(super) enum Source {
    Plain(PlainCkd),
    RawTracks(RawTracks),
    Blocks(PlainBlocks),
    Compressed(CompressedImage),
}

impl Volume {
    pub(super) fn new(path: &Path, format: ImageFormat, shape: Shape, source: Source) -> Self {
        let findings = if let Source::Compressed(image) = &source { image.findings() } else { Vec::new() };
        let fingerprint = Fingerprint { files: source.files().iter().map(|file| file.identity()).collect() };
        let writable = source.files().into_iter().any(ImageFile::is_writable);
        Self { path: path.to_owned(), format, shape, findings, fingerprint, writable, source }
    }

    /// The path by which it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps out everybody else who locks images, readers included, until the volume is dropped.
    ///
    /// # Errors
    /// When another program holds a lock on one of its files.
    pub fn lock_exclusively(&self) -> Result<(), VolumeError> {
        self.source.files().into_iter().try_for_each(ImageFile::lock_exclusively)
    }

    /// The format found.
    #[must_use]
    pub const fn format(&self) -> ImageFormat {
        self.format
    }

    /// Units and their addresses.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What was odd when the image was opened.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Identity of the volume's files when it was opened.
    #[must_use]
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Reads `count` neighbouring units into `stage`; several threads may read at once, each into its own.
    ///
    /// A track's body goes from the home address to the last record. A track whose home address or records are wrong
    /// comes as its whole slot, with the defect; a compressed one that is shorter than the slot is padded with zeros.
    ///
    /// # Errors
    /// When the volume has no such units, the file can't be read, or a compressed unit can't be expanded.
    pub fn read_units(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        self.check_range(first, u64::from(count))?;
        match &self.source {
            Source::Plain(image) => image.read(first, count, stage),
            Source::RawTracks(image) => image.read(first, count, stage),
            Source::Blocks(image) => image.read(first, count, stage),
            Source::Compressed(image) => image.read(first, count, stage),
        }
    }

    /// Gives the body length of each unit from `first` on, as [`read_units`](Self::read_units) would.
    ///
    /// # Errors
    /// As [`read_units`](Self::read_units).
    pub fn measure_units(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        self.check_range(first, body_bytes.len() as u64)?;
        match &self.source {
            Source::Plain(image) => image.measure(first, body_bytes),
            Source::RawTracks(image) => image.measure(first, body_bytes),
            Source::Blocks(image) => {
                fixed_block::measure(&image.shape(), first, body_bytes);
                Ok(())
            }
            Source::Compressed(image) => image.measure(first, body_bytes),
        }
    }

    /// Whether measuring is much cheaper than reading; compressed CKD images must expand each track to measure it.
    #[must_use]
    pub const fn measures_sparsely(&self) -> bool {
        match &self.source {
            Source::Plain(_) | Source::RawTracks(_) | Source::Blocks(_) => true,
            Source::Compressed(image) => image.measures_sparsely(),
        }
    }

    /// Looks again whether anyone wrote to the volume's files since they were opened; those that this program writes
    /// itself are left out.
    ///
    /// Of block devices only the size is known: they keep no time of the last write.
    ///
    /// # Errors
    /// [`VolumeError::Refused`] naming what changed.
    pub fn check_unchanged(&self) -> Result<(), VolumeError> {
        self.source.files().into_iter().try_for_each(ImageFile::check_unchanged)
    }

    pub(super) fn check_range(&self, first: UnitIndex, count: u64) -> Result<(), VolumeError> {
        let units = self.shape.units();
        if u64::from(first.0) + count <= u64::from(units) {
            return Ok(());
        }
        let address: UnitAddress = self.shape.address(first);
        Err(VolumeError::Refused {
            path: self.path.clone(),
            reason: format!("{count} units from {address} on pass the end of the volume, which has {units}"),
        })
    }
}

impl Source {
    pub(super) fn files(&self) -> Vec<&ImageFile> {
        match self {
            Self::Plain(image) => image.files().collect(),
            Self::RawTracks(image) => vec![image.file()],
            Self::Blocks(image) => vec![image.file()],
            Self::Compressed(image) => image.files().collect(),
        }
    }
}
