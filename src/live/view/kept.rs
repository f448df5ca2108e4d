//! The folder of a session whose views survive a restart of the service.
//!
//! | file | content |
//! | --- | --- |
//! | `session.json` | what was asked for, T0, and which images they were: a [`Record`] |
//! | `N.originals`, `N.originals.bodies` | the originals of volume N of the request: a kept share of the cache |
//! | `N.writes`, `N.written` | what was written into its view |
//!
//! The record is written when T0 is fixed and goes first when the session ends, so a folder without one is what a
//! session left that never began, or has ended: it is swept at the next start.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::live::status::{Instant as T0Instant, SessionId, SessionRequest};
use crate::volume::Fingerprint;

/// The version of the record that is written and read.
const FORMAT: u32 = 1;
const RECORD: &str = "session.json";
const RECORD_BEING_WRITTEN: &str = "session.json.new";

/// What must be known to take a session's views up again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::live) struct Record {
    format: u32,
    pub(in crate::live) id: SessionId,
    pub(in crate::live) request: SessionRequest,
    #[serde(with = "rfc_3339")]
    pub(in crate::live) t0: jiff::Timestamp,
    pub(in crate::live) instant: T0Instant,
    pub(in crate::live) t0_held_us: u64,
    /// The images by volume, as they were when the service that took T0 opened them.
    pub(in crate::live) images: BTreeMap<String, Fingerprint>,
    /// Whether all tapes have their names, or none was asked for.
    pub(in crate::live) tapes_whole: bool,
    /// The images as the last clean stop of the service left them.
    pub(in crate::live) stopped: BTreeMap<String, Fingerprint>,
}

/// What a session is when its T0 is fixed.
pub(in crate::live) struct Beginning {
    pub(in crate::live) id: SessionId,
    pub(in crate::live) request: SessionRequest,
    pub(in crate::live) t0: jiff::Timestamp,
    pub(in crate::live) instant: T0Instant,
    pub(in crate::live) t0_held_us: u64,
    pub(in crate::live) images: BTreeMap<String, Fingerprint>,
    pub(in crate::live) tapes_whole: bool,
}

impl Record {
    pub(in crate::live) fn new(beginning: Beginning) -> Self {
        let Beginning { id, request, t0, instant, t0_held_us, images, tapes_whole } = beginning;
        Self { format: FORMAT, id, request, t0, instant, t0_held_us, images, tapes_whole, stopped: BTreeMap::new() }
    }
}

/// The folder of one session.
#[derive(Debug, Clone)]
pub(in crate::live) struct KeptFolder {
    path: PathBuf,
    durable: bool,
}

impl KeptFolder {
    /// Makes the folder of a session that is about to begin.
    pub(in crate::live) fn create(views: &Path, id: SessionId, durable: bool) -> io::Result<Self> {
        let path = views.join(id.to_string());
        std::fs::create_dir(&path)?;
        if durable {
            File::open(views)?.sync_all()?;
        }
        Ok(Self { path, durable })
    }

    /// Takes an existing folder.
    pub(in crate::live) const fn at(path: PathBuf, durable: bool) -> Self {
        Self { path, durable }
    }

    pub(in crate::live) fn path(&self) -> &Path {
        &self.path
    }

    /// Index of the originals of volume `number` of the request.
    pub(in crate::live) fn originals(&self, number: usize) -> PathBuf {
        self.path.join(format!("{number}.originals"))
    }

    /// Files of what is written into the view of volume `number`, without their endings.
    pub(in crate::live) fn writes(&self, number: usize) -> PathBuf {
        self.path.join(number.to_string())
    }

    /// Writes the record whole, in the place of an earlier one.
    pub(in crate::live) fn write_record(&self, record: &Record) -> io::Result<()> {
        let new = self.path.join(RECORD_BEING_WRITTEN);
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(record)?)?;
        if self.durable {
            file.sync_all()?;
        }
        std::fs::rename(&new, self.path.join(RECORD))?;
        if self.durable {
            File::open(&self.path)?.sync_all()?;
        }
        Ok(())
    }

    /// Reads the record; none if the session never began, or has ended.
    pub(in crate::live) fn read_record(&self) -> io::Result<Option<Record>> {
        let bytes = match std::fs::read(self.path.join(RECORD)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let record: Record = serde_json::from_slice(&bytes)?;
        if record.format != FORMAT {
            let reason = format!("it was made by another version (format {}, this one reads {FORMAT})", record.format);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Some(record))
    }

    /// Ends it for every later start: instantly, whatever is in it.
    pub(in crate::live) fn forget(&self) {
        let removed = std::fs::remove_file(self.path.join(RECORD));
        let durable = || if self.durable { File::open(&self.path)?.sync_all() } else { Ok(()) };
        if let Err(error) = removed.and_then(|()| durable())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.path.display(), %error, "a view that has ended may come back at the next start");
        }
    }

    /// Removes it with all that is in it, which takes time.
    pub(in crate::live) fn remove(&self) {
        self.forget();
        if let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.path.display(), %error, "the files of a view that has ended are left");
        }
    }
}

/// Instants as text.
mod rfc_3339 {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(instant: &jiff::Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(instant)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<jiff::Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}
