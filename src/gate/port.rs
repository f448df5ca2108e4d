//! A port: one client's way to a disk.

use std::sync::Arc;
use std::time::Duration;

use super::access::Access;
use super::changes::{ChangeObserver, Pending};
use super::device_lock::{Busy, Kind, PortId};
use super::volume_gate::VolumeGate;

/// What the gate knows of a client.
pub(super) struct PortShared {
    pub(super) id: PortId,
    pub(super) name: Arc<str>,
    pub(super) pending: Pending,
    pub(super) observer: Option<Arc<dyn ChangeObserver>>,
}

/// A client's way to a disk; when it is dropped the client is gone for good, and its reserve ends.
pub struct HostPort {
    gate: Arc<VolumeGate>,
    shared: Arc<PortShared>,
}

impl std::fmt::Debug for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostPort").field("disk", &self.gate.name()).field("client", &self.shared.name).finish()
    }
}

impl HostPort {
    pub(super) const fn new(gate: Arc<VolumeGate>, shared: Arc<PortShared>) -> Self {
        Self { gate, shared }
    }

    /// The gate that the port leads to.
    #[must_use]
    pub const fn gate(&self) -> &Arc<VolumeGate> {
        &self.gate
    }

    /// The client's name, for messages.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.shared.name
    }

    /// Begins a channel program: until the access is dropped no other port gets at the device, and it is at no T0.
    ///
    /// It waits for others up to `patience`; with no patience it does not block.
    ///
    /// # Errors
    /// Who has the device.
    pub fn begin(&self, patience: Duration) -> Result<Access, Busy> {
        self.enter(Kind::Bracket, patience)
    }

    /// Begins a single read or write, beside those of others, for front-ends that have no channel programs.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn single(&self, patience: Duration) -> Result<Access, Busy> {
        self.enter(Kind::Single, patience)
    }

    /// Notes that the client lost its connection (`true`) or is back; see [`GONE_LIMIT`](super::GONE_LIMIT).
    pub fn set_gone(&self, gone: bool) {
        self.gate.lock.set_gone(self.shared.id, gone);
    }

    /// Makes the next [`Access::take_changed`] tell everything: the client's cache is not to be trusted.
    pub fn distrust_cache(&self) {
        self.shared.pending.add_everything();
    }

    fn enter(&self, kind: Kind, patience: Duration) -> Result<Access, Busy> {
        let right = self.gate.lock.enter(self.shared.id, kind, patience)?;
        Ok(Access::new(Arc::clone(&self.gate), Arc::clone(&self.shared), right))
    }
}

impl Drop for HostPort {
    fn drop(&mut self) {
        self.gate.remove_port(self.shared.id);
    }
}
