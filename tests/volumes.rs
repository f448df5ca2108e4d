//! Volumes of real operating systems, read unit by unit and compared with what Hercules makes of them.
//!
//! The volumes are not part of the repository, and Hercules may not be installed: without them there is nothing to
//! compare, which the tests then say.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
        assert_eq!(volume.findings(), [], "{name}");
        each_unit(&volume, |unit, kind, _| {
            let expected = if format == ImageFormat::Fba { UnitKind::Blocks } else { UnitKind::Track };
            assert_eq!(kind, expected, "{name} unit {unit}");
        });
        volume.check_unchanged().unwrap();
    }
}

/// Copies a volume into plain form with Hercules, which may write to its input.
fn expanded_by_hercules(source: &Path, folder: &Path) -> PathBuf {
    let input = folder.join("input");
    let output = folder.join("output");
    fs::copy(source, &input).unwrap();
    let mut writable = fs::metadata(&input).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut writable, 0o600);
    fs::set_permissions(&input, writable).unwrap();
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
        let mut bodies = Vec::new();
        each_unit(&plain, |_, _, body| bodies.push(body.to_vec()));
        each_unit(&compressed, |unit, _, body| assert!(bodies[unit as usize] == body, "{name} unit {unit}"));
    }
}
