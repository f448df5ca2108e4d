//! What programs and scripts rely on: exit codes, JSON documents, and one plain line where something failed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::process::Stdio;

use serde_json::Value;
use tempfile::tempdir;

use common::{Ended, fixture, patch, run, snapshot, tapegate};

#[test]
fn zero_is_done_with_nothing_on_standard_error() {
    let folder = tempdir().unwrap();
    let (tape, image) = (folder.path().join("tape.aws"), folder.path().join("image"));
    let volume = fixture("tiny.ckd");
    for arguments in [
        args!["ls", &volume, "--members", "--used"].to_vec(),
        args!["track", &volume, "0", "0"].to_vec(),
        args!["plan", &volume, "--units"].to_vec(),
        args!["snapshot", &volume, "-o", &tape].to_vec(),
        args!["tape", "map", &tape].to_vec(),
        args!["tape", "verify", &tape].to_vec(),
        args!["tape", "extract", &tape, "2"].to_vec(),
        args!["restore", &tape, "--new", &image].to_vec(),
    ] {
        let ended = run(&arguments).expect(0);
        assert_eq!(ended.err, "", "{arguments:?}");
        assert!(!ended.out.is_empty(), "{arguments:?}");
    }
}

#[test]
fn one_is_failed_with_one_line_that_says_what_and_where() {
    let folder = tempdir().unwrap();
    let missing = folder.path().join("missing");
    let tape = folder.path().join("tape.aws");
    snapshot(&fixture("tiny.ckd"), &tape, &[], 0);
    for (arguments, words) in [
        (args!["ls", &missing].to_vec(), &["missing", "No such file"][..]),
        (args!["track", fixture("tiny.ckd"), "99", "0"].to_vec(), &["cyl 99 head 0", "cylinders 0 to 2"]),
        (args!["track", fixture("tiny.fba"), "0", "0"].to_vec(), &["fixed blocks"]),
        (args!["plan", &missing].to_vec(), &["missing"]),
        (args!["tape", "map", &missing].to_vec(), &["missing"]),
        (args!["tape", "map", fixture("tiny.ckd")].to_vec(), &["tiny.ckd"]),
        (args!["tape", "verify", fixture("tiny.ckd")].to_vec(), &["tiny.ckd"]),
        (args!["tape", "extract", &tape, "NOT.THERE"].to_vec(), &["NOT.THERE", "tape.aws"]),
        (args!["restore", fixture("demo.het"), "--new", folder.path().join("image")].to_vec(), &["demo.het"]),
        (args!["restore", &tape, "--new", folder.path().join("image"), "--format", "fba"].to_vec(), &["fixed-block"]),
        (args!["ls", fixture("tiny.ckd"), "--type", "cckd"].to_vec(), &["tiny.ckd", "not cckd"]),
    ] {
        run(&arguments).refused(words);
    }
    assert!(!folder.path().join("image").exists());
}

#[test]
fn two_is_wrong_usage() {
    for arguments in [
        &["no-such-command"][..],
        &["ls"],
        &["ls", "volume", "BAD..PATTERN"],
        &["snapshot", "volume"],
        &["snapshot", "volume", "-o", "tape", "--labels", "xx"],
        &["snapshot", "volume", "-o", "tape", "-j", "0"],
        &["snapshot", "volume", "-o", "tape", "--volser", "TOOLONG"],
        &["restore", "tape"],
        &["restore", "tape", "--new", "a", "--into", "b"],
        &["track", "volume", "x", "0"],
        &["tape", "extract", "tape"],
    ] {
        let ended = run(arguments).expect(2);
        assert!(ended.out.is_empty() && ended.err.starts_with("error: "), "{arguments:?}: {}", ended.err);
    }
}

#[test]
fn three_is_done_with_findings_that_are_told() {
    let folder = tempdir().unwrap();
    let volume = folder.path().join("volume");
    fs::copy(fixture("tiny.ckd"), &volume).unwrap();
    // The home address of track 1 names another track.
    patch(&volume, 512 + 4096 + 2, &[9]);
    let tape = folder.path().join("tape.aws");
    let ended = snapshot(&volume, &tape, &[], 3);
    assert!(ended.err.starts_with("warning: ") && ended.err.contains("cyl 0 head 1"), "{}", ended.err);
    let ended = run(args!["ls", fixture("tiny.ckd"), "NO.SUCH.NAME"]).expect(3);
    assert!(ended.err.contains("NO.SUCH.NAME"), "{}", ended.err);
}

