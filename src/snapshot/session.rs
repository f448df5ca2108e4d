//! A session from beginning to end: journal and tape are made, stages copied, the frame written, all checked.
//!
//! | it ends | what is left |
//! | --- | --- |
//! | complete | tape and manifest under their names |
//! | the volume changed, or the tape is not as planned | nothing |
//! | any other error, a signal, a crash | `.NAME.partial` and `.NAME.journal`, from which `--resume` goes on |
//!
//! Tapes that are written in order have no journal; see `in_order`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bitvec::vec::BitVec;
use serde::{Deserialize, Serialize};
use tapegate_formats::tape::date::LabelDate;

use super::check::check_tape;
use super::copier::{CopyJob, copy};
use super::error::SnapshotError;
use super::finish::write_frame;
use super::frame::Labels;
use super::kept_plan::{self, plan_path};
use super::ledger::Ledger;
use super::live::LiveSource;
use super::manifest::{Manifest, ManifestFacts, PackedPlaces};
use super::monitor::Monitor;
use super::options::SnapshotOptions;
use super::places::TapePlaces;
use super::prepare::{Preparation, closed_forms};
use super::route::{Order, Route};
use super::source::CopySource;
use super::stages::{StageTask, stages};
use super::take_up::check_secured;
use super::turnstile::Turnstile;
use crate::finding::Finding;
use crate::plan::{LabelKind, PlanBuilder, PlanOptions, SizeTable, TapePlan};
use crate::tape::TapeCompression;
use crate::tape::partial::{PartialTape, beside};
use crate::tape::writeback::{Dirty, Writeback};
use crate::volume::Fingerprint;

/// Where the tape goes.
pub enum Target {
    /// A tape image.
    File {
        /// Its name.
        tape: PathBuf,
        /// Go on where an interrupted run stopped.
        resume: bool,
        /// Bring it to stable storage before it gets its name.
        sync: bool,
    },
    /// A pipe, which takes the tape in order.
    Pipe(Box<dyn Write + Send>),
    /// A HET image, whose blocks are packed: it is written in order too, and can't be resumed.
    Packed {
        /// Its name.
        tape: PathBuf,
        /// How it is compressed.
        compression: TapeCompression,
        /// Bring it to stable storage before it gets its name.
        sync: bool,
    },
}

/// What a session needs besides the preparation.
pub struct SessionOptions<'a> {
    /// Where the manifest goes; nowhere if there is no path.
    pub manifest: Option<PathBuf>,
    /// Blocks of the destination device: their length, and the first one of the tape.
    pub destination: (u32, u64),
    /// Set from outside to stop the session.
    pub stop: &'a AtomicBool,
    /// Is told of progress.
    pub monitor: &'a dyn Monitor,
}

/// What a complete session made.
#[derive(Debug)]
pub struct SessionResult {
    /// The plan that the tape equals, its blocks expanded.
    pub plan: TapePlan,
    /// The manifest, as it was written.
    pub manifest: Manifest,
    /// All that was odd.
    pub findings: Vec<Finding>,
}

/// What a journal must agree on with the run that takes it up.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Identity {
    t0: i64,
    tape_volser: String,
    /// Digest of the description, which holds geometry, files and their extents.
    description: String,
    labels: LabelKind,
    block_bytes: u16,
    source: Fingerprint,
}

/// T0 of the interrupted run whose journal lies beside `tape`; a run that resumes it must have the same.
///
/// # Errors
/// When there is no journal, or it does not read.
pub fn interrupted_t0(tape: &Path) -> Result<i64, SnapshotError> {
    let path = journal_path(tape);
    let reason = |reason: &str| SnapshotError::Journal { path: path.clone(), reason: reason.to_owned() };
    let text = Ledger::read_identity(&path).map_err(|_| reason("there is no interrupted run to resume; run without --resume"))?;
    let identity: Identity = serde_json::from_str(&text)
        .map_err(|_| reason("the journal does not read; remove it and the partial tape, and run without --resume"))?;
    Ok(identity.t0)
}

/// A live session's tape that was interrupted, as far as it goes.
pub(crate) struct Interrupted {
    /// What was prepared at T0.
    pub(crate) preparation: Preparation,
    /// A bit for each unit of each file, in tape order: whether it is on the tape.
    pub(crate) on_tape: BitVec,
}

