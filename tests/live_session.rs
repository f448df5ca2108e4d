//! Sessions over served volumes while a host writes, through the library: every tape is the volume as of its T0.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::{Unit, assert_same_units, big_volume, fixture, restore_new, track, units, units_of};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use tapegate::cache::{CachePool, PoolConfig, SpillConfig};
use tapegate::gate::{Still, StillLimits, VolumeGate};
use tapegate::live::status::{Consistency, OnError, SessionId, SessionRequest, SessionState, SessionStatus, VolumeRequest};
use tapegate::live::{LiveVolume, Session, Sessions, note_stop};
use tapegate::tape::TapeCompression;
use tapegate::volume::{ImageFormat, OpenOptions, Shape, UnitIndex, Volume};

const PATIENCE: Duration = Duration::from_secs(60);

/// A served volume, and a host that writes to it.
struct Served {
    gate: Arc<VolumeGate>,
    live: LiveVolume,
}

impl Served {
    fn new(name: &str, image: &Path) -> Self {
        let volume = Volume::open_for_update(image, &OpenOptions::default()).unwrap();
        let (fingerprint, findings) = (volume.fingerprint().clone(), volume.findings().to_vec());
        let gate = VolumeGate::new(name, Arc::new(volume));
        let live = LiveVolume { gate: Arc::clone(&gate), image: image.to_owned(), fingerprint, findings };
        Self { gate, live }
    }

    /// Writes tracks, or blocks, while `more`: some that only change data, some that change the records' number.
    fn write_while(&self, more: impl Fn() -> bool, seed: u64, written: &AtomicU64) {
        let port = self.gate.attach("test host", None);
        let shape = *self.gate.disk().shape();
        let mut random = seed | 1;
        while more() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Track 0 keeps label and IPL records, the VTOC stays where the label says.
            let unit = UnitIndex(1 + u32::try_from(random % u64::from(shape.units() - 1)).unwrap());
            let access = port.begin(PATIENCE).unwrap();
            match shape {
                Shape::Ckd(geometry) => {
                    let count = usize::try_from(random >> 32).unwrap() % 4;
                    let data = vec![u8::try_from(random >> 24 & 0xff).unwrap(); 700];
                    let mut slot = track(unit.0, &vec![&data[..]; count]);
                    slot[1..5].copy_from_slice(
                        &geometry.encode_cchh(geometry.cchh(tapegate_formats::dasd::address::TrackIndex(unit.0))),
                    );
                    slot.extend([0xff; 8]);
                    access.write(unit, 5, &slot[5..]).unwrap();
                }
                Shape::FixedBlock(_) => access.write(unit, 512, &random.to_be_bytes()).unwrap(),
            }
            drop(access);
            written.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn make_pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

fn pool(folder: &Path, memory_bytes: u64) -> Arc<CachePool> {
    let spill = Some(SpillConfig { path: folder.join("spill"), bytes: 1 << 30 });
    CachePool::new(PoolConfig { name: "default".to_owned(), memory_bytes, spill }).unwrap()
}

fn request(volumes: &[(&str, &Path)]) -> SessionRequest {
    let mut request: SessionRequest = serde_json::from_str(r#"{"volumes":[]}"#).unwrap();
    request.volumes = volumes
        .iter()
        .map(|(name, tape)| VolumeRequest { tape: Some((*tape).to_owned()), ..VolumeRequest::new(*name) })
        .collect();
    request
}

/// Starts a session inside a freeze, in which every volume's units are read past the session.
fn start_frozen(sessions: &Sessions, served: &[&Served], request: SessionRequest) -> (Arc<Session>, HashMap<String, Vec<Unit>>) {
    let gates: Vec<_> = served.iter().map(|served| Arc::clone(&served.gate)).collect();
    let frozen = Still::of(&gates, StillLimits::default()).unwrap();
    let copy = |served: &&Served| {
        let copy = served.live.image.with_extension("t0");
        fs::copy(&served.live.image, &copy).unwrap();
        let units = units(&copy);
        fs::remove_file(copy).unwrap();
        (served.gate.name().to_owned(), units)
    };
    let at_t0 = served.iter().map(copy).collect();
    let request = SessionRequest { consistency: Consistency::Host, ..request };
    let session = sessions.start(request, Some(&frozen)).unwrap();
    (session, at_t0)
}

#[track_caller]
fn complete(session: &Session) -> SessionStatus {
    assert!(session.wait(PATIENCE), "{:?}", session.status());
    let status = session.status();
    assert_eq!(status.state, SessionState::PhysicallyComplete);
    status
}

#[track_caller]
fn assert_tape_is(tape: &Path, at_t0: &[Unit]) {
    let image = tape.with_extension("restored");
    restore_new(tape, &image, &[]);
    assert_same_units(at_t0, &units(&image), &tape.display().to_string());
    fs::remove_file(image).unwrap();
}

/// Runs `work` while a host writes to each of the volumes.
fn under_writes(served: &[&Served], work: impl FnOnce(&AtomicU64)) {
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    /// Ends the writers also when an assertion fails.
    struct StopOnDrop<'a>(&'a AtomicBool);
    impl Drop for StopOnDrop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        for (seed, served) in (1_u64..).zip(served) {
            let (stop, written) = (&stop, &written);
            scope.spawn(move || served.write_while(|| !stop.load(Ordering::Relaxed), seed * 0x9e37_79b9, written));
        }
        work(&written);
    });
}

