//! Any sequence of operations on shares of one pool, against a map and the arithmetic of its limits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use tapegate_formats::tape::unit::{LONGEST_BODY_BYTES, UnitKind};
use tempfile::TempDir;

use super::*;
use crate::volume::UnitIndex;

const KINDS: [UnitKind; 3] = [UnitKind::Track, UnitKind::RawSlot, UnitKind::Blocks];
/// Two that end with the process, one that survives it, one that survives the machine's restart.
const SHARES: usize = 4;
const GRANULE: u64 = 4096;

#[derive(Debug, Clone)]
enum Step {
    Put {
        share: usize,
        unit: u32,
        kind: usize,
        length: usize,
        fill: u8,
    },
    Release {
        share: usize,
        unit: u32,
    },
    SetLimits {
        memory: Option<u64>,
        granules: Option<u64>,
    },
    /// The share is dropped, as a process that ends drops it, and taken up again if it can be.
    Restart {
        share: usize,
    },
    Discard {
        share: usize,
    },
}

#[derive(Debug, Clone, PartialEq)]
struct Original {
    kind: UnitKind,
    body: Vec<u8>,
    is_in_memory: bool,
}

struct Model {
    memory_limit: u64,
    granule_limit: u64,
    shares: [BTreeMap<u32, Original>; SHARES],
}

impl Model {
    fn memory(&self) -> u64 {
        self.originals().filter(|original| original.is_in_memory).map(|original| original.body.len() as u64).sum()
    }

    fn granules(&self) -> u64 {
        let on_disk = self.originals().filter(|original| !original.is_in_memory);
        on_disk.map(|original| (original.body.len() as u64).div_ceil(GRANULE)).sum()
    }

    fn originals(&self) -> impl Iterator<Item = &Original> {
        self.shares.iter().flat_map(BTreeMap::values)
    }

    /// Whether the unit is there afterwards.
    fn put(&mut self, share: usize, unit: u32, kind: UnitKind, body: Vec<u8>) -> bool {
        if self.shares[share].contains_key(&unit) {
            return true;
        }
        let length = body.len() as u64;
        let is_in_memory = share < 2 && self.memory() + length <= self.memory_limit;
        if !is_in_memory && self.granules() + length.div_ceil(GRANULE) > self.granule_limit {
            return false;
        }
        self.shares[share].insert(unit, Original { kind, body, is_in_memory });
        true
    }
}

struct Real {
    pool: Arc<CachePool>,
    shares: [Option<CacheShare>; SHARES],
    folder: TempDir,
}

impl Real {
    fn new(memory_bytes: u64, granules: u64) -> Self {
        // Nothing here depends on what a sync does, and in memory it costs nothing.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let spill = Some(SpillConfig { path: folder.path().join("spill"), bytes: granules * GRANULE });
        let pool = CachePool::new(PoolConfig { name: "model".to_owned(), memory_bytes, spill }).unwrap();
        let mut real = Self { pool, shares: [const { None }; SHARES], folder };
        (0..SHARES).for_each(|share| real.shares[share] = Some(real.create(share)));
        real
    }

    fn index(&self, share: usize) -> PathBuf {
        self.folder.path().join(format!("index-{share}"))
    }

    fn create(&self, share: usize) -> CacheShare {
        let owner = format!("owner {share}");
        match share {
            2 => self.pool.kept_share(&owner, &self.index(share), &owner).unwrap(),
            3 => self.pool.durable_share(&owner, &self.index(share), &owner).unwrap(),
            _ => self.pool.share(&owner),
        }
    }

    fn share(&self, share: usize) -> &CacheShare {
        self.shares[share].as_ref().unwrap()
    }

    fn restart(&mut self, share: usize) {
        let owner = format!("owner {share}");
        drop(self.shares[share].take());
        self.shares[share] = Some(if share < 2 {
            self.create(share)
        } else {
            let (reopened, identity) = self.pool.reopen_share(&owner, &self.index(share)).unwrap();
            assert_eq!(identity, owner);
            reopened
        });
    }

    fn discard(&mut self, share: usize) {
        self.shares[share].take().unwrap().discard();
        self.shares[share] = Some(self.create(share));
    }
}

