//! A host on both front-ends while sessions start, run, are cancelled and resumed: every tape is the volumes at one
//! instant of the guest's, and what the guest wrote is on the volumes.

use std::fs;

use guest::Field;

use crate::common::{assert_same_units, units};
use crate::scene::Scene;

/// A copier that is still at work when the host has written to many units.
const SLOW: [&str; 2] = ["--rate", "8MiB"];

#[test]
fn tapes_of_a_group_show_one_instant_of_a_host_that_never_stops() {
    let Some(mut scene) = Scene::with_files(4) else { return };
    scene.guest.run_to(1000);
    scene.guest.set(Field::Limit, u32::MAX);
    scene.guest.go();
    // Five sessions, several at a time; the third is cancelled in the midst of its work.
    let mut sessions = Vec::new();
    for number in 0..5 {
        let (name, from) = (format!("group{number}"), scene.guest.done());
        let id = scene.start_session(&name, &SLOW);
        let until = scene.guest.done();
        if number == 2 {
            // Before the first of its tapes is whole.
            scene.let_write(20);
            scene.gateway.ask(&["session", "cancel", &id]);
        }
        scene.let_write(250);
        sessions.push((id, name, from, until));
    }
    let cancelled = sessions.remove(2);
    for (id, name, from, until) in &sessions {
        let session = scene.gateway.complete(id);
        let volumes = session["volumes"].as_array().unwrap();
        let out_of_order: u64 = volumes.iter().filter_map(|volume| volume["out_of_order"].as_u64()).sum();
        assert!(out_of_order > 20, "the host wrote to {out_of_order} units ahead of the copier: too few to show anything");
        scene.assert_one_instant(name, *from, *until);
    }
    let session = scene.gateway.session(&cancelled.0);
    assert_eq!(session["state"], "cancelled", "{session}");
    let left: Vec<_> =
        scene.names().iter().map(|volume| scene.gateway.tape(&cancelled.1, volume)).filter(|t| t.exists()).collect();
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
    let first = scene.start_session("stood", &SLOW);
    scene.guest.set(Field::Limit, u32::MAX);
    scene.guest.go();
    scene.let_write(300);
    // The second time the gateway holds the guest.
    scene.gateway.ask(&[&["freeze"], scene.names(), &["--for", "60s"]].concat());
    let frozen = copy_as(&scene, "frozen");
    let second = scene.start_session("frozen", &[&SLOW[..], &["--consistency", "host"]].concat());
    scene.gateway.ask(&["thaw"]);
    scene.let_write(300);
    for (id, name, copies) in [(first, "stood", stood), (second, "frozen", frozen)] {
        scene.gateway.complete(&id);
        for (restored, copy) in scene.restored(name).iter().zip(&copies) {
            assert_same_units(&units(copy), &units(restored), &copy.display().to_string());
        }
    }
    scene.guest.host.assert_no_trouble();
    scene.end();
}

/// Stock clients bridge some twelve seconds; a stop between channel programs loses nothing.
#[test]
fn a_host_goes_on_over_a_restart_of_the_gateway() {
    let Some(mut scene) = Scene::shared(6) else { return };
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
