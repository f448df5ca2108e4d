//! What a client hears when it attaches; requests and replies as in the exchange that was captured between Hercules
//! 3.13 and its own server.

use super::host::*;
use super::*;

#[test]
fn a_3390_describes_itself() {
    let server = Server::new();
    let mut host = server.host();
    let data = |answer: Answer| (answer.code, answer.status, answer.data);
    assert_eq!(data(host.ask(COMPRESS, 0x30, &[])), (0, 0, vec![0, 0]));
    assert_eq!(data(host.ask(QUERY, 0x48, &[])), (0, 0, vec![0x00, 0x00, 0x04, 0x59]));
    let characteristics = host.ask(QUERY, 0x41, &[]);
    assert_eq!(characteristics.data.len(), 64);
    assert_eq!(
        characteristics.data[..16],
        [0x39, 0x90, 0xc2, 0x33, 0x90, 0x02, 0xd0, 0, 0, 0, 0x20, 0x26, 0x04, 0x59, 0x00, 0x0f]
    );
    let sense_id = [0xff, 0x39, 0x90, 0xc2, 0x33, 0x90, 0x02, 0x00, 0x40, 0xfa, 0x01, 0x00];
    assert_eq!(data(host.ask(QUERY, 0x42, &[])), (0, 0, sense_id.to_vec()));
    // 16,695 tracks, the last of which is the highest; as a query, and as the command that clients make of it.
    for (command, flags) in [(QUERY, 0x43), (0x43, 0)] {
        assert_eq!(data(host.ask(command, flags, &[])), (0, 0, vec![0x00, 0x00, 0x41, 0x36]));
    }
    // What a server of release 1 does not know.
    for flags in [0x44, 0x45, 0x4c, 0x99] {
        assert_eq!(host.ask(QUERY, flags, &[]).code, 0xf0);
    }
    host.done(DISCONNECT);
    assert!(host.is_closed());
    server.until("forgotten", |server| server.status.clients().is_empty());
}

#[test]
fn a_track_is_sent_from_its_home_address_to_its_end_mark() {
    let server = Server::new();
    let mut host = server.host();
    assert_eq!(host.start(), None);
    // Cylinder 2, head 3: five bytes of home address, R0, and the end mark.
    let mut track = vec![0, 0, 2, 0, 3, 0, 2, 0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    track.extend([0xff; 8]);
    let answer = host.read(33);
    assert_eq!((answer.code, answer.status, answer.data), (0, 0, track.clone()));
    // A record where the end mark was, with a new end mark behind it.
    let mut record = vec![0, 2, 0, 3, 1, 0, 2, 0];
    record.extend([0xc8; 512]);
    record.extend([0xff; 8]);
    host.put(33, 21, &record);
    track.truncate(21);
    track.extend(record);
    assert_eq!(host.read(33).data, track);
    host.done(END);
    assert_eq!(server.disk.bytes(33, 0, track.len()), track);
}

#[test]
fn a_track_whose_records_do_not_end_is_sent_as_a_whole_slot() {
    let server = Server::new();
    let mut host = server.host();
    host.start();
    host.put(1, 21, &[0, 0, 0, 1, 1, 0, 0xff, 0xff]);
    assert_eq!(host.read(1).data.len(), 56_832);
}

#[test]
fn compression_is_used_by_who_asks_for_it() {
    let server = Server::new();
    let mut host = server.host();
    assert_eq!(host.ask(COMPRESS, 0x34, &[]).data, [0, 4]);
    host.start();
    // zlib stream of 2,000 letters C1, made by Python's zlib.
    let stream = [
        0x78, 0x01, 0x3b, 0x78, 0x70, 0x14, 0x8c, 0x86, 0xc0, 0x68, 0x08, 0x8c, 0x86, 0xc0, 0x68, 0x08, 0x8c, 0x86, 0xc0, 0x68,
        0x08, 0x0c, 0xf5, 0x10, 0x00, 0x00, 0x37, 0x92, 0xe4, 0x1c,
    ];
    let data = [&[0, 29, 0, 0, 0, 33][..], &stream].concat();
    assert_eq!(host.ask(0xf9, 0x16, &data).code, 0);
    assert_eq!(server.disk.bytes(33, 29, 2000), [0xc1; 2000]);
    // One record of 2,000 bytes is on the track now.
    host.put(33, 21, &[0, 2, 0, 3, 1, 0, 0x07, 0xd0]);
    host.put(33, 2029, &[0xff; 8]);
    let answer = host.read(33);
    assert_eq!((answer.code, answer.status), (0x10, 0x15));
    assert_eq!(answer.data[..5], [0, 0, 2, 0, 3]);
    let mut track = vec![0; 2032];
    assert_eq!(libdeflater::Decompressor::new().zlib_decompress(&answer.data[5..], &mut track), Ok(2032));
    assert_eq!(track, server.disk.bytes(33, 5, 2032));
}

#[test]
fn a_device_that_is_not_there_and_a_version_that_is_another_are_refused_in_words() {
    let server = Server::new();
    let mut host = Host::connect(server.address, 0);
    host.send_raw(&[CONNECT, 0x01, 0x01, 0x50, 0, 0, 0, 0]);
    assert_eq!(host.receive().code, 0);
    let mut host = Host::connect(server.address, 0);
    assert_eq!(host.ask(CONNECT, 0x11, &[]).code, 0xf1);
    let mut host = Host::connect(server.address, 0);
    let answer = host.ask(START, 0, &[]);
    assert_eq!((answer.code, answer.status, answer.text().as_str()), (0xf3, START, "CONNECT comes first\0"));
    assert!(host.is_closed());
    let mut host = Host::connect(server.address, 0);
    host.send_raw(&[CONNECT, 0x01, 0x04, 0x10, 0, 0, 0, 0]);
    let mut reply = [0; 8 + 17];
    host.receive_raw(&mut reply);
    assert_eq!(reply[..8], [0xf7, 0xe0, 0x04, 0x10, 0x00, 0x11, 0, 0]);
    assert_eq!(reply[8..], *b"device not found\0");
}
