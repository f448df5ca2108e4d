//! What the gate costs a host's write, and how long T0 holds hosts. Run it with `cargo bench --bench gate`.
//!
//! | group | what is measured |
//! | --- | --- |
//! | write of 512 bytes | to a disk in memory: past the gate, and through it inside a channel program, as a single write, and with a session that has the unit already. The difference to `no gate` is the gate |
//! | first write to a track | to a volume file with full tracks, whose originals go to the cache, or to their places on the tape |
//! | T0 | hosts are held still, a session gets the lengths of all units and stands behind the gate: volumes of 3390-54 size |

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tapegate::cache::{CachePool, PoolConfig};
use tapegate::gate::{Disk, Still, StillLimits, VolumeGate};
use tapegate::live::status::{OnError, Pace, SessionId, SessionRequest, SessionState};
use tapegate::live::{AtT0Parts, Ending, LiveVolume, Pacer, Sessions, VolumeAtT0};
use tapegate::volume::create::{CreateOptions, NewImage};
use tapegate::volume::{
    BlockShape, Fingerprint, ImageFormat, OpenOptions, Shape, Stage, UnitIndex, UnitSource, Volume, VolumeError,
};
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::tape::unit::UnitKind;
use tempfile::TempDir;

const BLOCK: usize = 512;
/// Tracks of the volume whose first writes are measured: 115 MB.
const TRACKS: u32 = 135 * 15;
/// Tracks of a 3390-54.
const MODEL_54: u64 = 65_520 * 15;

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = write, first_write, t0
}
criterion_main!(benches);

/// Blocks in memory; all groups of blocks behind the first thousand are one and the same.
struct MemoryDisk {
    shape: Shape,
    units: Vec<Mutex<[u8; BLOCK]>>,
}

impl MemoryDisk {
    fn new(blocks: u64) -> Arc<Self> {
        let shape = Shape::FixedBlock(BlockShape { blocks, block_bytes: 512, unit_blocks: 1 });
        Arc::new(Self { shape, units: (0..1000).map(|_| Mutex::new([0; BLOCK])).collect() })
    }
}

impl UnitSource for MemoryDisk {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn name(&self) -> &Path {
        Path::new("memory")
    }

    fn read_units(&self, _first: UnitIndex, _count: u32, _stage: &mut Stage) -> Result<(), VolumeError> {
        unimplemented!("nothing is copied from it")
    }

    fn measure_units(&self, _first: UnitIndex, _body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        unimplemented!("nothing is measured on it")
    }
}

impl Disk for MemoryDisk {
    fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        buffer.copy_from_slice(&*self.units[unit.0 as usize % 1000].lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    fn write_slot(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        let mut block = self.units[unit.0 as usize % 1000].lock().unwrap_or_else(PoisonError::into_inner);
        block[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<(), VolumeError> {
        Ok(())
    }

    fn is_writable(&self) -> bool {
        true
    }
}

/// A volume as of T0, before it is put behind the gate.
fn session(disk: &Arc<dyn Disk>) -> Arc<VolumeAtT0> {
    let config = PoolConfig { name: "bench".to_owned(), memory_bytes: 1 << 30, spill: None };
    Arc::new(VolumeAtT0::new(AtT0Parts {
        disk: Arc::clone(disk),
        name: "memory".into(),
        fingerprint: Fingerprint { files: Vec::new() },
        findings: Vec::new(),
        cache: CachePool::new(config).expect("a pool in memory").share("bench"),
        once: true,
        on_error: OnError::Drop,
        pacer: Arc::new(Pacer::new(Pace::default(), &[])),
    }))
}

/// T0 of gates: what is done while hosts are held still. Gives how long that was.
fn take_t0(gates: &[Arc<VolumeGate>], sessions: &[Arc<VolumeAtT0>]) -> Duration {
    let rooms: Vec<_> = gates.iter().map(|gate| gate.sizes().room()).collect();
    let still = Still::of(gates, StillLimits::default()).expect("nobody is in the way");
    for ((gate, session), room) in gates.iter().zip(sessions).zip(rooms) {
        session.set_sizes(still.sizes(gate, room));
        still.add_watcher(gate, Arc::clone(session) as _);
    }
    still.held_for()
}

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write of 512 bytes");
    let disk: Arc<dyn Disk> = MemoryDisk::new(1000);
    let bytes = [7; BLOCK];
    let mut unit = 0;
    let mut next = move || {
        unit = (unit + 7) % 1000;
        UnitIndex(unit)
    };
    group.bench_function("no gate", |bencher| bencher.iter(|| black_box(&disk).write_slot(next(), 0, &bytes)));
    let gate = VolumeGate::new("memory", Arc::clone(&disk));
    let port = gate.attach("host", None);
    let open = port.begin(Duration::ZERO).expect("nobody is in the way");
    group.bench_function("in a channel program", |bencher| bencher.iter(|| black_box(&open).write(next(), 0, &bytes)));
    drop(open);
    let single = || port.single(Duration::ZERO).expect("nobody is in the way");
    group.bench_function("single", |bencher| bencher.iter(|| single().write(next(), 0, &bytes)));
    group.bench_function("a channel program each", |bencher| {
        bencher.iter(|| port.begin(Duration::ZERO).expect("nobody is in the way").write(next(), 0, &bytes));
    });

    let secured = session(&disk);
    secured.end(Ending::Over);
    take_t0(std::slice::from_ref(&gate), std::slice::from_ref(&secured));
    group.bench_function("single, secured by a session", |bencher| bencher.iter(|| single().write(next(), 0, &bytes)));
    group.finish();
}

/// A volume of full tracks that hardly compress.
fn volume() -> (TempDir, Volume) {
    let memory = tempfile::tempdir_in("/dev/shm");
    let folder = memory.or_else(|_| tempfile::tempdir()).expect("a folder for temporary files");
    let path = folder.path().join("volume.ckd");
    let geometry = Geometry::standard(DeviceType::Ibm3390, TRACKS / 15).expect("a small 3390");
    let image = NewImage::create(&path, &Shape::Ckd(geometry), &CreateOptions::new(ImageFormat::Ckd)).expect("a new image");
    for track in 0..TRACKS {
        let home = geometry.encode_cchh(geometry.cchh(TrackIndex(track)));
        let mut body = [&[0], &home[..], &home, &[0, 0, 0, 8], &[0; 8]].concat();
        for record in 1..=12 {
            body.extend([&home[..], &[record, 0, 0x10, 0]].concat());
            body.extend([record; 4096]);
        }
        image.write_units(UnitIndex(track), &[(UnitKind::Track, &body)]).expect("a track");
    }
    image.finish(false).expect("the image");
    let volume = Volume::open_for_update(&path, &OpenOptions::default()).expect("the volume");
    (folder, volume)
}

fn first_write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("first write to a track");
    group.sample_size(10);
    let (folder, volume) = volume();
    let (fingerprint, image) = (volume.fingerprint().clone(), volume.path().to_owned());
    let disk: Arc<dyn Disk> = Arc::new(volume);
    let bytes = [7; 4096];
    let mut track = 0;
    let mut next = move || {
        track = (track + 1013) % TRACKS;
        UnitIndex(track)
    };
    // Inside of the first record's data.
    group.bench_function("no gate", |bencher| bencher.iter(|| black_box(&disk).write_slot(next(), 29, &bytes)));
    for place in ["cache", "tape"] {
        group.bench_function(place, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut took = Duration::ZERO;
                let mut left = iterations;
                while left > 0 {
                    let gate = VolumeGate::new("volume", Arc::clone(&disk));
                    let port = gate.attach("host", None);
                    let end = if place == "tape" { to_tape(&gate, &image, &fingerprint, folder.path()) } else { to_cache(&gate) };
                    // The copier of a session has begun at the start of the volume; hosts write at its end.
                    let writes = left.min(u64::from(TRACKS) / 2);
                    left -= writes;
                    let access = port.begin(Duration::from_secs(10)).expect("nobody is in the way");
                    let began = Instant::now();
                    for track in (0..TRACKS).rev().take(usize::try_from(writes).unwrap_or(0)) {
                        access.write(UnitIndex(track), 29, &bytes).expect("a write");
                    }
                    took += began.elapsed();
                    drop(access);
                    end();
                }
                took
            });
        });
    }
    group.finish();
}