/// Takes up what a live session left beside its tape of a volume of `volume_units`; [`run`] goes on with it.
///
/// The plan goes with that: until [`run`] has the places of the tape again, originals wait in the cache, and would be lost
/// if the process were killed. So it can be taken up once more only after it has kept a new plan.
///
/// # Errors
/// When there is nothing from which it could be resumed.
pub(crate) fn interrupted(tape: &Path, plan: PlanOptions, volume_units: u32) -> Result<Interrupted, SnapshotError> {
    let path = journal_path(tape);
    let refuse = |reason: &str| SnapshotError::Journal { path: path.clone(), reason: reason.to_owned() };
    let reopen = |units| {
        let identity = Ledger::read_identity(&path).map_err(|_| refuse("there is no journal"))?;
        Ledger::reopen(&path, &identity, units).map_err(|_| refuse("it is damaged or in use"))
    };
    let (preparation, ledger) = kept_plan::read(tape, plan, reopen, volume_units)?;
    let path = plan_path(tape);
    std::fs::remove_file(&path).map_err(|source| SnapshotError::Io { path, action: "taking up the plan", source })?;
    Ok(Interrupted { preparation, on_tape: ledger.secured_bits() })
}

/// Removes what an interrupted run left of a tape that nobody will go on with.
pub(crate) fn discard_interrupted(tape: &Path) {
    for path in [beside(tape, ".partial"), journal_path(tape), plan_path(tape)] {
        // Mostly it was removed already; a partial tape that stays behind is taken by nobody for a tape.
        let _best_effort = std::fs::remove_file(path);
    }
}

fn journal_path(tape: &Path) -> PathBuf {
    beside(tape, ".journal")
}

/// Runs a session.
///
/// # Errors
/// When the volume can't be read or changes, or the tape can't be written; see the module's table for what is left.
pub fn run(
    volume: &dyn CopySource,
    options: &SnapshotOptions,
    preparation: Preparation,
    target: Target,
    session: &SessionOptions<'_>,
) -> Result<SessionResult, SnapshotError> {
    let created = jiff::Timestamp::from_second(options.t0).ok();
    let created = created.and_then(|t0| LabelDate::from_civil(jiff::tz::TimeZone::UTC.to_datetime(t0).date()));
    let labels = Labels { kind: options.plan.labels, volser: preparation.tape_volser.to_string(), created };
    let copier = Copier { volume, options, preparation, labels, session };
    match target {
        Target::File { tape, resume, sync } => copier.into_file(&tape, resume, sync),
        Target::Pipe(out) => copier.into_pipe(out),
        Target::Packed { tape, compression, sync } => copier.into_packed(&tape, compression, sync),
    }
}

/// A session, before it is told where its tape goes.
pub(super) struct Copier<'a> {
    pub(super) volume: &'a dyn CopySource,
    pub(super) options: &'a SnapshotOptions,
    pub(super) preparation: Preparation,
    pub(super) labels: Labels,
    pub(super) session: &'a SessionOptions<'a>,
}

