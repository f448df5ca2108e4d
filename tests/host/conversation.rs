//! The shared device server says what a stock server said, to the byte, to what a stock client said.
//!
//! The conversation is that of two stock Hercules 3.13, recorded by the test that is ignored here.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use guest::{Disk, Model, Parameters};
use tapegate::channel::shared_device::{DeviceOptions, Listener, SharedDevice, SharedDeviceConfig, SharedDeviceServer};
use tapegate::gate::VolumeGate;
use tapegate::volume::create::{CreateOptions, NewImage};
use tapegate::volume::{ImageFormat, OpenOptions, Shape, Volume};
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;

use crate::common::fixture;
use crate::guest_program::Guest;
use crate::hercules::{Host, dasdinit, free_port};
use crate::recorder::Recorder;

/// The conversation.
const CONVERSATION: &str = "shared-device.conversation";
/// A seed with which the guest chooses short tracks, to keep the file small.
const SHORT_TRACKS: u32 = 1107;
/// Operations of the guest.
const OPERATIONS: u32 = 30;
/// The tracks that it writes.
const TRACKS: std::ops::Range<u32> = 15..18;
/// Commands of the protocol.
const DISCONNECT: u8 = 0xe1;
const START: u8 = 0xe2;
const END: u8 = 0xe3;
const READ: u8 = 0xe8;
/// Offset of the client's id in every message.
const ID: std::ops::Range<usize> = 6..8;

/// Requests, each with its answer.
fn exchanges() -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = fs::read_to_string(fixture(CONVERSATION)).unwrap();
    let bytes = |digits: &str| -> Vec<u8> {
        let pairs = digits.as_bytes().chunks_exact(2);
        pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    };
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let exchange = |pair: &[&str]| {
        let (asked, answered) = (pair[0].strip_prefix("C ").unwrap(), pair[1].strip_prefix("S ").unwrap());
        (bytes(asked), bytes(answered))
    };
    lines.chunks_exact(2).map(exchange).collect()
}

/// Sends a request and takes its answer.
fn ask(client: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    client.write_all(request).unwrap();
    let mut answer = vec![0; 8];
    client.read_exact(&mut answer).unwrap();
    answer.resize(8 + usize::from(u16::from_be_bytes([answer[4], answer[5]])), 0);
    client.read_exact(&mut answer[8..]).unwrap();
    answer
}

/// Reads what the guest wrote, in a bracket of its own.
fn assert_tracks_are_written(client: &mut TcpStream, id: [u8; 2]) {
    let mut model = Model::new(&parameters());
    model.advance_to(OPERATIONS);
    ask(client, &[&[START, 0, 1, 0x50, 0, 0], &id[..]].concat());
    for track in TRACKS {
        let answer = ask(client, &[&[READ, 0, 1, 0x50, 0, 4], &id[..], &track.to_be_bytes()].concat());
        let expected = [&model.contents(0, track).unwrap()[..], &[0xff; 8]].concat();
        assert_eq!(answer[8..], expected, "track {track}");
    }
    ask(client, &[&[END, 0, 1, 0x50, 0, 0], &id[..]].concat());
}

fn parameters() -> Parameters {
    let disk = Disk::ckd(0x150, TRACKS.start, TRACKS.len() as u32).with_mix(Disk::MIXED_WITH_PAIRS);
    Parameters::new(SHORT_TRACKS, vec![disk])
}

#[test]
fn a_stock_client_hears_what_a_stock_server_said() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("volume.ckd");
    let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, 2).unwrap());
    NewImage::create(&image, &shape, &CreateOptions::new(ImageFormat::Ckd)).unwrap().finish(false).unwrap();
    let volume = Volume::open_for_update(&image, &OpenOptions::default()).unwrap();
    let gate = VolumeGate::new("volume", Arc::new(volume));
    let device = SharedDevice::new(0x150, gate, DeviceOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = SharedDeviceConfig { listeners: vec![Listener::Tcp(([127, 0, 0, 1], 0).into())], ..Default::default() };
    let server = runtime.block_on(SharedDeviceServer::bind(config, [device])).unwrap();
    let address = server.local_addresses()[0];
    runtime.spawn(server.run(std::future::pending()));

    let mut client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut id = [0, 0];
    for (number, (mut asked, mut expected)) in exchanges().into_iter().enumerate() {
        asked[ID].copy_from_slice(&id);
        if asked[0] == DISCONNECT {
            assert_tracks_are_written(&mut client, id);
        }
        let answer = ask(&mut client, &asked);
        if number == 0 {
            // The answer to CONNECT gives the id, which is the server's to choose.
            id.copy_from_slice(&answer[ID]);
            expected[8..10].copy_from_slice(&id);
        }
        expected[ID].copy_from_slice(&id);
        assert_eq!(answer, expected, "exchange {number}: to {:02x?}", &asked[..asked.len().min(32)]);
    }
}

/// Records what a stock client and a stock server say to each other: attach, then 30 operations on three tracks.
///
/// The server's image is one of `dasdinit 3390 CONV01 2`, of which the client's first read of each track shows the
/// content.
#[test]
#[ignore = "makes a fixture"]
fn record_a_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let (server_folder, client_folder) = (folder.path().join("server"), folder.path().join("client"));
    fs::create_dir(&server_folder).unwrap();
    dasdinit(&server_folder.join("volume.ckd"), "3390", "CONV01", 2);
    let port = free_port();
    let server = Host::start(&server_folder, &[format!("SHRDPORT {port}"), "0150 3390 volume.ckd".to_owned()]);
    let recorder = Recorder::before(port);
    let client = Host::start(&client_folder, &[format!("0150 3390 127.0.0.1:{}:0150", recorder.port)]);
    let mut guest = Guest::load(client, &client_folder, &parameters());
    guest.run_to(OPERATIONS);
    guest.host.quit();
    server.quit();
    let mut text = "# A stock Hercules 3.13 client (C) and server (S), in hexadecimal, one message a line.\n".to_owned();
    for said in recorder.said() {
        let digits: String = said.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!("{} {digits}\n", if said.by_client { 'C' } else { 'S' }));
    }
    fs::write(fixture(CONVERSATION), text).unwrap();
}
