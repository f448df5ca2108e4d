//! Tapes that are cut, flipped, or no tapes at all: an error or a finding, never a panic, never silence.

use proptest::prelude::*;
use tapegate::finding::Grade;
use tapegate::tape::{ContentEnd, ExtractForm, ItemKind, TapeEnd, TapeError, TapeImage, TapeStructure, extract, read_structure};
use tapegate_formats::tape::label::LabelCode;

use crate::image::{Image, label};

/// Reads everything that can be read.
fn read_all(image: &Image) -> Option<TapeStructure> {
    let file = image.file();
    let tape = match TapeImage::open(file.path()) {
        Ok(tape) => tape,
        Err(TapeError::NotATape { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    let structure = read_structure(&tape, |_| {}).unwrap();
    for file in &structure.files {
        let text =
            ExtractForm::Text { end: ContentEnd::LastRecord, format: "VBS".parse().unwrap(), record_length: 80, ebcdic: true };
        for form in [ExtractForm::Raw, ExtractForm::Content(ContentEnd::EndOfFile), text] {
            let mut out = Vec::new();
            match extract(&tape, file, form, &mut out) {
                Ok(extracted) => assert_eq!(extracted.bytes, out.len() as u64),
                Err(TapeError::Damaged { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    Some(structure)
}

fn small_tape() -> Image {
    let image = Image::default().volume(LabelCode::Ebcdic).data_set(&label("ONE", 1), &[&[0x40; 80], &[1; 30]]);
    image.packed(&[5; 300], 1, 7).mark().mark()
}

#[test]
fn a_tape_cut_anywhere_is_not_whole() {
    let image = Image::default().volume(LabelCode::Ebcdic).data_set(&label("ONE", 1), &[&[0x40; 80], &[1; 30]]).mark();
    for length in 1..image.bytes.len() {
        let cut = Image::of(&image.bytes[..length]);
        let Some(tape) = read_all(&cut) else {
            assert!(length < 6, "cut at {length}");
            continue;
        };
        // VOL1 alone, or VOL1 and a tape mark, is a tape that was never written to.
        assert!(!tape.is_whole() || (tape.end == TapeEnd::Initialised && length == 86), "cut at {length}");
        assert!(tape.is_whole() || tape.findings.iter().any(|finding| finding.grade == Grade::Damage), "cut at {length}");
    }
}

#[test]
fn any_flipped_bit_leaves_a_tape_or_a_finding() {
    let image = small_tape();
    // Every byte is hit, at changing places.
    for bit in (0..image.bytes.len() * 8).step_by(3) {
        let mut flipped = image.clone();
        flipped.bytes[bit / 8] ^= 1 << (bit % 8);
        read_all(&flipped);
    }
}

#[test]
fn a_compressed_block_that_does_not_expand_is_told_with_its_offset() {
    let mut image = Image::default().block(b"good").packed(&[5; 300], 1, 1000).mark().mark();
    image.bytes[10 + 6 + 4] ^= 0xff;
    let tape = image.read();
    assert_eq!((tape.end, tape.findings[0].code), (TapeEnd::Damaged, "damaged-tape"));
    assert!(tape.findings[0].to_string().contains("offset 10: the compressed data is damaged"), "{}", tape.findings[0]);
}

#[test]
fn a_tape_of_countless_files_is_given_up() {
    let image = (0..250_001).fold(Image::default(), |image, _| image.block(b"x").mark());
    let tape = image.read();
    assert_eq!((tape.end, tape.files.len()), (TapeEnd::Damaged, 250_001));
    assert!(tape.findings[0].detail.contains("more than 250000 files"), "{}", tape.findings[0]);
}

/// What a model tape is made of.
#[derive(Debug, Clone)]
enum Part {
    Mark,
    Block { data: Vec<u8>, compressed: bool, chunk: usize },
}

fn part() -> impl Strategy<Value = Part> {
    let block = (prop::collection::vec(any::<u8>(), 1..300), any::<bool>(), 1..400_usize);
    prop_oneof![
        1 => Just(Part::Mark),
        3 => block.prop_map(|(data, compressed, chunk)| Part::Block { data, compressed, chunk }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(parts in prop::collection::vec(part(), 1..30)) {
        let image = parts.iter().fold(Image::default(), |image, part| match part {
            Part::Mark => image.mark(),
            Part::Block { data, compressed, chunk } => image.packed(data, (*compressed).into(), *chunk),
        });
        let file = image.file();
        let tape = TapeImage::open(file.path()).unwrap();
        let mut buffer = tapegate::tape::BlockBuffer::new();
        let mut end = 0;
        let items: Vec<_> = tape.items().map(Result::unwrap).collect();
        prop_assert_eq!(items.len(), parts.len());
        for (item, part) in items.iter().zip(&parts) {
            prop_assert_eq!((item.offset, item.chain_break), (end, None));
            end = item.end;
            match part {
                Part::Mark => prop_assert_eq!(item.kind, ItemKind::TapeMark),
                Part::Block { data, .. } => prop_assert_eq!(tape.read_block(item, &mut buffer).unwrap(), data),
            }
        }
        prop_assert_eq!(end, tape.length());
    }

    #[test]
    fn any_bytes_are_read_to_an_end(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400),
        headers in prop::collection::vec((0..394_usize, 0..6_usize), 0..20),
    ) {
        // Headers strewn in, or hardly anything would get past the first.
        for (at, kind) in headers {
            let header = [[3, 0, 0, 0, 0xa0, 0], [0, 0, 3, 0, 0x40, 0], [9, 0, 0, 0, 0xa1, 0], [9, 0, 9, 0, 0x22, 0],
                [2, 0, 0, 0, 0x80, 0], [2, 0, 2, 0, 0x20, 0]][kind];
            if let Some(place) = bytes.get_mut(at..at + 6) {
                place.copy_from_slice(&header);
            }
        }
        read_all(&Image::of(&bytes));
    }
}
