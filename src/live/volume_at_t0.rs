//! One volume as of T0, while hosts go on writing to it.
//!
//! It is a [`Watcher`] behind the volume's gate, which copies a unit's original away before a host's first write to it, and
//! the source from which the session's copier reads the volume as of T0.
//!
//! An original goes to the cache until the tape is planned, and from then on to its places on the tape, if the sink takes
//! units out of order; a sequential sink and a snapshot view find it in the cache.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bitvec::vec::BitVec;
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::track::Track;
use tapegate_formats::tape::unit::UnitKind;

use super::pacer::Pacer;
use super::securing::{Secured, Securing};
use super::status::OnError;
use crate::cache::{CacheError, CacheShare};
use crate::finding::Finding;
use crate::gate::{Disk, Refusal, SharedSizes, Watcher};
use crate::plan::{FileSpec, UnitList};
use crate::snapshot::{BringBuffers, CopySource, LiveSource, SnapshotError, TapePlaces};
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, RwLock};
use crate::volume::{Fingerprint, Shape, Stage, UnitIndex, UnitSource, VolumeError};

/// How often a write that is held tries again.
const RETRY: Duration = Duration::from_millis(50);

/// Why a session has ended for the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Everything is delivered, or the session was cancelled: nothing is protected any more.
    Over,
    /// An original could not be kept.
    Void(String),
}

/// Where originals go.
enum Keeper {
    Cache,
    Places(Arc<TapePlaces>),
}

/// What writes of hosts cost, and brought.
#[derive(Debug, Default)]
pub struct HostCounters {
    /// Units copied in front of a host's write.
    pub out_of_order_units: AtomicU32,
    /// Units that the copier secured.
    pub in_order_units: AtomicU32,
    /// Writes that waited for another's copy, or for room.
    pub writes_held: AtomicU64,
    /// The longest time that a write waited here, its copy included.
    pub longest_hold_us: AtomicU64,
}

/// A volume as of T0.
pub struct VolumeAtT0 {
    disk: Arc<dyn Disk>,
    name: PathBuf,
    fingerprint: Fingerprint,
    findings: Vec<Finding>,
    sizes: OnceLock<SharedSizes>,
    securing: Securing,
    keeper: RwLock<Keeper>,
    cache: CacheShare,
    /// Whether what was delivered is released from the cache, as a view does not.
    once: bool,
    /// Pieces still to be delivered of units that have several; the others have one.
    pieces: Mutex<HashMap<u32, u32>>,
    on_error: OnError,
    pacer: Arc<Pacer>,
    ended: AtomicBool,
    ending: OnceLock<Ending>,
    counters: HostCounters,
    buffers: Mutex<Vec<Buffers>>,
}

/// Buffers of a write that copies its unit.
#[derive(Default)]
struct Buffers {
    stage: Stage,
    bring: BringBuffers,
}

/// An original could not be kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Tape(#[from] SnapshotError),
}

/// What it is made of.
pub struct AtT0Parts {
    /// The disk behind the gate.
    pub disk: Arc<dyn Disk>,
    /// What messages and the manifest call it.
    pub name: PathBuf,
    /// Identity of its files.
    pub fingerprint: Fingerprint,
    /// What was odd when it was opened.
    pub findings: Vec<Finding>,
    /// Where originals wait.
    pub cache: CacheShare,
    /// Whether originals are released once they are delivered.
    pub once: bool,
    /// What happens when an original can't be kept.
    pub on_error: OnError,
    /// The copier's pace.
    pub pacer: Arc<Pacer>,
}

impl VolumeAtT0 {
    /// Prepares to protect every unit; it begins when it is put behind the gate, and its lengths are
    /// [set](Self::set_sizes).
    #[must_use]
    pub fn new(parts: AtT0Parts) -> Self {
        let AtT0Parts { disk, name, fingerprint, findings, cache, once, on_error, pacer } = parts;
        let securing = Securing::new(disk.shape().units());
        Self {
            disk,
            name,
            fingerprint,
            findings,
            sizes: OnceLock::new(),
            securing,
            keeper: RwLock::new(Keeper::Cache),
            cache,
            once,
            pieces: Mutex::default(),
            on_error,
            pacer,
            ended: AtomicBool::new(false),
            ending: OnceLock::new(),
            counters: HostCounters::default(),
            buffers: Mutex::default(),
        }
    }

    /// Notes the lengths of units as of T0; under the stillness in which it begins.
    pub fn set_sizes(&self, sizes: SharedSizes) {
        // A second T0 there is not.
        let _first = self.sizes.set(sizes);
    }

