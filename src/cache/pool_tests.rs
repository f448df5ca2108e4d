//! Pools whose shares end with the process: limits, spill, accounts, several threads.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tapegate_formats::tape::unit::{LONGEST_BODY_BYTES, UnitKind};
use tempfile::TempDir;

use super::body_file::BodyFile;
use super::granules::{FreeGranules, GRANULE_BYTES};
use super::spill::Spill;
use super::*;
use crate::volume::UnitIndex;

const GRANULE: usize = 4096;

/// A body that is its unit's and no other's.
fn body(unit: u32, length: usize) -> Vec<u8> {
    (0..length).map(|at| (unit as usize * 31 + at + at / 251) as u8).collect()
}

fn pool(memory_bytes: u64, spill_bytes: u64) -> (Arc<CachePool>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let spill = (spill_bytes > 0).then(|| SpillConfig { path: folder.path().to_owned(), bytes: spill_bytes });
    (CachePool::new(PoolConfig { name: "main".to_owned(), memory_bytes, spill }).unwrap(), folder)
}

fn put(share: &CacheShare, unit: u32, length: usize) -> Result<(), CacheError> {
    share.put(UnitIndex(unit), UnitKind::Track, &body(unit, length))
}

#[track_caller]
fn expect(share: &CacheShare, unit: u32, length: usize) {
    let mut found = vec![1, 2, 3];
    assert_eq!(share.get(UnitIndex(unit), &mut found).unwrap(), Some(UnitKind::Track));
    assert!(found == body(unit, length), "unit {unit} is not what was put");
}

#[track_caller]
fn expect_full(result: Result<(), CacheError>) -> Box<PoolUsage> {
    match result {
        Err(CacheError::Full { usage, .. }) => usage,
        other => panic!("{other:?} is not full"),
    }
}

