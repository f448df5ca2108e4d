//! The tape library: a folder of tapes, each with its manifest beside it.
//!
//! Only manifests are read, so a library is listed in a moment however long its tapes are; and it can be listed without a
//! running service.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use tapegate_formats::volume::name::DsName;

use super::protocol::{FoundFile, Library, TapeEntry};
use crate::plan::pattern::Pattern;

const MANIFEST_ENDING: &str = ".manifest.json";
/// Folders in folders that are looked into.
const DEEPEST: usize = 8;

/// What a list needs of a manifest; digests are left out, which are most of it.
#[derive(Debug, Deserialize)]
struct ManifestHead {
    format: String,
    t0: String,
    #[serde(default)]
    consistency: Option<String>,
    volume: VolumeHead,
    tape: TapeHead,
    files: Vec<FileHead>,
}

#[derive(Debug, Deserialize)]
struct VolumeHead {
    path: PathBuf,
    volser: Option<String>,
}

#[derive(Debug, Deserialize)]
struct TapeHead {
    bytes: u64,
    volser: Option<String>,
}

#[derive(Debug, Deserialize)]
struct FileHead {
    number: u32,
    name: String,
    stream_bytes: u64,
}

/// Lists the tapes of a library, the newest first; with a pattern only those that hold a data set which fits it.
///
/// # Errors
/// When the folder can't be read, or the pattern is none. A manifest that can't be read is told in the list.
pub fn list(library: &Path, pattern: Option<&str>) -> anyhow::Result<Library> {
    let pattern = pattern.map(str::parse::<Pattern>).transpose()?;
    if !library.is_dir() {
        bail!("{}: the tape library is not a folder", library.display());
    }
    let mut manifests = Vec::new();
    collect(library, DEEPEST, &mut manifests).with_context(|| format!("{}: reading the folder failed", library.display()))?;
    let mut list = Library::default();
    for path in manifests {
        match entry(library, &path, pattern.as_ref()) {
            Ok(Some(entry)) => list.tapes.push(entry),
            Ok(None) => {}
            Err(error) => list.unreadable.push(format!("{}: {error:#}", path.display())),
        }
    }
    list.tapes.sort_by(|one, other| other.t0.cmp(&one.t0).then_with(|| one.tape.cmp(&other.tape)));
    list.unreadable.sort();
    Ok(list)
}

fn collect(folder: &Path, depth: usize, manifests: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Links are not followed: they may lead in a circle.
        if entry.file_type()?.is_dir() && depth > 0 {
            collect(&entry.path(), depth - 1, manifests)?;
        } else if entry.file_name().to_string_lossy().ends_with(MANIFEST_ENDING) {
            manifests.push(entry.path());
        }
    }
    Ok(())
}

fn entry(library: &Path, manifest: &Path, pattern: Option<&Pattern>) -> anyhow::Result<Option<TapeEntry>> {
    let head: ManifestHead = serde_json::from_reader(BufReader::new(File::open(manifest)?))?;
    if head.format != "tapegate-manifest" {
        bail!("it is no manifest of a tape");
    }
    let fits =
        |file: &&FileHead| pattern.is_some_and(|pattern| file.name.parse::<DsName>().is_ok_and(|name| pattern.matches(&name)));
    let found: Vec<_> = head
        .files
        .iter()
        .filter(fits)
        .map(|file| FoundFile { number: file.number, name: file.name.clone(), bytes: file.stream_bytes })
        .collect();
    if pattern.is_some() && found.is_empty() {
        return Ok(None);
    }
    let tape = manifest.to_string_lossy();
    let tape = PathBuf::from(tape.strip_suffix(MANIFEST_ENDING).unwrap_or(&tape));
    Ok(Some(TapeEntry {
        present: tape.is_file(),
        tape: tape.strip_prefix(library).map_or(tape.clone(), Path::to_owned),
        volser: head.tape.volser,
        volume_volser: head.volume.volser,
        image: head.volume.path,
        t0: head.t0,
        consistency: head.consistency,
        files: head.files.len(),
        bytes: head.tape.bytes,
        found,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(folder: &Path, tape: &str, t0: &str, files: &[&str]) {
        let files: Vec<_> = files
            .iter()
            .zip(1..)
            .map(|(name, number)| serde_json::json!({ "number": number, "name": name, "stream_bytes": 100, "unit_digests": ["00"] }))
            .collect();
        let document = serde_json::json!({
            "format": "tapegate-manifest", "version": 1, "t0": t0, "consistency": "quiet",
            "volume": { "path": "/srv/prod01.cckd", "volser": "PROD01", "shape": "ckd" },
            "tape": { "bytes": 4096, "volser": "VT0001", "labels": "sl", "block_bytes": 65535 },
            "files": files, "findings": [],
        });
        let path = folder.join(format!("{tape}{MANIFEST_ENDING}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, document.to_string()).unwrap();
    }

    #[test]
    fn the_newest_tape_with_a_data_set_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path();
        manifest(library, "old.aws", "2026-11-19T02:30:00Z", &["TAPEGATE.VOLUME", "SYS1.PARMLIB"]);
        manifest(library, "nightly/new.aws", "2026-11-20T02:30:00Z", &["TAPEGATE.VOLUME", "SYS1.PARMLIB", "SYS1.PROCLIB"]);
        manifest(library, "other.aws", "2026-11-21T02:30:00Z", &["USER.DATA"]);
        fs::write(library.join("old.aws"), "").unwrap();
        fs::write(library.join("broken.aws.manifest.json"), "{").unwrap();
        let all = list(library, None).unwrap();
        let tapes: Vec<_> = all.tapes.iter().map(|tape| tape.tape.to_str().unwrap()).collect();
        assert_eq!(tapes, ["other.aws", "nightly/new.aws", "old.aws"]);
        assert_eq!(all.tapes.iter().map(|tape| tape.present).collect::<Vec<_>>(), [false, false, true]);
        assert!(all.unreadable.len() == 1 && all.unreadable[0].contains("broken.aws.manifest.json"), "{:?}", all.unreadable);
        let found = list(library, Some("sys1.p*lib")).unwrap();
        let tapes: Vec<_> = found.tapes.iter().map(|tape| (tape.tape.to_str().unwrap(), tape.found.len())).collect();
        assert_eq!(tapes, [("nightly/new.aws", 2), ("old.aws", 1)]);
        assert_eq!(found.tapes[1].found[0], FoundFile { number: 2, name: "SYS1.PARMLIB".to_owned(), bytes: 100 });
    }

    #[test]
    fn a_library_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(list(&folder.path().join("none"), None).unwrap_err().to_string().contains("not a folder"));
        assert!(list(folder.path(), Some("A..B")).is_err());
        assert_eq!(list(folder.path(), None).unwrap(), Library::default());
    }
}
