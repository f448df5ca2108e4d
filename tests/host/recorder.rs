//! A relay that keeps what goes through it: conversations of stock peers as test vectors.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// One stretch of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Number of the connection, from 0.
    pub connection: usize,
    /// Whether the client said it.
    pub by_client: bool,
    pub bytes: Vec<u8>,
}

/// A listener that passes connections on to a port of the loopback.
#[derive(Debug)]
pub struct Recorder {
    pub port: u16,
    said: Arc<Mutex<Vec<Said>>>,
}

impl Recorder {
    /// Begins to listen; it does so until the test ends.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&said);
        thread::spawn(move || {
            for (connection, client) in listener.incoming().map_while(Result::ok).enumerate() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                for (from, to, by_client) in [(&client, &server, true), (&server, &client, false)] {
                    let (from, to, said) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&all));
                    thread::spawn(move || relay(from, to, connection, by_client, &said));
                }
            }
        });
        Self { port, said }
    }

    /// What was said until now; stretches of one speaker in a row are one.
    pub fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap().clone()
    }
}

/// Passes on, and keeps before it passes on: so that an answer never stands before its question.
fn relay(mut from: TcpStream, mut to: TcpStream, connection: usize, by_client: bool, said: &Mutex<Vec<Said>>) {
    let _ = to.set_nodelay(true);
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..length];
        {
            let mut said = said.lock().unwrap();
            match said.last_mut() {
                Some(last) if last.connection == connection && last.by_client == by_client => last.bytes.extend(bytes),
                _ => said.push(Said { connection, by_client, bytes: bytes.to_vec() }),
            }
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