fn to_cache(gate: &Arc<VolumeGate>) -> Box<dyn FnOnce()> {
    let session = session(gate.disk());
    take_t0(std::slice::from_ref(gate), std::slice::from_ref(&session));
    Box::new(move || session.end(Ending::Over))
}

/// A session whose copier is so slow that hosts' writes find their units not secured.
fn to_tape(gate: &Arc<VolumeGate>, image: &Path, fingerprint: &Fingerprint, folder: &Path) -> Box<dyn FnOnce()> {
    // A session that was cancelled may still have its tape for a moment.
    static SESSIONS: AtomicU32 = AtomicU32::new(0);
    let number = SESSIONS.fetch_add(1, Ordering::Relaxed);
    let volume =
        LiveVolume { gate: Arc::clone(gate), image: image.to_owned(), fingerprint: fingerprint.clone(), findings: Vec::new() };
    let pool = CachePool::new(PoolConfig { name: "bench".to_owned(), memory_bytes: 1 << 30, spill: None });
    let sessions = Sessions::new(vec![volume], vec![pool.expect("a pool in memory")], SessionId(1), 1);
    let request = serde_json::json!({
        "volumes": [{ "volume": "volume", "tape": folder.join(format!("{number}.aws")) }],
        "pace": { "bytes_per_second": 1 },
    });
    let request: SessionRequest = serde_json::from_value(request).expect("a request");
    let session = sessions.start(request, None).expect("a session");
    // The first units are on the tape: it was planned, and originals go to their places.
    while session.status().volumes[0].bytes == 0 {
        assert!(!session.status().state.is_over(), "{:?}", session.status().state);
        std::thread::sleep(Duration::from_millis(1));
    }
    Box::new(move || {
        session.cancel();
        assert_eq!(session.status().state, SessionState::Cancelled);
        drop(sessions);
        drop(session);
    })
}

fn t0(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("T0");
    group.sample_size(10);
    for volumes in [1, 10, 50] {
        let gates: Vec<_> =
            (0..volumes).map(|number| VolumeGate::new(&format!("volume{number}"), MemoryDisk::new(MODEL_54))).collect();
        let ports: Vec<_> = gates.iter().map(|gate| gate.attach("host", None)).collect();
        group.bench_function(BenchmarkId::from_parameter(volumes), |bencher| {
            bencher.iter_custom(|iterations| {
                let once = |_| {
                    let sessions: Vec<_> = gates.iter().map(|gate| session(gate.disk())).collect();
                    let held = take_t0(&gates, &sessions);
                    sessions.iter().for_each(|session| session.end(Ending::Over));
                    held
                };
                (0..iterations).map(once).sum()
            });
        });
        drop(ports);
    }
    group.finish();
}
