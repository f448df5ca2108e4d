//! Freezes: volumes held still for the operator, who flushes, starts a session, and thaws.
//!
//! A freeze is a danger to hosts: whoever asks for it may never come back. So each has an end, at which it is let go
//! whatever happens, and a session that comes later is refused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::stopping::Stopping;
use crate::gate::{HeldBy, Still, StillLimits, VolumeGate};

/// How long a freeze lasts unless something else is asked for.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(10);
/// How long a freeze can last: guests' missing-interrupt timers run out by then.
pub const MOST_LIMIT: Duration = Duration::from_secs(60);

/// A freeze that does not come about, or is not there.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FreezeError {
    /// It would last too long.
    #[error("a freeze lasts at most {} s: hosts give up a device that does not answer", MOST_LIMIT.as_secs())]
    TooLong,
    /// A client was in the way all the time.
    #[error("nothing is frozen: {0}")]
    Held(HeldBy),
    /// A volume is frozen already.
    #[error("{0} is frozen already; `tapegate thaw` ends that")]
    Already(String),
}

/// The freezes of a service.
#[derive(Debug, Default)]
pub struct Freezes(Mutex<Vec<Arc<Freeze>>>);

#[derive(Debug)]
struct Freeze {
    volumes: Vec<String>,
    until: Instant,
    /// None when it has ended. Held while a session takes its T0, so that the end waits for that.
    still: Mutex<Option<Still>>,
}

impl Freeze {
    fn still(&self) -> MutexGuard<'_, Option<Still>> {
        self.still.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Freezes {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<Freeze>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Freezes volumes, all or none, until `limit` has passed; gives for how long hosts had been held until it was whole.
    ///
    /// # Errors
    /// When nothing is frozen.
    pub fn freeze(
        self: &Arc<Self>,
        gates: &[Arc<VolumeGate>],
        limit: Duration,
        wait: Duration,
        stopping: &Stopping,
    ) -> Result<Duration, FreezeError> {
        if limit > MOST_LIMIT {
            return Err(FreezeError::TooLong);
        }
        if let Some(gate) = gates.iter().find(|gate| self.is_frozen(gate.name())) {
            return Err(FreezeError::Already(gate.name().to_owned()));
        }
        let limits = StillLimits { limit: wait, ..StillLimits::default() };
        let still = Still::of(gates, limits).map_err(FreezeError::Held)?;
        let held = still.held_for();
        let volumes = gates.iter().map(|gate| gate.name().to_owned()).collect();
        let freeze = Arc::new(Freeze { volumes, until: Instant::now() + limit, still: Mutex::new(Some(still)) });
        self.all().push(Arc::clone(&freeze));
        let (freezes, stopping) = (Arc::clone(self), stopping.clone());
        let ending = Arc::clone(&freeze);
        let thread = std::thread::Builder::new().name("freeze".to_owned()).spawn(move || {
            let _stops_or_not = stopping.sleep(limit);
            if ending.still().take().is_some() {
                tracing::warn!(volumes = ?ending.volumes, "a freeze ended by itself");
            }
            freezes.forget_ended();
        });
        if let Err(error) = thread {
            // Without its end it must not go on.
            drop(freeze.still().take());
            self.forget_ended();
            tracing::error!("no thread could be started: {error}");
            return Err(FreezeError::Held(HeldBy { disk: freeze.volumes.join(", "), client: None }));
        }
        Ok(held)
    }

    /// Ends the freezes that have one of these volumes, or all if none is named; gives what is not frozen any more.
    pub fn thaw(&self, volumes: &[String]) -> Vec<String> {
        let named = |freeze: &&Arc<Freeze>| volumes.is_empty() || freeze.volumes.iter().any(|name| volumes.contains(name));
        let ending: Vec<_> = self.all().iter().filter(named).cloned().collect();
        let mut thawed = Vec::new();
        for freeze in ending {
            if freeze.still().take().is_some() {
                thawed.extend(freeze.volumes.iter().cloned());
            }
        }
        self.forget_ended();
        thawed
    }

    /// Whether a volume is frozen.
    #[must_use]
    pub fn is_frozen(&self, volume: &str) -> bool {
        let of_it: Vec<_> =
            self.all().iter().filter(|freeze| freeze.volumes.iter().any(|name| name == volume)).cloned().collect();
        of_it.iter().any(|freeze| freeze.still().is_some())
    }

    /// Does something inside the freeze that has all these volumes, which does not end meanwhile; with `None` if there is
    /// no such freeze, or its time is over.
    pub fn inside<T>(&self, volumes: &[String], work: impl FnOnce(Option<&Still>) -> T) -> T {
        let has_all = |freeze: &&Arc<Freeze>| volumes.iter().all(|name| freeze.volumes.contains(name));
        let freeze = self.all().iter().find(has_all).cloned();
        match freeze {
            Some(freeze) => {
                let still = freeze.still();
                work(still.as_ref().filter(|_| Instant::now() < freeze.until))
            }
            None => work(None),
        }
    }

    fn forget_ended(&self) {
        // Not `still()` under the lock of the list: a session that takes T0 holds that one for milliseconds.
        let freezes = self.all().clone();
        let ended: Vec<_> = freezes.into_iter().filter(|freeze| freeze.still().is_none()).collect();
        self.all().retain(|freeze| !ended.iter().any(|ended| Arc::ptr_eq(ended, freeze)));
    }
}
