//! What the gateway answers on the control interface.

use std::time::Duration;

use anyhow::anyhow;

use super::control::Answer;
use super::gateway::Gateway;
use super::library;
use super::opened_volume::OpenedVolume;
use super::protocol::{ClientStatus, ConnectionStatus, DiskStatus, OwnerStatus, PoolStatus, Reply, Request, ServiceStatus};
use crate::cache::CachePool;
use crate::channel::shared_device::{self, StatusHandle};
use crate::gate::VolumeGate;
use crate::live::Session;
use crate::live::status::SessionId;
use crate::volume::Shape;

/// How often a session that is watched is looked at.
const LOOK: Duration = Duration::from_millis(500);

impl Answer for Gateway {
    fn answer(&self, request: Request, send: &mut dyn FnMut(Reply) -> bool) {
        let reply = match request {
            Request::SessionWatch { id } => self.watch(id, send),
            request => self.reply(request),
        };
        // Whoever is gone needs no reply.
        let _gone = send(reply.unwrap_or_else(|error| Reply::Error { message: format!("{error:#}") }));
    }
}

impl Gateway {
    fn reply(&self, request: Request) -> anyhow::Result<Reply> {
        let millis = |ms: Option<u64>| ms.map(Duration::from_millis);
        Ok(match request {
            // The connection has taken the token, and watches are answered elsewhere.
            Request::Token { .. } | Request::SessionWatch { .. } => Reply::Done,
            Request::Service => Reply::Service(ServiceStatus {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                since: self.since.to_string(),
                config: self.config.path.clone(),
            }),
            Request::Volumes => Reply::Volumes { volumes: self.disks() },
            Request::Clients => Reply::Clients { clients: self.clients() },
            Request::SessionStart { session, wait } => {
                let session = self.start_session(*session)?;
                while wait && !session.wait(LOOK) && !self.stopping.is_stopping() {}
                told(&session)
            }
            Request::SessionList => Reply::Sessions { sessions: self.sessions.list() },
            Request::SessionShow { id } => {
                let session = self.session(id)?;
                told(&session)
            }
            Request::SessionCancel { id } => {
                let session = self.session(id)?;
                session.cancel();
                told(&session)
            }
            Request::SessionResume { id } => {
                let session = self.session(id)?;
                return Err(anyhow!("session {id} is {}, not suspended", session.status().state.words()));
            }
            Request::SessionPace { id, pace } => {
                let session = self.session(id)?;
                session.set_pace(pace.of(session.status().pace));
                told(&session)
            }
            Request::Freeze { volumes, limit_ms, wait_ms } => {
                let (until, held) = self.freeze(&volumes, millis(limit_ms), millis(wait_ms))?;
                Reply::Frozen { until: until.to_string(), held_us: u64::try_from(held.as_micros()).unwrap_or(u64::MAX) }
            }
            Request::Thaw { volumes } => {
                self.gates(&volumes)?;
                Reply::Thawed { volumes: self.freezes.thaw(&volumes) }
            }
            Request::Cache => Reply::Cache { pools: self.pools.iter().map(|pool| pool_status(pool)).collect() },
            Request::CacheLimits { pool, memory_bytes, spill_bytes } => {
                let found = self.pools.iter().find(|candidate| candidate.name() == pool);
                let found = found.ok_or_else(|| anyhow!("no cache is called {pool}; see `tapegate cache`"))?;
                found.set_limits(memory_bytes, spill_bytes)?;
                Reply::Cache { pools: vec![pool_status(found)] }
            }
            Request::Policies => Reply::Policies { policies: self.policy_statuses() },
            Request::RunPolicy { policy } => Reply::Session { session: Box::new(self.run_policy(&policy)?) },
            Request::Tapes { pattern } => Reply::Tapes(library::list(&self.config.library, pattern.as_deref())?),
            Request::Stop => {
                tracing::info!("asked to stop on the control interface");
                self.stopping.stop();
                Reply::Done
            }
        })
    }

    /// Sends a session whenever it has changed; the last reply is `done`.
    fn watch(&self, id: SessionId, send: &mut dyn FnMut(Reply) -> bool) -> anyhow::Result<Reply> {
        let session = self.session(id)?;
        let mut before = None;
        loop {
            let over = session.wait(LOOK);
            let status = session.status();
            if before.as_ref() != Some(&status) && !send(Reply::Session { session: Box::new(status.clone()) }) {
                break;
            }
            if over || self.stopping.is_stopping() {
                break;
            }
            before = Some(status);
        }
        Ok(Reply::Done)
    }

