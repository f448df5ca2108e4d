//! The update status array of a file: which units are claimed, and which are secured (BIT(j) of the design).
//!
//! A unit goes from unclaimed to claimed to secured. Whoever claims a unit copies it; whoever finds it claimed waits
//! until it is secured. Claims are taken by one atomic or on the words, so two threads never copy a unit both.

use std::ops::Range;

use crate::sync::atomic::{AtomicU64, Ordering};

/// Two bits for each unit of a file.
#[derive(Debug)]
pub struct UpdateStatus {
    claimed: Box<[AtomicU64]>,
    secured: Box<[AtomicU64]>,
    units: u32,
}

/// Units that one thread alone copies; dropped without [`secure`](Self::secure), they are free again.
#[derive(Debug)]
#[must_use = "a dropped claim frees its units"]
pub struct Claim<'a> {
    status: &'a UpdateStatus,
    /// Word number and the bits of it that this claim took.
    words: Vec<(usize, u64)>,
}

impl UpdateStatus {
    /// Makes the status of a file of `units` units: all unclaimed.
    #[must_use]
    pub fn new(units: u32) -> Self {
        let words = || (0..(units as usize).div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { claimed: words(), secured: words(), units }
    }

    /// Claims those units of `range` that nobody has claimed.
    pub fn claim(&self, range: Range<u32>) -> Claim<'_> {
        let words = masks(range.start..range.end.min(self.units))
            .filter_map(|(word, mask)| {
                // Acquire: what the last holder of a released claim did is seen before the unit is copied again.
                let before = self.claimed[word].fetch_or(mask, Ordering::AcqRel);
                Some((word, mask & !before)).filter(|(_, taken)| *taken != 0)
            })
            .collect();
        Claim { status: self, words }
    }

    /// Secures units that need no copy, or were copied by whoever calls; claims that others hold on them lose nothing.
    pub fn secure_all(&self, range: Range<u32>) {
        for (word, mask) in masks(range.start..range.end.min(self.units)) {
            self.claimed[word].fetch_or(mask, Ordering::Relaxed);
            // Release: whoever sees the bit also sees what was written before.
            self.secured[word].fetch_or(mask, Ordering::Release);
        }
    }

    /// Whether somebody has claimed unit `j`, or it is secured.
    #[must_use]
    pub fn is_claimed(&self, j: u32) -> bool {
        let word = self.claimed.get(j as usize / 64).map_or(u64::MAX, |word| word.load(Ordering::Acquire));
        word >> (j % 64) & 1 == 1
    }

    /// Whether unit `j` is secured; the test that a host write makes.
    #[must_use]
    pub fn is_secured(&self, j: u32) -> bool {
        let word = self.secured.get(j as usize / 64).map_or(0, |word| word.load(Ordering::Acquire));
        word >> (j % 64) & 1 == 1
    }

    /// Units that are secured.
    #[must_use]
    pub fn secured(&self) -> u32 {
        self.secured.iter().map(|word| word.load(Ordering::Acquire).count_ones()).sum()
    }

    /// Whether every unit is secured.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.secured() == self.units
    }

    /// The first unit that is not secured.
    #[must_use]
    pub fn first_unsecured(&self) -> Option<u32> {
        let words = (0_u32..).step_by(64).zip(&self.secured);
        let mut words = words.map(|(first, word)| (first, word.load(Ordering::Acquire).trailing_ones()));
        let open = words.find(|(_, secured)| *secured < 64).map(|(first, secured)| first + secured);
        open.filter(|&first| first < self.units)
    }
}

impl Claim<'_> {
    /// Units that the claim took.
    #[must_use]
    pub fn units(&self) -> u32 {
        self.words.iter().map(|(_, mask)| mask.count_ones()).sum()
    }

    /// Whether the claim took unit `j`.
    #[must_use]
    pub fn has(&self, j: u32) -> bool {
        self.words.iter().any(|(word, mask)| *word == j as usize / 64 && mask >> (j % 64) & 1 == 1)
    }

    /// Marks the claimed units as secured: their T0 content is safe outside the volume.
    pub fn secure(mut self) {
        for (word, mask) in self.words.drain(..) {
            // Release: whoever sees the bit also sees what was written before.
            self.status.secured[word].fetch_or(mask, Ordering::Release);
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        for (word, mask) in self.words.drain(..) {
            self.status.claimed[word].fetch_and(!mask, Ordering::Release);
        }
    }
}

/// The words that a range of bits touches, and which bits of each.
fn masks(range: Range<u32>) -> impl Iterator<Item = (usize, u64)> {
    let words = if range.is_empty() { 0..0 } else { range.start / 64..(range.end - 1) / 64 + 1 };
    words.map(move |word| {
        let low = range.start.saturating_sub(word * 64);
        let high = (range.end - word * 64).min(64);
        (word as usize, (u64::MAX >> (64 - (high - low))) << low)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn claims_and_bits_agree_with_a_list_of_bools(units in 1_u32..300, ranges in prop::collection::vec((0_u32..300, 0_u32..100, any::<bool>()), 0..12)) {
            let status = UpdateStatus::new(units);
            let mut model = vec![false; units as usize];
            for (start, length, secure) in ranges {
                let range = start.min(units)..(start + length).min(units);
                let claim = status.claim(range.clone());
                let free = range.clone().filter(|&j| !model[j as usize]).count();
                prop_assert_eq!(claim.units() as usize, free);
                if secure {
                    claim.secure();
                    range.for_each(|j| model[j as usize] = true);
                }
            }
            for j in 0..units {
                prop_assert_eq!(status.is_secured(j), model[j as usize]);
            }
            prop_assert_eq!(status.secured() as usize, model.iter().filter(|bit| **bit).count());
            prop_assert_eq!(status.first_unsecured().map(|j| j as usize), model.iter().position(|bit| !bit));
            prop_assert_eq!(status.is_complete(), model.iter().all(|bit| *bit));
        }
    }

    #[test]
    fn a_unit_is_claimed_by_one_thread_only() {
        let status = UpdateStatus::new(10_000);
        let taken: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut taken = 0;
                        for start in (0..10_000).step_by(37) {
                            let claim = status.claim(start..start + 50);
                            taken += claim.units();
                            claim.secure();
                        }
                        taken
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 10_000);
        assert!(status.is_complete());
    }
}
