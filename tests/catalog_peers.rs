//! The catalog against Hercules: `dasdls`, `dasdcat` and `dasdload` of 3.13 look at the same volumes.
//!
//! What differs and is meant so:
//!
//! - `dasdls` prints record format U where `DS1RECFM` is zero; ours is empty.
//! - `dasdls` shows a percentage from `DS1LSTAR` and `DS1TRBAL`; ours counts whole tracks and is not compared.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tapegate::catalog::{Catalog, DataSet, DataSetKind, VolumeTracks, read_directory};
use tapegate::volume::{OpenOptions, Volume};
use tapegate_formats::volume::attributes::{Dsorg, Recfm};

/// Runs a peer; `None`, and a line that says why the test is skipped, when it is not installed.
fn peer(program: &str, arguments: &[&str], directory: &Path) -> Option<String> {
    match Command::new(program).args(arguments).current_dir(directory).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            println!("skipped: {program} can't be run: {error}");
            None
        }
    }
}

/// A row of a listing, without what is not compared.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: String,
    created: String,
    dsorg: String,
    recfm: String,
    record_length: u16,
    block_length: u16,
    key_length: u8,
    tracks: u32,
    extents: usize,
}

impl Row {
    /// A line of `dasdls -info`, whose columns are fixed and may be blank.
    fn of_line(line: &str) -> Self {
        let column = |from: usize, to: usize| line.get(from..to).unwrap_or("").trim().to_owned();
        let number = |from: usize, to: usize| column(from, to).parse::<u32>().unwrap_or(0);
        Self {
            name: column(0, 45),
            created: column(45, 50),
            dsorg: column(51, 54),
            recfm: column(55, 60),
            record_length: number(60, 66).try_into().unwrap(),
            block_length: number(66, 72).try_into().unwrap(),
            key_length: number(72, 76).try_into().unwrap(),
            tracks: number(76, 82),
            extents: number(86, 90).try_into().unwrap(),
        }
    }

    fn of_data_set(data_set: &DataSet) -> Self {
        let recfm = Recfm(data_set.recfm).to_string();
        Self {
            name: data_set.name.to_string(),
            created: data_set.created.map_or_else(String::new, |(year, day)| format!("{:02}{day:03}", year % 100)),
            dsorg: Dsorg(data_set.dsorg).to_string(),
            recfm: if recfm.is_empty() { "U".to_owned() } else { recfm },
            record_length: data_set.record_length,
            block_length: data_set.block_length,
            key_length: data_set.key_length,
            tracks: data_set.tracks(),
            extents: data_set.extents.len(),
        }
    }
}

/// A volume to look at, and the folder that keeps it if it had to be unpacked.
struct Sample {
    path: PathBuf,
    _unpacked: Option<tempfile::TempDir>,
}

/// Volumes with a VTOC that both sides can read: the fixtures, and real volumes where they are at hand.
fn samples() -> Vec<Sample> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let real = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"));
    let mut paths: Vec<PathBuf> = ["demo.cckd", "tiny.ckd", "bzip2.cckd", "linux.cckd"].map(|name| fixtures.join(name)).into();
    let mut unpacked = Vec::new();
    if real.is_dir() {
        for name in ["tk4/pub010.241", "tk4/smp001.149", "tk4/hasp00.152", "tk4/work01.170", "tk4/sort05.135", "os/vsamin.cckd"] {
            paths.push(real.join(name));
        }
        unpacked.extend(unpack(&real.join("os/dliba1-restored.3330.xz")));
    } else {
        println!("skipped: {} is not there: only the fixtures are compared", real.display());
    }
    unpacked.extend(paths.into_iter().map(|path| Sample { path, _unpacked: None }));
    unpacked
}

fn unpack(packed: &Path) -> Option<Sample> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("volume");
    let output = Command::new("xz").args(["-dc".as_ref(), packed.as_os_str()]).output();
    match output {
        Ok(output) if output.status.success() => std::fs::write(&path, output.stdout).unwrap(),
        _ => {
            println!("skipped: xz can't unpack {}", packed.display());
            return None;
        }
    }
    Some(Sample { path, _unpacked: Some(directory) })
}

