//! New images, for restores.
//!
//! An image is written beside its final name and takes it when it is complete, so that nothing under that name is ever
//! half a volume. An existing file is never overwritten.

mod compressed;
mod fixed_block;
mod partial_file;
mod slotted;

use std::path::Path;

pub use tapegate_formats::dasd::track_image::Compression;

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::device_header::OffsetWidth;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::raw_track::RAW_SLOT_BYTES;
use tapegate_formats::dasd::track::{END_MARK, Track};
use tapegate_formats::tape::unit::UnitKind;

use self::compressed::CompressedWriter;
use self::partial_file::PartialFile;
use self::slotted::SlottedWriter;
use super::error::VolumeError;
use super::fixed_block::unit_bytes;
use super::format::ImageFormat;
use super::shape::{Shape, UnitIndex};

/// The level at which libdeflate makes images as small as Hercules' zlib does at its default. Measured on 600 cylinders of
/// a 3390 full of records: 134.5 MB where dasdcopy makes 134.8, in a quarter of its time; level 1 makes 146.0.
pub const DEFAULT_ZLIB_LEVEL: u8 = 4;

/// What a new image is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateOptions {
    /// Its format.
    pub format: ImageFormat,
    /// How compressed formats store units; others ignore it.
    pub compression: Compression,
}

impl CreateOptions {
    /// An image of a format, with zlib at [`DEFAULT_ZLIB_LEVEL`] where it is compressed.
    #[must_use]
    pub const fn new(format: ImageFormat) -> Self {
        Self { format, compression: Compression::Zlib { level: DEFAULT_ZLIB_LEVEL } }
    }
}

/// An image under construction; dropped before [`finish`](Self::finish), it leaves nothing behind.
#[derive(Debug)]
pub struct NewImage {
    shape: Shape,
    file: PartialFile,
    writer: Writer,
}

#[derive(Debug)]
enum Writer {
    Slotted(SlottedWriter),
    Blocks,
    Compressed(CompressedWriter),
}

impl NewImage {
    /// Begins an image of the given shape under a partial name beside `path`.
    ///
    /// Slots of raw tracks, which are longer than any device's, become those of the device in other formats, and the
    /// other way round.
    ///
    /// # Errors
    /// When `path` exists, the format can't hold such a volume, or the file can't be made.
    pub fn create(path: &Path, shape: &Shape, options: &CreateOptions) -> Result<Self, VolumeError> {
        let shape = shape_in(shape, options.format)
            .map_err(|reason| VolumeError::Unsupported { path: path.to_owned(), reason: reason.to_owned() })?;
        let file = PartialFile::create(path)?;
        let writer = match (&shape, options.format) {
            (Shape::Ckd(geometry), ImageFormat::RawTrack) => Writer::Slotted(SlottedWriter::begin_raw_tracks(&file, geometry)?),
            (Shape::Ckd(geometry), ImageFormat::Ckd) => Writer::Slotted(SlottedWriter::begin_ckd(&file, geometry)?),
            (Shape::FixedBlock(blocks), ImageFormat::Fba) => {
                fixed_block::begin(&file, blocks)?;
                Writer::Blocks
            }
            (_, format) => {
                let wide = matches!(format, ImageFormat::Cckd64 | ImageFormat::CompressedFba64);
                let width = if wide { OffsetWidth::Bits64 } else { OffsetWidth::Bits32 };
                Writer::Compressed(CompressedWriter::begin(&file, &shape, width, options.compression)?)
            }
        };
        Ok(Self { shape, file, writer })
    }

    /// The shape that the image has; its slots may differ from those asked for.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Writes neighbouring units; several threads may write disjoint units at once. No unit may be written twice.
    ///
    /// # Errors
    /// When the volume has no such units, a body is none of a unit of this volume or does not fit its place, or the
    /// file can't be written.
    pub fn write_units(&self, first: UnitIndex, units: &[(UnitKind, &[u8])]) -> Result<(), VolumeError> {
        let count = units.len() as u64;
        if u64::from(first.0) + count > u64::from(self.shape.units()) {
            return Err(VolumeError::Refused {
                path: self.file.path().to_owned(),
                reason: format!("{count} units from {} on pass the end of the volume", self.shape.address(first)),
            });
        }
        for (unit, (kind, body)) in (first.0..).zip(units) {
            self.check_unit(UnitIndex(unit), *kind, body)?;
        }
        match &self.writer {
            Writer::Slotted(writer) => writer.write(&self.file, first, units),
            Writer::Blocks => fixed_block::write(&self.file, first, units),
            Writer::Compressed(writer) => writer.write(&self.file, first, units),
        }
    }

