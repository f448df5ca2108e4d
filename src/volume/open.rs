//! Opening a volume: its format by content, its base and its shadow files.

use std::path::{Path, PathBuf};

use tapegate_formats::dasd::device_header::{DEVICE_HEADER_BYTES, DeviceHeader, DiskClass, FileRole, OffsetWidth};

use super::compressed::{Base, CompressedImage};
use super::compressed_file::CompressedFile;
use super::detect::{self, Content};
use super::error::VolumeError;
use super::fixed_block::PlainBlocks;
use super::format::ImageFormat;
use super::image_file::{Access, ImageFile};
use super::naming;
use super::opened::{OpenOptions, Source, Volume};
use super::plain_ckd::PlainCkd;
use super::raw_track::RawTracks;
use super::shape::Shape;

impl Volume {
    /// Opens an image for reading and finds out what it is.
    ///
    /// # Errors
    /// When a file can't be opened or is locked by a writer, its headers and tables make no sense, or its content does
    /// not tell what it is.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, VolumeError> {
        Self::open_as(path, options, Access::Read)
    }

    /// Opens an image for reading and for writing in place: every file that will be written is locked for this program
    /// alone, those below the highest shadow file are locked against writers.
    ///
    /// Nothing is written by opening.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when another program has one of the files to be written open, or a compressed image
    /// has damage that would grow by writing to it.
    pub fn open_for_update(path: &Path, options: &OpenOptions) -> Result<Self, VolumeError> {
        Self::open_as(path, options, Access::Update)
    }

    fn open_as(path: &Path, options: &OpenOptions, access: Access) -> Result<Self, VolumeError> {
        let shadows = shadow_files(options);
        // What lies below a shadow file is never written.
        let file = ImageFile::open(path, if shadows.is_empty() { access } else { Access::Read })?;
        let content = match options.kind {
            // What has no header can be taken for anything: here the operator decides.
            Some(ImageFormat::RawTrack) => Content::RawTracks,
            Some(ImageFormat::Fba) => Content::Blocks,
            _ => detect::content(&file)?,
        };
        let (source, shape, format) = open_source(file, content, &Shadows { paths: &shadows, access })?;
        if let Some(wanted) = options.kind.filter(|wanted| *wanted != format && shadows.is_empty()) {
            return Err(VolumeError::Refused {
                path: path.to_owned(),
                reason: format!("its content is of the format {format}, not {wanted}"),
            });
        }
        Ok(Self::new(path, format, shape, source))
    }
}

/// Shadow files, and what the highest of them is opened for.
struct Shadows<'a> {
    /// The lowest first.
    paths: &'a [PathBuf],
    access: Access,
}

/// The shadow files, lowest first.
fn shadow_files(options: &OpenOptions) -> Vec<PathBuf> {
    let found = options
        .shadow_pattern
        .iter()
        .flat_map(|pattern| ('1'..='8').map_while(|digit| naming::replace_marked(pattern, digit).filter(|path| path.exists())));
    options.shadows.iter().cloned().chain(found).collect()
}

fn open_source(file: ImageFile, content: Content, shadows: &Shadows) -> Result<(Source, Shape, ImageFormat), VolumeError> {
    match content {
        Content::RawTracks if shadows.paths.is_empty() => {
            let image = RawTracks::open(file)?;
            let shape = Shape::Ckd(image.geometry());
            Ok((Source::RawTracks(image), shape, ImageFormat::RawTrack))
        }
        Content::RawTracks => Err(file.unsupported("shadow files can't lie over raw tracks")),
        Content::Blocks => {
            let image = PlainBlocks::open(file)?;
            let shape = Shape::FixedBlock(image.shape());
            if shadows.paths.is_empty() {
                return Ok((Source::Blocks(image), shape, ImageFormat::Fba));
            }
            with_shadows(shape, None, Vec::new(), Base::Blocks(image), shadows)
        }
        Content::Header(header) => open_with_header(file, &header, shadows),
    }
}

fn open_with_header(
    file: ImageFile,
    header: &DeviceHeader,
    shadows: &Shadows,
) -> Result<(Source, Shape, ImageFormat), VolumeError> {
    match (header.eyecatcher.class, header.eyecatcher.role) {
        (_, FileRole::Shadow) => Err(file.unsupported("this is a shadow file; give its base, and this with --shadow")),
        (DiskClass::FixedBlock, FileRole::Plain) => {
            Err(file.unsupported(format!("an image of the kind {} is not known", header.eyecatcher)))
        }
        (DiskClass::Ckd, FileRole::Plain) => {
            let image = PlainCkd::open(file, header)?;
            let shape = Shape::Ckd(image.geometry());
            if shadows.paths.is_empty() {
                return Ok((Source::Plain(image), shape, ImageFormat::Ckd));
            }
            if let Some(second) = image.files().nth(1) {
                return Err(second.unsupported("shadow files can't lie over a plain volume in several files"));
            }
            with_shadows(shape, Some(header), Vec::new(), Base::Ckd(image), shadows)
        }
        (_, FileRole::Compressed) => {
            if header.sequence > 1 || header.highest_cylinder != 0 {
                return Err(file.corrupt(17, "a compressed image in several files"));
            }
            let base = CompressedFile::open(file, header)?;
            let shape = *base.shape();
            with_shadows(shape, Some(header), vec![base], Base::Compressed, shadows)
        }
    }
}

/// Opens shadow files over a base and puts the image together.
///
/// `header` is that of the base, if it has one; `levels` has the base if it is compressed.
fn with_shadows(
    shape: Shape,
    header: Option<&DeviceHeader>,
    mut levels: Vec<CompressedFile>,
    base: Base,
    shadows: &Shadows,
) -> Result<(Source, Shape, ImageFormat), VolumeError> {
    let mut width = header.map_or(OffsetWidth::Bits32, |header| header.eyecatcher.width);
    for (number, path) in (1..).zip(shadows.paths) {
        let access = if number == shadows.paths.len() { shadows.access } else { Access::Read };
        let file = ImageFile::open(path, access)?;
        let own =
            DeviceHeader::parse(&file.read_head(DEVICE_HEADER_BYTES)?).map_err(|error| file.corrupt(0, error.to_string()))?;
        if own.eyecatcher.role != FileRole::Shadow {
            return Err(file.unsupported(format!("a file of the kind {} is no shadow file", own.eyecatcher)));
        }
        width = own.eyecatcher.width;
        let level = CompressedFile::open(file, &own)?;
        if *level.shape() != shape {
            return Err(level.file().corrupt(0, "device type or size are not those of the base"));
        }
        levels.push(level);
    }
    levels.reverse();
    let image = CompressedImage::new(shape, levels, base);
    let format = match (shape, width) {
        (Shape::Ckd(_), OffsetWidth::Bits32) => ImageFormat::Cckd,
        (Shape::Ckd(_), OffsetWidth::Bits64) => ImageFormat::Cckd64,
        (Shape::FixedBlock(_), OffsetWidth::Bits32) => ImageFormat::CompressedFba,
        (Shape::FixedBlock(_), OffsetWidth::Bits64) => ImageFormat::CompressedFba64,
    };
    Ok((Source::Compressed(image), shape, format))
}
