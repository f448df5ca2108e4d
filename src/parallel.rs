//! Tasks in order over several threads: the shape that measuring, copying, restoring and verifying share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Threads where the operator did not say: more than four wait for the medium.
pub(crate) fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().min(4))
}

/// Hands out `tasks` in their order to `threads` threads, each with buffers of its own.
///
/// The first error ends the work: no further task is handed out, `on_error` is called so that threads that wait for
/// others can be let go, and the error is given back. Gives whether all tasks were done; they were not if `stop` was set
/// from outside.
///
/// # Errors
/// The first error of `work`.
pub(crate) fn run_in_order<T: Sync, B, E: Send>(
    threads: usize,
    tasks: &[T],
    stop: &AtomicBool,
    buffers: impl Fn() -> B + Sync,
    work: impl Fn(usize, &T, &mut B) -> Result<(), E> + Sync,
    on_error: impl Fn() + Sync,
) -> Result<bool, E> {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let failure: Mutex<Option<E>> = Mutex::new(None);
    let thread = || {
        let mut buffers = buffers();
        while !failed.load(Ordering::Relaxed) {
            if stop.load(Ordering::Relaxed) {
                // Whoever waits for a task that is not handed out any more must be let go.
                on_error();
                return;
            }
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(number) else { return };
            match work(number, task, &mut buffers) {
                Ok(()) => {
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    failed.store(true, Ordering::Relaxed);
                    on_error();
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for number in 1..threads {
            // Without a further thread the work takes longer and is done all the same.
            let _spawned = std::thread::Builder::new().name(format!("worker-{number}")).spawn_scoped(scope, thread);
        }
        thread();
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(done.into_inner() == tasks.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_done_once() {
        let tasks: Vec<usize> = (0..1000).collect();
        let seen: Vec<_> = (0..1000).map(|_| AtomicUsize::new(0)).collect();
        let work = |number: usize, task: &usize, count: &mut usize| {
            *count += 1;
            seen[*task].fetch_add(number + 1, Ordering::Relaxed);
            Ok::<(), ()>(())
        };
        assert_eq!(run_in_order(4, &tasks, &AtomicBool::new(false), || 0, work, || {}), Ok(true));
        assert!(seen.iter().enumerate().all(|(number, seen)| seen.load(Ordering::Relaxed) == number + 1));
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let tasks: Vec<usize> = (0..1000).collect();
        let work = |_: usize, task: &usize, (): &mut ()| if *task == 17 { Err(*task) } else { Ok(()) };
        assert_eq!(run_in_order(1, &tasks, &AtomicBool::new(false), || (), work, || {}), Err(17));
        assert_eq!(run_in_order(1, &tasks, &AtomicBool::new(true), || (), work, || {}), Ok(false));
    }
}
