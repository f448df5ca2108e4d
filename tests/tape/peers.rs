//! The same tapes read by Hercules' tools, and real tapes read by us. Each test is skipped, with its reason, where they
//! are absent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tapegate::tape::{ContentEnd, ExtractForm, LabelStyle, TapeFile, TapeImage, extract, read_structure};
use tapegate_formats::tape::label::{DataSetLabel, LabelCode};
use tapegate_formats::tape::record_format::RecordFormat;

use crate::image::{Image, label};

/// Runs a tool and gives back its output, or `None` if it is not installed.
fn run(tool: &str, arguments: &[&Path]) -> Option<String> {
    match Command::new(tool).args(arguments).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("skipped: {tool} can't be run: {error}");
            None
        }
    }
}

/// Real tapes, copied, since Hercules' map opens them for writing.
fn real_tapes(to: &Path) -> Vec<PathBuf> {
    let from = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/tapes"));
    let Ok(entries) = fs::read_dir(from) else {
        eprintln!("skipped: there are no real tapes at {}", from.display());
        return Vec::new();
    };
    let mut tapes = Vec::new();
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        let target = to.join(path.file_stem().unwrap()).with_extension(path.extension().unwrap());
        if path.extension().is_some_and(|extension| extension == "xz") {
            let expanded = Command::new("xz").arg("-dc").arg(&path).output();
            match expanded {
                Ok(output) if output.status.success() => {
                    let target = to.join(path.file_stem().unwrap());
                    fs::write(&target, output.stdout).unwrap();
                    tapes.push(target);
                }
                _ => eprintln!("skipped: xz can't expand {}", path.display()),
            }
        } else {
            fs::write(&target, fs::read(&path).unwrap()).unwrap();
            tapes.push(target);
        }
    }
    tapes.sort();
    tapes
}

/// The figures of `hetmap -f`, file by file: blocks, shortest, longest, bytes.
fn hetmap_files(text: &str) -> Vec<[u64; 4]> {
    let mut files = Vec::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let place = match name.trim() {
            "File #" => {
                files.push([0; 4]);
                continue;
            }
            "Summary" => break,
            "Blocks" => 0,
            "Min Blocksize" => 1,
            "Max Blocksize" => 2,
            "Uncompressed bytes" => 3,
            _ => continue,
        };
        if let Some(file) = files.last_mut() {
            file[place] = value.trim().parse().unwrap();
        }
    }
    files
}

fn figures(file: &TapeFile) -> [u64; 4] {
    let (shortest, longest) = file.block_lengths.unwrap_or((0, 0));
    [file.blocks, shortest.into(), longest.into(), file.bytes]
}

fn content(tape: &TapeImage, file: &TapeFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    extract(tape, file, ExtractForm::Content(ContentEnd::LastRecord), &mut bytes).unwrap();
    bytes
}

#[test]
fn hercules_reads_our_labels() {
    let directory = tempfile::tempdir().unwrap();
    let variable = DataSetLabel {
        record_format: RecordFormat::from_ds1recfm(0x50).unwrap(),
        block_length: 27_998,
        record_length: 255,
        job: "GATEWAY".to_owned(),
        step: "STEP1".to_owned(),
        system_code: "IBM OS/VS 370".to_owned(),
        ..label("VERY.LONG.DATASET.NAME.G0001V00", 2)
    };
    let cards: Vec<Vec<u8>> = (0..10).map(|number| vec![0xc0 + number; 800]).collect();
    let blocks: Vec<&[u8]> = cards.iter().map(Vec::as_slice).collect();
    let record = [0, 12, 0, 0, 0, 8, 0, 0, 0xc1, 0xc2, 0xc3, 0xc4];
    let image = Image::default().volume(LabelCode::Ebcdic).data_set(&label("CARDS", 1), &blocks);
    let image = image.data_set(&variable, &[&record]).data_set(&label("EMPTY", 3), &[]).mark();
    let path = directory.path().join("ours.aws");
    fs::write(&path, &image.bytes).unwrap();

    let Some(map) = run("hetmap", &["-l".as_ref(), &path]) else { return };
    for words in
        ["'TAPE01'", "'CARDS            '", "'SET.NAME.G0001V00'", "'0001'", "'000010'", "'GATEWAY /STEP1   '", "'27998'"]
    {
        assert!(map.contains(words), "{words} in\n{map}");
    }
    let Some(map) = run("tapemap", &[&path]) else { return };
    for name in ["VOL1TAPE01", "EOF1CARDS", "HDR1SET.NAME.G0001V00", "EOF1EMPTY"] {
        assert!(map.contains(name), "{name} in\n{map}");
    }
    let out = directory.path().join("out");
    for (number, expected) in [("1", cards.concat()), ("2", record.to_vec())] {
        run("hetget", &[&path, &out, number.as_ref()]);
        assert_eq!(fs::read(&out).unwrap(), expected, "file {number}");
    }
}

#[test]
fn real_tapes_have_the_files_that_hetmap_finds() {
    let directory = tempfile::tempdir().unwrap();
    for path in real_tapes(directory.path()) {
        let Some(map) = run("hetmap", &["-f".as_ref(), &path]) else { return };
        let theirs = hetmap_files(&map);
        let tape = TapeImage::open(&path).unwrap();
        let structure = read_structure(&tape, |_| {}).unwrap();
        assert!(structure.is_whole(), "{}", path.display());
        assert!(!structure.findings.iter().any(|finding| finding.grade == tapegate::finding::Grade::Damage));
        for file in &structure.files {
            let number = if structure.labels == LabelStyle::None { file.number - 1 } else { file.number * 3 - 2 };
            let theirs = theirs[usize::try_from(number).unwrap()];
            assert_eq!(figures(file), theirs, "{} file {}", path.display(), file.number);
        }
        assert_eq!(theirs.len() as u64, structure.tape_marks, "{}", path.display());
    }
}

#[test]
fn real_tapes_give_the_bytes_that_hetget_gives() {
    let directory = tempfile::tempdir().unwrap();
    for path in real_tapes(directory.path()) {
        let tape = TapeImage::open(&path).unwrap();
        let structure = read_structure(&tape, |_| {}).unwrap();
        for file in &structure.files {
            let out = directory.path().join("out");
            let number = file.number.to_string();
            let unlabelled: [&Path; 7] =
                ["-n".as_ref(), &path, &out, number.as_ref(), "U".as_ref(), "0".as_ref(), "32760".as_ref()];
            let labelled: [&Path; 3] = [&path, &out, number.as_ref()];
            let arguments = if structure.labels == LabelStyle::None { &unlabelled[..] } else { &labelled[..] };
            if run("hetget", arguments).is_none() {
                return;
            }
            assert!(content(&tape, file) == fs::read(&out).unwrap(), "{} file {number}", path.display());
        }
    }
}

#[test]
fn the_same_tape_in_both_forms_has_the_same_files() {
    let directory = tempfile::tempdir().unwrap();
    let tapes = real_tapes(directory.path());
    let open = |name: &str| tapes.iter().find(|path| path.ends_with(name)).map(|path| TapeImage::open(path).unwrap());
    let (Some(aws), Some(het)) = (open("test_tape.aws"), open("test_tape.het")) else { return };
    let contents = |tape: &TapeImage| -> Vec<_> {
        let structure = read_structure(tape, |_| {}).unwrap();
        structure.files.iter().map(|file| (file.name().map(str::to_owned), content(tape, file))).collect()
    };
    assert!(contents(&aws) == contents(&het));
}
