//! `tapegate run` and `tapegate policies`: turns of policies.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::control_args::{ControlArgs, print_json, unexpected};
use super::exit::Exit;
use super::session;
use super::table::{self, Column};
use super::volumes::seconds;
use crate::service::client::{Client, ClientError};
use crate::service::config::Config;
use crate::service::protocol::{PolicyStatus, Reply, Request};
use crate::service::{Gateway, Stopping};

/// Does one turn of a policy, for cron and for systemd timers; it ends when the tapes are whole.
///
/// The running service does the turn. With --config, and no service running, the command opens the volumes itself.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  tapegate run nightly\n  tapegate run nightly --config /etc/tapegate/gateway.toml")]
pub struct RunArgs {
    /// The policy, by its name in the configuration.
    #[arg(value_name = "POLICY")]
    pub policy: String,

    /// Configuration: its service is asked if it runs.
    #[arg(long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub control: ControlArgs,
}

/// Lists the policies of a running service: when they run, and what became of the last turn.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate policies --json")]
pub struct PoliciesArgs {
    #[command(flatten)]
    pub control: ControlArgs,
}

const POLICIES: [Column<PolicyStatus>; 6] = [
    ("POLICY", false, |policy| policy.name.clone()),
    ("CALENDAR", false, |policy| policy.calendar.clone().unwrap_or_default()),
    ("LAST", false, |policy| policy.last.as_deref().map(seconds).unwrap_or_default()),
    ("NEXT", false, |policy| policy.next.as_deref().map(seconds).unwrap_or_default()),
    ("TAPES", true, |policy| policy.tapes.to_string()),
    ("STATE", false, |policy| match (&policy.failure, policy.running) {
        (_, true) => "running".to_owned(),
        (Some(failure), false) => format!("FAILED: {failure}"),
        (None, false) => String::new(),
    }),
];

/// Runs `tapegate run`.
///
/// # Errors
/// When there is no whole tape at the end.
pub fn run(args: &RunArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let config = args.config.as_deref().map(Config::read).transpose()?;
    let socket = config.as_ref().map_or(&args.control.control, |config| &config.control.socket);
    let status = match (Client::connect(socket), config) {
        (Ok(mut client), _) => match client.ask(&Request::RunPolicy { policy: args.policy.clone() })? {
            Reply::Session { session } => *session,
            reply => return Err(unexpected(&reply)),
        },
        (Err(ClientError::NoService { .. }), Some(config)) => {
            let gateway = Gateway::open(config, Stopping::default())?;
            let done = gateway.run_policy(&args.policy);
            let closed = gateway.close();
            let status = done?;
            closed?;
            status
        }
        (Err(error), _) => return Err(error.into()),
    };
    if args.control.json {
        print_json(&status, out)?;
    } else {
        writeln!(out, "{}", session::line(&status))?;
    }
    session::over(&status)
}

/// Runs `tapegate policies`.
///
/// # Errors
/// When no service answers.
pub fn run_policies(args: &PoliciesArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    match args.control.ask(&Request::Policies)? {
        Reply::Policies { policies } if args.control.json => print_json(&policies, out)?,
        Reply::Policies { policies } => table::print(&policies, &POLICIES, "No policies", out)?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(Exit::Done)
}