/// Fails unless an object has exactly these members.
#[track_caller]
fn assert_members(document: &Value, members: &[&str]) {
    let mut found: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    let mut members = members.to_vec();
    found.sort_unstable();
    members.sort_unstable();
    assert_eq!(found, members);
}

#[test]
fn every_json_document_has_the_members_that_programs_know() {
    let folder = tempdir().unwrap();
    let (tape, image) = (folder.path().join("tape.aws"), folder.path().join("image"));
    let volume = fixture("demo.cckd");
    let json = |arguments: &[std::ffi::OsString]| run(arguments).expect(0).json();

    let listing = json(&args!["ls", "--json", "--members", &volume]);
    assert_members(&listing, &["volume", "vtoc", "data_sets", "findings"]);
    assert_eq!(listing["volume"]["volser"], "TGDEMO");

    let track = json(&args!["track", "--json", &volume, "0", "0"]);
    assert_members(&track, &["volume", "cylinder", "head", "track", "home_address", "bytes", "records", "findings"]);
    assert_members(
        &track["records"][0],
        &["record", "offset", "cchh", "key_length", "data_length", "end_of_file", "key", "data"],
    );

    let plan = json(&args!["plan", "--json", &volume]);
    assert_members(
        &plan,
        &[
            "volume",
            "volume_volser",
            "tape_volser",
            "labels",
            "tape_block_bytes",
            "destination_block_bytes",
            "first_destination_block",
            "tape_bytes",
            "files",
            "findings",
        ],
    );

    let report = json(&args!["snapshot", "--json", &volume, "-o", &tape]);
    assert_members(&report, &["tape", "bytes", "volser", "t0", "files", "findings"]);
    assert_eq!(report["t0"], "2024-05-01T00:00:00Z");

    let manifest = common::manifest(&tape);
    assert_members(&manifest, &["format", "version", "t0", "volume", "tape", "files", "findings"]);

    let map = json(&args!["tape", "map", "--json", &tape]);
    assert_members(
        &map,
        &[
            "tape",
            "format",
            "labels",
            "volser",
            "owner",
            "end",
            "image_bytes",
            "blocks",
            "tape_marks",
            "bytes",
            "stored_bytes",
            "files",
            "findings",
        ],
    );

    let verified = json(&args!["tape", "verify", "--json", &tape, "--against", &volume]);
    for (member, value) in [("sound", true.into()), ("manifest", true.into()), ("differences", Value::from(0))] {
        assert_eq!(verified[member], value, "{member}");
    }

    let restored = json(&args!["restore", "--json", &tape, "--new", &image]);
    assert_members(&restored, &["tape", "volume", "volser", "files", "units", "findings"]);
    assert_eq!(restored["volser"], "TGDEMO");
}

#[test]
fn a_listing_that_nobody_reads_to_its_end_is_no_failure() {
    for arguments in
        [args!["ls", fixture("demo.cckd")].to_vec(), args!["plan", "--units", "--json", fixture("demo.cckd")].to_vec()]
    {
        let mut child = tapegate().args(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = Ended::of(child.wait_with_output().unwrap());
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_listing_that_can_not_be_written_is_a_failure() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let ended = Ended::of(tapegate().arg("ls").arg(fixture("demo.cckd")).stdout(full).output().unwrap());
    ended.refused(&["No space left"]);
}

#[test]
fn a_t0_that_is_no_number_is_refused() {
    let folder = tempdir().unwrap();
    let mut command = tapegate();
    command
        .env("SOURCE_DATE_EPOCH", "yesterday")
        .arg("snapshot")
        .arg(fixture("tiny.ckd"))
        .arg("-o")
        .arg(folder.path().join("tape"));
    Ended::of(command.output().unwrap()).refused(&["SOURCE_DATE_EPOCH", "yesterday"]);
    for extreme in ["0", "-1", "253402300799", "9223372036854775807"] {
        let tape = folder.path().join(format!("tape{extreme}"));
        let mut command = tapegate();
        command.env("SOURCE_DATE_EPOCH", extreme).args(["snapshot", "--no-sync"]).arg(fixture("tiny.ckd")).arg("-o").arg(&tape);
        let ended = Ended::of(command.output().unwrap());
        assert!(matches!(ended.code, Some(0 | 1)), "{extreme}: {ended:?}");
        if ended.code == Some(0) {
            run(args!["tape", "verify", &tape]).expect(0);
        }
    }
}
