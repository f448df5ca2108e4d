//! All sessions of a service, and what they are made of: volumes, pools, views.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use thiserror::Error;

use super::action::EventListener;
use super::member::{Member, Progress, Sink};
use super::pacer::Pacer;
use super::session::{BeginError, Session};
use super::status::{Action, SessionId, SessionRequest, SessionStatus, VolumeRequest};
use super::t0::T0Error;
use super::trial::Trial;
use super::view::{KeptFolder, Left, Place, Views};
use super::volume_at_t0::{AtT0Parts, VolumeAtT0};
use crate::cache::{CacheError, CachePool};
use crate::finding::Finding;
use crate::gate::{Still, VolumeGate};
use crate::plan::pattern::{Pattern, Selection};
use crate::plan::{PlanError, PlanOptions};
use crate::snapshot::{LiveSource, SnapshotError, SnapshotOptions};
use crate::tape::TapeCompression;
use crate::volume::Fingerprint;

/// A served volume, as sessions know it.
#[derive(Debug, Clone)]
pub struct LiveVolume {
    /// Its gate, which has its name in the configuration.
    pub gate: Arc<VolumeGate>,
    /// Its image, as manifests name it.
    pub image: PathBuf,
    /// Identity of its files.
    pub fingerprint: Fingerprint,
    /// What was odd when it was opened.
    pub findings: Vec<Finding>,
}

