//! The front-ends, the gate and sessions in the test's own process, without the service around them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tapegate::cache::{CachePool, PoolConfig, SpillConfig};
use tapegate::channel::files::{Entry, FileMount, MountOptions};
use tapegate::channel::shared_device::{DeviceOptions, Listener, SharedDevice, SharedDeviceConfig, SharedDeviceServer};
use tapegate::gate::{Still, StillLimits, VolumeGate};
use tapegate::live::status::{Consistency, Pace, SessionId, SessionRequest, SessionState, VolumeRequest};
use tapegate::live::{LiveVolume, Session, Sessions};
use tapegate::volume::{OpenOptions, Shape, Volume};
use tokio::sync::oneshot;

/// How long a session may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Volumes that are served on both front-ends, CKD ones under the device number 0150 and up.
pub struct Gateway {
    pub port: u16,
    pub sessions: Sessions,
    gates: Vec<Arc<VolumeGate>>,
    mount: FileMount,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Gateway {
    /// Serves images under names.
    pub fn start(folder: &Path, images: &[(&str, &Path)]) -> Self {
        let live: Vec<_> = images.iter().map(|(name, image)| open(name, image)).collect();
        let gates: Vec<_> = live.iter().map(|volume| Arc::clone(&volume.gate)).collect();
        let entry = |gate: &Arc<VolumeGate>| Entry { name: gate.name().to_owned(), gate: Arc::clone(gate), read_only: false };
        let entries: Vec<_> = gates.iter().map(entry).collect();
        let mount_point = folder.join("mount");
        fs::create_dir_all(&mount_point).unwrap();
        let mount = FileMount::mount(&mount_point, &entries, &MountOptions::default()).unwrap();
        let ckd = gates.iter().filter(|gate| matches!(gate.disk().shape(), Shape::Ckd(_)));
        let devices: Vec<_> = (0x150..)
            .zip(ckd)
            .map(|(number, gate)| SharedDevice::new(number, Arc::clone(gate), DeviceOptions::default()).unwrap())
            .collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listeners = vec![Listener::Tcp(([127, 0, 0, 1], 0).into())];
        let config = SharedDeviceConfig { listeners, ..SharedDeviceConfig::default() };
        let server = runtime.block_on(SharedDeviceServer::bind(config, devices)).unwrap();
        let port = server.local_addresses()[0].port();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = thread::spawn(move || {
            runtime.block_on(server.run(async {
                let _ = stopped.await;
            }));
        });
        let spill = Some(SpillConfig { path: folder.join("spill"), bytes: 1 << 30 });
        let pool = CachePool::new(PoolConfig { name: "default".to_owned(), memory_bytes: 4 << 20, spill }).unwrap();
        let sessions = Sessions::new(live, vec![pool], SessionId(1), 2);
        Self { port, sessions, gates, mount, stop, server }
    }

    /// The file that the mount shows for a volume.
    pub fn file(&self, name: &str) -> PathBuf {
        let paths = self.mount.paths();
        paths.into_iter().find(|path| path.file_stem().is_some_and(|stem| stem == name)).unwrap()
    }

    /// Starts a session over volumes, each with its tape; a slow one meets many writes of the host.
    pub fn start_session(&self, volumes: &[(&str, &Path)], bytes_per_second: u64, frozen: Option<&Still>) -> Arc<Session> {
        let mut request: SessionRequest = serde_json::from_str(r#"{"volumes":[]}"#).unwrap();
        let asked = |(name, tape): &(&str, &Path)| VolumeRequest { tape: Some((*tape).to_owned()), ..VolumeRequest::new(*name) };
        request.volumes = volumes.iter().map(asked).collect();
        request.pace = Pace { bytes_per_second: Some(bytes_per_second), ..request.pace };
        if frozen.is_some() {
            request.consistency = Consistency::Host;
        }
        self.sessions.start(request, frozen).unwrap()
    }

    /// Holds all volumes still.
    pub fn freeze(&self) -> Still {
        Still::of(&self.gates, StillLimits::default()).unwrap()
    }

    /// Ends the front-ends, between channel programs, and lets go of the volumes.
    pub fn stop(self) {
        let Self { mount, stop, server, .. } = self;
        mount.unmount(Duration::from_secs(10)).unwrap();
        let _ = stop.send(());
        server.join().unwrap();
    }
}

/// Waits for the tapes of a session.
#[track_caller]
pub fn complete(session: &Session) {
    assert!(session.wait(PATIENCE), "{:?}", session.status());
    assert_eq!(session.status().state, SessionState::PhysicallyComplete, "{:?}", session.status());
}

fn open(name: &str, image: &Path) -> LiveVolume {
    let volume = Volume::open_for_update(image, &OpenOptions::default()).unwrap();
    let (fingerprint, findings) = (volume.fingerprint().clone(), volume.findings().to_vec());
    let gate = VolumeGate::new(name, Arc::new(volume));
    LiveVolume { gate, image: image.to_owned(), fingerprint, findings }
}
