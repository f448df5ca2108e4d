//! Locks and atomics of the protocols that stand between hosts and sessions: the standard library's, or shuttle's.
//!
//! With the feature `shuttle`, tests run the gate and the claim protocol under shuttle, which decides at every lock and
//! every atomic which thread goes next, and so tries interleavings that a machine shows once in a year. Production code
//! has the standard library's types, by their own names. Shuttle explores orders of execution, all sequentially
//! consistent; that acquire and release stand where they must is for the reader of `snapshot/status.rs`.

#[cfg(all(test, feature = "shuttle"))]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(all(test, feature = "shuttle"))]
pub(crate) use shuttle::thread::yield_now;
#[cfg(not(all(test, feature = "shuttle")))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(not(all(test, feature = "shuttle")))]
pub(crate) use std::thread::yield_now;

pub(crate) mod atomic {
    #[cfg(all(test, feature = "shuttle"))]
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
    #[cfg(not(all(test, feature = "shuttle")))]
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
}
