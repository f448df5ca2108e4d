//! Any 140 bytes are some DSCB, and the structures that write themselves write what they read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::volume::dscb::{Dscb, join};

fuzz_target!(|input: &[u8]| {
    let geometries = [(DeviceType::Ibm3390, 262_668), (DeviceType::Ibm3350, 555)]
        .map(|(device, cylinders)| Geometry::standard(device, cylinders).expect("a device as it was built"));
    for record in input.chunks(140) {
        let (key, data) = record.split_at(record.len().min(44));
        let Ok(bytes) = join(key, data) else { continue };
        match Dscb::parse(&bytes) {
            Dscb::DataSet(dscb) => {
                assert_eq!(dscb.to_bytes(), bytes);
                let _ = (dscb.last_used(), geometries.map(|geometry| dscb.next.decode(&geometry)));
            }
            Dscb::Vtoc(dscb) => {
                let _ = dscb.volume_cylinders();
            }
            Dscb::Extents(dscb) => assert!(dscb.extents().count() <= 13),
            _ => {}
        }
    }
});
