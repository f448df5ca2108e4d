//! A slot of any bytes walks to a track or is refused, and a track that walks lies as it was read.
//!
//! Input: the home address that is expected, then the slot.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::dasd::track::{COUNT_BYTES, HOME_ADDRESS_BYTES, Track};

fuzz_target!(|input: &[u8]| {
    let Some((home, slot)) = input.split_first_chunk::<4>() else { return };
    if let Ok(track) = Track::parse(slot, *home) {
        let mut bytes = HOME_ADDRESS_BYTES;
        for record in track.records() {
            assert_eq!(record.offset, bytes);
            assert_eq!(record.key.len() + record.data.len(), record.count.content_bytes());
            bytes += COUNT_BYTES + record.count.content_bytes();
        }
        assert_eq!(bytes, track.bytes().len());
        assert_eq!(Track::from_bytes(track.bytes(), *home), Ok(track));
    }
    if let Ok(track) = Track::from_bytes(slot, *home) {
        assert_eq!(track.bytes(), slot);
        assert!(track.user_records().count() < track.records().count());
    }
});
