//! The gate over a disk in memory.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use super::*;
use crate::volume::{BlockShape, Shape, Stage, UnitIndex, UnitSource, VolumeError};

const NONE: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(20);

/// Ten units of 512 bytes.
pub(crate) struct MemoryDisk {
    shape: Shape,
    units: Vec<Mutex<[u8; 512]>>,
}

impl MemoryDisk {
    fn new() -> Arc<Self> {
        let shape = Shape::FixedBlock(BlockShape { blocks: 10, block_bytes: 512, unit_blocks: 1 });
        Arc::new(Self { shape, units: (0..10).map(|_| Mutex::new([0; 512])).collect() })
    }
}

impl UnitSource for MemoryDisk {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn name(&self) -> &Path {
        Path::new("memory")
    }

    fn read_units(&self, _first: UnitIndex, _count: u32, _stage: &mut Stage) -> Result<(), VolumeError> {
        unimplemented!("the tests of the gate read slots")
    }

    /// The length of a unit is its first byte.
    fn measure_units(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        for (length, unit) in body_bytes.iter_mut().zip(&self.units[first.0 as usize..]) {
            *length = unit.lock().unwrap()[0].into();
        }
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        buffer.copy_from_slice(&*self.units[unit.0 as usize].lock().unwrap());
        Ok(())
    }

    fn write_slot(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        let offset = offset as usize;
        self.units[unit.0 as usize].lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<(), VolumeError> {
        Ok(())
    }

    fn is_writable(&self) -> bool {
        true
    }
}

fn gate() -> Arc<VolumeGate> {
    VolumeGate::new("work01", MemoryDisk::new())
}

fn quickly(limit: Duration) -> StillLimits {
    StillLimits { attempt: Duration::from_millis(1), pause: Duration::from_millis(1), limit }
}

/// Notes what the unit held when it was asked.
struct Noting {
    disk: Arc<dyn Disk>,
    seen: Mutex<Vec<(u32, u8)>>,
    asked: AtomicU32,
    over: AtomicBool,
}

impl Noting {
    fn of(gate: &VolumeGate) -> Arc<Self> {
        let (seen, asked, over) = Default::default();
        Arc::new(Self { disk: Arc::clone(gate.disk()), seen, asked, over })
    }
}

impl Watcher for Noting {
    fn lets_pass(&self, unit: UnitIndex) -> bool {
        self.seen.lock().unwrap().iter().any(|(seen, _)| *seen == unit.0)
    }