    /// Ends the protection: hosts' writes pass, and reads fail if it is void.
    pub fn end(&self, ending: Ending) {
        if self.ending.set(ending).is_ok() {
            self.ended.store(true, Ordering::Release);
            // Whoever waits for a claim goes on.
            self.securing.secure_all(0..self.disk.shape().units());
        }
    }

    /// How it has ended, if it has.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.get()
    }

    /// What hosts' writes cost and brought.
    #[must_use]
    pub const fn counters(&self) -> &HostCounters {
        &self.counters
    }

    /// The share of the cache.
    #[must_use]
    pub const fn cache(&self) -> &CacheShare {
        &self.cache
    }

    /// Units that are secured, or need not be.
    #[must_use]
    pub fn secured_units(&self) -> u32 {
        self.securing.status().secured()
    }

    /// What [`Watcher::before_write`] must not do: others pass before the copy is there.
    #[cfg(test)]
    pub(super) fn keep_behind_bit(&self, unit: UnitIndex) -> Option<String> {
        self.securing.secure_all(unit.0..unit.0 + 1);
        self.keep(unit).err().map(|error| error.to_string())
    }

    /// Copies a unit away before a host writes to it.
    fn keep(&self, unit: UnitIndex) -> Result<(), KeepError> {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let kept = self.keep_with(unit, &mut buffers);
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffers);
        kept
    }

    fn keep_with(&self, unit: UnitIndex, buffers: &mut Buffers) -> Result<(), KeepError> {
        self.disk.read_units(unit, 1, &mut buffers.stage)?;
        // Held until the unit is where it belongs: whoever changes the keeper waits for copies under way.
        let keeper = self.keeper.read().unwrap_or_else(PoisonError::into_inner);
        match &*keeper {
            Keeper::Places(places) => places.bring(unit, &buffers.stage, &mut buffers.bring)?,
            Keeper::Cache => {
                if let Some(staged) = buffers.stage.units().next() {
                    self.cache.put(unit, staged.kind, staged.body)?;
                }
            }
        }
        Ok(())
    }

    /// Puts what the cache has in the place of what was read, where the volume changed since T0.
    fn take_originals(&self, first: UnitIndex, stage: &mut Stage) -> Result<(), VolumeError> {
        let mut body = Vec::new();
        for at in 0..stage.len() {
            // A stage has fewer units than a volume.
            let unit = UnitIndex(first.0 + u32::try_from(at).unwrap_or(0));
            if !self.securing.was_secured_before_read(unit) {
                continue;
            }
            let original = self.cache.get(unit, &mut body).map_err(|error| VolumeError::Unit {
                path: self.name.clone(),
                address: self.disk.shape().address(unit),
                offset: 0,
                reason: format!("its original can't be read from the cache: {error}"),
            })?;
            if let Some(kind) = original {
                stage.replace(at, kind, &body, self.defect(unit, kind, &body));
            }
        }
        // Behind the bits: one that ends sets them all, and what was read may be of after T0.
        self.check_unchanged()
    }

    /// Why a raw slot is no track.
    fn defect(&self, unit: UnitIndex, kind: UnitKind, body: &[u8]) -> Option<tapegate_formats::dasd::track::TrackError> {
        let Shape::Ckd(geometry) = self.disk.shape() else { return None };
        if kind != UnitKind::RawSlot {
            return None;
        }
        Track::parse(body, geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)))).err()
    }

    fn note_hold(&self, began: Instant) {
        let held = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.counters.longest_hold_us.fetch_max(held, Ordering::Relaxed);
    }
}

impl Watcher for VolumeAtT0 {
    fn lets_pass(&self, unit: UnitIndex) -> bool {
        self.securing.is_secured(unit)
    }

