//! A program that writes compressed images in place and is killed leaves every unit that it had written, and nothing for
//! Hercules' checker to find but free space that is to be listed anew.
//!
//! The test runs itself as the writer: that one tells on standard output what it begins and what it has done.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::has;
use tapegate::volume::create::{CreateOptions, NewImage};
use tapegate::volume::{ImageFormat, OpenOptions, Shape, UnitIndex, Volume};
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::null_track::NullFormat;
use tapegate_formats::dasd::track::END_MARK;

/// Names the base image to the test when it runs as the writer, and the shadow file if there is one.
const WRITER: &str = "TAPEGATE_TEST_WRITER";
const SHADOW: &str = "TAPEGATE_TEST_SHADOW";
const THREADS: u32 = 3;
const KILLS: u32 = 12;

fn geometry() -> Geometry {
    Geometry::standard(DeviceType::Ibm3330, 40).unwrap()
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 % u64::from(bound)).unwrap()
    }
}

/// The slot of a track in a version: records of bytes that do not compress well; version 0 is the null track.
fn slot(track: u32, version: u32) -> Vec<u8> {
    let geometry = geometry();
    let home = geometry.encode_cchh(geometry.cchh(TrackIndex(track)));
    let mut slot = vec![0; geometry.slot_bytes() as usize];
    if version == 0 {
        NullFormat::Empty.fill(home, &mut slot).unwrap();
        return slot;
    }
    let mut numbers = Numbers(u64::from(track) << 32 | u64::from(version));
    let length = 200 + numbers.below(9000);
    let mut bytes = vec![0];
    bytes.extend(home);
    bytes.extend(home);
    bytes.extend([0, 0, 0, 8]);
    bytes.extend([0; 8]);
    bytes.extend(home);
    bytes.extend([1, 0]);
    bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
    bytes.extend((0..length).map(|_| u8::try_from(numbers.below(200)).unwrap()));
    bytes.extend(END_MARK);
    slot[..bytes.len()].copy_from_slice(&bytes);
    slot
}

fn options(shadow: Option<&Path>) -> OpenOptions {
    OpenOptions { shadows: shadow.into_iter().map(Path::to_owned).collect(), ..OpenOptions::default() }
}

