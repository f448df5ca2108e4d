//! `tapegate ls VOLUME [PATTERN...]`: what lies on a volume.

use std::io::{self, Write};

use clap::Args;
use tapegate_formats::dasd::geometry::Geometry;

use super::exit::{Exit, report};
use super::ls_document::{
    DataSetDocument, Document, MemberDocument, ShapeDocument, StatisticsDocument, UsedDocument, VolumeDocument, VtocDocument,
};
use super::volume_args::VolumeArgs;
use crate::catalog::{Catalog, DataSetKind, TrackSource, VolumeTracks, read_directory, used_tracks};
use crate::finding::Finding;
use crate::plan::pattern::{Pattern, Selection};
use crate::volume::Shape;

/// Lists what lies on a volume: its label, its VTOC and its data sets.
///
/// USED% is reckoned from DS1LSTAR, in whole tracks; with --used, from the end-of-file record.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate ls mvsres.3350 'SYS1.**' --members")]
pub struct LsArgs {
    #[command(flatten)]
    pub volume: VolumeArgs,

    /// Data sets to list: `*` within a qualifier, `**` for any number of qualifiers, `%` for one character. Without a
    /// pattern all are listed.
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<Pattern>,

    /// Data sets to leave out.
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<Pattern>,

    /// List the members of partitioned data sets too.
    #[arg(long)]
    pub members: bool,

    /// Walk each data set to its end-of-file record to find the tracks in use.
    #[arg(long)]
    pub used: bool,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the volume can't be read.
pub fn run(args: &LsArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let volume = args.volume.open()?;
    let catalog = Catalog::of_volume(&volume)?;
    let mut document = Document {
        volume: VolumeDocument::of(&volume, &catalog),
        vtoc: None,
        data_sets: Vec::new(),
        findings: volume.findings().iter().chain(&catalog.findings).cloned().collect(),
    };
    if let Some(tracks) = VolumeTracks::new(&volume) {
        document.vtoc = catalog.vtoc.as_ref().map(|vtoc| VtocDocument::of(vtoc, &catalog, &tracks.geometry()));
        list(args, &catalog, &tracks, &mut document)?;
    }
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &document).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        print(&document, volume.shape(), out)?;
        report(&document.findings);
    }
    Ok(Exit::after(&document.findings))
}

/// Adds the chosen data sets to the document.
fn list(args: &LsArgs, catalog: &Catalog, tracks: &VolumeTracks<'_>, document: &mut Document) -> anyhow::Result<()> {
    let geometry: Geometry = tracks.geometry();
    let selection = Selection { include: args.patterns.clone(), exclude: args.exclude.clone() };
    let selected = selection.select(catalog.data_sets.iter().map(|data_set| &data_set.name));
    for pattern in selected.unmatched {
        document.findings.push(Finding::damage("pattern-unmatched", format!("the pattern {pattern} fits no data set")));
    }
    for place in selected.chosen {
        let data_set = &catalog.data_sets[place];
        let mut entry = DataSetDocument::of(data_set, &geometry);
        if args.used {
            let (used, findings) = used_tracks(tracks, data_set)?;
            entry.used = Some(UsedDocument::of(&used));
            document.findings.extend(findings);
        }
        if args.members && data_set.kind == DataSetKind::Partitioned {
            // With --used the directory was read before, and its findings were told.
            let mut findings = Vec::new();
            let directory = read_directory(tracks, data_set, &mut findings)?;
            entry.members = Some(directory.members.iter().map(MemberDocument::of).collect());
            if !args.used {
                document.findings.extend(findings);
            }
        }
        document.data_sets.push(entry);
    }
    Ok(())
}

fn print(document: &Document, shape: &Shape, out: &mut dyn Write) -> io::Result<()> {
    let volume = &document.volume;
    let volser = volume.volser.as_deref().unwrap_or("without a serial");
    write!(out, "Volume {volser}, label {}, image {}", volume.label, volume.format)?;
    match &volume.shape {
        ShapeDocument::Tracks { device, model, cylinders, heads, tracks } => {
            writeln!(out, ", device {}, {cylinders} cylinders of {heads}, {tracks} tracks", model.unwrap_or(device))?;
        }
        ShapeDocument::Blocks { blocks, block_bytes } => writeln!(out, ", {blocks} blocks of {block_bytes} bytes")?,
    }
    match &document.vtoc {
        Some(vtoc) => {
            let extent = &vtoc.extent;
            writeln!(
                out,
                "VTOC of {} tracks at cyl {} head {}{}: {} DSCBs, {} free; {} tracks free",
                extent.tracks,
                extent.first_cylinder,
                extent.first_head,
                if vtoc.indexed { ", indexed" } else { "" },
                vtoc.dscbs_used,
                vtoc.dscbs_free,
                vtoc.free_tracks
            )?;
            print_table(&document.data_sets, out)?;
        }
        None if matches!(shape, Shape::Ckd(_)) => writeln!(out, "No VTOC")?,
        None => {}
    }
    Ok(())
}

