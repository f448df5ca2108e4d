//! What a session of the model is asked for, and what its copier does.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::disk::{body_of, track_of};
use super::rules::{Rules, SteppedSource};
use super::steps::stop_here;
use crate::cache::{CachePool, PoolConfig, SpillConfig};
use crate::catalog::Extent;
use crate::gate::{Disk, VolumeGate};
use crate::live::status::{OnError, Pace};
use crate::live::{AtT0Parts, Ending, Pacer, VolumeAtT0};
use crate::plan::pattern::Selection;
use crate::plan::{BlockTable, FileClass, FileSpec, Form, LabelKind, PlanOptions, UnitBlocks, UnitList};
use crate::snapshot::{
    LiveSource as _, NoMonitor, Preparation, SessionOptions, SnapshotError, SnapshotOptions, Target, discard_interrupted, run,
};
use crate::volume::{Fingerprint, Shape};

/// Where a session's originals and its tape go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sink {
    /// A tape file, which takes units at their places.
    File,
    /// A pipe, which takes them in order.
    Pipe,
    /// No tape: originals stay in the cache, for a view.
    View,
}

/// Runs of units by first unit and length, and whether they go as blocks.
pub(super) type FileAsked = (Vec<(u8, u8)>, bool);

/// What a session is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) sink: Sink,
    /// Whether a view shows it too, beside the tape.
    pub(super) viewed: bool,
    /// Files of the tape: runs of units by first unit and length, both taken modulo what there is, and whether they go as
    /// blocks. Files share units. With none the volume is one file.
    pub(super) files: Vec<FileAsked>,
    pub(super) block_bytes: u16,
    /// Room for originals; enough if there is none.
    pub(super) cache_bytes: Option<u16>,
    pub(super) spills: bool,
    /// Writes to the sink until it fails.
    pub(super) sink_writes: Option<u8>,
    pub(super) rules: Rules,
}

impl Asked {
    pub(super) fn is_viewed(&self) -> bool {
        self.viewed || self.sink == Sink::View
    }
}

/// A volume as of T0 before it is put behind the gate.
pub(super) fn prepare(gate: &Arc<VolumeGate>, asked: &Asked, tape: &Path) -> Arc<VolumeAtT0> {
    // A spill takes granules of 4 KiB.
    let (memory_bytes, spill_bytes) = match (asked.cache_bytes, asked.spills) {
        (Some(bytes), spills) => (u64::from(bytes), if spills { 8192 } else { 0 }),
        (None, true) => (0, 1 << 20),
        (None, false) => (1 << 24, 0),
    };
    let spill = tape.parent().map(|folder| SpillConfig { path: folder.to_owned(), bytes: spill_bytes });
    let spill = spill.filter(|spill| spill.bytes > 0);
    let pool = CachePool::new(PoolConfig { name: "model".to_owned(), memory_bytes, spill }).unwrap();
    let pace = Pace { stages_in_a_row: Some(0), bytes_per_second: None };
    Arc::new(VolumeAtT0::new(AtT0Parts {
        disk: Arc::clone(gate.disk()),
        name: "memory".into(),
        fingerprint: Fingerprint { files: Vec::new() },
        findings: Vec::new(),
        cache: pool.share("model"),
        once: !asked.is_viewed(),
        on_error: OnError::Drop,
        pacer: Arc::new(Pacer::new(pace, &[])),
    }))
}

/// A folder for tapes that waits for no disk, where there is one.
pub(super) fn folder() -> (TempDir, PathBuf) {
    let memory = tempfile::tempdir_in("/dev/shm");
    let folder = memory.or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

/// What a copier has to do.
pub(super) struct Work {
    pub(super) at_t0: Arc<VolumeAtT0>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) asked: Asked,
    pub(super) files: Vec<FileSpec>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) tape: PathBuf,
    pub(super) piped: Arc<Mutex<Vec<u8>>>,
}

impl Work {
    /// As a session's thread does it.
    pub(super) fn make_tape(&self) -> Result<(), SnapshotError> {
        let made = self.try_make_tape();
        match &made {
            // The view of it stays.
            Ok(()) if self.asked.is_viewed() => {}
            Ok(()) => {
                // Under shuttle a host's write may be between putting its original and seeing that the tape has passed it.
                let hosts_stand = cfg!(not(feature = "shuttle"));
                let kept = self.at_t0.cache_usage().units;
                assert!(kept == 0 || !hosts_stand, "{kept} originals are kept that the tape has passed");
                self.at_t0.end(Ending::Over);
            }
            Err(error) => {
                self.at_t0.end(Ending::Void(error.to_string()));
                discard_interrupted(&self.tape);
            }
        }
        made
    }

