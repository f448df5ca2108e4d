//! Requests: a header and its data, checked.

use std::fmt;

use libdeflater::Decompressor;
use thiserror::Error;

use super::header::{Command, Header};
use crate::dasd::track_image::expand_bzip2;

/// Bytes in front of what a WRITE writes: offset and unit.
pub const WRITE_PREFIX_BYTES: usize = 6;
/// START: an answer is wanted at once, even if the device is busy.
const NO_WAIT: u8 = 0x80;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Begins a connection; the client speaks this version and release of the protocol.
    Connect {
        /// Must be that of the server.
        version: u8,
        /// May be any.
        release: u8,
    },
    /// Ends the connection.
    Disconnect,
    /// Begins a channel program (START or RESUME).
    Start {
        /// The client wants to be told if the device is busy, rather than to wait.
        no_wait: bool,
    },
    /// Ends a channel program (END or SUSPEND).
    End,
    /// Keeps the device over the end of the channel program.
    Reserve,
    /// Ends that.
    Release,
    /// Reads a unit: a track, or a group of blocks.
    Read {
        /// Its number.
        unit: u32,
    },
    /// Writes bytes of a unit.
    Write {
        /// Its number.
        unit: u32,
        /// Where they begin in it.
        offset: u16,
        /// The bytes. None at all is what a client sends that lost its connection while it wrote: it has forgotten them.
        bytes: &'a [u8],
    },
    /// Asks for sense bytes.
    Sense,
    /// Asks what the device is.
    Query(Query),
    /// Agrees on compression.
    Compress {
        /// What the client can expand: 1 zlib, 2 bzip2, 3 both.
        methods: u8,
        /// The level that its configuration asks for; 0 for no compression.
        level: u8,
    },
}

/// What a client can ask of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Query {
    /// Device characteristics.
    Characteristics = 0x41,
    /// Sense ID.
    SenseId = 0x42,
    /// Highest track in use, 4 bytes.
    Used = 0x43,
    /// Serial number, 12 characters.
    Serial = 0x44,
    /// Control unit: type as 16 bits *little-endian*, model, and a byte of padding.
    ControlUnit = 0x45,
    /// Number of cylinders, 4 bytes.
    Cylinders = 0x48,
    /// First block of a fixed-block device, 4 bytes.
    BlockOrigin = 0x4c,
    /// Number of blocks, 4 bytes.
    Blocks = 0x4d,
    /// Bytes of a block, 4 bytes.
    BlockBytes = 0x4e,
}

impl Query {
    const ALL: [Self; 9] = [
        Self::Characteristics,
        Self::SenseId,
        Self::Used,
        Self::Serial,
        Self::ControlUnit,
        Self::Cylinders,
        Self::BlockOrigin,
        Self::Blocks,
        Self::BlockBytes,
    ];
}

/// Why a message is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No command has this code.
    #[error("command {0:02X} does not exist")]
    Command(u8),
    /// The data is longer or shorter than the command's.
    #[error("{length} bytes of data for command {command:?}")]
    Length {
        /// The command.
        command: Command,
        /// Bytes of data.
        length: usize,
    },
    /// A query for something unknown.
    #[error("query {0:02X} does not exist")]
    Query(u8),
    /// Compressed data that can't be: of a command that has none, by an unknown method, or damaged.
    #[error("compressed data that {0}")]
    Compressed(CompressedDefect),
}

/// What is wrong with compressed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressedDefect {
    /// Only a WRITE has data that is worth it.
    NoWrite,
    /// Compressed by neither zlib nor bzip2.
    Method(u8),
    /// The stream is damaged, or holds more than a unit.
    Stream,
}

impl fmt::Display for CompressedDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWrite => write!(f, "belongs to no write"),
            Self::Method(method) => write!(f, "says method {method}"),
            Self::Stream => write!(f, "does not expand to what a unit can have"),
        }
    }
}

/// Parses the requests of one connection; it keeps what expanding needs.
pub struct RequestParser {
    zlib: Decompressor,
    expanded: Vec<u8>,
    unit_bytes: usize,
}

impl fmt::Debug for RequestParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestParser").field("unit_bytes", &self.unit_bytes).finish_non_exhaustive()
    }
}

impl RequestParser {
    /// For a device whose units have `unit_bytes`.
    #[must_use]
    pub fn new(unit_bytes: usize) -> Self {
        Self { zlib: Decompressor::new(), expanded: Vec::new(), unit_bytes }
    }

    /// Parses a header and its data, which is as long as the header says.
    ///
    /// # Errors
    /// When the message is no request. The next message can be parsed all the same.
    pub fn parse<'a>(&'a mut self, header: &Header, data: &'a [u8]) -> Result<Request<'a>, RequestError> {
        let command = header.command().ok_or(RequestError::Command(header.code))?;
        let length = RequestError::Length { command, length: data.len() };
        if data.len() > command.most_data_bytes(self.unit_bytes) {
            return Err(length);
        }
        let data = if header.is_compressed() { self.expand(command, header.flags, data)? } else { data };
        let flags = header.flags;
        match command {
            Command::Read => {
                let unit = u32::from_be_bytes(data.try_into().map_err(|_| length)?);
                Ok(Request::Read { unit })
            }
            Command::Write => {
                let (prefix, bytes) = data.split_first_chunk::<WRITE_PREFIX_BYTES>().ok_or(length)?;
                let [o0, o1, unit @ ..] = *prefix;
                Ok(Request::Write { unit: u32::from_be_bytes(unit), offset: u16::from_be_bytes([o0, o1]), bytes })
            }
            Command::Connect => Ok(Request::Connect { version: flags >> 4, release: flags & 15 }),
            Command::Disconnect => Ok(Request::Disconnect),
            Command::Start | Command::Resume => Ok(Request::Start { no_wait: flags & NO_WAIT != 0 }),
            Command::End | Command::Suspend => Ok(Request::End),
            Command::Reserve => Ok(Request::Reserve),
            Command::Release => Ok(Request::Release),
            Command::Sense => Ok(Request::Sense),
            Command::Query => {
                let query = Query::ALL.into_iter().find(|query| *query as u8 == flags);
                query.map(Request::Query).ok_or(RequestError::Query(flags))
            }
            Command::Compress => Ok(Request::Compress { methods: flags >> 4, level: flags & 15 }),
            Command::Used => Ok(Request::Query(Query::Used)),
        }
    }

    /// Expands data whose first bytes are plain, as many as the low four bits of the flags say.
    fn expand(&mut self, command: Command, flags: u8, data: &[u8]) -> Result<&[u8], RequestError> {
        if command != Command::Write {
            return Err(RequestError::Compressed(CompressedDefect::NoWrite));
        }
        let damaged = RequestError::Compressed(CompressedDefect::Stream);
        let (plain, stream) = data.split_at_checked(usize::from(flags & 15)).ok_or(damaged)?;
        let room = command.most_data_bytes(self.unit_bytes);
        self.expanded.resize(room.max(plain.len()), 0);
        let (start, rest) = self.expanded.split_at_mut(plain.len());
        start.copy_from_slice(plain);
        let length = match flags >> 4 {
            1 => self.zlib.zlib_decompress(stream, rest).map_err(|_| damaged)?,
            2 => expand_bzip2(stream, rest).map_err(|_| damaged)?,
            method => return Err(RequestError::Compressed(CompressedDefect::Method(method))),
        };
        Ok(&self.expanded[..plain.len() + length])
    }
}
