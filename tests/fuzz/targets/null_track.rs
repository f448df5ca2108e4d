//! Bytes that are recognised as a null track are those that its format makes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::dasd::null_track::NullFormat;

fuzz_target!(|input: &[u8]| {
    let Some((home, body)) = input.split_first_chunk::<4>() else { return };
    if let Some(format) = NullFormat::recognise(*home, body) {
        let mut slot = vec![0xaa; 56_832];
        let length = format.fill(*home, &mut slot);
        assert_eq!(length, Some(body.len()));
        assert_eq!(&slot[..body.len()], body);
    }
    for format in NullFormat::ALL {
        let mut slot = vec![0xaa; body.len()];
        if let Some(length) = format.fill(*home, &mut slot) {
            assert_eq!(NullFormat::recognise(*home, &slot[..length]), Some(format));
        }
    }
});
