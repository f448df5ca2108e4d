//! The bare-metal guest of `tools/guest` in a running Hercules, and its disks against its model.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::Path;

use guest::{CoreImage, DiskKind, Field, Model, Parameters};

use crate::common::{Unit, units};
use crate::hercules::Host;

/// How the guest shows that it has done all it was to do.
const FINISHED: u32 = 0x00d0_0e00;
/// How it shows that it stopped because it was told to.
const PAUSED: u32 = 0x00ab_5e00;

/// A guest that was loaded.
#[derive(Debug)]
pub struct Guest {
    pub host: Host,
    core: CoreImage,
    /// Where the log stood at the last start.
    started: usize,
}

impl Guest {
    /// Loads a guest; it is not started.
    pub fn load(mut host: Host, folder: &Path, parameters: &Parameters) -> Self {
        let core = CoreImage::new(parameters).unwrap();
        fs::write(folder.join("guest.core"), core.bytes()).unwrap();
        let position = host.position();
        host.load_core("guest.core");
        Self { host, core, started: position }
    }

    /// Lets it begin or go on.
    pub fn go(&mut self) {
        self.started = self.host.position();
        self.host.command("restart");
    }

    /// Lets it go on until it has done `operations` in all, and waits until it has.
    #[track_caller]
    pub fn run_to(&mut self, operations: u32) {
        self.set(Field::Limit, operations);
        self.go();
        self.wait_until_finished();
        assert_eq!(self.done(), operations);
    }

    /// Waits until it has done all that it was to do.
    #[track_caller]
    pub fn wait_until_finished(&mut self) {
        assert_eq!(self.wait_for_stop(), FINISHED);
    }

    /// Stops it between two operations; gives how many it has done.
    #[track_caller]
    pub fn pause(&mut self) -> u32 {
        self.set(Field::Pause, 1 << 24);
        assert_eq!(self.wait_for_stop(), PAUSED, "the guest had stopped before");
        self.set(Field::Pause, 0);
        self.done()
    }

    /// Operations that it has completed; another may be under way.
    pub fn done(&mut self) -> u32 {
        self.host.word(self.core.address(Field::Done))
    }

    /// Whether it has stopped since it was last started, for whatever reason.
    pub fn has_stopped(&self) -> bool {
        self.host.has_said(self.started, "HHCCP011I")
    }

    /// Alters a parameter.
    pub fn set(&mut self, field: Field, value: u32) {
        self.host.set_word(self.core.address(field), value);
    }

    /// Waits until it stops, and gives the address in the disabled wait; an error of the guest's is one here.
    #[track_caller]
    fn wait_for_stop(&mut self) -> u32 {
        let (next, _) = self.host.wait_for(self.started, "HHCCP011I");
        let (_, line) = self.host.wait_for(next, "PSW=");
        let address = line.rsplit(' ').next().and_then(|word| u32::from_str_radix(word, 16).ok());
        let address = address.unwrap_or_else(|| panic!("not a program status word: {line}")) & 0x00ff_ffff;
        if address & 0x00ff_ff00 == 0x000b_ad00 {
            let at = self.core.address(Field::Bad);
            let storage: Vec<_> = (0..4).map(|row| self.host.storage(at + 16 * row, 16)).collect();
            panic!(
                "the guest stopped with error {}: channel status word {:02X?}, sense {:02X?}, operation, kind, track {:02X?}\n{}",
                address & 0xff,
                &storage[0][..8],
                [&storage[0][8..], &storage[1][..], &storage[2][..8]].concat(),
                [&storage[2][8..], &storage[3][..4]].concat(),
                self.host.log()
            );
        }
        address
    }
}

/// A disk of the guest as it was before: units that the guest did not write must stay so.
#[derive(Debug, Clone)]
pub struct Before {
    kind: DiskKind,
    units: Vec<Unit>,
    /// The units that are compared.
    compared: Range<usize>,
}

/// The disk with this number in the parameters, as it lies in an image now.
pub fn before(parameters: &Parameters, disk: usize, image: &Path) -> Before {
    let units = units(image);
    Before { kind: parameters.disks[disk].kind, compared: 0..units.len(), units }
}

/// Blocks of a unit of a fixed-block volume.
const BLOCKS_OF_UNIT: usize = 8;
const BLOCK_BYTES: usize = 512;

impl Before {
    /// The same, of which only some units are compared; others write the rest.
    pub fn only(mut self, units: Range<usize>) -> Self {
        self.compared = units;
        self
    }

    /// Body that a unit must have.
    fn expected(&self, model: &Model, disk: usize, unit: usize) -> Vec<u8> {
        let original = &self.units[unit].1;
        match self.kind {
            DiskKind::Ckd => model.contents(disk, unit as u32).unwrap_or_else(|| original.clone()),
            DiskKind::FixedBlock => {
                let mut body = original.clone();
                for (offset, block) in body.chunks_exact_mut(BLOCK_BYTES).enumerate() {
                    if let Some(written) = model.contents(disk, (unit * BLOCKS_OF_UNIT + offset) as u32) {
                        block.copy_from_slice(&written);
                    }
                }
                body
            }
        }
    }

    /// Units in which a disk differs from the model.
    fn differences(&self, model: &Model, disk: usize, found: &[Unit]) -> BTreeSet<usize> {
        assert_eq!(found.len(), self.units.len(), "units of disk {disk}");
        let differs = |unit: &usize| found[*unit].1 != self.expected(model, disk, *unit);
        self.compared.clone().filter(differs).collect()
    }

    /// Fails unless an image is as the model has it.
    #[track_caller]
    pub fn assert_written(&self, model: &Model, disk: usize, image: &Path) {
        let found = units(image);
        let differences = self.differences(model, disk, &found);
        let Some(first) = differences.first() else { return };
        let at = image.display();
        let (count, operations) = (differences.len(), model.done());
        panic!("{at}: after {operations} operations {count} units are not what the guest wrote, the first {first}");
    }
}

/// The number of operations after which all these disks were as they lie in these images; `None` if there is none up to
/// `until`. This is how a test knows at which instant a group of volumes was taken under a guest that never stopped.
pub fn instant(model: &Model, until: u32, disks: &[(&Before, usize, &Path)]) -> Option<u32> {
    let mut model = model.clone();
    let found: Vec<_> = disks.iter().map(|(.., image)| units(image)).collect();
    let mut differences: Vec<_> =
        disks.iter().zip(&found).map(|((before, disk, _), found)| before.differences(&model, *disk, found)).collect();
    loop {
        if differences.iter().all(BTreeSet::is_empty) {
            return Some(model.done());
        }
        if model.done() >= until {
            return None;
        }
        for change in model.step() {
            for (which, (before, ..)) in disks.iter().enumerate().filter(|(_, (_, disk, _))| *disk == change.disk) {
                let units = match before.kind {
                    DiskKind::Ckd => change.units.start as usize..change.units.end as usize,
                    DiskKind::FixedBlock => {
                        change.units.start as usize / BLOCKS_OF_UNIT..(change.units.end as usize).div_ceil(BLOCKS_OF_UNIT)
                    }
                };
                for unit in units {
                    if found[which][unit].1 == before.expected(&model, change.disk, unit) {
                        differences[which].remove(&unit);
                    } else {
                        differences[which].insert(unit);
                    }
                }
            }
        }
    }
}
