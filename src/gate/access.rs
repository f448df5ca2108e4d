//! An access: a channel program or a single operation, and the only way to read and write a disk.

use std::sync::Arc;

use super::changes::Changed;
use super::device_lock::{Right, Tenure};
use super::error::GateError;
use super::port::PortShared;
use super::volume_gate::VolumeGate;
use super::watcher::Watchers;
use crate::sync::atomic::Ordering;
use crate::volume::UnitIndex;

/// A host's right to read and write the disk until it is dropped; see the module's head for what it guards.
pub struct Access {
    gate: Arc<VolumeGate>,
    port: Arc<PortShared>,
    right: Right,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("disk", &self.gate.name()).field("client", &self.port.name).finish_non_exhaustive()
    }
}

impl Access {
    pub(super) const fn new(gate: Arc<VolumeGate>, port: Arc<PortShared>, right: Right) -> Self {
        Self { gate, port, right }
    }

    fn watchers(&self) -> &Watchers {
        &self.right.watchers
    }

    /// What others changed since this port last asked; the front-end tells it to its client.
    #[must_use]
    pub fn take_changed(&self) -> Changed {
        self.port.pending.take()
    }

    /// Keeps the device for this port over the end of the channel program, until [`release`](Self::release).
    pub fn reserve(&self) {
        self.gate.lock.reserve(self.port.id);
    }

    /// Ends a reserve.
    pub fn release(&self) {
        self.gate.lock.release(self.port.id);
    }

    /// Reads a whole unit; see [`Disk::read_slot`](super::Disk::read_slot).
    ///
    /// # Errors
    /// When the unit can't be read.
    pub fn read(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), GateError> {
        let _operation = self.begin()?;
        self.check(unit, 0, buffer.len())?;
        {
            let _unit = self.gate.unit_locks.read(unit);
            self.gate.disk().read_slot(unit, buffer)?;
        }
        self.gate.counters.reads.fetch_add(1, Ordering::Relaxed);
        for watcher in self.watchers().iter().filter(|watcher| watcher.counts_reads()) {
            watcher.has_read(unit);
        }
        Ok(())
    }

    /// Whether a write to the unit would go through without waiting for a session.
    ///
    /// For front-ends that must not block: they hand a write that would wait to a thread of its own.
    #[must_use]
    pub fn passes(&self, unit: UnitIndex) -> bool {
        self.watchers().iter().all(|watcher| watcher.lets_pass(unit))
    }

    /// Writes bytes of a unit from `offset` in its slot on.
    ///
    /// Every watcher is asked before the first byte changes. The bytes are in the disk's file when it returns, and on
    /// stable storage after the next [`sync`](Self::sync).
    ///
    /// # Errors
    /// When the disk is read-only or fails, the bytes pass the end of the unit, or a watcher refuses the write.
    pub fn write(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), GateError> {
        let _operation = self.begin()?;
        self.check(unit, offset.into(), bytes.len())?;
        let gate = &self.gate;
        if !gate.disk().is_writable() {
            return Err(GateError::ReadOnly { disk: gate.name().to_owned() });
        }
        for watcher in self.watchers().iter().filter(|watcher| !watcher.lets_pass(unit)) {
            watcher.before_write(unit, &self.port.name).map_err(|refusal| GateError::Protected {
                disk: gate.name().to_owned(),
                address: gate.disk().shape().address(unit),
                refusal,
            })?;
        }
        {
            let _unit = gate.unit_locks.write(unit);
            // Before the write: whoever sees the new bytes also sees that the length is stale.
            gate.sizes.mark_stale(unit);
            gate.counters.note_write();
            gate.note_image_write();
            gate.disk().write_slot(unit, offset, bytes)?;
            gate.note_image_write();
        }
        for watcher in self.watchers().iter().filter(|watcher| watcher.counts_writes()) {
            watcher.has_written(unit, &self.port.name);
        }
        gate.tell_others(&self.port, unit);
        Ok(())
    }

    /// Brings everything that was written to stable storage.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn sync(&self) -> Result<(), GateError> {
        let _operation = self.begin()?;
        // A compressed image may write tables of its own.
        self.gate.note_image_write();
        self.gate.disk().sync()?;
        self.gate.note_image_write();
        Ok(())
    }

    fn begin(&self) -> Result<Operation<'_>, GateError> {
        let tenure = self.right.tenure.as_deref();
        if tenure.is_some_and(|tenure| !tenure.begin()) {
            return Err(GateError::Revoked { disk: self.gate.name().to_owned() });
        }
        let operation = Operation(tenure);
        if self.gate.disk().is_ready() { Ok(operation) } else { Err(GateError::NotReady { disk: self.gate.name().to_owned() }) }
    }

    fn check(&self, unit: UnitIndex, offset: u64, length: usize) -> Result<(), GateError> {
        let shape = self.gate.disk().shape();
        let end = offset + length as u64;
        if unit.0 < shape.units() && end <= shape.unit_bytes(unit).into() {
            return Ok(());
        }
        Err(GateError::OutOfRange { disk: self.gate.name().to_owned(), address: shape.address(unit), offset, end })
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.gate.lock.leave(&self.right);
    }
}

/// An operation under way, during which the access can't be revoked.
struct Operation<'a>(Option<&'a Tenure>);

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        if let Some(tenure) = self.0 {
            tenure.end();
        }
    }
}
