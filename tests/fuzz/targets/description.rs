//! A description of any bytes is read or refused; what is read writes back as it was.
//!
//! Magic, version and checksum are put right first, so that the entries behind them are reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::tape::description::{DESCRIPTION_HEADER_BYTES, Description};

fn mended(input: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = input.to_vec();
    bytes.get_mut(..10)?.copy_from_slice(&[0xe3, 0xc7, 0xe5, 0xd6, 0xd3, 0xe4, 0xd4, 0xc5, 0, 1]);
    let entry_bytes = u64::from_be_bytes(*bytes.get(64..72)?.first_chunk()?);
    let end = usize::try_from(entry_bytes).ok()?.checked_add(DESCRIPTION_HEADER_BYTES)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..124.min(bytes.len())]), bytes.get(DESCRIPTION_HEADER_BYTES..end)?);
    bytes.get_mut(124..128)?.copy_from_slice(&crc.to_be_bytes());
    Some(bytes)
}

fuzz_target!(|input: &[u8]| {
    let _ = Description::parse(input);
    let Some(bytes) = mended(input) else { return };
    if let Ok((description, units)) = Description::parse(&bytes) {
        let written = description.to_bytes();
        assert_eq!(written, bytes[..bytes.len() - units.len()]);
    }
});
