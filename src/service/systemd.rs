//! What systemd is told: ready, alive, stopping. Without systemd nothing is told.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use super::stopping::stopped;

/// Says that the service is ready.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that the service stops.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says again and again that the service is alive, as long as `alive` says so and until it stops.
pub(super) async fn watchdog(alive: impl Fn() -> bool + Send + Sync + 'static, mut stopping: watch::Receiver<bool>) {
    let Some(limit) = limit() else { return };
    let alive = std::sync::Arc::new(alive);
    loop {
        tokio::select! {
            () = tokio::time::sleep(limit / 3) => {}
            () = stopped(&mut stopping) => return,
        }
        let alive = std::sync::Arc::clone(&alive);
        // It takes locks: if one of them is never free again, systemd is right to start the service anew.
        if tokio::task::spawn_blocking(move || alive()).await.unwrap_or(false) {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// The time within which systemd wants to hear of this process.
fn limit() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("telling systemd failed: {error}");
    }
}
