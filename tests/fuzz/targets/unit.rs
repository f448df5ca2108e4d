//! Sixteen bytes are a unit header or are refused; what passes the checksum is what the writer would have written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::tape::unit::{LONGEST_BODY_BYTES, UNIT_HEADER_BYTES, UnitHeader, unit_header};

fuzz_target!(|input: &[u8]| {
    let Some((header, body)) = input.split_first_chunk::<{ UNIT_HEADER_BYTES as usize }>() else { return };
    if let Ok(unit) = UnitHeader::parse(*header) {
        assert!(unit.body_bytes <= LONGEST_BODY_BYTES);
        if unit.check(body).is_ok() {
            assert_eq!(unit_header(unit.unit, unit.kind, body), *header);
        }
        if body.len() <= LONGEST_BODY_BYTES as usize {
            let good = unit_header(unit.unit, unit.kind, body);
            UnitHeader::parse(good).and_then(|unit| unit.check(body)).expect("what is written reads back");
        }
    }
});
