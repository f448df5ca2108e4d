//! The two files of a share that survives a restart: bodies, and the index that says which of them count.
//!
//! A body is written before the entry that names it, and the entry before `put` returns. After kill -9 the kernel still
//! has both. A durable share syncs the body before it writes the entry and the entry before `put` returns, in groups: all
//! who wait at the same time share one sync. A unit's granules are used again when the entry that releases it is as safe
//! as the one that put it, since a later body over a unit that the index still has would be damage.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::body_file::{BodyFile, Placement};
use super::error::CacheError;
use super::granules::{FreeGranules, GRANULE_BYTES};
use super::group_sync::GroupSync;
use super::index_format::{Action, ENTRY_BYTES, Entry, Found, INDEX_MAGIC, IndexHeader, ReadIndex, UnitHeaderBytes};
use super::medium::Medium;
use crate::boot::BootId;
use crate::named_file::has_name;

/// Bodies and index of one share.
#[derive(Debug)]
pub(super) struct KeptFiles {
    bodies: Arc<BodyFile>,
    bodies_sync: GroupSync,
    path: PathBuf,
    /// Locked as long as it is open.
    index: Box<dyn Medium>,
    is_durable: bool,
    /// Checksum that those of the entries carry on.
    seed: u32,
    entries_at: u64,
    /// Entries written. Held while one is written, which keeps them in order; no other lock is taken inside.
    entries: Mutex<u32>,
    /// Entries synced; used by durable shares.
    synced: AtomicU32,
    index_sync: GroupSync,
}

/// How far an index is.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryState {
    /// Checksum of its header, which those of the entries carry on.
    pub(super) seed: u32,
    /// Offset of the first entry.
    pub(super) entries_at: u64,
    /// Entries that are there.
    pub(super) entries: u32,
}

/// What was found in the files of an earlier process.
#[derive(Debug)]
pub(super) struct Reopened {
    pub(super) files: KeptFiles,
    pub(super) identity: String,
    pub(super) units: Vec<(u32, Found)>,
}

/// Where the bodies of an index are.
fn bodies_of(index: &Path) -> PathBuf {
    let mut path = index.as_os_str().to_owned();
    path.push(".bodies");
    path.into()
}

impl KeptFiles {
    /// Makes both files, with no unit.
    ///
    /// # Errors
    /// When one of them exists or can't be made.
    pub(super) fn create(path: &Path, identity: &str, is_durable: bool, boot: BootId) -> Result<Self, CacheError> {
        let header = IndexHeader { is_durable, boot, identity: identity.to_owned() };
        let (head, seed) = header.encode().ok_or_else(|| CacheError::refused(path, "its identity is longer than 1 MiB"))?;
        let index = create_new(path)?;
        let made = lock(path, &index).and_then(|()| create_new(&bodies_of(path))).and_then(|bodies| {
            index.write_all_at(&head, 0).map_err(|error| CacheError::io_at(path, "writing its header", 0, error))?;
            if is_durable {
                for (path, file) in [(path, &index), (&bodies_of(path), &bodies)] {
                    file.sync_all().map_err(|error| CacheError::io(path, "syncing it", error))?;
                }
                sync_folder_of(path)?;
            }
            Ok(bodies)
        });
        let bodies = made.inspect_err(|_| {
            // The index is ours, just made, and names nothing. The first error is the one to tell.
            let _best_effort = std::fs::remove_file(path);
        })?;
        let bodies = BodyFile::new(bodies_of(path), bodies, FreeGranules::default());
        let state = EntryState { seed, entries_at: head.len() as u64, entries: 0 };
        Ok(Self::over(path, index, bodies, is_durable, state))
    }