/// A copy of a fixture in a folder, or a larger volume made there.
fn image(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    match name {
        "big.ckd" => big_volume(&path, ImageFormat::Ckd, 40, 7),
        _ => {
            fs::copy(fixture(name), &path).unwrap();
        }
    }
    path
}

#[test]
fn every_tape_is_the_volume_as_of_its_t0_while_the_host_writes() {
    for (name, turns) in [("big.ckd", 5), ("demo.cckd", 1), ("linux.cckd", 5), ("tiny.ckd", 5), ("tiny.fba", 5)] {
        let folder = tempfile::tempdir().unwrap();
        let image = image(folder.path(), name);
        let served = Served::new("vol1", &image);
        let sessions = Sessions::new(vec![served.live.clone()], vec![pool(folder.path(), 1 << 20)], SessionId(1), 2);
        let mut out_of_order = 0;
        under_writes(&[&served], |written| {
            for turn in 0..turns {
                let before = written.load(Ordering::Relaxed);
                let tape = folder.path().join(format!("tape{turn}.aws"));
                let (session, at_t0) = start_frozen(&sessions, &[&served], request(&[("vol1", &tape)]));
                let status = complete(&session);
                out_of_order += status.volumes[0].out_of_order;
                assert_tape_is(&tape, &at_t0["vol1"]);
                assert_eq!(common::manifest(&tape)["consistency"], "host");
                assert!(written.load(Ordering::Relaxed) > before);
                assert_eq!(served.gate.activity().reads, 0);
            }
        });
        assert!(out_of_order > 0 || name != "big.ckd", "no write of {name} came before its unit was copied");
    }
}

#[test]
fn sessions_from_different_instants_run_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new("vol1", &image(folder.path(), "big.ckd"));
    let sessions = Sessions::new(vec![served.live.clone()], vec![pool(folder.path(), 1 << 20)], SessionId(1), 1);
    under_writes(&[&served], |_| {
        let begun: Vec<_> = (0..4)
            .map(|turn| {
                let tape = folder.path().join(format!("tape{turn}.aws"));
                let (session, at_t0) = start_frozen(&sessions, &[&served], request(&[("vol1", &tape)]));
                (tape, session, at_t0)
            })
            .collect();
        for (tape, session, at_t0) in begun {
            complete(&session);
            assert_tape_is(&tape, &at_t0["vol1"]);
        }
    });
    assert_eq!(sessions.list().len(), 4);
}

#[test]
fn a_group_has_one_t0_and_a_tape_for_each_volume() {
    let folder = tempfile::tempdir().unwrap();
    let one = Served::new("one", &image(folder.path(), "big.ckd"));
    let two = Served::new("two", &image(folder.path(), "linux.cckd"));
    let volumes = vec![one.live.clone(), two.live.clone()];
    let sessions = Sessions::new(volumes, vec![pool(folder.path(), 64 << 20)], SessionId(7), 2);
    under_writes(&[&one, &two], |_| {
        let tapes = [folder.path().join("one.aws"), folder.path().join("two.aws")];
        let (session, at_t0) = start_frozen(&sessions, &[&one, &two], request(&[("one", &tapes[0]), ("two", &tapes[1])]));
        assert_eq!(session.id(), SessionId(7));
        complete(&session);
        assert_tape_is(&tapes[0], &at_t0["one"]);
        assert_tape_is(&tapes[1], &at_t0["two"]);
        let t0 = |tape: &Path| common::manifest(tape)["t0"].clone();
        assert_eq!(t0(&tapes[0]), t0(&tapes[1]));
    });
}