impl Copier<'_> {
    fn into_file(self, target: &Path, resume: bool, sync: bool) -> Result<SessionResult, SnapshotError> {
        let units = self.unit_count();
        let (tape, ledger) = if resume { self.reopen(target, sync, units)? } else { self.create(target, sync, units)? };
        let (tape, ledger) = (Arc::new(tape), Arc::new(ledger));
        let made = self.fill(&tape, &ledger, (target, resume));
        let (tape, ledger) = (alone(tape), alone(ledger));
        let (plan, findings) = match made {
            Ok(made) => made,
            Err(error) => {
                if matches!(error, SnapshotError::Stopped) && self.volume.live().is_some() {
                    // A clean stop is taken up after a restart of the machine too.
                    tape.sync()?;
                    ledger.sync().map_err(|source| SnapshotError::Io {
                        path: journal_path(target),
                        action: "syncing the journal",
                        source,
                    })?;
                } else if !error.leaves_journal() {
                    tape.discard();
                    ledger.discard();
                    discard_interrupted(target);
                }
                return Err(error);
            }
        };
        let manifest = self.manifest(&plan, &ledger, &findings, None);
        if let Some(path) = &self.session.manifest {
            manifest.write(path, sync)?;
        }
        tape.publish(sync)?;
        ledger.discard();
        discard_interrupted(target);
        Ok(SessionResult { plan, manifest, findings })
    }

    /// Brings everything onto the tape and checks it.
    fn fill(
        &self,
        tape: &Arc<PartialTape>,
        ledger: &Arc<Ledger>,
        (target, resume): (&Path, bool),
    ) -> Result<(TapePlan, Vec<Finding>), SnapshotError> {
        let planned = self.preparation.plan()?;
        let (plan, raw_slots) = match (&self.preparation.sizes, planned) {
            (Some(sizes), Some(plan)) => {
                tape.reserve(plan.bytes)?;
                let job = self.job(ledger, Some(sizes));
                self.session.monitor.begin("copying", stream_bytes(&plan));
                let route = Route::Planned { tape, plan: &plan, sizes };
                let out_of_order = match self.volume.live() {
                    None => None,
                    Some(live) => {
                        ledger.set_all_sizes(&self.preparation.files, sizes);
                        let out_of_order = OutOfOrder::begin(live, (tape, ledger), (&plan, sizes), &job)?;
                        // All originals are on the tape: from here on the session can be resumed.
                        kept_plan::keep(target, &self.preparation)?;
                        if resume {
                            check_secured(&job, &route)?;
                        }
                        Some(out_of_order)
                    }
                };
                let mut raw_slots = copy(&job, &route)?;
                raw_slots.extend(out_of_order.into_iter().flat_map(OutOfOrder::end));
                (plan, raw_slots)
            }
            _ => {
                let job = self.job(ledger, None);
                let route = Route::Discovered { tape, order: Turnstile::new(self.order()?) };
                self.session.monitor.begin("copying", 0);
                let raw_slots = copy(&job, &route)?;
                let Route::Discovered { order, .. } = route else { unreachable!("the route was made so") };
                let plan = order.into_inner().finish();
                let differing = self.check_discovered(&plan, ledger)?;
                (plan, [raw_slots, differing].concat())
            }
        };
        let findings = self.end_of_copy(ledger, raw_slots)?;
        tracing::info!(files = plan.files.len(), bytes = plan.bytes, "all units are secured; writing labels and tape marks");
        write_frame(tape, &plan, &self.labels, &self.preparation.description)?;
        check_tape(tape, &plan, self.options.threads)?;
        tracing::info!(bytes = plan.bytes, "the tape is as planned");
        Ok((plan, findings))
    }

    pub(super) fn unit_count(&self) -> u64 {
        self.preparation.files.iter().map(|file| u64::from(file.units.len())).sum()
    }

    pub(super) fn job<'a>(&'a self, ledger: &'a Ledger, sizes: Option<&SizeTable>) -> CopyJob<'a> {
        let tasks: Vec<StageTask> = stages(&self.preparation.files, self.volume.shape().stage_units(), sizes);
        CopyJob {
            source: self.volume,
            live: self.volume.live(),
            files: &self.preparation.files,
            tasks,
            ledger,
            monitor: self.session.monitor,
            stop: self.session.stop,
            threads: self.options.threads.max(1),
        }
    }

    pub(super) fn order(&self) -> Result<Order, SnapshotError> {
        let builder = PlanBuilder::new(self.options.plan.clone(), self.preparation.files.len())?;
        Ok(Order::new(builder, self.preparation.files.clone()))
    }

    /// Compares a plan that was found on the way with the one that the lengths of all units give, now that they are known;
    /// gives the findings that need those lengths.
    pub(super) fn check_discovered(&self, plan: &TapePlan, ledger: &Ledger) -> Result<Vec<Finding>, SnapshotError> {
        let sizes = ledger.size_table(&self.preparation.files, self.volume.shape().units());
        if *plan != TapePlan::new(self.options.plan.clone(), self.preparation.files.clone(), &sizes)? {
            let reason = "the places that were written are not those that the lengths of all units give".to_owned();
            return Err(SnapshotError::NotAsPlanned { tape: self.volume.name().to_owned(), offset: 0, reason });
        }
        // Where the sizes were known beforehand these were told then.
        let known = self.preparation.sizes.is_some();
        Ok(if known { Vec::new() } else { closed_forms(self.volume, &self.preparation.files, &sizes).1 })
    }

    /// All findings, once every unit is secured and the volume stood still.
    pub(super) fn end_of_copy(&self, ledger: &Ledger, raw_slots: Vec<Finding>) -> Result<Vec<Finding>, SnapshotError> {
        if let Some(slot) = ledger.first_unsecured() {
            let reason = format!("unit {slot} of the tape was never secured, which is an error of this program");
            return Err(SnapshotError::Refused(reason));
        }
        self.volume.check_unchanged()?;
        Ok(self.preparation.findings.iter().cloned().chain(raw_slots).collect())
    }

    /// The manifest; of a packed tape with its places.
    pub(super) fn manifest(
        &self,
        plan: &TapePlan,
        ledger: &Ledger,
        findings: &[Finding],
        packed: Option<&PackedPlaces>,
    ) -> Manifest {
        let facts = ManifestFacts {
            t0: jiff::Timestamp::from_second(self.options.t0).map(|t0| t0.to_string()).unwrap_or_default(),
            consistency: self.options.consistency.clone(),
            volume: self.volume.name(),
            shape: self.volume.shape(),
            volume_volser: self.preparation.volume_volser.map(|volser| volser.to_string()),
            tape_volser: (self.options.plan.labels != LabelKind::None).then(|| self.preparation.tape_volser.to_string()),
            description: &self.preparation.description,
            findings,
            destination: self.session.destination,
            packed,
        };
        Manifest::new(&facts, plan, ledger)
    }

    fn identity(&self) -> Identity {
        Identity {
            t0: self.options.t0,
            tape_volser: self.preparation.tape_volser.to_string(),
            description: blake3::hash(&self.preparation.description).to_hex().to_string(),
            labels: self.options.plan.labels,
            block_bytes: self.options.plan.block_bytes,
            source: self.volume.fingerprint(),
        }
    }

    pub(super) fn writeback(&self, sync: bool) -> Writeback {
        match (sync, self.volume.live()) {
            (false, _) => Writeback::Lazy,
            (true, None) => Writeback::Started,
            (true, Some(_)) => Writeback::Bounded(Dirty::default()),
        }
    }

    fn create(&self, target: &Path, sync: bool, units: u64) -> Result<(PartialTape, Ledger), SnapshotError> {
        let tape = PartialTape::create(target, self.writeback(sync))?;
        let path = journal_path(target);
        let failed = |source| SnapshotError::Io { path: path.clone(), action: "making the journal", source };
        let identity = serde_json::to_string(&self.identity()).map_err(|error| failed(error.into()))?;
        match Ledger::create(&path, &identity, units) {
            Ok(ledger) => Ok((tape, ledger)),
            Err(error) => {
                tape.discard();
                // Made half at most; what was reported is why.
                let _best_effort = std::fs::remove_file(&path);
                Err(failed(error))
            }
        }
    }

    fn reopen(&self, target: &Path, sync: bool, units: u64) -> Result<(PartialTape, Ledger), SnapshotError> {
        let path = journal_path(target);
        let refuse = |reason: &str| SnapshotError::Journal { path: path.clone(), reason: reason.to_owned() };
        let text = Ledger::read_identity(&path).map_err(|_| refuse("there is no interrupted run to resume"))?;
        let identity: Option<Identity> = serde_json::from_str(&text).ok();
        if identity != Some(self.identity()) {
            return Err(refuse(
                "it belongs to another volume, to other options, or to the volume before it changed; run without --resume",
            ));
        }
        tracing::info!(journal = %path.display(), "going on with an interrupted run");
        let tape = PartialTape::reopen(target, self.writeback(sync))?;
        let ledger = Ledger::reopen(&path, &text, units);
        Ok((tape, ledger.map_err(|_| refuse("it is damaged or in use; run without --resume"))?))
    }
}

