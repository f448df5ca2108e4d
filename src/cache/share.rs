//! A share of a pool: the originals of one instant of one volume.
//!
//! # The order that is kept
//!
//! A unit that is being put, or released, is *busy* in the table. Its room is counted, its bytes are copied or written,
//! and only then it is published: `contains` and `get` see a unit when its `put` has returned, or as good as, and never a
//! part of one. A second `put` or `release` of a busy unit waits, since its `Ok` must mean as much as the first one's: if
//! the first fails, the second tries for itself. No lock is held while bytes move.
//!
//! What is kept is counted by reference. A `get` that has begun ends well whatever is released meanwhile; memory and
//! granules are free again, and counted so, when the last one who uses them is done.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tapegate_formats::tape::unit::{LONGEST_BODY_BYTES, UNIT_HEADER_BYTES, UnitHeader, UnitKind, unit_header};

use super::body_file::{Placement, granules_of};
use super::error::CacheError;
use super::index_format::Found;
use super::kept_files::KeptFiles;
use super::pool::{CachePool, DiskRoom, MemoryRoom};
use super::usage::{ShareCounters, ShareUsage};
use crate::volume::UnitIndex;

/// The originals of one instant of one volume. All calls may come from several threads at once.
#[derive(Debug)]
pub struct CacheShare {
    pool: Arc<CachePool>,
    counters: Arc<ShareCounters>,
    table: Mutex<Table>,
    /// Told when a unit is no longer busy, if somebody waits.
    settled: Condvar,
    /// Where bodies go that must survive a restart.
    files: Option<KeptFiles>,
}

#[derive(Debug, Default)]
struct Table {
    slots: BTreeMap<UnitIndex, Slot>,
    waiting: usize,
}

#[derive(Debug)]
enum Slot {
    /// Somebody puts it or releases it.
    Busy,
    Kept(Original),
}

/// Where an original is.
#[derive(Debug, Clone)]
enum Original {
    InMemory(Arc<MemoryBody>),
    OnDisk(Arc<DiskBody>),
}

#[derive(Debug)]
struct MemoryBody {
    kind: UnitKind,
    bytes: Box<[u8]>,
    _room: MemoryRoom,
}

/// Fields are dropped in this order: who counts granules as free finds them free.
#[derive(Debug)]
struct DiskBody {
    /// As on tape: unit, kind, length, and a checksum over them and the body.
    header: [u8; UNIT_HEADER_BYTES as usize],
    bytes: u32,
    place: Placement,
    _room: DiskRoom,
}

impl CacheShare {
    pub(super) fn volatile(pool: &Arc<CachePool>, counters: Arc<ShareCounters>) -> Self {
        let (pool, table) = (Arc::clone(pool), Mutex::default());
        Self { pool, counters, table, settled: Condvar::new(), files: None }
    }

    /// A share that survives a restart, with the units that an earlier process kept.
    pub(super) fn kept(pool: &Arc<CachePool>, counters: Arc<ShareCounters>, files: KeptFiles, units: Vec<(u32, Found)>) -> Self {
        let mut table = Table::default();
        for (unit, Found { header, bytes, run }) in units {
            counters.add(bytes.into());
            let (place, room) = (files.bodies().placed(run), pool.count_kept(run.granules));
            let original = Original::OnDisk(Arc::new(DiskBody { header, bytes, place, _room: room }));
            table.slots.insert(UnitIndex(unit), Slot::Kept(original));
        }
        let (pool, table) = (Arc::clone(pool), Mutex::new(table));
        Self { pool, counters, table, settled: Condvar::new(), files: Some(files) }
    }

    /// Keeps the original of a unit: header-free body, as a tape's unit has it.
    ///
    /// A unit that is there already stays as it is, whatever `body` is. While another thread puts the same unit this
    /// waits for it.
    ///
    /// # Errors
    /// [`CacheError::Full`] when there is no room, [`CacheError::Io`] when the medium fails, [`CacheError::TooLong`].
    /// The unit is not there then, and nothing of it is used.
    pub fn put(&self, unit: UnitIndex, kind: UnitKind, body: &[u8]) -> Result<(), CacheError> {
        let bytes = u32::try_from(body.len()).ok().filter(|&bytes| bytes <= LONGEST_BODY_BYTES);
        let Some(bytes) = bytes else { return Err(CacheError::TooLong { unit: unit.0, bytes: body.len() as u64 }) };
        let Some(claim) = self.claim(unit) else { return Ok(()) };
        let original = self.keep(unit, kind, body, bytes)?;
        self.counters.add(bytes.into());
        claim.settle(Some(original));
        Ok(())
    }

    /// Whether the original of a unit is kept.
    #[must_use]
    pub fn contains(&self, unit: UnitIndex) -> bool {
        matches!(self.table().slots.get(&unit), Some(Slot::Kept(_)))
    }

