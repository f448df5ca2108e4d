//! Three volumes, a gateway that serves them, and a host with a guest that uses them.

use std::path::{Path, PathBuf};

use guest::{Disk, Model, Parameters};

use crate::common::restore_new;
use crate::gateway::Gateway;
use crate::guest_program::{Before, Guest, before, instant};
use crate::hercules::{Host, dasdinit, free_port, has_hercules};

const CYLINDERS: u32 = 30;
const TRACKS: u32 = CYLINDERS * 15;
const BLOCKS: u32 = 16_384;
/// Names of the volumes, in the order of the guest's disks: one for the shared device front-end, two for files.
pub const NAMES: [&str; 3] = ["shared", "filed", "blocks"];

pub struct Scene {
    folder: tempfile::TempDir,
    pub images: Vec<PathBuf>,
    before: Vec<Before>,
    pub gateway: Gateway,
    pub guest: Guest,
    model: Model,
}

impl Scene {
    /// A guest on all three volumes; none where Hercules or FUSE is missing.
    pub fn with_files(seed: u32) -> Option<Self> {
        Self::new(seed, &["shared.ckd", "filed.ckd", "blocks.fba"])
    }

    /// A guest on the volume of the shared device front-end alone, in an image of this name; it outlives the gateway.
    pub fn shared(seed: u32, image: &str) -> Option<Self> {
        Self::new(seed, &[image])
    }

    fn new(seed: u32, images: &[&str]) -> Option<Self> {
        if !has_hercules() || !has_fuse() {
            return None;
        }
        let disks = images.len();
        let folder = tempfile::tempdir().unwrap();
        let images: Vec<_> = images.iter().map(|name| folder.path().join(name)).collect();
        for (image, volser) in images.iter().zip(["GUEST1", "GUEST2", "GUEST3"]) {
            let fixed_block = image.extension().is_some_and(|extension| extension == "fba");
            let (device, size) = if fixed_block { ("3370", BLOCKS) } else { ("3390", CYLINDERS) };
            dasdinit(image, device, volser, size);
        }
        let all = [
            Disk::ckd(0x150, 1, TRACKS - 1).with_mix(Disk::MIXED_WITH_PAIRS),
            Disk::ckd(0x151, 1, TRACKS - 1),
            Disk::fixed_block(0x160, 100, BLOCKS - 100),
        ];
        let parameters = Parameters::new(seed, all[..disks].to_vec());
        let before = images.iter().enumerate().map(|(disk, image)| before(&parameters, disk, image)).collect();
        let named: Vec<_> = NAMES.into_iter().zip(images.iter().map(PathBuf::as_path)).collect();
        let port = free_port();
        let gateway = Gateway::start(folder.path(), port, &named);
        let mut statements = vec![format!("0150 3390 127.0.0.1:{port}:0150")];
        for (device, name) in ["0151 3390", "0160 3370"].into_iter().zip(&NAMES[1..disks]) {
            statements.push(format!("{device} {}", gateway.file(name).display()));
        }
        let home = folder.path().join("host");
        let guest = Guest::load(Host::start(&home, &statements), &home, &parameters);
        let model = Model::new(&parameters);
        Some(Self { folder, images, before, gateway, guest, model })
    }

    /// Names of the volumes that the guest uses.
    pub fn names(&self) -> &'static [&'static str] {
        &NAMES[..self.images.len()]
    }

    /// Starts a session over all volumes, with a tape of the name for each; gives its number.
    #[track_caller]
    pub fn start_session(&self, tape: &str, options: &[&str]) -> String {
        self.gateway.start_session(self.names(), tape, options)
    }

    /// Lets the guest do `operations` more while it goes on.
    pub fn let_write(&mut self, operations: u32) {
        let until = self.guest.done() + operations;
        while self.guest.done() < until {}
    }

    /// The tapes of a name, restored; in the order of the volumes.
    pub fn restored(&self, tape: &str) -> Vec<PathBuf> {
        let restore = |volume: &&str| {
            let image = self.folder.path().join(format!("{volume}-{tape}.restored"));
            restore_new(&self.gateway.tape(tape, volume), &image, &[]);
            image
        };
        self.names().iter().map(restore).collect()
    }

    /// Fails unless images show all volumes at one instant after `from` operations and before `until`.
    #[track_caller]
    pub fn assert_one_instant(&mut self, images: &[PathBuf], from: u32, until: u32) {
        self.model.advance_to(from);
        let disks: Vec<_> = self.before.iter().zip(images).enumerate().map(|(n, (b, i))| (b, n, i.as_path())).collect();
        // The guest counts an operation when its status has come, so that one more may be on the disks.
        let found = instant(&self.model, until + 1, &disks);
        assert!(found.is_some(), "{images:?} are no instant between operations {from} and {until}");
    }

    /// Lets the guest do some more and end, stops all, and compares the volumes with what the guest wrote; gives the
    /// folder with the images.
    #[track_caller]
    pub fn end(mut self) -> tempfile::TempDir {
        let operations = self.guest.pause() + 200;
        self.guest.run_to(operations);
        self.guest.host.quit();
        let volumes = self.gateway.ask(&["volumes"]);
        self.gateway.stop();
        assert!(!volumes.to_string().contains("failure"), "{volumes}");
        self.model.advance_to(operations);
        for (disk, (before, image)) in self.before.iter().zip(&self.images).enumerate() {
            before.assert_written(&self.model, disk, image);
        }
        self.folder
    }
}

fn has_fuse() -> bool {
    let there = Path::new("/dev/fuse").exists();
    if !there {
        eprintln!("skipped: /dev/fuse is not there");
    }
    there
}
