//! What was written into a view: the units that hosts changed in it, in files of its own.
//!
//! | file | content |
//! | --- | --- |
//! | `N.writes` | the slot of unit *u* at *u* times the longest unit of the volume; sparse |
//! | `N.written` | a byte for each unit: 1 when its slot counts |
//!
//! The first write to a unit fills its slot from below, changes it in memory and writes it whole; only then its byte is
//! set, on disk and in memory. Later writes change the slot in place, as they would in a plain image, and whoever reads
//! meanwhile may get some of the bytes old and some new, as there. The gate lets one write to a unit at a time.
//!
//! After kill -9 the kernel has all that was written. If it must outlive the machine (`durable`), a slot is on stable
//! storage before its byte is written, and what [`sync`](Overlay::sync) acknowledged is there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::{CacheError, CountedRoom};
use crate::volume::{Shape, UnitIndex, VolumeError};

/// The slots that were written in a view.
pub(in crate::live) struct Overlay {
    path: PathBuf,
    shape: Shape,
    writes: File,
    written: File,
    /// A bit for each unit whose slot counts.
    bits: Box<[AtomicU64]>,
    room: CountedRoom,
    durable: bool,
}

impl Overlay {
    /// Makes the files of a view that nobody wrote to. `path` is that of the slots, without its ending.
    pub(in crate::live) fn create(path: &Path, shape: Shape, room: CountedRoom, durable: bool) -> Result<Self, VolumeError> {
        Self::open(path, shape, room, durable, true)
    }

    /// Takes up the files that an earlier process left.
    pub(in crate::live) fn reopen(path: &Path, shape: Shape, room: CountedRoom, durable: bool) -> Result<Self, VolumeError> {
        let overlay = Self::open(path, shape, room, durable, false)?;
        overlay.read_map()?;
        Ok(overlay)
    }

    fn open(path: &Path, shape: Shape, room: CountedRoom, durable: bool, new: bool) -> Result<Self, VolumeError> {
        let file = |ending| {
            let path = path.with_extension(ending);
            let file = OpenOptions::new().read(true).write(true).create_new(new).mode(0o600).open(&path);
            file.map_err(|source| VolumeError::Io { path, action: "opening what was written into the view".to_owned(), source })
        };
        let (writes, written) = (file("writes")?, file("written")?);
        let bits = (0..(shape.units() as usize).div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { path: path.with_extension("writes"), shape, writes, written, bits, room, durable })
    }

    fn read_map(&self) -> Result<(), VolumeError> {
        let bytes = self.writes.metadata().map_err(|source| self.io("asking for its length", source))?.len();
        let mut map = io::BufReader::with_capacity(1 << 16, &self.written).bytes();
        for unit in 0..self.shape.units() {
            let unit = UnitIndex(unit);
            match map.next().transpose().map_err(|source| self.io("reading which units were written", source))? {
                None => break,
                Some(1) => {
                    let unit_bytes = self.shape.unit_bytes(unit);
                    if self.offset(unit) + u64::from(unit_bytes) > bytes {
                        let reason = format!("it ends before {}, which was written", self.shape.address(unit));
                        return Err(VolumeError::Corrupt { path: self.path.clone(), offset: bytes, reason });
                    }
                    self.room.count(unit_bytes);
                    self.set(unit);
                }
                Some(0) => {}
                Some(other) => {
                    let reason = format!("the map of written units has the byte {other:02X}");
                    return Err(VolumeError::Corrupt {
                        path: self.path.with_extension("written"),
                        offset: unit.0.into(),
                        reason,
                    });
                }
            }
        }
        Ok(())
    }

    /// Reads a unit, if it was written.
    pub(super) fn read(&self, unit: UnitIndex, slot: &mut [u8]) -> Result<bool, VolumeError> {
        if !self.has(unit) {
            return Ok(false);
        }
        self.writes.read_exact_at(slot, self.offset(unit)).map_err(|source| self.io("reading a unit", source))?;
        Ok(true)
    }

    /// Writes bytes of a unit; `fill` reads what lies below. They are inside the unit, and its only write at the time.
    pub(super) fn write(
        &self,
        unit: UnitIndex,
        offset: u32,
        bytes: &[u8],
        fill: impl FnOnce(&mut [u8]) -> Result<(), VolumeError>,
    ) -> Result<(), VolumeError> {
        if self.has(unit) {
            let at = self.offset(unit) + u64::from(offset);
            return self.writes.write_all_at(bytes, at).map_err(|source| self.io("writing a unit", source));
        }
        let unit_bytes = self.shape.unit_bytes(unit);
        let mut slot = vec![0; unit_bytes as usize];
        fill(&mut slot)?;
        slot[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        self.room.take(unit_bytes).map_err(|error| self.no_room(unit, &error))?;
        let kept = self.keep(unit, &slot);
        match kept {
            Ok(()) => self.set(unit),
            Err(_) => self.room.give_back(unit_bytes),
        }
        kept.map_err(|source| self.io("writing a unit", source))
    }

    fn keep(&self, unit: UnitIndex, slot: &[u8]) -> io::Result<()> {
        self.writes.write_all_at(slot, self.offset(unit))?;
        if self.durable {
            self.writes.sync_data()?;
        }
        self.written.write_all_at(&[1], unit.0.into())
    }

    /// Brings everything that was written to stable storage.
    pub(super) fn sync(&self) -> Result<(), VolumeError> {
        // The slots first: a byte of the map promises its slot.
        self.writes.sync_data().and_then(|()| self.written.sync_data()).map_err(|source| self.io("syncing it", source))
    }

    fn offset(&self, unit: UnitIndex) -> u64 {
        u64::from(unit.0) * u64::from(self.shape.longest_body_bytes())
    }

    fn has(&self, unit: UnitIndex) -> bool {
        self.bits.get(unit.0 as usize / 64).is_some_and(|word| word.load(Ordering::Acquire) >> (unit.0 % 64) & 1 == 1)
    }

    fn set(&self, unit: UnitIndex) {
        if let Some(word) = self.bits.get(unit.0 as usize / 64) {
            // Release: whoever sees the bit also sees the slot.
            word.fetch_or(1 << (unit.0 % 64), Ordering::Release);
        }
    }

    fn io(&self, action: &str, source: io::Error) -> VolumeError {
        VolumeError::Io { path: self.path.clone(), action: action.to_owned(), source }
    }

    fn no_room(&self, unit: UnitIndex, error: &CacheError) -> VolumeError {
        let reason = format!("{}: it can't be written in the view: {error}", self.shape.address(unit));
        VolumeError::Refused { path: self.path.clone(), reason }
    }
}
