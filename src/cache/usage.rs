//! How much of a pool is used, and by whom.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// A limit, and what is used of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RoomUsage {
    /// Bytes in use. On disk they come in granules of 4 KiB. They are more than the limit after it was lowered.
    pub used_bytes: u64,
    /// Most bytes that may be used.
    pub limit_bytes: u64,
}

/// What an owner has in a pool, in all its shares together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnerUsage {
    /// The name that the shares were made for.
    pub owner: String,
    /// Units kept.
    pub units: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// The use of a pool at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolUsage {
    /// Name of the pool.
    pub name: String,
    /// Bodies in memory.
    pub memory: RoomUsage,
    /// Bodies in the spill, and in the files of shares that survive a restart.
    pub spill: RoomUsage,
    /// Who has how much, by name.
    pub owners: Vec<OwnerUsage>,
}

/// What is in a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ShareUsage {
    /// Units kept.
    pub units: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl fmt::Display for PoolUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, spill) = (self.memory, self.spill);
        write!(f, "{} of {} bytes of memory and ", memory.used_bytes, memory.limit_bytes)?;
        write!(f, "{} of {} bytes of spill are used", spill.used_bytes, spill.limit_bytes)?;
        for (number, owner) in self.owners.iter().enumerate() {
            let before = if number == 0 { ": " } else { ", " };
            write!(f, "{before}{} {} bytes", owner.owner, owner.bytes)?;
        }
        Ok(())
    }
}

/// What a share counts, for itself and for its pool.
#[derive(Debug)]
pub(super) struct ShareCounters {
    pub(super) owner: String,
    units: AtomicU64,
    bytes: AtomicU64,
}

impl ShareCounters {
    pub(super) fn new(owner: &str) -> Self {
        Self { owner: owner.to_owned(), units: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    pub(super) fn add(&self, bytes: u64) {
        self.units.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, bytes: u64) {
        self.units.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn usage(&self) -> ShareUsage {
        ShareUsage { units: self.units.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}
