//! The service as its operator meets it: it starts, answers, stops in order, and refuses what is wrong.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
#[macro_use]
mod common;

mod harness;
mod policies;
mod sessions;
mod start;
mod systemd;
