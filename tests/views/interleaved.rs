//! A host that writes in the very moment in which a view's read stands between its steps.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tapegate::cache::{CachePool, PoolConfig};
use tapegate::gate::{Disk, VolumeGate};
use tapegate::live::status::SessionId;
use tapegate::live::{LiveView, LiveVolume, Sessions};
use tapegate::volume::{OpenOptions, Shape, Stage, UnitIndex, UnitSource, Volume, VolumeError};

use crate::common::fixture;
use crate::service::{read, request, write};

type Meanwhile = Box<dyn FnOnce() + Send>;

/// A volume of which the next read is preceded by what others do meanwhile.
struct Interrupted {
    volume: Volume,
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl Interrupted {
    fn happen(&self) {
        // Taken before it runs: what it reads itself is not interrupted.
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
    }
}

impl UnitSource for Interrupted {
    fn shape(&self) -> &Shape {
        self.volume.shape()
    }

    fn name(&self) -> &Path {
        self.volume.path()
    }

    fn read_units(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        self.happen();
        self.volume.read_units(first, count, stage)
    }

    fn measure_units(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        self.volume.measure_units(first, body_bytes)
    }
}

impl Disk for Interrupted {
    fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        self.happen();
        self.volume.read_slot(unit, buffer)
    }

    fn write_slot(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        self.volume.write_slot(unit, offset, bytes)
    }

    fn sync(&self) -> Result<(), VolumeError> {
        self.volume.sync()
    }

    fn is_writable(&self) -> bool {
        true
    }
}

#[test]
fn a_write_between_the_test_of_the_bit_and_the_read_of_the_volume_is_not_seen() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("vol");
    fs::copy(fixture("tiny.fba"), &image).unwrap();
    let volume = Volume::open_for_update(&image, &OpenOptions::default()).unwrap();
    let fingerprint = volume.fingerprint().clone();
    let disk = Arc::new(Interrupted { volume, meanwhile: Mutex::default() });
    let gate = VolumeGate::new("vol", Arc::clone(&disk) as _);
    let live = LiveVolume { gate: Arc::clone(&gate), image, fingerprint, findings: Vec::new() };
    let view = LiveView::new("yesterday", &gate, false);
    let config = PoolConfig { name: "default".to_owned(), memory_bytes: 1 << 20, spill: None };
    let sessions = Sessions::new(vec![live], vec![CachePool::new(config).unwrap()], SessionId(1), 1);
    let sessions = sessions.with_views(vec![view.clone()], &folder.path().join("state")).unwrap();
    let session = sessions.start(request("yesterday"), None).unwrap();
    assert_eq!(session.status().findings[0].text.split(", because").next().unwrap(), "yesterday: it ends with the service");
    let guest = view.gate.attach("guest", None);
    let before = fs::read(fixture("tiny.fba")).unwrap();
    let host_writes = |unit| -> Meanwhile {
        let host = gate.attach("host", None);
        Box::new(move || write(&host, unit, 0, &[0xab; 4096]))
    };
    for unit in [3, 4].map(UnitIndex) {
        let at_t0 = &before[unit.0 as usize * 4096..][..4096];
        *disk.meanwhile.lock().unwrap() = Some(host_writes(unit));
        if unit.0 == 3 {
            assert!(read(&guest, unit).unwrap() == at_t0, "as a host reads it");
        } else {
            let mut stage = Stage::new();
            view.gate.disk().read_units(unit, 1, &mut stage).unwrap();
            assert!(stage.body(0) == at_t0, "as a copier reads it");
        }
        assert!(disk.meanwhile.lock().unwrap().is_none());
        assert_eq!(read(&gate.attach("host", None), unit).unwrap(), [0xab; 4096], "the host wrote meanwhile");
    }
}
