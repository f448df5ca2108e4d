//! Snapshot views over served volumes, through the library: a view is the volume as of its T0, whatever hosts then write
//! to the volume and to the view, until it is discarded; also over a restart.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{fixture, track};
use proptest::prelude::*;
use proptest::sample::Index;
use tapegate::cache::{CachePool, PoolConfig, SpillConfig};
use tapegate::catalog::Catalog;
use tapegate::gate::{Changed, GateError, HostPort, VolumeGate};
use tapegate::live::status::{SessionId, SessionRequest, SessionState, VolumeRequest};
use tapegate::live::{LiveView, LiveVolume, RestoredViews, Session, Sessions, StartError, note_stop};
use tapegate::volume::{OpenOptions, Shape, Stage, UnitIndex, UnitSource, Volume};
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::track::Track;

const PATIENCE: Duration = Duration::from_secs(60);

/// A service with one volume, `vol`, and its views: `yesterday` is read-only, `trial` and `other` are writable.
struct Service {
    folder: PathBuf,
    volume: Arc<Volume>,
    gate: Arc<VolumeGate>,
    views: BTreeMap<&'static str, LiveView>,
    sessions: Sessions,
    restored: Vec<RestoredViews>,
}

impl Service {
    /// Starts it over the image `vol` in a folder, with room for so many bytes of originals.
    fn start(folder: &Path, spill_bytes: u64) -> Self {
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
    fn over(folder: &Path, name: &str) -> Self {
        fs::copy(fixture(name), folder.join("vol")).unwrap();
        Self::start(folder, 1 << 30)
    }

    /// Ends it as kill -9 does, or a clean stop, and starts it again.
    fn restart(self, clean: bool) -> Self {
        let folder = self.stop();
        if clean {
            note_clean_stop(&folder);
        }
        Self::start(&folder, 1 << 30)
    }

    /// Drops everything, and notes nothing.
    fn stop(self) -> PathBuf {
        for status in self.sessions.list() {
            self.sessions.get(status.id).unwrap().join();
        }
        self.folder
    }

    fn show(&self, view: &str) -> Result<Arc<Session>, StartError> {
        self.sessions.start(request(view), None)
    }

    fn host(&self) -> HostPort {
        self.gate.attach("host", None)
    }

    fn guest(&self, view: &str) -> HostPort {
        self.views[view].gate.attach("guest", None)
    }

    fn shape(&self) -> Shape {
        *self.volume.shape()
    }
}

fn note_clean_stop(folder: &Path) {
    let image = Volume::open(&folder.join("vol"), &OpenOptions::default()).unwrap();
    note_stop(&folder.join("state"), &BTreeMap::from([("vol".to_owned(), image.fingerprint().clone())]));
}

fn request(view: &str) -> SessionRequest {
    let mut request: SessionRequest = serde_json::from_str(r#"{"volumes":[]}"#).unwrap();
    request.volumes = vec![VolumeRequest { view: Some(view.to_owned()), ..VolumeRequest::new("vol") }];
    request
}

fn units(shape: &Shape) -> impl Iterator<Item = UnitIndex> + use<> {
    (0..shape.units()).map(UnitIndex)
}

fn read(port: &HostPort, unit: UnitIndex) -> Result<Vec<u8>, GateError> {
    let mut slot = vec![0; port.gate().disk().shape().unit_bytes(unit) as usize];
    port.single(PATIENCE).unwrap().read(unit, &mut slot)?;
    Ok(slot)
}

fn write(port: &HostPort, unit: UnitIndex, offset: u32, bytes: &[u8]) {
    port.single(PATIENCE).unwrap().write(unit, offset, bytes).unwrap();
}

/// All units of a disk.
fn content(port: &HostPort) -> Vec<Vec<u8>> {
    units(port.gate().disk().shape()).map(|unit| read(port, unit).unwrap()).collect()
}

/// What of a slot has a meaning: the track up to its end mark, or all of a slot that is no track.
fn meaning<'a>(shape: &Shape, unit: UnitIndex, slot: &'a [u8]) -> &'a [u8] {
    let Shape::Ckd(geometry) = shape else { return slot };
    let home = geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)));
    Track::parse(slot, home).map_or(slot, |track| &slot[..track.bytes().len() + 8])
}