    /// Takes up the files that an earlier process left.
    ///
    /// # Errors
    /// See [`super::CachePool::reopen_share`].
    pub(super) fn reopen(path: &Path, boot: BootId) -> Result<Reopened, CacheError> {
        let index = open(path)?;
        lock(path, &index)?;
        let bytes = length(path, &index)?;
        let mut input = BufReader::new(&index);
        let head = IndexHeader::read(path, &mut input)?;
        if !head.0.is_durable && head.0.boot != boot {
            return Err(CacheError::NotDurable { path: path.to_owned() });
        }
        let read = ReadIndex::read(path, &mut input, head, bytes)?;
        let bodies = open_bodies(&bodies_of(path), &read)?;
        let end = read.entries_at + u64::from(read.entries) * ENTRY_BYTES as u64;
        if end < bytes {
            index.set_len(end).map_err(|error| CacheError::io_at(path, "cutting an unfinished entry off", end, error))?;
        }
        if read.header.is_durable {
            // An entry of the process that ended may not have been synced yet; from now on it counts as safe.
            index.sync_all().map_err(|error| CacheError::io(path, "syncing it", error))?;
        }
        let state = EntryState { seed: read.seed, entries_at: read.entries_at, entries: read.entries };
        let files = Self::over(path, index, bodies, read.header.is_durable, state);
        Ok(Reopened { files, identity: read.header.identity, units: read.units.into_iter().collect() })
    }

