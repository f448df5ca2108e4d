//! The server over a disk in memory, and clients that say byte for byte what stock ones say.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod attach;
mod brackets;
mod disk;
mod held;
mod host;
mod limits;
mod return_of_clients;
mod stop;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::gate::VolumeGate;
use disk::MemoryDisk;
use host::Host;

/// The device of all tests.
const DEVICE: u16 = 0x150;
/// Longer than anything takes; a test that waits for it fails.
const LONG: Duration = Duration::from_secs(20);

/// A server over one disk.
struct Server {
    runtime: Runtime,
    address: SocketAddr,
    disk: Arc<MemoryDisk>,
    device: Arc<SharedDevice>,
    status: StatusHandle,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    fn new() -> Self {
        Self::with(DeviceOptions::default(), |_| {})
    }

    fn with(options: DeviceOptions, change: impl FnOnce(&mut SharedDeviceConfig)) -> Self {
        let disk = MemoryDisk::new();
        let gate = VolumeGate::new("work01", Arc::clone(&disk) as _);
        let device = SharedDevice::new(DEVICE, gate, options).unwrap();
        let mut config = SharedDeviceConfig {
            listeners: vec![Listener::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))],
            ..SharedDeviceConfig::default()
        };
        config.limits.retry = Duration::from_millis(1);
        config.limits.look = Duration::from_millis(10);
        change(&mut config);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(SharedDeviceServer::bind(config, [Arc::clone(&device)])).unwrap();
        let address = server.local_addresses().first().copied().unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let status = server.status();
        let (stop, stopped) = oneshot::channel();
        let task = runtime.spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Self { runtime, address, disk, device, status, stop: Some(stop), task: Some(task) }
    }

    /// A client that has attached the device.
    fn host(&self) -> Host {
        Host::attach(self.address)
    }

    fn gate(&self) -> &VolumeGate {
        self.device.gate()
    }

    /// The state of a client.
    fn client(&self, id: u16) -> ClientStatus {
        self.status.clients().into_iter().find(|client| client.id == id).unwrap()
    }

    /// Waits until something is seen; it fails when that takes too long.
    fn until(&self, what: &str, seen: impl Fn(&Self) -> bool) {
        let deadline = std::time::Instant::now() + LONG;
        while !seen(self) {
            assert!(std::time::Instant::now() < deadline, "never: {what}");
            std::thread::yield_now();
        }
    }

    fn begin_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for the end of the server.
    fn ended(&mut self) {
        let task = self.task.take().unwrap();
        self.runtime.block_on(async { tokio::time::timeout(LONG, task).await.unwrap().unwrap() });
    }
}

fn loopback() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}
