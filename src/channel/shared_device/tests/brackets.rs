//! Several clients on one device.

use std::sync::atomic::Ordering;

use super::host::*;
use super::*;

#[test]
fn a_client_is_told_what_others_changed_and_not_what_it_changed_itself() {
    let server = Server::new();
    let (mut one, mut two) = (server.host(), server.host());
    for host in [&mut one, &mut two] {
        assert_eq!(host.start(), None, "the first START voids the cache");
        host.done(END);
    }
    assert_eq!(one.start(), Some(vec![]));
    for track in [300, 33, 300] {
        one.put(track, 5, &[0]);
    }
    one.done(END);
    assert_eq!(two.start(), Some(vec![300, 33]));
    two.done(END);
    assert_eq!(two.start(), Some(vec![]));
    two.done(END);
    assert_eq!(one.start(), Some(vec![]));
    for track in 0..17 {
        one.put(track, 5, &[0]);
    }
    one.done(END);
    assert_eq!(two.start(), None, "more than sixteen are told as all");
    two.done(END);
    server.gate().everything_changed();
    assert_eq!(two.start(), None);
}

#[test]
fn a_start_waits_for_the_end_of_the_other_channel_program() {
    let server = Server::new();
    let (mut one, mut two) = (server.host(), server.host());
    two.start();
    two.done(END);
    one.start();
    two.send(START, 0, &[]);
    // The other one works on, and what it does is known to the one that waits.
    one.put(7, 5, &[0]);
    one.done(END);
    assert_eq!(Host::changed(&two.receive()), Some(vec![7]));
    assert_eq!(one.ask(START, 0x80, &[]).code, 0x20, "busy, for one that does not want to wait");
    two.done(END);
    assert_eq!(one.ask(START, 0x80, &[]).code, 0);
    // SUSPEND and RESUME are END and START.
    one.done(0xe5);
    assert_eq!(Host::changed(&two.ask(START, 0x80, &[])), Some(vec![]));
    two.done(END);
    assert_eq!(one.ask(0xe4, 0, &[]).code, 0);
}

#[test]
fn a_start_whose_client_has_left_opens_nothing() {
    let server = Server::new();
    let (mut one, mut two) = (server.host(), server.host());
    server.gate().set_gone_limit(Duration::ZERO);
    one.start();
    two.send(START, 0, &[]);
    let id = two.lose();
    server.until("gone", |server| !server.client(id).connected);
    one.done(END);
    assert_eq!(one.ask(START, 0x80, &[]).code, 0, "nobody has the device");
}

#[test]
fn a_reserve_lasts_over_end() {
    let server = Server::new();
    let (mut one, mut two) = (server.host(), server.host());
    assert_eq!(one.ask(RESERVE, 0, &[]).code, 0xf6);
    one.start();
    one.done(RESERVE);
    one.done(END);
    assert!(server.client(one.id).reserved);
    assert_eq!(two.ask(START, 0x80, &[]).code, 0x20);
    one.start();
    one.done(RELEASE);
    one.done(END);
    assert_eq!(two.ask(START, 0x80, &[]).code, 0x08);
    two.done(RESERVE);
    two.done(END);
    two.done(DISCONNECT);
    assert!(two.is_closed());
    server.until("released", |server| !server.gate().activity().held);
}

#[test]
fn outside_of_a_channel_program_nothing_is_read_or_written() {
    let server = Server::new();
    let mut host = server.host();
    let refused = [host.read(0), host.write(0, 5, &[1]), host.ask(RELEASE, 0, &[]), host.ask(END, 0, &[])];
    assert_eq!(refused.map(|answer| answer.code), [0xf6; 4]);
    host.start();
    host.done(END);
    let refused = [host.read(0), host.write(0, 5, &[1]), host.ask(RELEASE, 0, &[]), host.ask(END, 0, &[])];
    assert_eq!(refused.map(|answer| answer.code), [0xf6; 4]);
    assert_eq!(server.disk.bytes(0, 5, 1), [0]);
    assert_eq!(server.gate().activity().writes, 0);
}

#[test]
fn t0_is_never_inside_a_channel_program() {
    let server = Server::new();
    let mut host = server.host();
    host.start();
    let limits = crate::gate::StillLimits { limit: Duration::from_millis(20), ..Default::default() };
    let gates = [Arc::clone(server.device.gate())];
    let held = crate::gate::Still::of(&gates, limits).unwrap_err();
    assert_eq!(held.client, Some(format!("127.0.0.1 (client {})", host.id)));
    host.done(END);
    let still = crate::gate::Still::of(&gates, limits).unwrap();
    host.send(START, 0, &[]);
    drop(still);
    assert_eq!(host.receive().code, 0);
}

#[test]
fn end_is_answered_when_what_was_written_is_on_stable_storage() {
    let server = Server::with(DeviceOptions { sync: SyncPolicy::Bracket, ..DeviceOptions::default() }, |_| {});
    let mut host = server.host();
    host.start();
    host.read(3);
    host.done(END);
    assert_eq!(server.disk.syncs.load(Ordering::SeqCst), 0);
    host.start();
    host.put(3, 5, &[1]);
    host.done(END);
    assert_eq!(server.disk.syncs.load(Ordering::SeqCst), 1);
    let server = Server::new();
    let mut host = server.host();
    host.start();
    host.put(3, 5, &[1]);
    host.done(END);
    assert_eq!(server.disk.syncs.load(Ordering::SeqCst), 0);
}