    /// Reads the original of a unit into `body`, whose length becomes the unit's; `None` when it is not kept.
    ///
    /// What comes from a disk is checked against its CRC-32C.
    ///
    /// # Errors
    /// [`CacheError::Io`] when the medium fails, [`CacheError::Damaged`] when it gives something else than was put.
    /// What `body` holds then is undefined.
    pub fn get(&self, unit: UnitIndex, body: &mut Vec<u8>) -> Result<Option<UnitKind>, CacheError> {
        let original = match self.table().slots.get(&unit) {
            Some(Slot::Kept(original)) => original.clone(),
            _ => return Ok(None),
        };
        match original {
            Original::InMemory(kept) => {
                body.clear();
                body.extend_from_slice(&kept.bytes);
                Ok(Some(kept.kind))
            }
            Original::OnDisk(kept) => {
                body.resize(kept.bytes as usize, 0);
                kept.place.read(body)?;
                let header = UnitHeader::parse(kept.header).and_then(|header| header.check(body).map(|()| header));
                let damaged = |error| CacheError::damaged(kept.place.path(), kept.place.offset(), format!("{error}"));
                Ok(Some(header.map_err(damaged)?.kind))
            }
        }
    }

    /// Lets the original of a unit go; its space is used again. A unit that is not there is no error.
    ///
    /// Where a share that survives a restart can't write the entry for it, the unit or its space stay as they are.
    pub fn release(&self, unit: UnitIndex) {
        let mut table = self.table();
        let original = loop {
            match table.slots.get_mut(&unit) {
                None => return,
                Some(Slot::Busy) => table = self.wait(table),
                Some(Slot::Kept(original)) => break original.clone(),
            }
        };
        table.slots.insert(unit, Slot::Busy);
        drop(table);
        let claim = Claim { share: self, unit, settled: false };
        if let (Some(files), Original::OnDisk(kept)) = (&self.files, &original) {
            if let Err(error) = files.release(kept.header, &kept.place) {
                tracing::warn!("unit {} is kept, though it was released: {error}", unit.0);
                return claim.settle(Some(original));
            }
            if let Err(error) = files.sync_index() {
                tracing::warn!("the space of unit {} is not used again: {error}", unit.0);
                // The index on the medium may have the unit still, so its granules stay taken.
                std::mem::forget(Arc::clone(kept));
            }
        }
        self.counters.subtract(original.bytes());
        claim.settle(None);
    }

    /// The units that are kept, in order.
    #[must_use]
    pub fn units(&self) -> Vec<UnitIndex> {
        let table = self.table();
        table.slots.iter().filter(|(_, slot)| matches!(slot, Slot::Kept(_))).map(|(&unit, _)| unit).collect()
    }

    /// How much is kept.
    #[must_use]
    pub fn usage(&self) -> ShareUsage {
        self.counters.usage()
    }

    /// Lets everything go, and removes the files of a share that would survive a restart.
    pub fn discard(self) {
        if let Some(files) = &self.files
            && let Err(error) = files.unlink()
        {
            tracing::warn!("the files of a view that was discarded are left: {error}");
        }
    }

    fn keep(&self, unit: UnitIndex, kind: UnitKind, body: &[u8], bytes: u32) -> Result<Original, CacheError> {
        if self.files.is_none()
            && let Some(room) = self.pool.reserve_memory(bytes.into())
        {
            return Ok(Original::InMemory(Arc::new(MemoryBody { kind, bytes: body.into(), _room: room })));
        }
        let full = || self.pool.full(bytes.into());
        let granules = granules_of(bytes);
        let room = self.pool.reserve_disk(granules, self.files.is_some()).ok_or_else(full)?;
        let header = unit_header(unit.0, kind, body);
        let place = if let Some(files) = &self.files {
            files.put(header, files.bodies().place_growing(granules), body)?
        } else {
            let spill = self.pool.spill().ok_or_else(full)?;
            let place = spill.bodies().place_inside(granules).ok_or_else(full)?;
            place.write(body)?;
            place
        };
        Ok(Original::OnDisk(Arc::new(DiskBody { header, bytes, place, _room: room })))
    }

    /// Makes a unit busy that is not there. `None` when it is, perhaps after waiting for whoever put it.
    fn claim(&self, unit: UnitIndex) -> Option<Claim<'_>> {
        let mut table = self.table();
        loop {
            match table.slots.get(&unit) {
                Some(Slot::Kept(_)) => return None,
                Some(Slot::Busy) => table = self.wait(table),
                None => break,
            }
        }
        table.slots.insert(unit, Slot::Busy);
        Some(Claim { share: self, unit, settled: false })
    }

    fn publish(&self, unit: UnitIndex, original: Option<Original>) {
        let mut table = self.table();
        match original {
            Some(original) => table.slots.insert(unit, Slot::Kept(original)),
            None => table.slots.remove(&unit),
        };
        if table.waiting > 0 {
            self.settled.notify_all();
        }
    }

    fn wait<'a>(&'a self, mut table: MutexGuard<'a, Table>) -> MutexGuard<'a, Table> {
        table.waiting += 1;
        table = self.settled.wait(table).unwrap_or_else(PoisonError::into_inner);
        table.waiting -= 1;
        table
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Original {
    fn bytes(&self) -> u64 {
        match self {
            Self::InMemory(kept) => kept.bytes.len() as u64,
            Self::OnDisk(kept) => kept.bytes.into(),
        }
    }
}

/// A unit that is busy until this is settled, or dropped: then it is not there.
struct Claim<'a> {
    share: &'a CacheShare,
    unit: UnitIndex,
    settled: bool,
}

impl Claim<'_> {
    fn settle(mut self, original: Option<Original>) {
        self.settled = true;
        self.share.publish(self.unit, original);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.share.publish(self.unit, None);
        }
    }
}
