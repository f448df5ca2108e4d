//! Sessions that make no copy: they count what hosts do by data set, tell writes, or keep them out.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::fixture;
use tapegate::catalog::Catalog;
use tapegate::gate::{GateError, HostPort, VolumeGate};
use tapegate::live::status::{Action, FileCount, Protection, SessionId, SessionRequest, SessionState, UnitRange, VolumeRequest};
use tapegate::live::{EventSink, LiveVolume, Sessions, WriteEvent};
use tapegate::volume::{OpenOptions, UnitIndex, Volume};

const PATIENCE: Duration = Duration::from_secs(60);

struct Service {
    gate: Arc<VolumeGate>,
    catalog: Catalog,
    sessions: Sessions,
}

impl Service {
    fn over(folder: &Path, name: &str) -> Self {
        let image = folder.join("vol");
        fs::copy(fixture(name), &image).unwrap();
        let volume = Volume::open_for_update(&image, &OpenOptions::default()).unwrap();
        let catalog = Catalog::of_volume(&volume).unwrap();
        let fingerprint = volume.fingerprint().clone();
        let gate = VolumeGate::new("vol", Arc::new(volume));
        let live = LiveVolume { gate: Arc::clone(&gate), image, fingerprint, findings: Vec::new() };
        let config = tapegate::cache::PoolConfig { name: "default".to_owned(), memory_bytes: 1 << 20, spill: None };
        let pool = tapegate::cache::CachePool::new(config).unwrap();
        let sessions = Sessions::new(vec![live], vec![pool], SessionId(1), 1);
        Self { gate, catalog, sessions }
    }

    fn host(&self) -> HostPort {
        self.gate.attach("host a", None)
    }

    /// First track of the data set with this name.
    fn first(&self, name: &str) -> UnitIndex {
        let data_set = self.catalog.find(&name.parse().unwrap()).unwrap();
        UnitIndex(data_set.extents[0].first)
    }
}

fn request(action: Action, files: &[&str]) -> SessionRequest {
    let mut request: SessionRequest = serde_json::from_str(r#"{"volumes":[]}"#).unwrap();
    request.volumes = vec![VolumeRequest::new("vol")];
    request.files = files.iter().map(|file| (*file).to_owned()).collect();
    request.action = action;
    request
}

fn read(port: &HostPort, unit: UnitIndex) {
    let mut slot = vec![0; port.gate().disk().shape().unit_bytes(unit) as usize];
    port.single(PATIENCE).unwrap().read(unit, &mut slot).unwrap();
}

fn write(port: &HostPort, unit: UnitIndex) -> Result<(), GateError> {
    port.single(PATIENCE).unwrap().write(unit, 21, &[7; 8])
}

/// Names of two data sets of demo.cckd that have tracks.
fn two_names(service: &Service) -> [String; 2] {
    let mut with_tracks = service.catalog.data_sets.iter().filter(|data_set| !data_set.extents.is_empty());
    [with_tracks.next().unwrap().name.to_string(), with_tracks.next().unwrap().name.to_string()]
}

#[test]
fn reads_and_writes_are_counted_by_data_set_inside_the_domain_only() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::over(folder.path(), "demo.cckd");
    let [one, two] = two_names(&service);
    let all = service.sessions.start(request(Action::Count, &[]), None).unwrap();
    let some = service.sessions.start(request(Action::Count, &[&one]), None).unwrap();
    let host = service.host();
    for _ in 0..3 {
        read(&host, service.first(&one));
        write(&host, service.first(&two)).unwrap();
    }
    write(&host, service.first(&one)).unwrap();
    read(&host, UnitIndex(0));
    let count = |file: &str, reads, writes| FileCount { volume: "vol".to_owned(), file: file.to_owned(), reads, writes };
    assert_eq!(all.status().counts, [count(&one, 3, 1), count(&two, 0, 3), count("(rest)", 1, 0)]);
    assert_eq!(some.status().counts, [count(&one, 3, 1)]);
    assert_eq!(all.status().state, SessionState::Watching);
    assert!(some.status().volumes[0].units_total < all.status().volumes[0].units_total);
    all.cancel();
    assert_eq!(all.status().state, SessionState::Cancelled);
    read(&host, service.first(&one));
    assert_eq!(all.status().counts[0].reads, 3, "what was counted stays, and no more comes");
    assert_eq!(some.status().counts[0].reads, 4);
}

