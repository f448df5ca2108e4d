//! Taking T0: the one instant of all volumes of a session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::status::{Consistency, Instant as T0Instant};
use crate::gate::{HeldBy, Still, StillLimits, VolumeGate};

/// How often a quiet time is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// T0 could not be taken.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum T0Error {
    /// A client was in the way all the time.
    #[error("no T0 within {} s: {held}; end its channel program, or wait longer with --t0-wait", waited.as_secs_f64())]
    Held {
        /// Who.
        held: HeldBy,
        /// How long it was tried.
        waited: Duration,
    },
    /// Hosts were never quiet for long enough.
    #[error("no {quiet_ms} ms without a write, a reserve or an open channel program on {disk} came within {} s; ask for a shorter time, or use --else now", waited.as_secs_f64())]
    NotQuiet {
        /// A volume that was in use last.
        disk: String,
        /// The time asked for.
        quiet_ms: u64,
        /// How long it was tried.
        waited: Duration,
    },
    /// The volumes are not frozen, or the freeze has ended.
    #[error("{disk} is not frozen; flush the host's caches, then `tapegate freeze` the volumes and start again")]
    NotFrozen {
        /// The volume.
        disk: String,
    },
}

/// The volumes held still at T0, by the session itself or by a freeze.
pub(super) enum AtT0<'a> {
    Own(Still),
    Frozen(&'a Still),
}

impl AtT0<'_> {
    pub(super) const fn still(&self) -> &Still {
        match self {
            Self::Own(still) => still,
            Self::Frozen(still) => still,
        }
    }
}

/// Holds the volumes still at the instant that is asked for; says which instant it was.
pub(super) fn take<'a>(
    gates: &[Arc<VolumeGate>],
    consistency: Consistency,
    wait: Duration,
    frozen: Option<&'a Still>,
) -> Result<(AtT0<'a>, T0Instant), T0Error> {
    match consistency {
        Consistency::Now => Ok((AtT0::Own(hold(gates, wait)?), T0Instant::Now)),
        Consistency::Host => {
            let missing = gates.iter().find(|gate| !frozen.is_some_and(|still| still.holds(gate)));
            match (missing, frozen) {
                (None, Some(still)) => Ok((AtT0::Frozen(still), T0Instant::Host)),
                (gate, _) => Err(T0Error::NotFrozen { disk: gate.map(|gate| gate.name().to_owned()).unwrap_or_default() }),
            }
        }
        Consistency::Quiet { quiet_ms, limit_ms, else_now } => {
            match when_quiet(gates, quiet_ms, Duration::from_millis(limit_ms)) {
                Ok(still) => Ok((AtT0::Own(still), T0Instant::Quiet)),
                Err(_) if else_now => Ok((AtT0::Own(hold(gates, wait)?), T0Instant::NotQuiet)),
                Err(error) => Err(error),
            }
        }
    }
}

fn hold(gates: &[Arc<VolumeGate>], wait: Duration) -> Result<Still, T0Error> {
    let limits = StillLimits { limit: wait, ..StillLimits::default() };
    Still::of(gates, limits).map_err(|held| T0Error::Held { held, waited: wait })
}

/// Holds the volumes still when none was in use for `quiet_ms`.
fn when_quiet(gates: &[Arc<VolumeGate>], quiet_ms: u64, limit: Duration) -> Result<Still, T0Error> {
    let began = Instant::now();
    let mut free_since = began;
    loop {
        // A bracket or reserve without a write leaves no time of its own: the looking notes it.
        if gates.iter().any(|gate| gate.activity().held) {
            free_since = Instant::now();
        }
        let busy = in_use(gates, quiet_ms);
        if busy.is_none() && free_since.elapsed() >= Duration::from_millis(quiet_ms) {
            // It may have ended just now: what counts is what is found when nobody comes in any more.
            let at_once = StillLimits { limit: Duration::ZERO, ..StillLimits::default() };
            if let Ok(still) = Still::of(gates, at_once)
                && in_use(gates, quiet_ms).is_none()
            {
                return Ok(still);
            }
        }
        if began.elapsed() >= limit {
            let disk = busy.or(gates.first()).map(|gate| gate.name().to_owned()).unwrap_or_default();
            return Err(T0Error::NotQuiet { disk, quiet_ms, waited: limit });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A volume that was written to in the last `quiet_ms`, or is held now.
fn in_use(gates: &[Arc<VolumeGate>], quiet_ms: u64) -> Option<&Arc<VolumeGate>> {
    gates.iter().find(|gate| {
        let activity = gate.activity();
        activity.held || activity.since_last_write_ms.is_some_and(|ms| ms < quiet_ms)
    })
}
