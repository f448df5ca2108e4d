//! Sessions, freezes, views and the cache of a service, and the lengths that it keeps.

use std::fs;
use std::io::Write;

use serde_json::json;

use super::common::{assert_same_units, fixture, patch, run, units};
use super::harness::{Service, VOLUMES, wait_until};
use std::path::Path;

#[test]
fn a_group_is_copied_at_one_t0_and_the_tapes_are_those_of_a_plain_copy() {
    let service = Service::start(VOLUMES);
    assert!(service.ready.contains("3 volumes"), "{}", service.ready);
    let tape = service.path("tapes/{volume}.aws");
    let session = service.json(&["session", "start", "demo", "tiny", "-o", tape.to_str().unwrap(), "--wait"]);
    assert_eq!((&session["state"], &session["instant"]), (&json!("physically-complete"), &json!("now")));
    for (volume, image) in [("demo", "demo.cckd"), ("tiny", "tiny.ckd")] {
        let tape = service.path(&format!("tapes/{volume}.aws"));
        run(args!["tape", "verify", &tape, "--against", fixture(image)]).expect(0);
    }
    let shown = service.run(&["session", "show", "1"]).expect(0).text();
    assert!(shown.contains("physically complete") && shown.contains("16695 units in order and 0 out of order"), "{shown}");
    let watched = service.run(&["session", "watch", "1"]).expect(0).text();
    assert!(watched.starts_with("session 1: physically complete, T0 "), "{watched}");
    let tapes = service.json(&["tapes", "DEMO.LEDGER"]);
    assert_eq!(tapes["tapes"].as_array().unwrap().len(), 1);
    assert_eq!(tapes["tapes"][0]["tape"], "demo.aws");
    service.run(&["session", "start", "demo", "-o", "tapes/demo.aws"]).refused(&["demo.aws", "exists"]);
    service.run(&["session", "start", "gone", "-o", "x.aws"]).refused(&["gone", "tapegate volumes"]);
    service.run(&["session", "show", "77"]).refused(&["77", "session list"]);
    service.run(&["session", "resume", "1"]).refused(&["physically complete", "not suspended"]);
    let (ended, folder) = service.stop();
    assert_eq!(ended.err, "");
    for image in ["demo.cckd", "tiny.ckd"] {
        assert_same_units(&units(&fixture(image)), &units(&folder.path().join(image)), image);
    }
}

#[test]
fn a_tape_is_streamed_to_standard_output() {
    let service = Service::start(VOLUMES);
    let ended = service.run(&["session", "start", "tiny", "-o", "-"]).expect(0);
    let tape = service.path("streamed.aws");
    fs::write(&tape, &ended.out).unwrap();
    run(args!["tape", "verify", &tape, "--against", fixture("tiny.ckd")]).expect(0);
}

#[test]
fn a_clean_stop_keeps_the_lengths_and_anything_else_measures_again() {
    let sizes = |folder: &Path| folder.join("state/sizes/tiny.sizes");
    let service = Service::start(VOLUMES);
    service.wait_until_measured();
    let (_, folder) = service.stop();
    let kept = fs::read(sizes(folder.path())).unwrap();

    let service = Service::start_in(folder, VOLUMES);
    assert!(sizes(service.folder.path()).exists());
    let (_, folder) = service.stop();
    assert_eq!(fs::read(sizes(folder.path())).unwrap(), kept);

    // Somebody else wrote to the image: a new identity, so a new table.
    patch(&folder.path().join("tiny.ckd"), 512 + 100, b"x");
    let service = Service::start_in(folder, VOLUMES);
    service.wait_until_measured();
    let (_, folder) = service.stop();
    assert_ne!(fs::read(sizes(folder.path())).unwrap(), kept);
}

