//! An image of any bytes is walked as a tape to its end or to an error that names the file; labels are read on the way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate::tape::{BlockBuffer, ItemKind, TapeImage, read_structure};
use tapegate_formats::tape::block::LONGEST_BLOCK_BYTES;
use tapegate_fuzz::{check_error, scratch_file};

fuzz_target!(|input: &[u8]| {
    let path = scratch_file("tape", input);
    let image = match TapeImage::open(&path) {
        Ok(image) => image,
        Err(error) => return check_error(&error, &path),
    };
    let mut buffer = BlockBuffer::new();
    let mut end = 0;
    for item in image.items() {
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                check_error(&error, &path);
                break;
            }
        };
        assert_eq!(item.offset, end);
        assert!(item.end > item.offset && item.end <= image.length());
        end = item.end;
        match image.read_block(&item, &mut buffer) {
            Ok(data) => {
                assert!(data.len() <= LONGEST_BLOCK_BYTES as usize);
                assert_eq!(data.is_empty(), !matches!(item.kind, ItemKind::Block { .. }));
            }
            Err(error) => check_error(&error, &path),
        }
    }
    if let Ok(structure) = read_structure(&image, |_| {}) {
        for file in &structure.files {
            assert!(file.offset <= file.data_offset && file.data_offset <= file.data_end && file.data_end <= image.length());
        }
    }
});
