//! A host that uses a device by the Hercules shared device protocol.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, ensure};

use crate::Host;

const CONNECT: u8 = 0xe0;
const START: u8 = 0xe2;
const END: u8 = 0xe3;
const WRITE: u8 = 0xe9;
/// Version 0, release 1.
const RELEASE: u8 = 0x01;
/// Codes of replies: done, and done with a list of tracks that others changed.
const DONE: [u8; 2] = [0x00, 0x08];
const HEADER_BYTES: usize = 8;

/// A client that has attached a device.
pub struct SharedDeviceHost {
    stream: TcpStream,
    device: u16,
    id: u16,
    message: Vec<u8>,
    reply: Vec<u8>,
}

impl SharedDeviceHost {
    /// Connects as a new client.
    pub fn attach(address: SocketAddr, device: u16) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let mut host = Self { stream, device, id: 0, message: Vec::new(), reply: Vec::new() };
        host.ask(CONNECT, RELEASE, &[]).with_context(|| format!("attaching device {device:04X}"))?;
        ensure!(host.reply.len() == 2, "the answer to CONNECT has {} bytes of data, not the 2 of an id", host.reply.len());
        host.id = u16::from_be_bytes([host.reply[0], host.reply[1]]);
        Ok(host)
    }

    /// Sends a request and waits for its reply, as clients do.
    fn ask(&mut self, command: u8, flags: u8, data: &[&[u8]]) -> Result<()> {
        let bytes = u16::try_from(data.iter().map(|part| part.len()).sum::<usize>())?;
        self.message.clear();
        self.message.extend([command, flags]);
        for field in [self.device, bytes, self.id] {
            self.message.extend(field.to_be_bytes());
        }
        data.iter().for_each(|part| self.message.extend(*part));
        self.stream.write_all(&self.message)?;
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header)?;
        self.reply.resize(usize::from(u16::from_be_bytes([header[4], header[5]])), 0);
        self.stream.read_exact(&mut self.reply)?;
        ensure!(
            DONE.contains(&header[0]),
            "command {command:02X} got {:02X}: {}",
            header[0],
            String::from_utf8_lossy(&self.reply)
        );
        Ok(())
    }
}

impl Host for SharedDeviceHost {
    fn write(&mut self, track: u32, offset: u16, bytes: &[u8]) -> Result<()> {
        self.ask(START, 0, &[])?;
        self.ask(WRITE, 0, &[&offset.to_be_bytes(), &track.to_be_bytes(), bytes])?;
        self.ask(END, 0, &[])
    }
}
