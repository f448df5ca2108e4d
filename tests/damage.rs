//! Damaged tapes are refused, damaged volumes are told and carried, and hostile files end with an error: never a panic,
//! never half a volume, never silence.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use tapegate::plan::pattern::Selection;
use tapegate::restore::{NewImageOptions, TapeVolume, restore_new as library_restore};
use tapegate::snapshot::{Manifest, NoMonitor};
use tapegate::volume::ImageFormat;
use tapegate::volume::create::CreateOptions;
use tempfile::{TempDir, tempdir};

use common::{
    Ended, assert_same_units, fixture, names_in, open, patch, restore_new, run, slot_offset, snapshot, tapegate, units,
};

/// A tape of a fixture, in a folder of its own.
fn taped(name: &str, options: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let tape = folder.path().join("tape.aws");
    snapshot(&fixture(name), &tape, options, 0);
    (folder, tape)
}

/// Where the data of file `number` begins and ends on a tape.
fn data_of(tape: &Path, number: usize) -> (u64, u64) {
    let manifest = common::manifest(tape);
    let file = &manifest["files"][number - 1];
    (file["data_offset"].as_u64().unwrap(), file["data_end_offset"].as_u64().unwrap())
}

/// Restores without the program, with the manifest if it is beside the tape.
fn restored(tape: &Path, image: &Path) -> Result<(), String> {
    let tape_volume = TapeVolume::open(tape, |_| {}).map_err(|error| error.to_string())?;
    let manifest = Manifest::read(&Manifest::path_of(tape)).map_err(|error| error.to_string())?;
    let options = NewImageOptions {
        image: image.to_owned(),
        create: CreateOptions::new(ImageFormat::Ckd),
        selection: &Selection::default(),
        threads: 1,
        sync: false,
    };
    let done = library_restore(&tape_volume, manifest.as_ref(), &options, &AtomicBool::new(false), &NoMonitor);
    done.map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn a_tape_that_was_cut_gives_no_volume() {
    let (folder, tape) = taped("tiny.ckd", &[]);
    let whole = fs::read(&tape).unwrap();
    let image = folder.path().join("image");
    let (_, end_of_data) = data_of(&tape, 4);
    let end_of_data = usize::try_from(end_of_data).unwrap();
    for length in [0, 1, 5, 6, 80, 86, 200, 300, 3000, whole.len() / 2, end_of_data - 1] {
        fs::write(&tape, &whole[..length]).unwrap();
        run(args!["restore", &tape, "--new", &image]).refused(&["tape.aws"]);
        assert!(!image.exists(), "cut at {length}");
        let verified = run(args!["tape", "verify", &tape]);
        assert!(matches!(verified.code, Some(1 | 3)), "cut at {length}: {verified:?}");
    }
    // All data is there, but trailers or the end of the tape are not.
    for length in [end_of_data, end_of_data + 6, whole.len() - 6, whole.len() - 1] {
        fs::write(&tape, &whole[..length]).unwrap();
        let verified = run(args!["tape", "verify", &tape]).expect(3);
        assert!(verified.text().contains("NOT SOUND") && verified.err.starts_with("warning: "), "cut at {length}: {verified:?}");
        run(args!["restore", &tape, "--new", &image]).refused(&["tape.aws", "cut short"]);
        assert!(!image.exists(), "cut at {length}");
    }
}

#[test]
fn a_flipped_bit_in_the_data_is_found_and_named() {
    for manifest in [true, false] {
        let (folder, tape) = taped("tiny.ckd", &[]);
        if !manifest {
            fs::remove_file(Manifest::path_of(&tape)).unwrap();
        }
        let (begin, end) = if manifest { data_of(&tape, 3) } else { data_of(&taped("tiny.ckd", &[]).1, 3) };
        let image = folder.path().join("image");
        let original = fs::read(&tape).unwrap();
        for place in [begin + 6, begin + 6 + 9, begin + 100, (begin + end) / 2, end - 1] {
            let byte = original[usize::try_from(place).unwrap()];
            patch(&tape, place, &[byte ^ 0x10]);
            run(args!["restore", &tape, "--new", &image]).refused(&["tape.aws", "file 3"]);
            assert!(!image.exists());
            let verified = run(args!["tape", "verify", &tape]).expect(3);
            assert!(verified.err.contains("file 3"), "at {place}: {}", verified.err);
            patch(&tape, place, &[byte]);
        }
        run(args!["tape", "verify", &tape]).expect(0);
        restore_new(&tape, &image, &[]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is flipped anywhere on a tape, a restore that succeeds gives the volume that was copied.
    #[test]
    fn a_restore_of_a_damaged_tape_gives_the_volume_or_nothing(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 1..4),
        manifest in any::<bool>(),
    ) {
        let (folder, tape) = taped("tiny.ckd", &["--tape-block", "4096"]);
        if !manifest {
            fs::remove_file(Manifest::path_of(&tape)).unwrap();
        }
        let mut bytes = fs::read(&tape).unwrap();
        for (place, bit) in &flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        fs::write(&tape, bytes).unwrap();
        let image = folder.path().join("image");
        match restored(&tape, &image) {
            Ok(()) => prop_assert!(units(&image) == units(&fixture("tiny.ckd")), "flips {:?}", flips),
            Err(message) => {
                prop_assert!(message.contains("tape.aws"), "{}", message);
                prop_assert!(!image.exists());
            }
        }
    }
}

#[test]
fn the_manifest_of_another_tape_is_refused() {
    let (folder, tape) = taped("tiny.ckd", &[]);
    let (_other_folder, other) = taped("demo.cckd", &[]);
    let image = folder.path().join("image");
    fs::copy(Manifest::path_of(&other), Manifest::path_of(&tape)).unwrap();
    run(args!["restore", &tape, "--new", &image]).refused(&["manifest is of another tape"]);
    let missing = folder.path().join("missing.json");
    run(args!["restore", &tape, "--new", &image, "--manifest", &missing]).refused(&["missing.json"]);
    fs::write(Manifest::path_of(&tape), "{}").unwrap();
    run(args!["restore", &tape, "--new", &image]).refused(&["manifest"]);
    fs::remove_file(Manifest::path_of(&tape)).unwrap();
    restore_new(&tape, &image, &[]);
}

#[test]
fn a_unit_that_is_not_what_the_manifest_says_is_refused_by_its_address() {
    let (folder, tape) = taped("tiny.ckd", &[]);
    let path = Manifest::path_of(&tape);
    let mut manifest = common::manifest(&tape);
    let digests = manifest["files"][2]["unit_digests"].as_str().unwrap().to_owned();
    // The second unit of the third file: its digest is 16 bytes, two digits each.
    let digit = if &digests[32..33] == "0" { "1" } else { "0" };
    manifest["files"][2]["unit_digests"] = format!("{}{digit}{}", &digests[..32], &digests[33..]).into();
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    let image = folder.path().join("image");
    run(args!["restore", &tape, "--new", &image]).refused(&["file 3", "cyl", "head", "digest"]);
    assert!(!image.exists());
}

/// A copy of tiny.ckd with changed bytes at an offset of a track's slot.
fn damaged_volume(folder: &Path, track: u32, at: u64, bytes: &[u8]) -> PathBuf {
    let volume = folder.join("damaged.ckd");
    fs::copy(fixture("tiny.ckd"), &volume).unwrap();
    let offset = slot_offset(&open(&volume), track) + at;
    patch(&volume, offset, bytes);
    volume
}

#[test]
fn a_damaged_track_is_told_carried_and_restored_bit_for_bit() {
    // Track 1 has R1 with 3,600 bytes behind home address and R0, then the end mark, in a slot of 4,096. Its home
    // address names another track; R1 is longer than the slot; records of nothing fill it to the end.
    for (at, bytes) in [(2, &[0x07][..]), (27, &[0xff, 0xff]), (3629, &[0; 467])] {
        let folder = tempdir().unwrap();
        let volume = damaged_volume(folder.path(), 1, at, bytes);
        let what = format!("{bytes:?} at {at}");
        let tape = folder.path().join("tape.aws");
        let report = snapshot(&volume, &tape, &["--json"], 3).json();
        let findings = report["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["code"] == "raw-slot").unwrap_or_else(|| panic!("{what}: {report}"));
        assert_eq!((finding["address"].as_str(), finding["grade"].as_str()), (Some("cyl 0 head 1"), Some("damage")), "{what}");
        let image = folder.path().join("image");
        restore_new(&tape, &image, &["--format", "ckd"]);
        assert_same_units(&units(&volume), &units(&image), &what);
        let slot = usize::try_from(slot_offset(&open(&volume), 1)).unwrap();
        let slots = [&volume, &image].map(|path| fs::read(path).unwrap()[slot..slot + 4096].to_vec());
        assert!(slots[0] == slots[1], "{what}: every byte of the slot");
        let packed = folder.path().join("packed");
        run(args!["restore", &tape, "--new", &packed, "--format", "cckd"]).refused(&["cyl 0 head 1", "ckd"]);
        assert!(!packed.exists());
        let shown = run(args!["track", &volume, "0", "1"]);
        assert_eq!(shown.code, Some(3), "{what}");
    }
}

#[test]
fn a_count_field_may_name_another_track_and_comes_back_as_it_is() {
    let folder = tempdir().unwrap();
    let volume = damaged_volume(folder.path(), 1, 22, &[0x07, 0, 5, 99]);
    let (tape, image) = (folder.path().join("tape.aws"), folder.path().join("image"));
    snapshot(&volume, &tape, &[], 0);
    restore_new(&tape, &image, &[]);
    assert_same_units(&units(&volume), &units(&image), "odd count fields");
    assert!(units(&image) != units(&fixture("tiny.ckd")));
}

#[test]
fn a_damaged_label_or_vtoc_costs_findings_and_not_the_volume() {
    let listing = run(args!["ls", "--json", fixture("tiny.ckd")]).expect(0).json();
    let extent = &listing["vtoc"]["extent"];
    let vtoc = extent["first_cylinder"].as_u64().unwrap() * 10 + extent["first_head"].as_u64().unwrap();
    let vtoc = u32::try_from(vtoc).unwrap();
    let mut told = 0;
    for track in [0, vtoc] {
        for at in (5..1500).step_by(41) {
            let folder = tempdir().unwrap();
            let volume = damaged_volume(folder.path(), track, at, &[0xa5, 0x5a]);
            let tape = folder.path().join("tape.aws");
            let ended = run(args!["snapshot", "--no-sync", &volume, "-o", &tape]);
            assert!(matches!(ended.code, Some(0 | 1 | 3)), "track {track} at {at}: {ended:?}");
            told += u32::from(ended.code == Some(3));
            if ended.code == Some(1) {
                ended.refused(&["damaged.ckd"]);
                assert_eq!(names_in(folder.path()), ["damaged.ckd"]);
                continue;
            }
            let image = folder.path().join("image");
            restore_new(&tape, &image, &["--format", "ckd"]);
            assert_same_units(&units(&volume), &units(&image), &format!("track {track} at {at}"));
        }
    }
    assert!(told > 0, "some of them hit what is read");
}

/// Runs the program in 2 GiB of address space.
fn confined(arguments: &[&std::ffi::OsStr]) -> Ended {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 2097152; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_tapegate")]).args(arguments);
    Ended::of(command.output().unwrap())
}

/// Lists, plans and copies whatever a file is, and fails if the program does anything but end with an exit code of its own.
#[track_caller]
fn assert_survives(volume: &Path, what: &str) -> Vec<i32> {
    let tape = volume.with_extension("aws");
    let commands =
        [args!["ls", "--members", "--used", volume].to_vec(), args!["snapshot", "--no-sync", volume, "-o", &tape].to_vec()];
    let codes = commands.map(|arguments| {
        let arguments: Vec<_> = arguments.iter().map(std::ffi::OsString::as_os_str).collect();
        let ended = confined(&arguments);
        assert!(matches!(ended.code, Some(0 | 1 | 3)), "{what}: {arguments:?}: {ended:?}");
        assert!(!ended.err.contains("panicked"), "{what}: {}", ended.err);
        if ended.code == Some(1) {
            assert!(ended.err.contains(&*volume.file_name().unwrap().to_string_lossy()), "{what}: {}", ended.err);
        }
        ended.code.unwrap()
    });
    let _there_or_not = (fs::remove_file(&tape), fs::remove_file(Manifest::path_of(&tape)));
    codes.to_vec()
}

#[test]
fn files_that_are_no_volume_are_refused() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("file");
    let mut noise = vec![0_u8; 100_000];
    let mut state = 1_u32;
    for byte in &mut noise {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = state.to_be_bytes()[0];
    }
    for (content, what) in [
        (&b""[..], "nothing"),
        (b"x", "one byte"),
        (b"Dear reader,\nthis is no volume.\n", "text"),
        (&noise[..99_999], "noise"),
        (b"CKD_P370", "a name alone"),
        (b"CKD_C370", "a compressed name alone"),
    ] {
        fs::write(&file, content).unwrap();
        assert_eq!(assert_survives(&file, what), [1, 1], "{what}");
        let refused = run(args!["ls", &file]).refused(&["file"]);
        assert!(refused.err.len() < 400, "{}", refused.err);
    }
    run(args!["ls", folder.path()]).refused(&["neither a file nor a block device"]);
    run(args!["snapshot", "/dev/null", "-o", folder.path().join("tape.aws")]).refused(&["/dev/null"]);
}

#[test]
fn headers_with_huge_counts_end_in_an_error_and_little_memory() {
    let folder = tempdir().unwrap();
    for name in ["tiny.ckd", "demo.cckd", "tiny.cfba"] {
        let volume = folder.path().join(name);
        let original = fs::read(fixture(name)).unwrap();
        // Every word of the device header's and the compressed header's beginning.
        for at in (8..40).step_by(4).chain((512..576).step_by(4)) {
            if name == "tiny.ckd" && at >= 512 {
                continue;
            }
            let mut bytes = original.clone();
            bytes[at..at + 4].fill(0xff);
            fs::write(&volume, &bytes).unwrap();
            assert_survives(&volume, &format!("{name}: ff at {at}"));
        }
    }
}

#[test]
fn cut_and_flipped_images_end_with_a_volume_a_finding_or_an_error() {
    let folder = tempdir().unwrap();
    let mut state = 7_u32;
    let mut next = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(state >> 8).unwrap() % below
    };
    for name in ["tiny.ckd", "demo.cckd", "bzip2.cckd", "linux.cckd", "tiny.cfba", "tiny.fba"] {
        let volume = folder.path().join(name);
        let original = fs::read(fixture(name)).unwrap();
        for _ in 0..6 {
            let length = next(original.len());
            fs::write(&volume, &original[..length]).unwrap();
            assert_survives(&volume, &format!("{name} cut to {length}"));
            let mut bytes = original.clone();
            let places = [next(1024.min(original.len())), next(original.len()), next(original.len())];
            for place in places {
                bytes[place] ^= 1 << (place % 8);
            }
            fs::write(&volume, &bytes).unwrap();
            assert_survives(&volume, &format!("{name} flipped at {places:?}"));
        }
    }
}

#[test]
fn hostile_tapes_end_with_an_error() {
    let (folder, tape) = taped("tiny.ckd", &[]);
    let original = fs::read(&tape).unwrap();
    let (description, end) = data_of(&tape, 1);
    let image = folder.path().join("image");
    fs::remove_file(Manifest::path_of(&tape)).unwrap();
    // Each word of the description's first hundred bytes, where its counts are.
    for at in (description + 6..(description + 110).min(end)).step_by(4) {
        let mut bytes = original.clone();
        let at = usize::try_from(at).unwrap();
        bytes[at..at + 4].fill(0xff);
        fs::write(&tape, &bytes).unwrap();
        let arguments = args!["restore", "--no-sync", &tape, "--new", &image];
        let arguments: Vec<_> = arguments.iter().map(std::ffi::OsString::as_os_str).collect();
        let ended = confined(&arguments);
        assert!(matches!(ended.code, Some(0 | 1 | 3)) && !ended.err.contains("panicked"), "ff at {at}: {ended:?}");
        if image.exists() {
            assert_same_units(&units(&fixture("tiny.ckd")), &units(&image), &format!("ff at {at}"));
            fs::remove_file(&image).unwrap();
        }
    }
    let status = tapegate().args(["tape", "map"]).arg("/dev/zero").output().unwrap();
    assert_eq!(Ended::of(status).code, Some(1));
}