/// The places of a tape while hosts' writes bring units there too.
struct OutOfOrder<'a>(&'a dyn LiveSource);

impl<'a> OutOfOrder<'a> {
    fn begin(
        live: &'a dyn LiveSource,
        (tape, ledger): (&Arc<PartialTape>, &Arc<Ledger>),
        (plan, sizes): (&TapePlan, &SizeTable),
        job: &CopyJob<'_>,
    ) -> Result<Self, SnapshotError> {
        let (plan, sizes) = (Arc::new(plan.clone()), Arc::new(sizes.clone()));
        let places = TapePlaces::new(Arc::clone(tape), plan, sizes, Arc::clone(ledger), *job.source.shape());
        // Made first: its drop ends what was begun, also when beginning fails.
        let out_of_order = Self(live);
        live.begin_places(Arc::new(places))?;
        Ok(out_of_order)
    }

    /// Ends it; gives the findings about units that were brought out of order.
    fn end(self) -> Vec<Finding> {
        self.0.end_places().map(|places| places.take_findings()).unwrap_or_default()
    }
}

impl Drop for OutOfOrder<'_> {
    fn drop(&mut self) {
        self.0.end_places();
    }
}

/// Takes back what only parts of a copy shared, which are ended.
pub(super) fn alone<T: std::fmt::Debug>(shared: Arc<T>) -> T {
    Arc::try_unwrap(shared).unwrap_or_else(|shared| unreachable!("{shared:?} is still shared, though its copy has ended"))
}

pub(super) fn stream_bytes(plan: &TapePlan) -> u64 {
    plan.files.iter().filter(|file| file.spec.fixed_bytes.is_none()).map(|file| file.stream_bytes).sum()
}
