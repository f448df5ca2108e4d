//! The gate against a model of two arrays: what the disk holds now, and what it held at each T0.
//!
//! proptest makes sequences of what hosts, copiers, operators and faults do. The production code runs under them: the
//! gate, [`VolumeAtT0`](super::VolumeAtT0), the copier with its sinks. After each sequence every tape that was completed
//! is read back and must equal its T0 array unit by unit, the disk must equal its array, and no operation of a host may
//! have failed; a session that nobody disturbed must have completed.
//!
//! That the model would notice a mistake is tested too: see `rules.rs`.
//!
//! A sequence runs on one thread at a time, and so is the same every time. What several hosts' threads do to each other
//! inside of one operation is for shuttle (`interleavings.rs`).

#![cfg_attr(feature = "shuttle", allow(dead_code, reason = "the scenarios of shuttle use a part of it"))]

#[cfg(not(feature = "shuttle"))]
mod copies;
mod disk;
#[cfg(feature = "shuttle")]
mod interleavings;
#[cfg(not(feature = "shuttle"))]
mod properties;
mod rules;
mod steps;
mod tape_check;
mod work;
#[cfg(not(feature = "shuttle"))]
mod world;
mod writes;
