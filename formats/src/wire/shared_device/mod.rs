//! The Hercules Shared Device protocol, by which one emulator uses a disk that another process serves.
//!
//! A message is a [`Header`] of eight bytes and as many bytes of data as it says. A client sends a request, waits for
//! the one reply, and sends the next; all numbers are big-endian.
//!
//! | in | what |
//! | --- | --- |
//! | [`Header`], [`Command`] | what every message begins with, and how long its data may be |
//! | [`Request`] | what a client asks for |
//! | [`Reply`] | what it is answered |
//!
//! Source: messages between Hercules 3.13 and SDL Hyperion 4.9, captured on loopback; the tests hold them.

mod header;
mod reply;
mod request;

pub use header::{Command, HEADER_BYTES, Header, MOST_DATA_BYTES};
pub use reply::{COMPRESSED_HOME_BYTES, Code, MOST_CHANGED_TRACKS, Reply, SENSE_BYTES};
pub use request::{CompressedDefect, Query, Request, RequestError, RequestParser, WRITE_PREFIX_BYTES};

#[cfg(test)]
mod tests;
