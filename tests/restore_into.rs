//! Data sets come back onto a volume that exists: all of them or none, at the place that the volume has for them now.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::{TempDir, tempdir};

use common::{
    Ended, assert_same_units, fixture, has, names_in, open, patch, peer, restore_new, run, slot_offset, snapshot, tapegate, units,
};

/// A tape of a fixture, and a copy of the volume in a format.
fn scene(name: &str, format: &str, options: &[&str]) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempdir().unwrap();
    let [whole, tape, volume] = ["whole.aws", "tape.aws", "volume"].map(|name| folder.path().join(name));
    snapshot(&fixture(name), &whole, &[], 0);
    restore_new(&whole, &volume, &["--format", format]);
    snapshot(&fixture(name), &tape, options, 0);
    (folder, tape, volume)
}

/// Puts data sets back into a volume.
fn into(tape: &Path, patterns: &[&str], volume: &Path) -> Ended {
    let output = tapegate().args(["restore", "--no-sync"]).arg(tape).args(patterns).arg("--into").arg(volume).output().unwrap();
    Ended::of(output)
}

/// The tracks of a data set, from `ls`.
fn tracks_of(volume: &Path, name: &str) -> Vec<usize> {
    let listing = run(args!["ls", "--json", volume, name]).expect(0).json();
    let extents = listing["data_sets"][0]["extents"].as_array().unwrap().clone();
    let numbers = |extent: &serde_json::Value| {
        let [first, tracks] = ["first_track", "tracks"].map(|field| usize::try_from(extent[field].as_u64().unwrap()).unwrap());
        first..first + tracks
    };
    extents.iter().flat_map(numbers).collect()
}

/// Overwrites data of a track's first record in a plain image.
fn scribble(volume: &Path, track: usize) {
    let place = slot_offset(&open(volume), u32::try_from(track).unwrap());
    // Behind home address, R0, and a count field, and in a record of at least 80 bytes.
    patch(volume, place + 29 + 20, b"scribbled over");
}

#[test]
fn a_data_set_that_was_overwritten_comes_back_and_others_stay_as_they_are() {
    for options in [&[][..], &["--used"], &["--labels", "nl", "--tape-block", "1000"], &["TINY.LEDGER"]] {
        let (_folder, tape, volume) = scene("tiny.ckd", "ckd", options);
        let original = units(&volume);
        let (ledger, source) = (tracks_of(&volume, "TINY.LEDGER"), tracks_of(&volume, "TINY.SOURCE"));
        scribble(&volume, ledger[0]);
        scribble(&volume, ledger[1]);
        scribble(&volume, source[1]);
        let scribbled = units(&volume);
        into(&tape, &["TINY.LEDGER"], &volume).expect(0);
        let after = units(&volume);
        for unit in 0..original.len() {
            let expected = if ledger.contains(&unit) { &original[unit] } else { &scribbled[unit] };
            assert!(after[unit] == *expected, "{options:?}: unit {unit}");
        }
        assert!(original != scribbled && after != original);
    }
}

#[test]
fn every_writable_format_takes_data_sets() {
    for format in ["ckd", "cckd", "cckd64"] {
        let (folder, tape, volume) = scene("bzip2.cckd", format, &[]);
        // A volume without them is one that holds other data sets' tracks alone.
        let [partial, emptied] = ["partial.aws", "emptied"].map(|name| folder.path().join(name));
        snapshot(&fixture("bzip2.cckd"), &partial, &["BZIP.JOURNAL"], 0);
        restore_new(&partial, &emptied, &["--format", format]);
        assert!(units(&emptied) != units(&volume));
        into(&tape, &["**"], &emptied).expect(0);
        let (after, whole) = (units(&emptied), units(&volume));
        for name in ["BZIP.LEDGER", "BZIP.JOURNAL"] {
            for unit in tracks_of(&volume, name) {
                assert!(after[unit] == whole[unit], "{format}: {name}: unit {unit}");
            }
        }
        assert_eq!(open(&emptied).format().name(), format);
    }
}

/// Fails unless a restore is refused with these words and the volume is what it was, to the byte.
#[track_caller]
fn assert_refused(tape: &Path, patterns: &[&str], volume: &Path, words: &[&str]) {
    let before = fs::read(volume).unwrap();
    let names = names_in(volume.parent().unwrap());
    into(tape, patterns, volume).refused(words);
    assert!(fs::read(volume).unwrap() == before, "the volume is as it was");
    assert_eq!(names_in(volume.parent().unwrap()), names, "nothing is left");
}

#[test]
fn what_can_not_be_put_back_is_refused_and_leaves_the_volume_alone() {
    let (folder, tape, volume) = scene("tiny.ckd", "ckd", &[]);
    assert_refused(&tape, &["NO.SUCH"], &volume, &["NO.SUCH"]);
    assert_refused(&tape, &[], &volume, &["name them"]);
    let (_other_folder, other, _) = scene("demo.cckd", "ckd", &[]);
    assert_refused(&other, &["DEMO.LEDGER"], &volume, &["3390", "2311"]);
    let fixed = folder.path().join("fixed");
    fs::copy(fixture("tiny.fba"), &fixed).unwrap();
    assert_refused(&tape, &["TINY.LEDGER"], &fixed, &["count-key-data"]);
    // Blocks have no tracks to go back to.
    let blocks = folder.path().join("blocks.aws");
    snapshot(&fixture("tiny.ckd"), &blocks, &["--as", "blocks"], 0);
    let ended = into(&blocks, &["TINY.LEDGER"], &volume);
    assert_ne!(ended.code, Some(0), "nothing was restored: {}", ended.err);
    // A damaged unit anywhere in the data set.
    let manifest = common::manifest(&tape);
    let damaged = manifest["files"][2]["data_end_offset"].as_u64().unwrap() - 3;
    patch(&tape, damaged, &[0x5a]);
    scribble(&volume, 5);
    assert_refused(&tape, &["**"], &volume, &["tape.aws", "file 3"]);
}

