//! A command that is run for each event of a session that tells writes.
//!
//! The event is in its environment: `TAPEGATE_SESSION`, `TAPEGATE_VOLUME`, `TAPEGATE_FILE`, `TAPEGATE_ADDRESS`,
//! `TAPEGATE_CLIENT` and `TAPEGATE_WRITES`. It runs on the session's own thread, so a slow one delays the next event and no
//! host; one that does not end is killed.

use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::notify::{EventSink, WriteEvent};

/// How long a command may run.
const LIMIT: Duration = Duration::from_secs(10);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Tells events to another sink, and runs a command for each.
pub(super) struct CommandEvents {
    pub(super) command: Vec<String>,
    pub(super) next: Arc<dyn EventSink>,
}

impl EventSink for CommandEvents {
    fn written(&self, event: &WriteEvent) {
        self.next.written(event);
        if let Err(error) = self.run(event) {
            tracing::warn!(session = event.session.0, command = self.command.first(), %error, "the command of an event failed");
        }
    }
}

impl CommandEvents {
    fn run(&self, event: &WriteEvent) -> io::Result<()> {
        let Some((program, arguments)) = self.command.split_first() else { return Ok(()) };
        let mut child = Command::new(program)
            .args(arguments)
            .env("TAPEGATE_SESSION", event.session.to_string())
            .env("TAPEGATE_VOLUME", &event.volume)
            .env("TAPEGATE_FILE", &event.file)
            .env("TAPEGATE_ADDRESS", &event.address)
            .env("TAPEGATE_CLIENT", &event.client)
            .env("TAPEGATE_WRITES", event.writes.to_string())
            .stdin(Stdio::null())
            .stdout(io::stderr())
            .spawn()?;
        let deadline = Instant::now() + LIMIT;
        loop {
            match child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(io::Error::other(status.to_string())),
                None if Instant::now() < deadline => std::thread::sleep(LOOK),
                None => {
                    child.kill()?;
                    child.wait()?;
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::live::status::SessionId;

    #[derive(Default)]
    struct Told(Mutex<u64>);

    impl EventSink for Told {
        fn written(&self, event: &WriteEvent) {
            *self.0.lock().unwrap() += event.writes;
        }
    }

    #[test]
    fn the_command_has_the_event_in_its_environment() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("event");
        let script = format!("echo $TAPEGATE_SESSION $TAPEGATE_VOLUME $TAPEGATE_FILE $TAPEGATE_WRITES > {}", out.display());
        let told = Arc::new(Told::default());
        let command = vec!["sh".to_owned(), "-c".to_owned(), script];
        let events = CommandEvents { command, next: Arc::clone(&told) as _ };
        events.written(&WriteEvent {
            session: SessionId(7),
            volume: "prod01".to_owned(),
            file: "SYS1.PARMLIB".to_owned(),
            address: "00010002".to_owned(),
            client: "host".to_owned(),
            writes: 3,
        });
        assert_eq!(std::fs::read_to_string(out).unwrap(), "7 prod01 SYS1.PARMLIB 3\n");
        assert_eq!(*told.0.lock().unwrap(), 3);
    }
}
