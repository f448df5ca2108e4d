//! Which units others changed since a port last asked.
//!
//! Hosts keep tracks cached for ever and read again only what they are told of (shared device protocol, purge list). One's
//! own writes are not told.

use std::sync::PoisonError;

use crate::sync::Mutex;
use crate::volume::UnitIndex;

/// Units that are told one by one; more are told as everything. It is what a START reply of the shared device protocol
/// has room for.
const MOST_UNITS: usize = 16;

/// What others changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Changed {
    /// Nothing.
    #[default]
    Nothing,
    /// These units, 1 to 16, none twice.
    Units(Vec<UnitIndex>),
    /// More than can be named, or the disk shows another instant.
    Everything,
}

/// Wants to know at once what others change.
pub trait ChangeObserver: Send + Sync {
    /// Another port wrote to the unit.
    fn unit_changed(&self, unit: UnitIndex);
    /// The disk shows another instant: nothing that was read before holds.
    fn everything_changed(&self);
}

impl Changed {
    fn add(&mut self, unit: UnitIndex) {
        match self {
            Self::Nothing => *self = Self::Units(vec![unit]),
            Self::Units(units) if units.contains(&unit) => {}
            Self::Units(units) if units.len() < MOST_UNITS => units.push(unit),
            Self::Units(_) => *self = Self::Everything,
            Self::Everything => {}
        }
    }
}

/// What one port has still to be told.
#[derive(Debug)]
pub(super) struct Pending(Mutex<Changed>);

impl Pending {
    /// A new port knows nothing of the disk, so everything has changed for it.
    pub(super) const fn everything() -> Self {
        Self(Mutex::new(Changed::Everything))
    }

    pub(super) fn add(&self, unit: UnitIndex) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(unit);
    }

    pub(super) fn add_everything(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Changed::Everything;
    }

    pub(super) fn take(&self) -> Changed {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_units_are_named_and_a_seventeenth_means_everything() {
        let pending = Pending::everything();
        assert_eq!(pending.take(), Changed::Everything);
        assert_eq!(pending.take(), Changed::Nothing);
        for unit in (0..16).chain(0..16) {
            pending.add(UnitIndex(unit));
        }
        assert_eq!(pending.take(), Changed::Units((0..16).map(UnitIndex).collect()));
        for unit in 0..17 {
            pending.add(UnitIndex(unit));
        }
        assert_eq!(pending.take(), Changed::Everything);
    }
}