/// A session that can't be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// What is asked for makes no sense, or is not there.
    #[error("{0}")]
    Refused(String),
    /// No T0 came about.
    #[error(transparent)]
    T0(#[from] T0Error),
    /// The selection or the plan can't be made.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A view shows another T0.
    #[error(
        "{view} shows session {session}, and one at a time; end that with `tapegate session cancel {session}`, or use another view"
    )]
    ViewInUse {
        /// The view.
        view: String,
        /// The session that has it.
        session: SessionId,
    },
    /// Originals can't be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A folder or file of the session can't be made.
    #[error("{}: it can't be made: {source}", path.display())]
    State {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<BeginError> for StartError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::T0(error) => Self::T0(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<PlanError> for StartError {
    fn from(error: PlanError) -> Self {
        Self::Snapshot(error.into())
    }
}

/// The sessions of a service.
#[derive(Debug)]
pub struct Sessions {
    pub(super) volumes: BTreeMap<String, LiveVolume>,
    /// The first is the default.
    pools: Vec<Arc<CachePool>>,
    pub(super) views: Option<Views>,
    pub(super) threads: usize,
    pub(super) events: OnceLock<EventListener>,
    running: Mutex<Running>,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) next: u64,
    pub(super) sessions: BTreeMap<SessionId, Arc<Session>>,
}

impl Sessions {
    /// Sessions over these volumes, with originals in these pools (the first is the default one); numbers begin at
    /// `first_id`, and each session copies with `threads` threads.
    #[must_use]
    pub fn new(volumes: Vec<LiveVolume>, pools: Vec<Arc<CachePool>>, first_id: SessionId, threads: usize) -> Self {
        let volumes = volumes.into_iter().map(|volume| (volume.gate.name().to_owned(), volume)).collect();
        let running = Mutex::new(Running { next: first_id.0, sessions: BTreeMap::new() });
        Self { volumes, pools, views: None, threads, events: OnceLock::new(), running }
    }

    /// Starts a session: refusals are found first, then T0 is taken, and the tapes are begun.
    ///
    /// `frozen` are the volumes that the operator holds still, for a session of the consistency `host`.
    ///
    /// # Errors
    /// When nothing was started; hosts noticed nothing.
    pub fn start(&self, request: SessionRequest, frozen: Option<&Still>) -> Result<Arc<Session>, StartError> {
        if request.volumes.is_empty() {
            return Err(StartError::Refused("a session needs at least one volume; see `tapegate volumes`".to_owned()));
        }
        let mut named = HashSet::new();
        if let Some(twice) = request.volumes.iter().find(|volume| !named.insert(&volume.volume)) {
            return Err(StartError::Refused(format!("{} is named twice", twice.volume)));
        }
        if request.action != Action::Snapshot {
            return self.start_action(request);
        }
        let pool = self.pool(request.cache.as_deref())?;
        let gates = request.volumes.iter().map(|volume| Ok(Arc::clone(&self.volume(&volume.volume)?.gate)));
        let gates = gates.collect::<Result<Vec<_>, StartError>>()?;
        let pacer = Arc::new(Pacer::new(request.pace, &gates));
        let id = self.next_id();
        let folder = self.folder_for(id, &request, pool)?;
        let started = self.start_in(id, request, (pool, pacer), folder.clone(), frozen);
        if let (Err(_), Some(folder)) = (&started, folder) {
            folder.remove();
        }
        started
    }

    pub(super) fn next_id(&self) -> SessionId {
        let mut running = self.running();
        running.next += 1;
        SessionId(running.next - 1)
    }

    fn start_in(
        &self,
        id: SessionId,
        request: SessionRequest,
        (pool, pacer): (&Arc<CachePool>, Arc<Pacer>),
        folder: Option<KeptFolder>,
        frozen: Option<&Still>,
    ) -> Result<Arc<Session>, StartError> {
        let places = (0..).map(|number| Place { id, number, folder: folder.as_ref(), left: Left::Nothing });
        let members = request.volumes.iter().zip(places).map(|(volume, place)| {
            let sink = volume.tape.as_deref().map(|tape| sink(tape, request.tape.compression)).transpose()?;
            self.member(place, (&request, volume), sink, (pool, &pacer))
        });
        let members = members.collect::<Result<Vec<_>, StartError>>()?;
        let session = Session::new(id, request, members, pacer, folder);
        session.start(frozen)?;
        self.running().sessions.insert(id, Arc::clone(&session));
        Ok(session)
    }

    pub(super) fn volume(&self, name: &str) -> Result<&LiveVolume, StartError> {
        let unknown = || StartError::Refused(format!("no volume is called {name}; see `tapegate volumes`"));
        self.volumes.get(name).ok_or_else(unknown)
    }

    pub(super) fn pool(&self, name: Option<&str>) -> Result<&Arc<CachePool>, StartError> {
        let pool = match name {
            Some(name) => self.pools.iter().find(|pool| pool.name() == name),
            None => self.pools.first(),
        };
        let name = name.unwrap_or("default");
        pool.ok_or_else(|| StartError::Refused(format!("no cache is called {name}; see `tapegate cache`")))
    }

    pub(super) fn member(
        &self,
        place: Place<'_>,
        (request, asked): (&SessionRequest, &VolumeRequest),
        sink: Option<Sink>,
        (pool, pacer): (&Arc<CachePool>, &Arc<Pacer>),
    ) -> Result<Member, StartError> {
        let LiveVolume { gate, image, fingerprint, findings } = self.volume(&asked.volume)?.clone();
        let options = options(request, asked, self.threads)?;
        let view = self.view(&place, (request, asked), &gate, pool)?;
        if matches!(place.left, Left::Nothing) && (sink.is_some() || view.is_none()) {
            let trial = Trial { disk: gate.disk(), image: &image, fingerprint: &fingerprint, findings: &findings };
            trial.refuse_early(&options, gate.sizes(), sink.as_ref())?;
        }
        let owner = format!("session {}", place.id);
        let cache = match place.folder.filter(|_| view.is_some()).map(|folder| folder.originals(place.number)) {
            None => pool.share(&owner),
            Some(index) if matches!(place.left, Left::View) => pool.reopen_share(&owner, &index)?.0,
            Some(index) if request.durable => pool.durable_share(&owner, &index, &asked.volume)?,
            Some(index) => pool.kept_share(&owner, &index, &asked.volume)?,
        };
        let (fingerprint, interrupted, kept) = match place.left {
            Left::Nothing => (fingerprint, None, false),
            Left::View => (fingerprint, None, true),
            Left::Tape(interrupted, at_t0) => (at_t0, Some(interrupted), false),
        };
        let parts = AtT0Parts {
            disk: Arc::clone(gate.disk()),
            name: image,
            fingerprint,
            findings,
            cache,
            once: view.is_none(),
            on_error: request.on_error,
            pacer: Arc::clone(pacer),
        };
        let at_t0 = if kept { VolumeAtT0::take_up(parts) } else { VolumeAtT0::new(parts) };
        let begun = interrupted.map(|interrupted| {
            // What is on the tape needs no protection any more; the rest has not changed since T0.
            at_t0.narrow(&interrupted.preparation.files, &|slot| interrupted.on_tape[slot]);
            at_t0.count_in_order(interrupted.on_tape.count_ones());
            interrupted.preparation
        });
        let (progress, result) = (Progress::default(), Mutex::default());
        Ok(Member { gate, at_t0: Arc::new(at_t0), sink, view, options, progress, begun: Mutex::new(begun), result })
    }

    /// A session by its number.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<Arc<Session>> {
        self.running().sessions.get(&id).cloned()
    }

    /// All sessions since the start, in the order of their numbers.
    #[must_use]
    pub fn list(&self) -> Vec<SessionStatus> {
        let sessions: Vec<_> = self.running().sessions.values().cloned().collect();
        sessions.iter().map(|session| session.status()).collect()
    }

    pub(super) fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a tape's path names, if `compression` is asked for.
pub(super) fn sink(path: &Path, compression: Option<TapeCompression>) -> Result<Sink, StartError> {
    use std::os::unix::fs::FileTypeExt;
    match path.metadata() {
        Ok(metadata) if metadata.file_type().is_fifo() => match compression {
            None => Ok(Sink::Pipe(path.to_owned())),
            Some(_) => Err(StartError::Refused(format!("{}: a pipe takes the tape as it is, not compressed", path.display()))),
        },
        Ok(_) => {
            Err(StartError::Refused(format!("{} exists, and a tape is never written over; choose another name", path.display())))
        }
        Err(_) => match TapeCompression::of(path, compression).map_err(StartError::Refused)? {
            Some(compression) => Ok(Sink::Packed(path.to_owned(), compression)),
            None => Ok(Sink::File(path.to_owned())),
        },
    }
}

/// The data sets that are asked for.
pub(super) fn selection(request: &SessionRequest) -> Result<Selection, StartError> {
    let patterns = |texts: &[String]| {
        let parse = |text: &String| text.parse::<Pattern>().map_err(|error| StartError::Refused(error.to_string()));
        texts.iter().map(parse).collect::<Result<Vec<_>, _>>()
    };
    Ok(Selection { include: patterns(&request.files)?, exclude: patterns(&request.exclude)? })
}

pub(super) fn options(request: &SessionRequest, asked: &VolumeRequest, threads: usize) -> Result<SnapshotOptions, StartError> {
    let tape = &request.tape;
    let volser = asked.tape_volser.as_deref().map(str::parse).transpose();
    Ok(SnapshotOptions {
        plan: PlanOptions::new(tape.labels, tape.block_bytes.unwrap_or(PlanOptions::DEFAULT_BLOCK_BYTES.into()))?,
        tape_volser: volser.map_err(PlanError::Name)?,
        selection: selection(request)?,
        form: tape.form,
        used: tape.used,
        whole: tape.whole,
        no_free: tape.no_free,
        threads,
        t0: 0,
        consistency: None,
    })
}
