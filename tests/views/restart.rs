//! Views over the end of the service: a clean stop, kill -9, and changes by others in between.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use tapegate::gate::GateError;
use tapegate::live::status::{Pace, SessionId, SessionState};
use tapegate::volume::{ImageFormat, UnitIndex};
use tempfile::tempdir;

use crate::common::{assert_same_units, big_volume, fixture, restore_new};
use crate::service::{PATIENCE, Service, assert_content, content, note_clean_stop, overwrite_all, read, request, write};

#[test]
fn a_view_whose_image_others_changed_is_void_and_says_so() {
    for (name, clean) in [("tiny.ckd", false), ("tiny.fba", false), ("tiny.fba", true), ("linux.cckd", true)] {
        let folder = tempdir().unwrap();
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
    let folder = tempdir().unwrap();
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

/// Where a service is to run that will be killed.
const FOLDER: &str = "TAPEGATE_TEST_FOLDER";
/// What a guest writes at the start of a unit's last eight bytes.
const GUESTS_MARK: [u8; 4] = *b"mine";

/// The service that is killed: not a test, but what tests start in a process of its own.
#[test]
#[ignore = "other tests start it"]
fn serves_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let service = Service::start(Path::new(&folder), 1 << 30);
    if let Some(void) = service.restored.iter().find_map(|restored| restored.void.as_ref()) {
        println!("void: {void}");
        return;
    }
    if service.restored.is_empty() {
        service.show("yesterday").unwrap();
        service.show("trial").unwrap();
        let mut with_tape = request("other");
        with_tape.volumes[0].tape = Some(Path::new(&folder).join("tape.aws"));
        with_tape.pace = Pace { bytes_per_second: Some(1), ..Pace::default() };
        service.sessions.start(with_tape, None).unwrap();
    }
    let (host, guest, shape) = (service.host(), service.guest("trial"), service.shape());
    println!("begins");
    for turn in 0_u32.. {
        // Some units early and some late, none but the one with the label never.
        let unit = UnitIndex(1 + turn * 7 % (shape.units() - 1));
        write(&host, unit, 21, &turn.to_be_bytes());
        let own = UnitIndex(1 + turn * 5 % (shape.units() - 1));
        write(&guest, own, shape.unit_bytes(own) - 8, &GUESTS_MARK);
        println!("wrote {}", own.0);
    }
}

/// Runs the service until it has said so many lines, and kills it; gives what it said.
fn killed_after(folder: &Path, lines: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "restart::serves_until_it_is_killed", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut all: Vec<_> = said.by_ref().take(lines).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    // What was still in the pipe.
    all.extend(said);
    assert!(!all.iter().any(|line| line.starts_with("void")), "{all:?}");
    all
}

#[test]
fn views_and_the_tape_of_one_stand_after_any_number_of_kills() {
    for name in ["big", "stored.cckd", "tiny.fba"] {
        let folder = tempdir().unwrap();
        let image = folder.path().join("vol");
        match name {
            "big" => big_volume(&image, ImageFormat::Ckd, 8, 7),
            fixture_name => drop(fs::copy(fixture(fixture_name), &image).unwrap()),
        }
        let before = crate::common::units(&image);
        let at_t0 = {
            let scratch = tempdir().unwrap();
            fs::copy(&image, scratch.path().join("vol")).unwrap();
            content(&Service::start(scratch.path(), 1 << 20).host())
        };
        let mut in_trial = at_t0.clone();
        for lines in [5, 60, 11, 200, 33] {
            for line in killed_after(folder.path(), lines) {
                if let Some(own) = line.strip_prefix("wrote ").and_then(|unit| unit.parse::<usize>().ok()) {
                    let slot = &mut in_trial[own];
                    let at = slot.len() - 8;
                    slot[at..at + 4].copy_from_slice(&GUESTS_MARK);
                }
            }
        }
        let service = Service::start(folder.path(), 1 << 30);
        assert!(service.restored.iter().all(|restored| restored.void.is_none()), "{name}: {:?}", service.restored);
        assert_content(&service.guest("yesterday"), &at_t0);
        // The very last write of the guest was perhaps made and never told.
        let trial = service.guest("trial");
        let mut untold = 0;
        for (unit, told) in (0..).map(UnitIndex).zip(&in_trial) {
            let slot = read(&trial, unit).unwrap();
            let at = slot.len() - 8;
            if slot[at..at + 4] == GUESTS_MARK && told[at..at + 4] != GUESTS_MARK {
                untold += 1;
                assert!(untold <= 5, "{name}: more writes than the service was killed in");
                continue;
            }
            assert_eq!(slot[at..at + 4], told[at..at + 4], "{name}, unit {}", unit.0);
        }
        // The tape of the third session was made again, or had been whole.
        let session = service.sessions.get(SessionId(3)).unwrap();
        session.set_pace(Pace::default());
        assert!(session.wait(PATIENCE), "{:?}", session.status());
        assert_eq!(session.status().state, SessionState::PhysicallyComplete);
        let restored = folder.path().join("restored");
        restore_new(&folder.path().join("tape.aws"), &restored, &[]);
        assert_same_units(&before, &crate::common::units(&restored), name);
        assert_content(&service.guest("other"), &at_t0);
    }
}
