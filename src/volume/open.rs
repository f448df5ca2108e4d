//! Opening a volume: which format it is, by its content.

use std::path::Path;

use tapegate_formats::dasd::device_header::{DEVICE_HEADER_BYTES, DeviceHeader, DiskClass, FileRole};

use super::error::VolumeError;
use super::format::ImageFormat;
use super::image_file::ImageFile;
use super::opened::{OpenOptions, Source, Volume};
use super::plain_ckd::PlainCkd;
use super::shape::Shape;

impl Volume {
    /// Opens an image for reading and finds out what it is.
    ///
    /// # Errors
    /// When a file can't be opened or is locked by a writer, its headers and tables make no sense, or its content does
    /// not tell what it is.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, VolumeError> {
        let file = ImageFile::open(path)?;
        let head = file.read_head(DEVICE_HEADER_BYTES)?;
        let header = DeviceHeader::parse(&head).map_err(|error| file.corrupt(0, error.to_string()))?;
        match (header.eyecatcher.class, header.eyecatcher.role) {
            (DiskClass::Ckd, FileRole::Plain) => {
                let image = PlainCkd::open(file, &header)?;
                let shape = Shape::Ckd(image.geometry());
                let _ = options;
                Ok(Self::new(path, ImageFormat::Ckd, shape, Vec::new(), Source::Plain(image)))
            }
            _ => Err(file.unsupported("not yet")),
        }
    }
}
