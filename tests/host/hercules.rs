//! A stock Hercules 3.13 without a screen: commands go to its standard input, its log comes from standard output.
//!
//! `-d EXTERNALGUI` is what makes it read commands from a pipe (`dyngui`); with `-d` alone it reads none. Nothing here
//! waits for a time: whoever waits is woken by the next line of the log, and fails at the deadline.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::has;

/// Longest time to wait for a line of the log.
const DEADLINE: Duration = Duration::from_secs(60);
/// Messages of a grade above information that are well: priorities that a user without rights can't have, and
/// `loadcore` before the processor has come to its first stop, which is tried again.
const NO_TROUBLE: [&str; 2] = ["HHCCF", LOADCORE_TOO_EARLY];
const LOADCORE_TOO_EARLY: &str = "HHCPN111E";

/// A running Hercules.
#[derive(Debug)]
pub struct Host {
    child: Child,
    input: ChildStdin,
    log: Arc<Log>,
}

/// Lines of the log, and a bell that rings at each.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Lines>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

/// Whether Hercules is there.
pub fn has_hercules() -> bool {
    has("dasdinit") && has("hercules")
}

/// A port of the loopback that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Makes a volume of Hercules' own: cylinders of count-key-data, or sectors of fixed blocks; compressed, for an image
/// that ends in `.cckd`.
pub fn dasdinit(image: &Path, device: &str, volser: &str, size: u32) {
    let compressed = image.extension().is_some_and(|extension| extension == "cckd");
    let mut arguments: Vec<&OsStr> = if compressed { vec!["-z".as_ref()] } else { Vec::new() };
    let size = size.to_string();
    arguments.extend([image.as_os_str(), device.as_ref(), volser.as_ref(), size.as_ref()]);
    let output = Command::new("dasdinit").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "dasdinit of {}: {said}", image.display());
}

impl Host {
    /// Starts a Hercules in S/370 mode with these statements for devices, in a folder of its own.
    pub fn start(folder: &Path, statements: &[String]) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mut configuration =
            "ARCHMODE S/370\nMAINSIZE 16\nNUMCPU 1\nPANRATE FAST\nTIMERINT 1000\nPANTITLE tapegate\n".to_owned();
        for statement in statements {
            let _ = writeln!(configuration, "{statement}");
        }
        fs::write(folder.join("hercules.cnf"), configuration).unwrap();
        let mut child = Command::new("hercules")
            .args(["-f", "hercules.cnf", "-d", "EXTERNALGUI"])
            .current_dir(folder)
            .env_remove("HERCULES_RC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let output = BufReader::new(child.stdout.take().unwrap());
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                writer.lines.lock().unwrap().lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                writer.bell.notify_all();
            }
            writer.lines.lock().unwrap().ended = true;
            writer.bell.notify_all();
        });
        let host = Self { input: child.stdin.take().unwrap(), child, log };
        host.wait_for(0, "HHCDG001I");
        host
    }

    /// Lines of the log until now.
    pub fn position(&self) -> usize {
        self.log.lines.lock().unwrap().lines.len()
    }

    /// The whole log.
    pub fn log(&self) -> String {
        self.log.lines.lock().unwrap().lines.join("\n")
    }

    /// Enters a command on the console.
    pub fn command(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
        self.input.flush().unwrap();
    }

    /// Loads a file from the host's folder at address 0.
    #[track_caller]
    pub fn load_core(&mut self, name: &str) {
        loop {
            let position = self.position();
            self.command(&format!("loadcore {name}"));
            let read = format!("bytes read from {name}");
            let (_, line) = self.wait_for_any(position, &[&read, LOADCORE_TOO_EARLY]);
            if line.contains(&read) {
                return;
            }
        }
    }

    /// Waits for a line from `position` on that contains `words`; gives the place behind it, and the line.
    #[track_caller]
    pub fn wait_for(&self, position: usize, words: &str) -> (usize, String) {
        self.wait_for_any(position, &[words])
    }

    /// As [`wait_for`](Self::wait_for), for a line that contains one of these.
    #[track_caller]
    fn wait_for_any(&self, position: usize, words: &[&str]) -> (usize, String) {
        let (mut next, end) = (position, Instant::now() + DEADLINE);
        let mut log = self.log.lines.lock().unwrap();
        loop {
            while let Some(line) = log.lines.get(next) {
                next += 1;
                if words.iter().any(|words| line.contains(words)) {
                    return (next, line.clone());
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if log.ended || left.is_zero() {
                let ended = if log.ended { "Hercules ended" } else { "the time is over" };
                drop(log);
                panic!("{ended}, and nothing in its log has one of {words:?}:\n{}", self.log());
            }
            log = self.log.bell.wait_timeout(log, left).unwrap().0;
        }
    }

    /// Reads main storage: at most 16 bytes, from an address that is a multiple of 16 on or within one line.
    pub fn storage(&mut self, address: u32, length: u32) -> Vec<u8> {
        let position = self.position();
        self.command(&format!("r {address:x}.{length:x}"));
        let (_, line) = self.wait_for(position, &format!("R:{address:08X}:"));
        let (_, value) = line.split_once('=').unwrap_or_else(|| panic!("not a line of storage: {line}"));
        let value = value.split("  ").next().unwrap_or_default();
        let digits: Vec<u8> = value.bytes().filter(u8::is_ascii_hexdigit).collect();
        let bytes = digits.chunks_exact(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap());
        bytes.take(length as usize).collect()
    }

    /// Reads a word of main storage.
    pub fn word(&mut self, address: u32) -> u32 {
        u32::from_be_bytes(self.storage(address, 4).try_into().unwrap())
    }

    /// Alters a word of main storage.
    pub fn set_word(&mut self, address: u32, value: u32) {
        let position = self.position();
        self.command(&format!("r {address:x}={value:08X}"));
        self.wait_for(position, &format!("R:{address:08X}:"));
    }

    /// Fails if the log has a message of grade error, warning or severe.
    #[track_caller]
    pub fn assert_no_trouble(&self) {
        let log = self.log();
        let lines: Vec<_> = log.lines().filter(|line| is_trouble(line)).collect();
        assert!(lines.is_empty(), "{lines:#?} in\n{log}");
    }

    /// Ends it as an operator does, which detaches its devices, and gives its log.
    pub fn quit(mut self) -> String {
        let position = self.position();
        self.command("quit");
        self.wait_for(position, "HHCIN902I");
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
        self.log()
    }
}

/// A message identifier is `HHC`, two letters, three digits and a grade: information, action, warning, error, severe.
fn is_trouble(line: &str) -> bool {
    let identifier = line.split_whitespace().next().unwrap_or_default();
    identifier.len() == 9
        && identifier.starts_with("HHC")
        && !identifier.ends_with(['I', 'A'])
        && !NO_TROUBLE.iter().any(|prefix| identifier.starts_with(prefix))
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
