//! A list of free spaces of any bytes is read or refused; the spaces ascend and don't overlap.
//!
//! Input: one byte for width and byte order, one for the number of spaces, one for where the list begins, then the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::dasd::compressed_header::{CompressedHeader, OPTION_BIG_ENDIAN};
use tapegate_formats::dasd::device_header::OffsetWidth;
use tapegate_formats::dasd::free_space::free_spaces;

fuzz_target!(|input: &[u8]| {
    let Some((&[form, count, offset], file)) = input.split_first_chunk() else { return };
    let header = CompressedHeader {
        options: if form & 2 == 0 { 0 } else { OPTION_BIG_ENDIAN },
        size_bytes: if form & 4 == 0 { file.len() as u64 } else { u64::MAX },
        free_offset: u64::from(offset),
        free_spaces: if form & 8 == 0 { u64::from(count) } else { u64::MAX },
        ..CompressedHeader::default()
    };
    let width = if form & 1 == 0 { OffsetWidth::Bits32 } else { OffsetWidth::Bits64 };
    let read = |offset: u64, buffer: &mut [u8]| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = start.checked_add(buffer.len()).and_then(|end| file.get(start..end));
        bytes.map(|bytes| buffer.copy_from_slice(bytes)).is_some()
    };
    if let Ok(spaces) = free_spaces(&header, width, read) {
        assert_eq!(spaces.len() as u64, header.free_spaces);
        let mut end = 0;
        for space in spaces {
            assert!(space.offset >= end && space.length > 0);
            end = space.offset + space.length;
        }
        assert!(end <= header.size_bytes);
    }
});
