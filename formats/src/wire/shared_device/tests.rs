//! Messages as they were captured between Hercules 3.13 and its own server, device 0100, a 3390-1.

use proptest::prelude::*;

use super::*;

const UNIT_BYTES: usize = 56_832;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(|character| !character.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

/// Parses a whole message and gives what it was told as text.
fn parsed(message: &[u8]) -> Result<String, RequestError> {
    let header = Header::parse(message).unwrap();
    assert_eq!(header.message_bytes(), message.len());
    RequestParser::new(UNIT_BYTES).parse(&header, &message[HEADER_BYTES..]).map(|request| format!("{request:?}"))
}

fn header(hex: &str) -> Header {
    Header::parse(&bytes(hex)).unwrap()
}

#[test]
fn requests_of_a_client_that_attaches_and_works() {
    let seen = [
        ("e001 0100 0000 0000", "Connect { version: 0, release: 1 }"),
        ("ec30 0100 0000 0002", "Compress { methods: 3, level: 0 }"),
        ("eb48 0100 0000 0002", "Query(Cylinders)"),
        ("eb41 0100 0000 0002", "Query(Characteristics)"),
        ("eb42 0100 0000 0002", "Query(SenseId)"),
        ("e200 0100 0000 0002", "Start { no_wait: false }"),
        ("e800 0100 0004 0002 00000021", "Read { unit: 33 }"),
        ("e900 0100 0008 0002 001d 00000021 c8c7", "Write { unit: 33, offset: 29, bytes: [200, 199] }"),
        ("e900 0100 0006 0002 0015 00000021", "Write { unit: 33, offset: 21, bytes: [] }"),
        ("e300 0100 0000 0002", "End"),
        ("e100 0100 0000 0002", "Disconnect"),
        // A copy program's question, with its flag in the place of the command.
        ("4300 0100 0000 0002", "Query(Used)"),
    ];
    for (message, request) in seen {
        assert_eq!(parsed(&bytes(message)).unwrap(), request);
    }
    let header = header("e900 0100 082e 0002");
    assert_eq!((header.device.get(), header.length.get(), header.client.get()), (0x100, 2094, 2));
}

#[test]
fn requests_that_are_not_seen_but_allowed() {
    assert_eq!(parsed(&bytes("e280 0100 0000 0002")).unwrap(), "Start { no_wait: true }");
    assert_eq!(parsed(&bytes("e400 0100 0000 0002")).unwrap(), "Start { no_wait: false }");
    assert_eq!(parsed(&bytes("e500 0100 0000 0002")).unwrap(), "End");
    assert_eq!(parsed(&bytes("e600 0100 0000 0002")).unwrap(), "Reserve");
    assert_eq!(parsed(&bytes("e700 0100 0000 0002")).unwrap(), "Release");
    assert_eq!(parsed(&bytes("ea00 0100 0000 0002")).unwrap(), "Sense");
}

#[test]
fn no_length_but_the_commands_own_is_taken() {
    for (message, length) in [
        ("e800 0100 0003 0002 000021", 3),
        ("e800 0100 0005 0002 0000002100", 5),
        ("e900 0100 0005 0002 0015000000", 5),
        ("e200 0100 0001 0002 00", 1),
    ] {
        let error = parsed(&bytes(message)).unwrap_err();
        assert!(matches!(error, RequestError::Length { length: found, .. } if found == length), "{error}");
    }
    let slot = |length: usize| {
        let mut message = bytes("e900 0100 0000 0002 0000 00000021");
        message.resize(HEADER_BYTES + WRITE_PREFIX_BYTES + length, 0);
        let data_bytes = u16::try_from(message.len() - HEADER_BYTES).unwrap();
        message[4..6].copy_from_slice(&data_bytes.to_be_bytes());
        parsed(&message)
    };
    assert!(slot(UNIT_BYTES).is_ok());
    assert!(matches!(slot(UNIT_BYTES + 1), Err(RequestError::Length { .. })));
    assert_eq!(parsed(&bytes("ed00 0100 0000 0002")), Err(RequestError::Command(0xed)));
    assert_eq!(parsed(&bytes("eb40 0100 0000 0002")), Err(RequestError::Query(0x40)));
}

/// The message begins as a client's did: `f9 16 .. 00 15 00 00 00 3f 78 5e`. The streams are Python's `zlib.compress`
/// (level 1) and `bz2.compress` of 2,000 letters C1.
#[test]
fn a_compressed_write_is_expanded_behind_its_prefix() {
    let zlib = "78013b7870148c86c068088c86c068088c86c068080cf51000003792e41c";
    let bzip2 = "425a68393141592653593749108e0000038006a00008000008200020a93d4198b6a078bb9229c28481ba488470";
    for (flags, stream) in [(0x16, zlib), (0x26, bzip2)] {
        let mut message = bytes("f900 0100 0000 0002 0015 0000003f");
        message[1] = flags;
        message.extend(bytes(stream));
        let data_bytes = u16::try_from(message.len() - HEADER_BYTES).unwrap();
        message[4..6].copy_from_slice(&data_bytes.to_be_bytes());
        let header = Header::parse(&message).unwrap();
        let mut parser = RequestParser::new(UNIT_BYTES);
        let request = parser.parse(&header, &message[HEADER_BYTES..]).unwrap();
        assert_eq!(request, Request::Write { unit: 63, offset: 21, bytes: &[0xc1; 2000] });
        // A device with smaller units takes no such write.
        let error = RequestParser::new(1999).parse(&header, &message[HEADER_BYTES..]).unwrap_err();
        assert_eq!(error, RequestError::Compressed(CompressedDefect::Stream));
    }
    assert!(matches!(parsed(&bytes("f816 0100 0004 0002 00000021")), Err(RequestError::Compressed(_))));
    assert!(matches!(parsed(&bytes("f936 0100 0006 0002 0015 0000003f")), Err(RequestError::Compressed(_))));
}

#[test]
fn replies_as_a_client_takes_them() {
    let mut reply = Reply::default();
    reply.connected(&header("e001 0100 0000 0000"), 0, 1, 2);
    assert_eq!(reply.bytes(), bytes("0001 0100 0002 0002 0002"));
    reply.done(&header("ec30 0100 0000 0002"), &[0, 0]);
    assert_eq!(reply.bytes(), bytes("0000 0100 0002 0002 0000"));
    reply.done(&header("eb48 0100 0000 0002"), &1113_u32.to_be_bytes());
    assert_eq!(reply.bytes(), bytes("0000 0100 0004 0002 00000459"));
    let start = header("e200 0100 0000 0004");
    reply.started(&start, None);
    assert_eq!(reply.bytes(), bytes("0800 0100 0000 0004"));
    reply.started(&start, Some(&[300]));
    assert_eq!(reply.bytes(), bytes("0800 0100 0004 0004 0000012c"));
    reply.started(&start, Some(&[]));
    assert_eq!(reply.bytes(), bytes("0000 0100 0000 0004"));
    reply.started(&start, Some(&[0; 17]));
    assert_eq!(reply.bytes(), bytes("0800 0100 0000 0004"));
    reply.device_error(&header("e800 0100 0004 0002"), 0x0e);
    assert_eq!(reply.bytes(), bytes("400e 0100 0000 0002"));
    // Hercules 3.13's server to a client that asks for a device that it has not.
    reply.error(&header("e001 0410 0000 0000"), Code::NoDevice, "device not found");
    assert_eq!(reply.bytes(), bytes("f7e0 0410 0011 0000 646576696365206e6f7420666f756e6400"));
    reply.error(&header("e001 0410 0000 0000"), Code::NoDevice, &"x".repeat(300));
    assert_eq!(reply.bytes().len(), HEADER_BYTES + 255);
}

#[test]
fn a_track_is_sent_compressed_to_who_asked_for_it_and_expands_to_itself() {
    let read = header("e800 0300 0004 0001");
    let mut track = bytes("0000020003");
    track.resize(4000, 0xc1);
    let mut reply = Reply::default();
    reply.room(UNIT_BYTES)[..track.len()].copy_from_slice(&track);
    reply.unit(&read, track.len());
    assert_eq!(reply.bytes()[..8], bytes("0000 0300 0fa0 0001"));
    assert_eq!(reply.bytes()[8..], track);
    reply.set_level(1);
    reply.unit(&read, track.len());
    let (head, data) = reply.bytes().split_at(HEADER_BYTES);
    assert_eq!(head[..2], [0x10, 0x15]);
    assert_eq!(data.len(), usize::from(u16::from_be_bytes([head[4], head[5]])));
    assert_eq!(data[..5], track[..5]);
    assert!(data.len() < 100);
    let mut expanded = vec![0; 3995];
    assert_eq!(libdeflater::Decompressor::new().zlib_decompress(&data[5..], &mut expanded), Ok(3995));
    assert_eq!(expanded, track[5..]);
}

proptest! {
    #[test]
    fn any_bytes_parse_or_fail(message in prop::collection::vec(any::<u8>(), 8..200)) {
        let header = Header::parse(&message).unwrap();
        let _ = RequestParser::new(UNIT_BYTES).parse(&header, &message[HEADER_BYTES..]);
    }
}
