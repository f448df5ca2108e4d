//! What is asked of a session and what is told about it.
//!
//! These are plain values: the control interface carries them as JSON, the command line prints them, and policies make
//! them. Fields that are added later have a default, so that an older command line talks to a newer service.
//!
//! Two stages are told apart everywhere: a session is *logically complete* when T0 is fixed (the host may do as it likes)
//! and *physically complete* when all its tapes are whole.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::plan::{Form, LabelKind};
use crate::tape::TapeCompression;

/// Number of a session in one service, from 1; never used again, also not after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for SessionId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A session to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// What it is called in lists: the policy that started it, or what the operator said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The volumes, all of one T0; at least one, none twice.
    pub volumes: Vec<VolumeRequest>,
    /// Patterns of the data sets that it is about; none means the whole volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Patterns of data sets that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Parts of the volumes, beside the data sets; with neither, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<UnitRange>,
    /// What it does.
    #[serde(default)]
    pub action: Action,
    /// Which instant T0 is.
    #[serde(default)]
    pub consistency: Consistency,
    /// How long T0 is tried for while channel programs are open, in milliseconds.
    #[serde(default = "default_t0_wait_ms")]
    pub t0_wait_ms: u64,
    /// What becomes of a host write whose original can't be secured.
    #[serde(default)]
    pub on_error: OnError,
    /// How fair the copier is to hosts.
    #[serde(default)]
    pub pace: Pace,
    /// Pool of the original-data cache; the default one if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// Whether originals are on stable storage before the host's write goes on.
    #[serde(default)]
    pub durable: bool,
    /// How data sets are put on tape.
    #[serde(default)]
    pub tape: TapeRequest,
}

const fn default_t0_wait_ms() -> u64 {
    30_000
}

/// A volume of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeRequest {
    /// Its name in the configuration.
    pub volume: String,
    /// The tape that is made of it: an absolute path. Its ending chooses the format: `.het` is HET,
    /// others are AWS. A named pipe gets an AWS image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<PathBuf>,
    /// Serial of that tape; otherwise made from the volume's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape_volser: Option<String>,
    /// The configured view that shows it as of T0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// Volume serial that the view shows instead of the volume's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_volser: Option<String>,
}

impl VolumeRequest {
    /// A volume without tape or view.
    #[must_use]
    pub fn new(volume: impl Into<String>) -> Self {
        Self { volume: volume.into(), tape: None, tape_volser: None, view: None, view_volser: None }
    }
}

/// Neighbouring units of a volume: tracks counted from 0, or blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitRange {
    /// The volume.
    pub volume: String,
    /// First track or block.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// What a session does with its address domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// Keeps it as of T0: on tapes, in views, or both.
    #[default]
    Snapshot,
    /// Counts host reads and writes by data set.
    Count,
    /// Tells writes on the control interface, or to a command.
    Notify {
        /// Program and arguments; it is run at most once a second, with the volume and data set in its environment.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        command: Vec<String>,
    },
    /// Keeps writes out.
    Protect {
        /// How.
        mode: Protection,
    },
}

/// What becomes of a write to what is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// The host gets an error.
    Refuse,
    /// The host waits until the session ends.
    Hold,
}

/// Which instant T0 is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "instant", rename_all = "kebab-case")]
pub enum Consistency {
    /// Now: the volumes are as after a power failure.
    #[default]
    Now,
    /// When there was no write, no reserve and no open channel program for a while.
    Quiet {
        /// How long, in milliseconds.
        quiet_ms: u64,
        /// How long such a time is waited for, in milliseconds.
        limit_ms: u64,
        /// Without one: take T0 all the same, instead of failing.
        #[serde(default)]
        else_now: bool,
    },
    /// Inside a freeze that the operator has asked for after the host's caches were flushed.
    Host,
}

/// The consistency that a session got, as lists and manifests say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instant {
    /// As after a power failure.
    Now,
    /// In a quiet time.
    Quiet,
    /// No quiet time came, and T0 was taken all the same.
    NotQuiet,
    /// Inside a freeze.
    Host,
}

impl Instant {
    /// As manifests say it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Quiet => "quiet",
            Self::NotQuiet => "not-quiet",
            Self::Host => "host",
        }
    }
}

/// What becomes of a host write whose original can't be secured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "then", rename_all = "kebab-case")]
pub enum OnError {
    /// The session is void and the host never notices.
    #[default]
    Drop,
    /// The host waits while the operator makes room; then the session is void.
    Hold {
        /// How long at most, in milliseconds.
        limit_ms: u64,
    },
}

/// How fair the copier is to hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Stages that the copier moves in a row before it pauses for host work; the default if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages_in_a_row: Option<u32>,
    /// The most that it reads in a second, in bytes; none is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
}