#[test]
fn a_protected_range_refuses_writes_and_nothing_else() {
    for name in ["tiny.ckd", "tiny.fba"] {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::over(folder.path(), name);
        let mut request = request(Action::Protect { mode: Protection::Refuse }, &[]);
        // Tracks 3 and 4, or blocks of units 1 and 2.
        let (first, count) = if name == "tiny.ckd" { (3, 2) } else { (15, 2) };
        request.ranges = vec![UnitRange { volume: "vol".to_owned(), first, count }];
        let session = service.sessions.start(request, None).unwrap();
        assert_eq!(session.status().volumes[0].units_total, 2);
        let (host, shift) = (service.host(), if name == "tiny.ckd" { 3 } else { 1 });
        for unit in 0..13 {
            read(&host, UnitIndex(unit));
            let written = write(&host, UnitIndex(unit));
            if (shift..shift + 2).contains(&unit) {
                let refused = written.unwrap_err();
                assert!(matches!(refused, GateError::Protected { .. }), "{refused}");
                assert!(refused.to_string().contains("session 1 keeps writes off"), "{refused}");
            } else {
                written.unwrap();
            }
        }
        session.cancel();
        write(&host, UnitIndex(shift)).unwrap();
    }
}

#[test]
fn a_held_write_goes_on_when_the_session_ends() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::over(folder.path(), "demo.cckd");
    let [one, two] = two_names(&service);
    let session = service.sessions.start(request(Action::Protect { mode: Protection::Hold }, &[&one]), None).unwrap();
    let (host, unit) = (service.host(), service.first(&one));
    // Nobody waits outside.
    write(&host, service.first(&two)).unwrap();
    assert!(!host.single(PATIENCE).unwrap().passes(unit));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| write(&host, unit));
        while session.status().writes_held == 0 {
            std::thread::yield_now();
        }
        assert!(!held.is_finished());
        session.cancel();
        held.join().unwrap().unwrap();
    });
    assert!(host.single(PATIENCE).unwrap().passes(unit));
}

#[derive(Default)]
struct Events(Mutex<Vec<WriteEvent>>);

impl EventSink for Events {
    fn written(&self, event: &WriteEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

#[test]
fn a_burst_of_writes_is_few_events_that_count_them_all() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::over(folder.path(), "demo.cckd");
    let [one, two] = two_names(&service);
    let events = Arc::new(Events::default());
    assert!(service.sessions.set_event_sink(Arc::clone(&events) as _));
    let session = service.sessions.start(request(Action::Notify { command: Vec::new() }, &[&one]), None).unwrap();
    let host = service.host();
    for _ in 0..500 {
        write(&host, service.first(&one)).unwrap();
        write(&host, service.first(&two)).unwrap();
    }
    session.cancel();
    session.join();
    let events = events.0.lock().unwrap();
    assert_eq!(events.iter().map(|event| event.writes).sum::<u64>(), 500);
    for event in events.iter() {
        assert_eq!((&event.file, event.volume.as_str(), event.client.as_str()), (&one, "vol", "host a"));
        assert_eq!(event.session, session.id());
    }
}

#[test]
fn domains_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::over(folder.path(), "tiny.ckd");
    let refused = |change: &dyn Fn(&mut SessionRequest)| {
        let mut request = request(Action::Count, &[]);
        change(&mut request);
        service.sessions.start(request, None).unwrap_err().to_string()
    };
    let range = |volume: &str, first, count| UnitRange { volume: volume.to_owned(), first, count };
    assert!(refused(&|request| request.files = vec!["NO.SUCH.**".to_owned()]).contains("no data set is called NO.SUCH.**"));
    assert!(refused(&|request| request.ranges = vec![range("vol", 30, 1)]).contains("not on the volume, which has 30"));
    assert!(refused(&|request| request.ranges = vec![range("vol", u64::MAX, 2)]).contains("not on the volume"));
    assert!(refused(&|request| request.ranges = vec![range("other", 0, 1)]).contains("none of the session's volumes"));
    assert!(refused(&|request| request.volumes[0].tape = Some("/t.aws".into())).contains("only a snapshot has a tape"));
}
