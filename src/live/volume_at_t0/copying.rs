//! The copier's side of a volume as of T0: what goes on tape, what that secures, and where originals go meanwhile.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use bitvec::vec::BitVec;

use super::{Ending, Keeper, VolumeAtT0};
use crate::finding::Finding;
use crate::plan::FileSpec;
use crate::snapshot::{BringBuffers, CopySource, LiveSource, SnapshotError, TapePlaces};
use crate::sync::atomic::Ordering;
use crate::volume::{Fingerprint, Stage, UnitIndex, UnitSource, VolumeError};

impl CopySource for VolumeAtT0 {
    /// The gate keeps the lengths, and few are stale.
    fn measures_sparsely(&self) -> bool {
        true
    }

    fn findings(&self) -> Vec<Finding> {
        self.findings.clone()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn check_unchanged(&self) -> Result<(), VolumeError> {
        match self.ending.get() {
            None => Ok(()),
            Some(Ending::Over) => {
                Err(VolumeError::Refused { path: self.name.clone(), reason: "the session was cancelled".to_owned() })
            }
            Some(Ending::Void(reason)) => {
                Err(VolumeError::Refused { path: self.name.clone(), reason: format!("the session is void: {reason}") })
            }
        }
    }

    fn live(&self) -> Option<&dyn LiveSource> {
        Some(self)
    }
}

impl LiveSource for VolumeAtT0 {
    fn narrow(&self, files: &[FileSpec], on_tape: &dyn Fn(usize) -> bool) {
        if !self.once {
            return;
        }
        let units = self.disk.shape().units();
        let mut wanted: BitVec = BitVec::repeat(false, units as usize);
        let mut pieces: HashMap<u32, u32> = HashMap::new();
        let mut slot = 0;
        for run in files.iter().flat_map(|file| file.units.runs()) {
            for unit in run.first.0..run.first.0 + run.units {
                slot += 1;
                if on_tape(slot - 1) {
                    continue;
                }
                if wanted.replace(unit as usize, true) {
                    *pieces.entry(unit).or_insert(1) += 1;
                }
            }
        }
        *self.pieces.lock().unwrap_or_else(PoisonError::into_inner) = pieces;
        // By runs: each call wakes whoever waits for a unit.
        let mut from = 0;
        while let Some(gap) = wanted[from..].first_zero() {
            let first = from + gap;
            let end = wanted[first..].first_one().map_or(wanted.len(), |one| first + one);
            // The bits are those of the volume's units.
            let unit = |at| u32::try_from(at).unwrap_or(units);
            self.securing.secure_all(unit(first)..unit(end));
            from = end;
        }
        // What no file has need not be kept.
        if let Some(cache) = self.cache() {
            cache.units().into_iter().filter(|unit| !wanted[unit.0 as usize]).for_each(|unit| cache.release(unit));
        }
    }

    fn begin_places(&self, places: Arc<TapePlaces>) -> Result<(), SnapshotError> {
        if !self.once {
            return Ok(());
        }
        *self.keeper.write().unwrap_or_else(PoisonError::into_inner) = Keeper::Places(Arc::clone(&places));
        // Nothing is put into the cache any more: what it has now is all.
        let (mut stage, mut buffers) = (Stage::new(), BringBuffers::default());
        let Some(cache) = self.cache() else { return Ok(()) };
        for unit in cache.units() {
            self.read_units(unit, 1, &mut stage)?;
            places.bring(unit, &stage, &mut buffers)?;
            cache.release(unit);
        }
        Ok(())
    }

    fn end_places(&self) -> Option<Arc<TapePlaces>> {
        let mut keeper = self.keeper.write().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *keeper, Keeper::Cache) {
            Keeper::Places(places) => Some(places),
            Keeper::Cache => None,
        }
    }

    fn delivered(&self, units: Range<u32>) {
        self.counters.in_order_units.fetch_add(units.end - units.start, Ordering::Relaxed);
        if !self.once {
            return;
        }
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let several = !pieces.is_empty();
        let whole = |unit: &u32| match pieces.get_mut(unit).filter(|_| several) {
            Some(left) => {
                *left = left.saturating_sub(1);
                *left == 0
            }
            None => true,
        };
        let ready: Vec<u32> = if several { units.clone().filter(whole).collect() } else { Vec::new() };
        drop(pieces);
        if several {
            ready.iter().for_each(|&unit| self.securing.secure_all(unit..unit + 1));
        } else {
            self.securing.secure_all(units.clone());
        }
        if let Some(cache) = self.cache() {
            let released = if several { ready } else { units.collect() };
            released.into_iter().for_each(|unit| cache.release(UnitIndex(unit)));
        }
    }

    fn pace(&self, bytes: u64) {
        self.pacer.pace(bytes);
    }
}
