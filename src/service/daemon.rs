//! A service from its start to its stop.
//!
//! The order of the stop is what keeps hosts' data: front-ends end between channel programs, then nobody writes; sessions
//! end so that they can be resumed; volumes are flushed and closed; only then is what was measured of them kept.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};

use super::config::Config;
use super::control::{ControlServer, Listeners};
use super::front_ends::FrontEnds;
use super::gateway::Gateway;
use super::stopping::{Stopping, stopped};
use super::{policy, systemd, upkeep};

/// How long answers under way may take at a stop.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Serves until SIGTERM, SIGINT or a request to stop; a line on `out` says when it is ready.
///
/// # Errors
/// When something can't be opened, or not closed in order, in a sentence.
pub fn serve(config: Config, out: &mut dyn Write) -> anyhow::Result<()> {
    let stopping = Stopping::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("front-end").build()?;
    // Before anything is opened, so that a signal never meets half of it.
    runtime.block_on(async { stop_on_signals(&stopping) })?;
    let gateway = Gateway::open(config, stopping)?;
    let served = run(&runtime, &gateway, out);
    let closed = gateway.close();
    runtime.shutdown_timeout(LAST_ANSWERS);
    served.and(closed)
}

fn run(runtime: &Runtime, gateway: &Arc<Gateway>, out: &mut dyn Write) -> anyhow::Result<()> {
    let (config, stopping) = (gateway.config(), &gateway.stopping);
    let mut serving = JoinSet::new();
    let listeners = runtime.block_on(Listeners::open(&config.control))?;
    let control = ControlServer::new(Arc::clone(gateway) as _);
    let control = runtime.spawn(control.run(listeners, stopping.subscribe()));
    upkeep::start(gateway)?;
    let watched = Arc::clone(gateway);
    serving.spawn_on(systemd::watchdog(move || watched.is_alive(), stopping.subscribe()), runtime.handle());

    policy::start(gateway)?;
    let front_ends = match runtime.block_on(FrontEnds::open(gateway)) {
        Ok(front_ends) => front_ends,
        Err(error) => {
            stopping.stop();
            runtime.block_on(last_answers(serving, control));
            return Err(error);
        }
    };
    let mut told = vec![format!("{} volumes", gateway.volumes().len())];
    told.extend(front_ends.told.iter().cloned());
    let told = format!("{}; control {}", told.join(", "), config.control.socket.display());
    let ready = writeln!(out, "tapegate is ready: {told}").and_then(|()| out.flush());
    if ready.is_ok() {
        systemd::ready(&told);
        runtime.block_on(stopped(&mut stopping.subscribe()));
    }
    tracing::info!("stopping");
    stopping.stop();
    systemd::stopping();
    // A freeze would keep clients inside their channel programs.
    gateway.freezes.thaw(&[]);
    let closed = runtime.block_on(front_ends.close());
    runtime.block_on(last_answers(serving, control));
    ready.context("saying that the service is ready failed").and(closed)
}

/// Lets answers under way come to their end.
async fn last_answers(mut serving: JoinSet<()>, control: JoinHandle<()>) {
    let answers = async {
        while serving.join_next().await.is_some() {}
        control.await
    };
    if tokio::time::timeout(LAST_ANSWERS, answers).await.is_err() {
        tracing::warn!("answers on the control interface took too long, and were broken off");
    }
}

/// The first SIGTERM or SIGINT stops in order, the second at once. SIGHUP does nothing: a new configuration needs a new
/// start, because hosts must not lose devices unasked.
fn stop_on_signals(stopping: &Stopping) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hang_up = signal(SignalKind::hangup())?;
    let stopping = stopping.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hang_up.recv() => {
                    tracing::warn!("SIGHUP does nothing; a new configuration is read by a new start");
                    continue;
                }
            }
            if stopping.is_stopping() {
                tracing::error!("stopped at once by a second signal");
                std::process::exit(1);
            }
            stopping.stop();
        }
    });
    Ok(())
}
