//! `tapegate restore`: a tape back to a volume.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use serde::Serialize;

use super::exit::{Exit, report};
use super::progress::Progress;
use super::signals::stop_on_signals;
use crate::finding::Finding;
use crate::parallel::default_threads;
use crate::plan::pattern::{Pattern, Selection};
use crate::restore::{ExistingOptions, NewImageOptions, Restored, TapeVolume, restore_into, restore_new};
use crate::snapshot::{Manifest, Monitor, NoMonitor};
use crate::volume::create::{Compression, CreateOptions};
use crate::volume::{ImageFormat, OpenOptions, Shape};

/// Rebuilds a volume from a tape, or puts data sets back over those of the same name.
///
/// Checksums, digests (where the manifest is beside the tape) and labels are checked as the tape is read. A new image
/// appears under its name when it is complete; an existing volume is replaced whole or not at all.
#[derive(Debug, Clone, Args)]
#[command(
    group = ArgGroup::new("where").required(true).args(["new", "into"]),
    after_help = "Examples:\n  tapegate restore sys1.aws --new mvsres.3350\n  tapegate restore sys1.aws SYS1.PARMLIB --into mvsres.3350"
)]
pub struct RestoreArgs {
    /// The tape image.
    pub tape: PathBuf,

    /// Data sets to restore, as in `snapshot`.
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<Pattern>,

    /// Data sets to leave out.
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<Pattern>,

    /// Make a new disk image.
    #[arg(long, value_name = "IMAGE")]
    pub new: Option<PathBuf>,

    /// Put the data sets back into this image.
    #[arg(long, value_name = "VOLUME")]
    pub into: Option<PathBuf>,

    /// Put back a VSAM component, PDSE, HFS or extended format data set that no VVDS on the volume names.
    #[arg(long, requires = "into")]
    pub force: bool,

    /// Format of the existing image, where its content can't tell.
    #[arg(long = "type", value_name = "FORMAT", requires = "into")]
    pub kind: Option<ImageFormat>,

    /// Format of the new image: ckd, cckd, cckd64, raw-track, fba, cfba or cfba64 [default: ckd or fba].
    #[arg(long, value_name = "FORMAT", requires = "new")]
    pub format: Option<ImageFormat>,

    /// Compression level of the new image, 1 (fast) to 12 (small), where its format compresses.
    #[arg(long, value_name = "LEVEL", requires = "new", value_parser = clap::value_parser!(u8).range(1..=12))]
    pub level: Option<u8>,

    /// The manifest [default: TAPE.manifest.json, if there is one].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,

    /// Threads [default: the processors, at most 4].
    #[arg(short, long, value_name = "THREADS", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,

    /// Do not wait until the volume is on stable storage.
    #[arg(long)]
    pub no_sync: bool,

    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct RestoreReport<'a> {
    tape: String,
    volume: String,
    volser: String,
    files: &'a [String],
    units: u64,
    findings: &'a [Finding],
}

/// Runs the command.
///
/// # Errors
/// When nothing was restored; what was there before is as it was.
pub fn run(args: &RestoreArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let progress = Progress::default();
    let monitor: &dyn Monitor = if args.json { &NoMonitor } else { &progress };
    let stop = stop_on_signals()?;
    let tape = TapeVolume::open(&args.tape, |_| {})?;
    let manifest = read_manifest(&args.tape, args.manifest.as_deref())?;
    let selection = Selection { include: args.patterns.clone(), exclude: args.exclude.clone() };
    let threads = args.jobs.map_or_else(default_threads, usize::from);
    let (image, restored) = match (&args.new, &args.into) {
        (Some(image), _) => {
            let mut create = CreateOptions::new(args.format.unwrap_or_else(|| default_format(&tape)));
            if let Some(level) = args.level {
                create.compression = Compression::Zlib { level };
            }
            let options = NewImageOptions { image: image.clone(), create, selection: &selection, threads, sync: !args.no_sync };
            (image, restore_new(&tape, manifest.as_ref(), &options, &stop, monitor)?)
        }
        (None, Some(volume)) => {
            if selection.is_everything() {
                anyhow::bail!("--into puts single data sets back; name them, or use '**' for all that the volume has");
            }
            let open = OpenOptions { kind: args.kind, ..OpenOptions::default() };
            let sync = !args.no_sync;
            let options =
                ExistingOptions { image: volume.clone(), open, selection: &selection, force: args.force, threads, sync };
            (volume, restore_into(&tape, manifest.as_ref(), &options, &stop, monitor)?)
        }
        (None, None) => anyhow::bail!("say where to: --new IMAGE or --into VOLUME"),
    };
    drop(progress);
    print(args, &tape, image, &restored, out)?;
    Ok(Exit::after(&restored.findings))
}

/// The manifest that was named, which must be there, or the one beside the tape, if there is one.
pub(super) fn read_manifest(tape: &Path, named: Option<&Path>) -> anyhow::Result<Option<Manifest>> {
    match named {
        Some(path) => match Manifest::read(path)? {
            Some(manifest) => Ok(Some(manifest)),
            None => anyhow::bail!("{}: there is no such manifest", path.display()),
        },
        None => Ok(Manifest::read(&Manifest::path_of(tape))?),
    }
}

fn default_format(tape: &TapeVolume) -> ImageFormat {
    match tape.shape() {
        // Plain images have 16 bits for a cylinder.
        Shape::Ckd(geometry) if geometry.cylinders() > 65_535 => ImageFormat::RawTrack,
        Shape::Ckd(_) => ImageFormat::Ckd,
        Shape::FixedBlock(_) => ImageFormat::Fba,
    }
}

fn print(args: &RestoreArgs, tape: &TapeVolume, volume: &Path, restored: &Restored, out: &mut dyn Write) -> anyhow::Result<()> {
    if args.json {
        let report = RestoreReport {
            tape: args.tape.display().to_string(),
            volume: volume.display().to_string(),
            volser: tape.volser().to_string(),
            files: &restored.files,
            units: restored.units,
            findings: &restored.findings,
        };
        serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
        return Ok(writeln!(out)?);
    }
    let (volser, files) = (tape.volser(), restored.files.len());
    writeln!(out, "{}: {volser} restored from {files} files, {} units", volume.display(), restored.units)?;
    report(&restored.findings);
    Ok(())
}
