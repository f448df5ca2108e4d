//! Live sessions: snapshots of volumes that hosts go on writing to.
//!
//! The rule: a unit's original is safe outside the volume before a host's first write to it goes on. See
//! [`securing`] for the protocol and [`Instant`] for what becomes of originals.

mod instant;
mod pacer;
mod securing;

pub use instant::{Ending, Instant, InstantCounters, InstantParts, OnError};
pub use pacer::{Pace, Pacer};
