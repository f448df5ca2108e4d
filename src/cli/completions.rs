//! `tapegate completions SHELL`: what a shell needs to complete commands and options.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::exit::Exit;

/// Prints the completions of a shell, to be put where it looks for them.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  tapegate completions bash > /etc/bash_completion.d/tapegate
  tapegate completions fish > ~/.config/fish/completions/tapegate.fish")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Runs the command.
///
/// # Errors
/// When nobody reads the output.
pub fn run(args: &CompletionsArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    // Into memory first: the generator panics when it can't write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tapegate", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Done)
}
