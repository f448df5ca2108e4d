//! Which parts of a file of bodies are free.
//!
//! Space is handed out in granules of 4 KiB, the page size: what is written in whole pages never makes the kernel read a
//! page first, and a body wastes less than one of them at its end. Free space is a list of runs by place, joined with
//! their neighbours, and by length: the smallest run that is long enough is taken, so that a track goes where another of
//! its length was. A file of a given length that has no run long enough gives several short ones, so that it is full
//! only when all of it is used.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a granule.
pub(super) const GRANULE_BYTES: u64 = 4096;

/// Granules one behind the other in a file; at least one, where they are taken or given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Number of the first granule.
    pub(super) first: u64,
    /// Granules.
    pub(super) granules: u64,
}

impl Run {
    /// Number of the granule behind the last.
    pub(super) const fn end(self) -> u64 {
        self.first + self.granules
    }
}

/// The free granules of a file.
#[derive(Debug, Default)]
pub(super) struct FreeGranules {
    /// Granule behind the last of the file.
    end: u64,
    /// First granule and length of each free run. No two touch.
    by_place: BTreeMap<u64, u64>,
    /// Length and first granule of the same runs.
    by_length: BTreeSet<(u64, u64)>,
}

impl FreeGranules {
    /// A file that ends with the last of `used`, of which the rest is free. `None` when two of `used` overlap.
    pub(super) fn around(mut used: Vec<Run>) -> Option<Self> {
        used.sort_unstable_by_key(|run| run.first);
        let mut free = Self::default();
        for run in used.iter().filter(|run| run.granules > 0) {
            let gap = run.first.checked_sub(free.end)?;
            free.insert(Run { first: free.end, granules: gap });
            free.end = run.end();
        }
        Some(free)
    }

    /// Number of the granule behind the last.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Takes a run of so many granules, the smallest that is long enough.
    pub(super) fn take(&mut self, granules: u64) -> Option<Run> {
        let &(length, first) = self.by_length.range((granules, 0)..).next()?;
        self.remove(Run { first, granules: length });
        self.insert(Run { first: first + granules, granules: length - granules });
        Some(Run { first, granules })
    }

    /// Takes so many granules, in one run if there is one, else in several, the longest first.
    pub(super) fn take_scattered(&mut self, granules: u64) -> Option<Vec<Run>> {
        if let Some(run) = self.take(granules) {
            return Some(vec![run]);
        }
        let mut runs = Vec::new();
        let mut wanted = granules;
        while wanted > 0 {
            let Some(&(length, first)) = self.by_length.last() else {
                runs.into_iter().for_each(|run| self.give(run));
                return None;
            };
            let taken = length.min(wanted);
            self.remove(Run { first, granules: length });
            self.insert(Run { first: first + taken, granules: length - taken });
            runs.push(Run { first, granules: taken });
            wanted -= taken;
        }
        Some(runs)
    }

    /// Takes a run of so many granules, behind the end of the file when there is none inside.
    pub(super) fn take_or_grow(&mut self, granules: u64) -> Run {
        if let Some(run) = self.take(granules) {
            return run;
        }
        // A free run that ends with the file is the beginning of the new one.
        let first = self.last_used_end();
        if first < self.end {
            self.remove(Run { first, granules: self.end - first });
        }
        self.end = first + granules;
        Run { first, granules }
    }

    /// Takes back a run that was taken.
    pub(super) fn give(&mut self, mut run: Run) {
        if let Some((&first, &granules)) = self.by_place.range(..run.first).next_back() {
            let before = Run { first, granules };
            if before.end() == run.first {
                self.remove(before);
                run = Run { first: before.first, granules: before.granules + run.granules };
            }
        }
        if let Some(&granules) = self.by_place.get(&run.end()) {
            self.remove(Run { first: run.end(), granules });
            run.granules += granules;
        }
        self.insert(run);
    }

    /// Lengthens the file.
    pub(super) fn grow(&mut self, end: u64) {
        if let Some(granules) = end.checked_sub(self.end).filter(|&granules| granules > 0) {
            let first = self.end;
            self.end = end;
            self.give(Run { first, granules });
        }
    }

    /// Shortens the file to `end`, or to the last granule in use if that lies behind; gives the new end.
    pub(super) fn trim(&mut self, end: u64) -> u64 {
        let used_end = self.last_used_end();
        let end = end.max(used_end);
        if end < self.end {
            self.remove(Run { first: used_end, granules: self.end - used_end });
            self.insert(Run { first: used_end, granules: end - used_end });
            self.end = end;
        }
        self.end
    }

