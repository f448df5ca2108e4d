//! Views against a model of arrays: one for the volume, one for each view.

use proptest::prelude::*;
use proptest::sample::Index;
use tapegate::gate::GateError;
use tapegate::live::StartError;
use tapegate::volume::{Shape, UnitIndex};
use tapegate_formats::dasd::address::TrackIndex;

use crate::common::track;
use crate::service::{PATIENCE, Service, VIEWS, assert_content, content, read, write};

/// A write that a host could make: bytes of blocks; a track written anew; a slot that is no track any more.
#[derive(Debug, Clone)]
struct Write {
    unit: Index,
    offset: Index,
    bytes: Vec<u8>,
    records: usize,
    spoils: bool,
}

impl Write {
    /// The unit, offset and bytes of it on a volume of this shape.
    fn on(&self, shape: &Shape) -> (UnitIndex, u32, Vec<u8>) {
        let unit = UnitIndex(u32::try_from(self.unit.index(shape.units() as usize)).unwrap());
        let unit_bytes = shape.unit_bytes(unit);
        match shape {
            Shape::FixedBlock(_) => {
                let offset = self.offset.index(unit_bytes as usize);
                let length = self.bytes.len().min(unit_bytes as usize - offset);
                (unit, u32::try_from(offset).unwrap(), self.bytes[..length].to_vec())
            }
            Shape::Ckd(geometry) => {
                let home = geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)));
                let mut slot = track(unit.0, &vec![&self.bytes[..]; self.records]);
                slot[1..5].copy_from_slice(&home);
                slot.extend([0xff; 8]);
                if self.spoils {
                    // Count fields that lead past the end.
                    slot = vec![0xfe; unit_bytes as usize];
                }
                (unit, 5, slot.split_off(5))
            }
        }
    }
}

fn some_write() -> impl Strategy<Value = Write> {
    let bytes = prop::collection::vec(any::<u8>(), 1..300);
    (any::<Index>(), any::<Index>(), bytes, 0..3_usize, prop::bool::weighted(0.1))
        .prop_map(|(unit, offset, bytes, records, spoils)| Write { unit, offset, bytes, records, spoils })
}

#[derive(Debug, Clone)]
enum Step {
    HostWrites(Write),
    GuestWrites(usize, Write),
    Show(usize),
    Discard(usize),
    Restart { clean: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => some_write().prop_map(Step::HostWrites),
        4 => (0..3_usize, some_write()).prop_map(|(view, write)| Step::GuestWrites(view, write)),
        2 => (0..3_usize).prop_map(Step::Show),
        1 => (0..3_usize).prop_map(Step::Discard),
        1 => any::<bool>().prop_map(|clean| Step::Restart { clean }),
    ]
}

/// Drives a service and a model of arrays: one for the volume, one for each view.
fn follow_the_model(name: &str, steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::over(folder.path(), name);
    let shape = service.shape();
    let mut volume = content(&service.host());
    let mut views: [Option<Vec<Vec<u8>>>; 3] = [None, None, None];
    let apply = |array: &mut [Vec<u8>], write: &Write| {
        let (unit, offset, bytes) = write.on(&shape);
        let slot = &mut array[unit.0 as usize];
        slot[offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
        (unit, offset, bytes)
    };
    for step in steps {
        match step {
            Step::HostWrites(host_write) => {
                let (unit, offset, bytes) = apply(&mut volume, host_write);
                write(&service.host(), unit, offset, &bytes);
            }
            Step::GuestWrites(view, guest_write) => {
                let guest = service.guest(VIEWS[*view]);
                let access = guest.single(PATIENCE).unwrap();
                match &mut views[*view] {
                    Some(array) if *view > 0 => {
                        let (unit, offset, bytes) = apply(array, guest_write);
                        access.write(unit, offset, &bytes).unwrap();
                    }
                    shown => {
                        let (unit, offset, bytes) = guest_write.on(&shape);
                        let refused = access.write(unit, offset, &bytes).unwrap_err();
                        match shown {
                            Some(_) => assert!(matches!(refused, GateError::ReadOnly { .. }), "{refused}"),
                            None => assert!(matches!(refused, GateError::NotReady { .. }), "{refused}"),
                        }
                    }
                }
            }
            Step::Show(view) => {
                let shown = service.show(VIEWS[*view]);
                match &mut views[*view] {
                    Some(_) => assert!(matches!(shown, Err(StartError::ViewInUse { .. })), "{shown:?}"),
                    array => {
                        shown.unwrap();
                        *array = Some(volume.clone());
                    }
                }
            }
            Step::Discard(view) => {
                if views[*view].take().is_some() {
                    let id = service.views[VIEWS[*view]].device.session().unwrap();
                    service.sessions.get(id).unwrap().cancel();
                }
            }
            Step::Restart { clean } => {
                // A compressed image that is dropped is closed, and so written, which kill -9 would not do.
                service = service.restart(*clean || name.ends_with("cckd"));
                assert!(service.restored.iter().all(|restored| restored.void.is_none()), "{:?}", service.restored);
            }
        }
    }
    assert_content(&service.host(), &volume);
    for (name, array) in VIEWS.iter().zip(&views) {
        let guest = service.guest(name);
        match array {
            Some(array) => assert_content(&guest, array),
            None => assert!(matches!(read(&guest, UnitIndex(0)), Err(GateError::NotReady { .. }))),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn views_of_blocks_follow_the_model(steps in prop::collection::vec(step(), 1..40)) {
        follow_the_model("tiny.fba", &steps);
    }

    #[test]
    fn views_of_tracks_follow_the_model(steps in prop::collection::vec(step(), 1..40)) {
        follow_the_model("tiny.ckd", &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn views_of_compressed_tracks_follow_the_model(steps in prop::collection::vec(step(), 1..30)) {
        follow_the_model("stored.cckd", &steps);
    }
}