#[test]
fn units_go_to_memory_then_to_the_spill_then_nowhere() {
    let (pool, _folder) = pool(10_000, 2 * GRANULE_BYTES);
    let (a, b) = (pool.share("alpha"), pool.share("beta"));
    put(&a, 1, 6000).unwrap();
    put(&b, 1, 5000).unwrap();
    assert_eq!(pool.usage().spill.used_bytes, 2 * GRANULE_BYTES);
    put(&a, 2, 4000).unwrap();
    let before = pool.usage();
    assert_eq!(before.memory, RoomUsage { used_bytes: 10_000, limit_bytes: 10_000 });

    let error = put(&b, 7, 1).unwrap_err();
    let text = error.to_string();
    for word in ["main", "1 bytes", "10000 of 10000", "8192 of 8192", "alpha 10000", "beta 5000"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    assert_eq!(*expect_full(Err(error)), before);
    assert!(!b.contains(UnitIndex(7)));
    assert_eq!(pool.usage(), before);
    expect(&a, 1, 6000);
    expect(&a, 2, 4000);
    expect(&b, 1, 5000);
}

#[test]
fn the_space_of_what_was_released_is_used_again() {
    for (memory, spill) in [(3 * 50_000, 0), (0, 3 * 13 * GRANULE_BYTES)] {
        let (pool, _folder) = pool(memory, spill);
        let share = pool.share("stream");
        for unit in 0..100 {
            put(&share, unit, 50_000).unwrap();
            expect(&share, unit, 50_000);
            if unit >= 2 {
                share.release(UnitIndex(unit - 2));
                share.release(UnitIndex(unit - 2));
            }
        }
        assert_eq!(share.units(), [UnitIndex(98), UnitIndex(99)]);
        assert_eq!(share.usage(), ShareUsage { units: 2, bytes: 100_000 });
        share.discard();
        assert_eq!((pool.usage().memory.used_bytes, pool.usage().spill.used_bytes), (0, 0));
        assert_eq!(pool.usage().owners, []);
    }
}

#[test]
fn the_first_original_of_a_unit_stays() {
    let (pool, _folder) = pool(1 << 20, 0);
    let share = pool.share("a");
    put(&share, 5, 100).unwrap();
    share.put(UnitIndex(5), UnitKind::RawSlot, b"another").unwrap();
    expect(&share, 5, 100);
    assert_eq!(pool.usage().memory.used_bytes, 100);
}

#[test]
fn a_unit_of_any_length_up_to_the_longest_comes_back() {
    let longest = LONGEST_BODY_BYTES as usize;
    let (pool, _folder) = pool(0, 1 << 20);
    let share = pool.share("a");
    let lengths = [0, 1, GRANULE - 1, GRANULE, GRANULE + 1, 49_152, longest];
    for (unit, length) in (0..).zip(lengths) {
        put(&share, unit, length).unwrap();
    }
    for (unit, length) in (0..).zip(lengths) {
        expect(&share, unit, length);
    }
    // 0 + 1 + 1 + 1 + 2 + 12 + 17 granules.
    assert_eq!(pool.usage().spill.used_bytes, 34 * GRANULE_BYTES);
    assert!(matches!(put(&share, 99, longest + 1), Err(CacheError::TooLong { unit: 99, .. })));
}

#[test]
fn a_spill_is_full_only_when_all_of_it_is_used() {
    let (pool, _folder) = pool(0, 26 * GRANULE_BYTES);
    let share = pool.share("a");
    for unit in 0..26 {
        put(&share, unit, GRANULE).unwrap();
    }
    (0..26).step_by(2).for_each(|unit| share.release(UnitIndex(unit)));
    // Thirteen granules are free, and no two of them touch.
    put(&share, 100, 13 * GRANULE - 5).unwrap();
    expect(&share, 100, 13 * GRANULE - 5);
    expect_full(put(&share, 101, 1));
    (1..26).step_by(2).for_each(|unit| expect(&share, unit, GRANULE));
}

#[test]
fn a_raised_limit_makes_room_at_once() {
    let (pool, _folder) = pool(1000, GRANULE_BYTES);
    let share = pool.share("a");
    put(&share, 0, 1000).unwrap();
    put(&share, 1, 1000).unwrap();
    expect_full(put(&share, 2, 1000));
    pool.set_limits(Some(2000), None).unwrap();
    put(&share, 2, 1000).unwrap();
    expect_full(put(&share, 3, 5000));
    pool.set_limits(None, Some(3 * GRANULE_BYTES + 17)).unwrap();
    put(&share, 3, 5000).unwrap();
    assert_eq!(pool.usage().spill, RoomUsage { used_bytes: 3 * GRANULE_BYTES, limit_bytes: 3 * GRANULE_BYTES });
    (0..3).for_each(|unit| expect(&share, unit, 1000));
    expect(&share, 3, 5000);
}

#[test]
fn a_lowered_limit_keeps_what_is_there_and_refuses_more() {
    let (pool, _folder) = pool(0, 100 * GRANULE_BYTES);
    let share = pool.share("a");
    (0..10).for_each(|unit| put(&share, unit, GRANULE).unwrap());
    pool.set_limits(None, Some(5 * GRANULE_BYTES)).unwrap();
    assert_eq!(pool.spill().unwrap().file().metadata().unwrap().len(), 10 * GRANULE_BYTES);
    (0..6).for_each(|unit| {
        expect_full(put(&share, 50, 1));
        share.release(UnitIndex(unit));
    });
    put(&share, 50, 1).unwrap();
    expect_full(put(&share, 51, 1));
    (6..10).for_each(|unit| expect(&share, unit, GRANULE));
    pool.set_limits(None, Some(20 * GRANULE_BYTES)).unwrap();
    (60..75).for_each(|unit| put(&share, unit, GRANULE).unwrap());
    (60..75).for_each(|unit| expect(&share, unit, GRANULE));
    expect(&share, 50, 1);
}

#[test]
fn a_limit_of_a_spill_that_is_not_there_is_refused() {
    let (pool, folder) = pool(1000, 0);
    assert!(matches!(pool.set_limits(Some(5), Some(1 << 20)), Err(CacheError::NoSpill { .. })));
    assert_eq!(pool.usage().memory.limit_bytes, 1000);
    let index = folder.path().join("view");
    assert!(matches!(pool.kept_share("a", &index, ""), Err(CacheError::NoSpill { .. })));
    assert!(matches!(pool.reopen_share("a", &index), Err(CacheError::NoSpill { .. })));
}

#[test]
fn more_room_than_the_disk_has_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spill");
    let config =
        |bytes| PoolConfig { name: "main".into(), memory_bytes: 0, spill: Some(SpillConfig { path: path.clone(), bytes }) };
    let pool = CachePool::new(config(GRANULE_BYTES)).unwrap();
    // Longer than any file.
    let result = pool.set_limits(Some(77), Some(1 << 62));
    assert!(matches!(&result, Err(CacheError::Io { path: named, .. }) if *named == path), "{result:?}");
    assert_eq!((pool.usage().memory.limit_bytes, pool.usage().spill.limit_bytes), (0, GRANULE_BYTES));
    put(&pool.share("a"), 1, GRANULE).unwrap();
    assert!(matches!(CachePool::new(config(1 << 62)), Err(CacheError::Io { .. })));
}

