//! The gate of one disk.

use std::sync::{Arc, OnceLock, PoisonError};

use rustix::time::{ClockId, clock_gettime};

use super::changes::{ChangeObserver, Pending};
use super::device_lock::{ClientState, DeviceLock, PortId};
use super::disk::Disk;
use super::port::{HostPort, PortShared};
use super::sizes::LiveSizes;
use super::unit_locks::UnitLocks;
use super::write_mark::WriteMark;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::volume::{UnitIndex, VolumeError};

/// One served disk.
pub struct VolumeGate {
    name: String,
    disk: Arc<dyn Disk>,
    pub(super) lock: DeviceLock,
    pub(super) unit_locks: UnitLocks,
    pub(super) sizes: LiveSizes,
    pub(super) counters: Counters,
    write_mark: OnceLock<WriteMark>,
    ports: RwLock<Vec<Arc<PortShared>>>,
    next_port: AtomicU32,
}

/// What hosts did at a gate since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct GateActivity {
    /// Units read.
    pub reads: u64,
    /// Writes let through.
    pub writes: u64,
    /// Milliseconds since the last write; none if there was none.
    pub since_last_write_ms: Option<u64>,
    /// Whether a channel program is open, or the device reserved.
    pub held: bool,
}

/// Counts, and the time of the last write.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) reads: AtomicU64,
    writes: AtomicU64,
    /// Milliseconds of the coarse monotonic clock, 0 before the first write.
    last_write_ms: AtomicU64,
}

impl Counters {
    pub(super) fn note_write(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.last_write_ms.store(now_ms(), Ordering::Relaxed);
    }
}

/// Milliseconds of the coarse monotonic clock: exact to a tick of the kernel (4 ms), and read in a few nanoseconds.
fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    // The clock starts at 0 and counts up.
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

impl std::fmt::Debug for VolumeGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VolumeGate").field("name", &self.name).finish_non_exhaustive()
    }
}

impl VolumeGate {
    /// Puts a gate in front of a disk. From here on nobody writes to the disk but the gate's ports.
    #[must_use]
    pub fn new(name: &str, disk: Arc<dyn Disk>) -> Arc<Self> {
        let sizes = LiveSizes::unknown(disk.shape().units());
        Self::with_sizes(name, disk, sizes)
    }

    /// As [`new`](Self::new), with lengths of units that are known from before.
    #[must_use]
    pub fn with_sizes(name: &str, disk: Arc<dyn Disk>, sizes: LiveSizes) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            disk,
            lock: DeviceLock::new(),
            unit_locks: UnitLocks::new(),
            sizes,
            counters: Counters::default(),
            write_mark: OnceLock::new(),
            ports: RwLock::default(),
            next_port: AtomicU32::new(1),
        })
    }

    /// The disk's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The disk behind the gate, for reading.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Lengths of the units as far as they are known.
    #[must_use]
    pub const fn sizes(&self) -> &LiveSizes {
        &self.sizes
    }

    /// Changes how long a client that lost its connection keeps its channel program or its reserve, which is
    /// [`GONE_LIMIT`](super::GONE_LIMIT) otherwise.
    pub fn set_gone_limit(&self, limit: std::time::Duration) {
        self.lock.set_gone_limit(limit);
    }

    /// Lets a client in; `client` names it in messages, `observer` is told at once of what others change.
    #[must_use]
    pub fn attach(self: &Arc<Self>, client: &str, observer: Option<Arc<dyn ChangeObserver>>) -> HostPort {
        let id = PortId(self.next_port.fetch_add(1, Ordering::Relaxed));
        let shared = Arc::new(PortShared { id, name: client.into(), pending: Pending::everything(), observer });
        self.lock.add_port(id, Arc::clone(&shared.name));
        self.ports.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&shared));
        HostPort::new(Arc::clone(self), shared)
    }

    /// Measures neighbouring units and notes their lengths; writers of these units wait meanwhile. It measures at most
    /// [`MOST_MEASURED`](Self::MOST_MEASURED) of them, and gives how many it did.
    ///
    /// # Errors
    /// When the disk has no such units, or one of them can't be read; they stay stale.
    pub fn measure(&self, first: UnitIndex, count: u32) -> Result<u32, VolumeError> {
        let count = count.min(Self::MOST_MEASURED);
        let mut body_bytes = [0; Self::MOST_MEASURED as usize];
        let body_bytes = &mut body_bytes[..count as usize];
        // A write behind this measuring marks its unit stale again, under the lock that is held here.
        let _units = self.unit_locks.read_run(first, count);
        self.disk.measure_units(first, body_bytes)?;
        for (unit, body_bytes) in (first.0..).zip(body_bytes) {
            self.sizes.note(UnitIndex(unit), *body_bytes);
        }
        Ok(count)
    }

    /// Units that are measured at once: about a stage of tracks, for which a writer waits.
    pub const MOST_MEASURED: u32 = 16;

    /// Who has a port here.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientState> {
        self.lock.clients()
    }

    /// What hosts did.
    #[must_use]
    pub fn activity(&self) -> GateActivity {
        let last = self.counters.last_write_ms.load(Ordering::Relaxed);
        GateActivity {
            reads: self.counters.reads.load(Ordering::Relaxed),
            writes: self.counters.writes.load(Ordering::Relaxed),
            since_last_write_ms: (last != 0).then(|| now_ms().saturating_sub(last)),
            held: self.lock.is_held(),
        }
    }

    /// Keeps the time of the last write to the image where the next process finds it; false if it was kept already.
    pub fn set_write_mark(&self, mark: WriteMark) -> bool {
        self.write_mark.set(mark).is_ok()
    }

    /// Notes that the image's files are about to be written, or were: hosts' writes do it themselves, and whoever else
    /// writes to them (compaction, closing) calls it before and after.
    pub fn note_image_write(&self) {
        if let Some(mark) = self.write_mark.get() {
            mark.note();
        }
    }

    /// Leaves out watchers that are over: from the next access on they cost nothing.
    pub fn forget_ended_watchers(&self) {
        self.lock.forget_ended_watchers();
    }

    /// Tells every client that nothing it has read holds any more: the disk shows another instant.
    pub fn everything_changed(&self) {
        for port in self.ports.read().unwrap_or_else(PoisonError::into_inner).iter() {
            port.pending.add_everything();
            if let Some(observer) = &port.observer {
                observer.everything_changed();
            }
        }
    }

    /// Tells all ports but the writer's that a unit changed.
    pub(super) fn tell_others(&self, writer: &PortShared, unit: UnitIndex) {
        for port in self.ports.read().unwrap_or_else(PoisonError::into_inner).iter().filter(|port| port.id != writer.id) {
            port.pending.add(unit);
            if let Some(observer) = &port.observer {
                observer.unit_changed(unit);
            }
        }
    }

    pub(super) fn remove_port(&self, id: PortId) {
        self.ports.write().unwrap_or_else(PoisonError::into_inner).retain(|port| port.id != id);
        self.lock.remove_port(id);
    }
}