#[test]
fn a_volume_in_use_is_not_written_to() {
    let (_folder, tape, volume) = scene("tiny.ckd", "ckd", &[]);
    for lock in [FlockOperation::NonBlockingLockExclusive, FlockOperation::NonBlockingLockShared] {
        let user = fs::File::open(&volume).unwrap();
        flock(&user, lock).unwrap();
        assert_refused(&tape, &["TINY.LEDGER"], &volume, &["volume"]);
        flock(&user, FlockOperation::Unlock).unwrap();
    }
    into(&tape, &["TINY.LEDGER"], &volume).expect(0);
}

#[test]
fn the_volume_keeps_its_permissions_and_the_links_to_it() {
    let (folder, tape, volume) = scene("tiny.ckd", "ckd", &[]);
    let original = units(&volume);
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o640)).unwrap();
    scribble(&volume, 1);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("volume", &link).unwrap();
    into(&tape, &["TINY.LEDGER"], &link).expect(0);
    assert_same_units(&original, &units(&volume), "the volume behind the link");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&volume).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn data_sets_move_to_where_the_volume_has_room_for_them() {
    if !(has("dasdload") && has("dasdseq") && has("dasdcat") && has("dasdls")) {
        return;
    }
    let folder = tempdir().unwrap();
    let at = folder.path();
    let [tape, volume, small] = ["tape.aws", "volume", "small"].map(|name| at.join(name));
    snapshot(&fixture("demo.cckd"), &tape, &["--used"], 0);
    let allocations = "OTHER1 3390 10\nFILLER EMPTY TRK 20 1 0 PS FB 80 27920\nDEMO.LEDGER EMPTY TRK 12 5 0 PS FB 80 800\n\
                       DEMO.SOURCE EMPTY TRK 20 2 5 PO FB 80 800\nDEMO.LOAD EMPTY TRK 9 1 1 PO U 0 6144\n";
    fs::write(at.join("control"), allocations).unwrap();
    peer(at, "dasdload", &["-z".as_ref(), "control".as_ref(), volume.as_os_str(), "1".as_ref()]);
    fs::write(at.join("control"), allocations.replace("TRK 12 5", "TRK 4 5")).unwrap();
    peer(at, "dasdload", &["-z".as_ref(), "control".as_ref(), small.as_os_str(), "1".as_ref()]);
    assert_refused(&tape, &["DEMO.LEDGER"], &small, &["DEMO.LEDGER", "tracks"]);
    assert_refused(&tape, &["DEMO.JOURNAL"], &small, &["DEMO.JOURNAL", "no data set of that name"]);

    into(&tape, &["DEMO.LEDGER", "DEMO.SOURCE", "DEMO.LOAD"], &volume).expect(0);
    let original = at.join("original");
    fs::copy(fixture("demo.cckd"), &original).unwrap();
    let sequential = |image: &Path| {
        let own = tempfile::tempdir_in(at).unwrap();
        peer(own.path(), "dasdseq", &[image.as_os_str(), "DEMO.LEDGER".as_ref()]);
        fs::read(own.path().join("DEMO.LEDGER")).unwrap()
    };
    assert!(sequential(&volume) == sequential(&original));
    assert_eq!(sequential(&volume).len(), 240_000);
    for members in ["DEMO.SOURCE/*", "DEMO.LOAD/*", "DEMO.SOURCE/?"] {
        let read = |image: &Path| peer(at, "dasdcat", &["-i".as_ref(), image.as_os_str(), members.as_ref()]);
        assert!(read(&volume) == read(&original) && !read(&volume).is_empty(), "{members}");
    }
    let listed = String::from_utf8(peer(at, "dasdls", &["-info".as_ref(), volume.as_os_str()])).unwrap();
    let ledger = listed.lines().find(|line| line.starts_with("DEMO.LEDGER")).unwrap();
    assert!(ledger.contains("PS  FB       80 27920"), "the attributes are those of the content: {ledger}");
    assert!(listed.lines().any(|line| line.starts_with("FILLER")), "{listed}");
    run(args!["ls", "--members", "--used", &volume]).expect(0);
}

#[test]
fn a_restored_volume_verifies_against_its_tape_and_a_changed_one_does_not() {
    let (_folder, tape, volume) = scene("tiny.ckd", "ckd", &[]);
    run(args!["tape", "verify", &tape, "--against", &volume]).expect(0);
    run(args!["tape", "verify", &tape, "--against", fixture("tiny.ckd")]).expect(0);
    scribble(&volume, 2);
    let ended = run(args!["tape", "verify", &tape, "--against", &volume]).expect(4);
    assert!((ended.err.clone() + &ended.text()).contains("cyl 0 head 2"), "{ended:?}");
    let report = run(args!["tape", "verify", "--json", &tape, "--against", &volume]).expect(4).json();
    assert_eq!(report["differences"], 1);
    into(&tape, &["**"], &volume).expect(0);
    run(args!["tape", "verify", &tape, "--against", &volume]).expect(0);
    run(args!["tape", "verify", &tape, "--against", fixture("demo.cckd")]).refused(&["demo.cckd", "geometry"]);
    let blocks = volume.with_extension("blocks.aws");
    snapshot(&fixture("tiny.ckd"), &blocks, &["--as", "blocks"], 0);
    run(args!["tape", "verify", &blocks, "--against", &volume]).expect(0);
    scribble(&volume, 2);
    run(args!["tape", "verify", &blocks, "--against", &volume]).expect(4);
}
