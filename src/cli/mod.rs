//! The command line: one file a command, each of which parses, calls and prints.

mod choice;
mod dump;
mod exit;
mod ls;
mod ls_document;
mod plan;
mod progress;
mod restore;
mod snapshot;
mod tape;
mod tape_extract;
mod tape_map;
mod tape_verify;
mod track;
mod volume_args;

use clap::{Parser, Subcommand};

pub use exit::{Exit, report};

/// Snapshots mainframe and fixed-block disk volumes onto labelled virtual tape, and puts them back.
///
/// Exit codes: 0 done; 1 failed, nothing half-made is left under a final name; 2 wrong usage; 3 done, but with findings
/// about damaged, missing or doubtful content; 4 a comparison found differences.
#[derive(Debug, Parser)]
#[command(name = "tapegate", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// Says what is being done; twice for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ls(ls::LsArgs),
    Track(track::TrackArgs),
    Plan(plan::PlanArgs),
    Snapshot(snapshot::SnapshotArgs),
    Restore(restore::RestoreArgs),
    Tape(tape::TapeArgs),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// With whatever stopped it, told so that the operator knows what to do.
    pub fn run(&self) -> anyhow::Result<Exit> {
        let out = &mut std::io::stdout().lock();
        match &self.command {
            Command::Ls(args) => ls::run(args, out),
            Command::Track(args) => track::run(args, out),
            Command::Plan(args) => plan::run(args, out),
            Command::Snapshot(args) => snapshot::run(args, out),
            Command::Restore(args) => restore::run(args, out),
            Command::Tape(args) => tape::run(args, out),
        }
    }
}
