//! Several disks held still at one instant.
//!
//! A consistency group is all or nothing. Each disk is tried for a few milliseconds; if one is inside a channel program,
//! all are let go, so that hosts go on, and it is tried again, until the limit. Then the client that was in the way is
//! named.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::device_lock::Busy;
use super::sizes::SharedSizes;
use super::volume_gate::VolumeGate;
use super::watcher::Watcher;

/// How long hosts are held, and how often it is tried.
#[derive(Debug, Clone, Copy)]
pub struct StillLimits {
    /// The longest time for which any disk is held before all are let go.
    pub attempt: Duration,
    /// Time for hosts between two attempts.
    pub pause: Duration,
    /// When to give up.
    pub limit: Duration,
}

impl Default for StillLimits {
    /// 5 ms, 10 ms, 30 s.
    fn default() -> Self {
        Self { attempt: Duration::from_millis(5), pause: Duration::from_millis(10), limit: Duration::from_secs(30) }
    }
}

/// The group could not be held still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBy {
    /// The disk that was in use.
    pub disk: String,
    /// The client that had a channel program open; none if another session held the disk still.
    pub client: Option<String>,
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.client {
            Some(client) => write!(f, "{client} had a channel program open on {} all the time", self.disk),
            None => write!(f, "{} was in use, or held still by another session, all the time", self.disk),
        }
    }
}

impl std::error::Error for HeldBy {}

/// Disks on which no access is out and none begins; they are let go when it is dropped.
#[derive(Debug)]
#[must_use = "hosts go on when it is dropped"]
pub struct Still {
    gates: Vec<Arc<VolumeGate>>,
    since: Instant,
}

impl Still {
    /// Holds disks still, all or none.
    ///
    /// # Errors
    /// Who was in the way at the last attempt.
    pub fn of(gates: &[Arc<VolumeGate>], limits: StillLimits) -> Result<Self, HeldBy> {
        let deadline = Instant::now() + limits.limit;
        let mut sorted = gates.to_vec();
        // In one order for all: two groups that share disks do not each hold what the other wants.
        sorted.sort_by_key(|gate| Arc::as_ptr(gate).addr());
        sorted.dedup_by_key(|gate| Arc::as_ptr(gate).addr());
        loop {
            match Self::attempt(&sorted, limits.attempt) {
                Ok(still) => return Ok(still),
                Err(held) if Instant::now() + limits.pause >= deadline => return Err(held),
                Err(_) => std::thread::sleep(limits.pause),
            }
        }
    }

    fn attempt(gates: &[Arc<VolumeGate>], patience: Duration) -> Result<Self, HeldBy> {
        let mut still = Self { gates: Vec::with_capacity(gates.len()), since: Instant::now() };
        for gate in gates {
            let left = patience.saturating_sub(still.since.elapsed());
            match gate.lock.hold_still(left) {
                Ok(()) => still.gates.push(Arc::clone(gate)),
                // What is held already is let go by the drop.
                Err(Busy { holder }) => return Err(HeldBy { disk: gate.name().to_owned(), client: holder }),
            }
        }
        Ok(still)
    }

    /// How long the first of the disks has been held.
    #[must_use]
    pub fn held_for(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether the gate is one of those held.
    #[must_use]
    pub fn holds(&self, gate: &Arc<VolumeGate>) -> bool {
        self.gates.iter().any(|held| Arc::ptr_eq(held, gate))
    }

    /// Puts a watcher behind a gate that is held; watchers that are over are left out on this occasion.
    ///
    /// # Panics
    /// When the gate is not one of those held.
    pub fn add_watcher(&self, gate: &Arc<VolumeGate>, watcher: Arc<dyn Watcher>) {
        assert!(self.holds(gate), "a watcher is added while its disk is held still");
        gate.lock
            .set_watchers(|watchers| watchers.iter().filter(|watcher| !watcher.is_over()).cloned().chain([watcher]).collect());
    }

    /// The lengths of units as of this instant, in [room](super::LiveSizes::room) that was made before hosts were held.
    ///
    /// # Panics
    /// When the gate is not one of those held.
    #[must_use]
    pub fn sizes(&self, gate: &Arc<VolumeGate>, mut room: SharedSizes) -> SharedSizes {
        assert!(self.holds(gate), "lengths are taken while the disk is held still");
        gate.sizes.share_into(&mut room);
        room
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        for gate in &self.gates {
            gate.lock.let_go();
        }
    }
}
