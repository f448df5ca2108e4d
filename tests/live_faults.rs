//! Sinks and caches that fail under a session: the host goes on, the session is void and says why, and nothing is left
//! that could be taken for a tape. What was to be held is held, and no longer than asked for.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::names_in;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tapegate::cache::{CachePool, PoolConfig};
use tapegate::gate::{HostPort, VolumeGate};
use tapegate::live::status::{OnError, SessionId, SessionRequest, SessionState, VolumeRequest};
use tapegate::live::{LiveVolume, Session, Sessions};
use tapegate::volume::create::{CreateOptions, NewImage};
use tapegate::volume::{BlockShape, ImageFormat, OpenOptions, Shape, UnitIndex, Volume};
use tapegate_formats::tape::unit::UnitKind;

const PATIENCE: Duration = Duration::from_secs(60);
/// Room for what the tests hold: far more than a write may wait, in a machine that does much else too.
const ENOUGH: u64 = 1 << 24;
const UNITS: u32 = 256;
const UNIT_BYTES: usize = 4096;
const BOTH: [OnError; 2] = [OnError::Drop, OnError::Hold { limit_ms: 100 }];
/// The folder of a test that runs in a process of its own.
const CHILD: &str = "TAPEGATE_TEST_CHILD";

/// A volume of fixed blocks behind a gate, its host, and its sessions.
struct Scene {
    folder: PathBuf,
    port: HostPort,
    pool: Arc<CachePool>,
    sessions: Sessions,
}

/// A volume of 1 MiB, on which no file is larger.
fn make_volume(folder: &Path) {
    let blocks = u64::from(UNITS) * UNIT_BYTES as u64 / 512;
    let shape = Shape::FixedBlock(BlockShape { blocks, block_bytes: 512, unit_blocks: 8 });
    let image = NewImage::create(&folder.join("volume"), &shape, &CreateOptions::new(ImageFormat::Fba)).unwrap();
    for unit in 0..UNITS {
        let body = [unit.to_le_bytes()[0]; UNIT_BYTES];
        image.write_units(UnitIndex(unit), &[(UnitKind::Blocks, &body)]).unwrap();
    }
    image.finish(false).unwrap();
}

impl Scene {
    fn open(folder: &Path, cache_bytes: u64) -> Self {
        let image = folder.join("volume");
        let volume = Volume::open_for_update(&image, &OpenOptions::default()).unwrap();
        let (fingerprint, findings) = (volume.fingerprint().clone(), Vec::new());
        let gate = VolumeGate::new("volume", Arc::new(volume));
        let port = gate.attach("host", None);
        let pool = CachePool::new(PoolConfig { name: "small".to_owned(), memory_bytes: cache_bytes, spill: None }).unwrap();
        let volume = LiveVolume { gate, image, fingerprint, findings };
        let sessions = Sessions::new(vec![volume], vec![Arc::clone(&pool)], SessionId(1), 2);
        Self { folder: folder.to_owned(), port, pool, sessions }
    }

