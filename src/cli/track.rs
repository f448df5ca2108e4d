//! `tapegate track VOLUME CYL HEAD`: one track as it lies on the volume.

use std::io::{self, Write};

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use tapegate_formats::dasd::address::Cchh;
use tapegate_formats::dasd::track::{HOME_ADDRESS_BYTES, Record, Track};

use super::dump::write_dump;
use super::exit::{Exit, report};
use super::volume_args::VolumeArgs;
use crate::catalog::{TrackSource, VolumeTracks};
use crate::finding::Finding;

/// Shows a track: home address, count fields, keys and data.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate track mvsres.3350 0 0")]
pub struct TrackArgs {
    #[command(flatten)]
    pub volume: VolumeArgs,

    /// Cylinder, from 0.
    #[arg(value_name = "CYL")]
    pub cylinder: u32,

    /// Head, from 0.
    pub head: u16,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// The JSON document.
#[derive(Debug, Serialize)]
struct Document<'a> {
    volume: String,
    cylinder: u32,
    head: u16,
    track: u32,
    home_address: String,
    /// Bytes from the home address to the last record.
    bytes: usize,
    records: Vec<RecordDocument>,
    findings: &'a [Finding],
}

#[derive(Debug, Serialize)]
struct RecordDocument {
    record: u8,
    /// Offset of the count field from the home address.
    offset: usize,
    /// CCHH of the count field.
    cchh: String,
    key_length: u8,
    data_length: u16,
    end_of_file: bool,
    key: String,
    data: String,
}

impl RecordDocument {
    fn of(record: &Record<'_>) -> Self {
        Self {
            record: record.count.record,
            offset: record.offset,
            cchh: hex(&record.count.cchh),
            key_length: record.count.key_length,
            data_length: record.count.data_length.get(),
            end_of_file: record.count.is_end_of_file(),
            key: hex(record.key),
            data: hex(record.data),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs the command.
///
/// # Errors
/// When the volume can't be read or has no such track.
pub fn run(args: &TrackArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let volume = args.volume.open()?;
    let path = volume.path().display();
    let Some(tracks) = VolumeTracks::new(&volume) else {
        bail!("{path}: the volume has fixed blocks, no tracks");
    };
    let geometry = tracks.geometry();
    let address = Cchh::new(args.cylinder, args.head);
    let index = geometry.track_index(address).with_context(|| {
        format!(
            "{path}: there is no {address}: the volume has cylinders 0 to {} and heads 0 to {}",
            geometry.cylinders() - 1,
            geometry.heads() - 1
        )
    })?;
    let mut bytes = Vec::new();
    tracks.read_track(index, &mut bytes)?;
    let mut findings = volume.findings().to_vec();
    let walked = match Track::from_bytes(&bytes, geometry.encode_cchh(address)) {
        Ok(track) => Some(track),
        Err(error) => {
            findings.push(Finding::damage("track-damaged", error.to_string()).at(address));
            None
        }
    };
    let home = bytes.get(..HOME_ADDRESS_BYTES).unwrap_or(&bytes);

    if args.json {
        let document = Document {
            volume: path.to_string(),
            cylinder: args.cylinder,
            head: args.head,
            track: index.0,
            home_address: hex(home),
            bytes: bytes.len(),
            records: walked.iter().flat_map(Track::records).map(|record| RecordDocument::of(&record)).collect(),
            findings: &findings,
        };
        serde_json::to_writer_pretty(&mut *out, &document).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(Exit::after(&findings));
    }

    report(&findings);
    writeln!(out, "{address} (track {}), {} bytes, home address {}", index.0, bytes.len(), hex(home).to_uppercase())?;
    let Some(track) = walked else {
        writeln!(out, "its records can't be walked; the slot is")?;
        write_dump(out, &bytes, 2)?;
        return Ok(Exit::after(&findings));
    };
    for record in track.records() {
        let count = record.count;
        let end = if count.is_end_of_file() { "  end of file" } else { "" };
        writeln!(
            out,
            "R{:<3} count {} {:02X} {:02X} {:04X}  key {}, data {}{end}",
            count.record,
            hex(&count.cchh).to_uppercase(),
            count.record,
            count.key_length,
            count.data_length.get(),
            count.key_length,
            count.data_length.get(),
        )?;
        if !record.key.is_empty() {
            writeln!(out, "  key")?;
            write_dump(out, record.key, 4)?;
        }
        if !record.data.is_empty() {
            writeln!(out, "  data")?;
            write_dump(out, record.data, 4)?;
        }
    }
    Ok(Exit::after(&findings))
}
