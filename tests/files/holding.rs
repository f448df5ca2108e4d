//! A session that holds up writes.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use tapegate::channel::files::Entry;
use tapegate::gate::{Refusal, Still, StillLimits, VolumeGate, Watcher};
use tapegate::volume::UnitIndex;

use crate::memory_disk::MemoryDisk;
use crate::mounted::wait_until;

/// Holds the first write to each unit until it is told to let them go.
#[derive(Default)]
pub struct Holding {
    open: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicU32,
    pub refuses: AtomicBool,
}

impl Holding {
    pub fn let_go(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    pub fn wait_for(&self, count: u32) {
        wait_until("writes wait", || self.waiting.load(Ordering::SeqCst) >= count);
    }
}

impl Watcher for Holding {
    fn lets_pass(&self, unit: UnitIndex) -> bool {
        // Unit 5 is secured already.
        unit.0 == 5 || *self.open.lock().unwrap()
    }

    fn before_write(&self, _unit: UnitIndex, writer: &str) -> Result<(), Refusal> {
        assert_eq!(writer, "the file disk.fba");
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Refusal("it is protected".to_owned()));
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let open = self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap();
        drop(open);
        Ok(())
    }

    fn is_over(&self) -> bool {
        false
    }
}

/// A disk behind such a watcher.
pub struct Held {
    pub disk: Arc<MemoryDisk>,
    pub gate: Arc<VolumeGate>,
    pub watcher: Arc<Holding>,
    pub entry: Entry,
}

impl Held {
    pub fn new() -> Self {
        let disk = MemoryDisk::blocks();
        let gate = VolumeGate::new("disk", Arc::clone(&disk) as _);
        let watcher = Arc::new(Holding::default());
        let still = Still::of(std::slice::from_ref(&gate), StillLimits::default()).unwrap();
        still.add_watcher(&gate, Arc::clone(&watcher) as _);
        let entry = Entry { name: "disk".to_owned(), gate: Arc::clone(&gate), read_only: false };
        Self { disk, gate, watcher, entry }
    }
}
