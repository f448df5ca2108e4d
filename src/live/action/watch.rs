//! What a session that counts, tells or protects has behind the gates of its volumes.

use std::sync::Arc;

use super::count::Counting;
use super::domain::{Domain, Wanted};
use super::notify::{EventSink, INTERVAL, Telling};
use super::protect::Protecting;
use crate::gate::{Still, VolumeGate, Watcher};
use crate::live::sessions::StartError;
use crate::live::status::{Action, FileCount, SessionId, SessionRequest, VolumeStatus};
use crate::plan::pattern::{Pattern, Selection};

/// The watchers of one session.
pub(in crate::live) struct Watch {
    watched: Vec<(Arc<VolumeGate>, Watched)>,
}

enum Watched {
    Counting(Arc<Counting>),
    Telling(Arc<Telling>),
    Protecting(Arc<Protecting>),
}

impl Watch {
    /// Resolves the domain of a session on each of its volumes.
    ///
    /// # Errors
    /// When a volume can't be read, a range is not on it, or a pattern fits no data set of any of them.
    pub(in crate::live) fn resolve(
        id: SessionId,
        request: &SessionRequest,
        selection: Selection,
        gates: Vec<Arc<VolumeGate>>,
    ) -> Result<Self, StartError> {
        let wanted = Wanted { selection, ranges: request.ranges.clone() };
        let unknown = wanted.ranges.iter().find(|range| !gates.iter().any(|gate| gate.name() == range.volume));
        if let Some(range) = unknown {
            return Err(StartError::Refused(format!("a range is on {}, which is none of the session's volumes", range.volume)));
        }
        let mut watched = Vec::with_capacity(gates.len());
        let mut unmatched: Option<Vec<Pattern>> = None;
        for gate in gates {
            let (domain, here) = Domain::resolve(gate.name(), &**gate.disk(), &wanted)?;
            // A pattern may be for one of several volumes.
            unmatched = Some(match unmatched {
                None => here,
                Some(before) => before.into_iter().filter(|pattern| here.contains(pattern)).collect(),
            });
            let watcher = match &request.action {
                Action::Notify { .. } => Watched::Telling(Arc::new(Telling::new(id, domain, INTERVAL))),
                Action::Protect { mode } => Watched::Protecting(Arc::new(Protecting::new(id, domain, *mode))),
                Action::Count | Action::Snapshot => Watched::Counting(Arc::new(Counting::new(domain))),
            };
            watched.push((gate, watcher));
        }
        match unmatched.unwrap_or_default().first() {
            Some(pattern) => Err(StartError::Refused(format!("no data set is called {pattern}; see `tapegate ls`"))),
            None => Ok(Self { watched }),
        }
    }

    pub(in crate::live) fn gates(&self) -> Vec<Arc<VolumeGate>> {
        self.watched.iter().map(|(gate, _)| Arc::clone(gate)).collect()
    }

    /// Puts the watchers behind the gates, which are held still.
    pub(in crate::live) fn begin(&self, still: &Still) {
        for (gate, watched) in &self.watched {
            let watcher: Arc<dyn Watcher> = match watched {
                Watched::Counting(counting) => Arc::clone(counting) as _,
                Watched::Telling(telling) => Arc::clone(telling) as _,
                Watched::Protecting(protecting) => Arc::clone(protecting) as _,
            };
            still.add_watcher(gate, watcher);
        }
    }

    /// What threads of the session must run: one for each volume that is told about.
    pub(in crate::live) fn work(&self, sink: &Arc<dyn EventSink>) -> Vec<impl FnOnce() + Send + use<>> {
        let telling = self.watched.iter().filter_map(|(_, watched)| match watched {
            Watched::Telling(telling) => Some(Arc::clone(telling)),
            _ => None,
        });
        telling
            .map(|telling| {
                let sink = Arc::clone(sink);
                move || telling.run(&sink)
            })
            .collect()
    }

    /// Ends it; writes that are held go on.
    pub(in crate::live) fn end(&self) {
        for (gate, watched) in &self.watched {
            match watched {
                Watched::Counting(counting) => counting.end(),
                Watched::Telling(telling) => telling.end(),
                Watched::Protecting(protecting) => protecting.end(),
            }
            gate.forget_ended_watchers();
        }
    }

    pub(in crate::live) fn volumes(&self) -> Vec<VolumeStatus> {
        let domain = |watched: &Watched| match watched {
            Watched::Counting(counting) => counting.domain().len(),
            Watched::Telling(telling) => telling.domain().len(),
            Watched::Protecting(protecting) => protecting.domain().len(),
        };
        let status = |(gate, watched): &(Arc<VolumeGate>, Watched)| VolumeStatus {
            volume: gate.name().to_owned(),
            units_total: domain(watched),
            ..VolumeStatus::default()
        };
        self.watched.iter().map(status).collect()
    }

    pub(in crate::live) fn counts(&self) -> Vec<FileCount> {
        let counting = self.watched.iter().filter_map(|(_, watched)| match watched {
            Watched::Counting(counting) => Some(counting),
            _ => None,
        });
        counting.flat_map(|counting| counting.counts()).collect()
    }

    /// Writes that were held, and the longest time, in microseconds.
    pub(in crate::live) fn holds(&self) -> (u64, u64) {
        let protecting = self.watched.iter().filter_map(|(_, watched)| match watched {
            Watched::Protecting(protecting) => Some(protecting.holds()),
            _ => None,
        });
        protecting.fold((0, 0), |(held, longest), (more, us)| (held + more, longest.max(us)))
    }
}
