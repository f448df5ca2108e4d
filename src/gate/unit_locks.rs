//! Locks on units, so that nobody reads half of a write.
//!
//! A lock serves every 64th unit: a write holds its own for the microseconds of one slot, and who waits for it wants the
//! same unit in one case of 64 only by chance. Nothing else is locked while one is held, but what the disk itself locks.

use std::sync::PoisonError;

use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::volume::UnitIndex;

/// The locks of a disk's units.
#[derive(Debug)]
pub(super) struct UnitLocks([RwLock<()>; Self::LOCKS as usize]);

impl UnitLocks {
    pub(super) const LOCKS: u32 = 64;

    pub(super) fn new() -> Self {
        Self([const { RwLock::new(()) }; Self::LOCKS as usize])
    }

    pub(super) fn read(&self, unit: UnitIndex) -> RwLockReadGuard<'_, ()> {
        self.0[(unit.0 % Self::LOCKS) as usize].read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps writers off neighbouring units, at most [`LOCKS`](Self::LOCKS): so none of the locks is taken twice.
    ///
    /// Nobody waits for a second lock while holding one for writing, so taking several for reading can't block for good.
    pub(super) fn read_run(&self, first: UnitIndex, count: u32) -> Vec<RwLockReadGuard<'_, ()>> {
        debug_assert!(count <= Self::LOCKS, "a lock would be taken twice");
        (first.0..first.0 + count).map(|unit| self.read(UnitIndex(unit))).collect()
    }

    pub(super) fn write(&self, unit: UnitIndex) -> RwLockWriteGuard<'_, ()> {
        self.0[(unit.0 % Self::LOCKS) as usize].write().unwrap_or_else(PoisonError::into_inner)
    }
}
