//! A stock Hercules as host, with a guest that does channel programs of its own and knows what it wrote.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

#[path = "../common/mod.rs"]
mod common;
mod conversation;
mod gateway;
mod guest_program;
mod hercules;
mod recorder;
mod scene;
mod sessions;
mod stock;
mod two_hosts;
