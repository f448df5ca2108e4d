//! `tape extract`: writes a file of a tape out.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use tapegate_formats::tape::description::FileEntry;
use tapegate_formats::tape::record_format::{RecordFormat, RecordKind};

use super::exit::{Exit, report};
use super::tape::{described, read};
use crate::finding::Finding;
use crate::tape::partial::{beside, sync_directory};
use crate::tape::{
    ContentEnd, ExtractForm, LabelStyle, TapeDescription, TapeFile, TapeImage, TapeStructure, described_name, extract,
};

/// Writes the bytes of one file of a tape to standard output or a file.
///
/// The blocks are written one behind the other. A file that tapegate wrote in `tracks` form gives what the data set
/// holds: the data of its records in order, of a sequential one up to its end-of-file record. `--raw` gives its bytes
/// as they are on tape.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tapegate tape extract backup.aws SYS1.PARMLIB -o parmlib.bin\n  \
                        tapegate tape extract cards.het 2 --text --recfm FB --lrecl 80")]
pub struct TapeExtractArgs {
    /// The tape image; its content decides the format.
    #[arg(value_name = "TAPE")]
    pub tape: PathBuf,
    /// The file: its number as `tape map` shows it, or its name.
    #[arg(value_name = "FILE")]
    pub file: String,
    /// Where to write; `-` is standard output. A file gets its name when it is complete.
    #[arg(short, long, value_name = "OUT", default_value = "-")]
    pub output: PathBuf,
    /// Write what lies on the tape, even if it is tapegate's own container.
    #[arg(long, conflicts_with_all = ["text", "all"])]
    pub raw: bool,
    /// Write lines of UTF-8 text, a record a line, from EBCDIC.
    #[arg(long)]
    pub text: bool,
    /// Record format: F, FB, V, VB, VBS or U [default: what the labels say].
    #[arg(long, value_name = "FORMAT", requires = "text")]
    pub recfm: Option<RecordFormat>,
    /// Record length [default: what the labels say].
    #[arg(long, value_name = "BYTES", requires = "text")]
    pub lrecl: Option<u32>,
    /// Pass end-of-file records of a sequential data set in `tracks` form, instead of ending at the first.
    #[arg(long)]
    pub all: bool,
    /// Print the result as JSON; on standard error where the bytes go to standard output.
    #[arg(long)]
    pub json: bool,
}

/// The result, for programs.
#[derive(Debug, Serialize)]
struct ExtractReport<'a> {
    tape: String,
    number: u32,
    /// The whole name, where the tape has a description.
    name: Option<String>,
    output: String,
    /// Blocks of the tape, or records in units.
    blocks: u64,
    units: u64,
    bytes: u64,
    findings: &'a [Finding],
}

/// Writes the file and tells what is odd about it.
///
/// `out` is standard output; where the file's bytes go there, it gets nothing else.
///
/// # Errors
/// When the file is no tape, there is no such file on it, it is damaged, or reading or writing fails.
pub fn run(args: &TapeExtractArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let image = TapeImage::open(&args.tape)?;
    let tape = read(&image)?;
    let (description, mut findings) = described(&image, &tape)?;
    let file = find(&tape, description.as_ref(), args)?;
    let entry = description.as_ref().and_then(|description| description.entry(file));
    let form = form(&tape, file, entry, args)?;
    let piped = args.output == Path::new("-");
    let extracted = if piped {
        let mut out = BufWriter::with_capacity(1 << 20, &mut *out);
        let extracted = extract(&image, file, form, &mut out)?;
        out.flush().context("writing the extracted data failed")?;
        extracted
    } else {
        write_file(&args.output, |out| Ok(extract(&image, file, form, out)?))?
    };
    let title = Some(file.title());
    let told: Vec<_> = tape.findings.iter().filter(|finding| finding.file == title).cloned().collect();
    if !file.complete && told.is_empty() {
        findings.push(Finding::damage("cut-file", "the tape ends inside the file").of(file.title()));
    }
    findings.extend(told);
    findings.extend(extracted.findings);
    if args.json {
        let (blocks, units, bytes) = (extracted.blocks, extracted.units, extracted.bytes);
        let result = ExtractReport {
            tape: args.tape.display().to_string(),
            number: file.number,
            name: entry.map(described_name).or_else(|| file.name().map(str::to_owned)),
            output: args.output.display().to_string(),
            blocks,
            units,
            bytes,
            findings: &findings,
        };
        let out: &mut dyn Write = if piped { &mut io::stderr() } else { out };
        serde_json::to_writer_pretty(&mut *out, &result).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        report(&findings);
    }
    Ok(Exit::after(&findings))
}

