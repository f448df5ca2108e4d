//! Shares that survive a restart: kill -9, another start of the machine, damaged files.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use tapegate_formats::tape::unit::UnitKind;
use tempfile::TempDir;

use super::*;
use crate::boot::BootId;
use crate::volume::UnitIndex;

const GRANULE: u64 = 4096;
const NEXT_BOOT: BootId = BootId([7; 16]);

fn body(unit: u32, length: usize) -> Vec<u8> {
    (0..length).map(|at| (unit as usize * 131 + at + at / 251) as u8).collect()
}

fn pool(spill_bytes: u64) -> Arc<CachePool> {
    let spill = Some(SpillConfig { path: std::env::temp_dir(), bytes: spill_bytes });
    CachePool::new(PoolConfig { name: "views".to_owned(), memory_bytes: 0, spill }).unwrap()
}

fn put(share: &CacheShare, unit: u32, length: usize) {
    share.put(UnitIndex(unit), UnitKind::Track, &body(unit, length)).unwrap();
}

#[track_caller]
fn expect(share: &CacheShare, unit: u32, length: usize) {
    let mut found = Vec::new();
    assert_eq!(share.get(UnitIndex(unit), &mut found).unwrap(), Some(UnitKind::Track));
    assert!(found == body(unit, length), "unit {unit} is not what was put");
}

/// A share with units 0 to 4 of 5000 bytes, and its pool.
struct Left {
    folder: TempDir,
    pool: Arc<CachePool>,
}

impl Left {
    fn new(is_durable: bool) -> Self {
        let (folder, pool) = (tempfile::tempdir().unwrap(), pool(1 << 20));
        let left = Self { folder, pool };
        let share = if is_durable {
            left.pool.durable_share("view", &left.index(), "volume PROD01").unwrap()
        } else {
            left.pool.kept_share("view", &left.index(), "volume PROD01").unwrap()
        };
        (0..5).for_each(|unit| put(&share, unit, 5000));
        left
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("view")
    }

    fn bodies(&self) -> PathBuf {
        self.folder.path().join("view.bodies")
    }

    fn reopen(&self) -> Result<CacheShare, CacheError> {
        self.pool.reopen_share("view", &self.index()).map(|(share, _)| share)
    }

    fn files(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count()
    }
}

#[test]
fn what_was_kept_is_there_after_a_restart_and_goes_on() {
    for is_durable in [false, true] {
        let left = Left::new(is_durable);
        assert_eq!(left.pool.usage().spill.used_bytes, 0);
        let (share, identity) = left.pool.reopen_share("view", &left.index()).unwrap();
        assert_eq!(identity, "volume PROD01");
        assert_eq!(left.pool.usage().spill.used_bytes, 10 * GRANULE);
        (0..5).for_each(|unit| expect(&share, unit, 5000));
        put(&share, 9, 60_000);
        share.release(UnitIndex(2));
        drop(share);
        let share = left.reopen().unwrap();
        assert_eq!(share.units(), [0, 1, 3, 4, 9].map(UnitIndex));
        expect(&share, 9, 60_000);
        share.discard();
        assert_eq!((left.files(), left.pool.usage().spill.used_bytes), (0, 0));
    }
}

#[test]
fn the_space_of_a_released_unit_is_used_again_and_the_index_knows() {
    let left = Left::new(false);
    let share = left.reopen().unwrap();
    for unit in 5..500 {
        put(&share, unit, 4097 + unit as usize);
        share.release(UnitIndex(unit - 5));
    }
    assert!(fs::metadata(left.bodies()).unwrap().len() <= 12 * GRANULE);
    drop(share);
    let share = left.reopen().unwrap();
    assert_eq!(share.units(), [495, 496, 497, 498, 499].map(UnitIndex));
    (495..500).for_each(|unit| expect(&share, unit, 4097 + unit as usize));
}

