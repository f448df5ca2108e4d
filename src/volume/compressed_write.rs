//! Slots of compressed images: read whole, and written in whole or in part.
//!
//! A unit is stored in one piece, so a write to a part of it expands the unit, changes it, and stores it anew. Each write
//! is stored before the call returns: a crash of the process loses nothing.

use std::sync::atomic::Ordering;

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::track::{END_MARK, Track};
use tapegate_formats::dasd::track_image::{Compression, IMAGE_HEADER_BYTES};

use super::compressed::{CompressedImage, GROUP_IMAGE_BYTES, GROUP_UNITS, Tools};
use super::editor::{Editor, Target};
use super::error::VolumeError;
use super::fixed_block::UNIT_BYTES;
use super::packing::{Made, Packers};
use super::shape::{Shape, UnitIndex};
use super::update::Room;

/// The level at which libdeflate makes images of units that a host writes: the lowest, because the host waits for it.
/// Measured by `cargo bench --bench slots`: replacing one of twelve records of a track takes 0.30 ms, of which expanding
/// the track is 0.06; on a plain image it takes 0.003.
const UPDATE_ZLIB_LEVEL: u8 = 1;

impl CompressedImage {
    /// Expands one unit into `buffer`, and zeros behind a track's end mark.
    pub(super) fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        let mut tools = self.take_tools();
        let result = match self.shape() {
            Shape::Ckd(geometry) => self.expand_slot(geometry, TrackIndex(unit.0), buffer, &mut tools),
            Shape::FixedBlock(_) => {
                let mut group = std::mem::take(&mut tools.slot);
                group.resize(GROUP_IMAGE_BYTES, 0);
                let expanded = self.expand_group(unit.0 / GROUP_UNITS, &mut group, &mut tools).map(|()| {
                    let start = place_in_group(unit);
                    buffer.copy_from_slice(&group[start..start + buffer.len()]);
                });
                tools.slot = group;
                expanded
            }
        };
        self.give_back(tools);
        result
    }

    /// Writes bytes from `offset` of a unit on; the caller checked that they lie in it.
    pub(super) fn write_slot(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        let editor = self.editor()?;
        let target = self.target(match self.shape() {
            Shape::Ckd(_) => unit.0,
            Shape::FixedBlock(_) => unit.0 / GROUP_UNITS,
        });
        let mut tools = self.take_tools();
        let mut slot = std::mem::take(&mut tools.slot);
        let _unit = editor.lock_unit(target.image);
        let result = self.write_into(editor, target, unit, offset as usize, bytes, &mut slot, &mut tools);
        tools.slot = slot;
        self.give_back(tools);
        result
    }

    /// Waits until everything written is on stable storage.
    pub(super) fn sync(&self) -> Result<(), VolumeError> {
        self.top().editor().map_or(Ok(()), |editor| self.top().sync(editor))
    }

    /// Room left; `None` if the image was opened for reading.
    pub(super) fn room(&self) -> Option<Room> {
        self.top().editor().map(Editor::room)
    }

    /// Moves images towards the beginning of the file.
    pub(super) fn compact(&self, most_bytes: u64) -> Result<u64, VolumeError> {
        self.top().compact(self.editor()?, most_bytes, |image| self.target(image))
    }

    /// Leaves the file as a clean stop does; everything is synced.
    pub(super) fn close(&self) -> Result<(), VolumeError> {
        let Some(editor) = self.top().editor() else { return Ok(()) };
        // After a failure nothing more is written: the mark stays.
        self.top().finish(editor, true).inspect_err(|_| editor.unsure.store(true, Ordering::Release))
    }

    fn editor(&self) -> Result<&Editor, VolumeError> {
        self.top().editor().ok_or_else(|| self.top().file().unsupported("the image was opened for reading only"))
    }

    fn target(&self, image: u32) -> Target {
        let unit = if matches!(self.shape(), Shape::Ckd(_)) { image } else { image.saturating_mul(GROUP_UNITS) };
        Target { image, address: self.shape().address(UnitIndex(unit)) }
    }

    /// Expands a track into its slot, and zeros behind its end mark.
    fn expand_slot(&self, geometry: &Geometry, track: TrackIndex, slot: &mut [u8], tools: &mut Tools) -> Result<(), VolumeError> {
        let used = self.expand_track(geometry, track, slot, tools)?;
        let home = geometry.encode_cchh(geometry.cchh(track));
        let end = Track::parse(&slot[..used], home).map_or(used, |track| track.bytes().len() + END_MARK.len());
        slot[end..].fill(0);
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "buffers that are borrowed apart")]
    fn write_into(
        &self,
        editor: &Editor,
        target: Target,
        unit: UnitIndex,
        offset: usize,
        bytes: &[u8],
        slot: &mut Vec<u8>,
        tools: &mut Tools,
    ) -> Result<(), VolumeError> {
        let (start, whole) = match self.shape() {
            Shape::Ckd(geometry) => {
                slot.resize(geometry.slot_bytes() as usize, 0);
                let whole = bytes.len() == slot.len();
                // Who writes all of it can repair a track that can't be expanded.
                if !whole {
                    self.expand_slot(geometry, TrackIndex(unit.0), slot, tools)?;
                }
                (offset, whole)
            }
            Shape::FixedBlock(_) => {
                slot.resize(GROUP_IMAGE_BYTES, 0);
                self.expand_group(target.image, slot, tools)?;
                slot[..IMAGE_HEADER_BYTES].fill(0);
                slot[1..IMAGE_HEADER_BYTES].copy_from_slice(&target.image.to_be_bytes());
                (place_in_group(unit) + offset, false)
            }
        };
        let changed = &mut slot[start..start + bytes.len()];
        if !whole && changed == bytes {
            return Ok(());
        }
        changed.copy_from_slice(bytes);
        let mut packers = match tools.packers.take() {
            Some(packers) => packers,
            None => self.packers()?,
        };
        tools.packed.clear();
        let made = match self.shape() {
            Shape::Ckd(geometry) => {
                let home = geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)));
                packers.pack_slot(home, slot, self.top().null_format(), &mut tools.packed)
            }
            Shape::FixedBlock(_) => packers.pack_group(slot, &mut tools.packed),
        };
        tools.packers = Some(packers);
        match made {
            Made::Null(entry) => self.top().store_null(editor, target, entry),
            Made::Image(_) => self.top().store_image(editor, target, &tools.packed),
        }
    }

    /// Packers of the compression that the file's header names.
    fn packers(&self) -> Result<Packers, VolumeError> {
        let compression = match self.top().header().compression {
            0 => Compression::None,
            2 => Compression::Bzip2,
            _ => Compression::Zlib { level: UPDATE_ZLIB_LEVEL },
        };
        Packers::new(compression).map_err(|error| self.top().file().unsupported(error.to_string()))
    }
}

/// Where a unit lies in the image of its group.
const fn place_in_group(unit: UnitIndex) -> usize {
    IMAGE_HEADER_BYTES + (unit.0 % GROUP_UNITS) as usize * UNIT_BYTES
}
