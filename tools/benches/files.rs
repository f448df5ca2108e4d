//! Reads and writes through the file front-end, and on an image file itself: what the way through the kernel and the gate
//! costs. Needs /dev/fuse and the right to mount.
//!
//!     cargo bench --bench files

#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tapegate::channel::files::{Entry, FileMount, MountOptions};
use tapegate::gate::VolumeGate;
use tapegate::volume::create::{CreateOptions, NewImage};
use tapegate::volume::{ImageFormat, OpenOptions, Shape, Volume};
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;

/// Time for each row.
const ROW: Duration = Duration::from_millis(1500);
const CYLINDERS: u32 = 200;
const SLOT: u64 = 56_832;
/// Bytes behind the home address, so that no write touches it.
const BEHIND_HOME: u64 = 512;

/// A kind of request.
struct Row {
    name: &'static str,
    bytes: usize,
    threads: u64,
    writes: bool,
    random: bool,
}

const ROWS: [Row; 9] = [
    Row { name: "read 4 KiB at random", bytes: 4096, threads: 1, writes: false, random: true },
    Row { name: "read 4 KiB at random, 4 threads", bytes: 4096, threads: 4, writes: false, random: true },
    Row { name: "write 4 KiB at random", bytes: 4096, threads: 1, writes: true, random: true },
    Row { name: "write 4 KiB at random, 4 threads", bytes: 4096, threads: 4, writes: true, random: true },
    Row { name: "read a track at random", bytes: SLOT as usize, threads: 1, writes: false, random: true },
    Row { name: "write a track at random", bytes: (SLOT - BEHIND_HOME) as usize, threads: 1, writes: true, random: true },
    Row { name: "read in order, 1 MiB", bytes: 1 << 20, threads: 1, writes: false, random: false },
    Row { name: "read in order, 128 KiB", bytes: 128 << 10, threads: 1, writes: false, random: false },
    Row { name: "write in order, a track", bytes: (SLOT - BEHIND_HOME) as usize, threads: 1, writes: true, random: false },
];

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let (served, plain) = (folder.path().join("served.ckd"), folder.path().join("plain.ckd"));
    let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, CYLINDERS).unwrap());
    NewImage::create(&served, &shape, &CreateOptions::new(ImageFormat::Ckd)).unwrap().finish(false).unwrap();
    // No holes: they would be faster to read, and slower to write.
    let mut image = fs::read(&served).unwrap();
    image.iter_mut().filter(|byte| **byte == 0xff).for_each(|byte| *byte = 0xfe);
    fs::write(&plain, &image).unwrap();
    fs::copy(&plain, &served).unwrap();
    let point = folder.path().join("mount");
    fs::create_dir(&point).unwrap();
    let volume = Volume::open_for_update(&served, &OpenOptions::default()).unwrap();
    let entry = Entry { name: "disk".to_owned(), gate: VolumeGate::new("disk", Arc::new(volume)), read_only: false };
    let mount = FileMount::mount(&point, &[entry], &MountOptions::default()).unwrap();
    println!("{:<34} {:>12} {:>10} {:>12} {:>10} {:>7}", "", "file ops/s", "MB/s", "mount ops/s", "MB/s", "ratio");
    for row in &ROWS {
        let [own, through] = [&plain, &mount.paths()[0]].map(|path| row.run(path));
        let rate = |ops: f64| ops * row.bytes as f64 / 1e6;
        println!(
            "{:<34} {own:>12.0} {:>10.0} {through:>12.0} {:>10.0} {:>7.2}",
            row.name,
            rate(own),
            rate(through),
            through / own
        );
    }
    mount.unmount(ROW).unwrap();
}

impl Row {
    /// Requests a second.
    fn run(&self, path: &Path) -> f64 {
        let began = Instant::now();
        let done: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|seed| scope.spawn(move || self.requests(path, seed + 1))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        done as f64 / began.elapsed().as_secs_f64()
    }

    fn requests(&self, path: &Path, seed: u64) -> u64 {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let tracks = u64::from(CYLINDERS) * 15;
        let mut bytes = vec![0xa5_u8; self.bytes];
        let (mut state, mut done, mut next) = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 0, 0);
        let began = Instant::now();
        while began.elapsed() < ROW {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let track = if self.random { state % tracks } else { next % tracks };
            let longest = SLOT - BEHIND_HOME;
            let within =
                if self.random && (self.bytes as u64) < longest { (state >> 32) % (longest - self.bytes as u64) } else { 0 };
            if self.writes {
                file.write_all_at(&bytes, 512 + track * SLOT + BEHIND_HOME + within).unwrap();
            } else if self.random {
                file.read_exact_at(&mut bytes, 512 + track * SLOT + within).unwrap();
            } else {
                let whole = tracks * SLOT / self.bytes as u64;
                file.read_exact_at(&mut bytes, 512 + next % whole * self.bytes as u64).unwrap();
            }
            next += 1;
            done += 1;
        }
        done
    }
}
