//! `tapegate freeze` and `tapegate thaw`.

use std::io::Write;

use clap::Args;

use super::control_args::{ControlArgs, print_json, unexpected};
use super::exit::Exit;
use super::volumes::seconds;
use crate::service::protocol::{Reply, Request};
use crate::service::quantity::Time;

/// Holds hosts off volumes between two channel programs, until `thaw` or until the time is over.
///
/// For a T0 at which the host's own data is consistent: let the host write what it holds back, freeze, run `session start
/// --consistency host`, thaw. A session that comes when the time is over is refused.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate freeze prod01 prod02 --for 10s")]
pub struct FreezeArgs {
    /// Volumes by their names in the configuration, all or none.
    #[arg(value_name = "VOLUME", required = true)]
    pub volumes: Vec<String>,

    /// After which it ends by itself, 60s at most.
    #[arg(long = "for", value_name = "TIME", default_value = "10s")]
    pub limit: Time,

    /// How long it is tried while channel programs are open.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub wait: Time,

    #[command(flatten)]
    pub control: ControlArgs,
}

/// Ends freezes: hosts go on.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate thaw prod01")]
pub struct ThawArgs {
    /// End the freezes of these volumes; all, if none is named.
    #[arg(value_name = "VOLUME")]
    pub volumes: Vec<String>,

    #[command(flatten)]
    pub control: ControlArgs,
}

/// Runs `tapegate freeze`.
///
/// # Errors
/// When nothing is frozen.
pub fn run(args: &FreezeArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let (limit_ms, wait_ms) = (Some(args.limit.as_millis()), Some(args.wait.as_millis()));
    match args.control.ask(&Request::Freeze { volumes: args.volumes.clone(), limit_ms, wait_ms })? {
        reply @ Reply::Frozen { .. } if args.control.json => print_json(&reply, out)?,
        Reply::Frozen { until, .. } => writeln!(out, "{}: frozen until {}", args.volumes.join(", "), seconds(&until))?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(Exit::Done)
}

/// Runs `tapegate thaw`.
///
/// # Errors
/// When no service answers.
pub fn run_thaw(args: &ThawArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    match args.control.ask(&Request::Thaw { volumes: args.volumes.clone() })? {
        reply @ Reply::Thawed { .. } if args.control.json => print_json(&reply, out)?,
        Reply::Thawed { volumes } if volumes.is_empty() => writeln!(out, "Nothing was frozen")?,
        Reply::Thawed { volumes } => writeln!(out, "{}: not frozen any more", volumes.join(", "))?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(Exit::Done)
}
