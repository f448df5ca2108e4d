//! Who must be asked before a unit changes.

use std::fmt;
use std::sync::Arc;

use crate::volume::UnitIndex;

/// Why a watcher lets a write not through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A session that stands behind the gate.
///
/// Outside its domain it costs a host the one test of [`lets_pass`](Self::lets_pass), and when it is over nothing.
pub trait Watcher: Send + Sync {
    /// Whether a write to the unit needs nothing from this watcher: the bit test of the design.
    fn lets_pass(&self, unit: UnitIndex) -> bool;

    /// Does what must be done before the unit changes: copies it, counts, or waits. It may block, and returns when the
    /// write may go on.
    ///
    /// # Errors
    /// Only from a watcher that was made to refuse writes; a snapshot never does.
    fn before_write(&self, unit: UnitIndex, writer: &str) -> Result<(), Refusal>;

    /// A host has read the unit.
    fn has_read(&self, _unit: UnitIndex) {}

    /// Whether [`has_read`](Self::has_read) wants to be called.
    fn counts_reads(&self) -> bool {
        false
    }

    /// A host has written to the unit; called behind the write, which went through.
    fn has_written(&self, _unit: UnitIndex, _writer: &str) {}

    /// Whether [`has_written`](Self::has_written) wants to be called.
    fn counts_writes(&self) -> bool {
        false
    }

    /// Whether it needs nothing any more, and can be left out of the list.
    fn is_over(&self) -> bool;
}

/// The watchers of a disk, as they were when an access began.
pub type Watchers = Arc<[Arc<dyn Watcher>]>;