    /// Removes the files of an index that no process has open.
    ///
    /// # Errors
    /// When a process has it open, it is something else, or the files can't be removed.
    pub(super) fn remove(path: &Path) -> Result<(), CacheError> {
        let index = match open(path) {
            Err(CacheError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        if let Some(index) = &index {
            lock(path, index)?;
            let mut magic = Vec::new();
            let read = index.take(INDEX_MAGIC.len() as u64).read_to_end(&mut magic);
            read.map_err(|error| CacheError::io_at(path, "reading its header", 0, error))?;
            // After a crash of the machine the header may never have been written.
            if magic != INDEX_MAGIC && magic.iter().any(|&byte| byte != 0) {
                return Err(CacheError::refused(path, "it is not an index of originals; remove it yourself if it must go"));
            }
        }
        remove_both(path)
    }

    /// Goes on with an index of `state` and the bodies that it names.
    pub(super) fn over(path: &Path, index: impl Medium + 'static, bodies: BodyFile, is_durable: bool, state: EntryState) -> Self {
        Self {
            bodies: Arc::new(bodies),
            bodies_sync: GroupSync::default(),
            path: path.to_owned(),
            index: Box::new(index),
            is_durable,
            seed: state.seed,
            entries_at: state.entries_at,
            entries: Mutex::new(state.entries),
            synced: AtomicU32::new(state.entries),
            index_sync: GroupSync::default(),
        }
    }

    pub(super) const fn bodies(&self) -> &Arc<BodyFile> {
        &self.bodies
    }

    /// Writes a body to its place, and the entry that makes it count.
    ///
    /// # Errors
    /// When a medium fails or is full; then it does not count in this process.
    pub(super) fn put(&self, header: UnitHeaderBytes, place: Placement, body: &[u8]) -> Result<Placement, CacheError> {
        place.write(body)?;
        if self.is_durable {
            let synced = self.bodies_sync.wait(|| self.bodies.medium().sync());
            synced.map_err(|error| CacheError::io(self.bodies.path(), "syncing it", error))?;
        }
        self.append(header, &place, Action::Put)?;
        match self.sync_index() {
            Ok(()) => Ok(place),
            Err(error) => {
                // The entry may be on the medium and name these granules, so they are never used again.
                place.abandon();
                Err(error)
            }
        }
    }

    /// Writes the entry that releases a unit. When that is safe too the unit's granules may be used again.
    ///
    /// # Errors
    /// When the medium fails or is full; then the unit counts as before.
    pub(super) fn release(&self, header: UnitHeaderBytes, place: &Placement) -> Result<(), CacheError> {
        self.append(header, place, Action::Released)
    }

    /// Removes both files, which stay usable for whoever has them open.
    pub(super) fn unlink(&self) -> Result<(), CacheError> {
        remove_both(&self.path)
    }

    fn append(&self, header: UnitHeaderBytes, place: &Placement, action: Action) -> Result<(), CacheError> {
        let too_long = |_| CacheError::refused(self.bodies.path(), "it is longer than 16 TiB; end the view");
        let granule = u32::try_from(place.first_granule()).map_err(too_long)?;
        let mut entries = self.entries();
        let next = entries.checked_add(1).ok_or_else(|| CacheError::refused(&self.path, "it has 2^32 entries; end the view"))?;
        let safe = if self.is_durable { self.synced.load(Ordering::Acquire) } else { *entries };
        let entry = Entry { header, granule, action, safe }.encode(self.seed);
        let offset = self.entries_at + u64::from(*entries) * ENTRY_BYTES as u64;
        let written = self.index.write(&entry, 0, offset);
        written.map_err(|error| CacheError::io_at(&self.path, "writing an entry", offset, error))?;
        *entries = next;
        Ok(())
    }

    /// Makes the entries that were written safe; nothing to do where kill -9 is all that they must survive.
    ///
    /// # Errors
    /// When the medium fails, or failed before.
    pub(super) fn sync_index(&self) -> Result<(), CacheError> {
        if !self.is_durable {
            return Ok(());
        }
        let sync = || {
            let written = *self.entries();
            self.index.sync()?;
            self.synced.store(written, Ordering::Release);
            Ok(())
        };
        self.index_sync.wait(sync).map_err(|error| CacheError::io(&self.path, "syncing it", error))
    }

    fn entries(&self) -> MutexGuard<'_, u32> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the file of bodies, and finds out which of its granules are free.
fn open_bodies(path: &Path, read: &ReadIndex) -> Result<BodyFile, CacheError> {
    let file = open(path)?;
    let bytes = length(path, &file)?;
    for (unit, found) in &read.units {
        // A granule number has 32 bits, so this is far from the end of 64.
        if found.run.end() * GRANULE_BYTES > bytes {
            return Err(CacheError::damaged(path, bytes, format!("it ends before the end of unit {unit}")));
        }
    }
    let free = FreeGranules::around(read.units.values().map(|found| found.run).collect());
    let free = free.ok_or_else(|| CacheError::damaged(path, 0, "two units have the same place"))?;
    Ok(BodyFile::new(path.to_owned(), file, free))
}

fn create_new(path: &Path) -> Result<File, CacheError> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => CacheError::refused(path, "it exists, and is never written over; reopen or discard it"),
        _ => CacheError::io(path, "creating it", error),
    })
}

fn open(path: &Path) -> Result<File, CacheError> {
    OpenOptions::new().read(true).write(true).open(path).map_err(|error| CacheError::io(path, "opening it", error))
}

fn length(path: &Path, file: &File) -> Result<u64, CacheError> {
    file.metadata().map(|metadata| metadata.len()).map_err(|error| CacheError::io(path, "asking for its length", error))
}

/// Makes an index this process's own.
fn lock(path: &Path, index: &File) -> Result<(), CacheError> {
    match rustix::fs::flock(index, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(CacheError::refused(path, "another process has it open; end that one")),
        Err(errno) => return Err(CacheError::io(path, "locking it", errno)),
    }
    match has_name(index, path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CacheError::refused(path, "another process has just discarded it")),
        Err(error) => Err(CacheError::io(path, "looking for it", error)),
    }
}

/// Removes the bodies and then the index: as long as bodies are there, the index says whose they are.
fn remove_both(index: &Path) -> Result<(), CacheError> {
    for path in [&bodies_of(index), index] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(CacheError::io(path, "removing it", error)),
            _ => {}
        }
    }
    Ok(())
}

fn sync_folder_of(path: &Path) -> Result<(), CacheError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| CacheError::io(folder, "syncing the folder", error))
}
