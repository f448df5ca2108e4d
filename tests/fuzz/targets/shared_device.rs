//! Any message of a shared device client is a request or an error, and no request has more than a unit.
//!
//! Input: messages, one behind the other, of a client of a 3390; as on a connection, each as long as its header says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::wire::shared_device::{HEADER_BYTES, Header, Reply, Request, RequestParser};

/// A slot of a 3390.
const UNIT_BYTES: usize = 56_832;

fuzz_target!(|input: &[u8]| {
    let mut parser = RequestParser::new(UNIT_BYTES);
    let mut reply = Reply::default();
    let mut rest = input;
    while let Some(header) = Header::parse(rest) {
        let Some((message, next)) = rest.split_at_checked(header.message_bytes()) else { return };
        rest = next;
        match parser.parse(&header, &message[HEADER_BYTES..]) {
            Ok(Request::Write { bytes, .. }) => assert!(bytes.len() <= UNIT_BYTES),
            Ok(Request::Compress { level, .. }) => reply.set_level(level),
            Ok(Request::Read { unit }) => {
                // Whatever a track holds, its reply is a whole message.
                let length = (unit as usize) % (UNIT_BYTES + 1);
                let from = &input[..input.len().min(length)];
                reply.room(UNIT_BYTES)[..from.len()].copy_from_slice(from);
                reply.unit(&header, length);
                assert_eq!(Header::parse(reply.bytes()).map(|header| header.message_bytes()), Some(reply.bytes().len()));
            }
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
