//! The ways by which hosts reach the gateway: opened together, and ended between channel programs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::{JoinHandle, spawn_blocking};

use super::config::{AccessRight, DeviceNumber, FilesConfig, Right, SharedDeviceConfig, SyncRule};
use super::gateway::Gateway;
use super::network::Network;
use super::stopping::stopped;
use crate::channel::files::{Entry, FileMount, MountOptions};
use crate::channel::shared_device::{self, DeviceOptions, Rule, SharedDevice, SharedDeviceServer, SyncPolicy};
use crate::gate::VolumeGate;

/// How long programs may take to end what they do on files when the service stops.
const LAST_REQUESTS: Duration = Duration::from_secs(20);

/// The front-ends of a service that runs.
pub(super) struct FrontEnds {
    shared_device: Option<JoinHandle<()>>,
    files: Option<FileMount>,
    /// What they serve where, for people.
    pub(super) told: Vec<String>,
}

impl FrontEnds {
    /// Opens what is configured; hosts may come in from here on.
    pub(super) async fn open(gateway: &Arc<Gateway>) -> anyhow::Result<Self> {
        let config = gateway.config();
        let mut front_ends = Self { shared_device: None, files: None, told: Vec::new() };
        // Files first: they are ended by their drop if the other fails.
        if let Some(files) = &config.files {
            let mount = mount(gateway, files)?;
            front_ends.told.push(format!("files in {}", mount.folder().display()));
            front_ends.files = Some(mount);
        }
        if let Some(server) = &config.shared_device {
            let server = SharedDeviceServer::bind(server_config(server), devices(gateway, server)?).await?;
            front_ends.told.extend(server.local_addresses().iter().map(|address| format!("shared devices on {address}")));
            gateway.set_shared_device(server.status());
            let mut told = gateway.stopping.subscribe();
            front_ends.shared_device = Some(tokio::spawn(server.run(async move { stopped(&mut told).await })));
        }
        Ok(front_ends)
    }

    /// Waits until hosts are gone; the service must be stopping.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        let Self { shared_device, files, .. } = self;
        let files = files.map(|files| spawn_blocking(move || files.unmount(LAST_REQUESTS)));
        let served = match shared_device {
            Some(server) => server.await.context("the shared device server failed; its log says why"),
            None => Ok(()),
        };
        let unmounted = match files {
            Some(files) => files.await.context("ending the files failed")?.map_err(anyhow::Error::from),
            None => Ok(()),
        };
        served.and(unmounted)
    }
}

fn server_config(config: &SharedDeviceConfig) -> shared_device::SharedDeviceConfig {
    shared_device::SharedDeviceConfig {
        listeners: config.listen.clone(),
        allowed: config.allow.iter().map(Network::net).collect(),
        most_connections: config.connections,
        limits: shared_device::Limits { hold: config.hold_limit, ..Default::default() },
    }
}

/// The volumes and views that have a device number.
fn devices(gateway: &Gateway, config: &SharedDeviceConfig) -> anyhow::Result<Vec<Arc<SharedDevice>>> {
    let sync = match config.sync {
        SyncRule::Bracket => SyncPolicy::Bracket,
        SyncRule::Interval(_) => SyncPolicy::Interval,
        SyncRule::Never => SyncPolicy::Never,
    };
    let device = |number: Option<DeviceNumber>, gate: &Arc<VolumeGate>, rights: &[Right]| {
        let options = DeviceOptions { sync, rules: rights.iter().map(rule).collect() };
        number.map(|number| Ok(SharedDevice::new(number.0, Arc::clone(gate), options)?))
    };
    let volumes = gateway.volumes().iter().filter_map(|volume| {
        let config = volume.config();
        device(config.device, volume.gate(), &config.rights)
    });
    let views = gateway.views().iter().filter_map(|(config, view)| device(config.device, &view.gate, &config.rights));
    volumes.chain(views).collect()
}

fn rule(right: &Right) -> Rule {
    Rule {
        addresses: right.from.net(),
        right: match right.access {
            AccessRight::None => shared_device::Right::None,
            AccessRight::Read => shared_device::Right::Read,
            AccessRight::ReadWrite => shared_device::Right::ReadWrite,
        },
    }
}

fn mount(gateway: &Gateway, config: &FilesConfig) -> anyhow::Result<FileMount> {
    let volumes = gateway.volumes().iter().map(|volume| (volume.gate(), volume.config().read_only));
    let views = gateway.views().iter().map(|(config, view)| (&view.gate, !config.writable));
    let entry =
        |(gate, read_only): (&Arc<VolumeGate>, bool)| Entry { name: gate.name().to_owned(), gate: Arc::clone(gate), read_only };
    let entries: Vec<_> = volumes.chain(views).map(entry).collect();
    // A dead mount of a gateway that was killed is there, and is no folder; the mount takes it away.
    if matches!(rustix::fs::statfs(&config.mount), Err(rustix::io::Errno::NOENT)) {
        let made = std::fs::create_dir_all(&config.mount);
        made.with_context(|| format!("{}: making the folder failed", config.mount.display()))?;
    }
    let options = MountOptions { allow_other: config.allow_other, mode: config.mode, ..MountOptions::default() };
    Ok(FileMount::mount(&config.mount, &entries, &options)?)
}
