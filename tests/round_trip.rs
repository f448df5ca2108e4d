//! A volume goes onto a tape and comes back: the plan is the tape, every way to write it gives the same bytes, and every
//! unit is what it was.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs::{self, File};
use std::path::Path;

use serde_json::Value;
use tapegate::volume::ImageFormat;
use tempfile::{TempDir, tempdir};

use common::{
    CKD_FIXTURES, Ended, assert_same_units, big_volume, fixture, manifest, names_in, open, restore_new, run, snapshot, tapegate,
    units, units_of,
};

const ALL_FIXTURES: [&str; 8] =
    ["demo.cckd", "tiny.ckd", "bzip2.cckd", "stored.cckd", "linux.cckd", "raw.cckd", "tiny.fba", "tiny.cfba"];

/// The plan of a volume with some options.
fn plan(volume: &Path, options: &[&str]) -> Value {
    Ended::of(tapegate().arg("plan").arg("--json").arg(volume).args(options).output().unwrap()).expect(0).json()
}

/// The structure of a tape as `tape map` sees it.
fn map(tape: &Path) -> Value {
    run(args!["tape", "map", "--json", tape]).expect(0).json()
}

/// A snapshot in a folder of its own.
fn taped(volume: &Path, options: &[&str]) -> (TempDir, std::path::PathBuf) {
    let folder = tempdir().unwrap();
    let tape = folder.path().join("tape.aws");
    snapshot(volume, &tape, options, 0);
    (folder, tape)
}

/// Compares the figures of a plan with those of the tape's own structure, its manifest and its length.
fn assert_tape_is_as_planned(volume: &Path, options: &[&str]) {
    let what = format!("{} {options:?}", volume.display());
    let plan = plan(volume, options);
    let (_folder, tape) = taped(volume, options);
    let (map, manifest) = (map(&tape), manifest(&tape));
    let bytes = fs::metadata(&tape).unwrap().len();
    assert_eq!(plan["tape_bytes"], bytes, "{what}");
    assert_eq!(manifest["tape"]["bytes"], bytes, "{what}");
    assert_eq!(map["image_bytes"], bytes, "{what}");
    assert_eq!(map["end"], "double-tape-mark", "{what}");
    assert_eq!(map["findings"].as_array().unwrap().len(), 0, "{what}: {}", map["findings"]);
    let files = |document: &Value| document["files"].as_array().unwrap().clone();
    let (planned, mapped, listed) = (files(&plan), files(&map), files(&manifest));
    assert_eq!((planned.len(), planned.len()), (mapped.len(), listed.len()), "{what}");
    for ((planned, mapped), listed) in planned.iter().zip(&mapped).zip(&listed) {
        let what = format!("{what}: {}", planned["name"]);
        for (ours, theirs) in [("header_offset", "offset"), ("data_offset", "data_offset"), ("data_end_offset", "data_end")] {
            // The map begins the first file behind the volume label; with the label it begins the tape.
            assert_eq!(planned[ours], mapped[theirs], "{what}: {ours}");
        }
        assert_eq!(planned["stream_bytes"], mapped["bytes"], "{what}");
        assert_eq!(planned["blocks"], mapped["blocks"], "{what}");
        if map["labels"] != "nl" {
            assert_eq!(planned["blocks"], mapped["label_blocks"], "{what}");
        }
        for figure in [
            "number",
            "name",
            "class",
            "form",
            "extents",
            "header_offset",
            "data_offset",
            "data_end_offset",
            "stream_bytes",
            "blocks",
            "destination_block",
            "destination_offset",
        ] {
            assert_eq!(planned[figure], listed[figure], "{what}: {figure}");
        }
    }
}

#[test]
fn the_plan_of_every_fixture_is_its_tape_to_the_byte() {
    for name in ALL_FIXTURES {
        assert_tape_is_as_planned(&fixture(name), &[]);
    }
}

#[test]
fn the_plan_is_the_tape_with_every_option() {
    for options in [
        &["--labels", "al"][..],
        &["--labels", "nl"],
        &["--tape-block", "18"],
        &["--tape-block", "4096", "--block-size", "512", "--first-block", "1000"],
        &["--tape-block", "65535"],
        &["--used"],
        &["--used", "--as", "blocks"],
        &["--as", "blocks", "--labels", "al"],
        &["--as", "blocks", "--labels", "nl"],
        &["--whole"],
        &["--no-free"],
        &["DEMO.L*", "--exclude", "DEMO.LOAD"],
        &["--volser", "ABC123"],
    ] {
        assert_tape_is_as_planned(&fixture("demo.cckd"), options);
    }
    assert_tape_is_as_planned(&fixture("tiny.ckd"), &["--as", "blocks", "--tape-block", "999"]);
}

