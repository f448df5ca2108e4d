//! The README's examples, run as they stand there.
//!
//! A line behind `$ ` is given to a shell, one behind `herc =====> ` to the console of Hercules. What the README shows below
//! a command must be what it prints; `...` stands for anything.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use common::{fixture, has};
use rustix::process::{Pid, Signal, kill_process};

/// Longest time for a line of the console to do its work, and for the service to begin.
const DEADLINE: Duration = Duration::from_secs(60);

/// A command of an example, and what it prints.
struct Step {
    command: String,
    on_console: bool,
    output: Vec<String>,
}

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The text of a section, up to the next heading.
fn section(heading: &str) -> String {
    let text = readme();
    let (_, behind) = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    behind.split("\n## ").next().unwrap().to_owned()
}

/// The indented blocks of a section, without their indent.
fn blocks(section: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in section.lines() {
        let last = blocks.last_mut().unwrap();
        match line.strip_prefix("    ") {
            Some(code) => *last += &format!("{code}\n"),
            None if line.is_empty() && !last.is_empty() => last.push('\n'),
            None if !last.is_empty() => blocks.push(String::new()),
            None => {}
        }
    }
    blocks
}

fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines().filter(|line| !line.is_empty()) {
        let prompt = [("$ ", false), ("herc =====> ", true)];
        let command = prompt.iter().find_map(|&(prompt, on_console)| Some((line.strip_prefix(prompt)?, on_console)));
        match command {
            Some((command, on_console)) => steps.push(Step { command: command.to_owned(), on_console, output: Vec::new() }),
            None => steps.last_mut().unwrap().output.push(line.to_owned()),
        }
    }
    steps
}

/// Whether a line is what the README shows, where `...` stands for anything. The README has not the width of tables.
fn agrees(shown: &str, line: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, line) = (&words(shown)[..], &words(line)[..]);
    let mut parts = shown.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut open = false;
    for part in parts {
        open = true;
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        open &= part.is_empty();
    }
    open || rest.trim_end().is_empty() || shown.ends_with("...")
}

/// Fails unless each line that is shown comes, in this order; a line of `...` leaves out any number of others.
#[track_caller]
fn assert_shows(step: &Step, printed: &str) {
    let mut lines = printed.lines();
    let mut skipping = false;
    for shown in &step.output {
        if shown == "..." {
            skipping = true;
            continue;
        }
        let found =
            if skipping { lines.any(|line| agrees(shown, line)) } else { lines.next().is_some_and(|line| agrees(shown, line)) };
        assert!(found, "`{}` does not print `{shown}`, but:\n{printed}", step.command);
        skipping = false;
    }
}

/// A shell in a folder, with the program on its path.
fn shell(folder: &Path, command: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_tapegate")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).current_dir(folder).env("PATH", path).env("SOURCE_DATE_EPOCH", common::T0);
    shell.env("TAPEGATE_CONTROL", folder.join("control")).env_remove("HERCULES_RC").stdin(Stdio::null());
    shell
}

#[track_caller]
fn run(folder: &Path, step: &Step) {
    let output = shell(folder, &step.command).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "`{}`: {}", step.command, String::from_utf8_lossy(&output.stderr));
    assert_shows(step, &printed);
}

/// A process that is killed when the test ends, whatever way.
struct Background(Child, PathBuf);

impl Background {
    /// Starts a command with its output in a file, and waits until it has printed `words`.
    fn start(folder: &Path, name: &str, mut command: Command, words: &str) -> Self {
        let log = folder.join(name);
        let file = File::create(&log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let background = Self(command.spawn().unwrap(), log);
        wait_until(|| fs::read_to_string(&background.1).unwrap().contains(words), || background.said());
        background
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.1).unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn wait_until(done: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < DEADLINE, "{}", otherwise());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_first_example_prints_what_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    symlink(fixture(""), folder.path().join("fixtures")).unwrap();
    let section = section("An example");
    for step in steps(&blocks(&section)[0]) {
        run(folder.path(), &step);
    }
    assert!(folder.path().join("ledger.bin").metadata().unwrap().len() > 100_000);
}

/// A stock Hercules on served volumes, tapes, a view, all as an operator types it.
#[test]
fn the_whole_story_runs_as_it_is_told() {
    if !has("hercules") || !has("dasdls") || !Path::new("/dev/fuse").exists() {
        eprintln!("skipped: Hercules or FUSE is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let section = section("Under a running host").replace("3990", &port.to_string());
    let blocks = blocks(&section);
    let [gateway, hercules, story] = &blocks[..3] else { panic!("the section has not its three blocks") };
    fs::write(folder.path().join("gateway.toml"), gateway).unwrap();
    fs::write(folder.path().join("hercules.cnf"), hercules).unwrap();
    for name in ["tapes", "state", "volumes"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::copy(fixture("demo.cckd"), folder.path().join("prod01.cckd")).unwrap();
    fs::copy(fixture("linux.cckd"), folder.path().join("prod02.cckd")).unwrap();

    let mut service = None;
    let mut host = None;
    let mut console: Option<ChildStdin> = None;
    for step in steps(story) {
        if let Some(command) = step.command.strip_suffix(" &") {
            let serve = shell(folder.path(), &format!("exec {command}"));
            let started = Background::start(folder.path(), "service.log", serve, "is ready");
            assert_shows(&step, started.said().lines().find(|line| line.contains("is ready")).unwrap());
            service = Some(started);
        } else if step.command.starts_with("hercules ") {
            // Without a screen it reads commands from a pipe.
            let mut command = shell(folder.path(), &format!("exec {} -d EXTERNALGUI", step.command));
            let mut started = Background::start(
                folder.path(),
                "hercules.log",
                {
                    command.stdin(Stdio::piped());
                    command
                },
                "HHCDG001I",
            );
            console = started.0.stdin.take();
            host = Some(started);
        } else if step.on_console {
            writeln!(console.as_mut().unwrap(), "{}", step.command).unwrap();
            let ready = || {
                let output = shell(folder.path(), "tapegate session list --json").output().unwrap();
                let printed = String::from_utf8_lossy(&output.stdout).replace(' ', "");
                printed.matches("\"physically-complete\"").count() == 2
            };
            wait_until(ready, || host.as_ref().map(Background::said).unwrap_or_default());
        } else {
            run(folder.path(), &step);
        }
    }
    // The host attached both volumes and met no error; then all stops in order.
    let log = host.as_ref().unwrap().said();
    let errors: Vec<_> = log.lines().filter(|line| line.starts_with("HHC") && line.as_bytes().get(8) == Some(&b'E')).collect();
    assert_eq!(errors, [""; 0], "{log}");
    writeln!(console.as_mut().unwrap(), "quit").unwrap();
    let mut service = service.unwrap();
    kill_process(Pid::from_child(&service.0), Signal::TERM).unwrap();
    assert!(service.0.wait().unwrap().success(), "{}", service.said());
}
