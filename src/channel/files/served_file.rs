//! One file of the mount: a disk behind its gate, read and written as the bytes of a plain image.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use fuser::Errno;

use super::failure::errno_of;
use super::image_layout::{ImageLayout, Place};
use super::invalidation::{FileObserver, Invalidations};
use super::modified::Modified;
use super::mount::Entry;
use crate::gate::{Access, Busy, GateError, HostPort};

thread_local! {
    /// Whole units on their way to a reader; as long as the longest request of this thread was.
    static UNITS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A file.
#[derive(Debug)]
pub(super) struct ServedFile {
    pub(super) name: String,
    pub(super) inode: u64,
    pub(super) layout: ImageLayout,
    read_only: bool,
    port: HostPort,
    modified: Arc<Modified>,
    /// Something was written since the last sync.
    unsynced: AtomicBool,
}

impl ServedFile {
    pub(super) fn new(entry: &Entry, inode: u64, queue: &Arc<Invalidations>) -> Self {
        let disk = entry.gate.disk();
        let layout = ImageLayout::of(disk.shape());
        let name = format!("{}.{}", entry.name, layout.extension());
        // A view has no file of its own: it is as old as the mount.
        let written = std::fs::metadata(disk.name()).and_then(|image| image.modified()).unwrap_or_else(|_| SystemTime::now());
        let modified = Arc::new(Modified::at(written));
        let observer = FileObserver {
            inode,
            layout: layout.clone(),
            shape: *disk.shape(),
            modified: Arc::clone(&modified),
            queue: Arc::clone(queue),
        };
        let port = entry.gate.attach(&format!("the file {name}"), Some(Arc::new(observer)));
        Self { name, inode, layout, read_only: entry.read_only, port, modified, unsynced: AtomicBool::new(false) }
    }

    /// Whether a program may write to it now.
    pub(super) fn is_writable(&self) -> bool {
        !self.read_only && self.port.gate().disk().is_writable()
    }

    /// Time of the last write, by whichever front-end.
    pub(super) fn modified(&self) -> SystemTime {
        self.modified.get()
    }

    /// Begins one request: T0 is before it or behind it.
    pub(super) fn access(&self, patience: Duration) -> Result<Access, Busy> {
        self.port.single(patience)
    }

    /// Whether something that was written is not on stable storage yet.
    pub(super) fn is_unsynced(&self) -> bool {
        self.unsynced.load(Ordering::Acquire)
    }

    /// Reads a range and gives it to `take`.
    ///
    /// Units are read whole, so that nobody sees half of another's write to one.
    pub(super) fn read<T>(&self, access: &Access, range: &Range<u64>, take: impl FnOnce(&[u8]) -> T) -> Result<T, Errno> {
        let whole = self.layout.whole(range);
        let length = |range: Range<u64>| usize::try_from(range.end - range.start).map_err(|_| Errno::EINVAL);
        let (skipped, wanted) = (length(whole.start..range.start)?, length(range.clone())?);
        UNITS.with_borrow_mut(|buffer| {
            let needed = length(whole.clone())?;
            if buffer.len() < needed {
                buffer.resize(needed, 0);
            }
            for piece in self.layout.pieces(whole) {
                let bytes = &mut buffer[piece.range];
                match piece.place {
                    Place::Header(_) => bytes.copy_from_slice(self.layout.header()),
                    Place::Unit(unit, _) => access.read(unit, bytes).map_err(|error| errno_of(&error, &self.name))?,
                }
            }
            Ok(take(&buffer[skipped..skipped + wanted]))
        })
    }

    /// Whether the file may be written at all, and these bytes into this place; nothing is written.
    pub(super) fn check_write(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        if !self.is_writable() {
            return Err(Errno::EROFS);
        }
        let range = self.layout.clip(offset, bytes.len());
        if range.end - range.start != bytes.len() as u64 {
            return Err(Errno::EFBIG);
        }
        for piece in self.layout.pieces(range) {
            match piece.place {
                // A program that copies a whole image onto the file brings the header that is there.
                Place::Header(from) if self.layout.header()[from..from + piece.range.len()] != bytes[piece.range.clone()] => {
                    return Err(Errno::EPERM);
                }
                Place::Header(_) => {}
                Place::Unit(..) => break,
            }
        }
        Ok(())
    }

    /// Whether a write to the range would go through without waiting for a session.
    pub(super) fn passes(&self, access: &Access, offset: u64, length: usize) -> bool {
        self.layout.pieces(self.layout.clip(offset, length)).all(|piece| match piece.place {
            Place::Header(_) => true,
            Place::Unit(unit, _) => access.passes(unit),
        })
    }

    /// Writes what [`check_write`](Self::check_write) let pass, unit by unit, from byte `done` of it on, and moves `done`
    /// behind each unit that is written.
    pub(super) fn write(&self, access: &Access, offset: u64, bytes: &[u8], done: &mut usize) -> Result<(), GateError> {
        let begun = *done;
        for piece in self.layout.pieces(self.layout.clip(offset + begun as u64, bytes.len() - begun)) {
            let part = begun + piece.range.start..begun + piece.range.end;
            if let Place::Unit(unit, from) = piece.place {
                access.write(unit, from, &bytes[part.clone()])?;
                self.unsynced.store(true, Ordering::Release);
                self.modified.now();
            }
            *done = part.end;
        }
        Ok(())
    }

    /// Brings what was written to stable storage.
    pub(super) fn sync(&self, access: &Access) -> Result<(), Errno> {
        // Before the sync: a write that comes meanwhile is for the next.
        let unsynced = self.unsynced.swap(false, Ordering::AcqRel);
        access.sync().map_err(|error| {
            self.unsynced.fetch_or(unsynced, Ordering::Release);
            errno_of(&error, &self.name)
        })
    }
}