    fn before_write(&self, unit: UnitIndex, writer: &str) -> Result<(), Refusal> {
        let began = Instant::now();
        let mut held = false;
        loop {
            let secured = self.securing.secure(unit, || self.keep(unit));
            let error = match secured {
                Ok(secured) => {
                    if secured == Secured::Copied {
                        self.counters.out_of_order_units.fetch_add(1, Ordering::Relaxed);
                    }
                    if held || secured == Secured::Awaited {
                        self.counters.writes_held.fetch_add(1, Ordering::Relaxed);
                    }
                    break;
                }
                Err(error) => error,
            };
            let address = self.disk.shape().address(unit);
            match self.on_error {
                OnError::Hold { limit_ms } if began.elapsed() < Duration::from_millis(limit_ms) => {
                    if !held {
                        tracing::warn!(volume = %self.name.display(), %address, client = writer, %error, "a write is held");
                    }
                    held = true;
                    std::thread::sleep(RETRY);
                }
                OnError::Hold { .. } | OnError::Drop => {
                    tracing::error!(volume = %self.name.display(), %address, %error, "the session is void");
                    self.end(Ending::Void(format!("the original of {address} could not be kept: {error}")));
                    break;
                }
            }
        }
        self.note_hold(began);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl UnitSource for VolumeAtT0 {
    fn shape(&self) -> &Shape {
        self.disk.shape()
    }

    fn name(&self) -> &Path {
        &self.name
    }

    /// Reads units as of T0; of one that went to its places on the tape, what the volume has now.
    fn read_units(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        self.disk.read_units(first, count, stage)?;
        self.take_originals(first, stage)
    }

    fn measure_units(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        let mut stage = Stage::new();
        for (length, unit) in body_bytes.iter_mut().zip(first.0..) {
            let unit = UnitIndex(unit);
            *length = match self.sizes.get().and_then(|sizes| sizes.body_bytes(unit)) {
                Some(known) => known,
                None => {
                    self.read_units(unit, 1, &mut stage)?;
                    stage.units().next().map_or(0, |staged| u32::try_from(staged.body.len()).unwrap_or(u32::MAX))
                }
            };
        }
        Ok(())
    }
}

impl CopySource for VolumeAtT0 {
    /// The gate keeps the lengths, and few are stale.
    fn measures_sparsely(&self) -> bool {
        true
    }

    fn findings(&self) -> Vec<Finding> {
        self.findings.clone()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn check_unchanged(&self) -> Result<(), VolumeError> {
        match self.ending.get() {
            None => Ok(()),
            Some(Ending::Over) => {
                Err(VolumeError::Refused { path: self.name.clone(), reason: "the session was cancelled".to_owned() })
            }
            Some(Ending::Void(reason)) => {
                Err(VolumeError::Refused { path: self.name.clone(), reason: format!("the session is void: {reason}") })
            }
        }
    }

    fn live(&self) -> Option<&dyn LiveSource> {
        Some(self)
    }
}

impl LiveSource for VolumeAtT0 {
    fn narrow(&self, files: &[FileSpec]) {
        let units = self.disk.shape().units();
        let mut wanted: BitVec = BitVec::repeat(false, units as usize);
        let mut pieces: HashMap<u32, u32> = HashMap::new();
        for run in files.iter().flat_map(|file| file.units.runs()) {
            let range = run.first.0 as usize..(run.first.0 + run.units) as usize;
            for again in wanted[range.clone()].iter_ones() {
                // Inside a run, whose units a u32 counts.
                *pieces.entry(run.first.0 + u32::try_from(again).unwrap_or(0)).or_insert(1) += 1;
            }
            wanted[range].fill(true);
        }
        *self.pieces.lock().unwrap_or_else(PoisonError::into_inner) = pieces;
        for run in UnitList::complement(files.iter().map(|file| &file.units), units).runs() {
            self.securing.secure_all(run.first.0..run.first.0 + run.units);
        }
        // What no file has need not be kept.
        self.cache.units().into_iter().filter(|unit| !wanted[unit.0 as usize]).for_each(|unit| self.cache.release(unit));
    }

    fn begin_places(&self, places: Arc<TapePlaces>) -> Result<(), SnapshotError> {
        *self.keeper.write().unwrap_or_else(PoisonError::into_inner) = Keeper::Places(Arc::clone(&places));
        // Nothing is put into the cache any more: what it has now is all.
        let (mut stage, mut buffers) = (Stage::new(), BringBuffers::default());
        for unit in self.cache.units() {
            self.read_units(unit, 1, &mut stage)?;
            places.bring(unit, &stage, &mut buffers)?;
            if self.once {
                self.cache.release(unit);
            }
        }
        Ok(())
    }

    fn end_places(&self) -> Option<Arc<TapePlaces>> {
        let mut keeper = self.keeper.write().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *keeper, Keeper::Cache) {
            Keeper::Places(places) => Some(places),
            Keeper::Cache => None,
        }
    }

    fn delivered(&self, units: Range<u32>) {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let several = !pieces.is_empty();
        let whole = |unit: &u32| match pieces.get_mut(unit).filter(|_| several) {
            Some(left) => {
                *left = left.saturating_sub(1);
                *left == 0
            }
            None => true,
        };
        let ready: Vec<u32> = if several { units.clone().filter(whole).collect() } else { Vec::new() };
        drop(pieces);
        if several {
            ready.iter().for_each(|&unit| self.securing.secure_all(unit..unit + 1));
        } else {
            self.securing.secure_all(units.clone());
        }
        self.counters.in_order_units.fetch_add(units.end - units.start, Ordering::Relaxed);
        if self.once {
            let released = if several { ready } else { units.collect() };
            released.into_iter().for_each(|unit| self.cache.release(UnitIndex(unit)));
        }
    }

    fn pace(&self, bytes: u64) {
        self.pacer.pace(bytes);
    }
}
