//! The pool: rooms in memory and on disk, and how much of them is used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::counted_room::CountedRoom;
use super::error::CacheError;
use super::granules::GRANULE_BYTES;
use super::kept_files::KeptFiles;
use super::share::CacheShare;
use super::spill::{self, Spill};
use super::usage::{OwnerUsage, PoolUsage, RoomUsage, ShareCounters};
use crate::boot::BootId;

/// Part of the room, in percent, from which on an operator is warned.
const NEARLY_FULL_PERCENT: u64 = 80;

/// What a pool is made of.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Its name in the configuration and in messages.
    pub name: String,
    /// Most bytes of bodies in memory. The table of units, about 100 bytes each, is not counted.
    pub memory_bytes: u64,
    /// Where bodies go that have no room in memory.
    pub spill: Option<SpillConfig>,
}

/// Where a pool spills to.
#[derive(Debug, Clone)]
pub struct SpillConfig {
    /// A folder, a file that does not exist, or a block device that nothing else uses.
    pub path: PathBuf,
    /// Most bytes there, in whole granules of 4 KiB; what shares that survive a restart keep in their own files
    /// counts too.
    pub bytes: u64,
}

/// A named room for originals, shared by the sessions of several volumes.
#[derive(Debug)]
pub struct CachePool {
    name: String,
    /// Held for a few instructions, never while bytes move, and never with another lock taken inside.
    room: Mutex<Room>,
    spill: Option<Spill>,
    /// Held while the spill changes its length; before `room` and the spill's own lock.
    resizing: Mutex<()>,
    shares: Mutex<Vec<Weak<ShareCounters>>>,
}

#[derive(Debug)]
struct Room {
    memory_bytes: u64,
    memory_limit_bytes: u64,
    /// Of the spill and of all kept shares.
    disk_granules: u64,
    disk_limit_granules: u64,
    /// Granules among them that are in kept shares, which can't go to memory.
    kept_granules: u64,
}

impl CachePool {
    /// Makes a pool, and reserves the room of its spill.
    ///
    /// # Errors
    /// When the spill can't be made, or there is no room for it.
    pub fn new(config: PoolConfig) -> Result<Arc<Self>, CacheError> {
        let spill = config.spill.map(|spill| spill::open(&spill.path, spill.bytes / GRANULE_BYTES)).transpose()?;
        Ok(Self::with_spill(config.name, config.memory_bytes, spill))
    }

    /// A pool over a spill that is as long as its limit, with no unit in it.
    pub(super) fn with_spill(name: String, memory_limit_bytes: u64, spill: Option<Spill>) -> Arc<Self> {
        let disk_limit_granules = spill.as_ref().map_or(0, |spill| spill.bodies().free().end());
        let room = Room { memory_bytes: 0, memory_limit_bytes, disk_granules: 0, disk_limit_granules, kept_granules: 0 };
        let (resizing, shares) = (Mutex::new(()), Mutex::new(Vec::new()));
        Arc::new(Self { name, room: Mutex::new(room), spill, resizing, shares })
    }

    /// Its name in the configuration and in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens a share that ends with the process: the originals of one instant of one volume.
    ///
    /// `owner` is the name by which its use is shown; several shares may have one owner.
    pub fn share(self: &Arc<Self>, owner: &str) -> CacheShare {
        CacheShare::volatile(self, self.count(owner))
    }

    /// Opens a share that survives a restart of the process, but not of the machine.
    ///
    /// Bodies go to a file of their own beside `index`, which is made too, and count against the limit of the pool's
    /// spill. `identity` is what the owner wants to read when it takes the share up again, at most 1 MiB.
    ///
    /// # Errors
    /// When the pool has no spill, when `index` exists, or when the files can't be made.
    pub fn kept_share(self: &Arc<Self>, owner: &str, index: &Path, identity: &str) -> Result<CacheShare, CacheError> {
        self.create_kept(owner, index, identity, false)
    }

    /// Opens a share that survives a restart of the machine too: what is put is on stable storage before `put` returns.
    ///
    /// # Errors
    /// As [`CachePool::kept_share`].
    pub fn durable_share(self: &Arc<Self>, owner: &str, index: &Path, identity: &str) -> Result<CacheShare, CacheError> {
        self.create_kept(owner, index, identity, true)
    }

