//! Views while they stand, and when they go.

use std::fs;

use tapegate::gate::{Changed, GateError};
use tapegate::live::StartError;
use tapegate::live::status::{SessionRequest, SessionState};
use tapegate::volume::UnitIndex;
use tempfile::tempdir;

use crate::common::{assert_same_units, fixture, restore_new};
use crate::service::{PATIENCE, Service, VIEWS, assert_content, content, meaning, overwrite_all, read, request, units, write};

#[test]
fn views_of_several_instants_stand_side_by_side_and_go_one_by_one() {
    for name in ["tiny.ckd", "tiny.fba", "linux.cckd"] {
        let folder = tempdir().unwrap();
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
    let folder = tempdir().unwrap();
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
    let folder = tempdir().unwrap();
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
    let folder = tempdir().unwrap();
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
    let folder = tempdir().unwrap();
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
fn a_tape_and_a_view_of_one_session_are_the_same_instant() {
    let folder = tempdir().unwrap();
    let service = Service::over(folder.path(), "linux.cckd");
    let host = service.host();
    let tape = folder.path().join("tape.aws");
    let expected = content(&host);
    let before = crate::common::units(&fixture("linux.cckd"));
    let mut request = request("yesterday");
    request.volumes[0].tape = Some(tape.clone());
    let session = service.sessions.start(request, None).unwrap();
    overwrite_all(&host, 7);
    assert!(session.wait(PATIENCE));
    assert_eq!(session.status().state, SessionState::PhysicallyComplete);
    overwrite_all(&host, 8);
    let restored = folder.path().join("restored.ckd");
    restore_new(&tape, &restored, &[]);
    assert_same_units(&before, &crate::common::units(&restored), "the tape");
    assert_content(&service.guest("yesterday"), &expected);
    // The tape is whole, whatever becomes of the view.
    session.cancel();
    assert_eq!(session.status().state, SessionState::PhysicallyComplete);
    assert_eq!(session.status().volumes[0].view, None);
    assert!(!service.views["yesterday"].gate.disk().is_ready());
    assert!(tape.exists());
}

#[test]
fn a_view_is_read_while_the_host_overwrites_everything() {
    for name in ["tiny.ckd", "tiny.fba", "linux.cckd"] {
        let folder = tempdir().unwrap();
        let service = Service::over(folder.path(), name);
        let shape = service.shape();
        let expected = content(&service.host());
        for _ in 0..4 {
            let session = service.show("yesterday").unwrap();
            let expected = content(&service.host());
            std::thread::scope(|scope| {
                let host = scope.spawn(|| (1..=3).for_each(|byte| overwrite_all(&service.host(), byte)));
                let guest = service.guest("yesterday");
                let mut last = false;
                while !last {
                    // Once more when the host is done.
                    last = host.is_finished();
                    for unit in units(&shape) {
                        let slot = read(&guest, unit).unwrap();
                        let expected = &expected[unit.0 as usize];
                        assert!(meaning(&shape, unit, &slot) == meaning(&shape, unit, expected), "{name}, unit {}", unit.0);
                    }
                }
            });
            session.cancel();
        }
        assert_ne!(content(&service.host()), expected);
    }
}
