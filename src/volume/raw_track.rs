//! Images of Linux on Z `raw_track_access`: 64 KiB a track without a home address, in a file or on a block device.
//!
//! The home address is made from the track's number, so that units are the same as those of other CKD images.

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::raw_track::{self, RAW_CYLINDER_BYTES, RAW_SLOT_BYTES, RAW_TRACK_BYTES};
use tapegate_formats::dasd::track::HOME_ADDRESS_BYTES;

use super::error::VolumeError;
use super::image_file::ImageFile;
use super::shape::UnitIndex;
use super::slots::{self, SparseWalk};
use super::stage::Stage;

/// A raw-track volume.
#[derive(Debug)]
pub(super) struct RawTracks {
    file: ImageFile,
    geometry: Geometry,
}

impl RawTracks {
    /// Takes an opened file or block device as a raw-track volume.
    pub(super) fn open(file: ImageFile) -> Result<Self, VolumeError> {
        let size = file.size_bytes();
        if !size.is_multiple_of(RAW_CYLINDER_BYTES) {
            return Err(file.corrupt(
                size - size % RAW_CYLINDER_BYTES,
                format!("{size} bytes are no whole number of cylinders of {RAW_CYLINDER_BYTES} bytes"),
            ));
        }
        let geometry = raw_track::geometry(size).map_err(|error| file.corrupt(0, error.to_string()))?;
        Ok(Self { file, geometry })
    }

    pub(super) const fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(super) const fn file(&self) -> &ImageFile {
        &self.file
    }

    /// Reads tracks, each behind its home address.
    pub(super) fn read(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        // Slots begin on pages, and what is read into them lies behind the home address.
        let buffer = stage.refill_from(0_u64.wrapping_sub(HOME_ADDRESS_BYTES as u64), RAW_SLOT_BYTES as usize * count as usize);
        for (track, slot) in (first.0..).zip(buffer.chunks_exact_mut(RAW_SLOT_BYTES as usize)) {
            let (home, content) = slot.split_at_mut(HOME_ADDRESS_BYTES);
            home[0] = 0;
            home[1..].copy_from_slice(&self.home(track));
            self.file.read_at(offset(track), content)?;
        }
        slots::stage_slots(&self.geometry, first, count, stage);
        Ok(())
    }

    /// Reads one track into `slot`, which has room for its home address and 64 KiB.
    pub(super) fn read_slot(&self, track: TrackIndex, slot: &mut [u8]) -> Result<(), VolumeError> {
        let Some((home, content)) = slot.split_first_chunk_mut::<HOME_ADDRESS_BYTES>() else { return Ok(()) };
        home[0] = 0;
        home[1..].copy_from_slice(&self.home(track.0));
        self.file.read_at(offset(track.0), content)
    }

    /// Writes bytes from `inside` of a slot on; the file has no home address, and the caller checked that they say
    /// nothing else.
    pub(super) fn write_slot(&self, track: TrackIndex, inside: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        let inside = inside as usize;
        let left_out = HOME_ADDRESS_BYTES.saturating_sub(inside).min(bytes.len());
        let at = (inside + left_out).saturating_sub(HOME_ADDRESS_BYTES) as u64;
        self.file.write_at(offset(track.0) + at, &bytes[left_out..])
    }

    /// Walks the count fields of each track in small reads.
    pub(super) fn measure(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        let mut walk = SparseWalk::without_home_address(RAW_SLOT_BYTES);
        for (track, length) in (first.0..).zip(body_bytes) {
            *length = walk.measure(self.home(track), |at, buffer| self.file.read_at(offset(track) + at, buffer))?;
        }
        Ok(())
    }

    fn home(&self, track: u32) -> [u8; 4] {
        self.geometry.encode_cchh(self.geometry.cchh(TrackIndex(track)))
    }
}

/// Where a track begins in the file.
fn offset(track: u32) -> u64 {
    u64::from(track) * u64::from(RAW_TRACK_BYTES)
}
