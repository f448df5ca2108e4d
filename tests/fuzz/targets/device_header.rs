//! The first 512 bytes of an image are a device header or are refused, and a header writes back what it read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::dasd::device_header::DeviceHeader;

fuzz_target!(|input: &[u8]| {
    if let Ok(header) = DeviceHeader::parse(input) {
        let bytes = header.to_bytes();
        assert_eq!(bytes[..32], input[..32]);
        assert_eq!(DeviceHeader::parse(&bytes), Ok(header));
    }
});
