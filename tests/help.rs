//! What tapegate says about itself: help, manual pages, completions.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

use std::fs;
use std::io::Write;
use std::process::Stdio;

use assert_cmd::Command;

/// Every command, as it is called.
const COMMANDS: [&[&str]; 28] = [
    &["ls"],
    &["track"],
    &["plan"],
    &["snapshot"],
    &["restore"],
    &["tape"],
    &["tape", "map"],
    &["tape", "verify"],
    &["tape", "extract"],
    &["serve"],
    &["session"],
    &["session", "start"],
    &["session", "list"],
    &["session", "show"],
    &["session", "watch"],
    &["session", "cancel"],
    &["session", "resume"],
    &["session", "pace"],
    &["volumes"],
    &["clients"],
    &["freeze"],
    &["thaw"],
    &["cache"],
    &["policies"],
    &["run"],
    &["tapes"],
    &["completions"],
    &["man"],
];

fn tapegate(arguments: &[&str]) -> String {
    let done = Command::cargo_bin("tapegate").unwrap().args(arguments).assert().success();
    String::from_utf8(done.get_output().stdout.clone()).unwrap()
}

#[test]
fn help_fits_the_screen_and_ends_with_an_example() {
    for command in COMMANDS {
        let help = tapegate(&[command, &["--help"]].concat());
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        assert!(help.lines().count() <= 60, "{help}");
        let (_, examples) = help.rsplit_once("\n\nExample").unwrap_or_else(|| panic!("no example: {help}"));
        let called = format!("  tapegate {} ", command.join(" "));
        assert!(examples.lines().skip(1).all(|line| line.starts_with(&called) || line.starts_with("  tapegate tape ")), "{help}");
        assert_eq!(help, tapegate(&[command, &["-h"]].concat()));
    }
}

#[test]
fn the_programs_help_names_every_command_and_exit_code() {
    let help = tapegate(&["--help"]);
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {} ", command[0])), "{command:?}");
    }
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    assert_eq!(codes.lines().map(|line| &line[..5]).collect::<Vec<_>>(), ["  0  ", "  1  ", "  2  ", "  3  ", "  4  "]);
}

/// The examples of the help, without what a shell takes for itself, are accepted up to the missing files.
#[test]
fn the_examples_are_commands_that_tapegate_takes() {
    let directory = tempfile::tempdir().unwrap();
    let helps = COMMANDS.iter().map(|command| tapegate(&[*command, &["--help"]].concat())).chain([tapegate(&["--help"])]);
    for line in helps.flat_map(|help| help.lines().map(str::to_owned).collect::<Vec<_>>()) {
        let Some(arguments) = line.strip_prefix("  tapegate ") else { continue };
        let arguments = arguments.split(" > ").next().unwrap_or_default().replace('\'', "");
        if arguments.starts_with("man ") {
            continue;
        }
        let output = Command::cargo_bin("tapegate").unwrap().current_dir(&directory).args(arguments.split(' ')).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn each_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    tapegate(&["man", pages.to_str().unwrap()]);
    let mut found: Vec<_> =
        fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort_unstable();
    let named = COMMANDS.iter().map(|command| format!("tapegate-{}.1", command.join("-")));
    let mut expected: Vec<_> = named.chain(["tapegate.1".to_owned()]).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn shells_accept_their_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = tapegate(&["completions", shell]);
        assert!(script.contains("snapshot") && script.contains("tape-block"), "{shell}");
        if shell == "powershell" {
            continue;
        }
        let check = if shell == "elvish" { "-compileonly" } else { "-n" };
        let run = std::process::Command::new(shell).arg(check).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let Ok(mut run) = run else {
            println!("skipped: {shell} is not installed");
            continue;
        };
        run.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
