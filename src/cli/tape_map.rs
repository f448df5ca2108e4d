//! `tape map`: what lies on a tape, file by file.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::exit::{Exit, report};
use super::tape::{described, read};
use crate::finding::Finding;
use crate::tape::{LabelStyle, TapeDescription, TapeEnd, TapeFile, TapeImage, TapeStructure, described_name};

/// Lists what lies on an AWS or HET tape: files, attributes, block counts and offsets.
///
/// Labels are read by their place on the tape. The block count of each trailer label is compared with the blocks that
/// are there, and the tape is walked to its end; whatever does not fit is told on standard error.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tapegate tape map backup.aws")]
pub struct TapeMapArgs {
    /// The tape image; its content decides the format.
    #[arg(value_name = "TAPE")]
    pub tape: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    tape: String,
    format: &'static str,
    labels: &'static str,
    volser: Option<&'a str>,
    owner: Option<&'a str>,
    end: &'static str,
    image_bytes: u64,
    blocks: u64,
    tape_marks: u64,
    bytes: u64,
    stored_bytes: u64,
    files: Vec<FileEntry<'a>>,
    findings: &'a [Finding],
}

/// A file in the document.
#[derive(Debug, Serialize)]
struct FileEntry<'a> {
    number: u32,
    name: Option<&'a str>,
    /// The whole name, where the tape has a description.
    data_set: Option<String>,
    recfm: Option<String>,
    lrecl: Option<u32>,
    blksize: Option<u32>,
    created: Option<String>,
    expires: Option<String>,
    set_serial: Option<&'a str>,
    volume_sequence: Option<u16>,
    file_sequence: Option<u32>,
    system_code: Option<&'a str>,
    job: Option<&'a str>,
    blocks: u64,
    label_blocks: Option<u64>,
    bytes: u64,
    stored_bytes: u64,
    shortest_block: Option<u32>,
    longest_block: Option<u32>,
    offset: u64,
    data_offset: u64,
    data_end: u64,
    holds_units: bool,
    continues: bool,
    complete: bool,
    behind_end: bool,
}

/// Prints the map and tells what was found.
///
/// # Errors
/// When the file is no tape, the medium fails, or nobody reads the output.
pub fn run(args: &TapeMapArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let image = TapeImage::open(&args.tape)?;
    let mut tape = read(&image)?;
    let (description, damage) = described(&image, &tape)?;
    tape.findings.extend(damage);
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &document(&image, &tape, description.as_ref()))?;
        writeln!(out)?;
    } else {
        write_table(&image, &tape, description.as_ref(), out)?;
    }
    report(&tape.findings);
    Ok(Exit::after(&tape.findings))
}

/// One line that says which tape it is.
pub(super) fn write_title(image: &TapeImage, tape: &TapeStructure, out: &mut dyn Write) -> std::io::Result<()> {
    let labels = match tape.labels {
        LabelStyle::Standard => "IBM standard labels",
        LabelStyle::Ansi => "ANSI labels",
        LabelStyle::None => "no labels",
    };
    write!(out, "{}: {}, {labels}", image.path().display(), format_name(tape))?;
    if let Some(volser) = &tape.volser {
        write!(out, ", volume {volser}")?;
    }
    if let Some(owner) = tape.owner.as_deref().filter(|owner| !owner.trim().is_empty()) {
        write!(out, ", owner {owner}")?;
    }
    writeln!(out)
}

fn write_table(
    image: &TapeImage,
    tape: &TapeStructure,
    description: Option<&TapeDescription>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    write_title(image, tape, out)?;
    if !tape.files.is_empty() {
        write!(
            out,
            "{:>5}  {:<17}  {:<5}  {:>5}  {:>7}  {:>9}  {:>9}  {:>13}  {:>8}  {:>7}  {:>13}",
            "file", "name", "recfm", "lrecl", "blksize", "blocks", "in label", "bytes", "shortest", "longest", "offset"
        )?;
        writeln!(out, "{}", if description.is_some() { "  data set" } else { "" })?;
    }
    for file in &tape.files {
        write_file(file, out)?;
        match description.and_then(|description| description.entry(file)) {
            Some(entry) => writeln!(out, "  {}", described_name(entry))?,
            None => writeln!(out)?,
        }
    }
    writeln!(
        out,
        "{} file(s), {} block(s) and {} tape mark(s), {} bytes in an image of {}",
        tape.files.len(),
        tape.blocks,
        tape.tape_marks,
        tape.bytes,
        image.length()
    )?;
    writeln!(out, "end of tape: {}", end_words(tape.end))
}

