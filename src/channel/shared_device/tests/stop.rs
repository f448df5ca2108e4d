//! A stop: connections are closed between channel programs, where it harms nobody.

use std::sync::atomic::Ordering;

use super::host::*;
use super::*;

#[test]
fn a_stop_lets_channel_programs_end_and_begins_none() {
    let mut server = Server::new();
    let (mut idle, mut busy, mut waiting) = (server.host(), server.host(), server.host());
    busy.start();
    waiting.send(START, 0, &[]);
    server.begin_stop();
    assert!(idle.is_closed());
    assert!(waiting.is_closed(), "it will be sent again to the next server");
    busy.put(1, 30, &[1]);
    assert_eq!(busy.read(1).code, 0);
    busy.done(END);
    assert!(busy.is_closed());
    server.ended();
    assert_eq!(server.disk.bytes(1, 30, 1), [1]);
    assert!(!server.gate().activity().held);
}

#[test]
fn a_stop_waits_for_no_channel_program_for_ever() {
    let mut server = Server::with(DeviceOptions::default(), |config| config.limits.stop = Duration::from_millis(20));
    let (mut open, mut held) = (server.host(), server.host());
    held.start();
    server.disk.is_full.store(true, Ordering::SeqCst);
    held.send_write(1, 30, &[1]);
    server.until("held", |server| server.client(held.id).holding);
    open.send(START, 0, &[]);
    server.begin_stop();
    server.ended();
    assert!(open.is_closed());
    // An error makes the client say so; without one it would send the write again without its bytes.
    assert_eq!(held.receive().code, 0x40);
    assert!(held.is_closed());
    assert!(server.device.suspect().is_some());
}
