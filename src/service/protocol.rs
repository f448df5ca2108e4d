//! The words of the control interface: a JSON object a line, requests one way and replies the other.
//!
//! A request has one reply, but `session-watch`, which has a `session` reply for each change and a `done` at the end.
//! Over TCP the first request is `token`. CONTROL.md shows each with an example.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::live::status::{Pace, SessionId, SessionRequest, SessionStatus};

/// The longest line that is taken, in bytes.
pub const MOST_LINE_BYTES: usize = 1 << 20;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Shows that the client may ask; the first request over TCP.
    Token {
        /// The first line of the token file.
        token: String,
    },
    /// What the service is.
    Service,
    /// Its volumes and views.
    Volumes,
    /// Who uses them.
    Clients,
    /// Starts a session; the reply comes when T0 is fixed, or with `wait` when the session is over.
    SessionStart {
        /// The session.
        session: Box<SessionRequest>,
        /// Whether the reply waits until the session is over.
        #[serde(default)]
        wait: bool,
    },
    /// All sessions.
    SessionList,
    /// One session.
    SessionShow {
        /// Its number.
        id: SessionId,
    },
    /// A session whenever it changes, until it is over.
    SessionWatch {
        /// Its number.
        id: SessionId,
    },
    /// Ends a session; no tape is made.
    SessionCancel {
        /// Its number.
        id: SessionId,
    },
    /// Goes on with a suspended session.
    SessionResume {
        /// Its number.
        id: SessionId,
    },
    /// Changes the pace of a session; what is not given stays.
    SessionPace {
        /// Its number.
        id: SessionId,
        /// What changes.
        pace: PaceChange,
    },
    /// Holds hosts off volumes, between two channel programs, until `thaw` or until the time is over.
    Freeze {
        /// The volumes, all or none.
        volumes: Vec<String>,
        /// After which it ends by itself, in milliseconds: 10,000 if not given, 60,000 at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit_ms: Option<u64>,
        /// How long it is tried while channel programs are open, in milliseconds: 30,000 if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait_ms: Option<u64>,
    },
    /// Ends freezes.
    Thaw {
        /// The freezes of these volumes; all, if none is named.
        #[serde(default)]
        volumes: Vec<String>,
    },
    /// The pools of the original-data cache.
    Cache,
    /// Changes limits of a pool.
    CacheLimits {
        /// The pool.
        pool: String,
        /// Bytes in memory; unchanged if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memory_bytes: Option<u64>,
        /// Bytes in the spill; unchanged if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spill_bytes: Option<u64>,
    },
    /// The policies, and when they run.
    Policies,
    /// Does one turn of a policy; the reply comes when its tapes are whole.
    RunPolicy {
        /// The policy.
        policy: String,
    },
    /// The tape library.
    Tapes {
        /// Only tapes with a data set that fits this pattern.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
    },
    /// Stops the service, as SIGTERM does.
    Stop,
}

/// A change of a session's pace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaceChange {
    /// Stages in a row; unchanged if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages_in_a_row: Option<u32>,
    /// Bytes a second; unchanged if not given, 0 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
}

impl PaceChange {
    /// The pace after the change.
    #[must_use]
    pub fn of(self, pace: Pace) -> Pace {
        Pace {
            stages_in_a_row: self.stages_in_a_row.or(pace.stages_in_a_row),
            bytes_per_second: match self.bytes_per_second {
                None => pace.bytes_per_second,
                Some(0) => None,
                limit => limit,
            },
        }
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// It is done, or a stream of replies is at its end.
    Done,
    /// It was not done.
    Error {
        /// Why, and what to do, in a sentence.
        message: String,
    },
    /// What the service is.
    Service(ServiceStatus),
    /// Volumes and views.
    Volumes {
        /// In the order of the configuration, views last.
        volumes: Vec<DiskStatus>,
    },
    /// Who uses them.
    Clients {
        /// By disk and name.
        clients: Vec<ClientStatus>,
    },
    /// A session.
    Session {
        /// Where it is.
        session: Box<SessionStatus>,
    },
    /// All sessions.
    Sessions {
        /// By number.
        sessions: Vec<SessionStatus>,
    },
    /// Volumes are frozen.
    Frozen {
        /// When it ends by itself, RFC 3339.
        until: String,
        /// For how long hosts had been held when it was complete, in microseconds.
        held_us: u64,
    },
    /// Volumes are not frozen any more.
    Thawed {
        /// Which.
        volumes: Vec<String>,
    },
    /// Pools.
    Cache {
        /// The first is the default one.
        pools: Vec<PoolStatus>,
    },
    /// Policies.
    Policies {
        /// In the order of the configuration.
        policies: Vec<PolicyStatus>,
    },
    /// Tapes.
    Tapes(Library),
}

/// What a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it was ready, RFC 3339.
    pub since: String,
    /// Its configuration.
    pub config: PathBuf,
}

