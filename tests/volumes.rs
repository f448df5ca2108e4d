//! Volumes of real operating systems, read unit by unit and compared with what Hercules makes of them.
//!
//! The volumes are not part of the repository, and Hercules may not be installed: without them there is nothing to
//! compare, which the tests then say.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tapegate::volume::create::{CreateOptions, NewImage};
use tapegate::volume::{ImageFormat, OpenOptions, Shape, Stage, UnitIndex, Volume};
use tapegate_formats::tape::unit::UnitKind;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");

/// The folder of real volumes, if it is there.
fn data() -> Option<&'static Path> {
    let path = Path::new(DATA);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: {DATA} is not there");
    None
}

/// Whether a program can be run.
fn has(program: &str) -> bool {
    let found = Command::new(program).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

fn open(path: &Path) -> Volume {
    Volume::open(path, &OpenOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Calls `look` with each unit of a volume, and checks that measuring agrees with reading.
fn each_unit(volume: &Volume, mut look: impl FnMut(u32, UnitKind, &[u8])) {
    let mut stage = Stage::new();
    let units = volume.shape().units();
    let at_once = volume.shape().stage_units();
    let mut lengths = Vec::new();
    for first in (0..units).step_by(at_once as usize) {
        let count = at_once.min(units - first);
        volume.read_units(UnitIndex(first), count, &mut stage).unwrap_or_else(|error| panic!("{error}"));
        lengths.resize(count as usize, 0);
        volume.measure_units(UnitIndex(first), &mut lengths).unwrap_or_else(|error| panic!("{error}"));
        for ((unit, staged), length) in (first..).zip(stage.units()).zip(&lengths) {
            assert_eq!(staged.body.len(), *length as usize, "{} measured", volume.shape().address(UnitIndex(unit)));
            look(unit, staged.kind, staged.body);
        }
    }
}

#[test]
fn every_unit_of_every_real_volume_reads() {
    let Some(data) = data() else { return };
    let volumes = [
        ("tk4/pub010.241", ImageFormat::Cckd, 560 * 30),
        ("tk4/smp001.149", ImageFormat::Cckd, 560 * 30),
        ("tk4/hasp00.152", ImageFormat::Cckd, 411 * 19),
        ("tk4/work01.170", ImageFormat::Cckd, 960 * 12),
        ("tk4/sort05.135", ImageFormat::Cckd, 203 * 20),
        ("os/vsamin.cckd", ImageFormat::Cckd, 555 * 30),
        ("hyperion/3330.cckd64", ImageFormat::Cckd64, 411 * 19),
        ("hyperion/3380.cckd64", ImageFormat::Cckd64, 886 * 15),
        ("hyperion/3390.cckd64", ImageFormat::Cckd64, 1114 * 15),
        ("hyperion/CCWILS.3390-1.comp-z", ImageFormat::Cckd, 1113 * 15),
        ("fba/pgm4.3310", ImageFormat::Fba, 1),
        ("fba/pgm5-s390x.3310", ImageFormat::Fba, 2),
    ];
    for (name, format, units) in volumes {
        let volume = open(&data.join(name));
        assert_eq!((volume.format(), volume.shape().units()), (format, units), "{name}");
        // Made by an initialiser that stores the null track behind the label as an image, which cckdcdsk calls invalid.
        let stored = ["3330.cckd64", "3380.cckd64", "CCWILS"].iter().any(|fresh| name.contains(fresh));
        let expected: &[_] = if stored { &["null-track-stored"] } else { &[] };
        assert_eq!(volume.findings().iter().map(|finding| finding.code).collect::<Vec<_>>(), expected, "{name}");
        each_unit(&volume, |unit, kind, _| {
            let expected = if format == ImageFormat::Fba { UnitKind::Blocks } else { UnitKind::Track };
            assert_eq!(kind, expected, "{name} unit {unit}");
        });
        volume.check_unchanged().unwrap();
    }
}

/// A copy of a file that can be written to.
fn writable_copy(source: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join("input");
    fs::copy(source, &copy).unwrap();
    let mut writable = fs::metadata(&copy).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut writable, 0o600);
    fs::set_permissions(&copy, writable).unwrap();
    copy
}

/// Copies a volume into plain form with Hercules, which may write to its input.
fn expanded_by_hercules(source: &Path, folder: &Path) -> PathBuf {
    let input = writable_copy(source, folder);
    let output = folder.join("output");
    let status = Command::new("dasdcopy")
        .args(["-q", "-lfs"])
        .args([&input, &output])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "dasdcopy of {}", source.display());
    output
}

#[test]
fn compressed_volumes_expand_as_hercules_expands_them() {
    let Some(data) = data() else { return };
    if !has("dasdcopy") {
        return;
    }
    for name in ["tk4/pub010.241", "tk4/hasp00.152", "tk4/work01.170", "tk4/sort05.135", "os/vsamin.cckd"] {
        let folder = tempfile::tempdir().unwrap();
        let plain = open(&expanded_by_hercules(&data.join(name), folder.path()));
        let compressed = open(&data.join(name));
        assert_eq!(plain.format(), ImageFormat::Ckd);
        assert_eq!(plain.shape(), compressed.shape());
        assert!(matches!(plain.shape(), Shape::Ckd(_)));
        assert!(bodies_of(&plain) == bodies_of(&compressed), "{name}");
    }
}

/// The bodies of all units.
fn bodies_of(volume: &Volume) -> Vec<Vec<u8>> {
    let mut stage = Stage::new();
    let (units, at_once) = (volume.shape().units(), volume.shape().stage_units());
    let mut bodies = Vec::new();
    for first in (0..units).step_by(at_once as usize) {
        volume.read_units(UnitIndex(first), at_once.min(units - first), &mut stage).unwrap();
        bodies.extend(stage.units().map(|unit| unit.body.to_vec()));
    }
    bodies
}

/// Writes a volume into a new image, a stage at a time.
fn copy_into(volume: &Volume, path: &Path, format: ImageFormat) {
    let image = NewImage::create(path, volume.shape(), &CreateOptions::new(format)).unwrap();
    let mut stage = Stage::new();
    let (units, at_once) = (volume.shape().units(), volume.shape().stage_units());
    for first in (0..units).step_by(at_once as usize) {
        volume.read_units(UnitIndex(first), at_once.min(units - first), &mut stage).unwrap();
        let bodies: Vec<_> = stage.units().map(|unit| (unit.kind, unit.body)).collect();
        image.write_units(UnitIndex(first), &bodies).unwrap();
    }
    image.finish(false).unwrap();
}

fn output_of(program: &str, args: &[&Path]) -> (bool, String) {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn written_images_hold_the_same_tracks_and_hercules_finds_nothing_wrong() {
    let Some(data) = data() else { return };
    let judged = has("cckdcdsk") && has("dasdcopy");
    for name in ["tk4/pub010.241", "tk4/hasp00.152", "tk4/sort05.135", "os/vsamin.cckd", "hyperion/3390.cckd64"] {
        let original = open(&data.join(name));
        let bodies = bodies_of(&original);
        for format in [ImageFormat::Ckd, ImageFormat::Cckd, ImageFormat::Cckd64] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("image");
            copy_into(&original, &path, format);
            let copy = open(&path);
            assert_eq!((copy.format(), copy.shape()), (format, original.shape()));
            assert!(bodies_of(&copy) == bodies, "{name} as {format}");
            if format == ImageFormat::Cckd && judged {
                let checked = output_of("cckdcdsk", &[Path::new("-3"), Path::new("-ro"), &path]);
                assert_eq!(checked, (true, String::new()), "cckdcdsk of {name}");
                let expanded = open(&expanded_by_hercules(&path, folder.path()));
                assert!(bodies_of(&expanded) == bodies, "{name} as Hercules expands it");
            }
        }
    }
}

#[test]
fn a_big_endian_image_of_hercules_reads_like_the_little_endian_one() {
    let Some(data) = data() else { return };
    if !has("cckdswap") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let original = data.join("tk4/sort05.135");
    let swapped = writable_copy(&original, folder.path());
    let (_, said) = output_of("cckdswap", &[&swapped]);
    assert_eq!(fs::read(&swapped).unwrap()[515] & 2, 2, "cckdswap made it big-endian: {said}");
    assert!(bodies_of(&open(&swapped)) == bodies_of(&open(&original)));
}

#[test]
fn fixed_blocks_go_through_hercules_compression_and_back() {
    let Some(data) = data() else { return };
    if !has("dasdcopy") || !has("cckdcdsk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Some volume's bytes serve as blocks: 120 sectors do not divide them, and some groups are zeros.
    let mut blocks = fs::read(data.join("fba/pgm4.3310")).unwrap();
    blocks.extend(vec![0; 512 * 400]);
    blocks.extend(fs::read(data.join("tk4/sort05.135")).unwrap());
    blocks.truncate(blocks.len() / 512 * 512);
    let plain = folder.path().join("plain");
    fs::write(&plain, &blocks).unwrap();

    let ours = folder.path().join("ours");
    copy_into(&open(&plain), &ours, ImageFormat::CompressedFba);
    assert_eq!(output_of("cckdcdsk", &[Path::new("-3"), Path::new("-ro"), &ours]), (true, String::new()));
    let convert = |from: &Path, to: &Path, kind: &str| {
        let copy = Command::new("dasdcopy").args(["-q", "-o", kind]).args([from, to]).stdin(Stdio::null()).output().unwrap();
        assert!(copy.status.success(), "{}", String::from_utf8_lossy(&copy.stderr));
    };
    let (expanded, theirs) = (folder.path().join("expanded"), folder.path().join("theirs"));
    convert(&ours, &expanded, "FBA");
    assert!(fs::read(&expanded).unwrap() == blocks);
    convert(&plain, &theirs, "CFBA");
    assert_eq!(open(&theirs).format(), ImageFormat::CompressedFba);
    assert!(bodies_of(&open(&theirs)).concat() == blocks);
}
