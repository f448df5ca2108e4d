//! Sessions that come back after a restart of the service: their views stand again, and their tapes go on.
//!
//! A unit that the kept cache has, or the partial tape, changed since T0 or may have; every other is on the volume as it was
//! at T0, if nobody else wrote to the image meanwhile (see `trust`). The tape of a volume with a view is made again: its T0
//! is all there. The tape of one without goes on where it was, from the plan and the journal beside it.
//!
//! What can't be trusted is void, and says so in the list of sessions; its files are removed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::kept::{KeptFolder, Record};
use super::prepare::{Left, Place, VIEWS_FOLDER, Views};
use super::trust::{Before, check, machine_started_ns};
use crate::gate::{Still, StillLimits};
use crate::live::member::{Member, Sink};
use crate::live::pacer::Pacer;
use crate::live::session::Session;
use crate::live::sessions::{Sessions, StartError, options};
use crate::live::status::{SessionId, TapeRequest, VolumeRequest};
use crate::snapshot::{discard_interrupted, interrupted};
use crate::tape::TapeCompression;
use crate::volume::Fingerprint;

/// A session with views that an earlier process left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredViews {
    /// Its number.
    pub session: SessionId,
    /// The views that show its T0 again.
    pub views: Vec<String>,
    /// Why it is void, if it is.
    pub void: Option<String>,
}

impl Sessions {
    /// Takes up the sessions that an earlier process left; call it once, before any front-end opens, since a host's write
    /// before it would be a change that no view knows of.
    ///
    /// Folders that make no sense are told and left alone.
    pub fn restore_views(&self) -> Vec<RestoredViews> {
        let Some(views) = &self.views else { return Vec::new() };
        let found = session_folders(&views.folder);
        found.into_iter().filter_map(|(id, path)| self.restore_folder(views, id, &path)).collect()
    }

    fn restore_folder(&self, views: &Views, id: SessionId, path: &Path) -> Option<RestoredViews> {
        let folder = KeptFolder::at(path.to_owned(), false);
        {
            // Never used again, whatever becomes of it.
            let mut running = self.running();
            running.next = running.next.max(id.0.saturating_add(1));
        }
        let record = match folder.read_record() {
            Ok(Some(record)) if record.id == id => record,
            Ok(None) => {
                folder.remove();
                return None;
            }
            Ok(Some(_)) => {
                tracing::error!(folder = %path.display(), "the record is that of another session; move the folder away");
                return None;
            }
            Err(error) => {
                tracing::error!(folder = %path.display(), %error, "the record of a view can't be read; the view does not come back");
                return None;
            }
        };
        let folder = KeptFolder::at(path.to_owned(), record.request.durable);
        let names = record.request.volumes.iter().filter_map(|volume| volume.view.clone()).collect();
        match self.take_up(views, record.clone(), folder.clone()) {
            Ok(session) => {
                tracing::info!(session = id.0, t0 = %record.t0, "the session goes on");
                self.running().sessions.insert(id, session);
                Some(RestoredViews { session: id, views: names, void: None })
            }
            Err(error) => {
                let reason = format!("it can't go on after the restart: {error}");
                tracing::error!(session = id.0, reason, "the session is void");
                for tape in record.request.volumes.iter().filter_map(|asked| asked.tape.as_deref()) {
                    discard_interrupted(tape);
                }
                self.running().sessions.insert(id, Session::lost(record, &reason));
                folder.remove();
                Some(RestoredViews { session: id, views: Vec::new(), void: Some(reason) })
            }
        }
    }

