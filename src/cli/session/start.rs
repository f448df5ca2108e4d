//! `tapegate session start`: T0, and the tapes and views of it.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, ValueEnum};
use tapegate_formats::volume::name::Volser;

use super::{over, pipe, show, watch};
use crate::cli::control_args::{ControlArgs, print_json};
use crate::cli::exit::Exit;
use crate::live::status::{
    Action, Consistency, OnError, Pace, Protection, SessionRequest, SessionStatus, TapeRequest, VolumeRequest,
};
use crate::plan::pattern::Pattern;
use crate::plan::{Form, LabelKind};
use crate::service::protocol::Request;
use crate::service::quantity::{ByteSize, Time};
use crate::tape::TapeCompression;

/// Takes T0 of volumes of a running service, and makes tapes or views of it while hosts go on writing.
///
/// All volumes have one T0. The command ends when it is fixed (logically complete), with --wait when the tapes are whole
/// (physically complete). Hosts are held for milliseconds at T0, and never see an error because of a session.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  tapegate session start prod01 -o prod01.aws --wait
  tapegate session start prod01 prod02 -o '{volume}.aws' --consistency quiet --else now
  tapegate session start prod01 --files 'SYS1.**' 'USER.**' -o sys1.aws
  tapegate session start prod01 --view prod01-view")]
pub(super) struct StartArgs {
    /// Volumes by their names in the configuration.
    #[arg(value_name = "VOLUME", required = true)]
    volumes: Vec<String>,

    /// Data sets to copy; without a pattern whole volumes.
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    files: Vec<Pattern>,

    /// Data sets to leave out.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<Pattern>,

    /// Tape to make, with {volume} in its name for several volumes; `-` streams it to standard output.
    #[arg(short, long, value_name = "TAPE")]
    output: Option<String>,

    /// How tapes whose names end in .het are compressed: zlib or bzip2 [default: zlib].
    #[arg(long, value_name = "METHOD", requires = "output")]
    compress: Option<TapeCompression>,

    /// View that is to show a volume as of T0; once a volume, in their order.
    #[arg(long, value_name = "NAME")]
    view: Vec<String>,

    /// Serial that the view shows, so that one system can have both.
    #[arg(long, value_name = "VOLSER", requires = "view")]
    view_volser: Option<Volser>,

    /// Which instant T0 is: now, when hosts are quiet, or inside a freeze of the volumes.
    #[arg(long, value_name = "INSTANT", default_value = "now")]
    consistency: ConsistencyWord,

    /// For how long quiet hosts did nothing.
    #[arg(long, value_name = "TIME", default_value = "500ms")]
    quiet: Time,

    /// How long a quiet time is waited for.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    quiet_limit: Time,

    /// What to do when no quiet time comes: `now` takes T0 all the same.
    #[arg(long = "else", value_name = "INSTANT")]
    otherwise: Option<ElseWord>,

    /// How long T0 is tried while channel programs are open.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    t0_wait: Time,

    /// When an original can't be secured: drop the session, or hold the host's write.
    #[arg(long, value_name = "ACTION", default_value = "drop")]
    on_error: OnErrorWord,

    /// How long a host's write is held at most.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    hold_limit: Time,

    /// Do this instead of a snapshot: count accesses, notify of writes, or protect from them.
    #[arg(long, value_name = "ACTION", conflicts_with_all = ["output", "view"])]
    action: Option<ActionWord>,

    /// Shell command of notify; the event is in TAPEGATE_FILE and the like.
    #[arg(long, value_name = "COMMAND", requires = "action")]
    run: Option<String>,

    /// Serial of the tape [default: T and the last five characters of the volume's].
    #[arg(long, value_name = "VOLSER", requires = "output")]
    volser: Option<Volser>,

    /// Form of the data sets on tape: tracks or blocks.
    #[arg(long = "as", value_name = "FORM", default_value = "tracks")]
    form: Form,

    /// Labels: sl (IBM standard), al (ANSI) or nl (none).
    #[arg(long, value_name = "KIND", default_value = "sl")]
    labels: LabelKind,

    /// Copy what is in use, not all that is allocated.
    #[arg(long)]
    used: bool,

    /// Copy each volume as one file.
    #[arg(long)]
    whole: bool,

    /// Leave out the tracks that no data set has.
    #[arg(long)]
    no_free: bool,

    /// Pool of the original-data cache [default: the first].
    #[arg(long, value_name = "POOL")]
    cache: Option<String>,

    /// Bring originals to stable storage before a host's write goes on.
    #[arg(long)]
    durable: bool,

    /// Most bytes that the copier reads in a second.
    #[arg(long, value_name = "SIZE")]
    rate: Option<ByteSize>,

    /// Stages of about 1 MiB that the copier moves before it pauses for host work.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    stages: Option<u32>,

    /// Name in lists.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Wait until the tapes are whole.
    #[arg(short, long)]
    wait: bool,

