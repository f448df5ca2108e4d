//! All sessions of a service, and what they are made of: volumes, pools, views.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use super::member::{Member, Progress, Sink};
use super::pacer::Pacer;
use super::session::Session;
use super::status::{Action, SessionId, SessionRequest, SessionStatus, VolumeRequest};
use super::t0::T0Error;
use super::trial::Trial;
use super::volume_at_t0::{AtT0Parts, VolumeAtT0};
use crate::cache::CachePool;
use crate::finding::Finding;
use crate::gate::{Still, VolumeGate};
use crate::plan::pattern::{Pattern, Selection};
use crate::plan::{PlanError, PlanOptions};
use crate::snapshot::{SnapshotError, SnapshotOptions};
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
}

impl From<PlanError> for StartError {
    fn from(error: PlanError) -> Self {
        Self::Snapshot(error.into())
    }
}

/// The sessions of a service.
#[derive(Debug)]
pub struct Sessions {
    volumes: BTreeMap<String, LiveVolume>,
    /// The first is the default.
    pools: Vec<Arc<CachePool>>,
    threads: usize,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Running {
    next: u64,
    sessions: BTreeMap<SessionId, Arc<Session>>,
}

impl Sessions {
    /// Sessions over these volumes, with originals in these pools (the first is the default one); numbers begin at
    /// `first_id`, and each session copies with `threads` threads.
    #[must_use]
    pub fn new(volumes: Vec<LiveVolume>, pools: Vec<Arc<CachePool>>, first_id: SessionId, threads: usize) -> Self {
        let volumes = volumes.into_iter().map(|volume| (volume.gate.name().to_owned(), volume)).collect();
        let running = Mutex::new(Running { next: first_id.0, sessions: BTreeMap::new() });
        Self { volumes, pools, threads, running }
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
            return Err(StartError::Refused("only snapshots are made here".to_owned()));
        }
        let pool = self.pool(request.cache.as_deref())?;
        let gates = request.volumes.iter().map(|volume| Ok(Arc::clone(&self.volume(&volume.volume)?.gate)));
        let gates = gates.collect::<Result<Vec<_>, StartError>>()?;
        let pacer = Arc::new(Pacer::new(request.pace, gates));
        let id = {
            let mut running = self.running();
            running.next += 1;
            SessionId(running.next - 1)
        };
        let members = request.volumes.iter().map(|volume| self.member(id, &request, volume, pool, &pacer));
        let members = members.collect::<Result<Vec<_>, StartError>>()?;
        let session = Session::new(id, request, members, pacer);
        session.start(frozen)?;
        self.running().sessions.insert(id, Arc::clone(&session));
        Ok(session)
    }

    fn volume(&self, name: &str) -> Result<&LiveVolume, StartError> {
        let unknown = || StartError::Refused(format!("no volume is called {name}; see `tapegate volumes`"));
        self.volumes.get(name).ok_or_else(unknown)
    }

    fn pool(&self, name: Option<&str>) -> Result<&Arc<CachePool>, StartError> {
        let pool = match name {
            Some(name) => self.pools.iter().find(|pool| pool.name() == name),
            None => self.pools.first(),
        };
        let name = name.unwrap_or("default");
        pool.ok_or_else(|| StartError::Refused(format!("no cache is called {name}; see `tapegate cache`")))
    }

    fn member(
        &self,
        id: SessionId,
        request: &SessionRequest,
        asked: &VolumeRequest,
        pool: &Arc<CachePool>,
        pacer: &Arc<Pacer>,
    ) -> Result<Member, StartError> {
        let LiveVolume { gate, image, fingerprint, findings } = self.volume(&asked.volume)?.clone();
        let options = options(request, asked, self.threads)?;
        let sink = asked.tape.as_deref().map(sink).transpose()?;
        let trial = Trial { disk: gate.disk(), image: &image, fingerprint: &fingerprint, findings: &findings };
        trial.refuse_early(&options, gate.sizes(), sink.as_ref())?;
        let at_t0 = VolumeAtT0::new(AtT0Parts {
            disk: Arc::clone(gate.disk()),
            name: image,
            fingerprint,
            findings,
            cache: pool.share(&format!("session {id}")),
            once: asked.view.is_none(),
            on_error: request.on_error,
            pacer: Arc::clone(pacer),
        });
        let (progress, result) = (Progress::default(), Mutex::default());
        Ok(Member { gate, at_t0: Arc::new(at_t0), sink, options, progress, result })
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

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a tape's path names.
fn sink(path: &Path) -> Result<Sink, StartError> {
    use std::os::unix::fs::FileTypeExt;
    match path.metadata() {
        Ok(metadata) if metadata.file_type().is_fifo() => Ok(Sink::Pipe(path.to_owned())),
        Ok(_) => {
            Err(StartError::Refused(format!("{} exists, and a tape is never written over; choose another name", path.display())))
        }
        Err(_) => Ok(Sink::File(path.to_owned())),
    }
}

fn options(request: &SessionRequest, asked: &VolumeRequest, threads: usize) -> Result<SnapshotOptions, StartError> {
    let patterns = |texts: &[String]| {
        let parse = |text: &String| text.parse::<Pattern>().map_err(|error| StartError::Refused(error.to_string()));
        texts.iter().map(parse).collect::<Result<Vec<_>, _>>()
    };
    let tape = &request.tape;
    let volser = asked.tape_volser.as_deref().map(str::parse).transpose();
    Ok(SnapshotOptions {
        plan: PlanOptions::new(tape.labels, tape.block_bytes.unwrap_or(PlanOptions::DEFAULT_BLOCK_BYTES.into()))?,
        tape_volser: volser.map_err(PlanError::Name)?,
        selection: Selection { include: patterns(&request.files)?, exclude: patterns(&request.exclude)? },
        form: tape.form,
        used: tape.used,
        whole: tape.whole,
        no_free: tape.no_free,
        threads,
        t0: 0,
        consistency: None,
    })
}