    /// Volumes in the order of the configuration, then views.
    fn disks(&self) -> Vec<DiskStatus> {
        let volumes = self.volumes().iter().map(|volume| {
            let (config, image) = (volume.config(), volume.volume());
            DiskStatus {
                device: config.device.map(|device| device.to_string()),
                image: Some(config.image.clone()),
                format: Some(image.format().to_string()),
                room_bytes: image.room().map(|room| room.left_bytes()),
                failure: volume.failure().or_else(|| self.suspect(&config.name)),
                ..self.disk(volume.gate())
            }
        });
        let views = self.views().iter().map(|(config, view)| DiskStatus {
            view_of: Some(config.of.clone()),
            device: config.device.map(|device| device.to_string()),
            session: view.device.session(),
            // Its originals have lengths, and it has none of its own.
            unmeasured_units: 0,
            failure: self.suspect(&config.name),
            ..self.disk(&view.gate)
        });
        volumes.chain(views).collect()
    }

    /// What its gate tells of a volume or view.
    fn disk(&self, gate: &VolumeGate) -> DiskStatus {
        let (disk, activity) = (gate.disk(), gate.activity());
        DiskStatus {
            name: gate.name().to_owned(),
            view_of: None,
            device: None,
            image: None,
            format: None,
            kind: match disk.shape() {
                Shape::Ckd(geometry) => geometry.device().to_string(),
                Shape::FixedBlock(_) => "fba".to_owned(),
            },
            units: disk.shape().units(),
            writable: disk.is_writable(),
            ready: disk.is_ready(),
            frozen: self.freezes.is_frozen(gate.name()),
            reads: activity.reads,
            writes: activity.writes,
            since_last_write_ms: activity.since_last_write_ms,
            held: activity.held,
            unmeasured_units: gate.sizes().stale_units(),
            room_bytes: None,
            session: None,
            failure: None,
        }
    }

    /// Why the shared-device server doubts the content of a disk.
    fn suspect(&self, disk: &str) -> Option<String> {
        self.shared_device()?.devices().find(|device| device.gate().name() == disk)?.suspect()
    }

    fn clients(&self) -> Vec<ClientStatus> {
        let connections = self.shared_device().map(StatusHandle::clients).unwrap_or_default();
        let connection = |disk: &str, client: &str| {
            let named = |known: &&shared_device::ClientStatus| known.disk == disk && known.name() == client;
            connections.iter().find(named).map(|known| ConnectionStatus {
                peer: known.peer.clone(),
                since: known.since.clone(),
                may_write: known.may_write,
                holding: known.holding,
                reads: known.reads,
                writes: known.writes,
                held_writes: known.held_writes,
                failed_writes: known.failed_writes,
            })
        };
        let gates = self.volumes().iter().map(OpenedVolume::gate).chain(self.views().iter().map(|(_, view)| &view.gate));
        let mut clients = Vec::new();
        for gate in gates {
            let mut of_disk = gate.clients();
            of_disk.sort_by(|one, other| one.name.cmp(&other.name));
            clients.extend(of_disk.into_iter().map(|client| ClientStatus {
                connection: connection(gate.name(), &client.name),
                disk: gate.name().to_owned(),
                client: client.name,
                in_channel_program: client.in_bracket,
                reserved: client.reserved,
                gone_ms: client.gone_for.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            }));
        }
        clients
    }
}

fn told(session: &Session) -> Reply {
    Reply::Session { session: Box::new(session.status()) }
}

fn pool_status(pool: &CachePool) -> PoolStatus {
    let usage = pool.usage();
    PoolStatus {
        name: usage.name,
        memory_bytes: usage.memory.used_bytes,
        memory_limit_bytes: usage.memory.limit_bytes,
        spill_bytes: usage.spill.used_bytes,
        spill_limit_bytes: usage.spill.limit_bytes,
        nearly_full: pool.is_nearly_full(),
        owners: usage
            .owners
            .into_iter()
            .map(|owner| OwnerStatus { owner: owner.owner, units: owner.units, bytes: owner.bytes })
            .collect(),
    }
}
