//! `tape verify`: whether a tape is whole, agrees with itself and its manifest, and holds what a volume holds.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::exit::{Exit, report};
use super::progress::Progress;
use super::restore::read_manifest;
use super::tape::read;
use super::tape_map::{end_words, write_title};
use crate::finding::{Finding, Grade};
use crate::parallel::default_threads;
use crate::restore::{DIFFERS, RestoreError, TapeVolume, Verified, verify};
use crate::snapshot::{Monitor, NoMonitor};
use crate::tape::{TapeImage, TapeStructure};
use crate::volume::{ImageFormat, OpenOptions, Volume};

/// Checks a tape: chunks, blocks, labels, block counts and its end; on tapes of tapegate every unit too.
///
/// Units are checked against their checksums, and against the digests of the manifest where it is beside the tape. With
/// a volume they are compared with what it holds now; a difference ends in exit code 4.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tapegate tape verify backup.aws\n  tapegate tape verify backup.aws --against mvsres.3350")]
pub struct TapeVerifyArgs {
    /// The tape image; its content decides the format.
    #[arg(value_name = "TAPE")]
    pub tape: PathBuf,

    /// Compare with this volume.
    #[arg(long, value_name = "VOLUME")]
    pub against: Option<PathBuf>,

    /// Format of the volume's image, where its content can't tell.
    #[arg(long = "type", value_name = "FORMAT", requires = "against")]
    pub kind: Option<ImageFormat>,

    /// The manifest [default: TAPE.manifest.json, if there is one].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct VerifyReport<'a> {
    tape: String,
    sound: bool,
    blocks: u64,
    tape_marks: u64,
    bytes: u64,
    files: usize,
    manifest: bool,
    units: Option<u64>,
    digests: Option<u64>,
    compared: Option<u64>,
    differences: Option<u64>,
    findings: &'a [Finding],
}

/// Checks the tape and prints a summary.
///
/// # Errors
/// When the file is no tape, the medium fails, a volume is to be compared that can't be, or nobody reads the output.
pub fn run(args: &TapeVerifyArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let image = TapeImage::open(&args.tape)?;
    let structure = read(&image)?;
    let manifest = read_manifest(&args.tape, args.manifest.as_deref())?;
    let volume = args.against.as_ref().map(|path| Volume::open(path, &OpenOptions { kind: args.kind, ..OpenOptions::default() }));
    let volume = volume.transpose()?;
    let mut findings = structure.findings.clone();
    let progress = Progress::default();
    let monitor: &dyn Monitor = if args.json { &NoMonitor } else { &progress };
    let verified = match TapeVolume::from_image(image, structure.clone()) {
        Ok(tape) => {
            let verified = verify(&tape, manifest.as_ref(), volume.as_ref(), default_threads(), monitor);
            match verified {
                Ok(verified) => {
                    findings.extend(verified.findings.iter().cloned());
                    Some(verified)
                }
                Err(error @ (RestoreError::Inconsistent { .. } | RestoreError::Unit { .. })) => {
                    findings.push(Finding::damage("contradiction", error.to_string()));
                    None
                }
                Err(error) => return Err(error.into()),
            }
        }
        // A tape that is cut short is a finding, with or without its manifest.
        Err(RestoreError::Inconsistent { .. }) if volume.is_none() && !structure.is_whole() => None,
        // Somebody else's tape is checked for its structure alone.
        Err(error) if volume.is_some() || manifest.is_some() => return Err(error.into()),
        Err(RestoreError::Description { defect: tapegate_formats::tape::description::DescriptionError::Magic, .. }) => None,
        Err(RestoreError::Inconsistent { .. }) if structure.files.is_empty() => None,
        Err(error) => {
            findings.push(Finding::damage("description", error.to_string()));
            None
        }
    };
    drop(progress);
    // That the volume went on does not make the tape unsound.
    let sound = findings.iter().all(|finding| finding.grade != Grade::Damage || finding.code == DIFFERS);
    let differences = verified.as_ref().map_or(0, |verified| verified.differences);
    if args.json {
        let report = VerifyReport {
            tape: args.tape.display().to_string(),
            sound,
            blocks: structure.blocks,
            tape_marks: structure.tape_marks,
            bytes: structure.bytes,
            files: structure.files.len(),
            manifest: manifest.is_some(),
            units: verified.as_ref().map(|verified| verified.units),
            digests: verified.as_ref().map(|verified| verified.digests),
            compared: volume.as_ref().and(verified.as_ref()).map(|verified| verified.compared),
            differences: volume.as_ref().and(verified.as_ref()).map(|verified| verified.differences),
            findings: &findings,
        };
        serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        write_title(&TapeImage::open(&args.tape)?, &structure, out)?;
        write_structure(&structure, out)?;
        if let Some(verified) = &verified {
            write_units(verified, volume.as_ref(), out)?;
        }
        let verdict = match (sound, differences) {
            (false, _) => "NOT SOUND",
            (true, 0) => "sound",
            (true, _) => "sound, but not what the volume holds",
        };
        writeln!(out, "{verdict}")?;
        report(&findings);
    }
    Ok(if differences > 0 { Exit::Differences } else { Exit::after(&findings) })
}

/// What was checked without looking into the files.
fn write_structure(tape: &TapeStructure, out: &mut dyn Write) -> std::io::Result<()> {
    let counted = tape.files.iter().filter(|file| file.label_block_count().is_some()).count();
    let agree = tape.files.iter().filter(|file| file.label_block_count() == Some(file.blocks)).count();
    let complete = tape.files.iter().filter(|file| file.complete).count();
    writeln!(out, "{} blocks and {} tape marks read, {} bytes", tape.blocks, tape.tape_marks, tape.bytes)?;
    writeln!(out, "{} files, of which {complete} complete", tape.files.len())?;
    writeln!(out, "{agree} of {counted} block counts in labels agree")?;
    writeln!(out, "end of tape: {}", end_words(tape.end))
}

/// What was checked inside the files.
fn write_units(verified: &Verified, volume: Option<&Volume>, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{} units have their checksums, {} the digests of the manifest", verified.units, verified.digests)?;
    match volume {
        Some(volume) => {
            let (compared, same) = (verified.compared, verified.compared - verified.differences);
            writeln!(out, "{same} of {compared} units are as on {}", volume.path().display())
        }
        None => Ok(()),
    }
}
