//! What the gateway answers on the control interface.

use std::time::Duration;

use anyhow::anyhow;

use super::control::Answer;
use super::gateway::Gateway;
use super::library;
use super::protocol::{ClientStatus, DiskStatus, OwnerStatus, PoolStatus, Reply, Request, ServiceStatus};
use crate::cache::CachePool;
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
            Request::Policies => Reply::Policies { policies: Vec::new() },
            Request::RunPolicy { policy } => return Err(anyhow!("there is no policy {policy}; see `tapegate policies`")),
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

    fn disks(&self) -> Vec<DiskStatus> {
        let disk = |volume: &super::opened_volume::OpenedVolume| {
            let (config, gate, image) = (volume.config(), volume.gate(), volume.volume());
            let activity = gate.activity();
            DiskStatus {
                name: config.name.clone(),
                view_of: None,
                device: config.device.map(|device| device.to_string()),
                image: Some(config.image.clone()),
                format: Some(image.format().to_string()),
                kind: match image.shape() {
                    Shape::Ckd(geometry) => geometry.device().to_string(),
                    Shape::FixedBlock(_) => "fba".to_owned(),
                },
                units: image.shape().units(),
                writable: gate.disk().is_writable(),
                ready: gate.disk().is_ready(),
                frozen: self.freezes.is_frozen(&config.name),
                reads: activity.reads,
                writes: activity.writes,
                since_last_write_ms: activity.since_last_write_ms,
                held: activity.held,
                unmeasured_units: gate.sizes().stale_units(),
                room_bytes: image.room().map(|room| room.left_bytes()),
                failure: volume.failure(),
            }
        };
        self.volumes.iter().map(disk).collect()
    }

    fn clients(&self) -> Vec<ClientStatus> {
        let of_volume = |volume: &super::opened_volume::OpenedVolume| {
            let name = volume.config().name.clone();
            volume.gate().clients().into_iter().map(move |client| ClientStatus {
                disk: name.clone(),
                client: client.name,
                in_channel_program: client.in_bracket,
                reserved: client.reserved,
                gone_ms: client.gone_for.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            })
        };
        let mut clients: Vec<_> = self.volumes.iter().flat_map(of_volume).collect();
        clients.sort();
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
