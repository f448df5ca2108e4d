//! One sync for all who wait for one.
//!
//! A sync covers what was written before it *began*. Who comes while one runs must wait for the next, and everybody who
//! came meanwhile is served by that one. After an error the kernel forgets what it could not write, and the next
//! sync may succeed without it; so an error is remembered, and every later call has it too.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

/// Syncs of one file.
#[derive(Debug, Default)]
pub(super) struct GroupSync {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    begun: u64,
    ended: u64,
    is_running: bool,
    /// What failed: the system's error number if it has one, else the kind.
    failed: Option<(Option<i32>, io::ErrorKind)>,
}

impl GroupSync {
    /// Returns when a sync has ended that began after this call: by `sync`, or by that of another caller.
    ///
    /// # Errors
    /// When that sync failed, or any before it.
    pub(super) fn wait(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = state.begun + 1;
        while state.is_running && state.ended < wanted {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.ended < wanted && state.failed.is_none() {
            state.begun += 1;
            let number = state.begun;
            state.is_running = true;
            drop(state);
            let result = sync();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.is_running = false;
            state.ended = number;
            if let Err(error) = result {
                state.failed = Some((error.raw_os_error(), error.kind()));
            }
            self.ended.notify_all();
        }
        match state.failed {
            None => Ok(()),
            Some((Some(number), _)) => Err(io::Error::from_raw_os_error(number)),
            Some((None, kind)) => Err(kind.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// The storage of the model: what was written, and how much of it a sync has made safe.
    #[test]
    fn every_caller_is_covered_by_a_sync_that_began_after_its_write() {
        let (written, safe) = (AtomicU64::new(0), AtomicU64::new(0));
        let group = GroupSync::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let mine = written.fetch_add(1, Ordering::SeqCst) + 1;
                        let sync = || {
                            let covered = written.load(Ordering::SeqCst);
                            thread::yield_now();
                            safe.fetch_max(covered, Ordering::SeqCst);
                            Ok(())
                        };
                        group.wait(sync).unwrap();
                        assert!(safe.load(Ordering::SeqCst) >= mine);
                    }
                });
            }
        });
    }

    #[test]
    fn callers_who_come_while_a_sync_runs_share_the_next_one() {
        let group = GroupSync::default();
        let syncs = AtomicU64::new(0);
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let slow = move || {
                    begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    Ok(())
                };
                group.wait(slow).unwrap();
            });
            has_begun.recv().unwrap();
            let waiters = [(); 3].map(|()| {
                scope.spawn(|| {
                    let count = || {
                        syncs.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    };
                    group.wait(count).unwrap();
                    // The slow one had begun before, so it is not enough.
                    assert!(syncs.load(Ordering::SeqCst) > 0);
                })
            });
            go_on.send(()).unwrap();
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        });
        // How many came in time to share one is the scheduler's choice.
        assert!((1..=3).contains(&syncs.load(Ordering::SeqCst)));
    }

    #[test]
    fn an_error_is_remembered() {
        let group = GroupSync::default();
        group.wait(|| Ok(())).unwrap();
        assert_eq!(group.wait(|| Err(io::Error::from_raw_os_error(libc::EIO))).unwrap_err().raw_os_error(), Some(libc::EIO));
        assert_eq!(group.wait(|| Ok(())).unwrap_err().raw_os_error(), Some(libc::EIO));
    }
}
