//! `tapegate session pace`: how fair the copier is to hosts, while it runs.

use std::io::Write;

use clap::Args;

use super::tell;
use crate::cli::control_args::ControlArgs;
use crate::cli::exit::Exit;
use crate::live::status::SessionId;
use crate::service::protocol::{PaceChange, Request};
use crate::service::quantity::ByteSize;

/// Changes the pace of a session that runs.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate session pace 3 --rate 100MiB")]
pub(super) struct PaceArgs {
    /// Number of the session.
    #[arg(value_name = "SESSION")]
    id: SessionId,

    /// Most bytes that the copier reads in a second; 0 for no limit.
    #[arg(long, value_name = "SIZE", required_unless_present = "stages")]
    rate: Option<ByteSize>,

    /// Stages of about 1 MiB that the copier moves before it pauses for host work.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    stages: Option<u32>,

    #[command(flatten)]
    control: ControlArgs,
}

pub(super) fn run(args: &PaceArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let pace = PaceChange { stages_in_a_row: args.stages, bytes_per_second: args.rate.map(|rate| rate.0) };
    tell(&args.control, &Request::SessionPace { id: args.id, pace }, out)
}