#[test]
fn kept_units_count_against_the_limit_of_the_spill() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(4 * GRANULE);
    let kept = pool.kept_share("view", &folder.path().join("view"), "").unwrap();
    put(&kept, 0, 3 * GRANULE as usize);
    let stream = pool.share("stream");
    put(&stream, 0, 10);
    let full = |share: &CacheShare| matches!(share.put(UnitIndex(7), UnitKind::Track, &[1]), Err(CacheError::Full { .. }));
    assert!(full(&kept) && full(&stream));
    drop(kept);
    put(&stream, 1, 10);
    // What is there already is taken up whatever the limit says.
    pool.set_limits(None, Some(GRANULE)).unwrap();
    let (kept, _) = pool.reopen_share("view", &folder.path().join("view")).unwrap();
    expect(&kept, 0, 3 * GRANULE as usize);
    assert!(full(&kept) && full(&stream));
    assert_eq!(pool.usage().spill, RoomUsage { used_bytes: 5 * GRANULE, limit_bytes: GRANULE });
}

#[test]
fn after_a_restart_of_the_machine_only_a_durable_share_is_taken_up() {
    let left = Left::new(false);
    let result = left.pool.reopen_after("view", &left.index(), NEXT_BOOT);
    assert!(matches!(result, Err(CacheError::NotDurable { path }) if path == left.index()));
    assert_eq!(left.reopen().unwrap().units().len(), 5);

    let left = Left::new(true);
    let (share, _) = left.pool.reopen_after("view", &left.index(), NEXT_BOOT).unwrap();
    put(&share, 5, 10);
    drop(share);
    let (share, _) = left.pool.reopen_after("view", &left.index(), BootId([8; 16])).unwrap();
    assert_eq!(share.units().len(), 6);
}

#[test]
fn a_torn_last_entry_is_dropped_and_written_over() {
    let left = Left::new(false);
    let index = File::options().write(true).open(left.index()).unwrap();
    let bytes = index.metadata().unwrap().len();
    index.set_len(bytes - 7).unwrap();
    let share = left.reopen().unwrap();
    assert_eq!(share.units(), [0, 1, 2, 3].map(UnitIndex));
    put(&share, 4, 777);
    drop(share);
    assert_eq!(fs::metadata(left.index()).unwrap().len(), bytes);
    let share = left.reopen().unwrap();
    (0..4).for_each(|unit| expect(&share, unit, 5000));
    expect(&share, 4, 777);
}

#[test]
fn an_index_is_one_processs_own() {
    let left = Left::new(false);
    let share = left.reopen().unwrap();
    assert!(matches!(left.reopen(), Err(CacheError::Refused { .. })));
    assert!(matches!(CachePool::discard_kept(&left.index()), Err(CacheError::Refused { .. })));
    drop(share);
    assert!(matches!(left.pool.kept_share("view", &left.index(), ""), Err(CacheError::Refused { .. })));
    assert_eq!(left.reopen().unwrap().units().len(), 5);
}

#[test]
fn what_nobody_has_open_can_be_discarded_by_name() {
    let left = Left::new(false);
    CachePool::discard_kept(&left.index()).unwrap();
    assert_eq!(left.files(), 0);
    CachePool::discard_kept(&left.index()).unwrap();
    // As a crash of the machine may leave it.
    fs::write(left.index(), [0; 4096]).unwrap();
    assert!(matches!(left.reopen(), Err(CacheError::Damaged { .. })));
    CachePool::discard_kept(&left.index()).unwrap();
    fs::write(left.index(), "somebody's letter").unwrap();
    assert!(matches!(CachePool::discard_kept(&left.index()), Err(CacheError::Refused { .. })));
    assert_eq!(left.files(), 1);
}

#[test]
fn bodies_that_are_not_those_of_the_index_are_refused() {
    let left = Left::new(false);
    let bodies = File::options().write(true).open(left.bodies()).unwrap();
    bodies.write_all_at(&[0xff], 2 * GRANULE + 5).unwrap();
    let share = left.reopen().unwrap();
    expect(&share, 0, 5000);
    let result = share.get(UnitIndex(1), &mut Vec::new());
    assert!(matches!(&result, Err(CacheError::Damaged { path, offset, .. }) if *path == left.bodies() && *offset == 2 * GRANULE));
    drop(share);
    bodies.set_len(10 * GRANULE - 1).unwrap();
    assert!(matches!(left.reopen(), Err(CacheError::Damaged { path, .. }) if path == left.bodies()));
    fs::remove_file(left.bodies()).unwrap();
    assert!(matches!(left.reopen(), Err(CacheError::Io { path, .. }) if path == left.bodies()));
}