/// Limits, units and accounts.
fn compare(real: &Real, model: &Model) -> Result<(), TestCaseError> {
    let usage = real.pool.usage();
    let memory = RoomUsage { used_bytes: model.memory(), limit_bytes: model.memory_limit };
    let spill = RoomUsage { used_bytes: model.granules() * GRANULE, limit_bytes: model.granule_limit * GRANULE };
    prop_assert_eq!((usage.memory, usage.spill), (memory, spill));
    for (number, originals) in model.shares.iter().enumerate() {
        let share = real.share(number);
        let units: Vec<_> = originals.keys().map(|&unit| UnitIndex(unit)).collect();
        prop_assert_eq!(share.units(), units);
        let bytes = originals.values().map(|original| original.body.len() as u64).sum();
        prop_assert_eq!(share.usage(), ShareUsage { units: originals.len() as u64, bytes });
        prop_assert_eq!(usage.owners[number].bytes, bytes);
    }
    Ok(())
}

fn compare_bodies(real: &Real, model: &Model) -> Result<(), TestCaseError> {
    let mut body = Vec::new();
    for (number, originals) in model.shares.iter().enumerate() {
        let share = real.share(number);
        for unit in 0..8 {
            prop_assert_eq!(share.contains(UnitIndex(unit)), originals.contains_key(&unit));
            let kind = share.get(UnitIndex(unit), &mut body).unwrap();
            prop_assert_eq!(kind, originals.get(&unit).map(|original| original.kind));
            prop_assert!(originals.get(&unit).is_none_or(|original| original.body == body));
        }
    }
    Ok(())
}

fn length() -> impl Strategy<Value = usize> {
    let longest = LONGEST_BODY_BYTES as usize;
    prop_oneof![Just(0), Just(4096), Just(4097), Just(longest), 1..8192_usize, 45_000..=longest]
}

fn step() -> impl Strategy<Value = Step> {
    let (share, unit) = (0..SHARES, 0..8_u32);
    prop_oneof![
        12 => (share.clone(), unit.clone(), 0..3_usize, length(), any::<u8>())
            .prop_map(|(share, unit, kind, length, fill)| Step::Put { share, unit, kind, length, fill }),
        6 => (share.clone(), unit).prop_map(|(share, unit)| Step::Release { share, unit }),
        2 => (prop::option::of(0..200_000_u64), prop::option::of(0..80_u64))
            .prop_map(|(memory, granules)| Step::SetLimits { memory, granules }),
        2 => share.clone().prop_map(|share| Step::Restart { share }),
        1 => share.prop_map(|share| Step::Discard { share }),
    ]
}

proptest! {
    #[test]
    fn a_pool_is_a_map_with_limits(
        memory in 0..100_000_u64,
        granules in 0..60_u64,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut real = Real::new(memory, granules);
        let mut model = Model { memory_limit: memory, granule_limit: granules, shares: [const { BTreeMap::new() }; SHARES] };
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Put { share, unit, kind, length, fill } => {
                    let mut body = vec![fill; length];
                    body.iter_mut().step_by(100).zip((0..=u8::MAX).cycle()).for_each(|(byte, at)| *byte = at);
                    let result = real.share(share).put(UnitIndex(unit), KINDS[kind], &body);
                    let is_full = matches!(result, Err(CacheError::Full { .. }));
                    prop_assert!(is_full || result.is_ok());
                    prop_assert_eq!(model.put(share, unit, KINDS[kind], body), !is_full);
                }
                Step::Release { share, unit } => {
                    real.share(share).release(UnitIndex(unit));
                    model.shares[share].remove(&unit);
                }
                Step::SetLimits { memory, granules } => {
                    real.pool.set_limits(memory, granules.map(|granules| granules * GRANULE)).unwrap();
                    model.memory_limit = memory.unwrap_or(model.memory_limit);
                    model.granule_limit = granules.unwrap_or(model.granule_limit);
                }
                Step::Restart { share } => {
                    real.restart(share);
                    if share < 2 {
                        model.shares[share].clear();
                    }
                }
                Step::Discard { share } => {
                    real.discard(share);
                    model.shares[share].clear();
                }
            }
            compare(&real, &model)?;
            if number % 8 == 0 {
                compare_bodies(&real, &model)?;
            }
        }
        compare_bodies(&real, &model)?;
    }
}
