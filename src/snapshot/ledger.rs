//! What a session knows of each unit while it runs: its length, its digest, and whether it is secured.
//!
//! For a tape file it is a mapped file beside the tape, the journal, so that `--resume` can go on after a crash of the
//! process. The journal names the session it belongs to (source, choices, T0) and is allocated in full before it is
//! mapped: a hole on a full disk would be SIGBUS. It is not synced: after a crash of the machine its bits may name units
//! that never reached the medium, so a resume reads back every secured unit and compares digests before it trusts one.
//!
//! | part | bytes |
//! | --- | --- |
//! | `TGJRNL1` and a zero | 8 |
//! | length of the identity, little-endian | 4 |
//! | identity (JSON), zeros up to a multiple of 4,096 | |
//! | encoded length of each unit, little-endian | 4 a unit |
//! | digest of each unit | 16 a unit |
//! | secured bits | 1 a unit, rounded up |

#![allow(unsafe_code, reason = "mapping a file has no safe form")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bitvec::order::Lsb0;
use bitvec::slice::BitSlice;
use bitvec::vec::BitVec;
use memmap2::MmapMut;
use rustix::fs::{FallocateFlags, FlockOperation};
use tapegate_formats::tape::unit::UNIT_HEADER_BYTES;

use super::digest::UnitDigest;
use crate::plan::{FileSpec, SizeTable};
use crate::volume::UnitIndex;

const MAGIC: [u8; 8] = *b"TGJRNL1\0";
/// Where the tables may begin.
const PAGE: usize = 4096;
/// Longest identity that is read; ours have a few hundred bytes.
const LONGEST_IDENTITY: u32 = 1 << 20;
const SIZE_BYTES: usize = 4;

/// Lengths, digests and secured bits of all units of a session, in tape order.
#[derive(Debug)]
pub(crate) struct Ledger {
    map: Mutex<MmapMut>,
    tables_at: usize,
    units: usize,
    path: Option<PathBuf>,
    /// Held for its lock.
    _file: Option<File>,
}

impl Ledger {
    /// A ledger in memory, for a tape that can't be resumed.
    ///
    /// # Errors
    /// When there is no memory.
    pub(crate) fn in_memory(units: u64) -> io::Result<Self> {
        let units = usize::try_from(units).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let map = MmapMut::map_anon(table_bytes(units).max(1))?;
        Ok(Self { map: Mutex::new(map), tables_at: 0, units, path: None, _file: None })
    }

    /// A new journal.
    ///
    /// # Errors
    /// When it can't be made or there is no room for it.
    pub(crate) fn create(path: &Path, identity: &str, units: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let mut head = MAGIC.to_vec();
        head.extend(u32::try_from(identity.len()).map_err(|_| io::ErrorKind::InvalidInput)?.to_le_bytes());
        head.extend(identity.as_bytes());
        head.resize(head.len().next_multiple_of(PAGE), 0);
        let units = usize::try_from(units).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let bytes = (head.len() + table_bytes(units)) as u64;
        file.set_len(bytes)?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
        file.write_all_at(&head, 0)?;
        Self::map(path, file, head.len(), units)
    }

