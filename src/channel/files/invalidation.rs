//! Tells the kernel what other front-ends wrote.
//!
//! Reads go past the kernel's cache, but it keeps the time of the last write, and pages of files that are mapped into
//! memory. Whoever writes only adds to a list: the kernel may wait for a request of ours before it forgets a page, so
//! it is never called from a thread that holds a lock of the gate or that serves requests.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use fuser::{INodeNo, Notifier};

use super::image_layout::ImageLayout;
use super::modified::Modified;
use crate::gate::ChangeObserver;
use crate::volume::{Shape, UnitIndex};

/// Files and ranges that the kernel is still to be told of; neighbours and what lies between are told as one.
#[derive(Debug, Default)]
pub(super) struct Invalidations {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ranges: HashMap<u64, Range<u64>>,
    closed: bool,
}

impl Invalidations {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, inode: u64, range: Range<u64>) {
        let mut state = self.state();
        let own = state.ranges.entry(inode).or_insert_with(|| range.clone());
        *own = own.start.min(range.start)..own.end.max(range.end);
        drop(state);
        self.wake.notify_one();
    }

    /// Starts the thread that tells the kernel, until [`close`](Self::close).
    pub(super) fn spawn(self: &Arc<Self>, notifier: Notifier) -> std::io::Result<thread::JoinHandle<()>> {
        let queue = Arc::clone(self);
        thread::Builder::new().name("files-invalidate".to_owned()).spawn(move || {
            while let Some(ranges) = queue.next() {
                for (inode, range) in ranges {
                    // A file has fewer than 2^63 bytes: they were counted in an image's 64-bit offsets.
                    let start = i64::try_from(range.start).unwrap_or(0);
                    let length = i64::try_from(range.end - range.start).unwrap_or(i64::MAX - start);
                    if let Err(error) = notifier.inval_inode(INodeNo(inode), start, length) {
                        // The mount is gone, and with it what was to be forgotten.
                        tracing::debug!("the kernel was not told of a change: {error}");
                    }
                }
            }
        })
    }

    /// What came since it was last asked; waits for something, and gives nothing when it is closed.
    fn next(&self) -> Option<HashMap<u64, Range<u64>>> {
        let waited = self.wake.wait_while(self.state(), |state| state.ranges.is_empty() && !state.closed);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed { None } else { Some(std::mem::take(&mut state.ranges)) }
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_all();
    }
}

/// Notes what others write to the disk behind a file.
#[derive(Debug)]
pub(super) struct FileObserver {
    pub(super) inode: u64,
    pub(super) layout: ImageLayout,
    pub(super) shape: Shape,
    pub(super) modified: Arc<Modified>,
    pub(super) queue: Arc<Invalidations>,
}

impl ChangeObserver for FileObserver {
    fn unit_changed(&self, unit: UnitIndex) {
        self.modified.now();
        let start = self.layout.offset_of(unit);
        self.queue.add(self.inode, start..start.saturating_add(self.shape.unit_bytes(unit).into()));
    }

    fn everything_changed(&self) {
        self.modified.now();
        self.queue.add(self.inode, 0..self.layout.size_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::BlockShape;

    #[test]
    fn what_changed_is_told_once_and_as_one_range_a_file() {
        let shape = Shape::FixedBlock(BlockShape { blocks: 21, block_bytes: 512, unit_blocks: 8 });
        let queue = Arc::new(Invalidations::default());
        let (layout, modified) = (ImageLayout::of(&shape), Arc::new(Modified::default()));
        let observer = FileObserver { inode: 7, layout, shape, modified: Arc::clone(&modified), queue: Arc::clone(&queue) };
        let before = modified.get();
        observer.unit_changed(UnitIndex(2));
        observer.unit_changed(UnitIndex(1));
        assert_eq!(queue.next().unwrap(), HashMap::from([(7, 4096..21 * 512)]));
        assert!(modified.get() > before);
        observer.everything_changed();
        assert_eq!(queue.next().unwrap(), HashMap::from([(7, 0..21 * 512)]));
        queue.close();
        assert_eq!(queue.next(), None);
    }
}
