//! Compressed tapes: the content of the plain tape of the same T0, back to the volume, and read by Hercules.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use common::{Ended, assert_same_units, big_volume, fixture, has, manifest, names_in, peer, restore_new, run, snapshot, units};
use serde_json::Value;
use tapegate::tape::{BlockBuffer, ItemKind, TapeImage};
use tapegate::volume::ImageFormat;
use tapegate_formats::tape::block::Method;
use tempfile::tempdir;

const METHODS: [(&str, Method); 2] = [("zlib", Method::Zlib), ("bzip2", Method::Bzip2)];

/// Blocks and tape marks (none) of a tape, and how many blocks are stored by `method`; fails if another one is used.
fn content(tape: &Path, method: Method) -> (Vec<Option<Vec<u8>>>, usize) {
    let image = TapeImage::open(tape).unwrap();
    let (mut buffer, mut packed) = (BlockBuffer::new(), 0);
    let item = |item: Result<_, _>| {
        let item: tapegate::tape::TapeItem = item.unwrap();
        assert_eq!(item.chain_break, None);
        let ItemKind::Block { method: found, chunks, .. } = item.kind else { return None };
        assert!((found == method || found == Method::Stored) && chunks == 1, "{found:?}");
        packed += usize::from(found == method && method != Method::Stored);
        Some(image.read_block(&item, &mut buffer).unwrap().to_vec())
    };
    (image.items().map(item).collect(), packed)
}

/// The structure of a tape as `tape map` sees it.
fn map(tape: &Path) -> Value {
    run(args!["tape", "map", "--json", tape]).expect(0).json()
}

#[test]
fn a_compressed_tape_has_the_content_of_the_plain_one_and_its_manifest_says_where() {
    for (name, options) in [
        ("demo.cckd", &[][..]),
        ("demo.cckd", &["--as", "blocks", "--labels", "al"]),
        ("demo.cckd", &["--labels", "nl", "--tape-block", "999"]),
        ("tiny.ckd", &["--tape-block", "65535", "--jobs", "1"]),
        ("tiny.fba", &["--tape-block", "18"]),
        ("linux.cckd", &["--whole", "--jobs", "3"]),
    ] {
        let folder = tempdir().unwrap();
        let plain = folder.path().join("tape.aws");
        snapshot(&fixture(name), &plain, options, 0);
        let (expected, _) = content(&plain, Method::Stored);
        for (word, method) in METHODS {
            let what = format!("{name} {options:?} {word}");
            let tape = folder.path().join(format!("{word}.het"));
            snapshot(&fixture(name), &tape, &[options, &["--compress", word]].concat(), 0);
            let (found, packed) = content(&tape, method);
            assert!(found == expected, "{what}");
            assert!(packed > 0 || options.contains(&"18"), "{what}");
            let bytes = fs::metadata(&tape).unwrap().len();
            assert!(bytes <= fs::metadata(&plain).unwrap().len(), "{what}");
            let (manifest, plain_manifest, map) = (manifest(&tape), manifest(&plain), map(&tape));
            assert_eq!((&manifest["tape"]["bytes"], &manifest["tape"]["compression"]), (&bytes.into(), &word.into()), "{what}");
            assert_eq!(plain_manifest["tape"].get("compression"), None);
            let files = |document: &Value| document["files"].as_array().unwrap().clone();
            let (listed, mapped) = (files(&manifest), files(&map));
            assert_eq!(listed.len(), mapped.len(), "{what}");
            for ((listed, mapped), plain) in listed.iter().zip(&mapped).zip(files(&plain_manifest)) {
                for (ours, theirs) in
                    [("header_offset", "offset"), ("data_offset", "data_offset"), ("data_end_offset", "data_end")]
                {
                    assert_eq!(listed[ours], mapped[theirs], "{what}: {ours}");
                }
                assert_eq!(listed["destination_block"], Value::Null, "{what}");
                for same in ["stream_bytes", "blocks", "digest", "unit_digests", "extents"] {
                    assert_eq!(listed[same], plain[same], "{what}: {same}");
                }
            }
        }
        let names = names_in(folder.path());
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    }
}

