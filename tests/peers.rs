//! Programs of Hercules 3.13 judge what this one writes: tapes, restored volumes, and data sets in blocks form; on the
//! fixtures, and on real volumes where they are at hand.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tapegate::volume::Shape;
use tempfile::tempdir;

use common::{CKD_FIXTURES, assert_same_units, data, fixture, has, manifest, open, peer, restore_new, run, snapshot, units};

/// Real volumes that Hercules 3.13 reads.
const REAL_VOLUMES: [&str; 8] = [
    "tk4/pub010.241",
    "tk4/smp001.149",
    "tk4/hasp00.152",
    "tk4/work01.170",
    "tk4/sort05.135",
    "os/dliba1-restored.3330.xz",
    "os/vsamin.cckd",
    "hyperion/CCWILS.3390-1.comp-z",
];

/// Real volumes that it can't read.
const WIDE_VOLUMES: [&str; 3] = ["hyperion/3330.cckd64", "hyperion/3380.cckd64", "hyperion/3390.cckd64"];

/// A real volume in `folder`, expanded if it is packed, and writable, since programs of Hercules open it so.
fn fetched(data: &Path, name: &str, folder: &Path) -> Option<PathBuf> {
    let source = data.join(name);
    let stem = source.file_name().unwrap().to_string_lossy().into_owned();
    let target = folder.join(stem.trim_end_matches(".xz"));
    if stem.ends_with(".xz") {
        if !has("xz") {
            return None;
        }
        fs::write(&target, peer(folder, "xz", &["-dc".as_ref(), source.as_os_str()])).unwrap();
    } else {
        fs::write(&target, fs::read(&source).unwrap()).unwrap();
    }
    Some(target)
}

/// Calls `judge` with a writable copy of each fixture and each real volume that Hercules reads, in a folder of its own.
fn each_volume(judge: impl Fn(&Path, &Path)) {
    for name in CKD_FIXTURES {
        let folder = tempdir().unwrap();
        let volume = folder.path().join(name);
        fs::write(&volume, fs::read(fixture(name)).unwrap()).unwrap();
        judge(&volume, folder.path());
    }
    let Some(data) = data() else { return };
    for name in REAL_VOLUMES {
        let folder = tempdir().unwrap();
        let Some(volume) = fetched(data, name, folder.path()) else { continue };
        judge(&volume, folder.path());
    }
}

/// A tape of a volume with findings or without.
fn taped(volume: &Path, folder: &Path, options: &[&str]) -> PathBuf {
    let tape = folder.join("tape.aws");
    let _nothing_there = fs::remove_file(&tape);
    snapshot(volume, &tape, options, 0);
    tape
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The last 17 characters of a name, as labels have it.
fn label_name(name: &str) -> String {
    let skipped = name.chars().count().saturating_sub(17);
    format!("{:17}", name.chars().skip(skipped).collect::<String>())
}

/// The values that `hetmap -l` gives for a field, in order.
fn label_fields(map: &str, field: &str) -> Vec<String> {
    let lines = map.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() == field);
    lines.map(|(_, value)| value.trim().trim_matches('\'').to_owned()).collect()
}

/// The blocks of each file between tape marks, as `hetmap -f` counts them.
fn counted_blocks(map: &str) -> Vec<u64> {
    let files = map.lines().take_while(|line| !line.starts_with("Summary"));
    let counts = files.filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() == "Blocks");
    counts.map(|(_, value)| value.trim().parse().unwrap()).collect()
}

