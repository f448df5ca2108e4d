//! Who may come in, and what nonsense leads to.

use super::host::*;
use super::*;

#[test]
fn nonsense_costs_a_client_its_connection_and_nobody_else_anything() {
    let server = Server::new();
    let mut good = server.host();
    good.start();
    // Data that no such command has; of a length that would be waited for.
    for message in [
        &[READ, 0, 0x01, 0x50, 0xff, 0xff, 0, 9][..],
        &[WRITE, 0, 0x01, 0x50, 0xff, 0xff, 0, 9],
        &[WRITE, 0, 0x01, 0x50, 0, 5, 0, 9, 0, 0, 0, 0, 0],
        &[START, 0, 0x01, 0x50, 0, 1, 0, 9, 0],
        &[0xf8, 0x16, 0x01, 0x50, 0, 4, 0, 9, 0, 0, 0, 0],
    ] {
        let mut bad = Host::connect(server.address, 9);
        bad.send_raw(message);
        assert!(bad.is_closed(), "{message:02x?}");
    }
    let mut bad = Host::connect(server.address, 9);
    bad.send_raw(b"GET / HTTP/1.1\r\n\r\n");
    let mut refusal = [0; 2];
    bad.receive_raw(&mut refusal);
    assert_eq!(refusal, [0xf0, b'G']);
    // A request for another device, on a connection that belongs to one.
    let mut bad = server.host();
    bad.send_raw(&[START, 0, 0x01, 0x51, 0, 0, 0, 9]);
    assert!(bad.is_closed());
    good.put(1, 30, &[1]);
    good.done(END);
}

#[test]
fn what_is_off_the_disk_is_an_error_and_the_connection_goes_on() {
    let server = Server::new();
    let mut host = server.host();
    host.start();
    assert_eq!(host.read(16_695).code, 0xf0);
    assert_eq!(host.write(16_695, 0, &[1]).code, 0xf0);
    assert_eq!(host.write(0, 56_832, &[1]).code, 0xf0);
    assert_eq!(host.ask(0xed, 0, &[]).code, 0xf0);
    assert_eq!(host.read(16_694).code, 0);
    host.put(16_694, 56_831, &[1]);
    assert_eq!(server.device.suspect(), None);
}

#[test]
fn a_message_may_come_in_pieces() {
    let server = Server::new();
    let mut host = server.host();
    host.start();
    let [i0, i1] = host.id.to_be_bytes();
    for byte in [WRITE, 0, 0x01, 0x50, 0, 7, i0, i1, 0, 30, 0, 0, 0, 5, 0xaa] {
        host.send_raw(&[byte]);
    }
    assert_eq!(host.receive().code, 0);
    assert_eq!(server.disk.bytes(5, 30, 1), [0xaa]);
}

#[test]
fn an_address_that_no_rule_names_gets_no_device_and_one_that_is_not_allowed_no_connection() {
    let elsewhere = "192.0.2.0/24".parse().unwrap();
    let rules = vec![Rule { addresses: elsewhere, right: Right::ReadWrite }];
    let server = Server::with(DeviceOptions { rules, ..DeviceOptions::default() }, |_| {});
    let mut host = Host::connect(server.address, 0);
    assert_eq!(host.ask(CONNECT, 0x01, &[]).text(), "this address has no right to the device\0");
    let server = Server::with(DeviceOptions::default(), |config| config.allowed = vec![elsewhere]);
    assert!(Host::connect(server.address, 0).is_closed());
}

#[test]
fn more_connections_than_there_may_be_are_closed() {
    let server = Server::with(DeviceOptions::default(), |config| config.most_connections = 2);
    let (one, _two) = (server.host(), server.host());
    assert!(Host::connect(server.address, 0).is_closed());
    let id = one.lose();
    // The slot is free as soon as the server has seen that the client left.
    server.until("gone", |server| !server.client(id).connected);
    let deadline = std::time::Instant::now() + LONG;
    loop {
        let mut host = Host::connect(server.address, id);
        if host.try_ask(QUERY, 0x48).is_some() {
            break;
        }
        assert!(std::time::Instant::now() < deadline);
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let server = Server::with(DeviceOptions::default(), |config| config.limits.greeting = Duration::from_millis(5));
    assert!(Host::connect(server.address, 0).is_closed());
}

#[test]
fn of_the_clients_that_are_gone_the_last_are_remembered() {
    let server = Server::new();
    let mut holder = server.host();
    holder.start();
    let holder = holder.lose();
    server.until("gone", |server| !server.client(holder).connected);
    for _ in 0..40 {
        let id = server.host().lose();
        server.until("gone", |server| !server.client(id).connected);
    }
    let clients = server.status.clients();
    assert!(clients.len() <= 33, "{}", clients.len());
    assert!(clients.iter().any(|client| client.id == holder && client.in_bracket), "one with an open channel program stays");
}

#[test]
fn a_socket_in_the_file_system_serves_as_well_and_a_dead_one_is_replaced() {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hercules_shared.3990");
    drop(UnixListener::bind(&path).unwrap());
    let mut server = Server::with(DeviceOptions::default(), |config| config.listeners = vec![Listener::Unix(path.clone())]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(&[CONNECT, 0x01, 0x01, 0x50, 0, 0, 0, 0]).unwrap();
    let mut reply = [0xff; 10];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply[..6], [0, 1, 0x01, 0x50, 0, 2]);
    assert_eq!(server.status.clients()[0].peer, "local");
    // Two servers on one name: the second is refused.
    let config = SharedDeviceConfig { listeners: vec![Listener::Unix(path.clone())], ..SharedDeviceConfig::default() };
    let second = server.runtime.block_on(SharedDeviceServer::bind(config, []));
    assert!(matches!(second, Err(ServerError::Listen { .. })));
    server.begin_stop();
    server.ended();
    assert!(!path.exists());
}
