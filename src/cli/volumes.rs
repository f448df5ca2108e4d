//! `tapegate volumes` and `tapegate clients`: what a service serves, and to whom.

use std::io::Write;

use clap::Args;

use super::control_args::{ControlArgs, print_json, unexpected};
use super::exit::Exit;
use super::table::{self, Column};
use crate::service::protocol::{ClientStatus, DiskStatus, Reply, Request};
use crate::service::quantity::ByteSize;

/// Lists the volumes and views of a running service.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate volumes --json")]
pub struct VolumesArgs {
    #[command(flatten)]
    pub control: ControlArgs,
}

/// Lists who uses the volumes of a running service.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate clients --json")]
pub struct ClientsArgs {
    #[command(flatten)]
    pub control: ControlArgs,
}

const VOLUMES: [Column<DiskStatus>; 9] = [
    ("NAME", false, |disk| disk.name.clone()),
    ("DEV", false, |disk| disk.device.clone().unwrap_or_default()),
    ("TYPE", false, |disk| disk.kind.clone()),
    ("UNITS", true, |disk| disk.units.to_string()),
    ("ACCESS", false, |disk| if disk.writable { "read-write" } else { "read-only" }.to_owned()),
    ("READS", true, |disk| disk.reads.to_string()),
    ("WRITES", true, |disk| disk.writes.to_string()),
    ("STATE", false, state),
    ("IMAGE", false, image),
];

/// What is not as always with a volume.
fn state(disk: &DiskStatus) -> String {
    let measuring = format!("measuring, {} left", disk.unmeasured_units);
    let states = [
        (disk.failure.is_some(), "IN DOUBT"),
        (disk.frozen, "frozen"),
        (!disk.ready, "not ready"),
        (disk.held && !disk.frozen, "held"),
        (disk.unmeasured_units > 0 && disk.view_of.is_none(), measuring.as_str()),
    ];
    let told: Vec<_> = states.into_iter().filter(|(applies, _)| *applies).map(|(_, word)| word).collect();
    if told.is_empty() { "ready".to_owned() } else { told.join(", ") }
}

fn image(disk: &DiskStatus) -> String {
    match (&disk.image, &disk.view_of, disk.session) {
        (_, Some(volume), Some(session)) => format!("view of {volume}, session {session}"),
        (_, Some(volume), None) => format!("view of {volume}"),
        (Some(image), ..) => match disk.room_bytes {
            Some(room) => format!("{}, room for {}", image.display(), ByteSize(room)),
            None => image.display().to_string(),
        },
        (None, None, _) => String::new(),
    }
}

const CLIENTS: [Column<ClientStatus>; 8] = [
    ("VOLUME", false, |client| client.disk.clone()),
    ("CLIENT", false, |client| client.client.clone()),
    ("SINCE", false, |client| client.connection.as_ref().map(|connection| seconds(&connection.since)).unwrap_or_default()),
    ("READS", true, |client| client.connection.as_ref().map(|connection| connection.reads.to_string()).unwrap_or_default()),
    ("WRITES", true, |client| client.connection.as_ref().map(|connection| connection.writes.to_string()).unwrap_or_default()),
    ("HELD", true, |client| client.connection.as_ref().map(|connection| connection.held_writes.to_string()).unwrap_or_default()),
    ("FAILED", true, |client| {
        client.connection.as_ref().map(|connection| connection.failed_writes.to_string()).unwrap_or_default()
    }),
    ("STATE", false, client_state),
];

fn client_state(client: &ClientStatus) -> String {
    let gone = client.gone_ms.map(|ms| format!("gone for {} s", ms / 1000));
    let connection = client.connection.as_ref();
    let states = [
        (client.gone_ms.is_some(), gone.as_deref().unwrap_or_default()),
        (client.in_channel_program, "in a channel program"),
        (client.reserved, "reserved"),
        (connection.is_some_and(|connection| connection.holding), "a write is held"),
        (connection.is_some_and(|connection| !connection.may_write), "read-only"),
    ];
    states.into_iter().filter(|(applies, _)| *applies).map(|(_, word)| word).collect::<Vec<_>>().join(", ")
}

/// A time without its fractions of a second.
pub(super) fn seconds(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => time.to_owned(),
    }
}

/// Runs `tapegate volumes`.
///
/// # Errors
/// When no service answers.
pub fn run(args: &VolumesArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    match args.control.ask(&Request::Volumes)? {
        Reply::Volumes { volumes } if args.control.json => print_json(&volumes, out)?,
        Reply::Volumes { volumes } => {
            table::print(&volumes, &VOLUMES, "No volumes", out)?;
            for disk in &volumes {
                if let Some(failure) = &disk.failure {
                    eprintln!("warning: {}: {failure}", disk.name);
                }
            }
            if volumes.iter().any(|disk| disk.failure.is_some()) {
                return Ok(Exit::Findings);
            }
        }
        reply => return Err(unexpected(&reply)),
    }
    Ok(Exit::Done)
}

/// Runs `tapegate clients`.
///
/// # Errors
/// When no service answers.
pub fn run_clients(args: &ClientsArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    match args.control.ask(&Request::Clients)? {
        Reply::Clients { clients } if args.control.json => print_json(&clients, out)?,
        Reply::Clients { clients } => table::print(&clients, &CLIENTS, "No clients", out)?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(Exit::Done)
}
