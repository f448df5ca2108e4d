//! Compressed images: a base file, compressed or plain, and the shadow files over it.
//!
//! A unit is looked for from the highest file down: each either has it (stored or null) or leads to the next lower
//! one. Expanders are kept between calls, so that reading in many threads makes no new ones.

use std::sync::{Mutex, PoisonError};

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::track::{END_MARK, Track};
use tapegate_formats::dasd::track_image::{Expander, GROUP_BYTES, IMAGE_HEADER_BYTES};
use tapegate_formats::tape::unit::UnitKind;

use super::compressed_file::{BadEntry, CompressedFile, Place};
use super::error::VolumeError;
use super::fixed_block::{PlainBlocks, UNIT_BYTES};
use super::image_file::ImageFile;
use super::packing::Packers;
use super::plain_ckd::PlainCkd;
use super::shape::{Shape, UnitAddress, UnitIndex};
use super::stage::Stage;
use crate::finding::Finding;

/// A block group and the five bytes in front of it.
pub(super) const GROUP_IMAGE_BYTES: usize = IMAGE_HEADER_BYTES + GROUP_BYTES;
/// Units of a block group.
pub(super) const GROUP_UNITS: u32 = 15;
const _: () = assert!(GROUP_UNITS as usize * UNIT_BYTES == GROUP_BYTES);

/// What lies under the lowest compressed file.
#[derive(Debug)]
pub(super) enum Base {
    /// Nothing: the lowest compressed file is the base.
    Compressed,
    /// A plain CKD file.
    Ckd(PlainCkd),
    /// A plain fixed-block file.
    Blocks(PlainBlocks),
}

/// A compressed image.
pub(super) struct CompressedImage {
    shape: Shape,
    /// Highest first.
    levels: Vec<CompressedFile>,
    base: Base,
    /// Held for no I/O.
    tools: Mutex<Vec<Tools>>,
}

/// What a thread needs to expand images.
#[derive(Default)]
pub(super) struct Tools {
    expander: Expander,
    /// As the file has it.
    image: Vec<u8>,
    /// Room for an expanded unit.
    pub(super) slot: Vec<u8>,
    /// What it needs to make images, once it did.
    pub(super) packers: Option<Packers>,
    /// As the file will have it.
    pub(super) packed: Vec<u8>,
}

impl std::fmt::Debug for CompressedImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompressedImage").field("levels", &self.levels).field("base", &self.base).finish_non_exhaustive()
    }
}

impl CompressedImage {
    /// Puts the files together; `levels` begin with the highest and are at least one.
    pub(super) const fn new(shape: Shape, levels: Vec<CompressedFile>, base: Base) -> Self {
        Self { shape, levels, base, tools: Mutex::new(Vec::new()) }
    }

    pub(super) const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The highest file, which takes the writes.
    pub(super) fn top(&self) -> &CompressedFile {
        &self.levels[0]
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &ImageFile> {
        let (tracks, blocks) = match &self.base {
            Base::Compressed => (None, None),
            Base::Ckd(image) => (Some(image.files()), None),
            Base::Blocks(image) => (None, Some(image.file())),
        };
        tracks.into_iter().flatten().chain(blocks).chain(self.levels.iter().rev().map(CompressedFile::file))
    }

    /// What is odd about the files, and about the entries of units that can't be read.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.levels.iter().rev().flat_map(CompressedFile::findings).collect();
        let mut entered: Vec<u32> = self.levels.iter().flat_map(CompressedFile::entered).collect();
        entered.sort_unstable();
        entered.dedup();
        let mut bad = entered.into_iter().filter_map(|image| self.find(image).err().map(|error| (image, error)));
        if let Some((image, error)) = bad.next() {
            let more = bad.count();
            let unit = if matches!(self.shape, Shape::Ckd(_)) { image } else { image * GROUP_UNITS };
            let others = if more == 0 { String::new() } else { format!(" ({more} more units have bad entries)") };
            let finding = Finding::damage("bad-table-entry", format!("{}{others}", error.reason));
            findings.push(finding.at(self.shape.address(UnitIndex(unit))));
        }
        findings
    }

    /// Whether the length of a unit is known without expanding it.
    pub(super) const fn measures_sparsely(&self) -> bool {
        matches!(self.shape, Shape::FixedBlock(_))
    }

