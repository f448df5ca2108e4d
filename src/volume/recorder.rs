//! What a file underwent, write by write, so that a test can end it between any two.

use std::sync::{Mutex, PoisonError};

/// A change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Size(u64),
    Sync,
}

/// The changes since the start, if it was started.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    changes: Mutex<Option<Vec<Change>>>,
}

impl Recorder {
    pub(super) fn start(&self) {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// Number of changes so far.
    pub(super) fn len(&self) -> usize {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, Vec::len)
    }

    pub(super) fn changes(&self) -> Vec<Change> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    pub(super) fn wrote(&self, offset: u64, bytes: &[u8]) {
        self.note(|| Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn cut(&self, bytes: u64) {
        self.note(|| Change::Size(bytes));
    }

    pub(super) fn synced(&self) {
        self.note(|| Change::Sync);
    }

    fn note(&self, change: impl FnOnce() -> Change) {
        if let Some(changes) = &mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner) {
            changes.push(change());
        }
    }
}

impl Change {
    /// Does the same to bytes of a file.
    pub(super) fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let start = usize::try_from(*offset).unwrap();
                let end = start + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[start..end].copy_from_slice(bytes);
            }
            Self::Size(bytes) => file.resize(usize::try_from(*bytes).unwrap(), 0),
            Self::Sync => {}
        }
    }
}
