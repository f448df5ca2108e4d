//! Errors: a write that can't be done is held, a read that can't be done is told.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use super::host::*;
use super::*;
use crate::gate::{Refusal, Still, StillLimits, Watcher};
use crate::volume::UnitIndex;

#[test]
fn a_write_to_a_full_disk_is_answered_when_there_is_room() {
    let server = Server::new();
    let mut host = server.host();
    host.start();
    server.disk.is_full.store(true, Ordering::SeqCst);
    host.send_write(4, 30, b"dear");
    server.until("tried again", |server| server.disk.refused_writes.load(Ordering::SeqCst) > 3);
    assert!(server.client(host.id).holding);
    server.disk.is_full.store(false, Ordering::SeqCst);
    assert_eq!(host.receive(), Answer { code: 0, status: 0, data: vec![] });
    assert_eq!(server.disk.bytes(4, 30, 4), b"dear");
    let client = server.client(host.id);
    assert_eq!((client.holding, client.writes, client.held_writes, client.failed_writes), (false, 1, 1, 0));
    assert_eq!(server.device.suspect(), None);
}

#[test]
fn a_write_that_is_held_for_too_long_fails_and_the_volume_is_suspect() {
    let server = Server::with(DeviceOptions::default(), |config| config.limits.hold = Duration::from_millis(5));
    let mut host = server.host();
    host.start();
    server.disk.is_full.store(true, Ordering::SeqCst);
    let answer = host.write(4, 30, &[1]);
    assert_eq!((answer.code, answer.status), (0x40, 0x0e));
    assert!(server.device.suspect().unwrap().contains("cyl 0 head 4 of 0150 (work01) failed"));
    host.done(END);
    assert_eq!(host.start(), None);
}

#[test]
fn a_track_that_can_not_be_read_is_named_by_the_next_start() {
    let server = Server::new();
    let mut host = server.host();
    host.start();
    host.done(END);
    host.start();
    server.disk.is_broken.store(true, Ordering::SeqCst);
    let answer = host.read(21);
    assert_eq!((answer.code, answer.status, answer.data.len()), (0x40, 0x0e, 0));
    let sense = host.ask(SENSE, 0, &[]);
    assert_eq!((sense.code, sense.status, sense.data.len()), (0, 0x0c, 32));
    assert_eq!(sense.data[..2], [0x10, 0], "equipment check");
    assert_eq!(host.ask(SENSE, 0, &[]).data, [0; 32]);
    host.done(END);
    server.disk.is_broken.store(false, Ordering::SeqCst);
    assert_eq!(host.start(), Some(vec![21]));
    assert_eq!(host.read(21).code, 0);
    host.done(END);
    assert_eq!(host.start(), Some(vec![]));
}

#[test]
fn a_write_to_a_device_that_may_be_read_only_is_refused() {
    let rules = vec![Rule { addresses: loopback().into(), right: Right::Read }];
    let by_right = Server::with(DeviceOptions { rules, ..DeviceOptions::default() }, |_| {});
    let by_disk = Server::new();
    by_disk.disk.is_read_only.store(true, Ordering::SeqCst);
    for server in [by_right, by_disk] {
        let mut host = server.host();
        host.start();
        assert_eq!(host.read(4).code, 0);
        let answer = host.write(4, 30, &[1]);
        assert_eq!((answer.code, answer.status), (0x40, 0x0e));
        assert_eq!(host.ask(SENSE, 0, &[]).data[..2], [0x80, 0x02], "command reject, write inhibited");
        assert_eq!(server.disk.bytes(4, 30, 1), [0]);
        assert!(!server.client(host.id).may_write);
        assert_eq!(server.client(host.id).failed_writes, 1);
        assert_eq!(server.device.suspect(), None);
        host.done(END);
        assert_eq!(host.start(), None, "the client has the bytes in its cache, and the disk has not");
    }
}

/// Keeps writes until it is told to let go.
struct Keeping(std::sync::Mutex<mpsc::Receiver<()>>, std::sync::atomic::AtomicBool);

impl Watcher for Keeping {
    fn lets_pass(&self, unit: UnitIndex) -> bool {
        unit.0 != 4 || self.1.load(Ordering::SeqCst)
    }

    fn before_write(&self, _unit: UnitIndex, _writer: &str) -> Result<(), Refusal> {
        self.0.lock().unwrap().recv().unwrap();
        self.1.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn is_over(&self) -> bool {
        false
    }
}

#[test]
fn a_session_that_keeps_a_write_keeps_no_other_client_from_its_device() {
    let server = Server::new();
    let mut host = server.host();
    let (tell, told) = mpsc::channel();
    let gates = [Arc::clone(server.device.gate())];
    let still = Still::of(&gates, StillLimits::default()).unwrap();
    still.add_watcher(&gates[0], Arc::new(Keeping(told.into(), false.into())));
    drop(still);
    host.start();
    host.put(5, 30, &[1]);
    assert_eq!(server.client(host.id).held_writes, 0);
    host.send_write(4, 30, &[1]);
    // Two workers serve all connections, and neither is blocked.
    for _ in 0..4 {
        assert_eq!(server.host().ask(QUERY, 0x48, &[]).code, 0);
    }
    assert_eq!(server.disk.bytes(4, 30, 1), [0]);
    tell.send(()).unwrap();
    assert_eq!(host.receive().code, 0);
    assert_eq!(server.disk.bytes(4, 30, 1), [1]);
    assert_eq!(server.client(host.id).held_writes, 1);
    host.put(4, 30, &[2]);
    assert_eq!(server.client(host.id).held_writes, 1);
}
