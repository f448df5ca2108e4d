//! Starting a session that makes no copy, and who takes the events of those that tell.

use std::sync::Arc;

use super::command::CommandEvents;
use super::notify::{EventSink, WriteEvent};
use super::watch::Watch;
use crate::live::session::Session;
use crate::live::sessions::{Sessions, StartError, selection};
use crate::live::status::{Action, SessionRequest, VolumeRequest};

/// Who takes events.
pub(in crate::live) struct EventListener(Arc<dyn EventSink>);

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

impl Sessions {
    /// Starts a session that counts, tells or protects.
    pub(in crate::live) fn start_action(&self, request: SessionRequest) -> Result<Arc<Session>, StartError> {
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
        let sink = match &session.request().action {
            Action::Notify { command } if !command.is_empty() => {
                Arc::new(CommandEvents { command: command.clone(), next: sink }) as _
            }
            _ => sink,
        };
        session.start_watching(&sink)?;
        self.running().sessions.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// Says who takes the events of sessions that tell writes; false if it was said before.
    pub fn set_event_sink(&self, sink: Arc<dyn EventSink>) -> bool {
        self.events.set(EventListener(sink)).is_ok()
    }
}