    /// The granule behind the last one in use.
    fn last_used_end(&self) -> u64 {
        match self.by_place.last_key_value() {
            Some((&first, &granules)) if first + granules == self.end => first,
            _ => self.end,
        }
    }

    fn insert(&mut self, run: Run) {
        if run.granules > 0 {
            self.by_place.insert(run.first, run.granules);
            self.by_length.insert((run.granules, run.first));
        }
    }

    fn remove(&mut self, run: Run) {
        self.by_place.remove(&run.first);
        self.by_length.remove(&(run.granules, run.first));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all_free(end: u64) -> FreeGranules {
        let mut free = FreeGranules::default();
        free.grow(end);
        free
    }

    #[test]
    fn the_smallest_run_that_is_long_enough_is_taken() {
        let mut free = all_free(100);
        let runs: Vec<_> = [14, 13, 15, 12, 20].map(|granules| free.take(granules).unwrap()).into();
        for &at in &[0, 2, 4] {
            free.give(runs[at]);
        }
        assert_eq!(free.take(15), Some(runs[2]));
        assert_eq!(free.take(13), Some(Run { first: 0, granules: 13 }));
    }

    #[test]
    fn neighbours_become_one_run_again() {
        let mut free = all_free(30);
        let [a, b, c] = [10, 10, 10].map(|granules| free.take(granules).unwrap());
        assert_eq!(free.take(1), None);
        free.give(a);
        free.give(c);
        assert_eq!(free.take(20), None);
        assert_eq!(free.take_scattered(21), None);
        free.give(b);
        assert_eq!(free.take(30), Some(Run { first: 0, granules: 30 }));
    }

    #[test]
    fn all_of_a_file_can_be_used_however_it_is_cut() {
        let mut free = all_free(30);
        let runs: Vec<_> = (0..30).map(|_| free.take(1).unwrap()).collect();
        runs.iter().step_by(2).for_each(|&run| free.give(run));
        assert_eq!(free.take(2), None);
        assert_eq!(free.take_scattered(15).unwrap().len(), 15);
        assert_eq!(free.take_scattered(1), None);
    }

    #[test]
    fn overlapping_runs_are_none_of_a_file() {
        let run = |first, granules| Run { first, granules };
        assert!(FreeGranules::around(vec![run(5, 2), run(0, 6)]).is_none());
        let mut free = FreeGranules::around(vec![run(5, 2), run(0, 4), run(5, 0)]).unwrap();
        assert_eq!((free.end(), free.take(1), free.take(1)), (7, Some(run(4, 1)), None));
    }

    proptest! {
        /// The model is one bool a granule.
        #[test]
        fn no_granule_is_handed_out_twice_and_none_is_lost(
            steps in prop::collection::vec((0_u8..6, 0_u64..20), 1..200),
        ) {
            let mut free = all_free(64);
            let mut used = vec![false; 64];
            let mut held: Vec<Vec<Run>> = Vec::new();
            for (step, number) in steps {
                let wanted = number + 1;
                let taken = match step {
                    0 => free.take(wanted).map(|run| vec![run]),
                    1 => free.take_scattered(wanted),
                    2 => Some(vec![free.take_or_grow(wanted)]),
                    3 | 4 => {
                        if !held.is_empty() {
                            for run in held.swap_remove(usize::try_from(number).unwrap() % held.len()) {
                                used[usize::try_from(run.first).unwrap()..usize::try_from(run.end()).unwrap()].fill(false);
                                free.give(run);
                            }
                        }
                        None
                    }
                    _ if number < 10 => {
                        let end = free.trim(64 + number);
                        let last = used.iter().rposition(|&used| used).map_or(0, |at| at + 1);
                        prop_assert_eq!(end, (64 + number).max(last as u64).min(used.len() as u64));
                        used.truncate(usize::try_from(end).unwrap());
                        None
                    }
                    _ => {
                        free.grow(used.len() as u64 + number);
                        None
                    }
                };
                used.resize(usize::try_from(free.end()).unwrap(), false);
                if let Some(runs) = taken {
                    prop_assert_eq!(runs.iter().map(|run| run.granules).sum::<u64>(), wanted);
                    for run in &runs {
                        for granule in run.first..run.end() {
                            prop_assert!(!std::mem::replace(&mut used[usize::try_from(granule).unwrap()], true));
                        }
                    }
                    held.push(runs);
                } else if step == 1 {
                    prop_assert!((used.iter().filter(|used| !**used).count() as u64) < wanted);
                }
                let free_granules: u64 = free.by_place.values().sum();
                prop_assert_eq!(free_granules, used.iter().filter(|used| !**used).count() as u64);
                prop_assert_eq!(free.by_place.len(), free.by_length.len());
            }
        }
    }
}
