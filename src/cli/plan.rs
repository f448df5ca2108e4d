//! `tapegate plan`: where everything will lie, without copying anything.

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::choice::{ChoiceArgs, now};
use super::exit::{Exit, report};
use super::progress::Progress;
use crate::finding::Finding;
use crate::plan::{Destination, FileClass, FilePlan, Form, LabelKind, PlacedUnit, SizeTable, TapePlan};
use crate::snapshot::{Monitor, NoMonitor, Preparation};

/// Prints where every file, and every unit of it, will lie on tape.
///
/// The figures are exact: the tape that `snapshot` makes of the unchanged volume with the same options has them to the
/// byte.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate plan mvsres.3350 SYS1.MACLIB --units")]
pub struct PlanArgs {
    #[command(flatten)]
    pub choice: ChoiceArgs,

    /// Give the place of each unit too.
    #[arg(long)]
    pub units: bool,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct PlanReport<'a> {
    volume: String,
    volume_volser: Option<String>,
    tape_volser: String,
    labels: LabelKind,
    tape_block_bytes: u16,
    destination_block_bytes: u32,
    first_destination_block: u64,
    tape_bytes: u64,
    files: Vec<FileReport>,
    findings: &'a [Finding],
}

#[derive(Debug, Serialize)]
struct FileReport {
    number: u32,
    name: String,
    class: FileClass,
    form: Form,
    unit_count: u32,
    extents: Vec<[u32; 2]>,
    header_offset: u64,
    data_offset: u64,
    data_end_offset: u64,
    stream_bytes: u64,
    blocks: u64,
    destination_block: Option<u64>,
    destination_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks_per_track: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks_on_last_track: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<Vec<UnitReport>>,
}

#[derive(Debug, Serialize)]
struct UnitReport {
    unit: u32,
    offset: u64,
    bytes: u64,
    destination_block: Option<u64>,
    destination_offset: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// When the volume can't be read or there is no such plan.
pub fn run(args: &PlanArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let options = args.choice.options(now()?)?;
    let volume = args.choice.volume.open()?;
    let progress = Progress::default();
    let monitor: &dyn Monitor = if args.json { &NoMonitor } else { &progress };
    let preparation = Preparation::new(&volume, &options, true, monitor)?;
    drop(progress);
    let (Some(plan), Some(sizes)) = (preparation.plan()?, &preparation.sizes) else {
        anyhow::bail!("the units were not measured, which is an error of this program");
    };
    let document = PlanReport {
        volume: volume.path().display().to_string(),
        volume_volser: preparation.volume_volser.map(|volser| volser.to_string()),
        tape_volser: preparation.tape_volser.to_string(),
        labels: plan.options.labels,
        tape_block_bytes: plan.options.block_bytes,
        destination_block_bytes: args.choice.block_size,
        first_destination_block: args.choice.first_block,
        tape_bytes: plan.bytes,
        files: plan.files.iter().map(|file| file_report(args, &preparation, sizes, file)).collect(),
        findings: &preparation.findings,
    };
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &document).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        print(out, &document)?;
        report(&preparation.findings);
    }
    Ok(Exit::after(&preparation.findings))
}

fn file_report(args: &PlanArgs, preparation: &Preparation, sizes: &SizeTable, file: &FilePlan) -> FileReport {
    let destination = |offset| Destination::of(offset, args.choice.block_size, args.choice.first_block);
    let place = destination(file.data);
    let closed = preparation.closed_forms.get(&file.spec.name);
    let unit = |placed: PlacedUnit| {
        let place = destination(placed.place);
        UnitReport {
            unit: placed.unit.0,
            offset: placed.place,
            bytes: placed.end - placed.place,
            destination_block: place.map(|place| place.block),
            destination_offset: place.map(|place| place.offset),
        }
    };
    FileReport {
        number: file.number,
        name: file.spec.name.to_string(),
        class: file.spec.class,
        form: file.spec.form(),
        unit_count: file.spec.units.len(),
        extents: file.spec.units.runs().iter().map(|run| [run.first.0, run.units]).collect(),
        header_offset: file.header,
        data_offset: file.data,
        data_end_offset: file.data_end,
        stream_bytes: file.stream_bytes,
        blocks: file.blocks,
        destination_block: place.map(|place| place.block),
        destination_offset: place.map(|place| place.offset),
        blocks_per_track: closed.map(|form| form.blocks_per_track),
        blocks_on_last_track: closed.and_then(|form| form.blocks_on_last_track),
        units: args.units.then(|| TapePlan::units(file, sizes).map(unit).collect()),
    }
}

fn print(out: &mut dyn Write, report: &PlanReport<'_>) -> std::io::Result<()> {
    let volser = report.volume_volser.as_deref().unwrap_or("no serial");
    let (files, bytes) = (report.files.len(), report.tape_bytes);
    writeln!(out, "{} ({volser}) onto {} ({}): {files} files, {bytes} bytes", report.volume, report.tape_volser, report.labels)?;
    writeln!(
        out,
        "{:>5}  {:<44}  {:<6}  {:>8}  {:>9}  {:>14}  {:>14}  {:>14}  {:>18}",
        "FILE", "NAME", "FORM", "UNITS", "BLOCKS", "BYTES", "LABELS AT (L)", "DATA AT (D)", "DESTINATION (N+O)"
    )?;
    for file in &report.files {
        let destination = match (file.destination_block, file.destination_offset) {
            (Some(block), Some(offset)) => format!("{block}+{offset}"),
            _ => "past the end".to_owned(),
        };
        writeln!(
            out,
            "{:>5}  {:<44}  {:<6}  {:>8}  {:>9}  {:>14}  {:>14}  {:>14}  {destination:>18}",
            file.number,
            file.name,
            file.form,
            file.unit_count,
            file.blocks,
            file.stream_bytes,
            file.header_offset,
            file.data_offset
        )?;
        for unit in file.units.iter().flatten() {
            writeln!(out, "       unit {:>8} at {:>14}, {:>6} bytes", unit.unit, unit.offset, unit.bytes)?;
        }
    }
    Ok(())
}
