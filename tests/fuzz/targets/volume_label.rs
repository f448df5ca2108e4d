//! A volume label of any bytes is read or is none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::volume::label::Label;

fuzz_target!(|input: &[u8]| {
    for data in [input, input.get(4..).unwrap_or_default()] {
        if let Some(label) = Label::find(data) {
            let _ = label.volser().to_string();
            if let Label::Standard(label) = label {
                let _ = label.is_cp();
            }
        }
    }
});
