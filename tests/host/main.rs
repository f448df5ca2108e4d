//! A stock Hercules as host, with a guest that does channel programs of its own and knows what it wrote.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

#[path = "../common/mod.rs"]
mod common;
mod conversation;
mod front_ends;
mod guest_program;
mod hercules;
mod library_gateway;
mod recorder;
mod stock;
