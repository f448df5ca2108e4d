//! The index of originals that an earlier process left opens or is refused, whatever is in it; what it names can be read,
//! is not written over, and is found again.
//!
//! Input: 0 and the bytes of the index; or another byte, flags, length of the identity, granules of the file of bodies,
//! which holds zeros, and entries of ten bytes: unit, kind, length (3), granule (2), action, safe entries, and whether the
//! entry is spoiled. Checksums are made by the target, or nothing behind them would ever be tried.
#![no_main]

use std::fs::File;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tapegate::cache::{CacheError, CachePool, PoolConfig, SpillConfig};
use tapegate::volume::UnitIndex;
use tapegate_formats::tape::unit::{LONGEST_BODY_BYTES, UnitKind, unit_header};
use tapegate_fuzz::{check_error, scratch_file};

const KINDS: [UnitKind; 3] = [UnitKind::Track, UnitKind::RawSlot, UnitKind::Blocks];
const ENTRY: usize = 10;
/// A unit that no entry has.
const NEW: UnitIndex = UnitIndex(1000);

static POOL: LazyLock<Arc<CachePool>> = LazyLock::new(|| {
    let spill = Some(SpillConfig { path: std::env::temp_dir(), bytes: 16 << 20 });
    CachePool::new(PoolConfig { name: "fuzz".to_owned(), memory_bytes: 0, spill }).expect("a pool")
});

fn index(flags: u8, identity: usize, entries: &[u8]) -> Vec<u8> {
    let identity = vec![b'i'; identity];
    let mut bytes = b"TGODCX1\0".to_vec();
    bytes.extend(u32::from(flags).to_be_bytes());
    bytes.extend((identity.len() as u32).to_be_bytes());
    bytes.extend([0; 16]);
    let seed = crc32c::crc32c_append(crc32c::crc32c(&bytes), &identity);
    bytes.extend(seed.to_be_bytes());
    bytes.extend(identity);
    bytes.resize(bytes.len().next_multiple_of(4096), 0);
    for entry in entries.chunks(ENTRY) {
        let &[unit, kind, l0, l1, l2, g0, g1, action, safe, spoiled] = entry else {
            bytes.extend(entry);
            break;
        };
        let length = u32::from_be_bytes([0, l0, l1, l2]) % (LONGEST_BODY_BYTES + 1);
        let body = vec![0; length as usize];
        let mut raw = unit_header(unit.into(), KINDS[usize::from(kind) % 3], &body).to_vec();
        raw.extend(u32::from_be_bytes([0, 0, g0, g1]).to_be_bytes());
        raw.extend(u32::from(action).to_be_bytes());
        raw.extend(u32::from(safe).to_be_bytes());
        raw.extend((crc32c::crc32c_append(seed, &raw) ^ u32::from(spoiled)).to_be_bytes());
        bytes.extend(raw);
    }
    bytes
}

fuzz_target!(|input: &[u8]| {
    let (bytes, granules) = match input {
        [0, bytes @ ..] => (bytes.to_vec(), 64),
        [_, flags, identity, granules, entries @ ..] => (index(*flags, usize::from(*identity) * 40, entries), *granules),
        _ => return,
    };
    let path = scratch_file("index", &bytes);
    let bodies = File::create(scratch_file("index.bodies", &[])).expect("a scratch file can be written");
    bodies.set_len(u64::from(granules) * 4096).expect("a scratch file can be lengthened");
    let (share, _identity) = match POOL.reopen_share("fuzz", &path) {
        Ok(reopened) => reopened,
        Err(error) => return check_error(&error, &path),
    };
    let mut units = share.units();
    let mut body = Vec::new();
    match share.put(NEW, UnitKind::Track, &[0xff; 9000]) {
        Ok(()) => units.push(NEW),
        Err(error) => assert!(matches!(error, CacheError::Full { .. }), "{error}"),
    }
    if let Some(first) = units.first().copied().filter(|&unit| unit != NEW) {
        share.release(first);
        units.remove(0);
    }
    drop(share);
    let (share, _identity) = POOL.reopen_share("fuzz", &path).expect("what was in order is in order");
    assert_eq!(share.units(), units);
    for unit in units {
        // An index of raw bytes may have units that no body of zeros belongs to.
        if let Ok(kind) = share.get(unit, &mut body) {
            assert!(kind.is_some());
            assert!(body.iter().all(|&byte| byte == if unit == NEW { 0xff } else { 0 }));
        } else {
            assert_eq!(input[0], 0);
        }
    }
    share.discard();
    assert!(!path.exists());
});