/// A volume or view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// Its name.
    pub name: String,
    /// The volume that it is a view of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_of: Option<String>,
    /// The number by which hosts know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The image; a view has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PathBuf>,
    /// Format of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Device type, such as `3390`, or `fba`.
    pub kind: String,
    /// Units.
    pub units: u32,
    /// Whether hosts may write.
    pub writable: bool,
    /// Whether it can be read: a view without a session can't.
    pub ready: bool,
    /// Whether it is frozen.
    pub frozen: bool,
    /// Units read by hosts since the start.
    pub reads: u64,
    /// Writes of hosts since the start.
    pub writes: u64,
    /// Milliseconds since the last write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_last_write_ms: Option<u64>,
    /// Whether a channel program is open on it, or it is reserved.
    pub held: bool,
    /// Units whose length is not known: they are being measured.
    pub unmeasured_units: u32,
    /// Bytes that can still be written into an image that grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_bytes: Option<u64>,
    /// The session whose T0 a view shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Why its content is in doubt, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Somebody who uses a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// The volume or view.
    pub disk: String,
    /// The client, as its front-end names it.
    pub client: String,
    /// Whether it has a channel program open.
    pub in_channel_program: bool,
    /// Whether it has the device reserved.
    pub reserved: bool,
    /// For how long its connection has been gone, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_ms: Option<u64>,
    /// What only the shared-device server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionStatus>,
}

/// A client of the shared-device server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Address and port.
    pub peer: String,
    /// When it connected, RFC 3339.
    pub since: String,
    /// Whether it may write.
    pub may_write: bool,
    /// Whether a write of it is held now, since the image can't take it.
    pub holding: bool,
    /// Tracks read.
    pub reads: u64,
    /// Writes done.
    pub writes: u64,
    /// Writes that had to wait for a session or for the image.
    pub held_writes: u64,
    /// Writes that were answered with an error, which stock clients hide from their guests.
    pub failed_writes: u64,
}

/// A pool of the original-data cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Most bytes in memory.
    pub memory_limit_bytes: u64,
    /// Bytes in the spill.
    pub spill_bytes: u64,
    /// Most bytes in the spill.
    pub spill_limit_bytes: u64,
    /// Whether its end is near.
    pub nearly_full: bool,
    /// Who has how much.
    pub owners: Vec<OwnerStatus>,
}

/// What an owner has in a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerStatus {
    /// The session.
    pub owner: String,
    /// Units.
    pub units: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// Its name.
    pub name: String,
    /// When it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// The next time, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// When the last turn began, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Why the last turn failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether a turn is under way.
    pub running: bool,
    /// Tapes of it that are kept.
    pub tapes: usize,
}

/// The tape library, or what was found in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// The newest first.
    pub tapes: Vec<TapeEntry>,
    /// Manifests that can't be read, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// A tape of the library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapeEntry {
    /// Its path in the library.
    pub tape: PathBuf,
    /// Its serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volser: Option<String>,
    /// Serial of the volume that is on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_volser: Option<String>,
    /// The image of that volume when it was copied.
    pub image: PathBuf,
    /// T0, RFC 3339.
    pub t0: String,
    /// Which instant T0 was: `now`, `quiet`, `not-quiet` or `host`; none of a plain copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<String>,
    /// Files on it.
    pub files: usize,
    /// Bytes of it.
    pub bytes: u64,
    /// Whether the tape is where its manifest is.
    pub present: bool,
    /// Data sets that were asked for, with their file numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<FoundFile>,
}

/// A data set on a tape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFile {
    /// Number of the file, from 1.
    pub number: u32,
    /// Name of the data set.
    pub name: String,
    /// Bytes of its data on tape.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_the_page_shows() {
        let page = include_str!("CONTROL.md");
        let mut shown = 0;
        for line in page.lines().filter_map(|line| line.strip_prefix("> ")) {
            let request: Request = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(serde_json::from_value::<Request>(serde_json::to_value(&request).unwrap()).unwrap(), request);
            shown += 1;
        }
        for line in page.lines().filter_map(|line| line.strip_prefix("< ")) {
            let reply: Reply = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(serde_json::from_value::<Reply>(serde_json::to_value(&reply).unwrap()).unwrap(), reply);
            shown += 1;
        }
        assert!(shown >= 30, "{shown} examples");
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for text in
            [r#"{"request":"format"}"#, r#"{"request":"thaw","volume":"a"}"#, r#"{"request":"session-show"}"#, "[]", "stop"]
        {
            assert!(serde_json::from_str::<Request>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pace_changes_only_in_what_is_given() {
        let pace = Pace { stages_in_a_row: Some(4), bytes_per_second: Some(100) };
        assert_eq!(PaceChange::default().of(pace), pace);
        let free = PaceChange { bytes_per_second: Some(0), stages_in_a_row: None }.of(pace);
        assert_eq!(free, Pace { stages_in_a_row: Some(4), bytes_per_second: None });
    }
}
