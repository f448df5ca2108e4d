//! New images, for restores.
//!
//! An image is written beside its final name and takes it when it is complete, so that nothing under that name is ever
//! half a volume. An existing file is never overwritten.

mod partial_file;
mod plain_ckd;

use std::path::{Path, PathBuf};

use tapegate_formats::tape::unit::UnitKind;

use self::partial_file::PartialFile;
use self::plain_ckd::PlainCkdWriter;
use super::error::VolumeError;
use super::format::ImageFormat;
use super::shape::{Shape, UnitIndex};

/// How units of compressed images are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// zlib (libdeflate) at a level from 1 to 12.
    Zlib {
        /// Level; higher is smaller and slower.
        level: u8,
    },
    /// bzip2.
    Bzip2,
}

/// What a new image is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOptions {
    /// Its format.
    pub format: ImageFormat,
    /// How compressed formats store units; others ignore it.
    pub compression: Compression,
}

/// An image under construction; dropped before [`finish`](Self::finish), it leaves nothing behind.
#[derive(Debug)]
pub struct NewImage {
    path: PathBuf,
    shape: Shape,
    file: PartialFile,
    writer: Writer,
}

#[derive(Debug)]
enum Writer {
    Plain(PlainCkdWriter),
}

impl NewImage {
    /// Begins an image of the given shape under a partial name beside `path`.
    ///
    /// # Errors
    /// When `path` exists, the format can't hold such a volume, or the file can't be made.
    pub fn create(path: &Path, shape: &Shape, options: &CreateOptions) -> Result<Self, VolumeError> {
        let unsupported = |reason: &str| VolumeError::Unsupported { path: path.to_owned(), reason: reason.to_owned() };
        let file = PartialFile::create(path)?;
        let writer = match (options.format, shape) {
            (ImageFormat::Ckd, Shape::Ckd(geometry)) => Writer::Plain(PlainCkdWriter::begin(&file, geometry)?),
            _ => return Err(unsupported("not yet")),
        };
        Ok(Self { path: path.to_owned(), shape: *shape, file, writer })
    }

    /// Writes neighbouring units; several threads may write disjoint units at once.
    ///
    /// # Errors
    /// When the volume has no such units, a body does not fit its place, or the file can't be written.
    pub fn write_units(&self, first: UnitIndex, units: &[(UnitKind, &[u8])]) -> Result<(), VolumeError> {
        let count = units.len() as u64;
        if u64::from(first.0) + count > u64::from(self.shape.units()) {
            return Err(VolumeError::Refused {
                path: self.path.clone(),
                reason: format!("{count} units from {} on pass the end of the volume", self.shape.address(first)),
            });
        }
        match &self.writer {
            Writer::Plain(writer) => writer.write(&self.file, first, units),
        }
    }

    /// Completes the image and gives it its name. Units never written are null tracks without records, or zeros.
    ///
    /// # Errors
    /// When the file can't be written, or a file of that name has appeared.
    pub fn finish(self, sync: bool) -> Result<(), VolumeError> {
        match &self.writer {
            Writer::Plain(writer) => writer.finish(&self.file)?,
        }
        self.file.publish(sync)
    }
}
