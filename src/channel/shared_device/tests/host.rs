//! A client.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::{DEVICE, LONG};

pub(super) const CONNECT: u8 = 0xe0;
pub(super) const DISCONNECT: u8 = 0xe1;
pub(super) const START: u8 = 0xe2;
pub(super) const END: u8 = 0xe3;
pub(super) const RESERVE: u8 = 0xe6;
pub(super) const RELEASE: u8 = 0xe7;
pub(super) const READ: u8 = 0xe8;
pub(super) const WRITE: u8 = 0xe9;
pub(super) const SENSE: u8 = 0xea;
pub(super) const QUERY: u8 = 0xeb;
pub(super) const COMPRESS: u8 = 0xec;

/// A reply: code, status, data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: u8,
    pub(super) status: u8,
    pub(super) data: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.data.clone()).unwrap()
    }
}

/// A client's connection.
pub(super) struct Host {
    stream: TcpStream,
    pub(super) id: u16,
}

impl Host {
    /// Connects and says nothing; `id` is what it will say in front of its requests.
    pub(super) fn connect(address: SocketAddr, id: u16) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Self { stream, id }
    }

    /// Connects as a new client.
    pub(super) fn attach(address: SocketAddr) -> Self {
        let mut host = Self::connect(address, 0);
        let answer = host.ask(CONNECT, 0x01, &[]);
        assert_eq!((answer.code, answer.status), (0, 1), "release 1 of version 0");
        host.id = u16::from_be_bytes(answer.data.try_into().unwrap());
        assert_ne!(host.id, 0);
        host
    }

    /// Sends a request as one message.
    pub(super) fn send(&mut self, command: u8, flags: u8, data: &[u8]) {
        let mut message = vec![command, flags];
        message.extend(DEVICE.to_be_bytes());
        message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend(self.id.to_be_bytes());
        message.extend(data);
        self.send_raw(&message);
    }

    pub(super) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Receives a reply, whose header names the device and the client.
    pub(super) fn receive(&mut self) -> Answer {
        let mut header = [0; 8];
        self.stream.read_exact(&mut header).unwrap();
        let [code, status, d0, d1, l0, l1, ..] = header;
        assert_eq!(u16::from_be_bytes([d0, d1]), DEVICE);
        let mut data = vec![0; u16::from_be_bytes([l0, l1]).into()];
        self.stream.read_exact(&mut data).unwrap();
        Answer { code, status, data }
    }

    pub(super) fn receive_raw(&mut self, bytes: &mut [u8]) {
        self.stream.read_exact(bytes).unwrap();
    }

    pub(super) fn ask(&mut self, command: u8, flags: u8, data: &[u8]) -> Answer {
        self.send(command, flags, data);
        self.receive()
    }

    /// As `ask`, with nothing if the server closes the connection.
    pub(super) fn try_ask(&mut self, command: u8, flags: u8) -> Option<u8> {
        let [d0, d1] = DEVICE.to_be_bytes();
        let [i0, i1] = self.id.to_be_bytes();
        self.stream.write_all(&[command, flags, d0, d1, 0, 0, i0, i1]).ok()?;
        let mut code = [0];
        self.stream.read_exact(&mut code).ok()?;
        Some(code[0])
    }

    /// A request without data that is done.
    #[track_caller]
    pub(super) fn done(&mut self, command: u8) {
        assert_eq!(self.ask(command, 0, &[]), Answer { code: 0, status: 0, data: Vec::new() });
    }

    /// START; the tracks to read again, none for all of them.
    #[track_caller]
    pub(super) fn start(&mut self) -> Option<Vec<u32>> {
        let answer = self.ask(START, 0, &[]);
        Self::changed(&answer)
    }

    #[track_caller]
    pub(super) fn changed(answer: &Answer) -> Option<Vec<u32>> {
        assert!(matches!(answer.code, 0x00 | 0x08), "{answer:?}");
        let tracks: Vec<_> = answer.data.chunks(4).map(|track| u32::from_be_bytes(track.try_into().unwrap())).collect();
        assert!(answer.code == 0x08 || tracks.is_empty());
        (answer.code == 0x00 || !tracks.is_empty()).then_some(tracks)
    }

    pub(super) fn read(&mut self, track: u32) -> Answer {
        self.ask(READ, 0, &track.to_be_bytes())
    }

    pub(super) fn write(&mut self, track: u32, offset: u16, bytes: &[u8]) -> Answer {
        self.send_write(track, offset, bytes);
        self.receive()
    }

    pub(super) fn send_write(&mut self, track: u32, offset: u16, bytes: &[u8]) {
        self.send(WRITE, 0, &[&offset.to_be_bytes()[..], &track.to_be_bytes(), bytes].concat());
    }

    /// A write that is done.
    #[track_caller]
    pub(super) fn put(&mut self, track: u32, offset: u16, bytes: &[u8]) {
        assert_eq!(self.write(track, offset, bytes), Answer { code: 0, status: 0, data: Vec::new() });
    }

    /// Whether the server has closed the connection; it waits for that.
    pub(super) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe),
        }
    }

    /// Loses the connection, and gives the id.
    pub(super) fn lose(self) -> u16 {
        self.stream.shutdown(Shutdown::Both).unwrap();
        self.id
    }
}
