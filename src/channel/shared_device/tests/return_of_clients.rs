//! Clients that lose their connection and come back, each in its way: 3.13 with CONNECT and its old id, Hyperion with
//! the request that failed.

use std::sync::atomic::Ordering;

use super::host::*;
use super::*;

/// A connection that says CONNECT with an old id, as 3.13 does, and is told that it has it.
fn reconnect(server: &Server, id: u16) -> Host {
    let mut host = Host::connect(server.address, id);
    assert_eq!(host.ask(CONNECT, 0x01, &[]).data, id.to_be_bytes());
    assert_eq!(host.ask(COMPRESS, 0x30, &[]).data, [0, 0]);
    host
}

#[test]
fn a_client_that_comes_back_finds_its_channel_program_open() {
    let server = Server::new();
    let (mut one, mut two) = (server.host(), server.host());
    for with_connect in [true, false] {
        one.start();
        one.put(9, 30, &[1]);
        let id = one.lose();
        one = if with_connect { reconnect(&server, id) } else { Host::connect(server.address, id) };
        assert_eq!(one.read(9).code, 0, "without a START");
        one.put(9, 31, &[2]);
        assert_eq!(two.ask(START, 0x80, &[]).code, 0x20);
        one.done(END);
        assert_eq!(one.start(), None, "a purge list may have been lost");
        one.done(END);
    }
    assert_eq!(server.client(one.id).writes, 4);
    assert_eq!(server.device.suspect(), None);
}

#[test]
fn the_half_dead_connection_of_a_client_that_is_back_ends() {
    let server = Server::new();
    let mut old = server.host();
    old.start();
    old.put(9, 30, &[1]);
    let mut new = Host::connect(server.address, old.id);
    assert_eq!(new.read(9).code, 0);
    assert!(old.is_closed());
    new.done(END);
    server.until("one client", |server| server.status.clients().len() == 1);
    assert!(server.client(new.id).connected);
}

#[test]
fn an_end_or_a_start_whose_answer_was_lost_is_taken_again() {
    let server = Server::new();
    let mut host = server.host();
    host.start();
    host.done(END);
    let mut host = reconnect(&server, host.lose());
    host.done(END);
    assert_eq!(host.ask(END, 0, &[]).code, 0xf6, "once");
    host.start();
    let mut host = reconnect(&server, host.lose());
    assert_eq!(host.start(), None);
    host.put(1, 30, &[1]);
    host.done(END);
}

#[test]
fn a_client_of_the_server_before_a_restart_goes_on_with_its_id() {
    let server = Server::new();
    let mut host = Host::connect(server.address, 77);
    assert_eq!(host.start(), None);
    host.put(1, 30, &[1]);
    host.done(END);
    // A server that was killed inside of a channel program: the client knows nothing of it.
    let mut host = Host::connect(server.address, 78);
    assert_eq!(host.read(1).code, 0);
    host.put(1, 31, &[1]);
    host.done(END);
    let ids: Vec<_> = (0..20).map(|_| server.host().id).collect();
    assert!(ids.iter().all(|id| ![77, 78].contains(id)), "an id that is known is given to nobody");
}

#[test]
fn the_lock_of_a_client_that_stays_away_goes_to_who_wants_it_and_its_late_write_is_refused() {
    let server = Server::new();
    let (mut one, mut two) = (server.host(), server.host());
    server.gate().set_gone_limit(Duration::ZERO);
    one.start();
    one.put(9, 30, &[1]);
    let id = one.lose();
    assert_eq!(two.start(), None);
    two.put(9, 30, &[2]);
    let mut one = Host::connect(server.address, id);
    assert_eq!(one.write(9, 30, &[3]).code, 0xf6);
    assert_eq!(server.disk.bytes(9, 30, 1), [2]);
    assert!(server.device.suspect().unwrap().contains("came too late"));
    one.done(END);
    two.done(END);
    assert_eq!(one.start(), None);
    one.put(9, 30, &[3]);
}

#[test]
fn a_write_that_comes_without_its_bytes_makes_the_volume_suspect() {
    let server = Server::new();
    let mut host = server.host();
    host.start();
    let mut host = reconnect(&server, host.lose());
    let answer = host.write(33, 29, &[]);
    // The client says it on its console; its guest takes the write for done in any case.
    assert_eq!((answer.code, answer.status), (0xf0, WRITE));
    host.done(END);
    assert_eq!(
        server.device.suspect().unwrap(),
        format!(
            "127.0.0.1 (client {}) lost its connection while it wrote to cyl 2 head 3 of 0150 (work01) at offset 29, and sent \
             the write again without its bytes",
            host.id
        )
    );
    assert_eq!(host.start(), None);
    server.device.clear_suspect();
    assert_eq!(server.device.suspect(), None);
}

#[test]
fn a_write_that_was_answered_before_the_connection_was_lost_proves_nothing_of_the_next() {
    let server = Server::new();
    let mut host = server.host();
    host.start();
    host.put(33, 29, &[1]);
    let mut host = reconnect(&server, host.lose());
    assert_eq!(host.write(33, 29, &[]).code, 0xf0);
    assert!(server.device.suspect().is_some());
}

#[test]
fn a_write_that_was_held_when_the_connection_was_lost_is_done_and_answered_on_the_next() {
    let server = Server::new();
    let mut host = server.host();
    host.start();
    server.disk.is_full.store(true, Ordering::SeqCst);
    host.send_write(33, 29, &[1]);
    server.until("held", |server| server.client(host.id).holding);
    let mut host = Host::connect(server.address, host.lose());
    host.send_write(33, 29, &[]);
    server.disk.is_full.store(false, Ordering::SeqCst);
    assert_eq!(host.receive().code, 0);
    assert_eq!(server.disk.bytes(33, 29, 1), [1]);
    assert_eq!(server.device.suspect(), None);
    host.done(END);
}
