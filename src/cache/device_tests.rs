//! A block device as the spill. Needs the right to make a loop device; skipped, and says so, without.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tapegate_formats::tape::unit::UnitKind;

use super::*;
use crate::volume::UnitIndex;

const DEVICE_BYTES: u64 = 1 << 20;

/// A loop device, which is gone when this is dropped.
struct LoopDevice(PathBuf);

impl LoopDevice {
    fn new(file: &Path) -> Option<Self> {
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file).output().ok()?;
        let name = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        Some(Self(PathBuf::from(name.trim_end())))
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _best_effort = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

fn pool(device: &LoopDevice, bytes: u64) -> Result<Arc<CachePool>, CacheError> {
    let spill = Some(SpillConfig { path: device.0.clone(), bytes });
    CachePool::new(PoolConfig { name: "device".to_owned(), memory_bytes: 0, spill })
}

#[test]
fn a_block_device_is_a_spill_as_long_as_it_is_and_one_pools_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    File::create(&path).unwrap().set_len(DEVICE_BYTES).unwrap();
    let Some(device) = LoopDevice::new(&path) else {
        println!("skipped: no loop device can be made here");
        return;
    };
    let too_long = pool(&device, DEVICE_BYTES + 4096);
    assert!(matches!(&too_long, Err(CacheError::Refused { path, .. }) if *path == device.0), "{too_long:?}");

    let spill = pool(&device, DEVICE_BYTES / 2).unwrap();
    assert!(matches!(pool(&device, 4096), Err(CacheError::Refused { .. })));
    let share = spill.share("a");
    let body = |unit: u32| vec![unit as u8 + 1; 60_000];
    let put = |unit| share.put(UnitIndex(unit), UnitKind::Track, &body(unit));
    // 128 granules, 15 a unit.
    (0..8).for_each(|unit| put(unit).unwrap());
    assert!(matches!(put(8), Err(CacheError::Full { .. })));
    assert!(matches!(spill.set_limits(None, Some(DEVICE_BYTES + 4096)), Err(CacheError::Refused { .. })));
    spill.set_limits(None, Some(DEVICE_BYTES)).unwrap();
    (8..17).for_each(|unit| put(unit).unwrap());
    let mut found = Vec::new();
    for unit in 0..17 {
        assert_eq!(share.get(UnitIndex(unit), &mut found).unwrap(), Some(UnitKind::Track));
        assert_eq!(found, body(unit));
    }
    drop((share, spill));
    pool(&device, DEVICE_BYTES).unwrap();
}
