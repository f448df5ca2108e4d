//! The copier's pace: fair to the hosts, and at most at a rate; both can be changed while it runs.
//!
//! After some stages in a row the copier pauses, if hosts are at work, so that their requests find disk and processor
//! free. A copier that never pauses gets through sooner and costs hosts their latency: the default is chosen for the
//! hosts' sake.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::status::Pace;
use crate::gate::VolumeGate;

/// Stages (of about 1 MiB) in a row before a pause, unless the operator says otherwise.
const STAGES_IN_A_ROW: u32 = 8;
/// How long a pause is.
const PAUSE: Duration = Duration::from_millis(2);
/// Hosts are at work if one wrote within this time.
const AT_WORK_MS: u64 = 100;

/// Keeps the pace of one session's copiers.
#[derive(Debug)]
pub struct Pacer {
    stages_in_a_row: AtomicU32,
    bytes_per_second: AtomicU64,
    stages: AtomicU32,
    /// Not held: a gate has its sessions, and a session its pacer.
    gates: Vec<Weak<VolumeGate>>,
    /// When the bytes copied so far are paid for.
    paid_until: Mutex<Option<Instant>>,
}

impl Pacer {
    /// A pacer that looks at the hosts of these gates.
    #[must_use]
    pub fn new(pace: Pace, gates: Vec<Arc<VolumeGate>>) -> Self {
        let (stages, paid_until) = Default::default();
        let gates = gates.iter().map(Arc::downgrade).collect();
        let pacer = Self { stages_in_a_row: AtomicU32::new(0), bytes_per_second: AtomicU64::new(0), stages, gates, paid_until };
        pacer.set(pace);
        pacer
    }

    /// Changes the pace from the next stage on; what is not named becomes the default.
    pub fn set(&self, pace: Pace) {
        self.stages_in_a_row.store(pace.stages_in_a_row.unwrap_or(STAGES_IN_A_ROW), Ordering::Relaxed);
        self.bytes_per_second.store(pace.bytes_per_second.unwrap_or(0), Ordering::Relaxed);
    }

    /// The pace as it is set.
    #[must_use]
    pub fn get(&self) -> Pace {
        let rate = self.bytes_per_second.load(Ordering::Relaxed);
        Pace {
            stages_in_a_row: Some(self.stages_in_a_row.load(Ordering::Relaxed)),
            bytes_per_second: (rate != 0).then_some(rate),
        }
    }

    /// Called after each stage with its bytes: waits if it is time.
    pub(super) fn pace(&self, bytes: u64) {
        let stages_in_a_row = self.stages_in_a_row.load(Ordering::Relaxed);
        let bytes_per_second = self.bytes_per_second.load(Ordering::Relaxed);
        let stages = self.stages.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let pause = stages_in_a_row != 0 && stages.is_multiple_of(stages_in_a_row) && self.hosts_at_work();
        let mut wait = if pause { PAUSE } else { Duration::ZERO };
        if bytes_per_second != 0 {
            wait = wait.max(self.owed(bytes, bytes_per_second));
        }
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
    }

    fn hosts_at_work(&self) -> bool {
        self.gates
            .iter()
            .filter_map(Weak::upgrade)
            .any(|gate| gate.activity().since_last_write_ms.is_some_and(|ms| ms < AT_WORK_MS))
    }

    /// How long to wait until `bytes` more are paid for at this rate; time that was not used is not saved up.
    fn owed(&self, bytes: u64, bytes_per_second: u64) -> Duration {
        let cost = Duration::from_nanos(
            u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second)).unwrap_or(u64::MAX),
        );
        let now = Instant::now();
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = paid_until.map_or(now, |until| until.max(now)) + cost.min(LONGEST_WAIT);
        *paid_until = Some(until);
        until.saturating_duration_since(now).min(LONGEST_WAIT)
    }
}

/// So soon a changed rate is followed.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_paid_for_at_the_rate() {
        let pacer = Pacer::new(Pace { bytes_per_second: Some(1 << 20), ..Pace::default() }, Vec::new());
        let first = pacer.owed(1 << 18, 1 << 20);
        let second = pacer.owed(1 << 18, 1 << 20);
        assert_eq!(first, Duration::from_millis(250));
        assert!(second > Duration::from_millis(400) && second <= Duration::from_millis(500), "{second:?}");
    }
}
