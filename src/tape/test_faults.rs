//! Tapes that become full in the middle of a test.

#![cfg_attr(feature = "shuttle", allow(dead_code, reason = "the scenarios of shuttle have no faults"))]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::partial::beside;

/// Writes that a tape under way still takes, of those that shall fail.
static WRITES_LEFT: Mutex<BTreeMap<PathBuf, u32>> = Mutex::new(BTreeMap::new());

/// Lets the tape that will be called `target` take `writes` more writes, and then none.
pub(crate) fn fail_after(target: &Path, writes: u32) {
    WRITES_LEFT.lock().unwrap().insert(beside(target, ".partial"), writes);
}

/// The tape is as any other again.
pub(crate) fn forget(target: &Path) {
    WRITES_LEFT.lock().unwrap().remove(&beside(target, ".partial"));
}

/// Called before each write to the tape under way at `path`.
pub(super) fn check(path: &Path) -> io::Result<()> {
    match WRITES_LEFT.lock().unwrap().get_mut(path) {
        Some(0) => Err(io::ErrorKind::StorageFull.into()),
        Some(left) => {
            *left -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}
