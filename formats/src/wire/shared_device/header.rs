//! The eight bytes in front of every message, and the commands.

use zerocopy::byteorder::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::request::WRITE_PREFIX_BYTES;

/// Length of a header.
pub const HEADER_BYTES: usize = size_of::<Header>();
/// The longest data that a header can announce.
pub const MOST_DATA_BYTES: usize = u16::MAX as usize;

/// What every request and every reply begins with.
///
/// The comment in Hercules' own sources has the last two fields the other way round; the wire has them as here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// 0: command of a request, code of a reply.
    pub code: u8,
    /// 1: flags of a request, status of a reply.
    pub flags: u8,
    /// 2: device number at the server.
    pub device: U16,
    /// 4: bytes of data that follow.
    pub length: U16,
    /// 6: the client's id; 0 in its first request.
    pub client: U16,
}

impl Header {
    /// Reads a header from the bytes in front of a message; none if they are too few.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Self::read_from_prefix(bytes).ok().map(|(header, _)| header)
    }

    /// The command of a request, whether its data is compressed or not; none for a byte that is no command.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        Command::from_code(self.code & !COMPRESSED)
    }

    /// Whether the data of this request is compressed.
    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        self.code & COMPRESSED != 0
    }

    /// Bytes of the whole message.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        HEADER_BYTES + usize::from(self.length.get())
    }
}

/// The bit of a request's command that says that the data is compressed.
const COMPRESSED: u8 = 0x10;

/// What a client can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    /// Begins a connection.
    Connect = 0xe0,
    /// Ends it.
    Disconnect = 0xe1,
    /// Begins a channel program.
    Start = 0xe2,
    /// Ends it.
    End = 0xe3,
    /// Begins the rest of a channel program that was suspended.
    Resume = 0xe4,
    /// Ends a channel program that will go on.
    Suspend = 0xe5,
    /// Keeps the device over the end of the channel program.
    Reserve = 0xe6,
    /// Ends that.
    Release = 0xe7,
    /// Reads a track or block group.
    Read = 0xe8,
    /// Writes bytes of one.
    Write = 0xe9,
    /// Asks for sense bytes.
    Sense = 0xea,
    /// Asks what the device is.
    Query = 0xeb,
    /// Agrees on compression.
    Compress = 0xec,
    /// The highest track in use. It is a value of a query's flags, but both clients send it as a command.
    Used = 0x43,
}

impl Command {
    const ALL: [Self; 14] = [
        Self::Connect,
        Self::Disconnect,
        Self::Start,
        Self::End,
        Self::Resume,
        Self::Suspend,
        Self::Reserve,
        Self::Release,
        Self::Read,
        Self::Write,
        Self::Sense,
        Self::Query,
        Self::Compress,
        Self::Used,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|command| *command as u8 == code)
    }

    /// The most data that a request of this command has, when a unit has `unit_bytes`. Compressed data is shorter than
    /// plain data, or it would not be compressed.
    #[must_use]
    pub const fn most_data_bytes(self, unit_bytes: usize) -> usize {
        match self {
            Self::Read => 4,
            Self::Write => {
                let most = WRITE_PREFIX_BYTES + unit_bytes;
                if most < MOST_DATA_BYTES { most } else { MOST_DATA_BYTES }
            }
            _ => 0,
        }
    }
}