    #[command(flatten)]
    control: ControlArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ConsistencyWord {
    Now,
    Quiet,
    Host,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ElseWord {
    Now,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnErrorWord {
    Drop,
    Hold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ActionWord {
    Count,
    Notify,
    Protect,
    ProtectHold,
}

pub(super) fn run(args: &StartArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if args.output.as_deref() == Some("-") {
        return over(&pipe::stream(&args.control, |pipe| request(args, Some(pipe)), out)?);
    }
    let request = request(args, None)?;
    let session = super::one(&args.control, &Request::SessionStart { session: Box::new(request), wait: false })?;
    if !args.wait {
        print(args, &session, out)?;
        return Ok(Exit::Done);
    }
    let session = if args.control.json || !std::io::stderr().is_terminal() {
        watch::quietly(&args.control, session.id)?
    } else {
        watch::follow(&args.control, session.id, &mut std::io::sink())?
    };
    let exit = over(&session)?;
    print(args, &session, out)?;
    Ok(exit)
}

fn print(args: &StartArgs, session: &SessionStatus, out: &mut dyn Write) -> std::io::Result<()> {
    if args.control.json { print_json(session, out) } else { writeln!(out, "{}", show::line(session)) }
}

/// What the service is asked for; `pipe` takes the place of the tape.
fn request(args: &StartArgs, pipe: Option<&Path>) -> anyhow::Result<SessionRequest> {
    let consistency = match (args.consistency, args.otherwise) {
        (ConsistencyWord::Quiet, otherwise) => Consistency::Quiet {
            quiet_ms: args.quiet.as_millis(),
            limit_ms: args.quiet_limit.as_millis(),
            else_now: otherwise.is_some(),
        },
        (_, Some(_)) => bail!("--else is for --consistency quiet"),
        (ConsistencyWord::Now, None) => Consistency::Now,
        (ConsistencyWord::Host, None) => Consistency::Host,
    };
    let action = match args.action {
        None if args.output.is_none() && args.view.is_empty() => {
            bail!("say what to make of T0: a tape with -o, a view with --view, or both");
        }
        None => Action::Snapshot,
        Some(ActionWord::Count) => Action::Count,
        Some(ActionWord::Notify) => Action::Notify {
            command: args.run.iter().flat_map(|text| ["sh".to_owned(), "-c".to_owned(), text.clone()]).collect(),
        },
        Some(ActionWord::Protect) => Action::Protect { mode: Protection::Refuse },
        Some(ActionWord::ProtectHold) => Action::Protect { mode: Protection::Hold },
    };
    Ok(SessionRequest {
        name: args.name.clone(),
        volumes: volumes(args, pipe)?,
        files: args.files.iter().map(ToString::to_string).collect(),
        exclude: args.exclude.iter().map(ToString::to_string).collect(),
        ranges: Vec::new(),
        action,
        consistency,
        t0_wait_ms: args.t0_wait.as_millis(),
        on_error: match args.on_error {
            OnErrorWord::Drop => OnError::Drop,
            OnErrorWord::Hold => OnError::Hold { limit_ms: args.hold_limit.as_millis() },
        },
        pace: Pace { stages_in_a_row: args.stages, bytes_per_second: args.rate.map(|rate| rate.0).filter(|rate| *rate > 0) },
        cache: args.cache.clone(),
        durable: args.durable,
        tape: TapeRequest {
            form: args.form,
            labels: args.labels,
            used: args.used,
            whole: args.whole,
            no_free: args.no_free,
            block_bytes: None,
            compression: args.compress,
        },
    })
}

fn volumes(args: &StartArgs, pipe: Option<&Path>) -> anyhow::Result<Vec<VolumeRequest>> {
    let several = args.volumes.len() > 1;
    if several && args.output.as_ref().is_some_and(|tape| !tape.contains("{volume}")) {
        bail!("several volumes make several tapes, so the name behind -o needs {{volume}}");
    }
    if several && args.volser.is_some() {
        bail!("several volumes make several tapes, and --volser is one serial");
    }
    if args.view.len() > args.volumes.len() {
        bail!("there are more views than volumes");
    }
    if args.view_volser.is_some() && args.view.len() > 1 {
        bail!("--view-volser is one serial; configure the serials of several views");
    }
    let views: HashMap<_, _> = args.volumes.iter().zip(&args.view).collect();
    let request = |volume: &String| {
        let view = views.get(volume).map(|view| (*view).clone());
        let tape = match (pipe, &args.output) {
            (Some(pipe), _) => Some(pipe.to_owned()),
            (None, Some(tape)) => Some(absolute(&tape.replace("{volume}", volume))?),
            (None, None) => None,
        };
        Ok(VolumeRequest {
            volume: volume.clone(),
            tape,
            tape_volser: args.volser.map(|volser| volser.to_string()),
            view_volser: args.view_volser.filter(|_| view.is_some()).map(|volser| volser.to_string()),
            view,
        })
    };
    args.volumes.iter().map(request).collect()
}

/// The service has another working directory.
fn absolute(path: &str) -> anyhow::Result<PathBuf> {
    Ok(std::path::absolute(path)?)
}
