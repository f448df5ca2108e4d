//! `-o -`: the tape of a session as a stream, on the standard output of the command.
//!
//! The service writes it in order into a named pipe of this command, so it needs nothing but the control socket.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use super::watch;
use crate::cli::control_args::ControlArgs;
use crate::live::status::{SessionRequest, SessionStatus};
use crate::service::protocol::Request;

/// Starts the session that `request` makes for the pipe, and copies its tape to `out`; gives how it ended.
pub(super) fn stream(
    control: &ControlArgs,
    request: impl FnOnce(&Path) -> anyhow::Result<SessionRequest>,
    out: &mut dyn Write,
) -> anyhow::Result<SessionStatus> {
    let folder = tempfile::tempdir()?;
    let pipe = folder.path().join("tape");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).context("making a named pipe failed")?;
    let request = request(&pipe)?;
    let session = super::one(control, &Request::SessionStart { session: Box::new(request), wait: false })?;
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let ended = watch::quietly(control, session.id);
            // A session that ended before it opened the pipe leaves the reader waiting for it.
            drop(open_for_writing(&pipe));
            ended
        });
        let copied = File::open(&pipe).and_then(|mut tape| io::copy(&mut tape, out));
        let flushed = copied.and_then(|_| out.flush());
        let ended = watching.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the session could not be watched")));
        flushed.context("writing the tape to standard output failed").and(ended)
    })
}

/// Does not wait for a reader.
fn open_for_writing(pipe: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    OpenOptions::new().write(true).custom_flags(flags).open(pipe)
}
