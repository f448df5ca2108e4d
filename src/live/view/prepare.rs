//! What a session with views needs before its T0: the device for itself, the folder and files that outlive the service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::kept::KeptFolder;
use super::member_view::{LiveView, MemberView};
use super::overlay::Overlay;
use crate::cache::CachePool;
use crate::finding::Finding;
use crate::gate::{Disk, LastWrite, VolumeGate, WriteMark};
use crate::live::sessions::{Sessions, StartError};
use crate::live::status::{SessionId, SessionRequest, VolumeRequest};
use crate::snapshot::{Interrupted, SnapshotError};
use crate::volume::{Fingerprint, UnitSource};

/// Folders of the service's state.
pub(in crate::live) const VIEWS_FOLDER: &str = "views";
const LAST_WRITES_FOLDER: &str = "last-writes";

/// The configured views, and what is needed to keep them over a restart.
#[derive(Debug)]
pub(in crate::live) struct Views {
    pub(super) live: BTreeMap<String, LiveView>,
    /// Where sessions with views have their folders.
    pub(in crate::live) folder: PathBuf,
    /// The last write to each volume that an earlier process noted.
    pub(in crate::live) last_writes: BTreeMap<String, LastWrite>,
}

/// What a member's view needs that is there before the others.
pub(in crate::live) struct Place<'a> {
    pub(in crate::live) id: SessionId,
    /// Its volume's number in the request.
    pub(in crate::live) number: usize,
    pub(in crate::live) folder: Option<&'a KeptFolder>,
    /// What an earlier process left of it.
    pub(in crate::live) left: Left,
}

/// What an earlier process left of a member.
pub(in crate::live) enum Left {
    /// Nothing: the session begins.
    Nothing,
    /// The originals of a view.
    View,
    /// A tape that is not whole, of the volume that was opened with these files.
    Tape(Interrupted, Fingerprint),
}

impl Sessions {
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

    /// The folder of a session that survives a restart of the service: one with a tape image, or with views whose
    /// originals are kept on disk.
    pub(in crate::live) fn folder_for(
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

    /// The view of a volume of a session, if it asks for one.
    pub(in crate::live) fn view(
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
}