/// `length` bytes of a tape's data from `at` on, chunk headers left out.
fn data_from(tape: &[u8], at: usize, length: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(length);
    let mut chunk = 0;
    while data.len() < length {
        let begin = chunk + 6;
        chunk = begin + usize::from(u16::from_le_bytes([tape[chunk], tape[chunk + 1]]));
        if chunk > at {
            let from = begin.max(at);
            data.extend(&tape[from..chunk.min(from + length - data.len())]);
        }
    }
    data
}

#[test]
fn each_unit_lies_where_it_was_planned() {
    let volume = fixture("tiny.ckd");
    let units = units(&volume);
    let plan = plan(&volume, &["--units", "--tape-block", "1000", "--block-size", "512", "--first-block", "7"]);
    let (_folder, tape) = taped(&volume, &["--tape-block", "1000"]);
    let tape = fs::read(&tape).unwrap();
    let mut found = vec![0; units.len()];
    for file in plan["files"].as_array().unwrap().iter().skip(1) {
        // The data begins with the header of its first chunk.
        let mut place = file["data_offset"].as_u64().unwrap() + 6;
        for unit in file["units"].as_array().unwrap() {
            let number = usize::try_from(unit["unit"].as_u64().unwrap()).unwrap();
            let offset = unit["offset"].as_u64().unwrap();
            assert_eq!(unit["destination_block"], 7 + offset / 512);
            assert_eq!(unit["destination_offset"], offset % 512);
            let body = &units[number].1;
            assert_eq!(place, offset, "unit {number} lies behind the one before, chunk headers included");
            place += unit["bytes"].as_u64().unwrap();
            let bytes = data_from(&tape, usize::try_from(offset).unwrap(), 16 + body.len());
            assert!(&bytes[16..] == body, "unit {number}");
            found[number] += 1;
        }
        assert_eq!(file["data_end_offset"], place);
    }
    assert!(found.iter().all(|count| *count == 1), "no two files of this volume share a track");
}

#[test]
fn threads_and_pipes_make_the_same_tape() {
    let folder = tempdir().unwrap();
    let big = folder.path().join("big");
    big_volume(&big, ImageFormat::Ckd, 12, 1);
    let packed = folder.path().join("packed");
    big_volume(&packed, ImageFormat::Cckd, 12, 2);
    let volumes = ["demo.cckd", "tiny.ckd", "linux.cckd", "tiny.cfba"].map(fixture);
    for volume in volumes.iter().chain([&big, &packed]) {
        for form in ["tracks", "blocks"] {
            if form == "blocks" && !volume.ends_with("demo.cckd") && !volume.ends_with("tiny.ckd") {
                continue;
            }
            let what = format!("{} as {form}", volume.display());
            let out = tempdir().unwrap();
            let tape = |name: &str| out.path().join(name);
            snapshot(volume, &tape("1"), &["-j", "1", "--as", form], 0);
            snapshot(volume, &tape("4"), &["-j", "4", "--as", form], 0);
            let one = fs::read(tape("1")).unwrap();
            assert!(one == fs::read(tape("4")).unwrap(), "{what}: four threads");
            let piped = Ended::of(
                tapegate()
                    .args(["snapshot", "-j", "3", "--as", form, "--json", "-o", "-", "--manifest"])
                    .arg(tape("piped.json"))
                    .arg(volume)
                    .output()
                    .unwrap(),
            )
            .expect(0);
            assert!(one == piped.out, "{what}: a pipe");
            let report: Value = serde_json::from_str(&piped.err).unwrap();
            assert_eq!(report["bytes"], one.len(), "{what}");
            let manifests = ["1.manifest.json", "4.manifest.json", "piped.json"].map(|name| fs::read(tape(name)).unwrap());
            assert!(manifests[0] == manifests[1] && manifests[0] == manifests[2], "{what}: manifests");
            assert_eq!(names_in(out.path()), ["1", "1.manifest.json", "4", "4.manifest.json", "piped.json"], "{what}");
        }
    }
}

/// Restores a tape to each format and compares every unit.
fn assert_restores(volume: &Path, options: &[&str], formats: &[&str]) {
    let original = units(volume);
    let (folder, tape) = taped(volume, options);
    for format in formats {
        let image = folder.path().join(format);
        let report = restore_new(&tape, &image, &["--format", format, "--json"]).json();
        let what = format!("{} {options:?} as {format}", volume.display());
        assert_eq!(report["findings"].as_array().unwrap().len(), 0, "{what}");
        let copy = open(&image);
        assert_eq!(copy.format().name(), *format, "{what}");
        assert_same_units(&original, &units_of(&copy), &what);
    }
}

