//! Telling writes to data sets, without making any wait.
//!
//! A host's write only adds to what is to be told of its data set. A thread tells it: the first write at once, then at most
//! once an interval (a second), with the number of writes since. A listener that takes its time delays the next event,
//! which then counts more writes, and never a host. What was not told yet when the session ends is told then.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::domain::Domain;
use crate::gate::{Refusal, Watcher};
use crate::live::status::SessionId;
use crate::volume::UnitIndex;

/// Between two events about one data set.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Hosts wrote to a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteEvent {
    /// The session that tells it.
    pub session: SessionId,
    /// The volume.
    pub volume: String,
    /// The data set; `(rest)` for what none has.
    pub file: String,
    /// The unit that was written first since the last event about the data set, as an operator knows it.
    pub address: String,
    /// The client that wrote it.
    pub client: String,
    /// Writes since the last event about the data set.
    pub writes: u64,
}

/// Takes events.
pub trait EventSink: Send + Sync {
    /// Hosts wrote to a data set. It is called by a thread of the session, one event at a time.
    fn written(&self, event: &WriteEvent);
}

/// Tells the writes of one volume.
pub(super) struct Telling {
    session: SessionId,
    domain: Domain,
    interval: Duration,
    state: Mutex<State>,
    /// Told when there is something to tell, and of the end.
    moved: Condvar,
}

#[derive(Default)]
struct State {
    /// By the domain's numbers of data sets.
    untold: BTreeMap<usize, Untold>,
    told: BTreeMap<usize, Instant>,
    ended: bool,
}

struct Untold {
    first: UnitIndex,
    client: String,
    writes: u64,
}

impl std::fmt::Debug for Telling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telling").field("session", &self.session).field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Telling {
    pub(super) fn new(session: SessionId, domain: Domain, interval: Duration) -> Self {
        Self { session, domain, interval, state: Mutex::default(), moved: Condvar::new() }
    }

    pub(super) const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Ends it; what is untold is told by [`run`](Self::run), which then returns.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.moved.notify_all();
    }

    /// Tells events until the session has ended.
    pub(super) fn run(&self, sink: &Arc<dyn EventSink>) {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let due_at = |state: &State, file| state.told.get(file).map_or(now, |told| *told + self.interval);
            let due = state.untold.keys().find(|file| state.ended || due_at(&state, file) <= now).copied();
            if let Some(file) = due {
                let Some(untold) = state.untold.remove(&file) else { continue };
                state.told.insert(file, now);
                drop(state);
                sink.written(&self.event(file, untold));
                state = self.state();
            } else if state.ended {
                return;
            } else {
                let next = state.untold.keys().map(|file| due_at(&state, file)).min();
                state = match next {
                    None => self.moved.wait(state).unwrap_or_else(PoisonError::into_inner),
                    Some(next) => {
                        let waited = self.moved.wait_timeout(state, next.saturating_duration_since(now));
                        waited.unwrap_or_else(PoisonError::into_inner).0
                    }
                };
            }
        }
    }

    fn event(&self, file: usize, untold: Untold) -> WriteEvent {
        WriteEvent {
            session: self.session,
            volume: self.domain.volume.clone(),
            file: self.domain.files().get(file).cloned().unwrap_or_default(),
            address: self.domain.shape.address(untold.first).to_string(),
            client: untold.client,
            writes: untold.writes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher for Telling {
    fn lets_pass(&self, _unit: UnitIndex) -> bool {
        true
    }

    fn before_write(&self, _unit: UnitIndex, _writer: &str) -> Result<(), Refusal> {
        Ok(())
    }

    fn has_written(&self, unit: UnitIndex, writer: &str) {
        if !self.domain.has(unit) {
            return;
        }
        let file = self.domain.file(unit);
        let mut state = self.state();
        if state.ended {
            return;
        }
        if let Some(untold) = state.untold.get_mut(&file) {
            untold.writes += 1;
            return;
        }
        state.untold.insert(file, Untold { first: unit, client: writer.to_owned(), writes: 1 });
        drop(state);
        self.moved.notify_all();
    }

    fn counts_writes(&self) -> bool {
        true
    }

    fn is_over(&self) -> bool {
        self.state().ended
    }
}