/// A column: its heading, whether it is set to the right, and its text for a data set.
type Column = (&'static str, bool, fn(&DataSetDocument) -> String);

const COLUMNS: [Column; 11] = [
    ("NAME", false, |entry| entry.name.clone()),
    ("ORG", false, |entry| entry.dsorg.clone()),
    ("RECFM", false, |entry| entry.recfm.clone()),
    ("LRECL", true, |entry| if entry.lrecl == LRECL_X { "X".to_owned() } else { entry.lrecl.to_string() }),
    ("BLKSIZE", true, |entry| entry.blksize.to_string()),
    ("TRACKS", true, |entry| entry.tracks.to_string()),
    ("USED%", true, used_percent),
    ("EXT", true, |entry| entry.extents.len().to_string()),
    ("CREATED", false, |entry| entry.created.clone().unwrap_or_default()),
    ("EXPIRES", false, |entry| entry.expires.clone().unwrap_or_default()),
    ("KIND", false, notes),
];

/// `DS1LRECL` for records longer than it can say.
const LRECL_X: u16 = 0x8000;

/// Part of the tracks that is in use: as walked with `--used`, else by `DS1LSTAR`.
fn used_percent(entry: &DataSetDocument) -> String {
    let by_lstar = entry
        .last_track
        .map(|track| if (track, entry.last_record) == (0, Some(0)) { 0 } else { track.saturating_add(1).min(entry.tracks) });
    let used = entry.used.as_ref().map(|used| used.tracks).or(by_lstar);
    match used {
        Some(used) if entry.tracks > 0 => format!("{}", u64::from(used) * 100 / u64::from(entry.tracks)),
        _ => String::new(),
    }
}

/// The kind, and what else decides how the data set can be copied.
fn notes(entry: &DataSetDocument) -> String {
    let mut notes = match entry.kind {
        DataSetKind::Unknown => String::new(),
        kind => kind.to_string(),
    };
    let sequence = format!("volume {}", entry.volume_sequence);
    // Only sequential data sets go on on other volumes, and a system marks the last volume when it closes the data set.
    let goes_on = matches!(entry.kind, DataSetKind::Sequential | DataSetKind::Extended) && !entry.last_volume;
    for (applies, note) in [
        (entry.large_format, "large"),
        (entry.system_managed, "SMS"),
        (entry.volume_sequence > 1, sequence.as_str()),
        (goes_on, "not marked as ending here"),
        (entry.key_length > 0, "keyed"),
        (!entry.other_extents.is_empty(), "other extents"),
        (entry.defective, "DEFECTIVE"),
    ] {
        if applies {
            if !notes.is_empty() {
                notes.push_str(", ");
            }
            notes.push_str(note);
        }
    }
    notes
}

fn print_table(entries: &[DataSetDocument], out: &mut dyn Write) -> io::Result<()> {
    if entries.is_empty() {
        return writeln!(out, "No data sets");
    }
    let rows: Vec<Vec<String>> = entries.iter().map(|entry| COLUMNS.iter().map(|(_, _, text)| text(entry)).collect()).collect();
    let widths: Vec<usize> = COLUMNS
        .iter()
        .enumerate()
        .map(|(index, (heading, _, _))| rows.iter().map(|row| row[index].chars().count()).fold(heading.len(), usize::max))
        .collect();
    writeln!(out)?;
    let headings: Vec<String> = COLUMNS.iter().map(|(heading, _, _)| (*heading).to_owned()).collect();
    print_row(&headings, &widths, out)?;
    for (entry, row) in entries.iter().zip(&rows) {
        print_row(row, &widths, out)?;
        for member in entry.members.iter().flatten() {
            print_member(member, out)?;
        }
    }
    Ok(())
}

fn print_row(row: &[String], widths: &[usize], out: &mut dyn Write) -> io::Result<()> {
    let mut line = String::new();
    for ((cell, width), (_, right, _)) in row.iter().zip(widths).zip(&COLUMNS) {
        let cell = if *right { format!("{cell:>width$}") } else { format!("{cell:width$}") };
        line.push_str(&cell);
        line.push_str("  ");
    }
    writeln!(out, "{}", line.trim_end())
}

fn print_member(member: &MemberDocument, out: &mut dyn Write) -> io::Result<()> {
    let place = format!("{}.{}", member.track, member.record);
    let line = format!("    {:8} {:5} {place:>9}", member.name, if member.alias { "alias" } else { "" });
    match &member.statistics {
        Some(StatisticsDocument { version, created, changed, lines, user }) => {
            writeln!(out, "{line}  {version}  {created}  {changed}  {lines:>5} lines  {user}")
        }
        None => writeln!(out, "{line}"),
    }
}