    /// Takes a share up that an earlier process left, with every unit whose `put` had returned; gives its identity.
    ///
    /// Its units count against the limit, and may pass it.
    ///
    /// # Errors
    /// [`CacheError::NotDurable`] when the machine was restarted since and the share was not made by
    /// [`CachePool::durable_share`]; [`CacheError::Damaged`] when the files are not what a share left; otherwise when
    /// they can't be read, another process has them, or the pool has no spill.
    pub fn reopen_share(self: &Arc<Self>, owner: &str, index: &Path) -> Result<(CacheShare, String), CacheError> {
        self.reopen_after(owner, index, current_boot()?)
    }

    /// Opens a count of bytes that `owner` keeps in files of its own, within the limit of the pool's spill.
    ///
    /// # Errors
    /// When the pool has no spill.
    pub fn counted_room(self: &Arc<Self>, owner: &str) -> Result<CountedRoom, CacheError> {
        self.require_spill()?;
        Ok(CountedRoom::new(self, self.count(owner)))
    }

    /// Whether it has a spill: without one nothing that it keeps survives a restart.
    #[must_use]
    pub const fn has_spill(&self) -> bool {
        self.spill.is_some()
    }

    /// Removes the files of a share that nobody has open, whatever is in them.
    ///
    /// # Errors
    /// When a process has it open, or when they can't be removed. Files that are not there are no error.
    pub fn discard_kept(index: &Path) -> Result<(), CacheError> {
        KeptFiles::remove(index)
    }

    /// How much is used, and by whom.
    #[must_use]
    pub fn usage(&self) -> PoolUsage {
        let mut owners = BTreeMap::new();
        for share in self.shares().iter().filter_map(Weak::upgrade) {
            let entry: &mut (u64, u64) = owners.entry(share.owner.clone()).or_default();
            let usage = share.usage();
            *entry = (entry.0 + usage.units, entry.1 + usage.bytes);
        }
        let owners = owners.into_iter().map(|(owner, (units, bytes))| OwnerUsage { owner, units, bytes }).collect();
        let room = self.room();
        let memory = RoomUsage { used_bytes: room.memory_bytes, limit_bytes: room.memory_limit_bytes };
        let spill =
            RoomUsage { used_bytes: room.disk_granules * GRANULE_BYTES, limit_bytes: room.disk_limit_granules * GRANULE_BYTES };
        PoolUsage { name: self.name.clone(), memory, spill, owners }
    }

    /// Changes limits while the pool is in use; `None` leaves one as it is.
    ///
    /// A limit below what is used refuses new units until enough were released. The disk space behind a lowered limit
    /// is given back as far as the end of the spill file is free.
    ///
    /// # Errors
    /// When there is no room for a longer spill, the device is shorter, or the pool has none. Then nothing is changed.
    pub fn set_limits(&self, memory_bytes: Option<u64>, spill_bytes: Option<u64>) -> Result<(), CacheError> {
        let _resizing = self.resizing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = spill_bytes {
            let spill = self.require_spill()?;
            let granules = bytes / GRANULE_BYTES;
            spill.lengthen(granules)?;
            self.room().disk_limit_granules = granules;
            spill.shorten(granules);
        }
        if let Some(bytes) = memory_bytes {
            self.room().memory_limit_bytes = bytes;
        }
        Ok(())
    }

    /// Whether four fifths of the room are used: the moment to warn an operator.
    ///
    /// Where shares that survive a restart have units, four fifths of the spill are enough: they can't go to memory.
    #[must_use]
    pub fn is_nearly_full(&self) -> bool {
        let room = self.room();
        let nearly = |used: u64, limit: u64| u128::from(used) * 100 >= u128::from(limit) * u128::from(NEARLY_FULL_PERCENT);
        let (disk_bytes, disk_limit_bytes) = (room.disk_granules * GRANULE_BYTES, room.disk_limit_granules * GRANULE_BYTES);
        nearly(room.memory_bytes.saturating_add(disk_bytes), room.memory_limit_bytes.saturating_add(disk_limit_bytes))
            || (room.kept_granules > 0 && nearly(disk_bytes, disk_limit_bytes))
    }

