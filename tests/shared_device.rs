//! Hercules 3.13, unchanged, uses volumes through the shared device server.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tapegate::channel::shared_device::{
    DeviceOptions, Listener, SharedDevice, SharedDeviceConfig, SharedDeviceServer, StatusHandle,
};
use tapegate::gate::VolumeGate;
use tapegate::volume::create::{CreateOptions, NewImage};
use tapegate::volume::{ImageFormat, OpenOptions, Shape, UnitIndex, Volume};
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::tape::unit::UnitKind;
use tempfile::tempdir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use common::has;

/// A server with its devices, in a runtime of its own.
struct Served {
    runtime: Runtime,
    port: u16,
    status: StatusHandle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    fn new(devices: Vec<Arc<SharedDevice>>) -> Self {
        let runtime = Runtime::new().unwrap();
        let listeners = vec![Listener::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))];
        let config = SharedDeviceConfig { listeners, ..SharedDeviceConfig::default() };
        let server = runtime.block_on(SharedDeviceServer::bind(config, devices)).unwrap();
        let (port, status) = (server.local_addresses()[0].port(), server.status());
        let (stop, stopped) = oneshot::channel();
        let task = runtime.spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Self { runtime, port, status, stop, task }
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.runtime.block_on(self.task).unwrap();
    }
}

/// A new volume without records, but for those of the tracks that are given.
fn volume(path: &Path, device: DeviceType, cylinders: u32, tracks: &[(u32, Vec<u8>)]) -> Arc<VolumeGate> {
    let shape = Shape::Ckd(Geometry::standard(device, cylinders).unwrap());
    let image = NewImage::create(path, &shape, &CreateOptions::new(ImageFormat::Ckd)).unwrap();
    for index in 0..shape.units() {
        let track = tracks.iter().find(|(number, _)| *number == index);
        let heads = u32::from(device.heads());
        let empty = [&[0][..], &cchh(index, heads), &cchh(index, heads), &[0, 0, 0, 8], &[0; 8]].concat();
        image.write_units(UnitIndex(index), &[(UnitKind::Track, track.map_or(&empty, |(_, body)| body))]).unwrap();
    }
    image.finish(false).unwrap();
    let volume = Volume::open_for_update(path, &OpenOptions::default()).unwrap();
    VolumeGate::new("test", Arc::new(volume))
}

fn cchh(index: u32, heads: u32) -> [u8; 4] {
    let [_, _, c0, c1] = (index / heads).to_be_bytes();
    let [_, _, h0, h1] = (index % heads).to_be_bytes();
    [c0, c1, h0, h1]
}

/// Runs Hercules with device statements and commands, and gives what it logged.
fn hercules(folder: &Path, devices: &str, commands: &[&str]) -> String {
    let configuration = "CPUSERIAL 000001\nCPUMODEL 3090\nMAINSIZE 2\nNUMCPU 1\nARCHMODE ESA/390\n";
    fs::write(folder.join("hercules.cnf"), format!("{configuration}{devices}\n")).unwrap();
    fs::write(folder.join("hercules.rc"), format!("{}\nquit\n", commands.join("\n"))).unwrap();
    let output = Command::new("timeout")
        .args(["60", "hercules", "-d", "-f", "hercules.cnf"])
        .current_dir(folder)
        .env("HERCULES_RC", "hercules.rc")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_ne!(output.status.code(), Some(124), "hercules hangs:\n{log}");
    log
}

#[test]
fn hercules_attaches_every_type_of_device_and_lets_go_of_it() {
    if !has("dasdinit") {
        return;
    }
    let folder = tempdir().unwrap();
    let devices: Vec<_> = DeviceType::ALL
        .into_iter()
        .zip(0x150_u16..)
        .map(|(device, number)| {
            // What a 2305 with fewer cylinders than a 2305-2 has is decided by its slot.
            let cylinders = if device == DeviceType::Ibm2305 { 96 } else { 3 };
            let gate = volume(&folder.path().join(device.to_string()), device, cylinders, &[]);
            SharedDevice::new(number, gate, DeviceOptions::default()).unwrap()
        })
        .collect();
    let served = Served::new(devices);
    let mut statements = String::new();
    for (device, number) in DeviceType::ALL.into_iter().zip(0x150_u16..) {
        statements += &format!("{number:04X} {device} 127.0.0.1:{}:{number:04X}\n", served.port);
    }
    let detach: Vec<_> = (0x150..0x15a).map(|number| format!("detach {number:04X}")).collect();
    let commands: Vec<_> = ["devlist"].into_iter().chain(detach.iter().map(String::as_str)).collect();
    let log = hercules(folder.path(), &statements, &commands);
    for (device, number) in DeviceType::ALL.into_iter().zip(0x150_u16..) {
        assert!(log.contains(&format!("0:{number:04X} {device} 127.0.0.1:")), "{device} is not attached:\n{log}");
        assert!(log.contains(&format!("{number:04X} detached")), "{device} is not detached:\n{log}");
    }
    // All have said goodbye.
    assert_eq!(served.status.clients(), []);
    served.stop();
}

