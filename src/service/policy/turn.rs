//! One turn of a policy: command, T0, command, tapes, retention.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;

use super::record::Turn;
use super::{command, naming};
use crate::live::status::{Action, Consistency, SessionRequest, SessionState, SessionStatus, TapeRequest, VolumeRequest};
use crate::live::{Session, status};
use crate::plan::{Form, LabelKind};
use crate::service::config::PolicyConfig;
use crate::service::gateway::Gateway;
use crate::service::library;
use crate::snapshot::Manifest;

/// How often it is looked whether the service stops while tapes are written.
const LOOK: Duration = Duration::from_millis(500);
/// How long a freeze for T0 may last: it is let go as soon as T0 is taken.
const FREEZE: Duration = Duration::from_secs(10);

/// Does a turn, from its first command to the end of old tapes.
pub(super) fn turn(gateway: &Gateway, policy: &PolicyConfig) -> anyhow::Result<SessionStatus> {
    let now = Timestamp::now();
    gateway.policies.remember(&gateway.state, &policy.name, |record| record.last = Some(now.to_string()))?;
    let (request, volsers) = request(gateway, policy, now)?;
    let session = at_t0(gateway, policy, request)?;
    while !session.wait(LOOK) {
        if gateway.stopping.is_stopping() {
            bail!("the service stopped before the tapes were whole");
        }
    }
    let status = session.status();
    match &status.state {
        SessionState::PhysicallyComplete => {}
        SessionState::Void { reason } => bail!("session {} is void: {reason}", status.id),
        state => bail!("session {} was {}", status.id, state.words()),
    }
    keep(gateway, policy, &status, volsers, now)?;
    Ok(status)
}

/// Takes T0 between the policy's commands.
fn at_t0(gateway: &Gateway, policy: &PolicyConfig, request: SessionRequest) -> anyhow::Result<std::sync::Arc<Session>> {
    let mut environment = vec![
        ("TAPEGATE_POLICY", policy.name.clone()),
        ("TAPEGATE_VOLUMES", policy.volumes.join(" ")),
        ("TAPEGATE_CONTROL", gateway.config().control.socket.display().to_string()),
    ];
    let ready =
        policy.before.as_ref().map_or(Ok(()), |before| command::run(before, &environment).context("the command before T0"));
    let started = ready.and_then(|()| start(gateway, policy, request));
    if let Some(after) = &policy.after {
        // Whatever became of T0: it makes good for what the command before did to the host.
        let result = if started.is_ok() { "logically-complete" } else { "failed" };
        environment.push(("TAPEGATE_RESULT", result.to_owned()));
        if let Err(error) = command::run(after, &environment) {
            tracing::error!(policy = policy.name, "the command after T0: {error}");
        }
    }
    started
}

fn start(gateway: &Gateway, policy: &PolicyConfig, request: SessionRequest) -> anyhow::Result<std::sync::Arc<Session>> {
    if policy.consistency != Consistency::Host {
        return gateway.start_session(request);
    }
    gateway.freeze(&policy.volumes, Some(FREEZE), Some(policy.t0_wait))?;
    let started = gateway.start_session(request);
    gateway.freezes.thaw(&policy.volumes);
    started
}

/// What the session is asked for, and the serials that were given to its tapes.
fn request(gateway: &Gateway, policy: &PolicyConfig, now: Timestamp) -> anyhow::Result<(SessionRequest, Vec<String>)> {
    let library = &gateway.config().library;
    let mut volsers = Vec::new();
    if let Some(range) = &policy.volsers {
        let mut used = gateway.policies.kept_volsers();
        used.extend(library::list(library, None)?.tapes.into_iter().filter_map(|tape| tape.volser));
        let place = gateway.policies.record(&policy.name).next_serial;
        let (free, next) = naming::serials(range, place, &used, policy.volumes.len())
            .ok_or_else(|| anyhow!("all serials of {range} are on tapes; keep fewer tapes, or make the range longer"))?;
        // Given away before they are used: a serial comes twice on no account.
        gateway.policies.remember(&gateway.state, &policy.name, |record| record.next_serial = next)?;
        volsers = free;
    }
    let local = now.to_zoned(gateway.policies.zone().clone());
    let volumes = policy.volumes.iter().enumerate().map(|(place, volume)| {
        let volser = volsers.get(place);
        let tape = library.join(naming::tape(policy, volume, volser.map(String::as_str), &local));
        if let Some(folder) = tape.parent() {
            fs::create_dir_all(folder).with_context(|| format!("{}: making the folder failed", folder.display()))?;
        }
        Ok(VolumeRequest { tape: Some(tape), tape_volser: volser.cloned(), ..VolumeRequest::new(volume) })
    });
    let request = SessionRequest {
        name: Some(policy.name.clone()),
        volumes: volumes.collect::<anyhow::Result<_>>()?,
        files: policy.files.clone(),
        exclude: policy.exclude.clone(),
        ranges: Vec::new(),
        action: Action::Snapshot,
        consistency: policy.consistency,
        t0_wait_ms: u64::try_from(policy.t0_wait.as_millis()).unwrap_or(u64::MAX),
        on_error: policy.on_error,
        pace: policy.pace,
        cache: policy.cache.clone(),
        durable: false,
        tape: TapeRequest {
            form: Form::Tracks,
            labels: LabelKind::Standard,
            used: policy.used,
            whole: false,
            no_free: policy.no_free,
            block_bytes: None,
            compression: None,
        },
    };
    Ok((request, volsers))
}

/// Remembers the new tapes, and then ends those that are not kept any longer.
fn keep(
    gateway: &Gateway,
    policy: &PolicyConfig,
    status: &SessionStatus,
    volsers: Vec<String>,
    now: Timestamp,
) -> anyhow::Result<()> {
    let library = &gateway.config().library;
    let in_library = |volume: &status::VolumeStatus| Some(volume.tape.as_ref()?.strip_prefix(library).ok()?.to_owned());
    let tapes = status.volumes.iter().filter_map(in_library).collect();
    let turn = Turn { t0: status.t0.clone().unwrap_or_else(|| now.to_string()), tapes, volsers };
    gateway.policies.remember(&gateway.state, &policy.name, |record| record.turns.push(turn))?;
    let record = gateway.policies.record(&policy.name);
    for turn in &record.turns[..record.expired(policy.retention, now)] {
        for tape in &turn.tapes {
            delete(&library.join(tape)).with_context(|| format!("{}: ending an old tape failed", tape.display()))?;
            tracing::info!(policy = policy.name, tape = %tape.display(), "the tape is not kept any longer");
        }
        gateway.policies.remember(&gateway.state, &policy.name, |record| record.turns.retain(|kept| kept != turn))?;
    }
    Ok(())
}

/// The manifest goes first: without it a tape is in no list.
fn delete(tape: &Path) -> io::Result<()> {
    for path in [Manifest::path_of(tape), tape.to_owned()] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
