//! A 3390-1 in memory whose reads and writes can be made to fail.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;

use crate::gate::Disk;
use crate::volume::{Shape, Stage, UnitIndex, UnitSource, VolumeError};

/// Tracks that were never written have home address, R0 and end mark.
pub(super) struct MemoryDisk {
    shape: Shape,
    tracks: Mutex<HashMap<u32, Vec<u8>>>,
    /// Writes fail for want of room.
    pub(super) is_full: AtomicBool,
    /// Writes that failed for it.
    pub(super) refused_writes: AtomicU32,
    /// Reads fail.
    pub(super) is_broken: AtomicBool,
    pub(super) is_read_only: AtomicBool,
    pub(super) syncs: AtomicU32,
}

impl MemoryDisk {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            shape: Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, 1113).unwrap()),
            tracks: Mutex::default(),
            is_full: AtomicBool::new(false),
            refused_writes: AtomicU32::new(0),
            is_broken: AtomicBool::new(false),
            is_read_only: AtomicBool::new(false),
            syncs: AtomicU32::new(0),
        })
    }

    fn with_track<T>(&self, unit: UnitIndex, act: impl FnOnce(&mut [u8]) -> T) -> T {
        let Shape::Ckd(geometry) = self.shape else { unreachable!() };
        let home = geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)));
        let mut tracks = self.tracks.lock().unwrap();
        act(tracks.entry(unit.0).or_insert_with(|| {
            let mut slot = [&[0][..], &home, &home, &[0, 0, 0, 8], &[0; 8], &[0xff; 8]].concat();
            slot.resize(56_832, 0);
            slot
        }))
    }

    /// The bytes of a track from an offset on.
    pub(super) fn bytes(&self, unit: u32, offset: usize, length: usize) -> Vec<u8> {
        self.with_track(UnitIndex(unit), |slot| slot[offset..offset + length].to_vec())
    }

    fn failure(&self, action: &str, kind: io::ErrorKind) -> VolumeError {
        VolumeError::Io { path: self.name().to_owned(), action: action.to_owned(), source: kind.into() }
    }
}

impl UnitSource for MemoryDisk {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn name(&self) -> &Path {
        Path::new("memory")
    }

    fn read_units(&self, _first: UnitIndex, _count: u32, _stage: &mut Stage) -> Result<(), VolumeError> {
        unimplemented!("front-ends read slots")
    }

    fn measure_units(&self, _first: UnitIndex, _body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        unimplemented!("front-ends measure nothing")
    }
}

impl Disk for MemoryDisk {
    fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(self.failure("read", io::ErrorKind::Other));
        }
        self.with_track(unit, |slot| buffer.copy_from_slice(slot));
        Ok(())
    }

    fn write_slot(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        if self.is_full.load(Ordering::SeqCst) {
            self.refused_writes.fetch_add(1, Ordering::SeqCst);
            return Err(self.failure("write", io::ErrorKind::StorageFull));
        }
        self.with_track(unit, |slot| slot[offset as usize..][..bytes.len()].copy_from_slice(bytes));
        Ok(())
    }

    fn sync(&self) -> Result<(), VolumeError> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn is_writable(&self) -> bool {
        !self.is_read_only.load(Ordering::SeqCst)
    }
}
