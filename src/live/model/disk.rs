//! A disk in memory that stops at each of its reads and writes, so that a test can put something else in between, and
//! that fails when it is told to.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::track::Track;
use tapegate_formats::tape::unit::UnitKind;

use super::steps::{stop_here, stop_in_write};
use crate::gate::Disk;
use crate::sync::Mutex;
use crate::volume::{Shape, Stage, UnitIndex, UnitSource, VolumeError};

/// The units of a volume as a plain image has them.
pub(super) struct MemoryVolume {
    shape: Shape,
    slots: Vec<Mutex<Vec<u8>>>,
    /// Reads of units until one fails; all behind it fail too.
    reads_left: AtomicU32,
}

impl MemoryVolume {
    pub(super) fn new(shape: Shape, slots: &[Vec<u8>]) -> Arc<Self> {
        let slots = slots.iter().cloned().map(Mutex::new).collect();
        Arc::new(Self { shape, slots, reads_left: AtomicU32::new(u32::MAX) })
    }

    /// Lets `reads` more reads through, and then none.
    pub(super) fn fail_after(&self, reads: u32) {
        self.reads_left.store(reads, Ordering::SeqCst);
    }

    /// Reads work again.
    pub(super) fn mend(&self) {
        self.fail_after(u32::MAX);
    }

    /// What is on it now.
    pub(super) fn content(&self) -> Vec<Vec<u8>> {
        self.slots.iter().map(|slot| slot.lock().unwrap().clone()).collect()
    }

    fn may_read(&self) -> Result<(), VolumeError> {
        let left = self.reads_left.load(Ordering::SeqCst);
        if left == 0 {
            let source = io::Error::other("the test wants it so");
            return Err(VolumeError::Io { path: self.name().to_owned(), action: "reading".to_owned(), source });
        }
        if left != u32::MAX {
            self.reads_left.store(left - 1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// What a unit is, and the bytes of it that go on tape.
pub(super) fn body_of<'a>(shape: &Shape, unit: u32, slot: &'a [u8]) -> (UnitKind, &'a [u8]) {
    match track_of(shape, unit, slot) {
        None => (UnitKind::Blocks, slot),
        Some(Ok(track)) => (UnitKind::Track, track.bytes()),
        Some(Err(_)) => (UnitKind::RawSlot, slot),
    }
}

/// The track in a slot of a count-key-data volume.
pub(super) fn track_of<'a>(
    shape: &Shape,
    unit: u32,
    slot: &'a [u8],
) -> Option<Result<Track<'a>, tapegate_formats::dasd::track::TrackError>> {
    let Shape::Ckd(geometry) = shape else { return None };
    Some(Track::parse(slot, geometry.encode_cchh(geometry.cchh(TrackIndex(unit)))))
}

impl UnitSource for MemoryVolume {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn name(&self) -> &Path {
        Path::new("memory")
    }

    fn read_units(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        stop_here();
        self.may_read()?;
        let units = first.0..first.0 + count;
        let mut slots = Vec::new();
        for unit in units.clone() {
            slots.push(self.slots[unit as usize].lock().unwrap().clone());
            // A read of several units is no one instant.
            stop_here();
        }
        stage.refill(slots.iter().map(Vec::len).sum()).copy_from_slice(&slots.concat());
        let mut start = 0;
        for (unit, slot) in units.zip(&slots) {
            let (kind, body) = body_of(&self.shape, unit, slot);
            let defect = track_of(&self.shape, unit, slot).and_then(Result::err);
            stage.push(kind, start..start + body.len(), defect);
            start += slot.len();
        }
        Ok(())
    }

    fn measure_units(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        for (length, unit) in body_bytes.iter_mut().zip(first.0..) {
            let slot = self.slots[unit as usize].lock().unwrap();
            *length = u32::try_from(body_of(&self.shape, unit, &slot).1.len()).unwrap();
        }
        Ok(())
    }
}

impl Disk for MemoryVolume {
    fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        buffer.copy_from_slice(&self.slots[unit.0 as usize].lock().unwrap());
        Ok(())
    }

    fn write_slot(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        let (offset, half) = (offset as usize, bytes.len() / 2);
        let slot = &self.slots[unit.0 as usize];
        slot.lock().unwrap()[offset..offset + half].copy_from_slice(&bytes[..half]);
        // Who reads without the unit's lock meets half of a write.
        stop_in_write();
        slot.lock().unwrap()[offset + half..offset + bytes.len()].copy_from_slice(&bytes[half..]);
        Ok(())
    }

    fn sync(&self) -> Result<(), VolumeError> {
        Ok(())
    }

    fn is_writable(&self) -> bool {
        true
    }
}