#[test]
fn the_table_of_lengths_is_gone_before_a_first_write() {
    let service = Service::start(&format!("[files]\nmount = \"mnt\"\n{VOLUMES}"));
    service.wait_until_measured();
    let (_, folder) = service.stop();
    let table = folder.path().join("state/sizes/blocks.sizes");
    assert!(table.exists());
    let mut service = Service::start_in(folder, &format!("[files]\nmount = \"mnt\"\n{VOLUMES}"));
    fs::File::options().write(true).open(service.path("mnt/blocks.fba")).unwrap().write_all(&[7; 4096]).unwrap();
    assert!(!service.path("state/sizes/blocks.sizes").exists());
    // A kill leaves none behind that could be believed.
    let mut process = service.process.take().unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(!service.path("state/sizes/blocks.sizes").exists());
    assert_eq!(fs::read(service.path("tiny.fba")).unwrap()[..4096], [7; 4096]);
    // The next one takes the mount of the dead one over.
    let folder = std::mem::replace(&mut service.folder, tempfile::tempdir().unwrap());
    Service::start_in(folder, &format!("[files]\nmount = \"mnt\"\n{VOLUMES}")).stop();
}

#[test]
fn a_freeze_is_where_a_consistent_t0_is_and_it_ends_by_itself() {
    let service = Service::start(VOLUMES);
    service.run(&["session", "start", "tiny", "-o", "x.aws", "--consistency", "host"]).refused(&["tiny is not frozen"]);
    service.run(&["freeze", "tiny", "blocks", "--for", "60s"]).expect(0);
    service.run(&["freeze", "tiny"]).refused(&["tiny is frozen already"]);
    let started = service.json(&["session", "start", "tiny", "blocks", "--consistency", "host", "-o", "{volume}.aws", "--wait"]);
    assert_eq!(started["instant"], "host");
    let volumes = service.json(&["volumes"]);
    assert_eq!(volumes.as_array().unwrap().iter().map(|volume| &volume["frozen"]).collect::<Vec<_>>(), [false, true, true]);
    service.run(&["session", "start", "demo", "tiny", "--consistency", "host", "-o", "{volume}2.aws"]).refused(&["not frozen"]);
    let thawed = service.run(&["thaw", "blocks"]).expect(0).text();
    assert_eq!(thawed, "tiny, blocks: not frozen any more\n");
    service.run(&["freeze", "tiny", "--for", "61s"]).refused(&["at most 60 s"]);
    service.run(&["freeze", "tiny", "--for", "1ms"]).expect(0);
    wait_until(|| service.json(&["volumes"])[1]["frozen"] == false);
    service.run(&["session", "start", "tiny", "-o", "late.aws", "--consistency", "host"]).refused(&["tiny is not frozen"]);
    assert_eq!(service.run(&["thaw"]).expect(0).text(), "Nothing was frozen\n");
}

#[test]
fn a_view_is_ready_at_t0_and_gone_with_its_session() {
    let service = Service::start(&format!(
        "[files]\nmount = \"mnt\"\n{VOLUMES}\n[[cache]]\nname = \"default\"\nspill = \"spill\"\nspill_limit = \"16MiB\"\n[[view]]\nname = \"then\"\nof = \"tiny\"\ndevice = \"0251\"\n"
    ));
    let view = service.path("mnt/then.ckd");
    assert_eq!(service.json(&["volumes"])[3]["ready"], false);
    service.run(&["session", "start", "tiny", "--view", "then"]).expect(0);
    assert_eq!(service.json(&["volumes"])[3]["session"], 1);
    assert_same_units(&units(&fixture("tiny.ckd")), &units(&view), "the view");
    // It survives a stop.
    let (_, folder) = service.stop();
    let config = fs::read_to_string(folder.path().join("gateway.toml")).unwrap();
    let more = config.split_once("socket = \"control\"\n").unwrap().1.to_owned();
    let service = Service::start_in(folder, &more);
    assert_eq!(service.json(&["volumes"])[3]["session"], 1);
    assert_same_units(&units(&fixture("tiny.ckd")), &units(&service.path("mnt/then.ckd")), "the view after a restart");
    service.run(&["session", "cancel", "1"]).expect(0);
    assert_eq!(service.json(&["volumes"])[3]["ready"], false);
}

#[test]
fn the_cache_has_limits_that_can_be_raised() {
    let service = Service::start(VOLUMES);
    let pools = service.json(&["cache", "default", "--memory", "1GiB"]);
    assert_eq!(pools[0]["memory_limit_bytes"], 1_u64 << 30);
    assert!(service.run(&["cache"]).expect(0).text().contains("1GiB"));
    service.run(&["cache", "other", "--memory", "1GiB"]).refused(&["no cache is called other"]);
    service.run(&["cache", "--memory", "1GiB"]).expect(2);
}
