//! Room that is used in files of others and counts against a pool's limit: what was written into a view.

use std::sync::{Arc, Mutex, PoisonError};

use super::body_file::granules_of;
use super::error::CacheError;
use super::pool::{CachePool, DiskRoom};
use super::usage::ShareCounters;

/// Bytes of files that are not the pool's and count as its spill's; they are free again when this is dropped.
#[derive(Debug)]
pub struct CountedRoom {
    pool: Arc<CachePool>,
    counters: Arc<ShareCounters>,
    rooms: Mutex<Vec<DiskRoom>>,
}

impl CountedRoom {
    pub(super) fn new(pool: &Arc<CachePool>, counters: Arc<ShareCounters>) -> Self {
        Self { pool: Arc::clone(pool), counters, rooms: Mutex::default() }
    }

    /// Counts a unit.
    ///
    /// # Errors
    /// [`CacheError::Full`] when the pool's spill has no room for it.
    pub fn take(&self, bytes: u32) -> Result<(), CacheError> {
        let room = self.pool.reserve_disk(granules_of(bytes), true).ok_or_else(|| self.pool.full(bytes.into()))?;
        self.add(room, bytes);
        Ok(())
    }

    /// Counts a unit that is there already, whatever the limit.
    pub fn count(&self, bytes: u32) {
        self.add(self.pool.count_kept(granules_of(bytes)), bytes);
    }

    /// Takes back a unit of the length that was counted last.
    pub fn give_back(&self, bytes: u32) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = rooms.iter().rposition(|room| room.granules() == granules_of(bytes)) {
            rooms.swap_remove(at);
            self.counters.subtract(bytes.into());
        }
    }

    fn add(&self, room: DiskRoom, bytes: u32) {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).push(room);
        self.counters.add(bytes.into());
    }
}
