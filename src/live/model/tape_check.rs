//! What is on a tape against what the volume held at T0, read back by the program's own readers of tapes.

use std::fs;
use std::path::Path;

use super::work::{Asked, Sink, data_blocks, expected, files};
use crate::plan::Form;
use crate::tape::{DataBlocks, TapeImage, UnitReader, read_structure};
use crate::volume::Shape;

/// Fails unless the tape holds every unit of every file as it was at T0, once and in order.
pub(super) fn check_tape(shape: &Shape, asked: &Asked, before: &[Vec<u8>], (tape, piped): (&Path, &[u8])) {
    if asked.sink == Sink::Pipe {
        fs::write(tape, piped).unwrap();
    }
    let image = TapeImage::open(tape).unwrap();
    let structure = read_structure(&image, |_| {}).unwrap();
    assert!(structure.is_whole(), "the tape does not end");
    let mut wanted: Vec<_> = files(shape, &asked.files, before).into_iter().map(|file| (file.form(), file.units)).collect();
    if wanted.is_empty() {
        wanted.push((Form::Tracks, crate::plan::UnitList::whole(shape.units())));
    }
    // The first file is the description.
    assert_eq!(structure.files.len(), wanted.len() + 1, "files of the tape");
    for ((form, list), file) in wanted.iter().zip(&structure.files[1..]) {
        let units = list.runs().iter().flat_map(|run| run.first.0..run.first.0 + run.units);
        if *form == Form::Blocks {
            let blocks = units.flat_map(|unit| data_blocks(shape, unit, &before[unit as usize]));
            let mut found = DataBlocks::new(&image, file);
            for block in blocks {
                assert_eq!(found.next_block().unwrap().map(|(_, block)| block), Some(block), "a block of T0");
            }
            assert!(found.next_block().unwrap().is_none(), "a block too many");
            continue;
        }
        let mut reader = UnitReader::new(&image, file);
        for unit in units {
            let (header, body) = reader.next_unit().unwrap().unwrap();
            let (kind, wanted) = expected(shape, unit, before);
            assert_eq!((header.unit, header.kind), (unit, kind), "unit {unit} of the tape");
            assert_eq!(body, wanted, "unit {unit} of the tape is not as it was at T0");
        }
        assert!(reader.next_unit().unwrap().is_none(), "a unit too many");
    }
}

/// Fails unless nothing has the tape's name, and what is left of it is no tape.
pub(super) fn check_no_tape(tape: &Path) {
    assert!(!tape.exists(), "a session that failed left a tape");
    let partial = crate::tape::partial::beside(tape, ".partial");
    let read = TapeImage::open(&partial).and_then(|image| read_structure(&image, |_| {}));
    assert!(!read.is_ok_and(|structure| structure.is_whole()), "what is left of a failed session reads as a tape");
}

/// Removes everything that sessions left.
pub(super) fn tidy(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}
