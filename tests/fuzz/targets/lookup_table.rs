//! Table entries of any bytes are read, and write back as they were.
//!
//! Input: one byte for width and byte order, then the tables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::dasd::compressed_header::{CompressedHeader, OPTION_BIG_ENDIAN};
use tapegate_formats::dasd::device_header::OffsetWidth;
use tapegate_formats::dasd::lookup_table::TableLayout;

fuzz_target!(|input: &[u8]| {
    let Some((&form, bytes)) = input.split_first() else { return };
    let width = if form & 1 == 0 { OffsetWidth::Bits32 } else { OffsetWidth::Bits64 };
    let big_endian = form & 2 != 0;
    let options = if big_endian { OPTION_BIG_ENDIAN } else { 0 };
    let layout = TableLayout::of(width, &CompressedHeader { options, ..CompressedHeader::default() });

    let mut written = Vec::new();
    let entries: Vec<_> = layout.parse_l1(bytes).collect();
    assert_eq!(entries.len(), bytes.len() / layout.l1_entry_bytes());
    for entry in entries {
        layout.write_l1(entry, &mut written).expect("what was read has room");
    }
    assert_eq!(written, bytes[..written.len()]);

    written.clear();
    let entries: Vec<_> = layout.parse_l2(bytes).collect();
    for entry in &entries {
        layout.write_l2(*entry, &mut written).expect("what was read has room");
    }
    // Null and lower entries are written with lengths of their own, so it is their meaning that must be the same.
    assert!(layout.parse_l2(&written).eq(entries));
});
