//! Two hosts with one disk: each does channel programs on tracks of its own, and both have what they wrote.

use guest::{Disk, Field, Model, Parameters};

use crate::common::restore_new;
use crate::gateway::Gateway;
use crate::guest_program::{Guest, before, instant};
use crate::hercules::{Host, dasdinit, free_port, has_hercules};
use crate::scene::has_fuse;

#[test]
fn hosts_that_share_a_disk_keep_what_each_of_them_wrote() {
    if !has_hercules() || !has_fuse() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("shared.ckd");
    dasdinit(&image, "3390", "GUEST1", 20);
    let port = free_port();
    let gateway = Gateway::start(folder.path(), port, &[("shared", &image)]);
    // Each begins in the middle of a cylinder; the first and the last track are nobody's.
    let mut hosts: Vec<_> = [1..140_u32, 140..299]
        .into_iter()
        .zip(20_u32..)
        .map(|(tracks, seed)| {
            let disk = Disk::ckd(0x150, tracks.start, tracks.len() as u32).with_mix(Disk::MIXED_WITH_PAIRS);
            let parameters = Parameters::new(seed, vec![disk]);
            let before = before(&parameters, 0, &gateway.file("shared")).only(tracks.start as usize..tracks.end as usize);
            let home = folder.path().join(format!("host{seed}"));
            let host = Host::start(&home, &[format!("0150 3390 127.0.0.1:{port}:0150")]);
            let mut guest = Guest::load(host, &home, &parameters);
            guest.run_to(200);
            (guest, before, Model::new(&parameters))
        })
        .collect();
    for (guest, ..) in &mut hosts {
        guest.set(Field::Limit, 2000);
        guest.go();
    }
    let session = gateway.start_session(&["shared"], "both.aws", &["--rate", "4MiB"]);
    for (guest, ..) in &mut hosts {
        guest.wait_until_finished();
    }
    gateway.complete(&session);
    let restored = folder.path().join("restored");
    restore_new(&gateway.tape("both.aws", "shared"), &restored, &[]);
    for (guest, before, model) in hosts {
        guest.host.assert_no_trouble();
        guest.host.quit();
        assert!(instant(&model, 2000, &[(&before, 0, &restored)]).is_some(), "the tape is no instant of a host");
        let mut model = model;
        model.advance_to(2000);
        before.assert_written(&model, 0, &gateway.file("shared"));
    }
    gateway.stop();
}
