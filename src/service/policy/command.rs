//! Running a program of a policy, for a while at most.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;

use crate::service::config::PolicyCommand;

/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(10);
/// How long a program that must end gets to do so.
const GRACE: Duration = Duration::from_secs(1);

/// A program that did not do what it should.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(super) enum CommandError {
    /// It could not be started.
    #[error("{program}: it could not be run: {source}")]
    Start { program: String, source: io::Error },
    /// It said that it failed.
    #[error("{program}: {status}")]
    Failed { program: String, status: ExitStatus },
    /// It took too long.
    #[error("{program}: it did not end within {} s, and was killed", limit.as_secs_f64())]
    Limit { program: String, limit: Duration },
}

/// Runs a program to its end; what it prints goes to the service's log.
///
/// It has a process group of its own, so that at the limit everything that it started ends with it.
pub(super) fn run(command: &PolicyCommand, environment: &[(&str, String)]) -> Result<(), CommandError> {
    let Some((program, arguments)) = command.command.split_first() else { return Ok(()) };
    let failed = |source| CommandError::Start { program: program.clone(), source };
    let mut child = Command::new(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    match wait(&mut child, command.limit).map_err(failed)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(CommandError::Failed { program: program.clone(), status }),
        None => {
            end(&mut child);
            Err(CommandError::Limit { program: program.clone(), limit: command.limit })
        }
    }
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        let ended = child.try_wait()?;
        if ended.is_some() || Instant::now() >= deadline {
            return Ok(ended);
        }
        std::thread::sleep(LOOK.min(deadline.saturating_duration_since(Instant::now())));
    }
}

/// Asks the whole group to end, and then ends it.
fn end(child: &mut Child) {
    let Ok(group) = i32::try_from(child.id()).map(Pid::from_raw) else { return };
    for signal in [Signal::TERM, Signal::KILL] {
        // A group that has ended meanwhile can't be told so.
        if let Some(group) = group
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::debug!("a command's processes could not be ended: {error}");
        }
        if signal == Signal::TERM
            && let Err(error) = wait(child, GRACE)
        {
            tracing::debug!("a command could not be waited for: {error}");
        }
    }
    if let Err(error) = child.wait() {
        tracing::debug!("a command could not be waited for: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> PolicyCommand {
        PolicyCommand { command: ["sh", "-c", script].map(str::to_owned).to_vec(), limit }
    }

    #[test]
    fn a_command_is_told_about_the_turn_and_its_failure_is_seen() {
        let told = [("TAPEGATE_POLICY", "nightly".to_owned())];
        run(&shell("test \"$TAPEGATE_POLICY\" = nightly", Duration::from_secs(20)), &told).unwrap();
        let failed = run(&shell("exit 3", Duration::from_secs(20)), &[]).unwrap_err();
        assert!(failed.to_string().contains("exit status: 3"), "{failed}");
        let missing = PolicyCommand { command: vec!["/no/such/program".to_owned()], limit: Duration::from_secs(20) };
        assert!(matches!(run(&missing, &[]), Err(CommandError::Start { .. })));
    }

    #[test]
    fn at_its_limit_a_command_ends_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let began = Instant::now();
        let error = run(&shell(&script, Duration::from_millis(500)), &[]).unwrap_err();
        assert!(matches!(error, CommandError::Limit { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(500));
        let child = std::fs::read_to_string(pid).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        // Gone, or dead and not yet collected by its new parent.
        assert!(stat.is_err() || stat.as_ref().is_ok_and(|stat| stat.contains(") Z ")), "{stat:?}");
    }
}
