//! A running `tapegate serve`, and the commands that an operator gives it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::tapegate;

/// A service in a folder of its own, which holds configuration, tapes, state, spill and mount.
#[derive(Debug)]
pub struct Gateway {
    folder: PathBuf,
    process: Process,
}

/// The process; killed if a test fails.
#[derive(Debug)]
struct Process(Child);

impl Gateway {
    /// Serves images under names, those with tracks as devices 0150, 0151 and so on as well as files; the first has a
    /// view of the name `view`.
    pub fn start(folder: &Path, port: u16, images: &[(&str, &Path)]) -> Self {
        let folder = folder.join("gateway");
        for name in ["tapes", "state", "mount"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let mut configuration = format!(
            "library = \"tapes\"\nstate = \"state\"\n[control]\nsocket = \"control\"\n\
             [shared_device]\nlisten = [\"127.0.0.1:{port}\"]\n[files]\nmount = \"mount\"\n\
             [[cache]]\nname = \"default\"\nmemory = \"4MiB\"\nspill = \"spill\"\nspill_limit = \"1GiB\"\n"
        );
        let mut device = 0x150;
        for (name, image) in images {
            let _ = write!(configuration, "[[volume]]\nname = \"{name}\"\nimage = \"{}\"\n", image.display());
            if image.extension().is_none_or(|extension| extension != "fba") {
                let _ = writeln!(configuration, "device = \"{device:04X}\"");
                device += 1;
            }
        }
        let _ = writeln!(configuration, "[[view]]\nname = \"view\"\nof = \"{}\"", images[0].0);
        fs::write(folder.join("gateway.toml"), configuration).unwrap();
        let process = Process::start(&folder);
        Self { folder, process }
    }

    /// The file that the mount shows for a volume.
    pub fn file(&self, name: &str) -> PathBuf {
        let files = fs::read_dir(self.folder.join("mount")).unwrap().map(|entry| entry.unwrap().path());
        files.into_iter().find(|path| path.file_stem().is_some_and(|stem| stem == name)).unwrap()
    }

    /// Stops it in order, and starts it again.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process.stop(&self.folder);
        self.process = Process::start(&self.folder);
    }

    /// Kills it, and starts it again.
    pub fn kill_and_restart(&mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        self.process = Process::start(&self.folder);
    }

    /// Stops it in order.
    #[track_caller]
    pub fn stop(mut self) {
        self.process.stop(&self.folder);
    }

    /// Runs a command against it, and gives what it prints as JSON.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}\n{}", self.log());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|wrong| panic!("{arguments:?}: {wrong}"))
    }

    fn command(&self, arguments: &[&str]) -> Output {
        tapegate().args(arguments).arg("--json").arg("--control").arg(self.folder.join("control")).output().unwrap()
    }

    /// Starts a session over volumes, which leaves a tape of the name for each; gives its number.
    #[track_caller]
    pub fn start_session(&self, volumes: &[&str], tape: &str, options: &[&str]) -> String {
        let tape = self.tape(tape, "{volume}");
        let tape = tape.to_str().unwrap();
        let arguments = [&["session", "start"], volumes, &["-o", tape], options].concat();
        self.ask(&arguments)["id"].to_string()
    }

    /// Where the tape of a name, such as `nightly.aws`, lies for a volume.
    pub fn tape(&self, tape: &str, volume: &str) -> PathBuf {
        self.folder.join("tapes").join(format!("{volume}-{tape}"))
    }

    /// What is known of a session.
    #[track_caller]
    pub fn session(&self, id: &str) -> Value {
        self.ask(&["session", "show", id])
    }

    /// Waits for the tapes of a session, and gives how it ended.
    #[track_caller]
    pub fn complete(&self, id: &str) -> Value {
        self.command(&["session", "watch", id]);
        let session = self.session(id);
        assert_eq!(session["state"], "physically-complete", "{session}\n{}", self.log());
        session
    }

    /// What it said on standard error.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Process {
    /// Starts the service, and returns when it says that it is ready.
    #[track_caller]
    fn start(folder: &Path) -> Self {
        let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapegate"));
        command.args(["serve", "gateway.toml"]).current_dir(folder).stdin(Stdio::null());
        let mut process = Self(command.stdout(Stdio::piped()).stderr(log).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(line.starts_with("tapegate is ready"), "{line}{log}");
        process
    }

    #[track_caller]
    fn stop(&mut self, folder: &Path) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        let ended = self.0.wait().unwrap();
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(ended.success(), "the service ended with {ended}: {log}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
