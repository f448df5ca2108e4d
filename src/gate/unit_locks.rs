//! Locks on units, so that nobody reads half of a write.
//!
//! A lock serves every 64th unit: a write holds its own for the microseconds of one slot, and who waits for it wants the
//! same unit in one case of 64 only by chance. Nothing else is locked while one is held, but what the disk itself locks.

use std::sync::PoisonError;

use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::volume::UnitIndex;

const LOCKS: usize = 64;

/// The locks of a disk's units.
#[derive(Debug)]
pub(super) struct UnitLocks([RwLock<()>; LOCKS]);

impl UnitLocks {
    pub(super) fn new() -> Self {
        Self([const { RwLock::new(()) }; LOCKS])
    }

    pub(super) fn read(&self, unit: UnitIndex) -> RwLockReadGuard<'_, ()> {
        self.0[unit.0 as usize % LOCKS].read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, unit: UnitIndex) -> RwLockWriteGuard<'_, ()> {
        self.0[unit.0 as usize % LOCKS].write().unwrap_or_else(PoisonError::into_inner)
    }
}
