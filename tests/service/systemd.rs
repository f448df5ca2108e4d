//! What systemd reads of the service, and what it is told.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::common::{Ended, has, tapegate};
use super::harness::{VOLUMES, configure, folder};

/// `systemd-analyze verify` reads the unit file as systemd does.
#[test]
fn systemd_takes_the_unit_file() {
    if !has("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("tapegate.service");
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tools/systemd/tapegate.service")).unwrap();
    // The program is not installed where tests run.
    let text = text.replace("/usr/local/bin/tapegate", env!("CARGO_BIN_EXE_tapegate"));
    fs::write(&unit, text).unwrap();
    let checked = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    let about: Vec<_> = said.lines().filter(|line| line.contains("tapegate.service")).collect();
    assert!(about.is_empty(), "{said}");
}

/// systemd is told through a datagram socket whose name is in the environment.
#[test]
fn systemd_is_told_that_the_service_is_ready_and_that_it_stops() {
    let folder = folder();
    let socket = std::os::unix::net::UnixDatagram::bind(folder.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let config = configure(folder.path(), VOLUMES);
    let mut command = tapegate();
    command.env("NOTIFY_SOCKET", folder.path().join("notify")).env("WATCHDOG_USEC", "300000");
    let process = command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut buffer = [0; 1024];
    let mut told = || {
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let ready = told();
    assert!(ready.contains("READY=1") && ready.contains("STATUS=3 volumes"), "{ready}");
    assert!(told().contains("WATCHDOG=1"));
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    let mut last = told();
    while last.contains("WATCHDOG=1") {
        last = told();
    }
    assert!(last.contains("STOPPING=1"), "{last}");
    Ended::of(process.wait_with_output().unwrap()).expect(0);
}
