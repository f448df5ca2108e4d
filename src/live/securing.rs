//! Securing a unit exactly once: the claim protocol of the gate.
//!
//! Per unit: unclaimed, claimed, secured ([`UpdateStatus`]). Host writes from several front-ends can want the same unit: one
//! claims it and copies it, the others wait until it is secured. Who holds a claim waits for no other claim, so there is
//! no deadlock; a copy that fails gives its claim back, and another may try.
//!
//! The copier takes no claims. It reads a stage from the volume and tests the bits *after* the read: a unit whose bit is
//! clear then had not changed before, since a host writes only after the bit is set; one whose bit is set was copied by
//! the host's write, and the copier leaves it out or takes it from the cache. So no host ever waits for the copier. In the
//! worst case both copy the same unit, and write the same bytes to the same place.

use std::ops::Range;
use std::sync::PoisonError;

use crate::snapshot::UpdateStatus;
use crate::sync::atomic::Ordering;
use crate::sync::atomic::fence;
use crate::sync::{Condvar, Mutex};
use crate::volume::UnitIndex;

/// The status of a volume's units, and those who wait for a claim.
#[derive(Debug)]
pub(super) struct Securing {
    status: UpdateStatus,
    /// Protects nothing but the moment between testing a bit and beginning to wait.
    waiting: Mutex<()>,
    moved: Condvar,
}

/// What it took to secure a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secured {
    /// It was secured before.
    Before,
    /// This call copied it.
    Copied,
    /// Another copied it meanwhile.
    Awaited,
}

impl Securing {
    pub(super) fn new(units: u32) -> Self {
        Self { status: UpdateStatus::new(units), waiting: Mutex::new(()), moved: Condvar::new() }
    }

    /// The bit test of a host write.
    pub(super) fn is_secured(&self, unit: UnitIndex) -> bool {
        self.status.is_secured(unit.0)
    }

    pub(super) const fn status(&self) -> &UpdateStatus {
        &self.status
    }

    /// The bit test of a reader, for after it has read the volume.
    pub(super) fn was_secured_before_read(&self, unit: UnitIndex) -> bool {
        // The volume was read through the kernel; its bytes come before the bit.
        fence(Ordering::SeqCst);
        self.status.is_secured(unit.0)
    }

    /// Secures a unit by `copy`, unless it is or another does it.
    ///
    /// # Errors
    /// That of `copy`; the unit is unclaimed again.
    pub(super) fn secure<E>(&self, unit: UnitIndex, copy: impl FnOnce() -> Result<(), E>) -> Result<Secured, E> {
        let mut outcome = Secured::Before;
        loop {
            if self.is_secured(unit) {
                return Ok(outcome);
            }
            let claim = self.status.claim(unit.0..unit.0 + 1);
            if claim.units() == 1 {
                let copied = copy();
                match &copied {
                    Ok(()) => claim.secure(),
                    Err(_) => drop(claim),
                }
                self.wake();
                return copied.map(|()| Secured::Copied);
            }
            drop(claim);
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Under the lock: whoever frees or secures the unit from here on wakes this thread.
            if self.status.is_claimed(unit.0) && !self.is_secured(unit) {
                drop(self.moved.wait(waiting).unwrap_or_else(PoisonError::into_inner));
            }
            outcome = Secured::Awaited;
        }
    }

    /// Secures units that the copier brought to their places, or that no session needs.
    pub(super) fn secure_all(&self, units: Range<u32>) {
        self.status.secure_all(units);
        self.wake();
    }

    fn wake(&self) {
        drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn a_unit_is_copied_once_however_many_write_to_it() {
        let securing = Securing::new(100);
        let copies: Vec<_> = (0..100).map(|_| AtomicU32::new(0)).collect();
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let (securing, copies) = (&securing, &copies);
                scope.spawn(move || {
                    for at in 0..100 {
                        let unit = (at * 7 + thread * 13) % 100;
                        let copy = || {
                            // Every third copy fails the first time.
                            let before = copies[unit as usize].fetch_add(1, Ordering::SeqCst);
                            if unit.is_multiple_of(3) && before == 0 { Err(()) } else { Ok(()) }
                        };
                        while securing.secure(UnitIndex(unit), copy).is_err() {}
                        assert!(securing.is_secured(UnitIndex(unit)));
                    }
                });
            }
        });
        for (unit, copies) in copies.iter().enumerate() {
            assert_eq!(copies.load(Ordering::SeqCst), if unit % 3 == 0 { 2 } else { 1 }, "unit {unit}");
        }
    }

    #[test]
    fn what_the_copier_secured_is_not_copied() {
        let securing = Securing::new(10);
        securing.secure_all(3..7);
        let secured: Vec<_> = (0..10).map(|unit| securing.secure::<()>(UnitIndex(unit), || Ok(())).unwrap()).collect();
        assert_eq!(secured.iter().filter(|&&secured| secured == Secured::Copied).count(), 6);
        assert_eq!(secured[3..7], [Secured::Before; 4]);
    }
}
