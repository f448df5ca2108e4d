//! `tapegate tape`: what it prints, and how it ends.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use tapegate_formats::ebcdic;
use tapegate_formats::tape::description::{DESCRIPTION_VERSION, Description, DescriptionHeader, FileEntry};
use tapegate_formats::tape::label::LabelCode;
use tapegate_formats::tape::unit::{UnitKind, unit_header};

use crate::extract::track;
use crate::image::{Image, label};

fn tape(arguments: &[&str], tape: &Path, more: &[&str]) -> assert_cmd::assert::Assert {
    Command::cargo_bin("tapegate").unwrap().arg("tape").args(arguments).arg(tape).args(more).assert()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn two_files() -> Image {
    let lines = ebcdic::from_str(&format!("{:<80}{:<80}", "FIRST LINE", "SECOND LINE")).unwrap();
    let image = Image::default().volume(LabelCode::Ebcdic).data_set(&label("DEMO.TEXT", 1), &[&lines]);
    image.data_set(&label("DEMO.EMPTY", 2), &[]).mark()
}

#[test]
fn a_map_is_a_table_with_the_files_in_order() {
    let file = two_files().file();
    let done = tape(&["map"], file.path(), &[]).success();
    let expected =
        " file  name               recfm  lrecl  blksize     blocks   in label          bytes  shortest  longest         offset
    1  DEMO.TEXT          FB        80      800          1          1            160       160      160             86
    2  DEMO.EMPTY         FB        80      800          0          0              0         -        -            614
2 file(s), 10 block(s) and 7 tape mark(s), 880 bytes in an image of 982
end of tape: two tape marks
";
    let printed = text(&done.get_output().stdout);
    let (title, table) = printed.split_once('\n').unwrap();
    assert!(title.ends_with(": AWS, IBM standard labels, volume TAPE01"), "{title}");
    assert_eq!(table, expected);
    assert_eq!(text(&done.get_output().stderr), "");
}

#[test]
fn the_json_map_has_the_same_figures() {
    let file = two_files().file();
    let done = tape(&["map", "--json"], file.path(), &[]).success();
    let map: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!(
        (map["volser"].as_str(), map["labels"].as_str(), map["end"].as_str()),
        (Some("TAPE01"), Some("sl"), Some("double-tape-mark"))
    );
    let first = &map["files"][0];
    assert_eq!(
        (first["name"].as_str(), first["blocks"].as_u64(), first["data_offset"].as_u64()),
        (Some("DEMO.TEXT"), Some(1), Some(264))
    );
    assert_eq!(map["findings"].as_array().map(Vec::len), Some(0));
}

#[test]
fn damage_ends_with_3_and_says_where() {
    let mut image = two_files();
    image.bytes.truncate(700);
    let file = image.file();
    let done = tape(&["verify"], file.path(), &[]).code(3);
    assert!(text(&done.get_output().stdout).ends_with("NOT SOUND\n"));
    let warnings = text(&done.get_output().stderr);
    assert!(warnings.contains("warning: offset 700: the tape doesn't end with two tape marks"), "{warnings}");
    tape(&["verify"], two_files().file().path(), &[]).success();
}

#[test]
fn other_files_end_with_1() {
    let file = Image::of(b"CKD_P370").file();
    let done = tape(&["map"], file.path(), &[]).code(1);
    assert!(text(&done.get_output().stderr).contains("not an AWS or HET tape: it is a CKD disk image"));
}

#[test]
fn a_file_is_extracted_by_number_or_name_to_a_pipe_or_a_file() {
    let file = two_files().file();
    let done = tape(&["extract"], file.path(), &["1", "--text"]).success();
    assert_eq!(text(&done.get_output().stdout), format!("{:<80}\n{:<80}\n", "FIRST LINE", "SECOND LINE"));
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let done = tape(&["extract"], file.path(), &["demo.text", "-o", out.to_str().unwrap()]).success();
    assert!(done.get_output().stdout.is_empty());
    assert_eq!(fs::read(&out).unwrap().len(), 160);
    let done = tape(&["extract"], file.path(), &["1", "--json", "-o", out.to_str().unwrap()]).success();
    let result: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!((result["name"].as_str(), result["number"].as_u64()), (Some("DEMO.TEXT"), Some(1)));
    assert_eq!((result["blocks"].as_u64(), result["bytes"].as_u64()), (Some(1), Some(160)));
    let done = tape(&["extract"], file.path(), &["1", "--json"]).success();
    assert_eq!(done.get_output().stdout.len(), 160);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&done.get_output().stderr).unwrap()["output"], "-");
    let done = tape(&["extract"], file.path(), &["3"]).code(1);
    assert!(text(&done.get_output().stderr).contains("no file 3 on the tape, which has 2 file(s)"));
}

