//! Telling an AWS or HET image from other files by its first bytes.

use tapegate_formats::tape::block::ChunkChain;
use tapegate_formats::tape::chunk::ChunkHeader;
use zerocopy::FromBytes;

/// First bytes of files that are given as a tape by mistake, and what to say then.
const SIGNS: [(&[u8], &str); 12] = [
    (b"@TDF", "it is an OMA tape descriptor; give the files that it names"),
    (b"CKD_P", "it is a CKD disk image"),
    (b"CKD_C", "it is a compressed CKD disk image"),
    (b"CKD_S", "it is a shadow file of a CKD disk image"),
    (b"FBA_C", "it is a compressed FBA disk image"),
    (b"FBA_S", "it is a shadow file of an FBA disk image"),
    (b"\xfd7zXZ\0", "it is compressed by xz; expand it first"),
    (b"\x1f\x8b\x08", "it is compressed by gzip; expand it first"),
    (b"BZh", "it is compressed by bzip2; expand it first"),
    (b"\x28\xb5\x2f\xfd", "it is compressed by zstd; expand it first"),
    (b"PK\x03\x04", "it is a zip archive; expand it first"),
    (b"{", "it is text; is it a tape's manifest?"),
];

/// What a file is that is no AWS or HET tape; `None` when it begins like one.
pub(super) fn looks_like(start: &[u8]) -> Option<String> {
    // A chunk header first: a block's length may be that of any sign, and no sign is a whole chunk header.
    let doubt = match ChunkHeader::read_from_prefix(start).map(|(header, _)| ChunkChain::new().step(header)) {
        Ok(Ok(chunk)) => format!("its first chunk names one of {} bytes before it", chunk.chain_break?.found),
        Ok(Err(defect)) => format!("it begins with {defect}"),
        Err(_) if start.is_empty() => "it is empty".to_owned(),
        Err(_) => format!("it has only {} bytes", start.len()),
    };
    if let Some((_, name)) = SIGNS.iter().find(|(sign, _)| start.starts_with(sign)) {
        return Some((*name).to_owned());
    }
    if is_faketape(start) {
        return Some("it is a FakeTape (Flex-ES) image; convert it to AWS first".to_owned());
    }
    Some(doubt)
}

/// Twelve hexadecimal characters: previous length, length, and the two xored.
fn is_faketape(start: &[u8]) -> bool {
    let number = |from: usize| {
        let text = std::str::from_utf8(start.get(from..from + 4)?).ok()?;
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u16::from_str_radix(text, 16).ok()
    };
    matches!((number(0), number(4), number(8)), (Some(previous), Some(length), Some(check)) if previous ^ length == check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tapes_begin_with_a_first_chunk_or_a_tape_mark() {
        assert_eq!(looks_like(&[0x50, 0, 0, 0, 0xa0, 0, 0xe5, 0xd6]), None);
        assert_eq!(looks_like(&[0x12, 0, 0, 0, 0xa1, 0]), None);
        assert_eq!(looks_like(&[0, 0, 0, 0, 0x40, 0]), None);
        // A first block of 123 bytes, whose length is a brace.
        assert_eq!(looks_like(b"{\0\0\0\xa0\0"), None);
    }

    /// The FakeTape header is the fact sheet's example: a first block of 80 bytes.
    #[test]
    fn other_files_are_called_by_their_names() {
        for (start, words) in [
            (&b"000000500050\xe5\xd6\xd3\xf1"[..], "FakeTape"),
            (b"@TDF\r\n", "OMA"),
            (b"CKD_P370\x0f\0\0\0", "CKD disk image"),
            (b"CKD_C064\x0f\0\0\0", "compressed CKD"),
            (b"\xfd7zXZ\0\0\x04", "xz"),
            (b"", "empty"),
            (b"abc", "only 3 bytes"),
            (b"#!/bin/sh\n", "not a chunk header"),
            (&[0x50, 0, 0x50, 0, 0xa0, 0], "80 bytes before it"),
        ] {
            let said = looks_like(start).unwrap();
            assert!(said.contains(words), "{said}");
        }
    }
}
