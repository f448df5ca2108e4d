//! `tape verify`: whether a tape is whole and agrees with itself.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::tape::read;
use super::tape_map::{end_words, write_title};
use crate::finding::{Finding, Grade};
use crate::tape::{TapeImage, TapeStructure};

/// Checks a tape: chunks, blocks, labels, block counts, and its end.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tapegate tape verify backup.aws")]
pub struct TapeVerifyArgs {
    /// The tape image; its content decides the format.
    #[arg(value_name = "TAPE")]
    pub tape: PathBuf,
}

/// Checks the tape, prints a summary, and gives back what was found.
///
/// # Errors
/// When the file is no tape, the medium fails, or nobody reads the output.
pub fn run(args: &TapeVerifyArgs, out: &mut dyn Write) -> anyhow::Result<Vec<Finding>> {
    let image = TapeImage::open(&args.tape)?;
    let tape = read(&image)?;
    write_title(&image, &tape, out)?;
    write_structure(&tape, out)?;
    Ok(tape.findings)
}

/// What was checked without looking into the files.
fn write_structure(tape: &TapeStructure, out: &mut dyn Write) -> std::io::Result<()> {
    let counted = tape.files.iter().filter(|file| file.label_block_count().is_some()).count();
    let agree = tape.files.iter().filter(|file| file.label_block_count() == Some(file.blocks)).count();
    writeln!(out, "{} block(s) and {} tape mark(s) read, {} bytes", tape.blocks, tape.tape_marks, tape.bytes)?;
    writeln!(out, "{} file(s), of which {} complete", tape.files.len(), tape.files.iter().filter(|file| file.complete).count())?;
    writeln!(out, "{agree} of {counted} block count(s) in labels agree")?;
    writeln!(out, "end of tape: {}", end_words(tape.end))?;
    let damage = tape.findings.iter().filter(|finding| finding.grade == Grade::Damage).count();
    writeln!(out, "{}", if damage == 0 { "sound" } else { "NOT SOUND" })
}