#[test]
fn four_fifths_are_nearly_full() {
    let (pool, folder) = pool(10_000, 10 * GRANULE_BYTES);
    let share = pool.share("a");
    put(&share, 0, 10_000).unwrap();
    put(&share, 1, 7 * GRANULE).unwrap();
    assert!(!pool.is_nearly_full());
    put(&share, 2, 1).unwrap();
    assert!(pool.is_nearly_full());
    pool.set_limits(None, Some(20 * GRANULE_BYTES)).unwrap();
    assert!(!pool.is_nearly_full());

    // Memory is of no use to a share that survives a restart.
    drop(share);
    let kept = pool.kept_share("view", &folder.path().join("view"), "").unwrap();
    pool.set_limits(Some(1 << 30), None).unwrap();
    put(&kept, 0, 15 * GRANULE).unwrap();
    assert!(!pool.is_nearly_full());
    put(&kept, 1, GRANULE).unwrap();
    assert!(pool.is_nearly_full());
}

#[test]
fn the_use_of_shares_is_shown_by_owner() {
    let (pool, _folder) = pool(1 << 20, 0);
    let shares = ["late", "early", "late"].map(|owner| pool.share(owner));
    for (unit, share) in (1..).zip(&shares) {
        put(share, unit, 100 * unit as usize).unwrap();
    }
    let owner = |owner: &str, units, bytes| OwnerUsage { owner: owner.to_owned(), units, bytes };
    assert_eq!(pool.usage().owners, [owner("early", 1, 200), owner("late", 2, 400)]);
    let json = serde_json::to_value(pool.usage()).unwrap();
    assert_eq!(json["memory"]["used_bytes"], 600);
    assert_eq!(json["owners"][1]["owner"], "late");
}

#[test]
fn a_spill_file_has_no_name_and_nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spill");
    let config = |path: &Path| PoolConfig {
        name: "main".to_owned(),
        memory_bytes: 0,
        spill: Some(SpillConfig { path: path.to_owned(), bytes: 1 << 20 }),
    };
    let pools = [folder.path(), &path].map(|path| CachePool::new(config(path)).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    for pool in pools {
        put(&pool.share("a"), 1, 5000).unwrap();
    }
    fs::write(&path, "somebody's").unwrap();
    assert!(matches!(CachePool::new(config(&path)), Err(CacheError::Refused { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"somebody's");
    assert!(matches!(CachePool::new(config(Path::new("/dev/null"))), Err(CacheError::Refused { .. })));
    assert!(matches!(CachePool::new(config(&folder.path().join("no/where"))), Err(CacheError::Io { .. })));
}

#[test]
fn a_byte_that_changed_on_the_medium_is_found() {
    use std::os::unix::fs::FileExt;
    let (pool, _folder) = pool(0, 1 << 20);
    let share = pool.share("a");
    put(&share, 1, 5000).unwrap();
    put(&share, 2, 5000).unwrap();
    let file = pool.spill().unwrap().file();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2 * GRANULE_BYTES + 4999).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], 2 * GRANULE_BYTES + 4999).unwrap();
    expect(&share, 1, 5000);
    let result = share.get(UnitIndex(2), &mut Vec::new());
    assert!(matches!(result, Err(CacheError::Damaged { offset, .. }) if offset == 2 * GRANULE_BYTES), "{result:?}");
}

