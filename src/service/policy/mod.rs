//! Policies: what is copied when, onto which tape, and how long it is kept.
//!
//! | part | what it does |
//! | --- | --- |
//! | `record` | what is remembered of each policy over a restart |
//! | `schedule` | when the next turn is due |
//! | `naming` | names and serials of a turn's tapes |
//! | `turn` | one turn: commands, T0, tapes, retention |
//! | `command` | a program with a time limit |
//! | `runner` | turns on time, and never two of one policy |

mod command;
mod naming;
mod record;
mod runner;
mod schedule;
mod turn;

pub(super) use naming::PLACEHOLDERS;
pub(super) use runner::{Policies, start};