#[track_caller]
fn assert_content(port: &HostPort, expected: &[Vec<u8>]) {
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

/// A write that a host could make: bytes of blocks; a track written anew; a slot that is no track any more.
#[derive(Debug, Clone)]
struct Write {
    unit: Index,
    offset: Index,
    bytes: Vec<u8>,
    records: usize,
    spoils: bool,
}

impl Write {
    /// The unit, offset and bytes of it on a volume of this shape.
    fn on(&self, shape: &Shape) -> (UnitIndex, u32, Vec<u8>) {
        let unit = UnitIndex(u32::try_from(self.unit.index(shape.units() as usize)).unwrap());
        let unit_bytes = shape.unit_bytes(unit);
        match shape {
            Shape::FixedBlock(_) => {
                let offset = self.offset.index(unit_bytes as usize);
                let length = self.bytes.len().min(unit_bytes as usize - offset);
                (unit, u32::try_from(offset).unwrap(), self.bytes[..length].to_vec())
            }
            Shape::Ckd(geometry) => {
                let home = geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)));
                let mut slot = track(unit.0, &vec![&self.bytes[..]; self.records]);
                slot[1..5].copy_from_slice(&home);
                slot.extend([0xff; 8]);
                if self.spoils {
                    // Count fields that lead past the end.
                    slot = vec![0xfe; unit_bytes as usize];
                }
                (unit, 5, slot.split_off(5))
            }
        }
    }
}

fn some_write() -> impl Strategy<Value = Write> {
    let bytes = prop::collection::vec(any::<u8>(), 1..300);
    (any::<Index>(), any::<Index>(), bytes, 0..3_usize, prop::bool::weighted(0.1))
        .prop_map(|(unit, offset, bytes, records, spoils)| Write { unit, offset, bytes, records, spoils })
}

#[derive(Debug, Clone)]
enum Step {
    HostWrites(Write),
    GuestWrites(usize, Write),
    Show(usize),
    Discard(usize),
    Restart { clean: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => some_write().prop_map(Step::HostWrites),
        4 => (0..3_usize, some_write()).prop_map(|(view, write)| Step::GuestWrites(view, write)),
        2 => (0..3_usize).prop_map(Step::Show),
        1 => (0..3_usize).prop_map(Step::Discard),
        1 => any::<bool>().prop_map(|clean| Step::Restart { clean }),
    ]
}

const VIEWS: [&str; 3] = ["yesterday", "trial", "other"];

/// Drives a service and a model of arrays: one for the volume, one for each view.
fn follow_the_model(name: &str, steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::over(folder.path(), name);
    let shape = service.shape();
    let mut volume = content(&service.host());
    let mut views: [Option<Vec<Vec<u8>>>; 3] = [None, None, None];
    let apply = |array: &mut [Vec<u8>], write: &Write| {
        let (unit, offset, bytes) = write.on(&shape);
        let slot = &mut array[unit.0 as usize];
        slot[offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
        (unit, offset, bytes)
    };
    for step in steps {
        match step {
            Step::HostWrites(host_write) => {
                let (unit, offset, bytes) = apply(&mut volume, host_write);
                write(&service.host(), unit, offset, &bytes);
            }
            Step::GuestWrites(view, guest_write) => {
                let guest = service.guest(VIEWS[*view]);
                let access = guest.single(PATIENCE).unwrap();
                match &mut views[*view] {
                    Some(array) if *view > 0 => {
                        let (unit, offset, bytes) = apply(array, guest_write);
                        access.write(unit, offset, &bytes).unwrap();
                    }
                    shown => {
                        let (unit, offset, bytes) = guest_write.on(&shape);
                        let refused = access.write(unit, offset, &bytes).unwrap_err();
                        match shown {
                            Some(_) => assert!(matches!(refused, GateError::ReadOnly { .. }), "{refused}"),
                            None => assert!(matches!(refused, GateError::NotReady { .. }), "{refused}"),
                        }
                    }
                }
            }
            Step::Show(view) => {
                let shown = service.show(VIEWS[*view]);
                match &mut views[*view] {
                    Some(_) => assert!(matches!(shown, Err(StartError::ViewInUse { .. })), "{shown:?}"),
                    array => {
                        shown.unwrap();
                        *array = Some(volume.clone());
                    }
                }
            }
            Step::Discard(view) => {
                if views[*view].take().is_some() {
                    let id = service.views[VIEWS[*view]].device.session().unwrap();
                    service.sessions.get(id).unwrap().cancel();
                }
            }
            Step::Restart { clean } => {
                // A compressed image that is dropped is closed, and so written, which kill -9 would not do.
                service = service.restart(*clean || name.ends_with("cckd"));
                assert!(service.restored.iter().all(|restored| restored.void.is_none()), "{:?}", service.restored);
            }
        }
    }
    assert_content(&service.host(), &volume);
    for (name, array) in VIEWS.iter().zip(&views) {
        let guest = service.guest(name);
        match array {
            Some(array) => assert_content(&guest, array),
            None => assert!(matches!(read(&guest, UnitIndex(0)), Err(GateError::NotReady { .. }))),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn views_of_blocks_follow_the_model(steps in prop::collection::vec(step(), 1..40)) {
        follow_the_model("tiny.fba", &steps);
    }

    #[test]
    fn views_of_tracks_follow_the_model(steps in prop::collection::vec(step(), 1..40)) {
        follow_the_model("tiny.ckd", &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn views_of_compressed_tracks_follow_the_model(steps in prop::collection::vec(step(), 1..30)) {
        follow_the_model("stored.cckd", &steps);
    }
}
