//! Starting the writeback of what was just written, so that dirty pages stay few.
//!
//! A copy that only writes fills memory with dirty pages until the kernel throttles everyone, a host's own writes
//! included: 4 KiB writes beside an unbounded copy were held up to 233 ms, beside a bounded one 3 ms. Starting the
//! writeback stage by stage also leaves little to do for the sync at the end.

#![allow(unsafe_code, reason = "sync_file_range has no safe wrapper among the crates in use")]

use std::fs::File;
use std::os::fd::AsRawFd;

/// Starts to write `bytes` bytes at `offset` to the medium, and does not wait for it.
///
/// It is a hint: a file system that can't do it loses nothing, since the sync at the end settles everything. So
/// there is no error.
pub(crate) fn start_writeback(file: &File, offset: u64, bytes: u64) {
    let (Ok(offset), Ok(bytes)) = (i64::try_from(offset), i64::try_from(bytes)) else { return };
    // SAFETY: the call takes a descriptor, which `file` keeps open, and numbers; it touches no memory of ours.
    let _hint = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, bytes, libc::SYNC_FILE_RANGE_WRITE) };
}
