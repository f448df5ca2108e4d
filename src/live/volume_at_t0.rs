//! One volume as of T0, while hosts go on writing to it.
//!
//! It is a [`Watcher`] behind the volume's gate, which copies a unit's original away before a host's first write to it, and
//! the source from which the session's copier reads the volume as of T0.
//!
//! An original goes to the cache until the tape is planned, and from then on to its places on the tape, if the sink takes
//! units out of order; a sequential sink finds it in the cache. Where a view shows the volume too (`once` is false), every
//! original stays in the cache, and the copier finds it there: nothing counts as secured because it is on the tape.

mod copying;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::track::{END_MARK, Track};
use tapegate_formats::tape::unit::UnitKind;

use super::pacer::Pacer;
use super::securing::{Secured, Securing};
use super::status::OnError;
use crate::cache::{CacheError, CacheShare, ShareUsage};
use crate::finding::Finding;
use crate::gate::{Disk, Refusal, SharedSizes, Watcher};
use crate::snapshot::{BringBuffers, CopySource, SnapshotError, TapePlaces};
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, RwLock};
use crate::volume::{Fingerprint, Shape, Stage, UnitIndex, UnitSource, VolumeError};

/// How often a write that is held tries again.
const RETRY: Duration = Duration::from_millis(50);

/// More originals than these are let go in a thread of their own: about a millisecond's worth.
const UNITS_LET_GO_AT_ONCE: u64 = 4096;

/// Why a session has ended for the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Everything is delivered, or the session was cancelled: nothing is protected any more.
    Over,
    /// An original could not be kept.
    Void(String),
}