    /// Reads the identity of the session that left a journal.
    ///
    /// # Errors
    /// When there is none that reads.
    pub(crate) fn read_identity(path: &Path) -> io::Result<String> {
        let mut file = File::open(path)?;
        let mut head = [0; 12];
        file.read_exact(&mut head)?;
        let [magic @ .., l0, l1, l2, l3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if magic != MAGIC || length > LONGEST_IDENTITY {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut identity = String::new();
        file.take(length.into()).read_to_string(&mut identity)?;
        Ok(identity)
    }

    /// Takes up a journal whose identity was found to be right.
    ///
    /// # Errors
    /// When its length is not that of a journal of so many units.
    pub(crate) fn reopen(path: &Path, identity: &str, units: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let units = usize::try_from(units).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let tables_at = (MAGIC.len() + SIZE_BYTES + identity.len()).next_multiple_of(PAGE);
        if file.metadata()?.len() != (tables_at + table_bytes(units)) as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Self::map(path, file, tables_at, units)
    }

    fn map(path: &Path, file: File, tables_at: usize, units: usize) -> io::Result<Self> {
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // SAFETY: the file is this process's alone (locked, hidden name of its own) and fully allocated, so nobody
        // truncates or writes it while it is mapped.
        let map = unsafe { MmapMut::map_mut(&file)? };
        Ok(Self { map: Mutex::new(map), tables_at, units, path: Some(path.to_owned()), _file: Some(file) })
    }

    /// Notes the lengths of units as soon as they are known.
    pub(crate) fn set_sizes(&self, first: usize, sizes: &[u32]) {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.tables_at + first * SIZE_BYTES;
        for (place, size) in map[at..at + sizes.len() * SIZE_BYTES].chunks_exact_mut(SIZE_BYTES).zip(sizes) {
            place.copy_from_slice(&size.to_le_bytes());
        }
    }

    /// Notes that units are on the tape, with their digests; the bits go last.
    pub(crate) fn secure(&self, first: usize, digests: &[UnitDigest]) {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.tables_at + self.units * SIZE_BYTES + first * UnitDigest::BYTES;
        for (place, digest) in map[at..at + digests.len() * UnitDigest::BYTES].chunks_exact_mut(UnitDigest::BYTES).zip(digests) {
            place.copy_from_slice(&digest.0);
        }
        let bits = self.tables_at + self.units * (SIZE_BYTES + UnitDigest::BYTES);
        BitSlice::<u8, Lsb0>::from_slice_mut(&mut map[bits..])[first..first + digests.len()].fill(true);
    }

    /// Whether all these units are secured.
    pub(crate) fn all_secured(&self, units: Range<usize>) -> bool {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let bits = self.tables_at + self.units * (SIZE_BYTES + UnitDigest::BYTES);
        BitSlice::<u8, Lsb0>::from_slice(&map[bits..])[units].all()
    }

    /// The first unit that is not secured.
    pub(crate) fn first_unsecured(&self) -> Option<usize> {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let bits = self.tables_at + self.units * (SIZE_BYTES + UnitDigest::BYTES);
        BitSlice::<u8, Lsb0>::from_slice(&map[bits..])[..self.units].first_zero()
    }

    /// A bit for each unit: whether it is secured.
    pub(crate) fn secured_bits(&self) -> BitVec {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let bits = self.tables_at + self.units * (SIZE_BYTES + UnitDigest::BYTES);
        BitSlice::<u8, Lsb0>::from_slice(&map[bits..])[..self.units].iter().by_vals().collect()
    }

    /// The lengths of units; 0 where none was noted.
    pub(crate) fn sizes(&self, units: Range<usize>) -> Vec<u32> {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = &map[self.tables_at + units.start * SIZE_BYTES..self.tables_at + units.end * SIZE_BYTES];
        bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
    }

    /// The size table that the noted lengths give for the units of files in `tracks` form.
    pub(crate) fn size_table(&self, files: &[FileSpec], volume_units: u32) -> SizeTable {
        let mut bodies = vec![0; volume_units as usize];
        let mut slot = 0;
        for file in files {
            let units = file.units.len() as usize;
            let sizes = self.sizes(slot..slot + units);
            slot += units;
            if file.blocks.is_some() {
                continue;
            }
            for run in file.units.runs() {
                let sizes = &sizes[run.at as usize..(run.at + run.units) as usize];
                for (body, size) in bodies[run.first.0 as usize..].iter_mut().zip(sizes) {
                    *body = size.saturating_sub(UNIT_HEADER_BYTES);
                }
            }
        }
        SizeTable::from_body_bytes(bodies)
    }

    /// Notes the lengths of all units of files in `tracks` form, before any of them is on the tape.
    pub(crate) fn set_all_sizes(&self, files: &[FileSpec], sizes: &SizeTable) {
        let mut slot = 0;
        for file in files {
            for run in file.units.runs().iter().filter(|_| file.blocks.is_none()) {
                let run_sizes: Vec<_> =
                    (run.first.0..run.first.0 + run.units).map(|unit| sizes.encoded_bytes(UnitIndex(unit))).collect();
                self.set_sizes(slot + run.at as usize, &run_sizes);
            }
            slot += file.units.len() as usize;
        }
    }

    /// The digests of units.
    pub(crate) fn digests(&self, units: Range<usize>) -> Vec<UnitDigest> {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.tables_at + self.units * SIZE_BYTES;
        let bytes = &map[at + units.start * UnitDigest::BYTES..at + units.end * UnitDigest::BYTES];
        bytes.as_chunks().0.iter().map(|bytes| UnitDigest(*bytes)).collect()
    }

    /// Brings the journal to stable storage.
    ///
    /// # Errors
    /// When the medium fails.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }

    /// Removes the journal: its tape is complete, or will not be.
    pub(crate) fn discard(self) {
        if let Some(path) = &self.path {
            // A journal left behind is refused by the next run and replaced; it can do no harm.
            let _best_effort = std::fs::remove_file(path);
        }
    }
}

fn table_bytes(units: usize) -> usize {
    units * (SIZE_BYTES + UnitDigest::BYTES) + units.div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_keeps_what_was_noted_for_the_next_run() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = Ledger::create(&path, "{\"who\":1}", 100).unwrap();
        let digests: Vec<_> = (0..3).map(|byte| UnitDigest([byte; 16])).collect();
        journal.set_sizes(7, &[100, 200, 300]);
        journal.secure(7, &digests);
        drop(journal);

        let identity = Ledger::read_identity(&path).unwrap();
        assert_eq!(identity, "{\"who\":1}");
        let journal = Ledger::reopen(&path, &identity, 100).unwrap();
        assert!(journal.all_secured(7..10) && !journal.all_secured(6..10) && !journal.all_secured(7..11));
        assert_eq!(journal.sizes(6..10), [0, 100, 200, 300]);
        assert_eq!(journal.digests(7..10), digests);
        journal.discard();
        assert!(!path.exists());
    }

    #[test]
    fn a_cut_or_foreign_journal_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        Ledger::create(&path, "x", 100).unwrap();
        assert!(Ledger::reopen(&path, "x", 101 * 64).is_err());
        std::fs::write(&path, b"something else altogether").unwrap();
        assert!(Ledger::read_identity(&path).is_err());
    }
}