    fn try_make_tape(&self) -> Result<(), SnapshotError> {
        let options = SnapshotOptions {
            plan: PlanOptions::new(LabelKind::Standard, self.asked.block_bytes.into())?,
            tape_volser: None,
            selection: Selection::default(),
            form: Form::Tracks,
            used: false,
            whole: false,
            no_free: false,
            threads: 1,
            t0: 0,
            consistency: None,
        };
        let source = SteppedSource { at_t0: &self.at_t0, disk: &*self.disk, rules: self.asked.rules };
        let mut preparation = Preparation::new(&source, &options, true, &NoMonitor)?;
        if !self.files.is_empty() {
            // The description tells of one file, and is not looked at: the test knows what the files are.
            preparation.files.truncate(1);
            preparation.files.extend(self.files.iter().cloned());
        }
        source.narrow(&preparation.files, &|_| false);
        let target = match self.asked.sink {
            Sink::Pipe => Target::Pipe(Box::new(Pipe { out: Arc::clone(&self.piped), writes_left: self.asked.sink_writes })),
            Sink::File | Sink::View => Target::File { tape: self.tape.clone(), resume: false, sync: false },
        };
        let session = SessionOptions { manifest: None, destination: (4096, 0), stop: &self.stop, monitor: &NoMonitor };
        run(&source, &options, preparation, target, &session).map(drop)
    }
}

/// The files that are asked for, with those units that the volume has.
pub(super) fn files(shape: &Shape, asked: &[FileAsked], before: &[Vec<u8>]) -> Vec<FileSpec> {
    let units = shape.units();
    let file = |(number, (runs, as_blocks)): (usize, &FileAsked)| {
        let mut taken = vec![false; units as usize];
        let mut extents = Vec::new();
        for &(first, length) in runs {
            let first = u32::from(first) % units;
            let free = (first..units).take_while(|&unit| !taken[unit as usize] && (!as_blocks || is_blocks(shape, unit, before)));
            let tracks = u32::try_from(free.take(usize::from(length) + 1).count()).unwrap();
            taken[first as usize..(first + tracks) as usize].fill(true);
            extents.extend((tracks > 0).then_some(Extent { first, tracks }));
        }
        let list = UnitList::from_extents(&extents).unwrap();
        let name = format!("MODEL.FILE{number}").parse().unwrap();
        let mut spec = FileSpec::tracks(name, FileClass::DataSet, list);
        if *as_blocks && matches!(shape, Shape::Ckd(_)) {
            let units = extents.iter().flat_map(|extent| extent.first..extent.first + extent.tracks);
            spec.blocks = Some(BlockTable::new(units.map(|unit| blocks_of(shape, unit, before)).collect()));
        }
        spec
    };
    asked.iter().enumerate().map(file).collect()
}

/// Whether a unit can go as blocks: it walks, and no record has a key or is empty.
fn is_blocks(shape: &Shape, unit: u32, before: &[Vec<u8>]) -> bool {
    let track = track_of(shape, unit, &before[unit as usize]);
    let plain = |track: tapegate_formats::dasd::track::Track<'_>| {
        track.user_records().all(|record| record.key.is_empty() && !record.data.is_empty())
    };
    track.is_none_or(|track| track.is_ok_and(plain))
}

fn blocks_of(shape: &Shape, unit: u32, before: &[Vec<u8>]) -> UnitBlocks {
    let mut sum = UnitBlocks::default();
    for record in data_blocks(shape, unit, &before[unit as usize]) {
        sum.blocks += 1;
        sum.bytes += u32::try_from(record.len()).unwrap();
        sum.last_length = u16::try_from(record.len()).unwrap();
    }
    sum
}

/// The data of a track's records.
pub(super) fn data_blocks<'a>(shape: &Shape, unit: u32, slot: &'a [u8]) -> Vec<&'a [u8]> {
    let track = track_of(shape, unit, slot).and_then(Result::ok);
    track.iter().flat_map(tapegate_formats::dasd::track::Track::user_records).map(|record| record.data).collect()
}

/// What the tape's file must hold of a unit.
pub(super) fn expected(shape: &Shape, unit: u32, before: &[Vec<u8>]) -> (tapegate_formats::tape::unit::UnitKind, Vec<u8>) {
    let (kind, body) = body_of(shape, unit, &before[unit as usize]);
    (kind, body.to_vec())
}

/// A pipe into memory, whose reader may leave.
struct Pipe {
    out: Arc<Mutex<Vec<u8>>>,
    writes_left: Option<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        stop_here();
        match &mut self.writes_left {
            Some(0) => return Err(io::ErrorKind::BrokenPipe.into()),
            Some(left) => *left -= 1,
            None => {}
        }
        self.out.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