/// How data sets are put on tape; see the options of `tapegate snapshot`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TapeRequest {
    /// Tracks or blocks.
    pub form: Form,
    /// Labels.
    pub labels: LabelKind,
    /// Only what is in use.
    pub used: bool,
    /// The volume as one file.
    pub whole: bool,
    /// Without the tracks that no data set has.
    pub no_free: bool,
    /// Length of the tape blocks of tracks form; the default if none.
    pub block_bytes: Option<u32>,
    /// Compression of tapes whose names end in `.het`; zlib if none. Others have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<TapeCompression>,
}

/// Where a session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum SessionState {
    /// T0 is not fixed yet.
    Starting,
    /// T0 is fixed; the tapes are being written.
    LogicallyComplete,
    /// T0 is fixed and nothing more is to be written: the tapes are whole and have their names, and views stand.
    PhysicallyComplete,
    /// It counts, tells or protects until it is cancelled.
    Watching,
    /// The service stopped before the tapes were whole; it can be resumed.
    Suspended,
    /// The operator ended it; no tape was made.
    Cancelled,
    /// It can't be completed; no tape was made.
    Void {
        /// Why, in a sentence.
        reason: String,
    },
}

impl SessionState {
    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::PhysicallyComplete | Self::Cancelled | Self::Void { .. })
    }

    /// As lists say it.
    #[must_use]
    pub const fn words(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::LogicallyComplete => "logically complete",
            Self::PhysicallyComplete => "physically complete",
            Self::Watching => "watching",
            Self::Suspended => "suspended",
            Self::Cancelled => "cancelled",
            Self::Void { .. } => "void",
        }
    }
}

/// What is told about a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Its number.
    pub id: SessionId,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it does.
    pub action: Action,
    /// Where it is.
    #[serde(flatten)]
    pub state: SessionState,
    /// T0 as RFC 3339, once it is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t0: Option<String>,
    /// Which instant T0 was, once it is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instant: Option<Instant>,
    /// For how long hosts were held at T0, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t0_held_us: Option<u64>,
    /// Its volumes.
    pub volumes: Vec<VolumeStatus>,
    /// Bytes a second over the last seconds.
    #[serde(default)]
    pub bytes_per_second: u64,
    /// Reckoned from that; none before there is a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// The pace that is set.
    #[serde(default)]
    pub pace: Pace,
    /// Host writes that waited for a unit to be secured.
    #[serde(default)]
    pub writes_held: u64,
    /// The longest such wait, in microseconds.
    #[serde(default)]
    pub longest_hold_us: u64,
    /// What it has in the original-data cache.
    #[serde(default)]
    pub cache: CacheUse,
    /// What was odd.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<StatusFinding>,
    /// Counts by data set of a session that counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<FileCount>,
}

/// What is told about a volume of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeStatus {
    /// Its name in the configuration.
    pub volume: String,
    /// Units of the domain.
    pub units_total: u64,
    /// Units that the copier secured.
    pub in_order: u64,
    /// Units that were secured in front of a host write.
    pub out_of_order: u64,
    /// Bytes that are at their place on the tape.
    pub bytes: u64,
    /// Bytes of the tape; 0 before it is planned.
    pub bytes_total: u64,
    /// The tape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<PathBuf>,
    /// Serial of the tape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape_volser: Option<String>,
    /// The view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
}

/// What a session has in the original-data cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheUse {
    /// Units.
    pub units: u64,
    /// Bytes of their originals.
    pub bytes: u64,
}

/// A finding in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusFinding {
    /// Whether content is damaged, missing or doubtful.
    pub damage: bool,
    /// What was found, and where.
    pub text: String,
}

impl From<&crate::finding::Finding> for StatusFinding {
    fn from(finding: &crate::finding::Finding) -> Self {
        Self { damage: finding.grade == crate::finding::Grade::Damage, text: finding.to_string() }
    }
}

/// Host accesses to a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCount {
    /// The volume.
    pub volume: String,
    /// The data set; `(rest)` for what none has.
    pub file: String,
    /// Units read.
    pub reads: u64,
    /// Units written.
    pub writes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_needs_no_more_than_its_volumes() {
        let request: SessionRequest = serde_json::from_str(r#"{"volumes":[{"volume":"prod01"}]}"#).unwrap();
        assert_eq!(request.volumes, [VolumeRequest::new("prod01")]);
        assert_eq!(request.t0_wait_ms, 30_000);
        assert_eq!((request.action, request.consistency, request.on_error), Default::default());
        assert!(serde_json::from_str::<SessionRequest>(r#"{"volumes":[],"volume":"x"}"#).is_err());
    }

    #[test]
    fn the_reason_of_a_void_session_stands_beside_its_state() {
        let text = r#"{"id":3,"action":{"do":"snapshot"},"state":"void","reason":"the tape is full","volumes":[]}"#;
        let status: SessionStatus = serde_json::from_str(text).unwrap();
        assert_eq!(status.state, SessionState::Void { reason: "the tape is full".to_owned() });
        let again = serde_json::to_value(&status).unwrap();
        assert_eq!(again["state"], "void");
        assert_eq!(again["reason"], "the tape is full");
    }
}
