//! The gateway: everything that a service has open, and what can be asked of it.
//!
//! It is plain threads and files. The [`daemon`](super::daemon) puts front-ends and the control interface around it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use super::config::{CacheConfig, Config, ViewConfig};
use super::freezes::{self, Freezes};
use super::opened_volume::OpenedVolume;
use super::policy::Policies;
use super::state_folder::StateFolder;
use super::stopping::Stopping;
use crate::cache::{CachePool, PoolConfig, SpillConfig};
use crate::channel::shared_device::StatusHandle;
use crate::gate::VolumeGate;
use crate::live::status::{Action, Consistency, SessionId, SessionRequest};
use crate::live::{LiveView, Session, Sessions, note_stop};

/// What a service has open.
#[derive(Debug)]
pub struct Gateway {
    pub(super) config: Config,
    pub(super) state: StateFolder,
    pub(super) volumes: Vec<OpenedVolume>,
    pub(super) pools: Vec<Arc<CachePool>>,
    views: Vec<(ViewConfig, LiveView)>,
    pub(super) sessions: Sessions,
    shared_device: OnceLock<StatusHandle>,
    pub(super) freezes: Arc<Freezes>,
    pub(super) policies: Policies,
    pub(super) stopping: Stopping,
    pub(super) since: jiff::Timestamp,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Gateway {
    /// Opens everything that the configuration names.
    ///
    /// # Errors
    /// With the first thing that can't be opened, in a sentence; nothing stays open then.
    pub fn open(config: Config, stopping: Stopping) -> anyhow::Result<Arc<Self>> {
        let state = StateFolder::open(&config.state)?;
        let volumes = config.volumes.iter().map(|volume| OpenedVolume::open(volume, state.path()));
        let volumes = volumes.collect::<anyhow::Result<Vec<_>>>()?;
        let pools = config.caches.iter().map(pool).collect::<anyhow::Result<Vec<_>>>()?;
        let pools = if pools.is_empty() { vec![pool(&CacheConfig::default())?] } else { pools };
        let live = volumes.iter().map(OpenedVolume::live).collect();
        let view = |view: &ViewConfig| {
            let volume = volumes.iter().find(|volume| volume.config().name == view.of);
            // The configuration was checked, and its volumes are all open.
            volume.map(|volume| (view.clone(), LiveView::new(&view.name, volume.gate(), view.writable)))
        };
        let views: Vec<_> = config.views.iter().filter_map(view).collect();
        let threads = crate::parallel::default_threads();
        let sessions = Sessions::new(live, pools.clone(), state.next_session()?, threads);
        let sessions = sessions.with_views(views.iter().map(|(_, view)| view.clone()).collect(), state.path())?;
        let policies = Policies::open(&config.policies, &state, jiff::Timestamp::now())?;
        // Each tells itself what becomes of it; no front-end is open yet.
        sessions.restore_views();
        Ok(Arc::new(Self {
            views,
            shared_device: OnceLock::new(),
            config,
            state,
            volumes,
            pools,
            sessions,
            freezes: Arc::default(),
            policies,
            stopping,
            since: jiff::Timestamp::now(),
            threads: Mutex::default(),
        }))
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The served volumes.
    #[must_use]
    pub fn volumes(&self) -> &[OpenedVolume] {
        &self.volumes
    }

    /// The snapshot views.
    #[must_use]
    pub(super) fn views(&self) -> &[(ViewConfig, LiveView)] {
        &self.views
    }

    /// Lets the gateway look at the clients of the shared-device server.
    pub(super) fn set_shared_device(&self, status: StatusHandle) {
        // There is one server in the life of a gateway.
        let _first = self.shared_device.set(status);
    }

    /// The shared-device server, if it is open.
    pub(super) fn shared_device(&self) -> Option<&StatusHandle> {
        self.shared_device.get()
    }

    /// Whether the locks of all volumes can be had, which is what the watchdog wants to know.
    pub(super) fn is_alive(&self) -> bool {
        self.volumes.iter().for_each(|volume| {
            let _can_be_asked = volume.gate().activity();
        });
        !self.stopping.is_stopping()
    }

    /// Starts a thread that ends when the service stops.
    pub(super) fn spawn(self: &Arc<Self>, name: &str, work: impl FnOnce(&Arc<Self>) + Send + 'static) -> anyhow::Result<()> {
        let gateway = Arc::clone(self);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&gateway));
        let thread = thread.with_context(|| format!("the thread {name} could not be started"))?;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Gates of volumes by name.
    pub(super) fn gates(&self, names: &[String]) -> anyhow::Result<Vec<Arc<VolumeGate>>> {
        let find = |name: &String| {
            let volume = self.volumes.iter().find(|volume| volume.config().name == *name);
            volume
                .map(|volume| Arc::clone(volume.gate()))
                .ok_or_else(|| anyhow!("no volume is called {name}; see `tapegate volumes`"))
        };
        names.iter().map(find).collect()
    }

    /// Starts a session, inside the freeze of its volumes if it asks for that.
    ///
    /// # Errors
    /// When it was not started; hosts noticed nothing.
    pub(super) fn start_session(&self, mut request: SessionRequest) -> anyhow::Result<Arc<Session>> {
        for asked in &mut request.volumes {
            let Some((view, _)) = self.views.iter().find(|(view, _)| asked.view.as_ref() == Some(&view.name)) else { continue };
            asked.view_volser = asked.view_volser.take().or_else(|| view.volser.map(|volser| volser.to_string()));
            request.cache = request.cache.take().or_else(|| view.cache.clone());
        }
        let session = match request.consistency {
            Consistency::Host => {
                let names: Vec<String> = request.volumes.iter().map(|volume| volume.volume.clone()).collect();
                self.freezes.inside(&names, |still| self.sessions.start(request, still))?
            }
            _ => self.sessions.start(request, None)?,
        };
        if let Err(error) = self.state.session_started(session.id()) {
            // The session runs; its number may come again after a restart.
            tracing::error!("{error:#}");
        }
        Ok(session)
    }

    pub(super) fn session(&self, id: SessionId) -> anyhow::Result<Arc<Session>> {
        self.sessions.get(id).ok_or_else(|| anyhow!("there is no session {id}; see `tapegate session list`"))
    }

    /// Freezes volumes; gives when it ends, and for how long hosts had been held until it was whole.
    pub(super) fn freeze(
        &self,
        names: &[String],
        limit: Option<Duration>,
        wait: Option<Duration>,
    ) -> anyhow::Result<(jiff::Timestamp, Duration)> {
        if names.is_empty() {
            bail!("name the volumes to freeze; see `tapegate volumes`");
        }
        let gates = self.gates(names)?;
        let limit = limit.unwrap_or(freezes::DEFAULT_LIMIT);
        let wait = wait.unwrap_or(Duration::from_secs(30));
        let held = self.freezes.freeze(&gates, limit, wait, &self.stopping)?;
        tracing::info!(volumes = ?names, limit_ms = limit.as_millis(), "frozen");
        Ok((jiff::Timestamp::now() + limit, held))
    }

    /// Ends everything: sessions so that they can be resumed, volumes flushed and closed. The front-ends must be gone.
    ///
    /// # Errors
    /// With the first volume that could not be closed in order; the others are closed all the same.
    pub fn close(&self) -> anyhow::Result<()> {
        self.stopping.stop();
        self.freezes.thaw(&[]);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has told so.
            let _told = thread.join();
        }
        // Tapes and views go on after the next start; whoever only watches begins anew.
        let running = self.sessions.list().into_iter().filter(|session| !session.state.is_over());
        for session in running.filter_map(|session| self.sessions.get(session.id)) {
            session.suspend();
            if session.request().action != Action::Snapshot {
                session.cancel();
                session.join();
            }
        }
        let mut first = Ok(());
        let mut left = BTreeMap::new();
        for volume in &self.volumes {
            match volume.close(self.state.path()) {
                Ok(image) => drop(left.insert(volume.config().name.clone(), image)),
                Err(error) => {
                    tracing::error!("{error:#}");
                    first = first.and(Err(error));
                }
            }
        }
        note_stop(self.state.path(), &left);
        first
    }
}

fn pool(config: &CacheConfig) -> anyhow::Result<Arc<CachePool>> {
    let spill = config.spill.as_ref().map(|spill| SpillConfig { path: spill.path.clone(), bytes: spill.limit_bytes });
    let config = PoolConfig { name: config.name.clone(), memory_bytes: config.memory_bytes, spill };
    let name = config.name.clone();
    CachePool::new(config).with_context(|| format!("the cache {name}"))
}