#[test]
fn a_file_of_bodies_that_is_there_is_not_written_over_and_no_index_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (index, bodies) = (folder.path().join("view"), folder.path().join("view.bodies"));
    fs::write(&bodies, "somebody's").unwrap();
    let result = pool(1 << 20).kept_share("view", &index, "");
    assert!(matches!(result, Err(CacheError::Refused { path, .. }) if path == bodies));
    assert_eq!(fs::read(&bodies).unwrap(), b"somebody's");
    assert!(!index.exists());
}

#[test]
fn several_threads_put_into_a_durable_share() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, index) = (pool(64 << 20), folder.path().join("view"));
    let share = pool.durable_share("view", &index, "").unwrap();
    thread::scope(|scope| {
        for first in 0..4 {
            let share = &share;
            scope.spawn(move || {
                for unit in (first..80).step_by(4) {
                    put(share, unit, 20_000);
                    if unit % 5 == 0 {
                        share.release(UnitIndex(unit));
                    }
                }
            });
        }
    });
    drop(share);
    let (share, _) = pool.reopen_after("view", &index, NEXT_BOOT).unwrap();
    assert_eq!(share.units(), (0..80).filter(|unit| unit % 5 != 0).map(UnitIndex).collect::<Vec<_>>());
    share.units().iter().for_each(|unit| expect(&share, unit.0, 20_000));
}

const CHILD_FOLDER: &str = "TAPEGATE_TEST_CACHE_FOLDER";

fn child_length(unit: u32) -> usize {
    (unit as usize * 7919) % 20_001
}

/// Not a test of its own: the process that the next one kills. Says what it did, one line each.
#[test]
#[ignore = "the process that another test kills"]
fn a_process_that_keeps_units() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let share = pool(1 << 30).kept_share("view", &Path::new(&folder).join("view"), "killed").unwrap();
    let say = |line: String| std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    thread::scope(|scope| {
        for thread in 0..3_u32 {
            let (share, say) = (&share, &say);
            scope.spawn(move || {
                for unit in (thread..6000).step_by(3) {
                    put(share, unit, child_length(unit));
                    say(format!("\nput {unit}\n"));
                    if let Some(old) = unit.checked_sub(90).filter(|old| old % 2 == 0) {
                        say(format!("\nreleasing {old}\n"));
                        share.release(UnitIndex(old));
                        say(format!("\nreleased {old}\n"));
                    }
                }
            });
        }
    });
}

/// At several moments: every unit whose `put` had returned is there and whole, and none that was released.
#[test]
fn after_kill_9_every_unit_whose_put_had_returned_is_found() {
    for moment in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cache::kept_tests::a_process_that_keeps_units", "--ignored", "--nocapture"])
            .env(CHILD_FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while said.matches("put ").count() < 20 + moment * 37 {
            assert_ne!(lines.read_line(&mut said).unwrap(), 0, "the process ended by itself: {said}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.read_to_string(&mut said).unwrap();
        let units = |word: &str| {
            let said = said.lines().filter_map(|line| line.strip_prefix(word));
            said.filter_map(|unit| unit.parse().ok()).collect::<Vec<u32>>()
        };
        let (put, releasing, released) = (units("put "), units("releasing "), units("released "));

        let pool = pool(1 << 30);
        let (share, identity) = pool.reopen_share("view", &folder.path().join("view")).unwrap();
        assert_eq!(identity, "killed");
        for &unit in put.iter().filter(|unit| !releasing.contains(unit)) {
            expect(&share, unit, child_length(unit));
        }
        assert!(released.iter().all(|&unit| !share.contains(UnitIndex(unit))));
        // One put and one release of each thread may have been on their way.
        assert!(share.units().len() <= put.len() - released.len() + 3);
        share.units().iter().for_each(|unit| expect(&share, unit.0, child_length(unit.0)));
    }
}
