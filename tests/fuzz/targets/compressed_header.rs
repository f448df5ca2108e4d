//! A compressed device header of any bytes is read or refused; what is read writes back, in both widths.
//!
//! Version and table size are put right first, so that the fields behind them are reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::dasd::compressed_header::{CompressedHeader, OPTION_BIG_ENDIAN};
use tapegate_formats::dasd::device_header::OffsetWidth;

fuzz_target!(|input: &[u8]| {
    for width in [OffsetWidth::Bits32, OffsetWidth::Bits64] {
        let _ = CompressedHeader::parse(input, width);
        let mut bytes = input.to_vec();
        let Some(start) = bytes.first_chunk_mut::<12>() else { continue };
        start[..3].copy_from_slice(&[0, 3, 1]);
        let entries = if start[3] & OPTION_BIG_ENDIAN == 0 { 256_u32.to_le_bytes() } else { 256_u32.to_be_bytes() };
        start[8..].copy_from_slice(&entries);
        if let Ok(header) = CompressedHeader::parse(&bytes, width) {
            let written = header.to_bytes(width).expect("what was read has room");
            assert_eq!(CompressedHeader::parse(&written, width), Ok(header));
        }
    }
});
