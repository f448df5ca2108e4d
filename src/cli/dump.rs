//! Storage dumps as mainframe people read them: offset, words in hexadecimal, characters between stars.

use std::io::{self, Write};

use tapegate_formats::ebcdic;

/// Bytes of a line.
const LINE_BYTES: usize = 32;
/// Bytes of a word.
const WORD_BYTES: usize = 4;

/// Writes a dump of `bytes`, each line behind `indent` blanks. Lines equal to the one before are told, not repeated.
///
/// # Errors
/// When `out` can't be written.
pub fn write_dump(out: &mut dyn Write, bytes: &[u8], indent: usize) -> io::Result<()> {
    let mut before: Option<&[u8]> = None;
    let mut same_from: Option<usize> = None;
    for (number, line) in bytes.chunks(LINE_BYTES).enumerate() {
        let offset = number * LINE_BYTES;
        if before == Some(line) {
            same_from.get_or_insert(offset);
            continue;
        }
        tell_same(out, indent, same_from.take(), offset)?;
        write!(out, "{:indent$}+{offset:04X} ", "")?;
        for word in 0..LINE_BYTES / WORD_BYTES {
            let gap = if word == LINE_BYTES / WORD_BYTES / 2 { "  " } else { " " };
            write!(out, "{gap}")?;
            for place in word * WORD_BYTES..(word + 1) * WORD_BYTES {
                match line.get(place) {
                    Some(byte) => write!(out, "{byte:02X}")?,
                    None => write!(out, "  ")?,
                }
            }
        }
        let text: String = line.iter().map(|&byte| printable(byte)).collect();
        writeln!(out, "  *{text:LINE_BYTES$}*")?;
        before = Some(line);
    }
    tell_same(out, indent, same_from, bytes.len())
}

fn tell_same(out: &mut dyn Write, indent: usize, from: Option<usize>, end: usize) -> io::Result<()> {
    match from {
        Some(from) => writeln!(out, "{:indent$}+{from:04X}  to +{:04X} same as above", "", end - 1),
        None => Ok(()),
    }
}

/// The character of an EBCDIC byte, a dot where it has no picture of one column in every terminal.
fn printable(byte: u8) -> char {
    let character = ebcdic::to_char(byte);
    if character == ' ' || character.is_ascii_graphic() { character } else { '.' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_words_text_and_no_repeated_lines() {
        let mut bytes = ebcdic::from_ascii(*b"VOL1PUB010").to_vec();
        bytes.resize(32, 0x40);
        bytes.extend([0; 96]);
        bytes.extend([0xc1; 3]);
        let mut out = Vec::new();
        write_dump(&mut out, &bytes, 2).unwrap();
        let lines = [
            "  +0000  E5D6D3F1 D7E4C2F0 F1F04040 40404040  40404040 40404040 40404040 40404040  *VOL1PUB010                      *",
            "  +0020  00000000 00000000 00000000 00000000  00000000 00000000 00000000 00000000  *................................*",
            "  +0040  to +007F same as above",
            "  +0080  C1C1C1                                                                    *AAA                             *",
        ];
        assert_eq!(String::from_utf8(out).unwrap().lines().collect::<Vec<_>>(), lines);
    }
}
