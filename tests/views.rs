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
use tapegate::volume::{OpenOptions, Shape, Stage, UnitIndex, Volume};
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

/// Writes over the first bytes of every unit that may change: all but the one with the label.
fn overwrite_all(port: &HostPort, byte: u8) {
    let offset = if matches!(port.gate().disk().shape(), Shape::Ckd(_)) { 21 } else { 0 };
    for unit in units(port.gate().disk().shape()).skip(1) {
        write(port, unit, offset, &[byte; 8]);
    }
}

#[test]
fn views_of_several_instants_stand_side_by_side_and_go_one_by_one() {
    for name in ["tiny.ckd", "tiny.fba", "linux.cckd"] {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::over(folder.path(), name);
        let host = service.host();
        let mut instants = Vec::new();
        for (byte, view) in (1..).zip(VIEWS) {
            instants.push((service.show(view).unwrap(), service.guest(view), content(&host)));
            overwrite_all(&host, byte);
        }
        for (_, guest, expected) in &instants {
            assert_content(guest, expected);
        }
        let (second, gone, _) = instants.remove(1);
        second.cancel();
        assert!(!gone.gate().disk().is_ready());
        assert_eq!(second.status().state, SessionState::Cancelled);
        for (session, guest, expected) in &instants {
            assert_content(guest, expected);
            assert_eq!(session.status().state, SessionState::PhysicallyComplete);
        }
    }
}

#[test]
fn a_device_that_begins_to_show_another_instant_tells_its_clients_that_everything_changed() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::over(folder.path(), "tiny.ckd");
    let guest = service.guest("yesterday");
    let changed = || guest.begin(PATIENCE).unwrap().take_changed();
    assert_eq!(changed(), Changed::Everything);
    assert_eq!(changed(), Changed::Nothing);
    let session = service.show("yesterday").unwrap();
    assert_eq!(changed(), Changed::Everything);
    // What the host writes to the volume changes nothing in the view.
    overwrite_all(&service.host(), 9);
    assert_eq!(changed(), Changed::Nothing);
    session.cancel();
    session.join();
    assert_eq!(changed(), Changed::Everything);
}

#[test]
fn a_view_shows_one_session_at_a_time_and_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::over(folder.path(), "tiny.ckd");
    let first = service.show("yesterday").unwrap();
    let refused = service.show("yesterday").unwrap_err();
    assert!(matches!(&refused, StartError::ViewInUse { view, session } if view == "yesterday" && *session == first.id()));
    assert!(refused.to_string().contains("tapegate session cancel 1"), "{refused}");
    first.cancel();
    service.show("yesterday").unwrap();
}

#[test]
fn requests_that_make_no_sense_are_refused_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::over(folder.path(), "stored.cckd");
    let refused = |change: &dyn Fn(&mut SessionRequest)| {
        let mut request = request("yesterday");
        change(&mut request);
        let error = service.sessions.start(request, None).unwrap_err().to_string();
        assert!(service.views["yesterday"].device.session().is_none(), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("state/views")).unwrap().count(), 0, "{error}");
        error
    };
    assert!(refused(&|request| request.volumes[0].view = Some("tomorrow".to_owned())).contains("no view is called tomorrow"));
    assert!(refused(&|request| request.files = vec!["A.**".to_owned()]).contains("shows the whole of vol"));
    assert!(refused(&|request| request.volumes[0].view_volser = Some("TOOLONGX".to_owned())).contains("the serial of yesterday"));
    let alone = |request: &mut SessionRequest| {
        request.volumes[0].view = None;
        request.volumes[0].view_volser = Some("NEW001".to_owned());
    };
    assert!(refused(&alone).contains("and no view"));
}

#[test]
fn a_cache_that_overflows_ends_the_view_once_and_no_host_notices() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixture("tiny.fba"), folder.path().join("vol")).unwrap();
    // Room for four units of thirteen.
    let service = Service::start(folder.path(), 4 * 4096);
    let session = service.show("yesterday").unwrap();
    let (host, guest) = (service.host(), service.guest("yesterday"));
    for unit in 0..13 {
        write(&host, UnitIndex(unit), 0, &[0xee; 16]);
        let still_there = read(&guest, UnitIndex(12));
        if unit < 4 {
            still_there.unwrap();
        } else {
            assert!(matches!(still_there, Err(GateError::NotReady { .. })), "{still_there:?}");
        }
    }
    let SessionState::Void { reason } = session.status().state else { panic!("{:?}", session.status()) };
    assert!(reason.contains("block 32 could not be kept: cache pool default is full"), "{reason}");
    session.join();
    assert_eq!(fs::read_dir(folder.path().join("state/views")).unwrap().count(), 0);
    // Its room is free, and so is the device.
    service.show("yesterday").unwrap();
    read(&guest, UnitIndex(12)).unwrap();
}

