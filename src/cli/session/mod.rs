//! `tapegate session`: sessions of a running service.

mod pace;
mod pipe;
mod show;
mod start;
mod watch;

use std::io::Write;

pub(super) use show::line;

use clap::{Args, Subcommand};

use super::control_args::{ControlArgs, print_json, unexpected};
use super::exit::Exit;
use super::table;
use crate::live::status::{SessionId, SessionState, SessionStatus};
use crate::service::protocol::{Reply, Request};

/// Starts, shows and ends sessions of a running service.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tapegate session start prod01 -o prod01.aws --wait\n  tapegate session watch 3")]
pub struct SessionArgs {
    #[command(subcommand)]
    command: SessionCommand,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    Start(Box<start::StartArgs>),
    List(ListArgs),
    Show(ShowArgs),
    Watch(WatchArgs),
    Cancel(CancelArgs),
    Resume(ResumeArgs),
    Pace(pace::PaceArgs),
}

/// Lists sessions.
///
/// `logically complete` means that T0 is fixed and the host may do as it likes; `physically complete` means that the tapes
/// are whole and have their names.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate session list --json")]
struct ListArgs {
    #[command(flatten)]
    control: ControlArgs,
}

/// Shows all that is known of a session.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate session show 3")]
struct ShowArgs {
    /// Number of the session.
    #[arg(value_name = "SESSION")]
    id: SessionId,

    #[command(flatten)]
    control: ControlArgs,
}

/// Follows a session until it is over, with a bar for each volume.
///
/// Where the output is no terminal, or with --json, a line is printed whenever its state changes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate session watch 3")]
struct WatchArgs {
    /// Number of the session.
    #[arg(value_name = "SESSION")]
    id: SessionId,

    #[command(flatten)]
    control: ControlArgs,
}

/// Ends a session: tapes under way are not made, views are discarded. Hosts do not notice.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate session cancel 3")]
struct CancelArgs {
    /// Number of the session.
    #[arg(value_name = "SESSION")]
    id: SessionId,

    #[command(flatten)]
    control: ControlArgs,
}

/// Goes on with a session that a stop of the service has suspended.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  tapegate session resume 3")]
struct ResumeArgs {
    /// Number of the session.
    #[arg(value_name = "SESSION")]
    id: SessionId,

    #[command(flatten)]
    control: ControlArgs,
}

/// Runs the command.
///
/// # Errors
/// When no service answers, or it refuses.
pub fn run(args: &SessionArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    match &args.command {
        SessionCommand::Start(args) => start::run(args, out),
        SessionCommand::List(args) => list(args, out),
        SessionCommand::Show(ShowArgs { id, control }) => {
            let session = one(control, &Request::SessionShow { id: *id })?;
            if control.json {
                print_json(&session, out)?;
            } else {
                show::print(&session, out)?;
            }
            Ok(Exit::Done)
        }
        SessionCommand::Watch(WatchArgs { id, control }) => {
            let session = watch::follow(control, *id, out)?;
            over(&session)
        }
        SessionCommand::Cancel(CancelArgs { id, control }) => tell(control, &Request::SessionCancel { id: *id }, out),
        SessionCommand::Resume(ResumeArgs { id, control }) => tell(control, &Request::SessionResume { id: *id }, out),
        SessionCommand::Pace(args) => pace::run(args, out),
    }
}

fn list(args: &ListArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    match args.control.ask(&Request::SessionList)? {
        Reply::Sessions { sessions } if args.control.json => print_json(&sessions, out)?,
        Reply::Sessions { sessions } => table::print(&sessions, &show::SESSIONS, "No sessions", out)?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(Exit::Done)
}

/// Asks for one session.
fn one(control: &ControlArgs, request: &Request) -> anyhow::Result<SessionStatus> {
    match control.ask(request)? {
        Reply::Session { session } => Ok(*session),
        reply => Err(unexpected(&reply)),
    }
}

/// Asks for a change, and says where the session then is.
fn tell(control: &ControlArgs, request: &Request, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let session = one(control, request)?;
    if control.json {
        print_json(&session, out)?;
    } else {
        writeln!(out, "{}", line(&session))?;
    }
    Ok(Exit::Done)
}

/// How a command ends that has seen the end of a session; a session without tapes is an error.
pub(super) fn over(session: &SessionStatus) -> anyhow::Result<Exit> {
    match &session.state {
        SessionState::Void { reason } => anyhow::bail!("session {} is void, and makes no tape: {reason}", session.id),
        SessionState::Cancelled => anyhow::bail!("session {} was cancelled, and makes no tape", session.id),
        _ if session.findings.iter().any(|finding| finding.damage) => Ok(Exit::Findings),
        _ => Ok(Exit::Done),
    }
}
