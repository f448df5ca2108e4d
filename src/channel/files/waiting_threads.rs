//! Threads for requests that wait: for a session, for another host's channel program, for stable storage, for room.
//!
//! The threads that take requests from the kernel serve all files, so none of them may wait for one disk. A request that
//! would wait is moved to a thread of its own here. Threads are kept for a while, because the first write to each track
//! after T0 comes this way.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Most threads. A kernel request that waits has a thread of a client behind it, or is one of the background requests,
/// of which the kernel sends a bounded number.
const MOST_THREADS: usize = 512;
/// A thread without work ends after this time.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// What a thread does.
type Job = Box<dyn FnOnce() + Send>;

/// A set of threads that grows with the number of requests that wait.
#[derive(Default)]
pub(super) struct WaitingThreads(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// No job comes any more.
    closed: bool,
}

impl WaitingThreads {
    /// Does the job on a thread of its own, at once unless [`MOST_THREADS`] are busy.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = self.0.state();
        state.jobs.push_back(Box::new(job));
        // Idle threads that were woken for earlier jobs still count as idle, and so do those jobs.
        if state.jobs.len() <= state.idle || state.threads >= MOST_THREADS {
            drop(state);
            self.0.wake.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(&self.0);
        let spawned = thread::Builder::new().name("files-waiting".to_owned()).spawn(move || shared.work());
        if let Err(error) = spawned {
            tracing::warn!("no thread for a request that waits ({error}); it keeps others waiting");
            let job = {
                let mut state = self.0.state();
                state.threads -= 1;
                state.jobs.pop_back()
            };
            if let Some(job) = job {
                job();
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.state();
        loop {
            while let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.state();
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (woken, waited) = self.wake.wait_timeout(state, IDLE_LIMIT).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl Drop for WaitingThreads {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_job_that_waits_keeps_no_other_waiting() {
        let threads = WaitingThreads::default();
        let (done, finished) = mpsc::channel();
        let mut held = Vec::new();
        for number in 0..50 {
            let (release, wait) = mpsc::channel::<()>();
            held.push(release);
            let done = done.clone();
            threads.run(move || {
                wait.recv().unwrap_or_default();
                done.send(number).unwrap();
            });
        }
        // Backwards: each needs a thread of its own.
        for (number, release) in (0..50).zip(held).rev() {
            drop(release);
            assert_eq!(finished.recv_timeout(Duration::from_secs(20)), Ok(number));
        }
        // The threads are still there, and are used again.
        let before = threads.0.state().threads;
        threads.run(move || done.send(50).unwrap());
        assert_eq!(finished.recv_timeout(Duration::from_secs(20)), Ok(50));
        assert!(threads.0.state().threads <= before.max(50));
    }
}
