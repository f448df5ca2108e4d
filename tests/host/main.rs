//! A stock Hercules as host, with a guest that does channel programs of its own and knows what it wrote.

#[path = "../common/mod.rs"]
mod common;
mod guest_program;
mod hercules;
mod recorder;
mod stock;
