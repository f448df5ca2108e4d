//! The requests under way, so that a stop lets each come to its end and lets none in behind it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counts requests.
#[derive(Debug, Default)]
pub(super) struct Requests {
    state: Mutex<State>,
    /// Told when the last request ends, and when the stop begins.
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    under_way: u64,
    stopping: bool,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Requests>);

impl Requests {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request; none once it is being stopped.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Ticket> {
        let mut state = self.state();
        if state.stopping {
            return None;
        }
        state.under_way += 1;
        Some(Ticket(Arc::clone(self)))
    }

    /// Lets no further request begin, and waits up to `limit` for those under way. False if some are still.
    pub(super) fn stop(&self, limit: Duration) -> bool {
        let mut state = self.state();
        state.stopping = true;
        self.moved.notify_all();
        let done = self.moved.wait_timeout_while(state, limit, |state| state.under_way > 0);
        done.unwrap_or_else(PoisonError::into_inner).0.under_way == 0
    }

    /// Waits for `time`; false as soon as it is being stopped.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = self.state();
        while !state.stopping {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            state = self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way -= 1;
        if state.under_way == 0 && state.stopping {
            self.0.moved.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_waits_for_what_is_under_way_and_lets_nothing_in() {
        let requests = Arc::new(Requests::default());
        let ticket = requests.begin().unwrap();
        assert!(!requests.stop(Duration::ZERO));
        assert!(requests.begin().is_none());
        std::thread::scope(|scope| {
            let stopping = scope.spawn(|| requests.stop(Duration::from_secs(20)));
            drop(ticket);
            assert!(stopping.join().unwrap());
        });
    }

    #[test]
    fn a_pause_ends_when_the_stop_begins() {
        let requests = Arc::new(Requests::default());
        assert!(requests.pause(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let pausing = scope.spawn(|| requests.pause(Duration::from_secs(20)));
            assert!(requests.stop(Duration::ZERO));
            assert!(!pausing.join().unwrap());
        });
    }
}