/// A channel command word.
fn ccw(command: u8, address: u32, flags: u8, count: u16) -> [u8; 8] {
    let [_, a0, a1, a2] = address.to_be_bytes();
    let [c0, c1] = count.to_be_bytes();
    [command, a0, a1, a2, flags, 0, c0, c1]
}

/// A volume whose IPL is a channel program that writes: `text` into the record that track 20 has (a 3390: cylinder 1,
/// head 5), and a new record behind it.
///
/// IPL reads R1 of track 0 to location 0; its channel command words there go on to read R2 to location 100 (hex), and then
/// there. It ends with a wait state whose address is ACE (hex).
fn self_writing_volume(path: &Path, text: &[u8; 80]) -> Arc<VolumeGate> {
    const COMMAND_CHAIN: u8 = 0x40;
    let mut r1 = vec![0x00, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x0a, 0xce];
    r1.extend(ccw(0x06, 0x100, COMMAND_CHAIN, 0x200));
    r1.extend(ccw(0x08, 0x100, 0, 1));
    let mut r2 = Vec::new();
    // Seek; search R1; write its data; write a record behind it.
    r2.extend(ccw(0x07, 0x150, COMMAND_CHAIN, 6));
    r2.extend(ccw(0x31, 0x152, COMMAND_CHAIN, 5));
    r2.extend(ccw(0x08, 0x108, 0, 1));
    r2.extend(ccw(0x05, 0x200, COMMAND_CHAIN, 80));
    r2.extend(ccw(0x31, 0x152, COMMAND_CHAIN, 5));
    r2.extend(ccw(0x08, 0x120, 0, 1));
    r2.extend(ccw(0x1d, 0x158, 0, 8 + 20));
    r2.resize(0x50, 0);
    // 150: seek address; from 152 on that is the record to search for.
    r2.extend([0, 0, 0, 1, 0, 5, 1, 0]);
    // 158: count and data of the new record.
    r2.extend([0, 1, 0, 5, 2, 0, 0, 20]);
    r2.extend(*b"a new record, of 20.");
    r2.resize(0x100, 0);
    r2.extend(text);
    r2.resize(0x200, 0);
    let record = |index: u32, number: u8, data: &[u8]| {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        [&cchh(index, 15)[..], &[number, 0], &length, data].concat()
    };
    let start = |index: u32| [&[0][..], &cchh(index, 15), &cchh(index, 15), &[0, 0, 0, 8], &[0; 8]].concat();
    let ipl = [start(0), record(0, 1, &r1), record(0, 2, &r2)].concat();
    let target = [start(20), record(20, 1, &[0xee; 80])].concat();
    volume(path, DeviceType::Ibm3390, 3, &[(0, ipl), (20, target)])
}

#[test]
fn a_channel_program_of_a_guest_reads_updates_and_writes_records() {
    if !has("dasdinit") {
        return;
    }
    let folder = tempdir().unwrap();
    let text = *b"written by a guest that knows nothing of the gateway in front of its disk volume";
    let gate = self_writing_volume(&folder.path().join("volume"), &text);
    let device = SharedDevice::new(0x150, Arc::clone(&gate), DeviceOptions::default()).unwrap();
    let served = Served::new(vec![Arc::clone(&device)]);
    let statement = format!("0150 3390 127.0.0.1:{}:0150", served.port);
    let log = hercules(folder.path(), &statement, &["ipl 0150", "detach 0150"]);
    assert!(!log.contains("IPL failed"), "{log}");
    served.stop();

    let mut slot = vec![0; 56_832];
    gate.disk().read_slot(UnitIndex(20), &mut slot).unwrap();
    let mut expected = vec![0, 0, 1, 0, 5];
    expected.extend([0, 1, 0, 5, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([0, 1, 0, 5, 1, 0, 0, 80]);
    expected.extend(text);
    expected.extend([0, 1, 0, 5, 2, 0, 0, 20]);
    expected.extend(*b"a new record, of 20.");
    expected.extend([0xff; 8]);
    assert_eq!(slot[..expected.len()], expected);
    assert_eq!((gate.activity().reads, gate.activity().held), (2, false));
    assert!(gate.activity().writes > 0);
    assert_eq!(device.suspect(), None);
}