#[test]
fn a_view_under_another_serial_shows_it_and_says_what_bears_the_old_one() {
    for (name, old, bears) in [
        ("tiny.ckd", "TINY01", "data sets name it as their first volume (DS1DSSN)"),
        ("linux.cckd", "LINUX1", "nothing else in its VTOC bears the old one"),
        ("tiny.fba", "FBA001", "nothing else in its VTOC bears the old one"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut service = Service::over(folder.path(), name);
        for view in ["yesterday", "trial"] {
            let mut request = request(view);
            request.volumes[0].view_volser = Some("NEW001".to_owned());
            let session = service.sessions.start(request, None).unwrap();
            let findings = session.status().findings;
            let told = |finding: &&tapegate::live::status::StatusFinding| finding.text.contains(bears) && !finding.damage;
            assert!(findings.iter().find(told).is_some_and(|finding| finding.text.contains(old)), "{findings:?}");
        }
        for restarted in [false, true] {
            if restarted {
                service = service.restart(true);
            }
            for (view, serial) in [("yesterday", "NEW001"), ("trial", "NEW001")] {
                let catalog = Catalog::of_volume(&**service.views[view].gate.disk()).unwrap();
                assert_eq!(catalog.label.volser().unwrap().to_string(), serial, "{name}");
            }
            let volume = Catalog::of_volume(&*service.volume).unwrap();
            assert_eq!(volume.label.volser().unwrap().to_string(), old);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let service = Service::over(folder.path(), "raw.cckd");
    let mut request = request("yesterday");
    request.volumes[0].view_volser = Some("NEW001".to_owned());
    let refused = service.sessions.start(request, None).unwrap_err().to_string();
    assert_eq!(refused, "vol has no volume label that --view-volser could change");
}

#[test]
fn a_view_whose_image_others_changed_is_void_and_says_so() {
    for (name, clean) in [("tiny.ckd", false), ("tiny.fba", false), ("tiny.fba", true), ("linux.cckd", true)] {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::over(folder.path(), name);
        let session = service.show("yesterday").unwrap();
        overwrite_all(&service.host(), 1);
        let id = session.id();
        drop(session);
        let folder = service.stop();
        if clean {
            note_clean_stop(&folder);
        }
        // Another program writes to the image, some time after the service has ended.
        let image = fs::File::options().write(true).open(folder.join("vol")).unwrap();
        image.set_modified(SystemTime::now() + Duration::from_secs(2)).unwrap();
        let service = Service::start(&folder, 1 << 30);
        let [restored] = &service.restored[..] else { panic!("{:?}", service.restored) };
        let reason = restored.void.clone().unwrap();
        assert!(reason.ends_with("it was changed by another program after the service had ended"), "{reason}");
        let guest = service.guest("yesterday");
        assert!(matches!(read(&guest, UnitIndex(0)), Err(GateError::NotReady { .. })));
        assert_eq!(service.sessions.get(id).unwrap().status().state, SessionState::Void { reason });
        // Numbers are never used again, and the device is free.
        assert_eq!(service.show("yesterday").unwrap().id(), SessionId(id.0 + 1));
        assert_eq!(service.restart(clean).restored.len(), 1);
    }
}

#[test]
fn originals_that_were_damaged_while_the_service_was_down_void_the_view() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::over(folder.path(), "tiny.fba");
    service.show("yesterday").unwrap();
    overwrite_all(&service.host(), 1);
    let folder = service.stop();
    let index = folder.join("state/views/1/0.originals");
    let mut bytes = fs::read(&index).unwrap();
    bytes[4096 + 20] ^= 1;
    fs::write(&index, bytes).unwrap();
    let service = Service::start(&folder, 1 << 30);
    assert!(service.restored[0].void.as_ref().unwrap().contains("fails its checksum"), "{:?}", service.restored);
}

#[test]
fn a_tape_and_a_view_of_one_session_are_the_same_instant() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::over(folder.path(), "linux.cckd");
    let host = service.host();
    let tape = folder.path().join("tape.aws");
    let expected = content(&host);
    let before = common::units(&fixture("linux.cckd"));
    let mut request = request("yesterday");
    request.volumes[0].tape = Some(tape.clone());
    let session = service.sessions.start(request, None).unwrap();
    overwrite_all(&host, 7);
    assert!(session.wait(PATIENCE));
    assert_eq!(session.status().state, SessionState::PhysicallyComplete);
    overwrite_all(&host, 8);
    let restored = folder.path().join("restored.ckd");
    common::restore_new(&tape, &restored, &[]);
    common::assert_same_units(&before, &common::units(&restored), "the tape");
    assert_content(&service.guest("yesterday"), &expected);
    // The tape is whole, whatever becomes of the view.
    session.cancel();
    assert_eq!(session.status().state, SessionState::PhysicallyComplete);
    assert_eq!(session.status().volumes[0].view, None);
    assert!(!service.views["yesterday"].gate.disk().is_ready());
    assert!(tape.exists());
}
