//! The folder in which a service remembers what outlives it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `lock` | nothing; locked while a service uses the folder |
//! | `sizes/VOLUME.sizes` | lengths of units, see [`size_file`](super::size_file) |
//! | `sessions.json` | the number of the next session |
//! | `policies.json` | turns, tapes and serials of policies |

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::live::status::SessionId;

/// The folder, locked for this service.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct SessionNumbers {
    next: SessionId,
}

impl StateFolder {
    /// Makes the folder if it is not there, and locks it.
    ///
    /// # Errors
    /// When another service has it, or it can't be written.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let sizes = path.join("sizes");
        fs::create_dir_all(&sizes).with_context(|| format!("{}: making the folder failed", sizes.display()))?;
        let lock_path = path.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.with_context(|| format!("{}: opening it failed", lock_path.display()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                bail!("{}: another service uses this folder; stop it first, or configure another `state`", path.display())
            }
            Err(errno) => Err(errno).with_context(|| format!("{}: locking it failed", lock_path.display())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the first session of this service.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub fn next_session(&self) -> anyhow::Result<SessionId> {
        Ok(self.read::<SessionNumbers>("sessions.json")?.map_or(SessionId(1), |numbers| numbers.next))
    }

    /// Notes that a session has this number.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn session_started(&self, id: SessionId) -> anyhow::Result<()> {
        self.write("sessions.json", &SessionNumbers { next: SessionId(id.0 + 1) })
    }

    /// Reads a document; `None` if there is none.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(text) => {
                let document = serde_json::from_slice(&text);
                document.map(Some).with_context(|| format!("{}: the file is damaged; move it away", path.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{}: reading it failed", path.display())),
        }
    }

    /// Writes a document whole or not at all, on stable storage when it returns.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn write<T: Serialize>(&self, name: &str, document: &T) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
            file.write_all(&serde_json::to_vec_pretty(document)?)?;
            file.as_file().sync_data()?;
            file.persist(&path)?;
            File::open(&self.path)?.sync_all()
        };
        write().with_context(|| format!("{}: writing it failed", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_service_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let state = StateFolder::open(&path).unwrap();
        assert_eq!(state.next_session().unwrap(), SessionId(1));
        state.session_started(SessionId(41)).unwrap();
        let error = StateFolder::open(&path).unwrap_err().to_string();
        assert!(error.contains("another service uses this folder"), "{error}");
        drop(state);
        assert_eq!(StateFolder::open(&path).unwrap().next_session().unwrap(), SessionId(42));
        fs::write(path.join("sessions.json"), "{").unwrap();
        assert!(StateFolder::open(&path).unwrap().next_session().is_err());
    }
}