#[test]
fn a_pipe_gets_the_tape_in_order_whatever_the_host_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new("vol1", &image(folder.path(), "big.ckd"));
    let sessions = Sessions::new(vec![served.live.clone()], vec![pool(folder.path(), 1 << 20)], SessionId(1), 2);
    under_writes(&[&served], |written| {
        let (pipe, tape) = (folder.path().join("pipe"), folder.path().join("piped.aws"));
        make_pipe(&pipe);
        let (session, at_t0) = start_frozen(&sessions, &[&served], request(&[("vol1", &pipe)]));
        // The reader comes late: originals pile up in the cache and its spill.
        let begun = written.load(Ordering::Relaxed);
        while written.load(Ordering::Relaxed) < begun + 200 {
            std::thread::yield_now();
        }
        let mut from = fs::File::open(&pipe).unwrap();
        std::io::copy(&mut from, &mut fs::File::create(&tape).unwrap()).unwrap();
        let status = complete(&session);
        assert!(status.volumes[0].out_of_order > 0);
        assert_eq!(status.cache.units, 0, "what was sent is released");
        assert_tape_is(&tape, &at_t0["vol1"]);
    });
}

#[test]
fn a_compressed_tape_is_the_volume_as_of_its_t0_while_the_host_writes() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new("vol1", &image(folder.path(), "big.ckd"));
    let sessions = Sessions::new(vec![served.live.clone()], vec![pool(folder.path(), 1 << 20)], SessionId(1), 2);
    for compression in [None, Some(TapeCompression::Bzip2)] {
        under_writes(&[&served], |written| {
            let tape = folder.path().join(format!("{}.het", compression.unwrap_or_default()));
            let mut slow = request(&[("vol1", &tape)]);
            slow.tape.compression = compression;
            slow.pace.bytes_per_second = Some(4 << 20);
            let (session, at_t0) = start_frozen(&sessions, &[&served], slow);
            let begun = written.load(Ordering::Relaxed);
            while written.load(Ordering::Relaxed) < begun + 200 {
                std::thread::yield_now();
            }
            session.set_pace(Default::default());
            let status = complete(&session);
            assert!(status.volumes[0].out_of_order > 0);
            assert_eq!(status.volumes[0].bytes, status.volumes[0].bytes_total);
            assert_eq!(status.cache.units, 0, "what was sent is released");
            assert_tape_is(&tape, &at_t0["vol1"]);
            let manifest = common::manifest(&tape);
            assert_eq!(manifest["tape"]["compression"], compression.unwrap_or_default().to_string());
            assert_eq!(manifest["tape"]["bytes"], fs::metadata(&tape).unwrap().len());
        });
    }
}

#[test]
fn a_compressed_tape_that_a_stop_interrupts_is_void_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path(), "big.ckd");
    let (state, tape) = (folder.path().join("state"), folder.path().join("tape.het"));
    let begin = |served: &Served| {
        let sessions = Sessions::new(vec![served.live.clone()], vec![pool(folder.path(), 1 << 20)], SessionId(1), 2);
        sessions.with_views(Vec::new(), &state).unwrap()
    };
    let served = Served::new("vol1", &image);
    let sessions = begin(&served);
    let mut slow = request(&[("vol1", &tape)]);
    slow.pace.bytes_per_second = Some(1 << 20);
    let session = sessions.start(slow, None).unwrap();
    while session.status().volumes[0].bytes == 0 {
        std::thread::yield_now();
    }
    session.suspend();
    drop((session, sessions, served));
    // As kill -9 leaves it.
    fs::write(folder.path().join(".tape.het.partial"), "part of a tape").unwrap();
    let sessions = begin(&Served::new("vol1", &image));
    let restored = sessions.restore_views();
    assert!(restored[0].void.as_ref().unwrap().contains("tape.het: a compressed tape can't"), "{restored:?}");
    assert!(matches!(sessions.list()[0].state, SessionState::Void { .. }));
    let left: Vec<_> = common::names_in(folder.path()).into_iter().filter(|name| name.contains("tape")).collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_full_cache_voids_the_session_and_the_host_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new("vol1", &image(folder.path(), "big.ckd"));
    let pool = CachePool::new(PoolConfig { name: "default".to_owned(), memory_bytes: 200_000, spill: None }).unwrap();
    let sessions = Sessions::new(vec![served.live.clone()], vec![pool], SessionId(1), 2);
    under_writes(&[&served], |written| {
        let pipe = folder.path().join("pipe");
        make_pipe(&pipe);
        let session = sessions.start(SessionRequest { on_error: OnError::Drop, ..request(&[("vol1", &pipe)]) }, None).unwrap();
        // Somebody must open the pipe, and never reads.
        let reader = rustix::fs::open(&pipe, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        assert!(session.wait(PATIENCE));
        let SessionState::Void { reason } = session.status().state else { panic!("{:?}", session.status()) };
        assert!(reason.contains("could not be kept"), "{reason}");
        let before = written.load(Ordering::Relaxed);
        while written.load(Ordering::Relaxed) < before + 100 {
            std::thread::yield_now();
        }
        drop(reader);
    });
}

