//! Programs that know nothing of the gateway use the files: Hercules and its tools, QEMU's, and those of the shell.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tapegate::channel::files::Entry;
use tapegate::gate::{Disk, VolumeGate};
use tapegate::volume::{OpenOptions, Shape, Stage, UnitIndex, UnitSource, Volume, VolumeError};
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::null_track::NullFormat;
use tempfile::tempdir;

use crate::common::{fixture, has, open, peer};
use crate::memory_disk::MemoryDisk;
use crate::mounted::{Mounted, entry, mount};

fn served(name: &str) -> Option<Mounted> {
    mount(&[Entry { name: "disk".to_owned(), gate: VolumeGate::new("disk", Arc::new(open(&fixture(name)))), read_only: false }])
}

#[test]
fn tools_of_hercules_list_and_read_a_volume_through_its_file() {
    if !has("dasdls") || !has("dasdcat") {
        return;
    }
    for (name, member) in [("tiny.ckd", "*"), ("demo.cckd", "*")] {
        let Some(mounted) = served(name) else { return };
        let folder = tempdir().unwrap();
        // The programs of 3.13 open the fixture itself as well.
        let own = folder.path().join(name);
        fs::write(&own, fs::read(fixture(name)).unwrap()).unwrap();
        let file = mounted.path("disk.ckd");
        let theirs = peer(folder.path(), "dasdls", &[own.as_os_str()]);
        let ours = peer(folder.path(), "dasdls", &[file.as_os_str()]);
        let listed = |text: &[u8]| {
            String::from_utf8_lossy(text)
                .lines()
                .filter(|line| !line.contains('/') && !line.contains(name))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert!(!listed(&theirs).is_empty());
        assert_eq!(listed(&ours), listed(&theirs), "{name}");
        for data_set in listed(&theirs) {
            let what = format!("{}/{member}:a", data_set.trim());
            let read = |path: &Path| peer(folder.path(), "dasdcat", &["-i".as_ref(), path.as_os_str(), OsStr::new(&what)]);
            assert_eq!(read(&file), read(&own), "{what} of {name}");
        }
    }
}

#[test]
fn cp_and_cmp_and_dd_see_one_file() {
    let Some(mounted) = served("linux.cckd") else { return };
    let file = mounted.path("disk.ckd");
    let copy = mounted.scratch().join("copy");
    peer(mounted.scratch(), "cp", &[file.as_os_str(), copy.as_os_str()]);
    let bytes = fs::read(&copy).unwrap();
    assert_eq!(bytes.len() as u64, fs::metadata(&file).unwrap().len());
    assert!(fs::read(&file).unwrap() == bytes);
    for size in ["512", "4k", "57k", "1M", "3M"] {
        let read = peer(mounted.scratch(), "dd", &[format!("if={}", file.display()).as_ref(), format!("bs={size}").as_ref()]);
        assert!(read == bytes, "dd with pieces of {size}");
    }
    let direct =
        peer(mounted.scratch(), "dd", &[format!("if={}", file.display()).as_ref(), "bs=64k".as_ref(), "iflag=direct".as_ref()]);
    assert!(direct == bytes);
}

#[test]
fn qemu_writes_and_reads_with_any_cache_mode() {
    if !has("qemu-io") || !has("qemu-img") {
        return;
    }
    for (cache, aio) in [
        ("none", "threads"),
        ("none", "native"),
        ("directsync", "threads"),
        ("writeback", "threads"),
        ("writethrough", "threads"),
    ] {
        let disk = MemoryDisk::blocks();
        let Some(mounted) = mount(&[entry("disk", Arc::clone(&disk) as _)]) else { return };
        let file = mounted.path("disk.fba");
        let commands = [
            "write -P 0xa1 0 64k",
            "aio_write -P 0xa2 128k 200k",
            "aio_write -P 0xa3 64k 4k",
            "aio_flush",
            "write -P 0xa4 1536 1024",
            "flush",
            "read -P 0xa1 4k 60k",
            "read -P 0xa2 128k 200k",
            "read -P 0xa3 64k 4k",
            "read -P 0xa4 1536 1024",
        ];
        let mut qemu = Command::new("timeout");
        qemu.args(["60", "qemu-io", "-f", "raw", "-t", cache, "-i", aio]);
        for command in commands {
            qemu.args(["-c", command]);
        }
        let output = qemu.arg(&file).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !text.contains("failed") && !text.contains("Error"), "{cache} {aio}: {text}");
        let content = disk.content();
        assert_eq!((content[1535], content[1536], content[2560]), (0xa1, 0xa4, 0xa1), "{cache} {aio}");
        assert!(content[128 << 10..328 << 10].iter().all(|byte| *byte == 0xa2), "{cache} {aio}");
        assert!(disk.syncs.load(std::sync::atomic::Ordering::SeqCst) > 0, "{cache} {aio}");
        // It holds a lock on its image while it has it open, and finds none of another's now.
        let copy = mounted.scratch().join("copy");
        let convert = ["convert", "-f", "raw", "-O", "raw"].map(OsStr::new);
        peer(mounted.scratch(), "qemu-img", &[&convert[..], &[file.as_os_str(), copy.as_os_str()]].concat());
        assert!(fs::read(&copy).unwrap() == content, "{cache} {aio}");
    }
}

