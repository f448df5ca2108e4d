//! What lies on a tape.

use std::path::Path;

use tapegate::finding::Grade;
use tapegate::tape::{ExtractForm, LabelStyle, TapeEnd, TapeError, TapeImage, extract, read_structure};
use tapegate_formats::tape::label::{DataSetLabel, LabelCode, LabelKind};

use crate::image::{Image, codes, label};

/// Costs by the label sheet: a label takes 86 bytes, a tape mark 6, a block 6 and its length.
#[test]
fn a_labelled_tape_gives_its_data_sets_with_their_places() {
    let image = Image::default().volume(LabelCode::Ebcdic);
    let image = image.data_set(&label("FIRST.DATA.SET", 1), &[&[0x40; 800], &[0x40; 240]]);
    let image = image.data_set(&label("EMPTY", 2), &[]).data_set(&label("A.VERY.LONG.DATA.SET.NAME", 3), &[&[1; 80]]).mark();
    let tape = image.read();
    assert_eq!((tape.labels, tape.volser.as_deref(), tape.end), (LabelStyle::Standard, Some("TAPE01"), TapeEnd::DoubleTapeMark));
    assert_eq!(codes(&tape), Vec::<&str>::new());
    let places: Vec<_> = tape.files.iter().map(|file| (file.offset, file.data_offset, file.data_end, file.blocks)).collect();
    let second = 86 + 4 * 86 + 3 * 6 + 2 * 6 + 1040;
    let third = second + 4 * 86 + 3 * 6;
    assert_eq!(
        places,
        [(86, 86 + 178, 86 + 178 + 1052, 2), (second, second + 178, second + 178, 0), (third, third + 178, third + 178 + 86, 1)]
    );
    assert_eq!((tape.files[0].bytes, tape.files[0].block_lengths), (1040, Some((240, 800))));
    let attributes = tape.files[0].attributes().unwrap();
    assert_eq!(attributes.record_format.unwrap().to_string(), "FB");
    assert_eq!((attributes.block_length, attributes.record_length), (Some(800), Some(80)));
    assert_eq!(tape.files[2].name(), Some("ONG.DATA.SET.NAME"));
    for wanted in ["3", "ONG.DATA.SET.NAME", "A.VERY.LONG.DATA.SET.NAME", "a.very.long.data.set.name"] {
        assert_eq!(tape.find(wanted).iter().map(|file| file.number).collect::<Vec<_>>(), [3], "{wanted}");
    }
    assert!(tape.find("4").is_empty() && tape.find("DATA.SET.NAME").is_empty());
}

#[test]
fn data_that_looks_like_labels_is_data() {
    let trap = Image::default().labels(LabelKind::Eof, &label("TRAP", 1), LabelCode::Ebcdic).bytes;
    let (eof1, eof2) = (&trap[6..86], &trap[92..172]);
    let image = Image::default().volume(LabelCode::Ebcdic).data_set(&label("REAL", 1), &[eof1, eof2, eof1]).mark();
    let tape = image.read();
    assert_eq!((tape.files.len(), tape.files[0].blocks, tape.files[0].name()), (1, 3, Some("REAL")));
    assert_eq!(codes(&tape), Vec::<&str>::new());
    let unlabelled = Image::default().block(&[0; 80]).block(eof1).mark().block(eof1).mark().mark().read();
    assert_eq!((unlabelled.labels, unlabelled.files.len(), unlabelled.files[0].blocks), (LabelStyle::None, 2, 2));
}

#[test]
fn a_block_count_that_the_blocks_do_not_have_is_damage() {
    let wrong = DataSetLabel { block_count: 3, ..label("COUNT", 1) };
    let image = Image::default().volume(LabelCode::Ebcdic).labels(LabelKind::Hdr, &wrong, LabelCode::Ebcdic).mark();
    let image = image.block(&[0; 80]).block(&[0; 80]).mark().labels(LabelKind::Eof, &wrong, LabelCode::Ebcdic).mark().mark();
    let tape = image.read();
    assert_eq!((codes(&tape), tape.findings[0].grade), (vec!["block-count"], Grade::Damage));
    assert_eq!(tape.findings[0].to_string(), "file 1 COUNT: offset 86: the trailer says 3 blocks, the file has 2");
}

#[test]
fn headers_and_trailers_must_agree() {
    let image = Image::default().volume(LabelCode::Ebcdic).labels(LabelKind::Hdr, &label("ONE", 1), LabelCode::Ebcdic).mark();
    let image = image.mark().labels(LabelKind::Eof, &label("OTHER", 2), LabelCode::Ebcdic).mark().mark();
    let tape = image.read();
    assert_eq!(codes(&tape), ["labels-differ"]);
    assert!(tape.findings[0].detail.ends_with("name, file sequence"), "{}", tape.findings[0]);
}

#[test]
fn a_tape_without_an_end_is_not_whole() {
    let whole = Image::default().volume(LabelCode::Ebcdic).data_set(&label("ONE", 1), &[&[0; 80]]);
    assert!(whole.clone().mark().read().is_whole());
    let tape = whole.read();
    assert_eq!((tape.end, codes(&tape), tape.is_whole()), (TapeEnd::Open, vec!["no-end"], false));
    assert!(tape.files[0].complete);
    let unlabelled = Image::default().block(&[1; 10]).mark().read();
    assert_eq!((unlabelled.end, codes(&unlabelled)), (TapeEnd::Open, vec!["no-end"]));
    let mut header_only = Image::default().volume(LabelCode::Ebcdic);
    header_only = header_only.labels(LabelKind::Hdr, &label("ONE", 1), LabelCode::Ebcdic).mark();
    let tape = header_only.read();
    assert_eq!((tape.end, codes(&tape)), (TapeEnd::Open, vec!["no-end", "no-trailer"]));
}

