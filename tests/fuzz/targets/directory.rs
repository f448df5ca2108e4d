//! A directory block of any bytes gives its entries, none of which passes its used part.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::volume::pds::{Entries, Item, Statistics};

fuzz_target!(|input: &[u8]| {
    for block in input.chunks(264) {
        let (key, data) = block.split_at(block.len().min(8));
        let Ok(entries) = Entries::of_block(key, data) else { continue };
        let mut bytes = 2;
        for item in entries {
            if let Ok(Item::Entry(entry)) = item {
                bytes += 12 + entry.user_data.len();
                let _ = (entry.name.to_string(), Statistics::parse(entry.user_data));
            }
        }
        assert!(bytes <= 256);
    }
});