#[test]
fn hercules_maps_every_file_with_its_labels_and_block_counts() {
    if !(has("hetmap") && has("tapemap")) {
        return;
    }
    each_volume(|volume, folder| {
        for options in [&[][..], &["--as", "blocks", "--used"], &["--tape-block", "5000"]] {
            let what = format!("{} {options:?}", volume.display());
            let tape = taped(volume, folder, options);
            let manifest = manifest(&tape);
            let files = manifest["files"].as_array().unwrap();
            let names: Vec<_> = files.iter().map(|file| label_name(file["name"].as_str().unwrap())).collect();
            let blocks: Vec<_> = files.iter().map(|file| file["blocks"].as_u64().unwrap()).collect();

            let labels = text(&peer(folder, "hetmap", &["-l".as_ref(), tape.as_os_str()]));
            let kinds = label_fields(&labels, "Label");
            let expected: Vec<_> = ["HDR1", "HDR2", "EOF1", "EOF2"].repeat(files.len());
            assert_eq!(kinds[0], "VOL1", "{what}");
            assert_eq!(kinds[1..], expected, "{what}");
            let twice = |values: &[String]| values.iter().flat_map(|value| [value.clone(), value.clone()]).collect::<Vec<_>>();
            let found: Vec<_> = label_fields(&labels, "Dataset ID").iter().map(|name| format!("{name:17}")).collect();
            assert_eq!(found, twice(&names), "{what}");
            let counts: Vec<u64> = label_fields(&labels, "Block Count Low").iter().map(|count| count.parse().unwrap()).collect();
            let trailers: Vec<_> = blocks.iter().flat_map(|count| [0, *count]).collect();
            assert_eq!(counts, trailers, "{what}");
            let serials = label_fields(&labels, "Volume Serial");
            assert!(serials.iter().all(|serial| manifest["tape"]["volser"] == serial.as_str()), "{what}: {serials:?}");
            let sequence: Vec<u64> =
                label_fields(&labels, "Dataset Sequence").iter().map(|number| number.parse().unwrap()).collect();
            let numbers: Vec<_> = (1..=files.len() as u64).flat_map(|number| [number, number]).collect();
            assert_eq!(sequence, numbers, "{what}");

            let counted = counted_blocks(&text(&peer(folder, "hetmap", &["-f".as_ref(), tape.as_os_str()])));
            let data: Vec<_> = counted.iter().skip(1).step_by(3).copied().take(files.len()).collect();
            assert_eq!(data, blocks, "{what}: blocks counted on the tape");

            let map = text(&peer(folder, "tapemap", &[tape.as_os_str()]));
            let of = |kind: &str| -> Vec<String> {
                map.lines().filter_map(|line| line.strip_prefix(kind)).map(|line| line[..17].to_owned()).collect()
            };
            assert_eq!((of("HDR1"), of("EOF1")), (names.clone(), names), "{what}");
        }
    });
}

/// What a program of Hercules says of an image, without the image's name in front.
fn told(folder: &Path, program: &str, options: &[&str], image: &Path) -> Vec<String> {
    let arguments: Vec<_> = options.iter().map(OsStr::new).chain([image.as_os_str()]).collect();
    let output = text(&peer(folder, program, &arguments));
    let name = format!("{}: ", image.display());
    output.lines().map(|line| line.replace(&name, "")).collect()
}

/// Whether `dasdseq` copies a data set: it knows fixed records alone, and where the DSCB has no record length it never ends.
fn dasdseq_reads(data_set: &Value) -> bool {
    data_set["recfm"].as_str().is_some_and(|recfm| recfm.starts_with('F'))
        && data_set["lrecl"].as_u64().is_some_and(|length| length > 0)
}

/// The data sets that Hercules reads from an image, and what it reads.
fn contents(folder: &Path, listing: &Value, image: &Path) -> Vec<(String, Vec<u8>)> {
    let mut contents = Vec::new();
    for data_set in listing["data_sets"].as_array().unwrap() {
        let name = data_set["name"].as_str().unwrap();
        let bytes = match data_set["dsorg"].as_str() {
            Some("PO") => {
                let members = format!("{name}/*");
                peer(folder, "dasdcat", &["-i".as_ref(), image.as_os_str(), members.as_ref()])
            }
            Some("PS") if dasdseq_reads(data_set) => {
                let own = tempfile::tempdir_in(folder).unwrap();
                peer(own.path(), "dasdseq", &[image.as_os_str(), name.as_ref()]);
                fs::read(own.path().join(name)).unwrap_or_default()
            }
            _ => continue,
        };
        contents.push((name.to_owned(), bytes));
    }
    contents
}

/// What `ls` tells of a volume, but for the image's name and format, and what is odd about the image itself.
fn listing(volume: &Path) -> Value {
    let mut listing = run(args!["ls", "--json", "--members", "--used", volume]).expect(0).json();
    for field in ["path", "format"] {
        listing["volume"][field] = Value::Null;
    }
    let findings = listing["findings"].as_array_mut().unwrap();
    findings.retain(|finding| !finding["detail"].as_str().unwrap().contains(&*volume.to_string_lossy()));
    listing
}

#[test]
fn restored_volumes_are_to_hercules_what_the_originals_are() {
    if !(has("dasdls") && has("dasdcat") && has("dasdseq") && has("cckdcdsk") && has("cckd2ckd")) {
        return;
    }
    each_volume(|volume, folder| {
        let what = volume.display().to_string();
        let original = units(volume);
        let listed = listing(volume);
        let tape = taped(volume, folder, &[]);
        let read = contents(folder, &listed, volume);
        let lists: Vec<_> = ["-info", "-caldt", "-expdt"].to_vec();
        let dasdls = told(folder, "dasdls", &lists, volume);
        for format in ["ckd", "cckd"] {
            let what = format!("{what} as {format}");
            let image = folder.join(format);
            restore_new(&tape, &image, &["--format", format]);
            assert_same_units(&original, &units(&image), &what);
            assert_eq!(listing(&image), listed, "{what}: our own listing");
            assert_eq!(told(folder, "dasdls", &lists, &image), dasdls, "{what}: dasdls");
            for (original, restored) in read.iter().zip(contents(folder, &listed, &image)) {
                assert!(*original == restored, "{what}: {}", original.0);
            }
        }
        let packed = folder.join("cckd");
        let check = Command::new("cckdcdsk").arg("-3").arg(&packed).output().unwrap();
        assert!(check.status.success() && !text(&check.stdout).contains("HHC"), "{what}: cckdcdsk -3: {}", text(&check.stdout));
        assert!(!text(&check.stderr).contains("HHC"), "{what}: cckdcdsk -3: {}", text(&check.stderr));
        assert_same_units(&original, &units(&packed), &format!("{what} after cckdcdsk"));
        let expanded = folder.join("expanded");
        peer(folder, "cckd2ckd", &[packed.as_os_str(), expanded.as_os_str()]);
        assert_same_units(&original, &units(&expanded), &format!("{what} expanded by cckd2ckd"));
    });
}