    fn start(&self, tape: &Path, on_error: OnError) -> Arc<Session> {
        let mut request: SessionRequest = serde_json::from_str(r#"{"volumes":[]}"#).unwrap();
        request.volumes.push(VolumeRequest { tape: Some(tape.to_owned()), ..VolumeRequest::new("volume") });
        self.sessions.start(SessionRequest { on_error, ..request }, None).unwrap()
    }

    /// Writes to every unit, and reads it back: nothing may fail.
    fn write_all(&self, fill: u8) {
        for unit in (0..UNITS).map(UnitIndex) {
            let access = self.port.begin(PATIENCE).unwrap();
            access.write(unit, 512, &[fill; 1024]).unwrap();
            let mut slot = [0; UNIT_BYTES];
            access.read(unit, &mut slot).unwrap();
            assert!(slot[512..1536] == [fill; 1024] && slot[0] == unit.0.to_le_bytes()[0], "unit {} is not as written", unit.0);
        }
    }

    /// Fails unless the session becomes void for a reason with these words, leaves nothing of the tape, and the host goes on.
    #[track_caller]
    fn assert_void(&self, session: &Session, words: &str) {
        assert!(session.wait(PATIENCE), "{:?}", session.status());
        session.join();
        let SessionState::Void { reason } = session.status().state else { panic!("{:?}", session.status()) };
        assert!(reason.contains(words), "{reason}");
        let left: Vec<_> = names_in(&self.folder).into_iter().filter(|name| name.contains("tape")).collect();
        assert_eq!(left, [""; 0], "left of the tape");
        self.write_all(0xee);
        assert_eq!(session.status().cache.units, 0, "originals of a session that is void are kept");
    }
}

fn make_pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// Runs this test again in a process in which no file grows past 1 MiB; the tape of the volume is a little longer.
fn in_a_process_of_small_files(test: &str, body: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(CHILD) {
        return body(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    make_volume(folder.path());
    // POSIX counts in units of 512 bytes; dash does, and bash does only when it is called sh.
    let script = r#"trap '' XFSZ; ulimit -f 2048; exec "$0" --exact "$1" --nocapture"#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(std::env::current_exe().unwrap()).arg(test).env(CHILD, folder.path());
    let output = command.output().unwrap();
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_tape_that_has_no_room_voids_the_session() {
    in_a_process_of_small_files("a_tape_that_has_no_room_voids_the_session", |folder| {
        for on_error in BOTH {
            let scene = Scene::open(folder, ENOUGH);
            let session = scene.start(&folder.join("tape.aws"), on_error);
            scene.write_all(0x11);
            scene.assert_void(&session, "File too large");
        }
    });
}

#[test]
fn a_reader_that_leaves_voids_the_session() {
    for on_error in BOTH {
        let folder = tempfile::tempdir().unwrap();
        make_volume(folder.path());
        let scene = Scene::open(folder.path(), ENOUGH);
        let pipe = folder.path().join("pipe");
        make_pipe(&pipe);
        let session = scene.start(&pipe, on_error);
        let mut reader = File::open(&pipe).unwrap();
        reader.read_exact(&mut [0; 100]).unwrap();
        // With a writer in the middle of it: a pipe has 64 KiB, and the tape more than 1 MiB.
        drop(reader);
        scene.write_all(0x22);
        scene.assert_void(&session, "Broken pipe");
    }
}

#[test]
fn a_full_cache_holds_writes_as_long_as_asked_and_voids_the_session() {
    for on_error in BOTH {
        let folder = tempfile::tempdir().unwrap();
        make_volume(folder.path());
        let scene = Scene::open(folder.path(), 10 * UNIT_BYTES as u64);
        let pipe = folder.path().join("pipe");
        make_pipe(&pipe);
        // Nobody reads the pipe: originals wait in the cache.
        let session = scene.start(&pipe, on_error);
        let began = Instant::now();
        scene.write_all(0x33);
        let held = if let OnError::Hold { limit_ms } = on_error { limit_ms } else { 0 };
        assert!(began.elapsed() >= Duration::from_millis(held));
        assert!(session.status().longest_hold_us >= held * 1000, "{:?}", session.status());
        scene.assert_void(&session, "could not be kept: cache pool small is full");
        assert_eq!(session.status().volumes[0].out_of_order, 10);
    }
}

#[test]
fn a_write_that_is_held_goes_on_when_there_is_room_and_the_tape_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    make_volume(folder.path());
    let scene = Scene::open(folder.path(), 10 * UNIT_BYTES as u64);
    let pipe = folder.path().join("pipe");
    make_pipe(&pipe);
    let session = scene.start(&pipe, OnError::Hold { limit_ms: 600_000 });
    std::thread::scope(|scope| {
        let host = scope.spawn(|| scene.write_all(0x44));
        while session.status().volumes[0].out_of_order < 10 {
            std::thread::yield_now();
        }
        scene.pool.set_limits(Some(ENOUGH), None).unwrap();
        host.join().unwrap();
    });
    assert_eq!(session.status().state, SessionState::LogicallyComplete);
    let mut tape = Vec::new();
    File::open(&pipe).unwrap().read_to_end(&mut tape).unwrap();
    assert!(session.wait(PATIENCE));
    assert_eq!(session.status().state, SessionState::PhysicallyComplete);
    assert!(session.status().writes_held >= 1);
    let path = folder.path().join("tape.aws");
    std::fs::write(&path, tape).unwrap();
    let image = folder.path().join("restored");
    common::restore_new(&path, &image, &[]);
    for (unit, (_, body)) in common::units(&image).iter().enumerate() {
        assert!(body.iter().all(|byte| *byte == unit.to_le_bytes()[0]), "unit {unit} is not as it was at T0");
    }
}
