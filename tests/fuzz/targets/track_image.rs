//! A stored image of any bytes expands inside its room or is refused; what is packed expands to what it was.
//!
//! Input: one byte for the room (in 256ths of a slot) and the compression, then the image.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::dasd::track_image::{Compression, Expander, Packer};

const SLOT_BYTES: usize = 65_535;

fuzz_target!(|input: &[u8]| {
    let Some((&form, image)) = input.split_first() else { return };
    let mut expander = Expander::default();
    let mut out = vec![0; SLOT_BYTES * usize::from(form) / 256];
    if let Ok(length) = expander.expand(image, &mut out) {
        assert!(length <= out.len());
    }
    if image.len() > SLOT_BYTES || image.len() < 5 {
        return;
    }
    let compression = match form % 3 {
        0 => Compression::None,
        1 => Compression::Zlib { level: form % 12 + 1 },
        _ => Compression::Bzip2,
    };
    let mut packed = vec![0xaa; 3];
    let length = Packer::new(compression).expect("a level that there is").pack(image, &mut packed);
    assert_eq!(packed.len(), 3 + length);
    assert!(length <= image.len());
    let mut out = vec![0; SLOT_BYTES];
    let expanded = expander.expand(&packed[3..], &mut out).expect("what was packed expands");
    // The first byte says how an image is stored; expanded it is zero.
    assert_eq!(out[1..expanded], image[1..]);
});