#[test]
fn a_tape_that_goes_on_on_another_volume_is_whole() {
    let label = label("LONG", 1);
    let image = Image::default().volume(LabelCode::Ebcdic).labels(LabelKind::Hdr, &label, LabelCode::Ebcdic).mark();
    let image = image.mark().labels(LabelKind::Eov, &label, LabelCode::Ebcdic).mark();
    for image in [image.clone(), image.mark()] {
        let tape = image.read();
        assert_eq!((tape.end, codes(&tape)), (TapeEnd::NextVolume, vec!["next-volume"]));
        assert!(tape.files[0].continues());
    }
}

#[test]
fn an_initialised_tape_has_no_files() {
    let zeros = tapegate_formats::ebcdic::from_str(&format!("HDR1{:076}", 0)).unwrap();
    let tape = Image::default().volume(LabelCode::Ebcdic).block(&zeros).mark().read();
    assert_eq!((tape.end, tape.files.len(), codes(&tape)), (TapeEnd::Initialised, 0, vec!["initialised"]));
    let tape = Image::default().mark().mark().read();
    assert_eq!((tape.end, tape.files.len()), (TapeEnd::DoubleTapeMark, 0));
}

#[test]
fn ansi_labels_are_read_like_standard_ones() {
    let label = label("ANSI.FILE", 1);
    let image = Image::default().volume(LabelCode::Ascii).labels(LabelKind::Hdr, &label, LabelCode::Ascii).mark();
    let tape = image.mark().labels(LabelKind::Eof, &label, LabelCode::Ascii).mark().mark().read();
    assert_eq!((tape.labels, tape.files[0].name(), codes(&tape)), (LabelStyle::Ansi, Some("ANSI.FILE"), vec![]));
}

#[test]
fn files_of_an_unlabelled_tape_are_numbered_by_tape_marks() {
    let image = Image::default().mark().block(&[1; 5]).mark().block(&[2; 6]).mark().mark().block(&[3; 7]).mark();
    let tape = image.read();
    assert_eq!((tape.end, codes(&tape)), (TapeEnd::DoubleTapeMark, vec!["leading-tape-mark", "behind-end"]));
    let files: Vec<_> = tape.files.iter().map(|file| (file.number, file.bytes, file.behind_end)).collect();
    assert_eq!(files, [(2, 5, false), (3, 6, false), (5, 7, true)]);
}

#[test]
fn a_broken_chain_is_told_once() {
    let mut image = Image::default().block(&[1; 5]).block(&[2; 6]).block(&[3; 7]).mark().mark();
    image.bytes[11 + 2] = 9;
    image.bytes[11 + 12 + 2] = 9;
    let tape = image.read();
    assert_eq!((tape.end, codes(&tape)), (TapeEnd::DoubleTapeMark, vec!["chain"]));
    assert!(tape.findings[0].to_string().starts_with("offset 11: 2 chunk(s)"), "{}", tape.findings[0]);
}

#[test]
fn blocks_of_several_chunks_and_compressed_ones_count_once() {
    let block: Vec<u8> = (0..10_000_u32).map(|at| u8::try_from(at % 7).unwrap()).collect();
    let tape = Image::default().packed(&block, 0, 4096).packed(&block, 1, 20).packed(&block, 1, 65_535).mark().mark().read();
    assert_eq!((tape.blocks, tape.bytes, tape.compressed_blocks), (3, 30_000, 2));
    assert_eq!((tape.files[0].blocks, tape.files[0].block_lengths), (3, Some((10_000, 10_000))));
    assert!(tape.stored_bytes < 11_000);
}

/// `fixtures/make` had Hercules write the same tape in three forms.
#[test]
fn a_tape_is_the_same_stored_by_zlib_and_by_bzip2() {
    let read = |name: &str| {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")).join(name);
        let image = TapeImage::open(&path).unwrap();
        let tape = read_structure(&image, |_| {}).unwrap();
        assert!(tape.is_whole() && tape.findings.is_empty(), "{name}");
        let mut contents = Vec::new();
        for file in &tape.files {
            let mut content = Vec::new();
            extract(&image, file, ExtractForm::Raw, &mut content).unwrap();
            contents.push((file.name().map(str::to_owned), file.blocks, content));
        }
        (tape.compressed_blocks > 0, contents)
    };
    let (compressed, plain) = read("demo.aws");
    assert!(!compressed && plain.len() == 3 && plain[0].2.len() == 56_000);
    for name in ["demo.het", "demo-bzip2.het"] {
        let (compressed, contents) = read(name);
        assert!(compressed && contents == plain, "{name}");
    }
}

#[test]
fn a_tape_of_more_than_9999_data_sets_is_read() {
    let sets = (1..=10_001).fold(Image::default().volume(LabelCode::Ebcdic), |image, number| {
        image.data_set(&label(&format!("SET{number}"), number), &[])
    });
    let tape = sets.mark().read();
    assert_eq!((tape.files.len(), codes(&tape)), (10_001, vec![]));
    assert_eq!(tape.files[10_000].header.first.as_ref().unwrap().file_sequence, Some(10_001));
}

#[test]
fn other_files_are_refused_by_what_they_are() {
    let image = Image::of(b"CKD_P370 and so on");
    let file = image.file();
    let error = TapeImage::open(file.path()).unwrap_err();
    assert!(matches!(&error, TapeError::NotATape { looks_like, .. } if looks_like == "it is a CKD disk image"), "{error}");
    assert!(matches!(TapeImage::open("/nonexistent/tape".as_ref()), Err(TapeError::Io { .. })));
}
