//! The wish to stop, for threads that otherwise sleep.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Says that the service stops, to threads and to tasks.
#[derive(Debug, Clone)]
pub struct Stopping(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stopping: Mutex<bool>,
    told: Condvar,
    tasks: watch::Sender<bool>,
}

impl Default for Stopping {
    fn default() -> Self {
        Self(Arc::new(Inner { stopping: Mutex::new(false), told: Condvar::new(), tasks: watch::Sender::new(false) }))
    }
}

impl Stopping {
    /// Says that it stops.
    pub fn stop(&self) {
        *self.0.stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.told.notify_all();
        self.0.tasks.send_replace(true);
    }

    /// Whether it stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.0.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, and gives whether it stops, at once when it does.
    #[must_use]
    pub fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut stopping = self.0.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopping {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            stopping = self.0.told.wait_timeout(stopping, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// For tasks: turns true when it stops.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.0.tasks.subscribe()
    }
}

/// Waits until the service stops; cancel-safe.
pub(super) async fn stopped(told: &mut watch::Receiver<bool>) {
    // An error means that nobody can say so any more, which is a stop too. The guard must not live on.
    drop(told.wait_for(|stopping| *stopping).await);
}
