//! All sessions of a service, and what they are made of: volumes, pools, views.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use thiserror::Error;

use super::action::{EventSink, Watch, WriteEvent};
use super::member::{Member, Progress, Sink};
use super::pacer::Pacer;
use super::session::{BeginError, Session};
use super::status::{Action, SessionId, SessionRequest, SessionStatus, VolumeRequest};
use super::t0::T0Error;
use super::trial::Trial;
use super::view::{KeptFolder, LiveView, MemberView, Overlay};
use super::volume_at_t0::{AtT0Parts, VolumeAtT0};
use crate::cache::{CacheError, CachePool};
use crate::finding::Finding;
use crate::gate::{Disk, LastWrite, Still, VolumeGate, WriteMark};
use crate::plan::pattern::{Pattern, Selection};
use crate::plan::{PlanError, PlanOptions};
use crate::snapshot::{Interrupted, LiveSource, SnapshotError, SnapshotOptions};
use crate::tape::TapeCompression;
use crate::volume::{Fingerprint, UnitSource};

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
    events: OnceLock<EventListener>,
    running: Mutex<Running>,
}

/// Who takes events.
struct EventListener(Arc<dyn EventSink>);

impl std::fmt::Debug for EventListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventListener")
    }
}

/// Nobody listens: events go to the log.
struct LoggedEvents;

impl EventSink for LoggedEvents {
    fn written(&self, event: &WriteEvent) {
        let WriteEvent { session, volume, file, address, client, writes } = event;
        tracing::info!(session = session.0, volume, file, address, client, writes, "hosts wrote");
    }
}

/// Folders of the service's state.
pub(super) const VIEWS_FOLDER: &str = "views";
const LAST_WRITES_FOLDER: &str = "last-writes";

/// The configured views, and what is needed to keep them over a restart.
#[derive(Debug)]
pub(super) struct Views {
    live: BTreeMap<String, LiveView>,
    /// Where sessions with views have their folders.
    pub(super) folder: PathBuf,
    /// The last write to each volume that an earlier process noted.
    pub(super) last_writes: BTreeMap<String, LastWrite>,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) next: u64,
    pub(super) sessions: BTreeMap<SessionId, Arc<Session>>,
}

/// What a member's view needs that is there before the others.
pub(super) struct Place<'a> {
    pub(super) id: SessionId,
    /// Its volume's number in the request.
    pub(super) number: usize,
    pub(super) folder: Option<&'a KeptFolder>,
    /// What an earlier process left of it.
    pub(super) left: Left,
}

/// What an earlier process left of a member.
pub(super) enum Left {
    /// Nothing: the session begins.
    Nothing,
    /// The originals of a view.
    View,
    /// A tape that is not whole, of the volume that was opened with these files.
    Tape(Interrupted, Fingerprint),
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