fn open(path: &Path) -> Volume {
    Volume::open(path, &OpenOptions::default()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn names_attributes_and_sizes_agree_with_dasdls() {
    for Sample { path, .. } in samples() {
        let Some(listing) = peer("dasdls", &["-info", text(&path)], Path::new(".")) else { return };
        let mut lines = listing.lines();
        let heading = lines.next().unwrap_or_else(|| panic!("dasdls says nothing of {}", path.display()));
        let catalog = Catalog::of_volume(&open(&path)).unwrap();
        assert!(heading.ends_with(&format!("VOLSER={}", catalog.label.volser().unwrap())), "{heading}");
        let theirs: Vec<Row> = lines.filter(|line| !line.is_empty()).map(Row::of_line).collect();
        let ours: Vec<Row> = catalog.data_sets.iter().map(Row::of_data_set).collect();
        assert_eq!(ours, theirs, "{}", path.display());
        assert!(catalog.findings.is_empty(), "{}: {:?}", path.display(), catalog.findings);
        println!("{}: {} data sets agree", path.display(), ours.len());
    }
}

/// EBCDIC line feed and new line.
const LINE_FEEDS: [u8; 2] = [0x25, 0x15];

fn is_plain(name: &str) -> bool {
    name.chars().all(|character| character.is_ascii_alphanumeric() || "@#$".contains(character))
}

#[test]
fn members_agree_with_dasdcat() {
    for Sample { path, .. } in samples() {
        let volume = open(&path);
        let catalog = Catalog::of_volume(&volume).unwrap();
        let tracks = VolumeTracks::new(&volume).unwrap();
        for data_set in catalog.data_sets.iter().filter(|data_set| data_set.kind == DataSetKind::Partitioned) {
            let library = format!("{}/?", data_set.name);
            let Some(listing) = peer("dasdcat", &["-i", text(&path), &library], Path::new(".")) else { return };
            // It prints names in lower case. SMP turns bits of names, and each side shows the result in its own way.
            let theirs: Vec<String> = listing.lines().map(|line| line.trim().to_ascii_uppercase()).collect();
            let mut findings = Vec::new();
            let directory = read_directory(&tracks, data_set, &mut findings).unwrap();
            let ours: Vec<String> = directory.members.iter().map(|member| member.name.to_string().to_ascii_uppercase()).collect();
            let plain = |names: &[String]| -> Vec<String> { names.iter().filter(|name| is_plain(name)).cloned().collect() };
            let first_other = plain(&ours).into_iter().zip(plain(&theirs)).find(|(our, their)| our != their);
            assert_eq!(first_other, None, "{} of {}", data_set.name, path.display());
            // Binary names of SMP hold line feeds, which break a line of the peer's listing in two.
            let line_feeds =
                directory.members.iter().flat_map(|member| member.name.0).filter(|byte| LINE_FEEDS.contains(byte)).count();
            assert_eq!(ours.len() + line_feeds, theirs.len(), "{} of {}", data_set.name, path.display());
            assert!(findings.is_empty(), "{findings:?}");
        }
    }
}

/// `dasdload` says where it puts each data set, on which track the VTOC begins, and where free space does.
#[test]
fn a_volume_lies_as_dasdload_says_that_it_made_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("data"), vec![0xc1; 80_000]).unwrap();
    let mut statements = "LOADED 3350 60\n".to_owned();
    for number in 0..40 {
        let (unit, kind) =
            if number % 3 == 0 { ("CYL 1 0 5 PO FB 80 3120", "EMPTY") } else { ("TRK 7 1 0 PS VB 255 4096", "EMPTY") };
        statements += &format!("TEST.N{number:02} {kind} {unit}\n");
        statements += &format!("TEST.S{number:02} SEQ data TRK 5 0 0 PS FB 80 6160\n");
    }
    std::fs::write(directory.path().join("control"), statements).unwrap();
    let Some(messages) = peer("dasdload", &["control", "volume", "3"], directory.path()) else { return };

    let mut places: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let mut lengths: BTreeMap<String, u32> = BTreeMap::new();
    let mut vtoc = None;
    for line in messages.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |place: usize| words[place].parse::<u32>().unwrap();
        match words[..] {
            ["HHCDL012I", _, _, name, ..] => _ = places.insert(name.to_owned(), (number(6), number(8))),
            ["HHCDL013I", _, name, ..] => _ = lengths.insert(name.to_owned(), number(4)),
            ["HHCDL057I", ..] => vtoc = Some((number(5), number(7))),
            _ => {}
        }
    }
    assert_eq!((places.len(), lengths.len()), (80, 80), "{messages}");

    let volume = open(&directory.path().join("volume"));
    let catalog = Catalog::of_volume(&volume).unwrap();
    assert_eq!(catalog.findings, []);
    let heads = 30;
    for data_set in &catalog.data_sets {
        let name = data_set.name.to_string();
        let (cylinder, head) = places[&name];
        let [extent] = data_set.extents[..] else { panic!("{name}: {:?}", data_set.extents) };
        assert_eq!((extent.first, extent.tracks), (cylinder * heads + head, lengths[&name]), "{name}");
    }
    assert_eq!(catalog.data_sets.len(), 80);
    let (cylinder, head) = vtoc.unwrap();
    assert_eq!(catalog.vtoc.unwrap().extent.first, cylinder * heads + head);
}