fn write_file(file: &TapeFile, out: &mut dyn Write) -> std::io::Result<()> {
    let attributes = file.attributes();
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let recfm = attributes.and_then(|label| label.record_format).map_or_else(|| "-".to_owned(), |format| format.to_string());
    let lengths = file.block_lengths;
    write!(
        out,
        "{:>5}  {:<17}  {recfm:<5}  {:>5}  {:>7}  {:>9}  {:>9}  {:>13}  {:>8}  {:>7}  {:>13}",
        file.number,
        file.name().unwrap_or("-"),
        number(attributes.and_then(|label| label.record_length).map(u64::from)),
        number(attributes.and_then(|label| label.block_length).map(u64::from)),
        file.blocks,
        number(file.label_block_count()),
        file.bytes,
        number(lengths.map(|(shortest, _)| shortest.into())),
        number(lengths.map(|(_, longest)| longest.into())),
        file.offset,
    )
}

fn document<'a>(image: &TapeImage, tape: &'a TapeStructure, description: Option<&TapeDescription>) -> Document<'a> {
    Document {
        tape: image.path().display().to_string(),
        format: format_name(tape),
        labels: match tape.labels {
            LabelStyle::Standard => "sl",
            LabelStyle::Ansi => "al",
            LabelStyle::None => "nl",
        },
        volser: tape.volser.as_deref(),
        owner: tape.owner.as_deref(),
        end: match tape.end {
            TapeEnd::DoubleTapeMark => "double-tape-mark",
            TapeEnd::NextVolume => "next-volume",
            TapeEnd::Initialised => "initialised",
            TapeEnd::Open => "open",
            TapeEnd::Damaged => "damaged",
        },
        image_bytes: image.length(),
        blocks: tape.blocks,
        tape_marks: tape.tape_marks,
        bytes: tape.bytes,
        stored_bytes: tape.stored_bytes,
        files: tape.files.iter().map(|file| entry(file, description)).collect(),
        findings: &tape.findings,
    }
}

fn entry<'a>(file: &'a TapeFile, description: Option<&TapeDescription>) -> FileEntry<'a> {
    let label = file.header.first.as_ref().or(file.trailer.first.as_ref());
    let attributes = file.attributes();
    FileEntry {
        number: file.number,
        name: file.name(),
        data_set: description.and_then(|description| description.entry(file)).map(described_name),
        recfm: attributes.and_then(|label| label.record_format).map(|format| format.to_string()),
        lrecl: attributes.and_then(|label| label.record_length),
        blksize: attributes.and_then(|label| label.block_length),
        created: label.and_then(|label| label.created).map(|date| date.to_string()),
        expires: label.and_then(|label| label.expires).map(|date| date.to_string()),
        set_serial: label.map(|label| label.set_serial.as_str()),
        volume_sequence: label.and_then(|label| label.volume_sequence),
        file_sequence: label.and_then(|label| label.file_sequence),
        system_code: label.map(|label| label.system_code.as_str()),
        job: attributes.map(|label| label.job_and_step.as_str()),
        blocks: file.blocks,
        label_blocks: file.label_block_count(),
        bytes: file.bytes,
        stored_bytes: file.stored_bytes,
        shortest_block: file.block_lengths.map(|(shortest, _)| shortest),
        longest_block: file.block_lengths.map(|(_, longest)| longest),
        offset: file.offset,
        data_offset: file.data_offset,
        data_end: file.data_end,
        holds_units: file.holds_units,
        continues: file.continues(),
        complete: file.complete,
        behind_end: file.behind_end,
    }
}

const fn format_name(tape: &TapeStructure) -> &'static str {
    if tape.compressed_blocks > 0 { "HET" } else { "AWS" }
}

/// How the tape ends, in words.
pub(super) const fn end_words(end: TapeEnd) -> &'static str {
    match end {
        TapeEnd::DoubleTapeMark => "two tape marks",
        TapeEnd::NextVolume => "the next volume",
        TapeEnd::Initialised => "never written to",
        TapeEnd::Open => "missing",
        TapeEnd::Damaged => "can't be reached",
    }
}
