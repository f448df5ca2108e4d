//! When a file was last written, by whichever front-end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time that any thread can set and read: nanoseconds since 1970, which last until 2554.
#[derive(Debug, Default)]
pub(super) struct Modified(AtomicU64);

impl Modified {
    pub(super) fn at(time: SystemTime) -> Self {
        Self(AtomicU64::new(nanoseconds(time)))
    }

    pub(super) fn now(&self) {
        self.0.store(nanoseconds(SystemTime::now()), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