/// Runs Hercules with devices, does nothing, and gives its log.
fn hercules(folder: &Path, devices: &str) -> String {
    fs::write(folder.join("host.cnf"), format!("ARCHMODE S/370\nMAINSIZE 2\nMAXCPU 1\n{devices}\n")).unwrap();
    // With `-d` alone it reads no commands.
    let mut host = Command::new("timeout")
        .args(["60", "hercules", "-f", "host.cnf", "-d", "EXTERNALGUI"])
        .current_dir(folder)
        .env_remove("HERCULES_RC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // They wait in the pipe until the devices are there. It ends at a closed pipe in its own way, so that stays open.
    let mut console = host.stdin.take().unwrap();
    console.write_all(b"quit\n").unwrap();
    let output = host.wait_with_output().unwrap();
    drop(console);
    assert_ne!(output.status.code(), Some(124), "hercules hangs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn hercules_attaches_files_of_both_kinds_and_of_read_only_disks() {
    if !has("hercules") {
        return;
    }
    let folder = tempdir().unwrap();
    let tiny = folder.path().join("tiny.ckd");
    fs::write(&tiny, fs::read(fixture("tiny.ckd")).unwrap()).unwrap();
    let volume = Volume::open_for_update(&tiny, &OpenOptions::default()).unwrap();
    let read_only = |name: &str, path: &str| Entry {
        name: name.to_owned(),
        gate: VolumeGate::new(name, Arc::new(open(&fixture(path)))),
        read_only: true,
    };
    let entries = [
        entry("tiny", Arc::new(volume)),
        entry("blocks", MemoryDisk::blocks()),
        entry("wide", Arc::new(Sparse::new(10_017))),
        read_only("view", "demo.cckd"),
        read_only("blockview", "tiny.cfba"),
    ];
    let Some(mounted) = mount(&entries) else { return };
    let point = mounted.point();
    let devices = format!(
        "0150 2311 {0}/tiny.ckd\n0151 3370 {0}/blocks.fba\n0152 3390 {0}/wide.ckd\n0153 3390 {0}/view.ckd ro\n0154 9336 {0}/blockview.fba\n",
        point.display()
    );
    let log = hercules(folder.path(), &devices);
    for said in [
        "tiny.ckd cyls=3 ",
        "blocks.fba origin=0 blks=1001",
        "wide.ckd cyls=10017 ",
        "view.ckd cyls=1113 ",
        "blockview.fba origin=0 blks=2000",
    ] {
        assert!(log.contains(said), "{said} in {log}");
    }
    assert!(!log.contains("HHCCF044E"), "{log}");
}

/// The last track of a file of 8.5 GB, of which programs with 32-bit offsets would read another.
#[test]
fn a_file_beyond_all_32_bits_is_read_at_its_end() {
    let Some(mounted) = mount(&[entry("wide", Arc::new(Sparse::new(10_017)))]) else { return };
    let path = mounted.path("wide.ckd");
    let size = fs::metadata(&path).unwrap().len();
    assert_eq!(size, 512 + 10_017 * 15 * 56_832);
    let mut head = [0; 5];
    fs::File::open(&path).unwrap().read_exact_at(&mut head, size - 56_832).unwrap();
    // Cylinder 10,016 (2720), head 14.
    assert_eq!(head, [0, 0x27, 0x20, 0, 14]);
    if has("dasdls") {
        // It reads the label's track, finds no VTOC's address there, and says so: it has opened the file.
        let said = Command::new("dasdls").arg(&path).output().unwrap();
        assert!(String::from_utf8_lossy(&said.stderr).to_lowercase().contains("record not found"), "{said:?}");
    }
}

/// A 3390 of empty tracks, made when they are read.
struct Sparse(Shape);

impl Sparse {
    fn new(cylinders: u32) -> Self {
        Self(Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, cylinders).unwrap()))
    }
}

impl UnitSource for Sparse {
    fn shape(&self) -> &Shape {
        &self.0
    }

    fn name(&self) -> &Path {
        Path::new("sparse")
    }

    fn read_units(&self, _first: UnitIndex, _count: u32, _stage: &mut Stage) -> Result<(), VolumeError> {
        unimplemented!("files are read by slots")
    }

    fn measure_units(&self, _first: UnitIndex, _body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        unimplemented!("files are read by slots")
    }
}

impl Disk for Sparse {
    fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        let Shape::Ckd(geometry) = &self.0 else { unreachable!("it is a 3390") };
        buffer.fill(0);
        NullFormat::Empty.fill(geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0))), buffer);
        Ok(())
    }

    fn write_slot(&self, unit: UnitIndex, _offset: u32, _bytes: &[u8]) -> Result<(), VolumeError> {
        Err(VolumeError::Refused { path: "sparse".into(), reason: format!("unit {} is made up", unit.0) })
    }

    fn sync(&self) -> Result<(), VolumeError> {
        Ok(())
    }

    fn is_writable(&self) -> bool {
        true
    }
}
