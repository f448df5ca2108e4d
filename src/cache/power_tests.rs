//! A durable share when the power fails: two files that forget what was not synced, in any combination of sectors.
//!
//! Threads put and release units; every write and sync is noted in one history, in which a cut is a moment at which the
//! power fails. What a sync had covered that ended before the cut is there; of everything else written before the cut,
//! each sector of 512 bytes is there or not, as chance has it. Then every unit whose `put` had returned must be found,
//! and every unit that is found must be whole.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::TestRng;
use tapegate_formats::tape::unit::UnitKind;

use super::body_file::BodyFile;
use super::granules::FreeGranules;
use super::index_format::IndexHeader;
use super::kept_files::{EntryState, KeptFiles};
use super::medium::Medium;
use super::usage::ShareCounters;
use super::*;
use crate::boot::BootId;
use crate::volume::UnitIndex;

const SECTOR: usize = 512;
const INDEX: usize = 0;
const BODIES: usize = 1;

#[derive(Debug)]
enum Event {
    Wrote {
        file: usize,
        offset: u64,
        bytes: Vec<u8>,
    },
    /// A sync ended that had begun when the history had so many events.
    Synced {
        file: usize,
        begun: usize,
    },
    PutReturned(u32),
    ReleaseBegan(u32),
}

type History = Arc<Mutex<Vec<Event>>>;

/// A file whose writes and syncs are noted. It is not really synced.
#[derive(Debug)]
struct Noted {
    number: usize,
    file: File,
    history: History,
}

impl Medium for Noted {
    fn write(&self, bytes: &[u8], zeros: usize, offset: u64) -> io::Result<()> {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len() + zeros, 0);
        let mut history = self.history.lock().unwrap();
        self.file.write_all_at(&padded, offset)?;
        history.push(Event::Wrote { file: self.number, offset, bytes: padded });
        Ok(())
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        let begun = self.history.lock().unwrap().len();
        // Others write meanwhile, and this sync does not cover them.
        thread::yield_now();
        self.history.lock().unwrap().push(Event::Synced { file: self.number, begun });
        Ok(())
    }
}

fn length(unit: u32) -> usize {
    (unit as usize * 7919) % 14_000
}

fn body(unit: u32) -> Vec<u8> {
    (0..length(unit)).map(|at| (unit as usize * 131 + at + at / 251 + 1) as u8).collect()
}

fn pool() -> Arc<CachePool> {
    let spill = Some(SpillConfig { path: std::env::temp_dir(), bytes: 4 << 20 });
    CachePool::new(PoolConfig { name: "views".to_owned(), memory_bytes: 0, spill }).unwrap()
}

/// What three threads did, and the files as they were before.
fn history() -> (Vec<Event>, [Vec<u8>; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let (pool, path) = (pool(), folder.path().join("view"));
    drop(pool.durable_share("view", &path, "power").unwrap());
    let paths = [path.clone(), folder.path().join("view.bodies")];
    let before = paths.each_ref().map(|path| fs::read(path).unwrap());
    let history = History::default();
    let [index, bodies] = [INDEX, BODIES].map(|number| {
        let file = File::options().read(true).write(true).open(&paths[number]).unwrap();
        Noted { number, file, history: Arc::clone(&history) }
    });
    let (_, seed, entries_at) = IndexHeader::read(&path, &mut &before[INDEX][..]).unwrap();
    let bodies = BodyFile::new(paths[BODIES].clone(), bodies, FreeGranules::default());
    let files = KeptFiles::over(&path, index, bodies, true, EntryState { seed, entries_at, entries: 0 });
    let share = CacheShare::kept(&pool, Arc::new(ShareCounters::new("view")), files, Vec::new());
    thread::scope(|scope| {
        for first in 0..3_u32 {
            let (share, history) = (&share, &history);
            scope.spawn(move || {
                for unit in (first..90).step_by(3) {
                    share.put(UnitIndex(unit), UnitKind::Track, &body(unit)).unwrap();
                    history.lock().unwrap().push(Event::PutReturned(unit));
                    if let Some(old) = unit.checked_sub(15).filter(|old| old % 2 == 0) {
                        history.lock().unwrap().push(Event::ReleaseBegan(old));
                        share.release(UnitIndex(old));
                    }
                }
            });
        }
    });
    drop(share);
    (Arc::into_inner(history).unwrap().into_inner().unwrap(), before)
}

/// The files after the power failed behind so many events.
fn after_power_failed(events: &[Event], mut files: [Vec<u8>; 2], random: &mut TestRng) -> [Vec<u8>; 2] {
    let mut covered = [0; 2];
    for event in events {
        if let Event::Synced { file, begun } = event {
            covered[*file] = covered[*file].max(*begun);
        }
    }
    for (at, event) in events.iter().enumerate() {
        let Event::Wrote { file, offset, bytes } = event else { continue };
        let is_safe = at < covered[*file];
        let file = &mut files[*file];
        let mut offset = usize::try_from(*offset).unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (sector, later) = rest.split_at(rest.len().min(SECTOR - offset % SECTOR));
            if is_safe || random.random_bool(0.5) {
                file.resize(file.len().max(offset + sector.len()), 0);
                file[offset..offset + sector.len()].copy_from_slice(sector);
            }
            (offset, rest) = (offset + sector.len(), later);
        }
    }
    files
}

fn check(events: &[Event], files: &[Vec<u8>; 2]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("view");
    fs::write(&path, &files[INDEX]).unwrap();
    fs::write(folder.path().join("view.bodies"), &files[BODIES]).unwrap();
    let (share, identity) = pool().reopen_after("view", &path, BootId([7; 16])).unwrap();
    prop_assert_eq!(identity, "power");
    let mut promised = BTreeSet::new();
    for event in events {
        match event {
            Event::PutReturned(unit) => _ = promised.insert(*unit),
            Event::ReleaseBegan(unit) => _ = promised.remove(unit),
            Event::Wrote { .. } | Event::Synced { .. } => {}
        }
    }
    for unit in promised {
        prop_assert!(share.contains(UnitIndex(unit)), "unit {} is lost", unit);
    }
    let mut found = Vec::new();
    for unit in share.units() {
        let kind = share.get(unit, &mut found);
        prop_assert!(matches!(kind, Ok(Some(UnitKind::Track))), "unit {}: {:?}", unit.0, kind);
        prop_assert!(found == body(unit.0), "unit {} is mixed up", unit.0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn after_a_power_failure_a_durable_share_has_all_that_it_promised(
        cuts in prop::collection::vec(0.0..1.0_f64, 30),
        mut random in any::<u64>().prop_perturb(|_, random| random),
    ) {
        let (events, before) = history();
        for cut in cuts {
            let events = &events[..(events.len() as f64 * cut) as usize];
            let files = after_power_failed(events, before.clone(), &mut random);
            check(events, &files)?;
        }
    }
}
