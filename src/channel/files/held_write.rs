//! A write that waits, on a thread of its own, and is then done.
//!
//! It is one access from its first unit to its last, so that T0 falls before it or behind it. It waits for another host's
//! channel program to get the access, in the access for the sessions that must copy a unit first, and for room when the
//! image behind is full: an emulator takes a failed write for a broken disk, and a held one for a slow one.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuser::Errno;

use super::failure::{errno_of, is_full};
use super::requests::Requests;
use super::served_file::ServedFile;
use crate::gate::{Access, GateError};

/// How often it is tried whether there is room again.
const RETRY: Duration = Duration::from_millis(250);

/// How long a request may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For another host's channel program or reserve.
    pub(super) busy: Duration,
    /// For room in the image behind.
    pub(super) full: Duration,
}

/// A write request.
pub(super) struct HeldWrite {
    pub(super) file: Arc<ServedFile>,
    /// None while another host has the device.
    pub(super) access: Option<Access>,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    /// Bytes that are written already.
    pub(super) done: usize,
    /// Whether it must be on stable storage before it is answered (`O_SYNC`, `O_DSYNC`, `RWF_DSYNC`).
    pub(super) durable: bool,
    pub(super) patience: Patience,
    pub(super) requests: Arc<Requests>,
}

impl HeldWrite {
    /// Does the write; gives the bytes written, which are fewer than asked for when a later unit failed.
    pub(super) fn finish(mut self) -> Result<u32, Errno> {
        let access = match self.access.take() {
            Some(access) => access,
            None => self.file.access(self.patience.busy).map_err(|_| Errno::EBUSY)?,
        };
        let mut full_since = None;
        let result = loop {
            let result = self.file.write(&access, self.offset, &self.bytes, &mut self.done);
            match result {
                Err(error) if is_full(&error) => {
                    if self.wait_for_room(&error, &mut full_since).is_break() {
                        break Err(error);
                    }
                }
                result => break result,
            }
        };
        if let Some(since) = full_since
            && result.is_ok()
        {
            tracing::info!("{}: there is room again; a write was held for {} s", self.file.name, since.elapsed().as_secs());
        }
        let written = answer(&self.file, result, self.done)?;
        if self.durable {
            self.file.sync(&access)?;
        }
        Ok(written)
    }

    /// Waits a little for room; breaks when it took too long, or the gateway is being stopped.
    fn wait_for_room(&self, error: &GateError, since: &mut Option<Instant>) -> ControlFlow<()> {
        let began = *since.get_or_insert_with(|| {
            tracing::warn!("{}: a write is held for up to {} s: {error}", self.file.name, self.patience.full.as_secs());
            Instant::now()
        });
        let waits = began.elapsed() < self.patience.full && self.requests.pause(RETRY);
        if waits {
            return ControlFlow::Continue(());
        }
        tracing::error!("{}: a write found no room for {} s, and failed", self.file.name, began.elapsed().as_secs());
        ControlFlow::Break(())
    }
}

/// What a write is answered: what was written before a failure counts, as `write(2)` has it; the next one then fails.
pub(super) fn answer(file: &ServedFile, result: Result<(), GateError>, done: usize) -> Result<u32, Errno> {
    // A request has less than 2^32 bytes: its length is a field of 32 bits.
    let written = u32::try_from(done).map_err(|_| Errno::EINVAL)?;
    match result {
        Err(error) if written == 0 => Err(errno_of(&error, &file.name)),
        Err(error) => {
            tracing::warn!("{}: a write ended after {written} bytes: {error}", file.name);
            Ok(written)
        }
        Ok(()) => Ok(written),
    }
}
