//! Writes images that keep tracks in slots of one length: plain CKD, and raw tracks of Linux on Z.

use std::sync::{Mutex, PoisonError};

use bitvec::bitvec;
use bitvec::vec::BitVec;
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device_header::{DEVICE_HEADER_BYTES, DeviceHeader, DiskClass, Eyecatcher, FileRole, OffsetWidth};
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::null_track::NullFormat;
use tapegate_formats::dasd::raw_track::RAW_TRACK_BYTES;
use tapegate_formats::dasd::track::{END_MARK, HOME_ADDRESS_BYTES};
use tapegate_formats::tape::unit::UnitKind;

use super::partial_file::PartialFile;
use crate::volume::error::VolumeError;
use crate::volume::shape::UnitIndex;

/// The rest of a slot is written as zeros up to this many bytes, so that neighbouring tracks go out in one write;
/// a longer one is left as a hole.
const MOST_PADDING_BYTES: usize = 16 << 10;
static ZEROS: [u8; MOST_PADDING_BYTES] = [0; MOST_PADDING_BYTES];

/// Puts tracks into their slots.
#[derive(Debug)]
pub(super) struct SlottedWriter {
    geometry: Geometry,
    /// Where the first slot begins in the file.
    data_offset: u64,
    /// Bytes from slot to slot in the file.
    slot_bytes: usize,
    /// Bytes at the beginning of a track that the file does not have: none, or the home address.
    left_out: usize,
    /// Tracks written; the others get a null track at the end. The lock is held for no I/O.
    written: Mutex<BitVec>,
}

impl SlottedWriter {
    /// Begins a plain CKD image: writes its header and makes the file as long as the volume is.
    pub(super) fn begin_ckd(file: &PartialFile, geometry: &Geometry) -> Result<Self, VolumeError> {
        let header = DeviceHeader {
            eyecatcher: Eyecatcher { class: DiskClass::Ckd, role: FileRole::Plain, width: OffsetWidth::Bits32 },
            heads: u32::from(geometry.heads()),
            slot_bytes: geometry.slot_bytes(),
            device_code: geometry.device().code(),
            sequence: 0,
            highest_cylinder: 0,
            serial: [0; 12],
        };
        file.write_at(0, &header.to_bytes())?;
        Self::begin(file, geometry, DEVICE_HEADER_BYTES as u64, geometry.slot_bytes() as usize, 0)
    }

    /// Begins a raw-track image, which has no header and no home addresses.
    pub(super) fn begin_raw_tracks(file: &PartialFile, geometry: &Geometry) -> Result<Self, VolumeError> {
        Self::begin(file, geometry, 0, RAW_TRACK_BYTES as usize, HOME_ADDRESS_BYTES)
    }

    fn begin(
        file: &PartialFile,
        geometry: &Geometry,
        data_offset: u64,
        slot_bytes: usize,
        left_out: usize,
    ) -> Result<Self, VolumeError> {
        let written = Mutex::new(bitvec![0; geometry.tracks() as usize]);
        let writer = Self { geometry: *geometry, data_offset, slot_bytes, left_out, written };
        file.set_size(writer.slot_offset(geometry.tracks()))?;
        Ok(writer)
    }

    /// Writes tracks, neighbours in one write where the gaps between them are small.
    pub(super) fn write(&self, file: &PartialFile, first: UnitIndex, units: &[(UnitKind, &[u8])]) -> Result<(), VolumeError> {
        let mut run_offset = self.slot_offset(first.0);
        let mut run: Vec<&[u8]> = Vec::with_capacity(units.len() * 3);
        for (track, (kind, body)) in (first.0..).zip(units) {
            // The caller checked that the body fits the slot, which has room for what is left out here.
            let body = body.get(self.left_out..).unwrap_or_default();
            let mark: &[u8] = if *kind == UnitKind::Track { &END_MARK } else { &[] };
            run.push(body);
            run.push(mark);
            let rest = self.slot_bytes.saturating_sub(body.len() + mark.len());
            if let Some(padding) = ZEROS.get(..rest) {
                run.push(padding);
            } else {
                file.write_slices_at(run_offset, run.iter().copied())?;
                run.clear();
                run_offset = self.slot_offset(track + 1);
            }
        }
        file.write_slices_at(run_offset, run.iter().copied())?;
        let range = first.0 as usize..first.0 as usize + units.len();
        self.written.lock().unwrap_or_else(PoisonError::into_inner)[range].fill(true);
        Ok(())
    }

    /// Writes a null track into each slot that was left out.
    pub(super) fn finish(&self, file: &PartialFile) -> Result<(), VolumeError> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slot = [0; NullFormat::Empty.body_bytes() + END_MARK.len()];
        for (track, _) in (0..).zip(written.iter()).filter(|(_, written)| !**written) {
            let home = self.geometry.encode_cchh(self.geometry.cchh(TrackIndex(track)));
            // The slot is as long as the null track that is put there.
            NullFormat::Empty.fill(home, &mut slot);
            file.write_at(self.slot_offset(track), &slot[self.left_out..])?;
        }
        Ok(())
    }

    fn slot_offset(&self, track: u32) -> u64 {
        self.data_offset + u64::from(track) * self.slot_bytes as u64
    }
}