    /// Completes the image and gives it its name. Units never written are null tracks without records, or zeros.
    ///
    /// # Errors
    /// When the file can't be written, or a file of that name has appeared.
    pub fn finish(self, sync: bool) -> Result<(), VolumeError> {
        match &self.writer {
            Writer::Slotted(writer) => writer.finish(&self.file)?,
            Writer::Blocks => {}
            Writer::Compressed(writer) => writer.finish(&self.file)?,
        }
        self.file.publish(sync)
    }

    /// Checks that a body is what a unit of this image can be.
    fn check_unit(&self, unit: UnitIndex, kind: UnitKind, body: &[u8]) -> Result<(), VolumeError> {
        let reason = match (&self.shape, kind) {
            (Shape::Ckd(geometry), UnitKind::Track) => {
                let room = (geometry.slot_bytes() as usize).saturating_sub(END_MARK.len());
                let home = geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)));
                match Track::from_bytes(body, home) {
                    Err(error) => error.to_string(),
                    Ok(_) if body.len() > room => {
                        format!("a track of {} bytes does not fit a slot with room for {room}", body.len())
                    }
                    Ok(_) => return Ok(()),
                }
            }
            (Shape::Ckd(geometry), UnitKind::RawSlot) => match &self.writer {
                Writer::Slotted(_) if body.len() == geometry.slot_bytes() as usize => return Ok(()),
                Writer::Slotted(_) => {
                    format!("a raw slot of {} bytes is none of {} bytes", body.len(), geometry.slot_bytes())
                }
                Writer::Blocks | Writer::Compressed(_) => {
                    "a track whose records don't walk has no place in a compressed image; use the format ckd".to_owned()
                }
            },
            (Shape::FixedBlock(blocks), UnitKind::Blocks) if body.len() == unit_bytes(blocks, unit.0) => return Ok(()),
            (Shape::FixedBlock(_), UnitKind::Blocks) => format!("{} bytes are not what this unit has", body.len()),
            (Shape::Ckd(_), UnitKind::Blocks) => "fixed blocks are no track".to_owned(),
            (Shape::FixedBlock(_), UnitKind::Track | UnitKind::RawSlot) => "a track is no fixed blocks".to_owned(),
        };
        Err(VolumeError::Unfit { path: self.file.path().to_owned(), address: self.shape.address(unit), reason })
    }
}

/// The shape of a volume in a format, or why the format can't hold it.
fn shape_in(shape: &Shape, format: ImageFormat) -> Result<Shape, &'static str> {
    let geometry = match (shape, format.is_ckd()) {
        (Shape::Ckd(geometry), true) => geometry,
        (Shape::FixedBlock(blocks), false) if blocks.block_bytes == 512 && blocks.unit_blocks == 8 => return Ok(*shape),
        (Shape::FixedBlock(_), false) => return Err("only blocks of 512 bytes in units of eight can be written"),
        (Shape::Ckd(_), false) => return Err("a volume of tracks has no place in a fixed-block image"),
        (Shape::FixedBlock(_), true) => return Err("a fixed-block volume has no place in an image of tracks"),
    };
    let raw = format == ImageFormat::RawTrack;
    if raw && (geometry.device() != DeviceType::Ibm3390 || geometry.heads() != 15) {
        return Err("raw tracks are those of a 3390");
    }
    if !raw && geometry.cylinders() > 65_536 {
        return Err("emulated disks have at most 65,536 cylinders; use the format raw-track");
    }
    let slot_bytes = match (raw, geometry.slot_bytes()) {
        (true, _) => RAW_SLOT_BYTES,
        (false, RAW_SLOT_BYTES) => geometry.device().slot_bytes(),
        (false, slot_bytes) => slot_bytes,
    };
    Geometry::new(geometry.device(), geometry.cylinders(), u32::from(geometry.heads()), slot_bytes)
        .map(Shape::Ckd)
        .map_err(|_| "a geometry that no image can have")
}
