//! Turns of policies: on time, when asked, and never two of one policy at once.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::record::PolicyRecord;
use super::schedule::{Due, due};
use super::turn;
use crate::live::status::SessionStatus;
use crate::service::config::PolicyConfig;
use crate::service::gateway::Gateway;
use crate::service::protocol::PolicyStatus;
use crate::service::state_folder::StateFolder;

/// The file in the folder of the service's state.
const FILE: &str = "policies.json";
/// The clock may be set, so nobody sleeps for longer than this.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The policies of a service, and what is remembered of them.
#[derive(Debug)]
pub(in crate::service) struct Policies {
    records: Mutex<BTreeMap<String, PolicyRecord>>,
    running: Mutex<HashSet<String>>,
    zone: TimeZone,
}

/// A policy whose turn this is; it is another's when this is dropped.
struct Running<'a> {
    policies: &'a Policies,
    name: &'a str,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.policies.running().remove(self.name);
    }
}

impl Policies {
    /// Reads what is remembered; policies that were never seen are due from `now` on.
    ///
    /// # Errors
    /// When the records can't be read or written.
    pub(in crate::service) fn open(policies: &[PolicyConfig], state: &StateFolder, now: Timestamp) -> anyhow::Result<Self> {
        let mut records: BTreeMap<String, PolicyRecord> = state.read(FILE)?.unwrap_or_default();
        for policy in policies {
            records.entry(policy.name.clone()).or_default().seen.get_or_insert_with(|| now.to_string());
        }
        if !policies.is_empty() {
            state.write(FILE, &records)?;
        }
        Ok(Self { records: Mutex::new(records), running: Mutex::default(), zone: TimeZone::system() })
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<String, PolicyRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashSet<String>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// What is remembered of a policy.
    pub(super) fn record(&self, policy: &str) -> PolicyRecord {
        self.records().get(policy).cloned().unwrap_or_default()
    }

    /// Serials of the tapes that all policies keep.
    pub(super) fn kept_volsers(&self) -> HashSet<String> {
        self.records().values().flat_map(|record| &record.turns).flat_map(|turn| turn.volsers.clone()).collect()
    }

    /// Changes what is remembered, and keeps it.
    pub(super) fn remember(
        &self,
        state: &StateFolder,
        policy: &str,
        change: impl FnOnce(&mut PolicyRecord),
    ) -> anyhow::Result<()> {
        let mut records = self.records();
        change(records.entry(policy.to_owned()).or_default());
        state.write(FILE, &*records)
    }

    /// Whether a turn is due.
    fn due(&self, policy: &PolicyConfig, now: Timestamp) -> Due {
        due(policy.calendar.as_ref(), self.record(&policy.name).reference().unwrap_or(now), now, &self.zone)
    }
}

impl Gateway {
    /// Does one turn of a policy, and gives the session that made its tapes.
    ///
    /// # Errors
    /// When another turn of it runs, or there is no whole tape at the end.
    pub fn run_policy(&self, name: &str) -> anyhow::Result<SessionStatus> {
        let policy = self.config().policy(name).ok_or_else(|| anyhow!("no policy is called {name}; see `tapegate policies`"))?;
        if !self.policies.running().insert(name.to_owned()) {
            bail!("a turn of {name} is running; `tapegate session list` shows it");
        }
        let _running = Running { policies: &self.policies, name };
        let done = turn::turn(self, policy);
        let failure = done.as_ref().err().map(|error| format!("{error:#}"));
        match &failure {
            None => tracing::info!(policy = name, "the turn is done"),
            Some(failure) => tracing::error!(policy = name, "the turn failed: {failure}"),
        }
        self.policies.remember(&self.state, name, |record| record.failure = failure)?;
        done
    }

    /// The policies, for lists.
    pub(in crate::service) fn policy_statuses(&self) -> Vec<PolicyStatus> {
        let now = Timestamp::now();
        let status = |policy: &PolicyConfig| {
            let record = self.policies.record(&policy.name);
            PolicyStatus {
                name: policy.name.clone(),
                calendar: policy.calendar.as_ref().map(ToString::to_string),
                next: match self.policies.due(policy, now) {
                    Due::Never => None,
                    Due::Now => Some(now.to_string()),
                    Due::At(time) => Some(time.to_string()),
                },
                last: record.last,
                failure: record.failure,
                running: self.policies.running().contains(&policy.name),
                tapes: record.turns.iter().map(|turn| turn.tapes.len()).sum(),
            }
        };
        self.config().policies.iter().map(status).collect()
    }
}

/// Starts the thread that runs policies when they are due.
///
/// # Errors
/// When the system gives no thread.
pub(in crate::service) fn start(gateway: &Arc<Gateway>) -> anyhow::Result<()> {
    if gateway.config().policies.iter().all(|policy| policy.calendar.is_none()) {
        return Ok(());
    }
    gateway.spawn("policies", |gateway| {
        loop {
            let now = Timestamp::now();
            let mut sleep = LONGEST_SLEEP;
            for policy in &gateway.config().policies {
                match gateway.policies.due(policy, now) {
                    Due::Now if !gateway.policies.running().contains(&policy.name) => begin(gateway, policy),
                    Due::At(time) => {
                        let left = Duration::try_from(time.duration_since(now)).unwrap_or_default();
                        sleep = sleep.min(left.max(Duration::from_millis(10)));
                    }
                    Due::Now | Due::Never => {}
                }
            }
            if gateway.stopping.sleep(sleep) {
                return;
            }
        }
    })
}

/// A turn has a thread of its own: it takes as long as its tapes.
fn begin(gateway: &Arc<Gateway>, policy: &PolicyConfig) {
    let name = policy.name.clone();
    let thread = gateway.spawn("policy", move |gateway| {
        // Its end is told by itself, and kept for lists.
        let _told = gateway.run_policy(&name);
    });
    if let Err(error) = thread {
        tracing::error!(policy = policy.name, "the turn could not be started: {error:#}");
    }
}