#[test]
fn an_extraction_that_fails_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let file = two_files().file();
    tape(&["extract"], file.path(), &["1", "--text", "--recfm", "VB", "-o", out.to_str().unwrap()]).code(1);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// A tape of ours with two sequential data sets whose labels look the same.
fn described() -> Image {
    let entry = |name: &str, number| FileEntry {
        name: ebcdic::from_str(&format!("{name:<44}")).unwrap().try_into().unwrap(),
        class: 1,
        form: 1,
        dsorg: 0x4000,
        recfm: 0x90,
        key_length: 0,
        record_length: 4,
        block_length: 8,
        special: 0,
        reserved: 0,
        number,
        units: 1,
        reserved2: 0,
        extents: Vec::new(),
    };
    let header = DescriptionHeader {
        version: DESCRIPTION_VERSION,
        shape: 1,
        used_only: 0,
        device: 0x3390,
        heads: 15,
        cylinders: 1,
        slot_bytes: 56_832,
        blocks: 0,
        block_bytes: 0,
        unit_blocks: 0,
        volser: [0x40; 6],
        tape_block_bytes: 32_760,
        t0: 0,
        entries: 0,
        units: 0,
        entry_bytes: 0,
        reserved: [0; 52],
        crc: 0,
    };
    let names = ["ONE.WITH.A.NAME.OF.MANY.LETTERS", "TWO.WITH.A.NAME.OF.MANY.LETTERS"];
    let description = Description { header, files: vec![entry(names[0], 2), entry(names[1], 3)] };
    let description = description.to_bytes();
    let image = Image::default()
        .volume(LabelCode::Ebcdic)
        .data_set(&label("TAPEGATE.VOLUME", 1), &description.chunks(50).collect::<Vec<_>>());
    names
        .iter()
        .zip(2..)
        .fold(image, |image, (name, number)| {
            let content = ebcdic::from_str(&name[..3]).unwrap();
            let body = track(0, &[(b"", &content), (b"", b""), (b"", b"stale")]);
            let mut stream = unit_header(0, UnitKind::Track, &body).to_vec();
            stream.extend(body);
            image.data_set(&label(name, number), &[&stream])
        })
        .mark()
}

#[test]
fn a_described_tape_knows_whole_names_and_where_data_sets_end() {
    let file = described().file();
    let done = tape(&["map"], file.path(), &[]).success();
    assert!(text(&done.get_output().stdout).contains("  TWO.WITH.A.NAME.OF.MANY.LETTERS\n"));
    let done = tape(&["extract"], file.path(), &["two.with.a.name.of.many.letters", "--text"]).success();
    assert_eq!(text(&done.get_output().stdout), "TWO\n");
    let done = tape(&["extract"], file.path(), &["2", "--all"]).success();
    assert_eq!(done.get_output().stdout, [&ebcdic::from_str("ONE").unwrap()[..], b"stale"].concat());
    let done = tape(&["extract"], file.path(), &["F.MANY.LETTERS.X"]).code(1);
    assert!(text(&done.get_output().stderr).contains("no file"));
    let done = tape(&["extract"], file.path(), &["E.OF.MANY.LETTERS"]).code(1);
    assert!(
        text(&done.get_output().stderr).contains("several files are called E.OF.MANY.LETTERS: give a number, such as 2 or 3")
    );
}

#[test]
fn a_damaged_description_is_told_and_the_map_goes_on() {
    let mut image = described();
    image.bytes[264 + 6 + 20] ^= 1;
    let file = image.file();
    let done = tape(&["map"], file.path(), &[]).code(3);
    assert!(text(&done.get_output().stdout).contains("TAPEGATE.VOLUME"));
    assert!(text(&done.get_output().stderr).contains("offset 264: the description is damaged: its checksum is wrong"));
    let done = tape(&["extract"], file.path(), &["2"]).code(3);
    assert_eq!(done.get_output().stdout, [&ebcdic::from_str("ONE").unwrap()[..], b"stale"].concat());
}
