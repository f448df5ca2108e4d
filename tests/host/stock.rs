//! The guest on disks that Hercules serves itself: what is right here proves guest, model and harness, before any of
//! tapegate's own serving takes part.

use std::fs;

use guest::{Disk, Field, Model, Parameters};

use crate::common::patch;
use crate::guest_program::{Guest, before, instant};
use crate::hercules::{Host, dasdinit, free_port, has_hercules};
use crate::recorder::Recorder;

const CYLINDERS: u32 = 20;
const TRACKS: u32 = CYLINDERS * 15;
const OPERATIONS: u32 = 5000;

#[test]
fn local_disks_hold_what_the_model_says() {
    if !has_hercules() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (ckd, fba) = (folder.path().join("volume.ckd"), folder.path().join("volume.fba"));
    dasdinit(&ckd, "3390", "GUEST1", CYLINDERS);
    dasdinit(&fba, "3370", "GUEST2", 8192);
    let disks = vec![Disk::ckd(0x150, 1, TRACKS - 1).with_mix(Disk::MIXED_WITH_PAIRS), Disk::fixed_block(0x160, 100, 8000)];
    let parameters = Parameters::new(1, disks);
    let before = [before(&parameters, 0, &ckd), before(&parameters, 1, &fba)];
    let host = Host::start(folder.path(), &["0150 3390 volume.ckd".to_owned(), "0160 3370 volume.fba".to_owned()]);
    let mut guest = Guest::load(host, folder.path(), &parameters);
    let mut model = Model::new(&parameters);
    // Hercules writes every change of a track or block before the channel program ends, so that the images are
    // right at each stop, too.
    for operations in [1, 10, 1000, OPERATIONS] {
        guest.run_to(operations);
        model.advance_to(operations);
        before[0].assert_written(&model, 0, &ckd);
        before[1].assert_written(&model, 1, &fba);
    }
    guest.host.assert_no_trouble();
    guest.host.quit();
    before[0].assert_written(&model, 0, &ckd);
    before[1].assert_written(&model, 1, &fba);
}

#[test]
fn a_disk_of_hercules_own_server_holds_what_the_model_says() {
    if !has_hercules() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server_folder, client_folder) = (folder.path().join("server"), folder.path().join("client"));
    fs::create_dir(&server_folder).unwrap();
    let image = server_folder.join("volume.ckd");
    dasdinit(&image, "3390", "GUEST1", CYLINDERS);
    let parameters = Parameters::new(2, vec![Disk::ckd(0x150, 1, TRACKS - 1).with_mix(Disk::MIXED_WITH_PAIRS)]);
    let before = before(&parameters, 0, &image);
    let port = free_port();
    let server = Host::start(&server_folder, &[format!("SHRDPORT {port}"), "0150 3390 volume.ckd".to_owned()]);
    let recorder = Recorder::before(port);
    let client = Host::start(&client_folder, &[format!("0151 3390 127.0.0.1:{}:0150", recorder.port)]);
    let parameters = Parameters { disks: vec![Disk { device: 0x151, ..parameters.disks[0].clone() }], ..parameters };
    let mut guest = Guest::load(client, &client_folder, &parameters);
    let mut model = Model::new(&parameters);
    guest.run_to(OPERATIONS);
    model.advance_to(OPERATIONS);
    guest.host.assert_no_trouble();
    guest.host.quit();
    server.assert_no_trouble();
    server.quit();
    before.assert_written(&model, 0, &image);
    let said = recorder.said();
    assert_eq!(said[0].bytes[..2], [0xe0, 0x01], "a conversation begins with CONNECT of release 1");
}

/// A lost write and a wrong instant must not pass, or the scenarios prove nothing.
#[test]
fn the_instant_of_a_copy_is_found_and_a_lost_write_is_too() {
    if !has_hercules() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (ckd, fba) = (folder.path().join("volume.ckd"), folder.path().join("volume.fba"));
    let (ckd_then, fba_then) = (folder.path().join("then.ckd"), folder.path().join("then.fba"));
    dasdinit(&ckd, "3390", "GUEST1", 2);
    dasdinit(&fba, "3370", "GUEST2", 1000);
    let parameters = Parameters::new(3, vec![Disk::ckd(0x150, 1, 29), Disk::fixed_block(0x160, 8, 992)]);
    let (on_ckd, on_fba) = (before(&parameters, 0, &ckd), before(&parameters, 1, &fba));
    let host = Host::start(folder.path(), &["0150 3390 volume.ckd".to_owned(), "0160 3370 volume.fba".to_owned()]);
    let mut guest = Guest::load(host, folder.path(), &parameters);
    let mut model = Model::new(&parameters);
    guest.run_to(200);
    guest.set(Field::Limit, u32::MAX);
    guest.go();
    let stopped = guest.pause();
    fs::copy(&ckd, &ckd_then).unwrap();
    fs::copy(&fba, &fba_then).unwrap();
    guest.run_to(stopped + 500);
    guest.host.quit();
    let both = [(&on_ckd, 0, ckd_then.as_path()), (&on_fba, 1, fba_then.as_path())];
    let found = instant(&model, stopped + 500, &both).unwrap();
    assert!(found <= stopped, "after {found} operations, and the guest stood at {stopped}");
    model.advance_to(found);
    on_ckd.assert_written(&model, 0, &ckd_then);
    // One disk then and the other at the end are no instant of both.
    let apart = [(&on_ckd, 0, ckd_then.as_path()), (&on_fba, 1, fba.as_path())];
    assert_eq!(instant(&model, stopped + 500, &apart), None);
    // The first byte of the data of the first record of track 5.
    let offset = 512 + 5 * 56_832 + 5 + 16 + 8;
    let byte = fs::read(&ckd_then).unwrap()[offset];
    patch(&ckd_then, offset as u64, &[byte ^ 1]);
    assert_eq!(instant(&model, stopped + 500, &both), None);
}
