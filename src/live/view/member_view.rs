//! The view of a volume of a session: prepared before T0, shown at T0, gone when the session ends.

use std::sync::{Arc, Mutex, PoisonError};

use tapegate_formats::volume::name::Volser;
use thiserror::Error;

use super::device::{Reservation, Shown, ViewDevice};
use super::overlay::Overlay;
use super::relabel::{label_unit, relabel, still_bear};
use crate::catalog::Catalog;
use crate::finding::Finding;
use crate::gate::{Disk, VolumeGate};
use crate::live::volume_at_t0::VolumeAtT0;
use crate::volume::{Shape, UnitIndex, UnitSource, VolumeError};

/// A configured view, as sessions know it.
#[derive(Debug, Clone)]
pub struct LiveView {
    /// The device.
    pub device: Arc<ViewDevice>,
    /// The gate before it, which has its name in the configuration.
    pub gate: Arc<VolumeGate>,
    /// The volume that it can show, by its name in the configuration.
    pub volume: String,
}

impl LiveView {
    /// Puts a view of a volume behind a gate of its own.
    #[must_use]
    pub fn new(name: &str, volume: &VolumeGate, writable: bool) -> Self {
        let device = ViewDevice::new(name, *volume.disk().shape(), writable);
        let gate = VolumeGate::new(name, Arc::clone(&device) as _);
        Self { device, gate, volume: volume.name().to_owned() }
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        self.gate.name()
    }
}

/// A view that can't be shown.
#[derive(Debug, Error)]
pub(in crate::live) enum ShowError {
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("{disk} has no volume label that --view-volser could change")]
    NoLabel { disk: String },
}

/// The view of one volume of a session.
pub(in crate::live) struct MemberView {
    live: LiveView,
    serial: Option<Volser>,
    /// Until it is shown.
    overlay: Mutex<Option<Overlay>>,
    /// Until the session ends.
    reservation: Mutex<Option<Reservation>>,
    findings: Mutex<Vec<Finding>>,
}

impl MemberView {
    pub(in crate::live) fn new(
        live: LiveView,
        serial: Option<Volser>,
        overlay: Option<Overlay>,
        reservation: Reservation,
    ) -> Self {
        let (overlay, reservation) = (Mutex::new(overlay), Mutex::new(Some(reservation)));
        Self { live, serial, overlay, reservation, findings: Mutex::default() }
    }

    pub(in crate::live) fn name(&self) -> &str {
        self.live.name()
    }

    /// Notes what is odd about the view.
    pub(in crate::live) fn add_finding(&self, finding: Finding) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    pub(in crate::live) fn findings(&self) -> Vec<Finding> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it shows its T0.
    pub(in crate::live) fn stands(&self) -> bool {
        self.reservation.lock().unwrap_or_else(PoisonError::into_inner).is_some() && self.live.device.is_ready()
    }

    /// Whether it was not discarded yet.
    pub(in crate::live) fn is_reserved(&self) -> bool {
        self.reservation.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Shows a volume as of T0, which is fixed, and tells the view's clients.
    pub(in crate::live) fn show(&self, at_t0: &Arc<VolumeAtT0>) -> Result<(), ShowError> {
        let relabelled = self.serial.map(|serial| self.relabelled(at_t0, serial)).transpose()?;
        let overlay = self.overlay.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reservation) = &*self.reservation.lock().unwrap_or_else(PoisonError::into_inner) {
            reservation.show(Shown { at_t0: Arc::clone(at_t0), relabelled, overlay });
        }
        self.live.gate.everything_changed();
        Ok(())
    }

    fn relabelled(&self, at_t0: &Arc<VolumeAtT0>, serial: Volser) -> Result<(UnitIndex, Vec<u8>), ShowError> {
        let shape = *self.live.device.shape();
        let (unit, slot, old) = relabelled_unit(&shape, serial, |unit, slot| at_t0.read_slot(unit, slot))?
            .ok_or_else(|| ShowError::NoLabel { disk: self.live.volume.clone() })?;
        match Catalog::of_volume(&**at_t0) {
            Ok(catalog) => self.add_finding(still_bear(&catalog, self.name(), old, serial)),
            Err(error) => self.add_finding(Finding::note("view-relabelled", error.to_string()).of(self.name())),
        }
        Ok((unit, slot))
    }

    /// Refuses a serial for a disk that has no label now, before any host is held.
    pub(in crate::live) fn refuse_early(&self, disk: &dyn Disk) -> Result<(), ShowError> {
        let Some(serial) = self.serial else { return Ok(()) };
        let found = relabelled_unit(disk.shape(), serial, |unit, slot| disk.read_slot(unit, slot))?;
        found.map(|_| ()).ok_or_else(|| ShowError::NoLabel { disk: self.live.volume.clone() })
    }

    /// Makes the device not ready, at once, and free for another session; gives what is to be let go.
    pub(in crate::live) fn discard(&self) -> Option<Arc<Shown>> {
        let reservation = self.reservation.lock().unwrap_or_else(PoisonError::into_inner).take();
        reservation.and_then(Reservation::withdraw)
    }

    /// Tells the view's clients that what they have read is gone.
    pub(in crate::live) fn tell_discarded(&self) {
        self.live.gate.everything_changed();
    }
}

type Relabelled = (UnitIndex, Vec<u8>, Volser);

/// The label's unit with another serial in it, and the serial that was there; none without a label.
fn relabelled_unit(
    shape: &Shape,
    serial: Volser,
    read: impl FnOnce(UnitIndex, &mut [u8]) -> Result<(), VolumeError>,
) -> Result<Option<Relabelled>, VolumeError> {
    let unit = label_unit(shape);
    if unit.0 >= shape.units() {
        return Ok(None);
    }
    let mut slot = vec![0; shape.unit_bytes(unit) as usize];
    read(unit, &mut slot)?;
    Ok(relabel(shape, &mut slot, serial).map(|old| (unit, slot, old)))
}
