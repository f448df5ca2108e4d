//! A turnstile: threads pass one after the other in the order of their numbers.
//!
//! Stages are handed out in tape order and loaded in parallel. Where a stage's place depends on the lengths of those
//! before it, or the sink takes bytes in order only, each thread waits here for its turn. Numbers are handed out in
//! order and every holder of one passes, so the thread with the lowest number never waits, and there is no deadlock;
//! a thread that fails breaks the turnstile, and all others leave.

use std::sync::{Condvar, Mutex, PoisonError};

/// State behind a turnstile that one thread at a time may use, in order.
#[derive(Debug)]
pub(crate) struct Turnstile<T> {
    inner: Mutex<Inner<T>>,
    moved: Condvar,
}

#[derive(Debug)]
struct Inner<T> {
    next: usize,
    broken: bool,
    state: T,
}

impl<T> Turnstile<T> {
    pub(crate) fn new(state: T) -> Self {
        Self { inner: Mutex::new(Inner { next: 0, broken: false, state }), moved: Condvar::new() }
    }

    /// Waits for turn `number`, runs `work`, lets the next one through. `None` if the turnstile is broken.
    ///
    /// An error of `work` breaks the turnstile.
    pub(crate) fn pass<R, E>(&self, number: usize, work: impl FnOnce(&mut T) -> Result<R, E>) -> Option<Result<R, E>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        while inner.next != number && !inner.broken {
            inner = self.moved.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        if inner.broken {
            return None;
        }
        let result = work(&mut inner.state);
        inner.next += 1;
        inner.broken = result.is_err();
        drop(inner);
        self.moved.notify_all();
        Some(result)
    }

    /// Lets everybody go who waits or will come.
    pub(crate) fn break_down(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).broken = true;
        self.moved.notify_all();
    }

    /// Takes the state back when all threads are gone.
    pub(crate) fn into_inner(self) -> T {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner).state
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn threads_pass_in_the_order_of_their_numbers() {
        let turnstile = Turnstile::new(Vec::new());
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= 1000 {
                            break;
                        }
                        let passed = turnstile.pass(number, |order: &mut Vec<usize>| {
                            order.push(number);
                            Ok::<(), ()>(())
                        });
                        assert_eq!(passed, Some(Ok(())));
                    }
                });
            }
        });
        assert_eq!(turnstile.into_inner(), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_lets_everybody_go() {
        let turnstile = Turnstile::new(());
        assert_eq!(turnstile.pass(0, |()| Err::<(), _>("full")), Some(Err("full")));
        assert_eq!(turnstile.pass(1, |()| Ok::<(), &str>(())), None);
        let waiting = Turnstile::new(());
        std::thread::scope(|scope| {
            let blocked = scope.spawn(|| waiting.pass(5, |()| Ok::<(), ()>(())));
            waiting.break_down();
            assert_eq!(blocked.join().unwrap(), None);
        });
    }
}