/// Writes until it is killed.
fn write_for_ever(base: &Path, shadow: Option<&Path>) -> ! {
    let volume = Volume::open_for_update(base, &options(shadow)).unwrap();
    let tell = |what: &str, track: u32, version: u32| {
        // One write a line: a pipe takes it whole, and keeps it when the writer is gone.
        let line = format!("\n{what} {track} {version}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).and_then(|()| std::io::stdout().flush()).unwrap();
    };
    std::thread::scope(|scope| {
        for part in 0..THREADS {
            let volume = &volume;
            scope.spawn(move || {
                let mut numbers = Numbers(u64::from(std::process::id()) * 31 + u64::from(part) + 1);
                loop {
                    let track = numbers.below(volume.shape().units() / THREADS) * THREADS + part;
                    let version = if numbers.below(9) == 0 { 0 } else { 1 + numbers.below(1 << 30) };
                    tell("begin", track, version);
                    volume.write_slot(UnitIndex(track), 0, &slot(track, version)).unwrap();
                    tell("done", track, version);
                }
            });
        }
        scope.spawn(|| {
            loop {
                volume.sync().unwrap();
                volume.compact(100_000).unwrap();
            }
        });
    });
    unreachable!("the threads never end")
}

#[test]
fn a_killed_writer_loses_nothing_that_it_had_written() {
    if let Some(base) = std::env::var_os(WRITER) {
        let shadow = std::env::var_os(SHADOW).map(PathBuf::from);
        write_for_ever(Path::new(&base), shadow.as_deref());
    }
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape::Ckd(geometry());
    let at = |name: &str| folder.path().join(name);
    for (name, format) in [("cckd", ImageFormat::Cckd), ("cckd64", ImageFormat::Cckd64), ("base", ImageFormat::Ckd)] {
        NewImage::create(&at(name), &shape, &CreateOptions::new(format)).unwrap().finish(false).unwrap();
    }
    // A new compressed image with a first-level table of ones is an empty shadow file.
    let mut bytes = fs::read(at("cckd")).unwrap();
    bytes[4] = b'S';
    bytes[1024..].fill(0xff);
    fs::write(at("shadow"), bytes).unwrap();

    let shadow = at("shadow");
    for (base, shadow) in [(at("cckd"), None), (at("cckd64"), None), (at("base"), Some(&*shadow))] {
        let mut versions: HashMap<u32, u32> = HashMap::new();
        let mut numbers = Numbers(0x1357_9bdf_2468_ace0);
        for kill in 0..KILLS {
            let begun = killed(&base, shadow, 1 + numbers.below(150), &mut versions);
            let volume = Volume::open(&base, &options(shadow)).unwrap();
            let mut found = vec![0; geometry().slot_bytes() as usize];
            for track in 0..shape.units() {
                volume.read_slot(UnitIndex(track), &mut found).unwrap();
                let version = versions.entry(track).or_insert(0);
                let under_way = begun.get(&track).filter(|under_way| found == slot(track, **under_way));
                match under_way {
                    Some(under_way) => *version = *under_way,
                    None => assert!(found == slot(track, *version), "kill {kill}: track {track} is not version {version}"),
                }
            }
            drop(volume);
            check(shadow.unwrap_or(&base), &at("copy"), &["HHCCU601W", "HHCCU610W", "HHCCU104I"], &["-f", "-3"]);
        }
        // The next one to open it leaves it as a clean stop does.
        let volume = Volume::open_for_update(&base, &options(shadow)).unwrap();
        volume.write_slot(UnitIndex(0), 0, &slot(0, 7)).unwrap();
        volume.close().unwrap();
        check(shadow.unwrap_or(&base), &at("copy"), &[], &["-3"]);
        assert!(Volume::open(&base, &options(shadow)).unwrap().findings().is_empty());
    }
}

/// Runs the writer and kills it after it has done some writes. `versions` gets what it had done; the answer is what it had
/// begun.
fn killed(base: &Path, shadow: Option<&Path>, writes: u32, versions: &mut HashMap<u32, u32>) -> HashMap<u32, u32> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_killed_writer_loses_nothing_that_it_had_written", "--nocapture"]);
    command.env(WRITER, base).env_remove(SHADOW).stdin(Stdio::null()).stdout(Stdio::piped());
    command.envs(shadow.map(|shadow| (OsString::from(SHADOW), shadow.as_os_str().to_owned())));
    let mut child = command.spawn().unwrap();
    let mut begun = HashMap::new();
    let mut done = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        let [what @ ("begin" | "done"), track, version] = words[..] else { continue };
        let (Ok(track), Ok(version)) = (track.parse(), version.parse()) else { continue };
        if what == "begin" {
            begun.insert(track, version);
            continue;
        }
        begun.remove(&track);
        versions.insert(track, version);
        done += 1;
        if done == writes {
            // What it wrote into the pipe before is read to the end.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(done >= writes, "the writer ended by itself");
    begun
}

/// Lets Hercules' checker look at a copy of a 32-bit file: it says nothing but what is `known`.
fn check(image: &Path, copy: &Path, known: &[&str], options: &[&str]) {
    if fs::read(image).unwrap()[5..8] != *b"370" || !has("cckdcdsk") {
        return;
    }
    fs::copy(image, copy).unwrap();
    let check = Command::new("cckdcdsk").args(options).arg(copy).output().unwrap();
    let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
    let said = said.split(|end: char| end.is_control()).filter(|line| line.contains("HHC"));
    let wrong: Vec<_> = said.filter(|line| !known.iter().any(|known| line.contains(known))).collect();
    assert!(wrong.is_empty(), "cckdcdsk {options:?}: {wrong:?}");
}
