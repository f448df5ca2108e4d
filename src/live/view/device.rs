//! A view device: a disk that shows a volume as of some T0, or nothing.
//!
//! It is configured and stands behind its gate from the start, so that hosts can have it in their configuration. Without
//! a session it is not ready. A session that shows its T0 here [reserves](ViewDevice::reserve) it first; when it ends,
//! the device is not ready again, at once: what takes time (the originals, the files of the view's own writes) is let go
//! by whoever held it last.
//!
//! # What a read gives
//! From top to bottom: what was written into the view, the relabelled unit, the volume as of T0. The volume is read
//! *before* its bit is tested (see [`VolumeAtT0::read_slot`]), so a host that writes to it meanwhile is never seen.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::track::{HOME_ADDRESS_BYTES, Track};
use tapegate_formats::tape::unit::UnitKind;

use super::overlay::Overlay;
use crate::gate::Disk;
use crate::live::status::SessionId;
use crate::live::volume_at_t0::VolumeAtT0;
use crate::volume::{Shape, Stage, UnitIndex, UnitSource, VolumeError};

/// A configured view.
pub struct ViewDevice {
    /// Its name in the configuration.
    name: PathBuf,
    shape: Shape,
    writable: bool,
    /// Held to look and to change, never while bytes move.
    shown: RwLock<Option<Arc<Shown>>>,
    owner: Mutex<Option<SessionId>>,
}

/// An instant that a device shows.
pub(in crate::live) struct Shown {
    pub(in crate::live) at_t0: Arc<VolumeAtT0>,
    /// The unit with the volume label, under another serial.
    pub(in crate::live) relabelled: Option<(UnitIndex, Vec<u8>)>,
    /// What was written into the view; every writable one has it.
    pub(in crate::live) overlay: Option<Overlay>,
}

impl std::fmt::Debug for ViewDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewDevice").field("name", &self.name).field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// A session's right to show its T0 on a device; when it is dropped the device shows nothing.
#[derive(Debug)]
pub(in crate::live) struct Reservation(Arc<ViewDevice>);

impl ViewDevice {
    /// A view of volumes of this shape, with this name in the configuration.
    #[must_use]
    pub fn new(name: &str, shape: Shape, writable: bool) -> Arc<Self> {
        let (shown, owner) = Default::default();
        Arc::new(Self { name: name.into(), shape, writable, shown, owner })
    }

    /// The session that has it.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        *self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the device for a session, or says which one has it.
    pub(in crate::live) fn reserve(self: &Arc<Self>, session: SessionId) -> Result<Reservation, SessionId> {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        match *owner {
            Some(other) => Err(other),
            None => {
                *owner = Some(session);
                Ok(Reservation(Arc::clone(self)))
            }
        }
    }

    fn shown(&self) -> Result<Arc<Shown>, VolumeError> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner).clone();
        shown.ok_or_else(|| self.refused("the view is not ready: no session shows a T0 on it"))
    }

    fn refused(&self, reason: impl Into<String>) -> VolumeError {
        VolumeError::Refused { path: self.name.clone(), reason: reason.into() }
    }

    fn check_range(&self, first: UnitIndex, count: u64) -> Result<(), VolumeError> {
        let units = self.shape.units();
        if u64::from(first.0) + count <= u64::from(units) {
            return Ok(());
        }
        Err(self.refused(format!("{count} units from unit {} on pass the end of the volume, which has {units}", first.0)))
    }

    /// Checks that bytes which cover the address in a track's home address leave it as it is.
    fn check_home(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        let Shape::Ckd(geometry) = &self.shape else { return Ok(()) };
        let home = geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)));
        let offset = offset as usize;
        let wrong = (1..HOME_ADDRESS_BYTES).find(|&place| {
            let byte = place.checked_sub(offset).and_then(|at| bytes.get(at));
            byte.is_some_and(|&byte| byte != home[place - 1])
        });
        match wrong {
            None => Ok(()),
            Some(place) => Err(self.refused(format!(
                "{}: byte {place} of its home address would become that of another track",
                self.shape.address(unit)
            ))),
        }
    }
}

impl Shown {
    /// Reads a unit without the view's own writes.
    fn read_base(&self, unit: UnitIndex, slot: &mut [u8]) -> Result<(), VolumeError> {
        match &self.relabelled {
            Some((at, bytes)) if *at == unit && bytes.len() == slot.len() => slot.copy_from_slice(bytes),
            _ => self.at_t0.read_slot(unit, slot)?,
        }
        Ok(())
    }

