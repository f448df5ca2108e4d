//! A host on the front-ends while sessions start, run and are cancelled: every tape is the volumes at one instant of the
//! guest's, and what the guest wrote is on the volumes.

use std::fs;
use std::path::{Path, PathBuf};

use guest::{Disk, Field, Model, Parameters};
use tapegate::live::status::SessionState;

use crate::common::{assert_same_units, restore_new, units};
use crate::guest_program::{Before, Guest, before, instant};
use crate::hercules::{Host, dasdinit, has_hercules};
use crate::library_gateway::{Gateway, complete};

const CYLINDERS: u32 = 30;
const TRACKS: u32 = CYLINDERS * 15;
const BLOCKS: u32 = 16_384;
/// A copier that is still at work when the host has written to most units.
const SLOW_BYTES_PER_SECOND: u64 = 8 << 20;

/// Names of the volumes, in the order of the guest's disks: one for the shared device front-end, two for files.
const NAMES: [&str; 3] = ["shared", "filed", "blocks"];

/// Three volumes, a gateway that serves them, and a host with a guest that uses them.
struct Scene {
    folder: tempfile::TempDir,
    images: Vec<PathBuf>,
    before: Vec<Before>,
    gateway: Gateway,
    guest: Guest,
    model: Model,
}

impl Scene {
    /// None where Hercules or FUSE is missing.
    fn new(seed: u32) -> Option<Self> {
        if !has_hercules() || !has_fuse() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let images = ["shared.ckd", "filed.ckd", "blocks.fba"].map(|name| folder.path().join(name)).to_vec();
        dasdinit(&images[0], "3390", "GUEST1", CYLINDERS);
        dasdinit(&images[1], "3390", "GUEST2", CYLINDERS);
        dasdinit(&images[2], "3370", "GUEST3", BLOCKS);
        let disks = vec![
            Disk::ckd(0x150, 1, TRACKS - 1).with_mix(Disk::MIXED_WITH_PAIRS),
            Disk::ckd(0x151, 1, TRACKS - 1),
            Disk::fixed_block(0x160, 100, BLOCKS - 100),
        ];
        let parameters = Parameters::new(seed, disks);
        let before = images.iter().enumerate().map(|(disk, image)| before(&parameters, disk, image)).collect();
        let gateway = Gateway::start(folder.path(), &named(&images));
        let statements = [
            format!("0150 3390 127.0.0.1:{}:0150", gateway.port),
            format!("0151 3390 {}", gateway.file("filed").display()),
            format!("0160 3370 {}", gateway.file("blocks").display()),
        ];
        let home = folder.path().join("host");
        let guest = Guest::load(Host::start(&home, &statements), &home, &parameters);
        let model = Model::new(&parameters);
        Some(Self { folder, images, before, gateway, guest, model })
    }

    /// Tapes of the volumes.
    fn tapes(&self, number: u32) -> Vec<PathBuf> {
        NAMES.map(|name| self.folder.path().join(format!("{name}{number}.aws"))).to_vec()
    }

    /// Lets the guest do `operations` more while it goes on.
    fn let_write(&mut self, operations: u32) {
        let until = self.guest.done() + operations;
        while self.guest.done() < until {}
    }

    /// The tapes, restored.
    fn restored(&self, tapes: &[PathBuf]) -> Vec<PathBuf> {
        let restore = |tape: &PathBuf| {
            let image = tape.with_extension("restored");
            restore_new(tape, &image, &[]);
            image
        };
        tapes.iter().map(restore).collect()
    }

    /// Fails unless the tapes show all volumes at one instant after `from` operations and before `until`.
    #[track_caller]
    fn assert_one_instant(&mut self, tapes: &[PathBuf], from: u32, until: u32) {
        self.model.advance_to(from);
        let restored = self.restored(tapes);
        let disks: Vec<_> = self.before.iter().zip(&restored).enumerate().map(|(n, (b, i))| (b, n, i.as_path())).collect();
        // The guest counts an operation when its status has come, so that one more may be on the disks.
        let found = instant(&self.model, until + 1, &disks);
        assert!(found.is_some(), "{tapes:?} are no instant between operations {from} and {until}");
    }