    /// Adds the configured views, and the folder in which the service keeps what survives a restart.
    ///
    /// From here on the time of the last write to each volume is noted there: do this before any front-end opens, and
    /// then [`restore_views`](Self::restore_views).
    ///
    /// # Errors
    /// When the folders or notes can't be made.
    pub fn with_views(mut self, views: Vec<LiveView>, state: &Path) -> Result<Self, StartError> {
        let folder = |name: &str| {
            let path = state.join(name);
            let made = std::fs::create_dir_all(&path);
            made.map_err(|source| StartError::State { path: path.clone(), source }).map(|()| path)
        };
        let marks = folder(LAST_WRITES_FOLDER)?;
        let mut last_writes = BTreeMap::new();
        for (name, volume) in &self.volumes {
            let path = marks.join(name);
            let (mark, last) = WriteMark::open(&path).map_err(|source| StartError::State { path, source })?;
            volume.gate.set_write_mark(mark);
            last_writes.extend(last.map(|last| (name.clone(), last)));
        }
        let live = views.into_iter().map(|view| (view.name().to_owned(), view)).collect();
        self.views = Some(Views { live, folder: folder(VIEWS_FOLDER)?, last_writes });
        Ok(self)
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

    /// Starts a session that counts, tells or protects.
    fn start_action(&self, request: SessionRequest) -> Result<Arc<Session>, StartError> {
        let named = |volume: &VolumeRequest| volume.tape.is_some() || volume.view.is_some();
        if let Some(volume) = request.volumes.iter().find(|volume| named(volume)) {
            let reason = format!("{}: only a snapshot has a tape or a view; start two sessions", volume.volume);
            return Err(StartError::Refused(reason));
        }
        let gates = request.volumes.iter().map(|volume| Ok(Arc::clone(&self.volume(&volume.volume)?.gate)));
        let gates = gates.collect::<Result<Vec<_>, StartError>>()?;
        let id = self.next_id();
        let watch = Watch::resolve(id, &request, selection(&request)?, gates)?;
        let session = Session::watching(id, request, watch);
        let sink = self.events.get().map_or_else(|| Arc::new(LoggedEvents) as _, |listener| Arc::clone(&listener.0));
        session.start_watching(&sink)?;
        self.running().sessions.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// Says who takes the events of sessions that tell writes; false if it was said before.
    pub fn set_event_sink(&self, sink: Arc<dyn EventSink>) -> bool {
        self.events.set(EventListener(sink)).is_ok()
    }

    fn next_id(&self) -> SessionId {
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

    /// The folder of a session that survives a restart of the service: one with a tape image, or with views whose
    /// originals are kept on disk.
    fn folder_for(
        &self,
        id: SessionId,
        request: &SessionRequest,
        pool: &Arc<CachePool>,
    ) -> Result<Option<KeptFolder>, StartError> {
        let Some(views) = &self.views else { return Ok(None) };
        if request.volumes.iter().any(|volume| volume.view.is_some()) && !pool.has_spill() {
            return Ok(None);
        }
        let made = KeptFolder::create(&views.folder, id, request.durable);
        made.map(Some).map_err(|source| StartError::State { path: views.folder.join(id.to_string()), source })
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
            interrupted.preparation
        });
        let (progress, result) = (Progress::default(), Mutex::default());
        Ok(Member { gate, at_t0: Arc::new(at_t0), sink, view, options, progress, begun: Mutex::new(begun), result })
    }

    /// The view of a volume of a session, if it asks for one.
    fn view(
        &self,
        place: &Place<'_>,
        (request, asked): (&SessionRequest, &VolumeRequest),
        gate: &Arc<VolumeGate>,
        pool: &Arc<CachePool>,
    ) -> Result<Option<MemberView>, StartError> {
        let refused = |reason: String| Err(StartError::Refused(reason));
        let Some(name) = &asked.view else {
            return match &asked.view_volser {
                Some(serial) => refused(format!("a view serial {serial} is given for {}, and no view", asked.volume)),
                None => Ok(None),
            };
        };
        let Some(live) = self.views.as_ref().and_then(|views| views.live.get(name)) else {
            return refused(format!("no view is called {name}; see `tapegate volumes`"));
        };
        if live.volume != asked.volume {
            return refused(format!("{name} is a view of {}, not of {}", live.volume, asked.volume));
        }
        let selective = !(request.files.is_empty() && request.exclude.is_empty() && request.ranges.is_empty());
        if selective && asked.tape.is_none() {
            return refused(format!(
                "{name} shows the whole of {}; leave the data sets out, or name a tape for them",
                asked.volume
            ));
        }
        let serial = match asked.view_volser.as_deref().map(str::parse).transpose() {
            Ok(serial) => serial,
            Err(error) => return refused(format!("the serial of {name}: {error}")),
        };
        let owner = format!("session {}", place.id);
        let reservation = live.device.reserve(place.id);
        let reservation = reservation.map_err(|session| StartError::ViewInUse { view: name.clone(), session })?;
        let overlay = match place.folder {
            _ if !live.device.is_writable() => None,
            None => return refused(format!("{name} is writable, which takes a cache with a spill; {} has none", pool.name())),
            Some(folder) => {
                let (path, shape, room) = (folder.writes(place.number), *live.device.shape(), pool.counted_room(&owner)?);
                let overlay = if matches!(place.left, Left::View) {
                    Overlay::reopen(&path, shape, room, request.durable)
                } else {
                    Overlay::create(&path, shape, room, request.durable)
                };
                Some(overlay.map_err(SnapshotError::from)?)
            }
        };
        let view = MemberView::new(live.clone(), serial, overlay, reservation);
        if matches!(place.left, Left::Nothing) {
            view.refuse_early(&**gate.disk()).map_err(|error| StartError::Refused(error.to_string()))?;
        }
        if place.folder.is_none() {
            let detail = format!("it ends with the service, because the cache {} has no spill", pool.name());
            view.add_finding(Finding::note("view-not-kept", detail).of(name));
        }
        Ok(Some(view))
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
fn selection(request: &SessionRequest) -> Result<Selection, StartError> {
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
