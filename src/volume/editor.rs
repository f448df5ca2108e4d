//! What writing a compressed file in place needs: the book of its space, and the locks.
//!
//! Locks are taken in this order: a unit's, `entering`, `syncing`, the file's tables, the book of space. The last two are held for
//! no I/O, but that the file is cut under the book's.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use tapegate_formats::dasd::lookup_table::{L2Entry, TableLayout};

use super::error::VolumeError;
use super::image_file::ImageFile;
use super::shape::UnitAddress;
use super::space::{Extent, Space};
use super::tables::Tables;
use super::update::Room;

/// Where an image with 32-bit offsets must end: room for the list of free spaces stays behind it.
const NARROW_LIMIT: u64 = u32::MAX as u64 - (1 << 20);
/// Locks of units; more only make it rarer that two units share one.
const UNIT_LOCKS: usize = 64;

/// What writing a compressed file needs.
#[derive(Debug)]
pub(super) struct Editor {
    pub(super) layout: TableLayout,
    space: Mutex<Space>,
    /// By unit: held from expanding a unit to entering its new image.
    units: [Mutex<()>; UNIT_LOCKS],
    /// Held shared while an entry is changed, alone while a table is made or moved.
    pub(super) entering: RwLock<()>,
    /// Whether the header is marked as opened.
    pub(super) opened: AtomicBool,
    /// Whether the mark was taken away again.
    pub(super) closed: AtomicBool,
    /// Held while it is being marked.
    pub(super) opening: Mutex<()>,
    /// Held from taking what is retired to releasing it.
    pub(super) syncing: Mutex<()>,
    /// A table could not be written: the file may say something else than memory, so it is never marked as closed.
    pub(super) unsure: AtomicBool,
}

/// The unit of the file that is written: a track or a block group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// Its number, by which the tables have it.
    pub(super) image: u32,
    /// For messages.
    pub(super) address: UnitAddress,
}

impl Editor {
    /// Makes the book of the file's space, and sees to it that what the last writer left is on stable storage: the space
    /// that it freed is free from the start.
    pub(super) fn new(file: &ImageFile, tables: &Tables, layout: TableLayout, tables_end: u64) -> Result<Self, VolumeError> {
        let check = "run cckdcdsk -f -3 on a copy of the file and go on with that: it looks for an older image of the unit";
        let mut used = Vec::new();
        for (_, offset, entries) in tables.tables() {
            used.push(Extent { offset, length: layout.l2_table_bytes() as u64 });
            for entry in entries {
                let L2Entry::Image { offset, length, .. } = *entry else { continue };
                let end = offset.checked_add(u64::from(length));
                if offset < tables_end || end.is_none_or(|end| end > file.size_bytes()) {
                    return Err(file.corrupt(offset, format!("a table entry leads here, where no image can be; {check}")));
                }
                used.extend(taken_by(*entry));
            }
        }
        let limit = if layout.l1_entry_bytes() == 4 { NARROW_LIMIT } else { u64::MAX };
        let space = Space::new(tables_end, used, limit)
            .map_err(|offset| file.corrupt(offset, format!("two images or tables lie over each other; {check}")))?;
        file.sync()?;
        Ok(Self {
            layout,
            space: Mutex::new(space),
            units: std::array::from_fn(|_| Mutex::new(())),
            entering: RwLock::new(()),
            opened: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            opening: Mutex::new(()),
            syncing: Mutex::new(()),
            unsure: AtomicBool::new(false),
        })
    }

    /// Keeps others from changing a unit's image.
    pub(super) fn lock_unit(&self, image: u32) -> MutexGuard<'_, ()> {
        self.units[image as usize % UNIT_LOCKS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn space(&self) -> MutexGuard<'_, Space> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn room(&self) -> Room {
        let space = self.space();
        Room {
            size_bytes: space.end(),
            limit_bytes: space.limit(),
            free_bytes: space.free_bytes(),
            unsynced_bytes: space.retired_bytes(),
        }
    }
}

/// The space that an entry takes.
pub(super) fn taken_by(entry: L2Entry) -> Option<Extent> {
    match entry {
        L2Entry::Image { offset, length, size } => Some(Extent { offset, length: u64::from(length.max(size)) }),
        L2Entry::Null(_) | L2Entry::Below => None,
    }
}
