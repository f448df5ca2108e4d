//! `tapegate tapes`: what is in the tape library, and which tapes hold a data set.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::control_args::{ControlArgs, print_json, unexpected};
use super::exit::Exit;
use super::table::{self, Column};
use super::volumes::seconds;
use crate::plan::pattern::Pattern;
use crate::service::library;
use crate::service::protocol::{Library, Reply, Request, TapeEntry};
use crate::service::quantity::ByteSize;

/// Lists the tapes of a library, the newest first, or finds those that hold a data set.
///
/// It reads the manifests beside the tapes: those of a running service's library, or with --library those of any folder.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  tapegate tapes SYS1.PARMLIB\n  tapegate tapes --library /var/lib/tapegate/tapes")]
pub struct TapesArgs {
    /// Only tapes with a data set that fits: `*` within a qualifier, `**` for any number of qualifiers, `%` for one
    /// character.
    #[arg(value_name = "PATTERN")]
    pub pattern: Option<Pattern>,

    /// Folder to look in, without a service.
    #[arg(long, value_name = "FOLDER")]
    pub library: Option<PathBuf>,

    #[command(flatten)]
    pub control: ControlArgs,
}

const TAPES: [Column<TapeEntry>; 7] = [
    ("T0", false, |tape| seconds(&tape.t0)),
    ("SERIAL", false, |tape| tape.volser.clone().unwrap_or_default()),
    ("VOLUME", false, |tape| tape.volume_volser.clone().unwrap_or_default()),
    ("CONSISTENCY", false, |tape| tape.consistency.clone().unwrap_or_else(|| "plain copy".to_owned())),
    ("FILES", true, |tape| tape.files.to_string()),
    ("SIZE", true, |tape| ByteSize(tape.bytes).to_string()),
    ("TAPE", false, |tape| format!("{}{}", tape.tape.display(), if tape.present { "" } else { " (missing)" })),
];

/// Runs the command.
///
/// # Errors
/// When neither a service answers nor a folder can be read.
pub fn run(args: &TapesArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let pattern = args.pattern.as_ref().map(ToString::to_string);
    let found = match &args.library {
        Some(folder) => library::list(folder, pattern.as_deref())?,
        None => match args.control.ask(&Request::Tapes { pattern })? {
            Reply::Tapes(found) => found,
            reply => return Err(unexpected(&reply)),
        },
    };
    if args.control.json {
        print_json(&found, out)?;
    } else {
        print(&found, args.pattern.as_ref(), out)?;
    }
    for unreadable in &found.unreadable {
        eprintln!("warning: {unreadable}");
    }
    Ok(if found.unreadable.is_empty() { Exit::Done } else { Exit::Findings })
}

fn print(found: &Library, pattern: Option<&Pattern>, out: &mut dyn Write) -> std::io::Result<()> {
    let Some(pattern) = pattern else {
        return table::print(&found.tapes, &TAPES, "No tapes", out);
    };
    if found.tapes.is_empty() {
        return writeln!(out, "No tape has {pattern}");
    }
    for tape in &found.tapes {
        for file in &tape.found {
            let volser = tape.volser.as_deref().unwrap_or("unlabelled");
            let missing = if tape.present { "" } else { " (missing)" };
            let (t0, name, number) = (seconds(&tape.t0), &file.name, file.number);
            writeln!(out, "{t0}  {volser:10}  file {number:<4}  {name}  {}{missing}", tape.tape.display())?;
        }
    }
    Ok(())
}