#[test]
fn volumes_that_hercules_cannot_read_come_back_too() {
    let Some(data) = data() else { return };
    for name in WIDE_VOLUMES {
        let folder = tempdir().unwrap();
        let Some(volume) = fetched(data, name, folder.path()) else { continue };
        let (original, listed) = (units(&volume), listing(&volume));
        let tape = taped(&volume, folder.path(), &[]);
        for format in ["ckd", "cckd", "cckd64"] {
            let image = folder.path().join(format);
            restore_new(&tape, &image, &["--format", format]);
            assert_same_units(&original, &units(&image), &format!("{name} as {format}"));
            assert_eq!(listing(&image), listed, "{name} as {format}");
        }
        if has("cckdcdsk") {
            let check = Command::new("cckdcdsk").arg("-3").arg(folder.path().join("cckd")).output().unwrap();
            assert!(check.status.success() && !text(&check.stdout).contains("HHC"), "{name}: {}", text(&check.stdout));
        }
    }
    for name in ["fba/pgm4.3310", "fba/pgm5-s390x.3310"] {
        let folder = tempdir().unwrap();
        let Some(volume) = fetched(data, name, folder.path()) else { continue };
        assert!(matches!(open(&volume).shape(), Shape::FixedBlock(_)));
        let tape = taped(&volume, folder.path(), &[]);
        let image = folder.path().join("image");
        restore_new(&tape, &image, &[]);
        assert!(fs::read(&volume).unwrap() == fs::read(&image).unwrap(), "{name}");
    }
}

#[test]
fn blocks_of_a_sequential_data_set_are_to_hercules_the_data_set() {
    if !(has("hetget") && has("dasdseq")) {
        return;
    }
    let judged = std::cell::Cell::new(0);
    each_volume(|volume, folder| {
        let tape = taped(volume, folder, &["--as", "blocks"]);
        let (manifest, listed) = (manifest(&tape), listing(volume));
        for file in manifest["files"].as_array().unwrap().iter().filter(|file| file["form"] == "blocks") {
            let (name, number) = (file["name"].as_str().unwrap(), file["number"].to_string());
            let what = format!("{} {name}", volume.display());
            let out = folder.join("out");
            peer(folder, "hetget", &[tape.as_os_str(), out.as_os_str(), number.as_ref()]);
            let got = fs::read(&out).unwrap();
            assert_eq!(got.len() as u64, file["stream_bytes"].as_u64().unwrap(), "{what}");
            let extracted = run(args!["tape", "extract", &tape, &number]).expect(0).out;
            assert!(extracted == got, "{what}: tape extract");
            let data_sets = listed["data_sets"].as_array().unwrap();
            if !data_sets.iter().any(|data_set| data_set["name"] == name && dasdseq_reads(data_set)) {
                continue;
            }
            let own = tempfile::tempdir_in(folder).unwrap();
            peer(own.path(), "dasdseq", &[volume.as_os_str(), name.as_ref()]);
            let copied = fs::read(own.path().join(name)).unwrap();
            assert!(copied == got, "{what}: {} bytes by dasdseq, {} by hetget", copied.len(), got.len());
            judged.set(judged.get() + 1);
        }
    });
    assert!(judged.get() >= 3, "dasdseq judged {} data sets", judged.get());
}

#[test]
fn a_tape_that_hercules_packed_is_the_same_tape() {
    if !has("hetupd") {
        return;
    }
    let folder = tempdir().unwrap();
    let volume = fixture("demo.cckd");
    let tape = taped(&volume, folder.path(), &[]);
    for (option, name) in [("-z", "zlib.het"), ("-b", "bzip2.het"), ("-d", "again.aws"), ("-s", "strict.aws")] {
        let packed = folder.path().join(name);
        peer(folder.path(), "hetupd", &[option.as_ref(), tape.as_os_str(), packed.as_os_str()]);
        run(args!["tape", "verify", &packed]).expect(0);
        let image = folder.path().join(format!("{name}.image"));
        restore_new(&packed, &image, &[]);
        assert_same_units(&units(&volume), &units(&image), name);
    }
}
