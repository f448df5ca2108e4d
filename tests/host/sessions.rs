//! A host on both front-ends while sessions start, run, are cancelled and resumed: every tape is the volumes at one
//! instant of the guest's, and what the guest wrote is on the volumes.

use std::fs;
use std::process::Command;

use guest::Field;

use crate::common::{assert_same_units, peer, units};
use crate::scene::Scene;

/// A copier that is still at work when the host has written to many units.
const SLOW: [&str; 2] = ["--rate", "8MiB"];

#[test]
fn tapes_of_a_group_show_one_instant_of_a_host_that_never_stops() {
    let Some(mut scene) = Scene::with_files(4) else { return };
    scene.guest.run_to(1000);
    scene.guest.set(Field::Limit, u32::MAX);
    scene.guest.go();
    // Several sessions at a time; one of them is cancelled in the midst of its work, before a tape is whole, and one
    // makes compressed tapes, which take units in order only.
    let mut sessions = Vec::new();
    for tape in ["first.aws", "cancelled.aws", "third.het", "fourth.aws"] {
        let from = scene.guest.done();
        let id = scene.start_session(tape, &SLOW);
        let until = scene.guest.done();
        if tape == "cancelled.aws" {
            scene.let_write(20);
            scene.gateway.ask(&["session", "cancel", &id]);
        }
        scene.let_write(250);
        sessions.push((id, tape, from, until));
    }
    let cancelled = sessions.remove(1);
    for (id, tape, from, until) in &sessions {
        let session = scene.gateway.complete(id);
        let volumes = session["volumes"].as_array().unwrap();
        let out_of_order: u64 = volumes.iter().filter_map(|volume| volume["out_of_order"].as_u64()).sum();
        assert!(out_of_order > 20, "the host wrote to {out_of_order} units ahead of the copier: too few to show anything");
        let restored = scene.restored(tape);
        scene.assert_one_instant(&restored, *from, *until);
    }
    let session = scene.gateway.session(&cancelled.0);
    assert_eq!(session["state"], "cancelled", "{session}");
    let tapes = scene.names().iter().map(|volume| scene.gateway.tape(cancelled.1, volume));
    let left: Vec<_> = tapes.filter(|tape| tape.exists()).collect();
    assert!(left.is_empty(), "a cancelled session left {left:?}: {session}");
    scene.guest.host.assert_no_trouble();
    scene.end();
}

#[test]
fn a_tape_is_what_a_copy_showed_while_the_guest_stood() {
    let Some(mut scene) = Scene::with_files(5) else { return };
    let copy_as = |scene: &Scene, extension: &str| -> Vec<_> {
        let copies: Vec<_> = scene.images.iter().map(|image| image.with_extension(extension)).collect();
        for (image, copy) in scene.images.iter().zip(&copies) {
            fs::copy(image, copy).unwrap();
        }
        copies
    };
    scene.guest.run_to(800);
    let stood = copy_as(&scene, "stood");
    let first = scene.start_session("stood.aws", &SLOW);
    scene.guest.set(Field::Limit, u32::MAX);
    scene.guest.go();
    scene.let_write(300);
    // The second time the gateway holds the guest.
    scene.gateway.ask(&[&["freeze"], scene.names(), &["--for", "60s"]].concat());
    let frozen = copy_as(&scene, "frozen");
    let second = scene.start_session("frozen.aws", &[&SLOW[..], &["--consistency", "host"]].concat());
    scene.gateway.ask(&["thaw"]);
    scene.let_write(300);
    for (id, tape, copies) in [(first, "stood.aws", stood), (second, "frozen.aws", frozen)] {
        scene.gateway.complete(&id);
        for (restored, copy) in scene.restored(tape).iter().zip(&copies) {
            assert_same_units(&units(copy), &units(restored), &copy.display().to_string());
        }
    }
    scene.guest.host.assert_no_trouble();
    scene.end();
}

/// A backup program that knows nothing of tapegate copies the view while the host goes on writing.
#[test]
fn a_backup_program_copies_a_view_of_one_instant() {
    let Some(mut scene) = Scene::shared(7, "shared.ckd") else { return };
    scene.guest.run_to(800);
    scene.guest.set(Field::Limit, u32::MAX);
    scene.guest.go();
    let from = scene.guest.done();
    let session = scene.gateway.ask(&["session", "start", "shared", "--view", "view"]);
    let until = scene.guest.done();
    scene.let_write(300);
    let view = scene.gateway.file("view");
    let copy = scene.images[0].with_extension("copied");
    peer(copy.parent().unwrap(), "dasdcopy", &[view.as_os_str(), copy.as_os_str()]);
    scene.assert_one_instant(&[copy], from, until);
    scene.gateway.ask(&["session", "cancel", &session["id"].to_string()]);
    scene.end();
}

/// Stock clients bridge some twelve seconds; a stop between channel programs loses nothing.
#[test]
fn a_host_goes_on_over_a_restart_of_the_gateway() {
    let Some(mut scene) = Scene::shared(6, "shared.ckd") else { return };
    scene.guest.run_to(100);
    scene.guest.set(Field::Limit, u32::MAX);
    scene.guest.go();
    for _ in 0..3 {
        scene.let_write(300);
        scene.gateway.restart();
    }
    scene.let_write(300);
    scene.end();
}

/// In a freeze no channel program is open, and that is where a gateway may be killed.
#[test]
fn a_host_goes_on_when_the_gateway_is_killed_between_channel_programs() {
    let Some(mut scene) = Scene::shared(8, "shared.cckd") else { return };
    scene.guest.run_to(100);
    scene.guest.set(Field::Limit, u32::MAX);
    scene.guest.go();
    for _ in 0..3 {
        scene.let_write(300);
        scene.gateway.ask(&["freeze", "shared", "--for", "60s"]);
        scene.gateway.kill_and_restart();
    }
    scene.let_write(300);
    let image = scene.images[0].clone();
    let _folder = scene.end();
    // Hercules' own check of the compressed image; it repairs in place, so it gets a copy.
    let copy = image.with_extension("checked");
    fs::copy(&image, &copy).unwrap();
    let check = Command::new("cckdcdsk").arg("-3").arg(&copy).output().unwrap();
    let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
    assert!(check.status.success() && !said.contains("HHC"), "cckdcdsk -3: {said}");
}