    /// Expands units into the stage.
    pub(super) fn read(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        let mut tools = self.take_tools();
        let result = match &self.shape {
            Shape::Ckd(geometry) => self.read_tracks(geometry, first, count, stage, &mut tools),
            Shape::FixedBlock(_) => self.read_blocks(first, count, stage, &mut tools),
        };
        self.give_back(tools);
        result
    }

    /// Expands each track to find its length; fixed-block units have theirs from the volume's shape.
    pub(super) fn measure(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        let geometry = match &self.shape {
            Shape::Ckd(geometry) => geometry,
            Shape::FixedBlock(blocks) => {
                super::fixed_block::measure(blocks, first, body_bytes);
                return Ok(());
            }
        };
        let mut tools = self.take_tools();
        let mut slot = std::mem::take(&mut tools.slot);
        slot.resize(geometry.slot_bytes() as usize, 0);
        let mut result = Ok(());
        for (track, length) in (first.0..).zip(body_bytes) {
            match self.expand_track(geometry, TrackIndex(track), &mut slot, &mut tools) {
                Ok(used) => {
                    let home = geometry.encode_cchh(geometry.cchh(TrackIndex(track)));
                    let walked = Track::parse(&slot[..used], home).ok().and_then(|found| u32::try_from(found.bytes().len()).ok());
                    *length = walked.unwrap_or(geometry.slot_bytes());
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        tools.slot = slot;
        self.give_back(tools);
        result
    }

    fn read_tracks(
        &self,
        geometry: &Geometry,
        first: UnitIndex,
        count: u32,
        stage: &mut Stage,
        tools: &mut Tools,
    ) -> Result<(), VolumeError> {
        let slot_bytes = geometry.slot_bytes() as usize;
        let buffer = stage.refill(slot_bytes * count as usize);
        let mut units = Vec::with_capacity(count as usize);
        for ((place, slot), track) in buffer.chunks_exact_mut(slot_bytes).enumerate().zip(first.0..) {
            let used = self.expand_track(geometry, TrackIndex(track), slot, tools)?;
            let home = geometry.encode_cchh(geometry.cchh(TrackIndex(track)));
            let start = place * slot_bytes;
            units.push(match Track::parse(&slot[..used], home) {
                Ok(found) => (UnitKind::Track, start..start + found.bytes().len(), None),
                Err(defect) => {
                    // Behind the image lies what the buffer held before.
                    slot[used..].fill(0);
                    (UnitKind::RawSlot, start..start + slot_bytes, Some(defect))
                }
            });
        }
        for (kind, range, defect) in units {
            stage.push(kind, range, defect);
        }
        Ok(())
    }

    /// Puts a track with its end mark into `slot` and gives its length there.
    pub(super) fn expand_track(
        &self,
        geometry: &Geometry,
        track: TrackIndex,
        slot: &mut [u8],
        tools: &mut Tools,
    ) -> Result<usize, VolumeError> {
        let address = UnitAddress::Track(geometry.cchh(track));
        let (level, place) = self.fetch(track.0, address, &mut tools.image)?;
        match place {
            Place::Image { offset, .. } => level.expand(offset, address, slot, tools),
            Place::Null(format) => {
                let home = geometry.encode_cchh(geometry.cchh(track));
                let filled = format.fill(home, slot);
                filled.map(|body| body + END_MARK.len()).ok_or_else(|| {
                    unit_error(level, address, 0, format!("a null track of format {} is longer than its slot", format.number()))
                })
            }
            Place::Below => match &self.base {
                Base::Ckd(image) => image.read_slot(track, slot).map(|()| slot.len()),
                Base::Compressed | Base::Blocks(_) => Err(no_lower(level, address)),
            },
        }
    }

    fn read_blocks(&self, first: UnitIndex, count: u32, stage: &mut Stage, tools: &mut Tools) -> Result<(), VolumeError> {
        let Shape::FixedBlock(blocks) = &self.shape else { return Ok(()) };
        let groups = if count == 0 { 0..0 } else { first.0 / GROUP_UNITS..(first.0 + count - 1) / GROUP_UNITS + 1 };
        let buffer = stage.refill(GROUP_IMAGE_BYTES * groups.len());
        for (group, image) in groups.clone().zip(buffer.chunks_exact_mut(GROUP_IMAGE_BYTES)) {
            self.expand_group(group, image, tools)?;
        }
        for unit in first.0..first.0 + count {
            let place = (unit / GROUP_UNITS - groups.start) as usize;
            let inside = (unit % GROUP_UNITS) as usize;
            let start = place * GROUP_IMAGE_BYTES + IMAGE_HEADER_BYTES + inside * UNIT_BYTES;
            stage.push(UnitKind::Blocks, start..start + super::fixed_block::unit_bytes(blocks, unit), None);
        }
        Ok(())
    }

    /// Puts a block group and the five bytes in front of it into `image`.
    pub(super) fn expand_group(&self, group: u32, image: &mut [u8], tools: &mut Tools) -> Result<(), VolumeError> {
        let first_unit = group.saturating_mul(GROUP_UNITS);
        let address = self.shape.address(UnitIndex(first_unit));
        let (level, place) = self.fetch(group, address, &mut tools.image)?;
        match place {
            Place::Null(_) => {
                image.fill(0);
                Ok(())
            }
            Place::Image { offset, .. } => {
                let used = level.expand(offset, address, image, tools)?;
                if used != image.len() {
                    let reason = format!("the block group has {used} bytes where it must have {}", image.len());
                    return Err(unit_error(level, address, offset, reason));
                }
                if image[1..IMAGE_HEADER_BYTES] != group.to_be_bytes() {
                    let reason = format!("the image here is not that of block group {group}");
                    return Err(unit_error(level, address, offset, reason));
                }
                Ok(())
            }
            Place::Below => match &self.base {
                Base::Blocks(plain) => plain.read_group(u64::from(first_unit), &mut image[IMAGE_HEADER_BYTES..]),
                Base::Compressed | Base::Ckd(_) => Err(no_lower(level, address)),
            },
        }
    }

    /// The file that has the unit, and where; `Below` only with the lowest file.
    fn find(&self, image: u32) -> Result<(&CompressedFile, Place), FindError<'_>> {
        let mut lowest = None;
        for level in &self.levels {
            match level.find(image) {
                Ok(Place::Below) => lowest = Some(level),
                Ok(place) => return Ok((level, place)),
                Err(BadEntry { offset, reason }) => return Err(FindError { level, offset, reason }),
            }
        }
        // There is at least one level, and all led below.
        let level = lowest.unwrap_or(&self.levels[0]);
        if matches!(self.base, Base::Compressed) {
            let reason = "its table entry leads to a lower file, and there is none".to_owned();
            return Err(FindError { level, offset: 0, reason });
        }
        Ok((level, Place::Below))
    }

    /// The file that has the unit, and where; an image is read into `image`, in one go with finding it.
    fn fetch(&self, unit: u32, address: UnitAddress, image: &mut Vec<u8>) -> Result<(&CompressedFile, Place), VolumeError> {
        // Only the highest file is ever written.
        let _held = self.levels[0].hold();
        let (level, place) = self.find(unit).map_err(|error| unit_error(error.level, address, error.offset, error.reason))?;
        if let Place::Image { offset, length } = place {
            image.resize(usize::from(length), 0);
            level.file().read_at(offset, image)?;
        }
        Ok((level, place))
    }

    pub(super) fn take_tools(&self) -> Tools {
        let kept = self.tools.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_default()
    }

    pub(super) fn give_back(&self, tools: Tools) {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner).push(tools);
    }
}

/// A bad entry and the file that has it.
struct FindError<'a> {
    level: &'a CompressedFile,
    offset: u64,
    reason: String,
}

impl CompressedFile {
    /// Expands the image that was fetched from `offset` into `out`, header bytes included; gives its length.
    fn expand(&self, offset: u64, address: UnitAddress, out: &mut [u8], tools: &mut Tools) -> Result<usize, VolumeError> {
        tools.expander.expand(&tools.image, out).map_err(|error| unit_error(self, address, offset, error.to_string()))
    }
}

fn unit_error(level: &CompressedFile, address: UnitAddress, offset: u64, reason: String) -> VolumeError {
    VolumeError::Unit { path: level.file().path().to_owned(), address, offset, reason }
}

fn no_lower(level: &CompressedFile, address: UnitAddress) -> VolumeError {
    unit_error(level, address, 0, "its table entry leads to a lower file, and there is none".to_owned())
}
