//! Taking files off a tape.

use tapegate::tape::{ContentEnd, ExtractForm, Extracted, TapeError, TapeImage, extract, read_structure};
use tapegate_formats::ebcdic;
use tapegate_formats::tape::label::LabelCode;
use tapegate_formats::tape::unit::{UnitKind, unit_header};

use crate::image::{Image, label};

/// Takes the first file off.
fn take(image: &Image, form: ExtractForm) -> Result<(Vec<u8>, Extracted), TapeError> {
    let file = image.file();
    let tape = TapeImage::open(file.path())?;
    let structure = read_structure(&tape, |_| {})?;
    let mut out = Vec::new();
    let extracted = extract(&tape, &structure.files[0], form, &mut out)?;
    Ok((out, extracted))
}

const CONTENT: ExtractForm = ExtractForm::Content(ContentEnd::LastRecord);

fn text(format: &str, record_length: u32) -> ExtractForm {
    ExtractForm::Text { end: ContentEnd::LastRecord, format: format.parse().unwrap(), record_length, ebcdic: true }
}

/// A track with R0 and records of key and data.
pub fn track(cylinder: u8, records: &[(&[u8], &[u8])]) -> Vec<u8> {
    let home = [0, cylinder, 0, 0];
    let mut track = vec![0];
    track.extend(home);
    track.extend(home);
    track.extend([0, 0, 0, 8]);
    track.extend([0; 8]);
    for ((key, data), number) in records.iter().zip(1_u8..) {
        track.extend(home);
        track.extend([number, u8::try_from(key.len()).unwrap()]);
        track.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        track.extend(*key);
        track.extend(*data);
    }
    track
}

/// A tape with one file of units, cut into blocks of `block` bytes.
fn units(units: &[(UnitKind, Vec<u8>)], block: usize) -> Image {
    let mut stream = Vec::new();
    for ((kind, body), number) in units.iter().zip(0..) {
        stream.extend(unit_header(number, *kind, body));
        stream.extend(body);
    }
    let blocks: Vec<&[u8]> = stream.chunks(block).collect();
    Image::default().volume(LabelCode::Ebcdic).data_set(&label("UNITS", 1), &blocks).mark()
}

#[test]
fn a_file_is_its_blocks_one_behind_the_other() {
    let image = Image::default().volume(LabelCode::Ebcdic).data_set(&label("PLAIN", 1), &[b"one", b"two", b"3"]).mark();
    let (bytes, extracted) = take(&image, CONTENT).unwrap();
    assert_eq!((bytes.as_slice(), extracted.blocks, extracted.bytes), (&b"onetwo3"[..], 3, 7));
    let packed = Image::default().packed(b"onetwo3", 1, 3).mark().mark();
    assert_eq!(take(&packed, CONTENT).unwrap().0, b"onetwo3");
}

#[test]
fn fixed_records_become_lines() {
    let block = ebcdic::from_str("FIRST   SECOND  THIRD   ").unwrap();
    let image = Image::default().block(&block).mark().mark();
    assert_eq!(take(&image, text("FB", 8)).unwrap().0, b"FIRST   \nSECOND  \nTHIRD   \n");
    assert!(matches!(take(&image, text("VB", 8)), Err(TapeError::Damaged { offset: 0, .. })));
}

#[test]
fn units_give_the_data_of_their_records_without_keys() {
    let tracks = [
        (UnitKind::Track, track(0, &[(b"KEY", b"one"), (b"", b"two")])),
        (UnitKind::Track, track(1, &[(b"", b"three"), (b"", b""), (b"", b"four")])),
        (UnitKind::Track, track(2, &[(b"", b"five")])),
    ];
    // A block length that no unit is a multiple of, so that units lie over block borders in every way.
    for block in [18, 19, 100, 1000] {
        let image = units(&tracks, block);
        assert_eq!(take(&image, CONTENT).unwrap().0, b"onetwothreefourfive", "blocks of {block}");
        let (until_end, _) = take(&image, ExtractForm::Content(ContentEnd::EndOfFile)).unwrap();
        assert_eq!(until_end, b"onetwothree", "blocks of {block}");
        let stream: usize = tracks.iter().map(|(_, body)| 16 + body.len()).sum();
        assert_eq!(take(&image, ExtractForm::Raw).unwrap().0.len(), stream);
    }
}

#[test]
fn a_raw_slot_is_left_out_and_told() {
    let image = units(&[(UnitKind::RawSlot, vec![0xff; 50]), (UnitKind::Track, track(1, &[(b"", b"good")]))], 64);
    let (bytes, extracted) = take(&image, CONTENT).unwrap();
    assert_eq!((bytes.as_slice(), extracted.findings[0].code), (&b"good"[..], "raw-slot"));
    let groups = units(&[(UnitKind::Blocks, vec![7; 4096]), (UnitKind::Blocks, vec![8; 512])], 1000);
    assert_eq!(take(&groups, CONTENT).unwrap().0.len(), 4608);
}

#[test]
fn a_damaged_unit_is_an_error_at_its_block() {
    let mut image = units(&[(UnitKind::Track, track(0, &[(b"", b"text")]))], 1000);
    let at = image.bytes.windows(4).position(|bytes| bytes == b"text").unwrap();
    image.bytes[at] ^= 1;
    let error = take(&image, CONTENT).unwrap_err().to_string();
    assert!(error.ends_with("damaged tape at offset 264: unit 0 fails its checksum"), "{error}");
    let stream = unit_header(0, UnitKind::Track, &[0; 100]);
    let cut = Image::default().block(&stream).block(&[0; 99]).mark().mark();
    let error = take(&cut, CONTENT).unwrap_err().to_string();
    assert!(error.contains("ends inside an encoded unit"), "{error}");
}