#[test]
fn a_cancelled_session_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new("vol1", &image(folder.path(), "big.ckd"));
    let sessions = Sessions::new(vec![served.live.clone()], vec![pool(folder.path(), 1 << 20)], SessionId(1), 2);
    let before = units_of(&Volume::open(&image(folder.path(), "tiny.ckd"), &OpenOptions::default()).unwrap());
    assert!(!before.is_empty());
    let tape = folder.path().join("tape.aws");
    let mut slow = request(&[("vol1", &tape)]);
    slow.pace.bytes_per_second = Some(1 << 20);
    let session = sessions.start(slow, None).unwrap();
    session.cancel();
    assert!(session.wait(PATIENCE));
    session.join();
    assert_eq!(session.status().state, SessionState::Cancelled);
    let left: Vec<_> = common::names_in(folder.path()).into_iter().filter(|name| name.contains("tape")).collect();
    assert_eq!(left, [""; 0]);
}

/// A session whose process is stopped in the middle, by a clean stop or as by kill -9, goes on in the next process.
#[test]
fn a_session_goes_on_in_the_next_process() {
    for clean in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let image = image(folder.path(), "big.ckd");
        let (state, tape) = (folder.path().join("state"), folder.path().join("tape.aws"));
        let begin = |served: &Served| {
            let sessions = Sessions::new(vec![served.live.clone()], vec![pool(folder.path(), 1 << 20)], SessionId(1), 2);
            sessions.with_views(Vec::new(), &state).unwrap()
        };
        let served = Served::new("vol1", &image);
        let sessions = begin(&served);
        let mut slow = request(&[("vol1", &tape)]);
        slow.pace.bytes_per_second = Some(1 << 20);
        let (session, at_t0) = start_frozen(&sessions, &[&served], slow);
        // The copier is in the middle, and hosts have brought tracks to their places before it.
        while session.status().volumes[0].bytes == 0 {
            std::thread::yield_now();
        }
        let written = AtomicU64::new(0);
        served.write_while(|| written.load(Ordering::Relaxed) < 100, 77, &written);
        assert!(session.status().volumes[0].out_of_order > 0);
        drop(session);
        // No host writes any more. As by kill -9: threads that go on find nothing of theirs again.
        let copied = sessions.get(SessionId(1)).unwrap();
        copied.suspend();
        assert_eq!(copied.status().state, SessionState::Suspended);
        drop((sessions, copied));
        let Served { gate, live } = served;
        drop(live);
        drop(gate);
        if clean {
            let left = Volume::open(&image, &OpenOptions::default()).unwrap().fingerprint().clone();
            note_stop(&state, &[("vol1".to_owned(), left)].into());
        }
        assert!(!tape.exists());

        let served = Served::new("vol1", &image);
        let sessions = begin(&served);
        let restored = sessions.restore_views();
        assert_eq!(restored.len(), 1);
        assert_eq!(restored[0].void, None);
        under_writes(&[&served], |_| {
            let session = sessions.get(SessionId(1)).unwrap();
            session.set_pace(Default::default());
            complete(&session);
        });
        assert_tape_is(&tape, &at_t0["vol1"]);
        let names = common::names_in(folder.path());
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
        assert!(common::names_in(&state.join("views")).is_empty());
    }
}

#[test]
fn a_session_whose_volume_others_changed_is_void_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path(), "big.ckd");
    let (state, tape) = (folder.path().join("state"), folder.path().join("tape.aws"));
    let begin = |served: &Served| {
        let sessions = Sessions::new(vec![served.live.clone()], vec![pool(folder.path(), 1 << 20)], SessionId(1), 2);
        sessions.with_views(Vec::new(), &state).unwrap()
    };
    let served = Served::new("vol1", &image);
    let sessions = begin(&served);
    let mut slow = request(&[("vol1", &tape)]);
    slow.pace.bytes_per_second = Some(1 << 20);
    let session = sessions.start(slow, None).unwrap();
    while session.status().volumes[0].bytes == 0 {
        std::thread::yield_now();
    }
    session.suspend();
    drop((session, sessions, served));
    // The file system stamps by a clock that ticks: until it does, a foreign write can't be told from ours.
    let stamped = fs::metadata(&image).unwrap().modified().unwrap();
    loop {
        common::patch(&image, 60_000, b"somebody else");
        if fs::metadata(&image).unwrap().modified().unwrap() > stamped + Duration::from_millis(100) {
            break;
        }
    }
    let served = Served::new("vol1", &image);
    let sessions = begin(&served);
    let restored = sessions.restore_views();
    assert!(restored[0].void.as_ref().unwrap().contains("changed by another program"), "{restored:?}");
    assert!(matches!(sessions.list()[0].state, SessionState::Void { .. }));
    let left: Vec<_> = common::names_in(folder.path()).into_iter().filter(|name| name.contains("tape")).collect();
    assert_eq!(left, [""; 0]);
}