    fn create_kept(
        self: &Arc<Self>,
        owner: &str,
        index: &Path,
        identity: &str,
        is_durable: bool,
    ) -> Result<CacheShare, CacheError> {
        self.require_spill()?;
        let files = KeptFiles::create(index, identity, is_durable, current_boot()?)?;
        Ok(CacheShare::kept(self, self.count(owner), files, Vec::new()))
    }

    /// Takes a share up in the machine's start `boot`.
    pub(super) fn reopen_after(
        self: &Arc<Self>,
        owner: &str,
        index: &Path,
        boot: BootId,
    ) -> Result<(CacheShare, String), CacheError> {
        self.require_spill()?;
        let reopened = KeptFiles::reopen(index, boot)?;
        Ok((CacheShare::kept(self, self.count(owner), reopened.files, reopened.units), reopened.identity))
    }

    fn require_spill(&self) -> Result<&Spill, CacheError> {
        self.spill.as_ref().ok_or_else(|| CacheError::NoSpill { pool: self.name.clone() })
    }

    pub(super) const fn spill(&self) -> Option<&Spill> {
        self.spill.as_ref()
    }

    pub(super) fn reserve_memory(self: &Arc<Self>, bytes: u64) -> Option<MemoryRoom> {
        let mut room = self.room();
        let used = room.memory_bytes.checked_add(bytes).filter(|&used| used <= room.memory_limit_bytes)?;
        room.memory_bytes = used;
        Some(MemoryRoom { pool: Arc::clone(self), bytes })
    }

    /// Counts granules of the spill, or of a kept share. Whoever calls takes them from the file.
    pub(super) fn reserve_disk(self: &Arc<Self>, granules: u64, is_kept: bool) -> Option<DiskRoom> {
        let mut room = self.room();
        let used = room.disk_granules.checked_add(granules).filter(|&used| used <= room.disk_limit_granules)?;
        room.disk_granules = used;
        if is_kept {
            room.kept_granules += granules;
        }
        Some(DiskRoom { pool: Arc::clone(self), granules, is_kept })
    }

    /// Counts granules that are in use already, whatever the limit.
    pub(super) fn count_kept(self: &Arc<Self>, granules: u64) -> DiskRoom {
        let mut room = self.room();
        room.disk_granules += granules;
        room.kept_granules += granules;
        DiskRoom { pool: Arc::clone(self), granules, is_kept: true }
    }

    pub(super) fn full(&self, wanted_bytes: u64) -> CacheError {
        CacheError::Full { pool: self.name.clone(), wanted_bytes, usage: Box::new(self.usage()) }
    }

    fn count(&self, owner: &str) -> Arc<ShareCounters> {
        let counters = Arc::new(ShareCounters::new(owner));
        let mut shares = self.shares();
        shares.retain(|share| share.strong_count() > 0);
        shares.push(Arc::downgrade(&counters));
        counters
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shares(&self) -> MutexGuard<'_, Vec<Weak<ShareCounters>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn current_boot() -> Result<BootId, CacheError> {
    BootId::current().map_err(|error| CacheError::io(BootId::path(), "asking for the boot id", error))
}

/// Memory that is counted as used until this is dropped.
#[derive(Debug)]
pub(super) struct MemoryRoom {
    pool: Arc<CachePool>,
    bytes: u64,
}

impl Drop for MemoryRoom {
    fn drop(&mut self) {
        self.pool.room().memory_bytes -= self.bytes;
    }
}

/// Granules that are counted as used until this is dropped.
#[derive(Debug)]
pub(super) struct DiskRoom {
    pool: Arc<CachePool>,
    granules: u64,
    is_kept: bool,
}

impl DiskRoom {
    pub(super) const fn granules(&self) -> u64 {
        self.granules
    }
}

impl Drop for DiskRoom {
    fn drop(&mut self) {
        let mut room = self.pool.room();
        room.disk_granules -= self.granules;
        if self.is_kept {
            room.kept_granules -= self.granules;
        }
    }
}