#[test]
fn every_ckd_fixture_comes_back_in_every_format_that_holds_it() {
    for name in CKD_FIXTURES {
        assert_restores(&fixture(name), &[], &["ckd", "cckd", "cckd64"]);
    }
    for name in ["demo.cckd", "linux.cckd"] {
        assert_restores(&fixture(name), &[], &["raw-track"]);
    }
}

#[test]
fn fixed_blocks_come_back_plain_and_compressed() {
    for name in ["tiny.fba", "tiny.cfba"] {
        assert_restores(&fixture(name), &[], &["fba", "cfba", "cfba64"]);
    }
}

#[test]
fn every_kind_of_tape_restores() {
    for options in [
        &["--labels", "al"][..],
        &["--labels", "nl"],
        &["--tape-block", "18"],
        &["--tape-block", "4096"],
        &["--tape-block", "65535", "--labels", "nl"],
        &["--whole"],
    ] {
        // Of the small volume a plain image, of the large one an image that is small all the same.
        assert_restores(&fixture("tiny.ckd"), options, &["ckd"]);
        assert_restores(&fixture("demo.cckd"), options, &["cckd"]);
    }
}

#[test]
fn volumes_with_shadow_files_come_back_as_the_guest_left_them() {
    let (base, shadows) = (fixture("demo.cckd"), [fixture("demo_1.shadow"), fixture("demo_2.shadow")]);
    let options = tapegate::volume::OpenOptions { shadows: shadows.to_vec(), ..Default::default() };
    let original = units_of(&tapegate::volume::Volume::open(&base, &options).unwrap());
    let folder = tempdir().unwrap();
    let [by_list, by_pattern, image] = ["list.aws", "pattern.aws", "image"].map(|name| folder.path().join(name));
    run(args!["snapshot", &base, "--shadow", &shadows[0], "--shadow", &shadows[1], "-o", &by_list]).expect(0);
    run(args!["snapshot", &base, "--sf", fixture("demo_*.shadow"), "-o", &by_pattern]).expect(0);
    assert!(fs::read(&by_list).unwrap() == fs::read(&by_pattern).unwrap());
    restore_new(&by_list, &image, &[]);
    assert_same_units(&original, &units(&image), "demo with shadows");
    assert!(original != units(&base), "the shadows hold something of their own");
}

#[test]
fn the_second_tape_of_a_restored_volume_is_the_first() {
    for name in ["tiny.ckd", "demo.cckd"] {
        let (folder, tape) = taped(&fixture(name), &["--labels", "sl"]);
        let (image, again) = (folder.path().join("image"), folder.path().join("again.aws"));
        restore_new(&tape, &image, &[]);
        snapshot(&image, &again, &[], 0);
        assert!(fs::read(&tape).unwrap() == fs::read(&again).unwrap(), "{name}");
    }
}

