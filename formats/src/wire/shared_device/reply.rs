//! Replies: codes, and the bytes of one reply, made in place.

use std::fmt;

use libdeflater::{CompressionLvl, Compressor};
use zerocopy::IntoBytes;

use super::header::{HEADER_BYTES, Header, MOST_DATA_BYTES};

/// Most tracks that a START reply names.
pub const MOST_CHANGED_TRACKS: usize = 16;
/// Sense bytes that a client asks for.
pub const SENSE_BYTES: usize = 32;
/// Bytes of a track that stay plain when its image is compressed: the home address, as in compressed images.
pub const COMPRESSED_HOME_BYTES: usize = 5;
/// Longest text of an error, with its final zero.
const MOST_TEXT_BYTES: usize = 255;
/// Shorter data is sent plain.
const LEAST_COMPRESSED_BYTES: usize = 512;
/// Method zlib, in the upper half of the status of a compressed reply.
const METHOD_ZLIB: u8 = 1 << 4;

/// Code of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done.
    Ok = 0x00,
    /// Done, and the data names the tracks that others changed; no data means all tracks.
    Changed = 0x08,
    /// Done, and the data is compressed.
    Compressed = 0x10,
    /// The device is busy; only for a START that doesn't want to wait.
    Busy = 0x20,
    /// The device failed; the status is its unit status.
    IoError = 0x40,
    /// No valid request.
    Invalid = 0xf0,
    /// The client's version is another.
    Version = 0xf1,
    /// The device is not initialised.
    NotInitialised = 0xf2,
    /// The client has not connected.
    NotConnected = 0xf3,
    /// All slots are taken.
    NoSlot = 0xf4,
    /// No memory.
    NoMemory = 0xf5,
    /// No channel program is open.
    NotActive = 0xf6,
    /// The server has no such device.
    NoDevice = 0xf7,
    /// The client has connected already.
    Connected = 0xf8,
}

/// The reply to a request, in a buffer that is used again for the next.
pub struct Reply {
    bytes: Box<[u8]>,
    length: usize,
    compressor: Option<Compressor>,
    compressed: Vec<u8>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reply").field(&self.bytes()).finish()
    }
}

impl Default for Reply {
    fn default() -> Self {
        let bytes = vec![0; HEADER_BYTES + MOST_DATA_BYTES].into_boxed_slice();
        Self { bytes, length: 0, compressor: None, compressed: Vec::new() }
    }
}

impl Reply {
    /// The bytes to send: header and data, or nothing if no reply was made.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Has replies of tracks compressed by zlib at a level from 1 to 9; 0 for plain.
    pub fn set_level(&mut self, level: u8) {
        let level = CompressionLvl::new(level.min(9).into()).ok().filter(|_| level > 0);
        self.compressor = level.map(Compressor::new);
    }

    /// Done, with data, of which no reply has more than [`MOST_DATA_BYTES`].
    pub fn done(&mut self, request: &Header, data: &[u8]) {
        self.with_status(request, Code::Ok, 0, data);
    }

    /// Any code, status and data.
    pub fn with_status(&mut self, request: &Header, code: Code, status: u8, data: &[u8]) {
        let data = &data[..data.len().min(MOST_DATA_BYTES)];
        self.bytes[HEADER_BYTES..][..data.len()].copy_from_slice(data);
        self.finish(request, code, status, data.len());
    }

    /// The answer to CONNECT: the server's version and release, and the client's id, in the header as well.
    pub fn connected(&mut self, request: &Header, version: u8, release: u8, client: u16) {
        let request = Header { client: client.into(), ..*request };
        self.with_status(&request, Code::Ok, version << 4 | release & 15, &client.to_be_bytes());
    }

    /// The answer to START: the tracks that others changed; `None` stands for all, and so do more than
    /// [`MOST_CHANGED_TRACKS`].
    pub fn started(&mut self, request: &Header, changed: Option<&[u32]>) {
        match changed.filter(|tracks| tracks.len() <= MOST_CHANGED_TRACKS) {
            Some([]) => self.done(request, &[]),
            tracks => {
                let data: Vec<u8> = tracks.unwrap_or_default().iter().flat_map(|track| track.to_be_bytes()).collect();
                self.with_status(request, Code::Changed, 0, &data);
            }
        }
    }

    /// An error in words. The status is the command that failed.
    pub fn error(&mut self, request: &Header, code: Code, text: &str) {
        let mut data: Vec<u8> = text.bytes().map(|byte| if byte.is_ascii() && byte != 0 { byte } else { b'?' }).collect();
        data.truncate(MOST_TEXT_BYTES - 1);
        data.push(0);
        self.with_status(request, code, request.code, &data);
    }

    /// A failed READ or WRITE, with the device's unit status.
    pub fn device_error(&mut self, request: &Header, unit_status: u8) {
        self.with_status(request, Code::IoError, unit_status, &[]);
    }

    /// Room for a whole unit, to be read into; [`unit`](Self::unit) makes a reply of it.
    pub fn room(&mut self, bytes: usize) -> &mut [u8] {
        &mut self.bytes[HEADER_BYTES..][..bytes.min(MOST_DATA_BYTES)]
    }

    /// Makes the first `length` bytes that were put into [`room`](Self::room) the answer to READ.
    ///
    /// The status of a plain reply is 0, as Hercules 3.13 takes it for the unit status.
    pub fn unit(&mut self, request: &Header, length: usize) {
        let length = length.min(MOST_DATA_BYTES);
        if let Some(compressed) = self.compress(length) {
            let status = METHOD_ZLIB | COMPRESSED_HOME_BYTES as u8;
            self.finish(request, Code::Compressed, status, compressed);
        } else {
            self.finish(request, Code::Ok, 0, length);
        }
    }

    /// Compresses the first `length` bytes of data in place, and gives the new length if it is shorter.
    fn compress(&mut self, length: usize) -> Option<usize> {
        let compressor = self.compressor.as_mut().filter(|_| length >= LEAST_COMPRESSED_BYTES)?;
        let content = &mut self.bytes[HEADER_BYTES + COMPRESSED_HOME_BYTES..HEADER_BYTES + length];
        // Room for one byte less than the content: what does not get shorter is an error.
        self.compressed.resize(content.len() - 1, 0);
        let shorter = compressor.zlib_compress(content, &mut self.compressed).ok()?;
        content[..shorter].copy_from_slice(&self.compressed[..shorter]);
        Some(COMPRESSED_HOME_BYTES + shorter)
    }

    fn finish(&mut self, request: &Header, code: Code, status: u8, length: usize) {
        // Who makes data makes it shorter than the field can say.
        let data_bytes = u16::try_from(length).unwrap_or(u16::MAX);
        let header = Header { code: code as u8, flags: status, length: data_bytes.into(), ..*request };
        self.bytes[..HEADER_BYTES].copy_from_slice(header.as_bytes());
        self.length = HEADER_BYTES + usize::from(data_bytes);
    }
}
