//! `ls` and `track` on the fixtures, as an operator sees them.
//!
//! The attributes are those that `fixtures/make` asked `dasdload` for.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use assert_cmd::Command;
use serde_json::Value;

fn tapegate(arguments: &[&str]) -> (i32, String, String) {
    let output =
        Command::cargo_bin("tapegate").unwrap().current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(arguments: &[&str]) -> Value {
    let (code, out, _) = tapegate(arguments);
    assert_eq!(code, 0);
    serde_json::from_str(&out).unwrap()
}

#[test]
fn ls_shows_a_volume_as_a_table() {
    let (code, out, errors) = tapegate(&["ls", "fixtures/demo.cckd", "--used"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    // Created: the day that dasdload wrote, one too low as it counts from 0.
    let expected = "\
Volume TGDEMO, label VOL1, image cckd, device 3390-1, 1113 cylinders of 15, 16695 tracks
VTOC of 1 tracks at cyl 3 head 0: 9 DSCBs, 41 free; 16650 tracks free

NAME           ORG  RECFM  LRECL  BLKSIZE  TRACKS  USED%  EXT  CREATED   EXPIRES  KIND
DEMO.SOURCE    PO   FB        80     3120       8     12    1  2026.324           PDS
DEMO.LEDGER    PS   FB        80    27920      10     50    1  2026.324           sequential
DEMO.JOURNAL   PS   VB       254     4096       3     66    1  2026.324           sequential
DEMO.DIRECT    DA   F       1000     1000       2    100    1  2026.324           direct
DEMO.LOAD      PO   U          0     6144       4     25    1  2026.324           PDS
DEMO.EMPTY     PS   VB       255     4096       1    100    1  2026.324           sequential
DEMO.EMPTYLIB  PO   FB        80      800      15      6    1  2026.324           PDS
";
    assert_eq!(out, expected);
}

#[test]
fn ls_shows_members_and_aliases_of_the_chosen_libraries() {
    let (code, out, _) = tapegate(&["ls", "fixtures/tiny.ckd", "*.source", "--members"]);
    assert_eq!(code, 0);
    let names: Vec<Vec<&str>> = out.lines().skip(5).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        names,
        [
            vec!["COUNTER", "0.3"],
            vec!["GREET", "alias", "0.5"],
            vec!["HELLO", "0.5"],
            vec!["LEDGER", "1.1"],
            vec!["NIGHTLY", "4.2"]
        ]
    );
}

#[test]
fn ls_gives_the_same_facts_as_json() {
    let document = json(&["ls", "fixtures/tiny.ckd", "--json", "--members", "--exclude", "TINY.LEDGER"]);
    assert_eq!(document["volume"]["volser"], "TINY01");
    assert_eq!(document["volume"]["device"], "2311");
    let data_sets = document["data_sets"].as_array().unwrap();
    assert_eq!(data_sets.len(), 1);
    assert_eq!(data_sets[0]["name"], "TINY.SOURCE");
    assert_eq!(data_sets[0]["kind"], "partitioned");
    assert_eq!((&data_sets[0]["tracks"], &data_sets[0]["extents"][0]["tracks"]), (&Value::from(6), &Value::from(6)));
    assert_eq!(data_sets[0]["members"][1]["alias"], true);
    assert_eq!(document["findings"], Value::Array(vec![]));
}

#[test]
fn a_pattern_that_fits_nothing_is_told_and_changes_the_exit_code() {
    let (code, out, errors) = tapegate(&["ls", "fixtures/tiny.ckd", "TINY.*", "SYS1.**"]);
    assert_eq!((code, errors.as_str()), (3, "warning: the pattern SYS1.** fits no data set\n"));
    assert!(out.contains("TINY.LEDGER"));
}

#[test]
fn a_volume_without_a_vtoc_or_with_fixed_blocks_shows_its_label() {
    let (code, out, errors) = tapegate(&["ls", "fixtures/stored.cckd"]);
    assert_eq!(out, "Volume STOR01, label VOL1, image cckd, device 3330-1, 5 cylinders of 19, 95 tracks\nNo VTOC\n");
    assert_eq!(
        (code, errors.as_str()),
        (
            0,
            "note: fixtures/stored.cckd keeps images of tracks without records (1), as some initialisers do; \
             cckdcdsk complains of them, and nothing is wrong\n\
             note: cyl 0 head 1 record 1: there is no format-4 DSCB where the volume label says\n"
        )
    );
    let (code, out, _) = tapegate(&["ls", "fixtures/tiny.fba"]);
    assert_eq!((code, out.as_str()), (0, "Volume FBA001, label VOL1 (fixed-block), image fba, 100 blocks of 512 bytes\n"));
}

#[test]
fn track_shows_count_keys_and_data() {
    let (code, out, _) = tapegate(&["track", "fixtures/tiny.ckd", "0", "0"]);
    assert_eq!(code, 0);
    let expected = "\
R3   count 00000000 03 04 0050  key 4, data 80
  key
    +0000  E5D6D3F1                                                                  *VOL1                            *
  data
    +0000  E5D6D3F1 E3C9D5E8 F0F14000 01000101  40404040 40404040 40404040 40404040  *VOL1TINY01 .....                *
";
    assert!(out.contains(expected), "{out}");
    let document = json(&["track", "fixtures/tiny.ckd", "0", "0", "--json"]);
    assert_eq!(document["records"][3]["key"], "e5d6d3f1");
    assert_eq!(document["home_address"], "0000000000");
}

#[test]
fn a_track_that_is_not_there_is_refused_with_what_is() {
    let (code, out, errors) = tapegate(&["track", "fixtures/tiny.ckd", "3", "0"]);
    assert_eq!((code, out.as_str()), (1, ""));
    let message = "tapegate: fixtures/tiny.ckd: there is no cyl 3 head 0: the volume has cylinders 0 to 2 and heads 0 to 9\n";
    assert_eq!(errors, message);
    let (code, _, errors) = tapegate(&["track", "fixtures/tiny.fba", "0", "0"]);
    assert_eq!((code, errors.as_str()), (1, "tapegate: fixtures/tiny.fba: the volume has fixed blocks, no tracks\n"));
}
