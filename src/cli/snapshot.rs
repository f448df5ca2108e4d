//! `tapegate snapshot`: a volume onto a tape.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::choice::{ChoiceArgs, now};
use super::exit::{Exit, report};
use super::progress::Progress;
use super::signals::stop_on_signals;
use crate::finding::Finding;
use crate::snapshot::{
    Manifest, Monitor, NoMonitor, Preparation, SessionOptions, SessionResult, Target, interrupted_t0, run as run_session,
};
use crate::tape::TapeCompression;

/// Copies a volume, or data sets of it, onto a labelled virtual tape.
///
/// The tape appears under its name when it is complete, checked and on stable storage. Beside it stands a manifest with
/// places and digests. A volume that changes while it is copied ends in an error; on a block device only changes of the
/// tracks' lengths are noticed.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate snapshot mvsres.3350 'SYS1.**' --exclude SYS1.DUMP -o sys1.aws")]
pub struct SnapshotArgs {
    #[command(flatten)]
    pub choice: ChoiceArgs,

    /// Tape image to make, compressed if its name ends in .het; `-` streams it to standard output.
    #[arg(short, long, value_name = "TAPE")]
    pub output: PathBuf,

    /// How a .het tape is compressed: zlib or bzip2 [default: zlib].
    #[arg(long, value_name = "METHOD")]
    pub compress: Option<TapeCompression>,

    /// Where the manifest goes [default: TAPE.manifest.json].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,

    /// Go on where an interrupted run stopped.
    #[arg(long)]
    pub resume: bool,

    /// Do not wait until the tape is on stable storage.
    #[arg(long)]
    pub no_sync: bool,

    /// Print the result as JSON; with `-o -`, on standard error.
    #[arg(long)]
    pub json: bool,
}

/// The result, for programs.
#[derive(Debug, Serialize)]
struct SnapshotReport<'a> {
    tape: &'a str,
    bytes: u64,
    volser: Option<&'a str>,
    t0: &'a str,
    files: Vec<ReportFile<'a>>,
    findings: &'a [Finding],
}

#[derive(Debug, Serialize)]
struct ReportFile<'a> {
    number: u32,
    name: &'a str,
    units: u64,
    blocks: u64,
    bytes: u64,
    digest: &'a str,
}

/// Runs the command.
///
/// # Errors
/// When no tape was made.
pub fn run(args: &SnapshotArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let piped = args.output.as_os_str() == "-";
    if piped && args.resume {
        bail!("a pipe can't be resumed; run without --resume");
    }
    let compression = TapeCompression::of(&args.output, args.compress).map_err(anyhow::Error::msg)?;
    if compression.is_some() && args.resume {
        bail!("a compressed tape can't be resumed; run without --resume");
    }
    let options = args.choice.options(if args.resume { interrupted_t0(&args.output)? } else { now()? })?;
    let stop = stop_on_signals()?;
    let volume = args.choice.volume.open()?;
    let progress = Progress::default();
    let monitor: &dyn Monitor = if args.json { &NoMonitor } else { &progress };
    let preparation = Preparation::new(&volume, &options, false, monitor)?;
    let manifest = args.manifest.clone().or_else(|| (!piped).then(|| Manifest::path_of(&args.output)));
    let target = if piped {
        Target::Pipe(Box::new(std::io::BufWriter::with_capacity(
            1 << 20,
            std::fs::File::from(rustix::io::dup(std::io::stdout())?),
        )))
    } else if let Some(compression) = compression {
        Target::Packed { tape: args.output.clone(), compression, sync: !args.no_sync }
    } else {
        Target::File { tape: args.output.clone(), resume: args.resume, sync: !args.no_sync }
    };
    let destination = (args.choice.block_size, args.choice.first_block);
    let session = SessionOptions { manifest, destination, stop: &stop, monitor };
    let result = run_session(&volume, &options, preparation, target, &session);
    drop(progress);
    let result = result.map_err(|error| {
        let resumable = error.leaves_journal() && !piped && compression.is_none();
        let error = anyhow::Error::from(error);
        if resumable { error.context("no tape was made; the same command with --resume goes on") } else { error }
    })?;
    if args.json && piped {
        print_json(args, &result, &mut std::io::stderr())?;
    } else if args.json {
        print_json(args, &result, out)?;
    } else if !piped {
        print(args, &result, out)?;
    }
    if !args.json {
        report(&result.findings);
    }
    Ok(Exit::after(&result.findings))
}

fn print_json(args: &SnapshotArgs, result: &SessionResult, out: &mut dyn Write) -> anyhow::Result<()> {
    let files = result.manifest.files.iter().map(|file| ReportFile {
        number: file.number,
        name: &file.name,
        units: file.extents.iter().map(|[_, units]| u64::from(*units)).sum(),
        blocks: file.blocks,
        bytes: file.stream_bytes,
        digest: &file.digest,
    });
    let report = SnapshotReport {
        tape: &args.output.to_string_lossy(),
        bytes: result.manifest.tape.bytes,
        volser: result.manifest.tape.volser.as_deref(),
        t0: &result.manifest.t0,
        files: files.collect(),
        findings: &result.findings,
    };
    serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
    Ok(writeln!(out)?)
}

fn print(args: &SnapshotArgs, result: &SessionResult, out: &mut dyn Write) -> std::io::Result<()> {
    let tape = args.output.display();
    let volser = result.manifest.tape.volser.as_deref().unwrap_or("unlabelled");
    let (files, bytes) = (result.plan.files.len(), result.manifest.tape.bytes);
    writeln!(out, "{tape}: {volser}, {files} files, {bytes} bytes, T0 {}", result.manifest.t0)
}
