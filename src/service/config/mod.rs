//! `gateway.toml`: what the service serves, to whom, and where its tapes go.
//!
//! Reading it has two steps. `file.rs` says what may be written, key by key; `check.rs` says what must fit together. Either
//! way there is one message with line and column, and whoever gets a [`Config`] need not check again.

mod check;
mod file;
mod policy;
mod problem;
mod volume;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use check::DEFAULT_SOCKET;
pub use policy::{PolicyCommand, PolicyConfig, Retention, SerialRange};
pub use problem::ConfigError;
pub use volume::{AccessRight, DeviceNumber, Right, ViewConfig, VolumeConfig, access_of};

use super::network::Network;
use crate::channel::shared_device::Listener;

/// The configuration of a service, whole and checked; all paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file that it was read from.
    pub path: PathBuf,
    /// Folder of the tape library.
    pub library: PathBuf,
    /// Folder in which the service remembers size tables, sessions and turns of policies.
    pub state: PathBuf,
    /// The control interface.
    pub control: ControlConfig,
    /// The shared-device server, if there is one.
    pub shared_device: Option<SharedDeviceConfig>,
    /// The folder of volumes as files, if there is one.
    pub files: Option<FilesConfig>,
    /// Pools of the original-data cache; the first is the default one.
    pub caches: Vec<CacheConfig>,
    /// Volumes in the order of the file.
    pub volumes: Vec<VolumeConfig>,
    /// Snapshot views.
    pub views: Vec<ViewConfig>,
    /// Policies.
    pub policies: Vec<PolicyConfig>,
}

/// The control interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlConfig {
    /// The UNIX socket; who may open it may do everything.
    pub socket: PathBuf,
    /// A TCP port, for those who know the token.
    pub tcp: Option<TcpControl>,
    /// Connections at once.
    pub connections: usize,
}

/// The control interface over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpControl {
    /// Address and port.
    pub listen: SocketAddr,
    /// File whose first line is the token.
    pub token_file: PathBuf,
    /// Who may connect.
    pub allow: Vec<Network>,
}

/// The shared-device server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedDeviceConfig {
    /// Addresses and ports, and sockets in the file system.
    pub listen: Vec<Listener>,
    /// Who may connect.
    pub allow: Vec<Network>,
    /// Connections at once.
    pub connections: usize,
    /// When writes reach stable storage: the protocol has no flush.
    pub sync: SyncRule,
    /// How long a write that an image can't take is held and tried again, before it is given up.
    pub hold_limit: Duration,
}

/// When the writes of a front-end without flush reach stable storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncRule {
    /// At the end of each channel program that wrote.
    Bracket,
    /// After this time at most.
    Interval(Duration),
    /// When the system likes, and at a clean stop.
    Never,
}

/// The folder of volumes as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesConfig {
    /// Where it is mounted; made if it is not there.
    pub mount: PathBuf,
    /// Whether other users than the service's may open the files.
    pub allow_other: bool,
    /// Permission bits of the files.
    pub mode: u16,
}

/// A pool of the original-data cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// Its name.
    pub name: String,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Where more goes.
    pub spill: Option<SpillConfig>,
}

impl Default for CacheConfig {
    /// What there is when nothing is configured: memory only.
    fn default() -> Self {
        Self { name: "default".to_owned(), memory_bytes: DEFAULT_MEMORY_BYTES, spill: None }
    }
}

/// Memory of a cache whose size is not configured.
const DEFAULT_MEMORY_BYTES: u64 = 256 << 20;

/// Where originals go when memory is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpillConfig {
    /// A file or a block device.
    pub path: PathBuf,
    /// Bytes in it.
    pub limit_bytes: u64,
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// With what is wrong, and its line and column.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Io { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let path = std::path::absolute(path).map_err(failed)?;
        Self::parse(&text, &path)
    }

    /// Checks the text of a configuration; paths in it are relative to the folder of `path`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file: file::File = toml::from_str(text).map_err(|error| ConfigError::of_toml(path, text, &error))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let check = check::Check { folder, text };
        check.config(file, path).map_err(|problem| problem.in_file(path, text))
    }

    /// The volume of a name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&VolumeConfig> {
        self.volumes.iter().find(|volume| volume.name == name)
    }

    /// The policy of a name.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&PolicyConfig> {
        self.policies.iter().find(|policy| policy.name == name)
    }
}

#[cfg(test)]
mod tests;
