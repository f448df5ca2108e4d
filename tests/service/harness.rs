//! A service over copies of fixtures, as the scenarios start, ask and stop it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::common::{Ended, fixture, tapegate};

/// A service over copies of fixtures, in a folder of its own.
pub struct Service {
    pub folder: TempDir,
    pub process: Option<Child>,
    pub ready: String,
}

pub const VOLUMES: &str = r#"
[[volume]]
name = "demo"
image = "demo.cckd"
device = "0150"

[[volume]]
name = "tiny"
image = "tiny.ckd"
device = "0151"

[[volume]]
name = "blocks"
image = "tiny.fba"
"#;

/// A folder with a library and copies of fixtures.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tapes")).unwrap();
    for name in ["demo.cckd", "tiny.ckd", "tiny.fba"] {
        fs::copy(fixture(name), folder.path().join(name)).unwrap();
    }
    folder
}

pub fn configure(folder: &Path, more: &str) -> PathBuf {
    let path = folder.join("gateway.toml");
    let head = "library = \"tapes\"\nstate = \"state\"\n";
    let control = if more.contains("[control]") { "" } else { "[control]\nsocket = \"control\"\n" };
    fs::write(&path, format!("{head}{control}{more}")).unwrap();
    path
}

impl Service {
    pub fn start(more: &str) -> Self {
        Self::start_in(folder(), more)
    }

    /// Starts it, and waits for the line that says that it is ready.
    #[track_caller]
    pub fn start_in(folder: TempDir, more: &str) -> Self {
        let config = configure(folder.path(), more);
        let mut process = tapegate().arg("serve").arg(&config).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        if !ready.starts_with("tapegate is ready: ") {
            let mut error = String::new();
            process.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            panic!("{ready:?} {error}");
        }
        Self { folder, process: Some(process), ready }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command against the service.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = tapegate();
        command.env("TAPEGATE_CONTROL", self.path("control")).args(arguments).current_dir(self.folder.path());
        Ended::of(command.output().unwrap())
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).expect(0).json()
    }

    /// Waits until the lengths of all units are known.
    pub fn wait_until_measured(&self) {
        wait_until(|| {
            let volumes = self.json(&["volumes"]);
            volumes.as_array().unwrap().iter().all(|volume| volume["unmeasured_units"] == 0)
        });
    }

    /// Stops it as an operator does, and gives the folder for what comes after.
    #[track_caller]
    pub fn stop(mut self) -> (Ended, TempDir) {
        let process = self.process.take().unwrap();
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        let ended = Ended::of(process.wait_with_output().unwrap()).expect(0);
        (ended, std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap()))
    }
}

impl Drop for Service {
    /// In order, so that no mount is left.
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended.
            let _ended = kill_process(Pid::from_child(&process), Signal::TERM);
            process.wait().unwrap();
        }
    }
}

/// Waits for what is about to come; a minute is far more than it needs.
#[track_caller]
pub fn wait_until(mut comes: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !comes() {
        assert!(Instant::now() < deadline, "it did not come within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}