#[test]
fn a_spill_that_fails_keeps_nothing_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spill");
    fs::write(&path, vec![0; 20 * GRANULE]).unwrap();
    let mut free = FreeGranules::default();
    free.grow(20);
    // A file that was opened for reading refuses to be written.
    let [medium, file] = [(); 2].map(|()| File::open(&path).unwrap());
    let spill = Spill::over(BodyFile::new(path.clone(), medium, free), file);
    let pool = CachePool::with_spill("main".to_owned(), 10, Some(spill));
    let share = pool.share("a");
    put(&share, 1, 10).unwrap();
    for _ in 0..30 {
        let error = put(&share, 2, GRANULE).unwrap_err();
        assert!(matches!(&error, CacheError::Io { path: named, offset: Some(0), .. } if *named == path), "{error:?}");
        assert!(error.to_string().contains("at offset 0"), "{error}");
    }
    assert_eq!(share.units(), [UnitIndex(1)]);
    assert_eq!(pool.usage().spill.used_bytes, 0);
    assert_eq!(share.usage(), ShareUsage { units: 1, bytes: 10 });
}

/// Units of two lengths go round through a pool with room for some of them. Whoever puts one reads it back whole, and
/// at the end nothing is counted that is not there.
#[test]
fn several_threads_share_a_pool() {
    let (pool, _folder) = pool(60_000, 40 * GRANULE_BYTES);
    let shares = ["a", "b"].map(|owner| pool.share(owner));
    let refused = AtomicU64::new(0);
    let length = |unit: u32| if unit.is_multiple_of(3) { GRANULE } else { 20_000 };
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (share, refused) = (&shares[thread as usize % 2], &refused);
            scope.spawn(move || {
                let mut found = Vec::new();
                for round in 0..600 {
                    // Two threads of a share put, read and release the same units.
                    let unit = (round * 7 + thread / 2) % 10;
                    match put(share, unit, length(unit)) {
                        Ok(()) => {}
                        Err(CacheError::Full { .. }) => _ = refused.fetch_add(1, Ordering::Relaxed),
                        Err(error) => panic!("{error}"),
                    }
                    if share.get(UnitIndex(unit), &mut found).unwrap().is_some() {
                        assert!(found == body(unit, length(unit)), "unit {unit} is mixed up");
                    }
                    assert!(share.usage().bytes <= 60_000 + 40 * GRANULE_BYTES);
                    share.release(UnitIndex((round * 3 + thread) % 10));
                }
            });
        }
    });
    let held: u64 = shares.iter().map(|share| share.usage().bytes).sum();
    let counted: u64 = shares.iter().flat_map(CacheShare::units).map(|unit| length(unit.0) as u64).sum();
    assert_eq!(held, counted);
    drop(shares);
    assert_eq!((pool.usage().memory.used_bytes, pool.usage().spill.used_bytes), (0, 0));
    put(&pool.share("c"), 0, 60_000).unwrap();
}

/// All threads put the same units at the same time: each `Ok` means that the unit is there, whoever wrote it.
#[test]
fn a_put_that_returned_has_its_unit_there_whoever_put_it() {
    let (pool, _folder) = pool(0, 64 * 13 * GRANULE_BYTES);
    let share = pool.share("a");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for unit in 0..64 {
                    put(&share, unit, 50_000).unwrap();
                    assert!(share.contains(UnitIndex(unit)));
                    expect(&share, unit, 50_000);
                }
            });
        }
    });
    assert_eq!(share.usage(), ShareUsage { units: 64, bytes: 64 * 50_000 });
    expect_full(put(&share, 64, 1));
}
