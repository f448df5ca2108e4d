//! The lengths of a live disk's units.
//!
//! The tape plan needs the length of every unit at T0. A write may change the record structure of a track, and only the
//! channel front-end says which do; walking a track at every write would cost more than the write. So a write marks its
//! unit *stale*, one bit, and stale units are measured again when somebody has time: in the background, or by the
//! session that needs them, which reads them as of T0.
//!
//! Lengths lie in chunks that are shared with the sessions (copy-on-write): T0 copies a bit a unit and a pointer a chunk, 130
//! KB of a 3390-54, and no lengths.
//!
//! Whoever measures holds the unit's lock, notes the length, and only then clears the bit. [`share`](LiveSizes::share)
//! copies the bits first and the lengths after: a clear bit has its length.

use std::sync::{Arc, PoisonError};

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::volume::UnitIndex;

/// Units whose lengths are shared together.
const CHUNK: usize = 4096;

type Chunk = Arc<[u32; CHUNK]>;

/// Body lengths of all units, as far as they are known.
#[derive(Debug)]
pub struct LiveSizes {
    units: u32,
    /// A bit for each unit whose length is not known.
    stale: Box<[AtomicU64]>,
    body_bytes: Mutex<Vec<Chunk>>,
}

/// Body lengths as of one instant.
#[derive(Debug, Clone)]
pub struct SharedSizes {
    stale: Box<[u64]>,
    body_bytes: Vec<Chunk>,
}

impl LiveSizes {
    /// Nothing is known yet.
    #[must_use]
    pub fn unknown(units: u32) -> Self {
        let nothing: Chunk = Arc::new([0; CHUNK]);
        Self {
            units,
            stale: (0..(units as usize).div_ceil(64)).map(|_| AtomicU64::new(u64::MAX)).collect(),
            body_bytes: Mutex::new(vec![nothing; (units as usize).div_ceil(CHUNK)]),
        }
    }

    /// Units of the disk.
    #[must_use]
    pub const fn units(&self) -> u32 {
        self.units
    }

    /// Notes that a unit is about to change.
    pub(super) fn mark_stale(&self, unit: UnitIndex) {
        let (word, bit) = (&self.stale[unit.0 as usize / 64], 1 << (unit.0 % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Release);
        }
    }

    /// Whether the length of a unit is not known.
    #[must_use]
    pub fn is_stale(&self, unit: UnitIndex) -> bool {
        is_set(self.stale.get(unit.0 as usize / 64).map_or(u64::MAX, |word| word.load(Ordering::Acquire)), unit)
    }

    /// Notes the length of a unit; the caller has kept writers off the unit since before it measured.
    pub(crate) fn note(&self, unit: UnitIndex, body_bytes: u32) {
        {
            let mut chunks = self.body_bytes.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(chunk) = chunks.get_mut(unit.0 as usize / CHUNK) else { return };
            Arc::make_mut(chunk)[unit.0 as usize % CHUNK] = body_bytes;
        }
        self.stale[unit.0 as usize / 64].fetch_and(!(1 << (unit.0 % 64)), Ordering::Release);
    }

    /// How many units have no known length.
    #[must_use]
    pub fn stale_units(&self) -> u32 {
        (0..self.units).filter(|&unit| self.is_stale(UnitIndex(unit))).map(|_| 1).sum()
    }

    /// The lengths as they are now; with writers held off, as of this instant.
    #[must_use]
    pub fn share(&self) -> SharedSizes {
        let mut shared = self.room();
        self.share_into(&mut shared);
        shared
    }

    /// Room for a copy, made and touched beforehand: new memory takes ten times as long as what is copied there.
    #[must_use]
    pub fn room(&self) -> SharedSizes {
        let chunks = (self.units as usize).div_ceil(CHUNK);
        SharedSizes { stale: vec![u64::MAX; self.stale.len()].into_boxed_slice(), body_bytes: Vec::with_capacity(chunks) }
    }

    /// As [`share`](Self::share), in room that was made for it.
    pub fn share_into(&self, shared: &mut SharedSizes) {
        for (copy, word) in shared.stale.iter_mut().zip(&self.stale) {
            *copy = word.load(Ordering::Acquire);
        }
        shared.body_bytes.clear();
        shared.body_bytes.extend_from_slice(&self.body_bytes.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl SharedSizes {
    /// The length of a unit's body, if it is known.
    #[must_use]
    pub fn body_bytes(&self, unit: UnitIndex) -> Option<u32> {
        let word = *self.stale.get(unit.0 as usize / 64)?;
        if is_set(word, unit) {
            return None;
        }
        self.body_bytes.get(unit.0 as usize / CHUNK).map(|chunk| chunk[unit.0 as usize % CHUNK])
    }
}

const fn is_set(word: u64, unit: UnitIndex) -> bool {
    word >> (unit.0 % 64) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_shared_stays_as_it_was() {
        let sizes = LiveSizes::unknown(5000);
        assert_eq!(sizes.share().body_bytes(UnitIndex(4999)), None);
        sizes.note(UnitIndex(4999), 100);
        let before = sizes.share();
        sizes.mark_stale(UnitIndex(4999));
        let between = sizes.share();
        sizes.note(UnitIndex(4999), 200);
        assert_eq!(before.body_bytes(UnitIndex(4999)), Some(100));
        assert_eq!(between.body_bytes(UnitIndex(4999)), None);
        assert_eq!(sizes.share().body_bytes(UnitIndex(4999)), Some(200));
        assert_eq!(sizes.share().body_bytes(UnitIndex(5000)), None);
        assert_eq!(sizes.stale_units(), 4999);
    }
}