fn find<'a>(
    tape: &'a TapeStructure,
    description: Option<&TapeDescription>,
    args: &TapeExtractArgs,
) -> anyhow::Result<&'a TapeFile> {
    // Labels have but the end of a long name, so several may look the same; the description has them whole.
    let described = description.and_then(|description| description.find(&args.file));
    if let Some(file) = described.and_then(|entry| tape.files.iter().find(|file| file.number == entry.number)) {
        return Ok(file);
    }
    match tape.find(&args.file)[..] {
        [file] => Ok(file),
        [] => bail!("{}: no file {} on the tape, which has {} file(s)", args.tape.display(), args.file, tape.files.len()),
        [first, second, ..] => bail!(
            "{}: several files are called {}: give a number, such as {} or {}",
            args.tape.display(),
            args.file,
            first.number,
            second.number
        ),
    }
}

/// `DS1DSORG` of a sequential data set.
const DSORG_SEQUENTIAL: u16 = 0x4000;
/// A record length of X in a DSCB.
const DSCB_RECORD_LENGTH_X: u16 = 0x8000;

fn form(tape: &TapeStructure, file: &TapeFile, entry: Option<&FileEntry>, args: &TapeExtractArgs) -> anyhow::Result<ExtractForm> {
    let sequential = entry.is_some_and(|entry| entry.dsorg & DSORG_SEQUENTIAL != 0 && entry.special == 0);
    let end = if sequential && !args.all { ContentEnd::EndOfFile } else { ContentEnd::LastRecord };
    if args.raw {
        return Ok(ExtractForm::Raw);
    }
    if !args.text {
        return Ok(ExtractForm::Content(end));
    }
    // The labels of a container say how the container is blocked, not what the data set in it has.
    let (format, record_length) = if file.holds_units {
        let length = entry.map(|entry| entry.record_length).filter(|&length| length != DSCB_RECORD_LENGTH_X);
        (entry.and_then(|entry| RecordFormat::from_ds1recfm(entry.recfm)), length.map(u32::from))
    } else {
        let label = file.attributes();
        (label.and_then(|label| label.record_format), label.and_then(|label| label.record_length))
    };
    let Some(format) = args.recfm.or(format) else {
        bail!("{}: nothing says the record format of {}: give --recfm", args.tape.display(), file.title());
    };
    let ebcdic = tape.labels != LabelStyle::Ansi || file.holds_units;
    if !ebcdic && format.kind == RecordKind::Variable {
        bail!("{}: variable records of ANSI tapes can't be made lines; leave --text off", args.tape.display());
    }
    let record_length = args.lrecl.or(record_length).unwrap_or(0);
    Ok(ExtractForm::Text { end, format, record_length, ebcdic })
}

/// Writes a file that gets its name when all of it is on stable storage.
fn write_file<T>(target: &Path, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let path = beside(target, ".extract");
    let finish = || -> anyhow::Result<T> {
        let file = File::create(&path).with_context(|| format!("{}: creating it failed", path.display()))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let told = write(&mut out)?;
        let synced = out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_data());
        synced.with_context(|| format!("{}: writing it failed", path.display()))?;
        fs::rename(&path, target).with_context(|| format!("{}: giving it its name failed", target.display()))?;
        sync_directory(target)?;
        Ok(told)
    };
    finish().inspect_err(|_| {
        // The work failed for another reason, which is the one to report.
        let _best_effort = fs::remove_file(&path);
    })
}