/// Wants to know that a volume's T0 can't be kept any more.
pub(super) trait LossListener: Send + Sync {
    /// Called once, by whoever found it out: perhaps in the way of a host's write, so it must not take long.
    fn lost(&self, reason: &str);
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
    /// Gone when it has ended: originals take room that others may use.
    cache: RwLock<Option<Arc<CacheShare>>>,
    /// Whether what was delivered is released from the cache, as a view does not.
    once: bool,
    /// Pieces still to be delivered of units that have several; the others have one.
    pieces: Mutex<HashMap<u32, u32>>,
    on_error: OnError,
    pacer: Arc<Pacer>,
    ended: AtomicBool,
    ending: OnceLock<Ending>,
    listener: OnceLock<Weak<dyn LossListener>>,
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
            cache: RwLock::new(Some(Arc::new(cache))),
            once,
            pieces: Mutex::default(),
            on_error,
            pacer,
            ended: AtomicBool::new(false),
            ending: OnceLock::new(),
            listener: OnceLock::new(),
            counters: HostCounters::default(),
            buffers: Mutex::default(),
        }
    }

    /// Takes up what an earlier process kept: the units that the cache has had changed, and no others.
    #[must_use]
    pub fn take_up(parts: AtT0Parts) -> Self {
        let units = parts.cache.units();
        let volume = Self::new(parts);
        units.into_iter().for_each(|unit| volume.securing.secure_all(unit.0..unit.0 + 1));
        volume
    }

    /// Tells `listener` if an original can't be kept.
    pub(super) fn set_listener(&self, listener: Weak<dyn LossListener>) {
        // A volume has one session.
        let _first = self.listener.set(listener);
    }

    /// Notes the lengths of units as of T0; under the stillness in which it begins.
    pub fn set_sizes(&self, sizes: SharedSizes) {
        // A second T0 there is not.
        let _first = self.sizes.set(sizes);
    }

    /// Ends the protection: hosts' writes pass, and reads fail. Originals are let go, in a thread of their own where
    /// they are many.
    pub fn end(&self, ending: Ending) {
        let lost = if let Ending::Void(reason) = &ending { Some(reason.clone()) } else { None };
        if self.ending.set(ending).is_err() {
            return;
        }
        self.ended.store(true, Ordering::Release);
        // First the session forgets what would bring it back after a restart, then writes pass unprotected.
        if let (Some(reason), Some(listener)) = (lost, self.listener.get().and_then(Weak::upgrade)) {
            listener.lost(&reason);
        }
        // Whoever waits for a claim goes on.
        self.securing.secure_all(0..self.disk.shape().units());
        if let Some(cache) = self.cache.write().unwrap_or_else(PoisonError::into_inner).take() {
            let many = cache.usage().units > UNITS_LET_GO_AT_ONCE;
            let let_go = std::thread::Builder::new().name("let-go".to_owned());
            if many && let Err(error) = let_go.spawn(move || drop(cache)) {
                tracing::debug!(%error, "originals were let go without a thread");
            }
        }
    }

    /// How it has ended, if it has.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.get()
    }

    /// Counts units that an earlier process brought to the tape.
    pub(super) fn count_in_order(&self, units: usize) {
        // A file's units are counted by a u32.
        self.counters.in_order_units.fetch_add(u32::try_from(units).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// What hosts' writes cost and brought.
    #[must_use]
    pub const fn counters(&self) -> &HostCounters {
        &self.counters
    }

    /// How much of the cache it has.
    #[must_use]
    pub fn cache_usage(&self) -> ShareUsage {
        self.cache().map(|cache| cache.usage()).unwrap_or_default()
    }

    /// The share of the cache, until it has ended.
    fn cache(&self) -> Option<Arc<CacheShare>> {
        self.cache.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The original of a unit that changed, as the cache has it.
    fn original(&self, unit: UnitIndex, body: &mut Vec<u8>) -> Result<Option<UnitKind>, VolumeError> {
        let original = self.cache().map_or(Ok(None), |cache| cache.get(unit, body));
        original.map_err(|error| self.unit_error(unit, format!("its original can't be read from the cache: {error}")))
    }

    fn unit_error(&self, unit: UnitIndex, reason: String) -> VolumeError {
        VolumeError::Unit { path: self.name.clone(), address: self.disk.shape().address(unit), offset: 0, reason }
    }

    /// Reads a unit as of T0 as a plain image has it; behind the end mark of a track that changed since are zeros.
    ///
    /// # Errors
    /// When the volume or the cache can't be read, or the protection has ended.
    pub fn read_slot(&self, unit: UnitIndex, slot: &mut [u8]) -> Result<(), VolumeError> {
        let mut body = Vec::new();
        // First the cache: who is there need not be read from the volume.
        if self.securing.is_secured(unit) && self.fill_slot(unit, slot, &mut body)? {
            return self.check_unchanged();
        }
        self.disk.read_slot(unit, slot)?;
        if self.securing.was_secured_before_read(unit) {
            self.fill_slot(unit, slot, &mut body)?;
        }
        // Behind the bit, as in `take_originals`.
        self.check_unchanged()
    }

    /// Makes a slot of a unit's original; false where the cache does not have it.
    fn fill_slot(&self, unit: UnitIndex, slot: &mut [u8], body: &mut Vec<u8>) -> Result<bool, VolumeError> {
        let Some(kind) = self.original(unit, body)? else { return Ok(false) };
        let end_mark = if kind == UnitKind::Track { &END_MARK[..] } else { &[] };
        let Some((whole, behind)) = slot.split_at_mut_checked(body.len() + end_mark.len()) else {
            return Err(self.unit_error(unit, format!("its original has {} bytes, too many for a slot", body.len())));
        };
        let (content, end) = whole.split_at_mut(body.len());
        content.copy_from_slice(body);
        end.copy_from_slice(end_mark);
        behind.fill(0);
        Ok(true)
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
                // Without a cache it has ended, and nothing is kept any more.
                if let (Some(staged), Some(cache)) = (buffers.stage.units().next(), self.cache()) {
                    cache.put(unit, staged.kind, staged.body)?;
                    // Its bit is set by the copier only, and the stream may have passed it since it was read here: then
                    // nobody comes for what was put. The copier sets the bit before it looks into the cache.
                    if self.once && self.securing.is_secured(unit) {
                        cache.release(unit);
                    }
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
            if let Some(kind) = self.original(unit, &mut body)? {
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
