//! The arguments of every command that asks a running service.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::service::client::{Client, ClientError};
use crate::service::config::DEFAULT_SOCKET;
use crate::service::protocol::{Reply, Request};

/// Which service, and how its answer is printed.
#[derive(Debug, Clone, Args)]
pub struct ControlArgs {
    /// Control socket of the service.
    #[arg(long, value_name = "SOCKET", env = "TAPEGATE_CONTROL", hide_env_values = true, default_value = DEFAULT_SOCKET)]
    pub control: PathBuf,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl ControlArgs {
    /// Connects to the service.
    ///
    /// # Errors
    /// When none answers.
    pub fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(&self.control)
    }

    /// Asks once.
    ///
    /// # Errors
    /// When no service answers, or it refuses.
    pub fn ask(&self, request: &Request) -> Result<Reply, ClientError> {
        self.connect()?.ask(request)
    }
}

/// Prints a value as JSON.
///
/// # Errors
/// When nobody reads the output.
pub(super) fn print_json(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// A reply that is none to what was asked, which only another version of the service gives.
pub(super) fn unexpected(reply: &Reply) -> anyhow::Error {
    anyhow::anyhow!("the service answered with something else ({reply:?}); are both of one version?")
}
