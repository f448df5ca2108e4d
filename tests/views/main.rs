//! Snapshot views over served volumes: a view is the volume as of its T0, whatever hosts then write to the volume and to
//! the view, until it is discarded; also over a restart, and to programs that know nothing of the gateway.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../common/mod.rs"]
mod common;
mod interleaved;
mod model;
mod peers;
mod relabel;
mod restart;
mod service;
mod standing;
