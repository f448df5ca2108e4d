//! Tapes as a user meets them: what is read from them, what damage does, and what Hercules says to the same tape.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod command;
mod damage;
mod extract;
mod image;
mod peers;
mod structure;