    fn take_up(&self, views: &Views, record: Record, folder: KeptFolder) -> Result<Arc<Session>, StartError> {
        let pool = self.pool(record.request.cache.as_deref())?;
        let mut gates = Vec::new();
        let mut comebacks = Vec::new();
        for (number, asked) in record.request.volumes.iter().enumerate() {
            let comeback = Comeback::of(asked, record.tapes_whole);
            if matches!(comeback, Comeback::Nothing) {
                continue;
            }
            self.trust(views, &record, asked)?;
            gates.push(Arc::clone(&self.volume(&asked.volume)?.gate));
            comebacks.push((number, asked, comeback));
        }
        let pacer = Arc::new(Pacer::new(record.request.pace, &gates));
        let mut members = Vec::<Member>::new();
        for (number, asked, comeback) in comebacks {
            let (sink, left) = match comeback {
                Comeback::Nothing => continue,
                Comeback::View => (None, Left::View),
                Comeback::ViewAndTape(tape) => (Some(tape_again(tape, &record.request.tape)?), Left::View),
                Comeback::Tape(tape) if TapeCompression::of(tape, None).is_ok_and(|compression| compression.is_some()) => {
                    let reason = "a compressed tape can't be gone on with from its middle; start the session again";
                    return Err(StartError::Refused(format!("{}: {reason}", tape.display())));
                }
                Comeback::Tape(tape) => {
                    let plan = options(&record.request, asked, self.threads)?.plan;
                    let units = self.volume(&asked.volume)?.gate.disk().shape().units();
                    let Some(opened) = record.images.get(&asked.volume) else { return Err(no_image(asked)) };
                    (Some(Sink::File(tape.to_owned())), Left::Tape(interrupted(tape, plan, units)?, opened.clone()))
                }
            };
            let place = Place { id: record.id, number, folder: Some(&folder), left };
            members.push(self.member(place, (&record.request, asked), sink, (pool, &pacer))?);
        }
        let session = Session::new(record.id, record.request.clone(), members, pacer, Some(folder));
        // No front-end is open, so nobody is in the way.
        let still = Still::of(&gates, StillLimits::default()).map_err(|held| StartError::Refused(held.to_string()))?;
        session.take_up(record, &still);
        drop(still);
        session.begin()?;
        Ok(session)
    }

    /// Refuses an image that others may have changed since T0.
    fn trust(&self, views: &Views, record: &Record, asked: &VolumeRequest) -> Result<(), StartError> {
        let volume = self.volume(&asked.volume)?;
        let Some(opened) = record.images.get(&asked.volume) else { return Err(no_image(asked)) };
        let before = Before {
            opened,
            stopped: record.stopped.get(&asked.volume),
            last_write: views.last_writes.get(&asked.volume).copied(),
            t0_ns: record.t0.as_nanosecond(),
            // Tapes are brought to stable storage when they are whole, or the service stops cleanly.
            durable: record.request.durable && asked.view.is_some(),
            started_ns: machine_started_ns(),
        };
        let trusted = check(&volume.fingerprint, &before);
        trusted.map_err(|reason| StartError::Refused(format!("{}: {reason}", volume.image.display())))
    }
}

/// What of a volume of a session comes back.
enum Comeback<'a> {
    /// Nothing: its tape has its name.
    Nothing,
    /// Its view.
    View,
    /// Its view, from which its tape is made again.
    ViewAndTape(&'a Path),
    /// Its tape, with which the copier goes on.
    Tape(&'a Path),
}

impl<'a> Comeback<'a> {
    fn of(asked: &'a VolumeRequest, tapes_whole: bool) -> Self {
        // A tape gets its name when it is whole, and never before.
        let unfinished = asked.tape.as_deref().filter(|tape| !tapes_whole && !tape.is_file());
        match (asked.view.is_some(), unfinished) {
            (false, None) => Self::Nothing,
            (true, None) => Self::View,
            (true, Some(tape)) => Self::ViewAndTape(tape),
            (false, Some(tape)) => Self::Tape(tape),
        }
    }
}

fn no_image(asked: &VolumeRequest) -> StartError {
    StartError::Refused(format!("the record has no image of {}", asked.volume))
}

/// Notes how a clean stop left the images, by volume: call it last, when front-ends are closed, the sessions are dropped
/// and all volumes are [closed](crate::volume::Volume::close), with the fingerprints that
/// [`Volume::open`](crate::volume::Volume::open) then finds. `state` is the folder that [`Sessions::with_views`] was given.
///
/// Without it views come back too, unless the machine was restarted, or closing an image wrote to it unnoted.
pub fn note_stop(state: &Path, left: &BTreeMap<String, Fingerprint>) {
    for (id, path) in session_folders(&state.join(VIEWS_FOLDER)) {
        let folder = KeptFolder::at(path, false);
        let noted = folder.read_record().and_then(|record| {
            let Some(mut record) = record else { return Ok(()) };
            record.stopped.clone_from(left);
            KeptFolder::at(folder.path().to_owned(), record.request.durable).write_record(&record)
        });
        if let Err(error) = noted {
            tracing::warn!(session = id.0, %error, "the session's views may not come back at the next start");
        }
    }
}

/// The folders of sessions, in the order of their numbers.
fn session_folders(views: &Path) -> Vec<(SessionId, PathBuf)> {
    let entries = match std::fs::read_dir(views) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!(folder = %views.display(), %error, "the views of before can't be looked for");
            return Vec::new();
        }
    };
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .collect();
    found.sort();
    found
}

/// A tape that is made again: what is there of it goes.
fn tape_again(path: &Path, asked: &TapeRequest) -> Result<Sink, StartError> {
    discard_interrupted(path);
    crate::live::sessions::sink(path, asked.compression)
}
