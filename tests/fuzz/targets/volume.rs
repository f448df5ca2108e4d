//! An image of any bytes opens as a volume or is refused; its first and last units are read, and measured alike.
//!
//! Input: one byte that says where a second file begins (in 256ths; 0 none), one that names the format (0: found from
//! the content; 8 and above: the second file is a shadow file), then the files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate::catalog::Catalog;
use tapegate::volume::{ImageFormat, OpenOptions, Stage, UnitIndex, Volume};
use tapegate_fuzz::{check_error, scratch_file};

/// Units that are read at each end of the volume.
const UNITS: u32 = 6;

fuzz_target!(|input: &[u8]| {
    let Some((&[split, form], image)) = input.split_first_chunk() else { return };
    let (first, second) = image.split_at(match split {
        0 => image.len(),
        _ => image.len() * usize::from(split) / 256,
    });
    let path = scratch_file("disk_1.ckd", first);
    let second = scratch_file("disk_2.ckd", second);
    let options = OpenOptions {
        kind: usize::from(form % 8).checked_sub(1).map(|kind| ImageFormat::ALL[kind]),
        shadows: if form >= 8 { vec![second.clone()] } else { Vec::new() },
        shadow_pattern: None,
    };
    let volume = match Volume::open(&path, &options) {
        Ok(volume) => volume,
        Err(error) if error.to_string().contains(&second.display().to_string()) => return,
        Err(error) => return check_error(&error, &path),
    };
    let units = volume.shape().units();
    let count = units.min(UNITS);
    let mut stage = Stage::new();
    for begin in [0, units - count] {
        let mut measured = vec![0; count as usize];
        let measure = volume.measure_units(UnitIndex(begin), &mut measured);
        match volume.read_units(UnitIndex(begin), count, &mut stage) {
            Ok(()) => {
                assert_eq!(stage.len(), count as usize);
                let read: Vec<_> = stage.units().map(|unit| unit.body.len() as u32).collect();
                measure.expect("what can be read can be measured");
                assert_eq!(measured, read);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert!(volume.read_units(UnitIndex(units), 1, &mut stage).is_err());
    if let Ok(catalog) = Catalog::of_volume(&volume) {
        for data_set in &catalog.data_sets {
            assert!(data_set.all_extents().all(|extent| extent.tracks > 0 && extent.last() < units));
        }
    }
});
