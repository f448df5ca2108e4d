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
