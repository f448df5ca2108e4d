//! The command line: one file a command, each of which parses, calls and prints.

mod cache;
mod choice;
mod completions;
mod control_args;
mod dump;
mod exit;
mod freeze;
mod ls;
mod ls_document;
mod manual;
mod plan;
mod progress;
mod restore;
mod run;
mod serve;
mod session;
mod signals;
mod snapshot;
mod table;
mod tape;
mod tape_extract;
mod tape_map;
mod tape_verify;
mod tapes;
mod track;
mod volume_args;
mod volumes;

use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::{Exit, report};

/// Snapshots mainframe and fixed-block disk volumes onto labelled virtual tape, and puts them back.
///
/// It knows before the first byte moves where every byte of the tape will lie: `plan` prints it, and the finished tape
/// equals it.
#[derive(Debug, Parser)]
#[command(name = "tapegate", version, max_term_width = 100, after_help = after_help())]
pub struct Cli {
    /// Say what is being done; twice for more.
    // Behind the options of the command, in front of --help.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 900)]
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
    Serve(serve::ServeArgs),
    Session(session::SessionArgs),
    Volumes(volumes::VolumesArgs),
    Clients(volumes::ClientsArgs),
    Freeze(freeze::FreezeArgs),
    Thaw(freeze::ThawArgs),
    Cache(cache::CacheArgs),
    Policies(run::PoliciesArgs),
    Run(run::RunArgs),
    Tapes(tapes::TapesArgs),
    Completions(completions::CompletionsArgs),
    Man(manual::ManArgs),
}

/// What follows the options in the program's own help.
fn after_help() -> String {
    let codes = exit::EXIT_CODES.replace('\n', "\n  ");
    let examples = "Examples:
  tapegate ls mvsres.3350
  tapegate snapshot mvsres.3350 'SYS1.**' -o sys1.aws
  tapegate restore sys1.aws SYS1.PARMLIB --into mvsres.3350";
    format!("{examples}\n\nExit codes:\n  {codes}")
}

/// Puts what a command says about itself behind its options, so that `--help` stays a table with a line an option.
///
/// With a long text about the command, the parser's library would set every option in paragraphs.
fn compact(command: clap::Command) -> clap::Command {
    let command = command.mut_subcommands(compact);
    let Some(long) = command.get_long_about().map(ToString::to_string) else { return command };
    let details = long.split_once("\n\n").map_or("", |(_, details)| details);
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    command.long_about(Resettable::Reset).after_help(format!("{details}\n\n{after}"))
}

impl Cli {
    /// Takes the command line of the process; ends it where that is wrong, or asks for help.
    #[must_use]
    pub fn from_process() -> Self {
        let matches = compact(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

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
            Command::Serve(args) => serve::run(args, out),
            Command::Session(args) => session::run(args, out),
            Command::Volumes(args) => volumes::run(args, out),
            Command::Clients(args) => volumes::run_clients(args, out),
            Command::Freeze(args) => freeze::run(args, out),
            Command::Thaw(args) => freeze::run_thaw(args, out),
            Command::Cache(args) => cache::run(args, out),
            Command::Policies(args) => run::run_policies(args, out),
            Command::Run(args) => run::run(args, out),
            Command::Tapes(args) => tapes::run(args, out),
            Command::Completions(args) => completions::run(args, out),
            Command::Man(args) => manual::run(args, out),
        }
    }
}
