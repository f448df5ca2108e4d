//! Sessions over a live gateway: what is asked for, and what is told about them.

pub mod status;
