//! What the scenarios share: the program, the volumes, their units, and the peers.

#![allow(dead_code, reason = "each scenario uses some of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use tapegate::volume::create::{CreateOptions, NewImage};
use tapegate::volume::{ImageFormat, OpenOptions, Shape, Stage, UnitIndex, Volume};
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::tape::unit::UnitKind;

/// T0 of every session of the tests: 2024-05-01, day 122 of the year.
pub const T0: &str = "1714521600";

/// Real volumes and tapes, which are not part of the repository.
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");

/// Fixtures with count-key-data, with the shadow files that belong over them.
pub const CKD_FIXTURES: [&str; 6] = ["demo.cckd", "tiny.ckd", "bzip2.cckd", "stored.cckd", "linux.cckd", "raw.cckd"];

/// A fixture.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The program, with a fixed T0.
pub fn tapegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapegate"));
    command.env("SOURCE_DATE_EPOCH", T0).stdin(Stdio::null());
    command
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// What became of a process.
    pub fn of(output: Output) -> Self {
        Self { code: output.status.code(), out: output.stdout, err: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error} in {}\n{}", self.text(), self.err))
    }

    /// Fails unless the exit code is `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard error: {}", self.err);
        self
    }

    /// Fails unless the run failed with a message that has each of `words`: one plain line that names the program.
    #[track_caller]
    pub fn refused(self, words: &[&str]) -> Self {
        let ended = self.expect(1);
        let lines: Vec<_> = ended.err.lines().collect();
        assert!(matches!(lines[..], [line] if line.starts_with("tapegate: ")), "not one line: {}", ended.err);
        for word in words {
            assert!(ended.err.contains(word), "{word} in {}", ended.err);
        }
        ended
    }
}

/// Runs the program to its end.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    Ended::of(tapegate().args(arguments).output().unwrap())
}

/// Joins words and paths to arguments.
#[macro_export]
macro_rules! args {
    ($($argument:expr),* $(,)?) => { [$(::std::ffi::OsString::from(&$argument)),*] };
}

/// A snapshot with the exit code that is expected; without waiting for the disk, which takes most of a test's time.
#[track_caller]
pub fn snapshot(volume: &Path, tape: &Path, options: &[&str], code: i32) -> Ended {
    Ended::of(tapegate().args(["snapshot", "--no-sync"]).arg(volume).args(options).arg("-o").arg(tape).output().unwrap())
        .expect(code)
}

/// A restore to a new image that succeeds, without waiting for the disk.
#[track_caller]
pub fn restore_new(tape: &Path, image: &Path, options: &[&str]) -> Ended {
    Ended::of(tapegate().args(["restore", "--no-sync"]).arg(tape).args(options).arg("--new").arg(image).output().unwrap())
        .expect(0)
}

/// Opens a volume.
pub fn open(path: &Path) -> Volume {
    Volume::open(path, &OpenOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// A unit: what it is, and its bytes.
pub type Unit = (UnitKind, Vec<u8>);

/// All units of a volume.
pub fn units_of(volume: &Volume) -> Vec<Unit> {
    let mut stage = Stage::new();
    let (total, at_once) = (volume.shape().units(), volume.shape().stage_units());
    let mut units = Vec::with_capacity(total as usize);
    for first in (0..total).step_by(at_once as usize) {
        let count = at_once.min(total - first);
        volume.read_units(UnitIndex(first), count, &mut stage).unwrap_or_else(|error| panic!("{error}"));
        units.extend(stage.units().map(|unit| (unit.kind, unit.body.to_vec())));
    }
    units
}

/// All units of the volume at a path.
pub fn units(path: &Path) -> Vec<Unit> {
    units_of(&open(path))
}

/// Fails at the first unit in which two volumes differ.
#[track_caller]
pub fn assert_same_units(original: &[Unit], copy: &[Unit], what: &str) {
    assert_eq!(original.len(), copy.len(), "units of {what}");
    let differs = original.iter().zip(copy).position(|(original, copy)| original != copy);
    if let Some(unit) = differs {
        let (original, copy) = (&original[unit], &copy[unit]);
        panic!("{what}: unit {unit} differs: {:?} of {} bytes, {:?} of {}", original.0, original.1.len(), copy.0, copy.1.len());
    }
}

/// The manifest beside a tape.
pub fn manifest(tape: &Path) -> Value {
    let mut path = tape.as_os_str().to_owned();
    path.push(".manifest.json");
    serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()
}

/// Names of all files in a folder, sorted.
pub fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A track of a 3390: home address, R0, and records without keys of the given data.
pub fn track(index: u32, records: &[&[u8]]) -> Vec<u8> {
    let [_, _, c0, c1] = (index / 15).to_be_bytes();
    let [_, _, h0, h1] = (index % 15).to_be_bytes();
    let home = [c0, c1, h0, h1];
    let mut body = vec![0];
    body.extend(home);
    body.extend(home);
    body.extend([0, 0, 0, 8]);
    body.extend([0; 8]);
    for (data, number) in records.iter().zip(1_u8..) {
        body.extend(home);
        body.extend([number, 0]);
        body.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        body.extend(*data);
    }
    body
}

/// Makes a 3390 without VTOC whose tracks are full of bytes that hardly compress; the same seed gives the same bytes.
pub fn big_volume(path: &Path, format: ImageFormat, cylinders: u32, seed: u64) {
    let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, cylinders).unwrap());
    let image = NewImage::create(path, &shape, &CreateOptions::new(format)).unwrap();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut pool = vec![0_u8; 64 << 10];
    for word in pool.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    for index in 0..shape.units() {
        let from = (index as usize * 7919) % (32 << 10);
        let body = track(index, &[&pool[from..from + 27_998], &pool[from / 2..from / 2 + 20_000]]);
        image.write_units(UnitIndex(index), &[(UnitKind::Track, &body)]).unwrap();
    }
    image.finish(false).unwrap();
    // A process that another test is just starting may hold the image's lock until it runs its own program.
    flock(File::open(path).unwrap(), FlockOperation::LockShared).unwrap();
}

/// Offset of a track's slot in a plain image.
pub fn slot_offset(volume: &Volume, track: u32) -> u64 {
    let Shape::Ckd(geometry) = volume.shape() else { panic!("the volume has no tracks") };
    let TrackIndex(track) = TrackIndex(track);
    512 + u64::from(track) * u64::from(geometry.slot_bytes())
}

/// Changes bytes of a file in place.
pub fn patch(path: &Path, offset: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    File::options().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

/// The folder of real volumes and tapes, if it is there.
pub fn data() -> Option<&'static Path> {
    let path = Path::new(DATA);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: {DATA} is not there");
    None
}

/// Whether a program can be run.
pub fn has(program: &str) -> bool {
    let run = Command::new(program).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if run.is_err() {
        eprintln!("skipped: {program} is not installed");
    }
    run.is_ok()
}

/// Runs another program in `folder` and gives what it wrote to standard output.
pub fn peer(folder: &Path, program: &str, arguments: &[&OsStr]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{program}: {error}")).stdout
}