    /// What lies over the volume as of T0, if anything does.
    fn read_above(&self, unit: UnitIndex, slot: &mut [u8]) -> Result<bool, VolumeError> {
        if let Some(overlay) = &self.overlay
            && overlay.read(unit, slot)?
        {
            return Ok(true);
        }
        let relabelled = self.relabelled.as_ref().filter(|(at, bytes)| *at == unit && bytes.len() == slot.len());
        if let Some((_, bytes)) = relabelled {
            slot.copy_from_slice(bytes);
        }
        Ok(relabelled.is_some())
    }
}

impl Reservation {
    /// Shows a T0. Whoever calls tells the gate's clients that everything has changed.
    pub(in crate::live) fn show(&self, shown: Shown) {
        *self.0.shown.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(shown));
    }
}

impl Reservation {
    /// Ends it at once; what was shown is left to whoever has the time to let it go.
    pub(in crate::live) fn withdraw(self) -> Option<Arc<Shown>> {
        self.0.shown.write().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let shown = self.0.shown.write().unwrap_or_else(PoisonError::into_inner).take();
        // Behind the lock: letting go of many originals takes time.
        drop(shown);
        *self.0.owner.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl UnitSource for ViewDevice {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn name(&self) -> &Path {
        &self.name
    }

    fn read_units(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        self.check_range(first, count.into())?;
        let shown = self.shown()?;
        shown.at_t0.read_units(first, count, stage)?;
        let mut slot = Vec::new();
        for (at, unit) in (first.0..first.0 + count).enumerate() {
            let unit = UnitIndex(unit);
            slot.resize(self.shape.unit_bytes(unit) as usize, 0);
            if shown.read_above(unit, &mut slot)? {
                let (kind, body, defect) = body_of(&self.shape, unit, &slot);
                stage.replace(at, kind, &slot[..body], defect);
            }
        }
        Ok(())
    }

    fn measure_units(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        self.check_range(first, body_bytes.len() as u64)?;
        let shown = self.shown()?;
        let mut slot = Vec::new();
        for (length, unit) in body_bytes.iter_mut().zip(first.0..) {
            let unit = UnitIndex(unit);
            slot.resize(self.shape.unit_bytes(unit) as usize, 0);
            if shown.read_above(unit, &mut slot)? {
                // A slot has less than 4 GiB.
                *length = u32::try_from(body_of(&self.shape, unit, &slot).1).unwrap_or(u32::MAX);
            } else {
                shown.at_t0.measure_units(unit, std::slice::from_mut(length))?;
            }
        }
        Ok(())
    }
}

/// What a slot is, the length of its body, and why it is no track.
fn body_of(shape: &Shape, unit: UnitIndex, slot: &[u8]) -> (UnitKind, usize, Option<tapegate_formats::dasd::track::TrackError>) {
    let Shape::Ckd(geometry) = shape else { return (UnitKind::Blocks, slot.len(), None) };
    match Track::parse(slot, geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)))) {
        Ok(track) => (UnitKind::Track, track.bytes().len(), None),
        Err(defect) => (UnitKind::RawSlot, slot.len(), Some(defect)),
    }
}

impl Disk for ViewDevice {
    fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        self.check_range(unit, 1)?;
        let shown = self.shown()?;
        if let Some(overlay) = &shown.overlay
            && overlay.read(unit, buffer)?
        {
            return Ok(());
        }
        shown.read_base(unit, buffer)
    }

    fn write_slot(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        self.check_range(unit, 1)?;
        let shown = self.shown()?;
        let Some(overlay) = &shown.overlay else { return Err(self.refused("the view is read-only")) };
        let unit_bytes = self.shape.unit_bytes(unit);
        if offset as usize + bytes.len() > unit_bytes as usize {
            let reason = format!("{} bytes from offset {offset} on pass the end of the unit, at {unit_bytes}", bytes.len());
            return Err(self.refused(reason));
        }
        self.check_home(unit, offset, bytes)?;
        overlay.write(unit, offset, bytes, |slot| shown.read_base(unit, slot))
    }

    fn sync(&self) -> Result<(), VolumeError> {
        match self.shown()?.overlay.as_ref() {
            Some(overlay) => overlay.sync(),
            None => Ok(()),
        }
    }

    fn is_writable(&self) -> bool {
        self.writable
    }

    /// A T0 that can't be kept any more is none.
    fn is_ready(&self) -> bool {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        shown.as_ref().is_some_and(|shown| shown.at_t0.ending().is_none())
    }
}
