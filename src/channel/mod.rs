//! Front-ends: the protocols through which hosts reach a gate.

pub mod files;