/// Names of the data sets on a tape.
fn data_sets(tape: &Path) -> Vec<String> {
    let manifest = manifest(tape);
    let files = manifest["files"].as_array().unwrap();
    files.iter().filter(|file| file["class"] == "data-set").map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn patterns_choose_the_data_sets_that_they_name() {
    let volume = fixture("demo.cckd");
    for (options, expected) in [
        (&["DEMO.LEDGER"][..], &["DEMO.LEDGER"][..]),
        (&["demo.l*"], &["DEMO.LEDGER", "DEMO.LOAD"]),
        (&["DEMO.LOA%"], &["DEMO.LOAD"]),
        (&["**", "--exclude", "DEMO.EMPTY*", "--exclude", "*.L*"], &["DEMO.SOURCE", "DEMO.JOURNAL", "DEMO.DIRECT"]),
        (&["--exclude", "DEMO.%%%%*"], &[]),
    ] {
        if expected.is_empty() {
            continue;
        }
        let (_folder, tape) = taped(&volume, options);
        let mut found = data_sets(&tape);
        let mut expected: Vec<_> = expected.iter().map(|&name| name.to_owned()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{options:?}");
        assert!(manifest(&tape)["files"].as_array().unwrap().iter().all(|file| file["class"] != "rest"), "{options:?}");
    }
}

#[test]
fn a_pattern_that_fits_nothing_is_refused() {
    let folder = tempdir().unwrap();
    let tape = folder.path().join("tape.aws");
    run(args!["snapshot", fixture("demo.cckd"), "DEMO.LEDGER", "NO.SUCH.*", "-o", &tape]).refused(&["NO.SUCH.*", "demo.cckd"]);
    run(args!["snapshot", fixture("stored.cckd"), "ANY.NAME", "-o", &tape]).refused(&["no VTOC", "stored.cckd"]);
    run(args!["snapshot", fixture("demo.cckd"), "DEMO.LEDGER", "--exclude", "DEMO.LEDGER", "-o", &tape]).refused(&["excluded"]);
    run(args!["snapshot", fixture("demo.cckd"), "DEMO.LEDGER", "--whole", "-o", &tape]).refused(&["--whole"]);
    snapshot(&fixture("demo.cckd"), &tape, &[], 0);
    let image = folder.path().join("image");
    run(args!["restore", &tape, "NO.SUCH.*", "--new", &image]).refused(&["NO.SUCH.*", "tape.aws"]);
    assert!(!image.exists());
}

#[test]
fn chosen_data_sets_come_back_and_all_other_tracks_are_empty() {
    let volume = fixture("demo.cckd");
    let original = units(&volume);
    let (folder, tape) = taped(&volume, &["DEMO.LEDGER", "DEMO.SOURCE"]);
    let image = folder.path().join("image");
    restore_new(&tape, &image, &[]);
    let copy = units(&image);
    let manifest = manifest(&tape);
    let mut on_tape = vec![false; original.len()];
    for extent in manifest["files"].as_array().unwrap().iter().flat_map(|file| file["extents"].as_array().unwrap()) {
        let [first, count] = [0, 1].map(|place| usize::try_from(extent[place].as_u64().unwrap()).unwrap());
        on_tape[first..first + count].fill(true);
    }
    // Label and VTOC come with the description.
    let listing = run(args!["ls", "--json", &volume]).expect(0).json();
    let vtoc = &listing["vtoc"]["extent"];
    let vtoc_first =
        usize::try_from(vtoc["first_cylinder"].as_u64().unwrap() * 15 + vtoc["first_head"].as_u64().unwrap()).unwrap();
    let vtoc_tracks = usize::try_from(vtoc["tracks"].as_u64().unwrap()).unwrap();
    on_tape[0] = true;
    on_tape[vtoc_first..vtoc_first + vtoc_tracks].fill(true);
    assert!(on_tape.iter().filter(|on_tape| **on_tape).count() > 15);
    for (unit, on_tape) in on_tape.iter().enumerate() {
        if *on_tape {
            assert!(original[unit] == copy[unit], "unit {unit}");
        } else {
            // Home address and R0, or with the end-of-file record that Hercules' null tracks have.
            assert!(copy[unit].1.len() <= 29, "unit {unit} has {} bytes", copy[unit].1.len());
        }
    }
}

#[test]
fn used_tracks_alone_restore_to_data_sets_that_read_the_same() {
    let volume = fixture("demo.cckd");
    let (folder, tape) = taped(&volume, &["--used"]);
    let whole = manifest(&taped(&volume, &[]).1)["tape"]["bytes"].as_u64();
    assert!(whole.is_none_or(|whole| fs::metadata(&tape).unwrap().len() < whole));
    let image = folder.path().join("image");
    restore_new(&tape, &image, &[]);
    let listing = |volume: &Path| {
        let mut listing = run(args!["ls", "--json", "--members", "--used", volume]).expect(0).json();
        listing["volume"] = Value::Null;
        listing
    };
    assert_eq!(listing(&volume), listing(&image));
}

#[test]
fn the_serial_of_a_tape_is_the_one_that_was_asked_for() {
    let (_folder, tape) = taped(&fixture("tiny.ckd"), &["--volser", "xyz042"]);
    assert_eq!(map(&tape)["volser"], "XYZ042");
    let (_folder, tape) = taped(&fixture("tiny.ckd"), &[]);
    assert_eq!(map(&tape)["volser"], "VINY01", "T would make it the disk's own");
}

#[test]
fn tape_blocks_that_no_tape_has_are_refused() {
    let folder = tempdir().unwrap();
    let tape = folder.path().join("tape.aws");
    for length in ["0", "17", "65536"] {
        run(args!["snapshot", fixture("tiny.ckd"), "--tape-block", length, "-o", &tape]).refused(&[length]);
    }
    assert_eq!(names_in(folder.path()), Vec::<String>::new());
}

#[test]
fn a_tape_in_a_pipe_can_be_a_file_too() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("redirected.aws");
    let status =
        tapegate().args(["snapshot", "-o", "-"]).arg(fixture("demo.cckd")).stdout(File::create(&path).unwrap()).status().unwrap();
    assert!(status.success());
    let (_other, tape) = taped(&fixture("demo.cckd"), &[]);
    assert!(fs::read(&tape).unwrap() == fs::read(&path).unwrap());
    assert_eq!(names_in(folder.path()), ["redirected.aws"], "no manifest was asked for");
}