    fn before_write(&self, unit: UnitIndex, _writer: &str) -> Result<(), Refusal> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut slot = [0; 512];
        self.disk.read_slot(unit, &mut slot).unwrap();
        self.seen.lock().unwrap().push((unit.0, slot[0]));
        if unit.0 == 9 { Err(Refusal("unit 9 is dear".to_owned())) } else { Ok(()) }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

#[test]
fn a_watcher_is_asked_once_a_unit_and_before_the_first_byte_changes() {
    let gate = gate();
    let port = gate.attach("host a", None);
    let before = port.begin(NONE).unwrap();
    before.write(UnitIndex(3), 0, &[1]).unwrap();
    drop(before);

    let watcher = Noting::of(&gate);
    let still = Still::of(std::slice::from_ref(&gate), StillLimits::default()).unwrap();
    still.add_watcher(&gate, Arc::clone(&watcher) as _);
    drop(still);

    let access = port.begin(NONE).unwrap();
    assert!(!access.passes(UnitIndex(3)));
    access.write(UnitIndex(3), 0, &[2]).unwrap();
    access.write(UnitIndex(3), 0, &[3]).unwrap();
    assert!(access.passes(UnitIndex(3)));
    assert_eq!(*watcher.seen.lock().unwrap(), [(3, 1)]);
    assert_eq!(watcher.asked.load(Ordering::Relaxed), 1);
    let refused = access.write(UnitIndex(9), 0, &[7]).unwrap_err().to_string();
    assert_eq!(refused, "work01: block 9 is protected: unit 9 is dear");
    let mut slot = [1; 512];
    access.read(UnitIndex(9), &mut slot).unwrap();
    assert_eq!(slot, [0; 512]);
}

#[test]
fn a_watcher_that_is_over_is_forgotten_without_holding_anybody() {
    let gate = gate();
    let port = gate.attach("host a", None);
    let watcher = Noting::of(&gate);
    let still = Still::of(std::slice::from_ref(&gate), StillLimits::default()).unwrap();
    still.add_watcher(&gate, Arc::clone(&watcher) as _);
    drop(still);
    gate.forget_ended_watchers();
    assert_eq!(Arc::strong_count(&watcher), 2, "it is not over");
    let access = port.begin(NONE).unwrap();
    watcher.over.store(true, Ordering::Relaxed);
    gate.forget_ended_watchers();
    assert_eq!(Arc::strong_count(&watcher), 2, "an access that is out keeps it");
    drop(access);
    assert_eq!(Arc::strong_count(&watcher), 1);
    port.begin(NONE).unwrap().write(UnitIndex(3), 0, &[1]).unwrap();
    assert_eq!(watcher.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn a_channel_program_is_wholly_before_t0_or_wholly_behind() {
    let gate = gate();
    let port = gate.attach("host a", None);
    let access = port.begin(NONE).unwrap();
    let held = Still::of(std::slice::from_ref(&gate), quickly(Duration::from_millis(20))).unwrap_err();
    assert_eq!(held, HeldBy { disk: "work01".to_owned(), client: Some("host a".to_owned()) });
    // Between the attempts, and after them, the host goes on.
    access.write(UnitIndex(0), 0, &[1]).unwrap();
    drop(access);
    let still = Still::of(std::slice::from_ref(&gate), StillLimits::default()).unwrap();
    assert_eq!(port.begin(NONE).unwrap_err(), Busy { holder: None });
    assert_eq!(port.single(NONE).unwrap_err(), Busy { holder: None });
    drop(still);
    drop(port.begin(NONE).unwrap());
}

#[test]
fn a_group_is_held_still_whole_or_not_at_all() {
    let (one, two) = (gate(), VolumeGate::new("work02", MemoryDisk::new()));
    let group = [Arc::clone(&one), Arc::clone(&two)];
    let port = two.attach("host b", None);
    let access = port.single(NONE).unwrap();
    let held = Still::of(&group, quickly(Duration::from_millis(10))).unwrap_err();
    assert_eq!(held, HeldBy { disk: "work02".to_owned(), client: None });
    drop(one.attach("host a", None).begin(NONE).unwrap());
    drop(access);
    let still = Still::of(&group, StillLimits::default()).unwrap();
    assert!(still.holds(&one) && still.holds(&two));
    assert!(one.attach("host a", None).begin(NONE).is_err());
}

#[test]
fn brackets_exclude_each_other_and_single_operations_do_not() {
    let gate = gate();
    let (a, b) = (gate.attach("a", None), gate.attach("b", None));
    let first = a.single(NONE).unwrap();
    let second = b.single(NONE).unwrap();
    assert!(a.begin(NONE).is_err());
    drop((first, second));
    let bracket = a.begin(NONE).unwrap();
    assert_eq!(b.begin(NONE).unwrap_err(), Busy { holder: Some("a".to_owned()) });
    assert!(b.single(NONE).is_err());
    // Whoever waits gets in when it ends.
    let waited = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| b.begin(LONG).map(drop));
        drop(bracket);
        waiting.join().unwrap()
    });
    assert_eq!(waited, Ok(()));
}

#[test]
fn a_reserve_lasts_over_the_end_of_the_channel_program() {
    let gate = gate();
    let (a, b) = (gate.attach("a", None), gate.attach("b", None));
    a.begin(NONE).unwrap().reserve();
    assert_eq!(b.begin(NONE).unwrap_err(), Busy { holder: Some("a".to_owned()) });
    assert!(gate.activity().held);
    a.begin(NONE).unwrap().release();
    drop(b.begin(NONE).unwrap());
    a.begin(NONE).unwrap().reserve();
    drop(a);
    drop(b.begin(NONE).unwrap());
}

#[test]
fn others_are_told_what_changed_and_the_writer_is_not() {
    let gate = gate();
    let (a, b) = (gate.attach("a", None), gate.attach("b", None));
    assert_eq!(a.begin(NONE).unwrap().take_changed(), Changed::Everything);
    assert_eq!(b.begin(NONE).unwrap().take_changed(), Changed::Everything);
    let access = a.begin(NONE).unwrap();
    for unit in [5, 2, 5] {
        access.write(UnitIndex(unit), 0, &[1]).unwrap();
    }
    drop(access);
    assert_eq!(b.begin(NONE).unwrap().take_changed(), Changed::Units(vec![UnitIndex(5), UnitIndex(2)]));
    assert_eq!(a.begin(NONE).unwrap().take_changed(), Changed::Nothing);
    gate.everything_changed();
    assert_eq!(a.begin(NONE).unwrap().take_changed(), Changed::Everything);
}

#[test]
fn a_measured_unit_is_known_until_the_next_write() {
    let gate = gate();
    let access = gate.attach("a", None).begin(NONE).unwrap();
    access.write(UnitIndex(3), 0, &[7]).unwrap();
    assert_eq!(gate.measure(UnitIndex(2), 8).unwrap(), 8);
    assert_eq!(gate.sizes().stale_units(), 2);
    assert_eq!(gate.sizes().share().body_bytes(UnitIndex(3)), Some(7));
    access.write(UnitIndex(3), 0, &[8]).unwrap();
    assert_eq!(gate.sizes().share().body_bytes(UnitIndex(3)), None);
    gate.measure(UnitIndex(3), 1).unwrap();
    assert_eq!(gate.sizes().share().body_bytes(UnitIndex(3)), Some(8));
}

#[test]
fn clients_are_listed_with_what_they_hold() {
    let gate = gate();
    let (a, b) = (gate.attach("a", None), gate.attach("b", None));
    let access = a.begin(NONE).unwrap();
    access.reserve();
    b.set_gone(true);
    let mut clients = gate.clients();
    clients.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(clients[0].in_bracket && clients[0].reserved && clients[0].gone_for.is_none(), "{clients:?}");
    assert!(!clients[1].in_bracket && !clients[1].reserved && clients[1].gone_for.is_some(), "{clients:?}");
}

#[test]
fn bytes_outside_of_a_unit_are_refused() {
    let gate = gate();
    let port = gate.attach("a", None);
    let access = port.begin(NONE).unwrap();
    for (unit, offset, length) in [(10, 0, 1), (9, 512, 1), (0, u32::MAX, 2), (0, 1, 512)] {
        let error = access.write(UnitIndex(unit), offset, &vec![1; length]).unwrap_err();
        assert!(matches!(error, GateError::OutOfRange { .. }), "{error}");
    }
}

#[test]
fn a_wish_for_a_bracket_is_not_starved_by_single_operations() {
    let gate = gate();
    let (a, b) = (gate.attach("a", None), gate.attach("b", None));
    let single = a.single(NONE).unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            tell.send(()).unwrap();
            drop(b.begin(LONG).unwrap());
        });
        told.recv().unwrap();
        // As soon as b waits, no further single operation comes in.
        let deadline = Instant::now() + LONG;
        while a.single(NONE).is_ok() {
            assert!(Instant::now() < deadline, "b never began to wait");
            std::thread::yield_now();
        }
        drop(single);
    });
    drop(a.single(NONE).unwrap());
}
