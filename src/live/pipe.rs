//! A named pipe as a sink: whoever writes to it can be stopped while its reader is not there, or takes nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::snapshot::SnapshotError;

/// How often it is looked whether the session was stopped.
const LOOK: Duration = Duration::from_millis(50);

/// The writing end of a pipe.
struct SessionPipe {
    pipe: File,
    stop: Arc<AtomicBool>,
}

/// Opens a named pipe for writing; waits for its reader until `stop`.
pub(super) fn open(path: &Path, stop: &Arc<AtomicBool>) -> Result<Box<dyn Write + Send>, SnapshotError> {
    loop {
        match rustix::fs::open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
            Ok(pipe) => {
                let pipe = SessionPipe { pipe: File::from(pipe), stop: Arc::clone(stop) };
                return Ok(Box::new(io::BufWriter::with_capacity(1 << 20, pipe)));
            }
            // Nobody reads yet.
            Err(Errno::NXIO) if stop.load(Ordering::Relaxed) => return Err(SnapshotError::Stopped),
            Err(Errno::NXIO) => std::thread::sleep(LOOK),
            Err(errno) => {
                return Err(SnapshotError::Io { path: path.to_owned(), action: "opening the pipe", source: errno.into() });
            }
        }
    }
}

impl Write for SessionPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.pipe.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("the session was stopped while the pipe's reader took nothing"));
            }
            let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK.subsec_nanos()) };
            poll(&mut [PollFd::new(&self.pipe, PollFlags::OUT)], Some(&wait))?;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    #[test]
    fn a_writer_is_stopped_while_nobody_reads_and_while_the_reader_takes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let stop = Arc::new(AtomicBool::new(true));
        assert!(matches!(open(&path, &stop), Err(SnapshotError::Stopped)));
        let _reader = rustix::fs::open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        let mut pipe = open(&path, &stop).unwrap();
        let error = pipe.write_all(&vec![0; 4 << 20]).unwrap_err().to_string();
        assert!(error.contains("took nothing"), "{error}");
    }
}