#[test]
fn a_volume_comes_back_from_a_compressed_tape() {
    let folder = tempdir().unwrap();
    let big = folder.path().join("big.ckd");
    big_volume(&big, ImageFormat::Ckd, 5, 3);
    for volume in [big, fixture("demo.cckd"), fixture("tiny.fba")] {
        for (word, _) in METHODS {
            let (tape, image) = (folder.path().join("tape.het"), folder.path().join("back"));
            let said = snapshot(&volume, &tape, &["--compress", word], 0).text();
            assert!(said.contains(&format!("{} bytes", fs::metadata(&tape).unwrap().len())), "{said}");
            restore_new(&tape, &image, &[]);
            assert_same_units(&units(&volume), &units(&image), &format!("{} {word}", volume.display()));
            let verified = run(args!["tape", "verify", "--json", "--against", &volume, &tape]).expect(0).json();
            assert_eq!(
                (&verified["sound"], &verified["manifest"], &verified["differences"]),
                (&true.into(), &true.into(), &0.into())
            );
            assert!(verified["digests"].as_u64() > Some(0) && verified["digests"] == verified["units"], "{verified}");
            for path in [&tape, &image, &tapegate::snapshot::Manifest::path_of(&tape)] {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
fn a_flipped_byte_anywhere_in_the_data_is_found() {
    let folder = tempdir().unwrap();
    for (word, _) in METHODS {
        let tape = folder.path().join(format!("{word}.het"));
        snapshot(&fixture("demo.cckd"), &tape, &["--compress", word], 0);
        let whole = fs::read(&tape).unwrap();
        for file in manifest(&tape)["files"].as_array().unwrap() {
            let offset = |name: &str| usize::try_from(file[name].as_u64().unwrap()).unwrap();
            let data = offset("data_offset")..offset("data_end_offset");
            // Chunk headers and the first bytes of streams, the middle, the checksum at the end.
            let places = [data.start, data.start + 2, data.start + 4, data.start + 7, data.len() / 2 + data.start, data.end - 1];
            // Headers are the same with both methods.
            let places = if word == "zlib" { &places[..] } else { &places[4..] };
            for at in places.iter().copied().filter(|at| data.contains(at)) {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x40;
                fs::write(&tape, damaged).unwrap();
                let verified = run(args!["tape", "verify", &tape]);
                // The previous-length field has no part in the data: a wrong one is told and does no harm forwards.
                let only_backwards = at == data.start + 2 && verified.err.contains("the tape can't be read backwards");
                assert!(matches!(verified.code, Some(1 | 3)) || only_backwards, "{word}: {at} of {data:?}: {}", verified.err);
            }
        }
        fs::write(&tape, whole).unwrap();
        run(args!["tape", "verify", &tape]).expect(0);
    }
}

#[test]
fn what_cannot_be_compressed_or_resumed_is_refused() {
    let folder = tempdir().unwrap();
    let refused = |options: &[&str], words: &[&str]| {
        let arguments = args!["snapshot", fixture("tiny.ckd")].into_iter().chain(options.iter().map(Into::into));
        let output = common::tapegate().args(arguments).current_dir(&folder).output().unwrap();
        Ended::of(output).refused(words);
        assert_eq!(names_in(folder.path()), [""; 0]);
    };
    refused(&["-o", "x.aws", "--compress", "zlib"], &["x.aws", "ends in .het"]);
    refused(&["-o", "-", "--compress", "bzip2"], &["bzip2", "ends in .het"]);
    refused(&["-o", "x.het", "--resume"], &["can't be resumed", "without --resume"]);
}

/// `hetupd -d` expands a tape block by block and writes an AWS image: it is the one that we write.
#[test]
fn hercules_expands_our_tape_to_the_plain_one() {
    if !has("hetupd") {
        return;
    }
    let folder = tempdir().unwrap();
    for (name, options) in [("demo.cckd", &[][..]), ("tiny.ckd", &["--as", "blocks"]), ("tiny.fba", &["--tape-block", "65535"])] {
        let plain = folder.path().join("plain.aws");
        snapshot(&fixture(name), &plain, options, 0);
        for (word, _) in METHODS {
            let tape = folder.path().join("tape.het");
            snapshot(&fixture(name), &tape, &[options, &["--compress", word]].concat(), 0);
            peer(folder.path(), "hetupd", &["-d", "tape.het", "theirs.aws"].map(OsStr::new));
            let (ours, theirs) = (fs::read(&plain).unwrap(), fs::read(folder.path().join("theirs.aws")).unwrap());
            assert!(ours == theirs, "{name} {word}: {} bytes, Hercules has {}", ours.len(), theirs.len());
            let mapped =
                String::from_utf8_lossy(&peer(folder.path(), "hetmap", &["-l", "tape.het"].map(OsStr::new))).into_owned();
            assert!(mapped.contains("HDR1"), "{mapped}");
            for number in 1..=manifest(&tape)["files"].as_array().unwrap().len() {
                let number = number.to_string();
                for (from, to) in [("plain.aws", "of-plain"), ("tape.het", "of-packed")] {
                    peer(folder.path(), "hetget", &[from, to, &number].map(OsStr::new));
                }
                let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
                assert!(read("of-plain") == read("of-packed"), "{name} {word} file {number}");
            }
            for made in ["tape.het", "tape.het.manifest.json", "theirs.aws"] {
                fs::remove_file(folder.path().join(made)).unwrap();
            }
        }
        fs::remove_file(&plain).unwrap();
    }
}
