//! Counting hosts' reads and writes by data set.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::domain::Domain;
use crate::gate::{Refusal, Watcher};
use crate::live::status::FileCount;
use crate::volume::UnitIndex;

/// Counts of one volume.
#[derive(Debug)]
pub(super) struct Counting {
    domain: Domain,
    /// By the domain's numbers of data sets: units read, and written.
    counts: Box<[(AtomicU64, AtomicU64)]>,
    ended: AtomicBool,
}

impl Counting {
    pub(super) fn new(domain: Domain) -> Self {
        let counts = domain.files().iter().map(|_| Default::default()).collect();
        Self { domain, counts, ended: AtomicBool::new(false) }
    }

    pub(super) const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Nothing is counted any more; what was stays.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Data sets that were read or written, the busiest first.
    pub(super) fn counts(&self) -> Vec<FileCount> {
        let all = self.domain.files().iter().zip(&self.counts).map(|(file, (reads, writes))| FileCount {
            volume: self.domain.volume.clone(),
            file: file.clone(),
            reads: reads.load(Ordering::Relaxed),
            writes: writes.load(Ordering::Relaxed),
        });
        let mut counts: Vec<_> = all.filter(|count| count.reads + count.writes > 0).collect();
        counts.sort_by_key(|count| std::cmp::Reverse(count.reads + count.writes));
        counts
    }

    fn of(&self, unit: UnitIndex) -> Option<&(AtomicU64, AtomicU64)> {
        if !self.domain.has(unit) {
            return None;
        }
        self.counts.get(self.domain.file(unit))
    }
}

impl Watcher for Counting {
    fn lets_pass(&self, _unit: UnitIndex) -> bool {
        true
    }

    fn before_write(&self, _unit: UnitIndex, _writer: &str) -> Result<(), Refusal> {
        Ok(())
    }

    fn has_read(&self, unit: UnitIndex) {
        if let Some((reads, _)) = self.of(unit) {
            reads.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts_reads(&self) -> bool {
        !self.is_over()
    }

    fn has_written(&self, unit: UnitIndex, _writer: &str) {
        if let Some((_, writes)) = self.of(unit) {
            writes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts_writes(&self) -> bool {
        !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}
