//! Writes plain CKD images: one file, a slot a track.

use std::io::IoSlice;
use std::sync::Mutex;

use bitvec::bitvec;
use bitvec::vec::BitVec;
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device_header::{DEVICE_HEADER_BYTES, DeviceHeader, DiskClass, Eyecatcher, FileRole, OffsetWidth};
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::null_track::NullFormat;
use tapegate_formats::dasd::track::END_MARK;
use tapegate_formats::tape::unit::UnitKind;

use super::super::error::VolumeError;
use super::super::shape::{Shape, UnitIndex};
use super::partial_file::PartialFile;

/// The rest of a slot is written as zeros up to this many bytes, so that neighbouring tracks go out in one write;
/// above it is left as a hole.
const MOST_PADDING_BYTES: usize = 16 << 10;
static ZEROS: [u8; MOST_PADDING_BYTES] = [0; MOST_PADDING_BYTES];

/// Puts tracks into their slots.
#[derive(Debug)]
pub(super) struct PlainCkdWriter {
    geometry: Geometry,
    /// Tracks written; the others get a null track at the end. The lock is held for no I/O.
    written: Mutex<BitVec>,
}

impl PlainCkdWriter {
    /// Writes the header and makes the file as long as the volume is.
    pub(super) fn begin(file: &PartialFile, geometry: &Geometry) -> Result<Self, VolumeError> {
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
        let writer = Self { geometry: *geometry, written: Mutex::new(bitvec![0; geometry.tracks() as usize]) };
        file.set_size(writer.slot_offset(geometry.tracks()))?;
        Ok(writer)
    }

    /// Writes tracks, neighbours in one write where the gaps between them are small.
    pub(super) fn write(&self, file: &PartialFile, first: UnitIndex, units: &[(UnitKind, &[u8])]) -> Result<(), VolumeError> {
        let slot_bytes = self.geometry.slot_bytes() as usize;
        let mut run_offset = self.slot_offset(first.0);
        let mut run: Vec<IoSlice<'_>> = Vec::with_capacity(units.len() * 3);
        for (track, (kind, body)) in (first.0..).zip(units) {
            let mark: &[u8] = match kind {
                UnitKind::Track => &END_MARK,
                UnitKind::RawSlot | UnitKind::Blocks => &[],
            };
            let used = body.len() + mark.len();
            if used > slot_bytes || *kind == UnitKind::Blocks {
                return Err(self.misfit(file, track, used));
            }
            run.push(IoSlice::new(body));
            run.push(IoSlice::new(mark));
            if let Some(padding) = ZEROS.get(..slot_bytes - used) {
                run.push(IoSlice::new(padding));
            } else {
                file.write_slices_at(run_offset, &mut run)?;
                run.clear();
                run_offset = self.slot_offset(track + 1);
            }
        }
        file.write_slices_at(run_offset, &mut run)?;
        let range = first.0 as usize..first.0 as usize + units.len();
        self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[range].fill(true);
        Ok(())
    }

    /// Writes a null track into each slot that was left out.
    pub(super) fn finish(&self, file: &PartialFile) -> Result<(), VolumeError> {
        let written = self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut slot = [0; 64];
        for track in written.iter_zeros() {
            // The array has a bit a track, and those are counted by a u32.
            let Ok(track) = u32::try_from(track) else { break };
            let home = self.geometry.encode_cchh(self.geometry.cchh(TrackIndex(track)));
            let used = NullFormat::Empty.fill(home, &mut slot).map_or(0, |body| body + END_MARK.len());
            file.write_at(self.slot_offset(track), &slot[..used])?;
        }
        Ok(())
    }

    fn slot_offset(&self, track: u32) -> u64 {
        DEVICE_HEADER_BYTES as u64 + u64::from(track) * u64::from(self.geometry.slot_bytes())
    }

    fn misfit(&self, file: &PartialFile, track: u32, bytes: usize) -> VolumeError {
        VolumeError::Unit {
            path: file.path().to_owned(),
            address: Shape::Ckd(self.geometry).address(UnitIndex(track)),
            offset: self.slot_offset(track),
            reason: format!("{bytes} bytes do not fit a slot of {} bytes", self.geometry.slot_bytes()),
        }
    }
}