    /// Lets the guest end, stops all, and compares the volumes with what the guest wrote.
    fn end(mut self) {
        let operations = self.guest.pause() + 200;
        self.guest.run_to(operations);
        self.guest.host.assert_no_trouble();
        self.guest.host.quit();
        self.gateway.stop();
        self.model.advance_to(operations);
        for (disk, (before, image)) in self.before.iter().zip(&self.images).enumerate() {
            before.assert_written(&self.model, disk, image);
        }
    }
}

fn named(images: &[PathBuf]) -> Vec<(&'static str, &Path)> {
    NAMES.into_iter().zip(images.iter().map(PathBuf::as_path)).collect()
}

fn has_fuse() -> bool {
    let there = Path::new("/dev/fuse").exists();
    if !there {
        eprintln!("skipped: /dev/fuse is not there");
    }
    there
}

#[test]
fn tapes_of_a_group_show_one_instant_of_a_host_that_never_stops() {
    let Some(mut scene) = Scene::new(4) else { return };
    scene.guest.run_to(1000);
    scene.guest.set(Field::Limit, u32::MAX);
    scene.guest.go();
    // Five sessions, up to three at a time; the third is cancelled in the midst of its work.
    let mut started = Vec::new();
    for number in 0..5 {
        let (tapes, done) = (scene.tapes(number), scene.guest.done());
        let session = scene.gateway.start_session(&named(&tapes), SLOW_BYTES_PER_SECOND, None);
        started.push((session, tapes, done, scene.guest.done()));
        scene.let_write(250);
        if number == 2 {
            started[2].0.cancel();
            started[2].0.join();
            assert_eq!(started[2].0.status().state, SessionState::Cancelled);
        }
    }
    for (session, ..) in started.iter().filter(|(session, ..)| session.status().state != SessionState::Cancelled) {
        complete(session);
    }
    for (number, (session, tapes, from, until)) in started.iter().enumerate() {
        if number == 2 {
            assert!(tapes.iter().all(|tape| !tape.exists()), "a cancelled session leaves a tape");
            continue;
        }
        let out_of_order: u64 = session.status().volumes.iter().map(|volume| volume.out_of_order).sum();
        assert!(out_of_order > 20, "the host wrote to {out_of_order} units ahead of the copier: too few to show anything");
        scene.assert_one_instant(tapes, *from, *until);
    }
    scene.end();
}

#[test]
fn a_tape_is_what_a_copy_showed_while_the_guest_stood() {
    let Some(mut scene) = Scene::new(5) else { return };
    scene.guest.run_to(800);
    let (first, second) = (scene.tapes(1), scene.tapes(2));
    let copies: Vec<_> = scene.images.iter().map(|image| image.with_extension("stood")).collect();
    for (image, copy) in scene.images.iter().zip(&copies) {
        fs::copy(image, copy).unwrap();
    }
    let session = scene.gateway.start_session(&named(&first), SLOW_BYTES_PER_SECOND, None);
    scene.guest.set(Field::Limit, u32::MAX);
    scene.guest.go();
    scene.let_write(300);
    // The second time the gateway holds the guest, in a freeze.
    let frozen = scene.gateway.freeze();
    let frozen_copies: Vec<_> = scene.images.iter().map(|image| image.with_extension("frozen")).collect();
    for (image, copy) in scene.images.iter().zip(&frozen_copies) {
        fs::copy(image, copy).unwrap();
    }
    let session_in_freeze = scene.gateway.start_session(&named(&second), SLOW_BYTES_PER_SECOND, Some(&frozen));
    drop(frozen);
    scene.let_write(300);
    complete(&session);
    complete(&session_in_freeze);
    for (tapes, copies) in [(first, copies), (second, frozen_copies)] {
        for (restored, copy) in scene.restored(&tapes).iter().zip(&copies) {
            assert_same_units(&units(copy), &units(restored), &copy.display().to_string());
        }
    }
    scene.end();
}
