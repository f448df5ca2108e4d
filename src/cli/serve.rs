//! `tapegate serve CONFIG`: the service.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use crate::service::config::Config;
use crate::service::daemon;

/// Serves volumes to hosts, and takes snapshots of them while the hosts go on writing.
///
/// It stays in the foreground, prints one line when it is ready, and tells what happens on standard error. SIGTERM and
/// SIGINT stop it in order: hosts are let go between two channel programs, volumes are flushed and closed.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  tapegate serve /etc/tapegate/gateway.toml\n  tapegate serve gateway.toml --check")]
pub struct ServeArgs {
    /// What to serve, to whom, and where tapes go.
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,

    /// Only say whether the configuration is right.
    #[arg(long)]
    pub check: bool,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, or something can't be opened or closed.
pub fn run(args: &ServeArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let config = Config::read(&args.config)?;
    if args.check {
        let (volumes, policies) = (config.volumes.len(), config.policies.len());
        writeln!(out, "{}: right, {volumes} volumes, {policies} policies", args.config.display())?;
    } else {
        daemon::serve(config, out)?;
    }
    Ok(Exit::Done)
}
