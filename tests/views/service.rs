//! A service with one volume and three views, through the library, and what tests do with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tapegate::cache::{CachePool, PoolConfig, SpillConfig};
use tapegate::gate::{GateError, HostPort, VolumeGate};
use tapegate::live::status::{SessionId, SessionRequest, VolumeRequest};
use tapegate::live::{LiveView, LiveVolume, RestoredViews, Session, Sessions, StartError, note_stop};
use tapegate::volume::{OpenOptions, Shape, Stage, UnitIndex, Volume};
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::track::Track;

use crate::common::fixture;

/// Long enough for anything that comes to an end.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Names of the views; the first is read-only.
pub const VIEWS: [&str; 3] = ["yesterday", "trial", "other"];

/// A service with one volume, `vol`, and its views: `yesterday` is read-only, `trial` and `other` are writable.
pub struct Service {
    folder: PathBuf,
    pub volume: Arc<Volume>,
    pub gate: Arc<VolumeGate>,
    pub views: BTreeMap<&'static str, LiveView>,
    pub sessions: Sessions,
    pub restored: Vec<RestoredViews>,
}

impl Service {
    /// Starts it over the image `vol` in a folder, with room for so many bytes of originals.
    pub fn start(folder: &Path, spill_bytes: u64) -> Self {
        let image = folder.join("vol");
        let volume = Arc::new(Volume::open_for_update(&image, &OpenOptions::default()).unwrap());
        let gate = VolumeGate::new("vol", Arc::clone(&volume) as _);
        let fingerprint = volume.fingerprint().clone();
        let live = LiveVolume { gate: Arc::clone(&gate), image, fingerprint, findings: Vec::new() };
        let views = [("yesterday", false), ("trial", true), ("other", true)];
        let views: BTreeMap<_, _> =
            views.into_iter().map(|(name, writable)| (name, LiveView::new(name, &gate, writable))).collect();
        let spill = Some(SpillConfig { path: folder.join("spill"), bytes: spill_bytes });
        let pool = CachePool::new(PoolConfig { name: "default".to_owned(), memory_bytes: 0, spill }).unwrap();
        let sessions = Sessions::new(vec![live], vec![pool], SessionId(1), 1);
        let sessions = sessions.with_views(views.values().cloned().collect(), &folder.join("state")).unwrap();
        let restored = sessions.restore_views();
        Self { folder: folder.to_owned(), volume, gate, views, sessions, restored }
    }

    /// A copy of a fixture, served.
    pub fn over(folder: &Path, name: &str) -> Self {
        fs::copy(fixture(name), folder.join("vol")).unwrap();
        Self::start(folder, 1 << 30)
    }

    /// Ends it as kill -9 does, or a clean stop, and starts it again.
    pub fn restart(self, clean: bool) -> Self {
        let folder = self.stop();
        if clean {
            note_clean_stop(&folder);
        }
        Self::start(&folder, 1 << 30)
    }

    /// Drops everything, and notes nothing.
    pub fn stop(self) -> PathBuf {
        for status in self.sessions.list() {
            self.sessions.get(status.id).unwrap().join();
        }
        self.folder
    }

    pub fn show(&self, view: &str) -> Result<Arc<Session>, StartError> {
        self.sessions.start(request(view), None)
    }

    pub fn host(&self) -> HostPort {
        self.gate.attach("host", None)
    }

    pub fn guest(&self, view: &str) -> HostPort {
        self.views[view].gate.attach("guest", None)
    }

    pub fn shape(&self) -> Shape {
        *self.volume.shape()
    }
}

pub fn note_clean_stop(folder: &Path) {
    let image = Volume::open(&folder.join("vol"), &OpenOptions::default()).unwrap();
    note_stop(&folder.join("state"), &BTreeMap::from([("vol".to_owned(), image.fingerprint().clone())]));
}

pub fn request(view: &str) -> SessionRequest {
    let mut request: SessionRequest = serde_json::from_str(r#"{"volumes":[]}"#).unwrap();
    request.volumes = vec![VolumeRequest { view: Some(view.to_owned()), ..VolumeRequest::new("vol") }];
    request
}

pub fn units(shape: &Shape) -> impl Iterator<Item = UnitIndex> + use<> {
    (0..shape.units()).map(UnitIndex)
}

pub fn read(port: &HostPort, unit: UnitIndex) -> Result<Vec<u8>, GateError> {
    let mut slot = vec![0; port.gate().disk().shape().unit_bytes(unit) as usize];
    port.single(PATIENCE).unwrap().read(unit, &mut slot)?;
    Ok(slot)
}

pub fn write(port: &HostPort, unit: UnitIndex, offset: u32, bytes: &[u8]) {
    port.single(PATIENCE).unwrap().write(unit, offset, bytes).unwrap();
}

/// All units of a disk.
pub fn content(port: &HostPort) -> Vec<Vec<u8>> {
    units(port.gate().disk().shape()).map(|unit| read(port, unit).unwrap()).collect()
}

/// What of a slot has a meaning: the track up to its end mark, or all of a slot that is no track.
pub fn meaning<'a>(shape: &Shape, unit: UnitIndex, slot: &'a [u8]) -> &'a [u8] {
    let Shape::Ckd(geometry) = shape else { return slot };
    let home = geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)));
    Track::parse(slot, home).map_or(slot, |track| &slot[..track.bytes().len() + 8])
}

#[track_caller]
pub fn assert_content(port: &HostPort, expected: &[Vec<u8>]) {
    let shape = *port.gate().disk().shape();
    let mut stage = Stage::new();
    for unit in units(&shape) {
        let (slot, expected) = (read(port, unit).unwrap(), &expected[unit.0 as usize]);
        let name = port.gate().name();
        assert!(meaning(&shape, unit, &slot) == meaning(&shape, unit, expected), "{name}, unit {}", unit.0);
        // The same, as a copier reads and measures it.
        let disk = port.gate().disk();
        disk.read_units(unit, 1, &mut stage).unwrap();
        let body = stage.body(0);
        let whole = meaning(&shape, unit, expected);
        let end_mark = if matches!(shape, Shape::Ckd(_)) && whole.len() < expected.len() { 8 } else { 0 };
        assert!(body == &whole[..whole.len() - end_mark], "{name}, body of unit {}", unit.0);
        let mut length = [0];
        disk.measure_units(unit, &mut length).unwrap();
        assert_eq!(length[0] as usize, body.len(), "{name}, unit {}", unit.0);
    }
}

/// Writes over the first bytes of every unit that may change: all but the one with the label.
pub fn overwrite_all(port: &HostPort, byte: u8) {
    let offset = if matches!(port.gate().disk().shape(), Shape::Ckd(_)) { 21 } else { 0 };
    for unit in units(port.gate().disk().shape()).skip(1) {
        write(port, unit, offset, &[byte; 8]);
    }
}
