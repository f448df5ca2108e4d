//! `tape`: commands about tapes that exist, ours or not.

use std::io::Write;

use clap::{Args, Subcommand};

use super::exit::Exit;
use super::progress::Progress;
use super::{tape_extract, tape_map, tape_verify};
use crate::finding::Finding;
use crate::snapshot::Monitor;
use crate::tape::{TapeDescription, TapeError, TapeImage, TapeStructure, read_description, read_structure};

/// Lists, checks and takes apart AWS and HET tapes, whoever wrote them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tapegate tape map backup.aws\n  tapegate tape verify backup.aws --against mvsres.3350")]
pub struct TapeArgs {
    #[command(subcommand)]
    command: TapeCommand,
}

#[derive(Debug, Subcommand)]
enum TapeCommand {
    Map(tape_map::TapeMapArgs),
    Verify(tape_verify::TapeVerifyArgs),
    Extract(tape_extract::TapeExtractArgs),
}

/// Runs the command and tells what it found.
///
/// # Errors
/// As the command.
pub fn run(args: &TapeArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    match &args.command {
        TapeCommand::Map(args) => tape_map::run(args, out),
        TapeCommand::Verify(args) => tape_verify::run(args, out),
        TapeCommand::Extract(args) => tape_extract::run(args, out),
    }
}

/// Reads what lies on a tape, with a bar on the terminal.
pub(super) fn read(image: &TapeImage) -> Result<TapeStructure, TapeError> {
    let progress = Progress::default();
    progress.begin("reading", image.length());
    let mut before = 0;
    read_structure(image, |offset| {
        progress.advance(offset - before);
        before = offset;
    })
}

/// Reads the description of a tape of ours. One that is damaged becomes a finding: the files are still there.
pub(super) fn described(image: &TapeImage, tape: &TapeStructure) -> Result<(Option<TapeDescription>, Vec<Finding>), TapeError> {
    match read_description(image, tape) {
        Ok(description) => Ok((description, Vec::new())),
        Err(TapeError::Damaged { offset, defect, .. }) => {
            Ok((None, vec![Finding::damage("description", defect.to_string()).at(format_args!("offset {offset}"))]))
        }
        Err(error) => Err(error),
    }
}
