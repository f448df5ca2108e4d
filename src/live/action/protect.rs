//! Keeping writes out: they are refused, or wait until the session ends.
//!
//! A write that waits keeps its channel program open, and so other hosts off the volume: that is what was asked for. Hosts
//! give up after their missing-interrupt time, 15 to 30 s, so holding is for moments.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::domain::Domain;
use crate::gate::{Refusal, Watcher};
use crate::live::status::{Protection, SessionId};
use crate::volume::UnitIndex;

/// Protects the units of one volume.
#[derive(Debug)]
pub(super) struct Protecting {
    session: SessionId,
    domain: Domain,
    mode: Protection,
    ended: AtomicBool,
    /// Protects nothing but the moment between looking for the end and beginning to wait.
    waiting: Mutex<()>,
    over: Condvar,
    held: AtomicU64,
    longest_us: AtomicU64,
}

impl Protecting {
    pub(super) fn new(session: SessionId, domain: Domain, mode: Protection) -> Self {
        let (ended, waiting, over, held, longest_us) = Default::default();
        Self { session, domain, mode, ended, waiting, over, held, longest_us }
    }

    pub(super) const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Lets all writes through, those that wait too.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.over.notify_all();
    }

    /// Writes that waited or wait, and the longest time that one waited, in microseconds.
    pub(super) fn holds(&self) -> (u64, u64) {
        (self.held.load(Ordering::Relaxed), self.longest_us.load(Ordering::Relaxed))
    }
}

impl Watcher for Protecting {
    fn lets_pass(&self, unit: UnitIndex) -> bool {
        !self.domain.has(unit) || self.is_over()
    }

    fn before_write(&self, unit: UnitIndex, writer: &str) -> Result<(), Refusal> {
        let file = self.domain.files().get(self.domain.file(unit)).map_or("", String::as_str);
        if self.mode == Protection::Refuse {
            tracing::warn!(session = self.session.0, volume = self.domain.volume, file, client = writer, "a write is refused");
            return Err(Refusal(format!("session {} keeps writes off {file}", self.session)));
        }
        let began = Instant::now();
        self.held.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(session = self.session.0, volume = self.domain.volume, file, client = writer, "a write is held");
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.over.wait_while(waiting, |()| !self.is_over()).unwrap_or_else(PoisonError::into_inner));
        let held_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.longest_us.fetch_max(held_us, Ordering::Relaxed);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}
