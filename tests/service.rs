//! The service as its operator meets it: it starts, answers, stops in order, and refuses what is wrong.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use common::{Ended, assert_same_units, fixture, has, patch, run, tapegate, units};

/// A service over copies of fixtures, in a folder of its own.
struct Service {
    folder: TempDir,
    process: Option<Child>,
    ready: String,
}

const VOLUMES: &str = r#"
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
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tapes")).unwrap();
    for name in ["demo.cckd", "tiny.ckd", "tiny.fba"] {
        fs::copy(fixture(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn configure(folder: &Path, more: &str) -> PathBuf {
    let path = folder.join("gateway.toml");
    let head = "library = \"tapes\"\nstate = \"state\"\n";
    let control = if more.contains("[control]") { "" } else { "[control]\nsocket = \"control\"\n" };
    fs::write(&path, format!("{head}{control}{more}")).unwrap();
    path
}

impl Service {
    fn start(more: &str) -> Self {
        Self::start_in(folder(), more)
    }

    /// Starts it, and waits for the line that says that it is ready.
    #[track_caller]
    fn start_in(folder: TempDir, more: &str) -> Self {
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

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command against the service.
    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = tapegate();
        command.env("TAPEGATE_CONTROL", self.path("control")).args(arguments).current_dir(self.folder.path());
        Ended::of(command.output().unwrap())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).expect(0).json()
    }

    /// Stops it as an operator does, and gives the folder for what comes after.
    #[track_caller]
    fn stop(mut self) -> (Ended, TempDir) {
        let process = self.process.take().unwrap();
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        let ended = Ended::of(process.wait_with_output().unwrap()).expect(0);
        (ended, std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

#[test]
fn a_group_is_copied_at_one_t0_and_the_tapes_are_those_of_a_plain_copy() {
    let service = Service::start(VOLUMES);
    assert!(service.ready.contains("3 volumes"), "{}", service.ready);
    let tape = service.path("tapes/{volume}.aws");
    let session = service.json(&["session", "start", "demo", "tiny", "-o", tape.to_str().unwrap(), "--wait"]);
    assert_eq!((&session["state"], &session["instant"]), (&json!("physically-complete"), &json!("now")));
    for (volume, image) in [("demo", "demo.cckd"), ("tiny", "tiny.ckd")] {
        let tape = service.path(&format!("tapes/{volume}.aws"));
        run(args!["tape", "verify", &tape, "--against", fixture(image)]).expect(0);
    }
    let shown = service.run(&["session", "show", "1"]).expect(0).text();
    assert!(shown.contains("physically complete") && shown.contains("16695 units in order and 0 out of order"), "{shown}");
    let watched = service.run(&["session", "watch", "1"]).expect(0).text();
    assert!(watched.starts_with("session 1: physically complete, T0 "), "{watched}");
    let tapes = service.json(&["tapes", "DEMO.LEDGER"]);
    assert_eq!(tapes["tapes"].as_array().unwrap().len(), 1);
    assert_eq!(tapes["tapes"][0]["tape"], "demo.aws");
    service.run(&["session", "start", "demo", "-o", "tapes/demo.aws"]).refused(&["demo.aws", "exists"]);
    service.run(&["session", "start", "gone", "-o", "x.aws"]).refused(&["gone", "tapegate volumes"]);
    service.run(&["session", "show", "77"]).refused(&["77", "session list"]);
    service.run(&["session", "resume", "1"]).refused(&["physically complete", "not suspended"]);
    let (ended, folder) = service.stop();
    assert_eq!(ended.err, "");
    for image in ["demo.cckd", "tiny.ckd"] {
        assert_same_units(&units(&fixture(image)), &units(&folder.path().join(image)), image);
    }
}

#[test]
fn a_tape_is_streamed_to_standard_output() {
    let service = Service::start(VOLUMES);
    let ended = service.run(&["session", "start", "tiny", "-o", "-"]).expect(0);
    let tape = service.path("streamed.aws");
    fs::write(&tape, &ended.out).unwrap();
    run(args!["tape", "verify", &tape, "--against", fixture("tiny.ckd")]).expect(0);
}

#[test]
fn a_clean_stop_keeps_the_lengths_and_anything_else_measures_again() {
    let sizes = |folder: &Path| folder.join("state/sizes/tiny.sizes");
    let service = Service::start(VOLUMES);
    // All is measured when nothing is stale any more.
    let measured = |service: &Service| {
        let volumes = service.json(&["volumes"]);
        volumes.as_array().unwrap().iter().all(|volume| volume["unmeasured_units"] == 0)
    };
    while !measured(&service) {
        std::thread::yield_now();
    }
    let (_, folder) = service.stop();
    let kept = fs::read(sizes(folder.path())).unwrap();

    let service = Service::start_in(folder, VOLUMES);
    assert!(sizes(service.folder.path()).exists());
    let (_, folder) = service.stop();
    assert_eq!(fs::read(sizes(folder.path())).unwrap(), kept);

    // Somebody else wrote to the image: a new identity, so a new table.
    patch(&folder.path().join("tiny.ckd"), 512 + 100, b"x");
    let service = Service::start_in(folder, VOLUMES);
    while !measured(&service) {
        std::thread::yield_now();
    }
    let (_, folder) = service.stop();
    assert_ne!(fs::read(sizes(folder.path())).unwrap(), kept);
}

#[test]
fn the_table_of_lengths_is_gone_before_a_first_write() {
    let service = Service::start(&format!("[files]\nmount = \"mnt\"\n{VOLUMES}"));
    let (_, folder) = service.stop();
    let table = folder.path().join("state/sizes/blocks.sizes");
    assert!(table.exists());
    let mut service = Service::start_in(folder, &format!("[files]\nmount = \"mnt\"\n{VOLUMES}"));
    fs::File::options().write(true).open(service.path("mnt/blocks.fba")).unwrap().write_all(&[7; 4096]).unwrap();
    assert!(!service.path("state/sizes/blocks.sizes").exists());
    // A kill leaves none behind that could be believed.
    let mut process = service.process.take().unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(!service.path("state/sizes/blocks.sizes").exists());
    assert_eq!(fs::read(service.path("tiny.fba")).unwrap()[..4096], [7; 4096]);
    // The next one takes the mount of the dead one over.
    let folder = std::mem::replace(&mut service.folder, tempfile::tempdir().unwrap());
    Service::start_in(folder, &format!("[files]\nmount = \"mnt\"\n{VOLUMES}")).stop();
}

#[test]
fn a_freeze_is_where_a_consistent_t0_is_and_it_ends_by_itself() {
    let service = Service::start(VOLUMES);
    service.run(&["session", "start", "tiny", "-o", "x.aws", "--consistency", "host"]).refused(&["tiny is not frozen"]);
    service.run(&["freeze", "tiny", "blocks", "--for", "60s"]).expect(0);
    service.run(&["freeze", "tiny"]).refused(&["tiny is frozen already"]);
    let started = service.json(&["session", "start", "tiny", "blocks", "--consistency", "host", "-o", "{volume}.aws", "--wait"]);
    assert_eq!(started["instant"], "host");
    let volumes = service.json(&["volumes"]);
    assert_eq!(volumes.as_array().unwrap().iter().map(|volume| &volume["frozen"]).collect::<Vec<_>>(), [false, true, true]);
    service.run(&["session", "start", "demo", "tiny", "--consistency", "host", "-o", "{volume}2.aws"]).refused(&["not frozen"]);
    let thawed = service.run(&["thaw", "blocks"]).expect(0).text();
    assert_eq!(thawed, "tiny, blocks: not frozen any more\n");
    service.run(&["freeze", "tiny", "--for", "61s"]).refused(&["at most 60 s"]);
    service.run(&["freeze", "tiny", "--for", "1ms"]).expect(0);
    while service.json(&["volumes"])[1]["frozen"] == true {
        std::thread::yield_now();
    }
    service.run(&["session", "start", "tiny", "-o", "late.aws", "--consistency", "host"]).refused(&["tiny is not frozen"]);
    assert_eq!(service.run(&["thaw"]).expect(0).text(), "Nothing was frozen\n");
}

#[test]
fn a_view_is_ready_at_t0_and_gone_with_its_session() {
    let service = Service::start(&format!(
        "[files]\nmount = \"mnt\"\n{VOLUMES}\n[[cache]]\nname = \"default\"\nspill = \"spill\"\nspill_limit = \"16MiB\"\n[[view]]\nname = \"then\"\nof = \"tiny\"\ndevice = \"0251\"\n"
    ));
    let view = service.path("mnt/then.ckd");
    assert_eq!(service.json(&["volumes"])[3]["ready"], false);
    service.run(&["session", "start", "tiny", "--view", "then"]).expect(0);
    assert_eq!(service.json(&["volumes"])[3]["session"], 1);
    assert_same_units(&units(&fixture("tiny.ckd")), &units(&view), "the view");
    // It survives a stop.
    let (_, folder) = service.stop();
    let config = fs::read_to_string(folder.path().join("gateway.toml")).unwrap();
    let more = config.split_once("socket = \"control\"\n").unwrap().1.to_owned();
    let service = Service::start_in(folder, &more);
    assert_eq!(service.json(&["volumes"])[3]["session"], 1);
    assert_same_units(&units(&fixture("tiny.ckd")), &units(&service.path("mnt/then.ckd")), "the view after a restart");
    service.run(&["session", "cancel", "1"]).expect(0);
    assert_eq!(service.json(&["volumes"])[3]["ready"], false);
}

#[test]
fn the_cache_has_limits_that_can_be_raised() {
    let service = Service::start(VOLUMES);
    let pools = service.json(&["cache", "default", "--memory", "1GiB"]);
    assert_eq!(pools[0]["memory_limit_bytes"], 1_u64 << 30);
    assert!(service.run(&["cache"]).expect(0).text().contains("1GiB"));
    service.run(&["cache", "other", "--memory", "1GiB"]).refused(&["no cache is called other"]);
    service.run(&["cache", "--memory", "1GiB"]).expect(2);
}

const POLICY: &str = r#"
[[policy]]
name = "nightly"
volumes = ["demo", "tiny"]
tape = "nightly/{volume}.{volser}.aws"
volsers = "VT0001-VT0004"
keep = 1
consistency = "host"
calendar = "daily 02:30"
before = { command = ["sh", "-c", "echo $TAPEGATE_VOLUMES > before"] }
after = { command = ["sh", "-c", "echo $TAPEGATE_RESULT > after"] }
"#;

#[test]
fn a_policy_takes_serials_keeps_what_it_should_and_deletes_only_its_own() {
    let folder = folder();
    fs::write(folder.path().join("tapes/other.aws"), "somebody else's").unwrap();
    let policy = POLICY.replace("> before", &format!("> {}/before", folder.path().display()));
    let policy = policy.replace("> after", &format!("> {}/after", folder.path().display()));
    let service = Service::start_in(folder, &format!("{VOLUMES}{policy}"));
    let first = service.json(&["run", "nightly"]);
    assert_eq!(
        (&first["state"], &first["instant"], &first["name"]),
        (&json!("physically-complete"), &json!("host"), &json!("nightly"))
    );
    assert_eq!(common::names_in(&service.path("tapes/nightly")).len(), 4);
    assert_eq!(fs::read_to_string(service.path("before")).unwrap(), "demo tiny\n");
    assert_eq!(fs::read_to_string(service.path("after")).unwrap(), "logically-complete\n");
    assert_eq!(service.json(&["volumes"])[0]["frozen"], false);
    service.run(&["run", "nightly"]).expect(0);
    let kept = common::names_in(&service.path("tapes/nightly"));
    assert_eq!(kept.iter().filter(|name| name.ends_with(".aws")).collect::<Vec<_>>(), ["demo.VT0003.aws", "tiny.VT0004.aws"]);
    assert_eq!(kept.len(), 4);
    assert!(service.path("tapes/other.aws").exists());
    // The range goes round to what is free again.
    service.run(&["run", "nightly"]).expect(0);
    let tapes = service.json(&["tapes"]);
    assert_eq!(tapes["tapes"].as_array().unwrap().iter().map(|tape| &tape["volser"]).collect::<Vec<_>>(), ["VT0001", "VT0002"]);
    let policies = service.json(&["policies"]);
    assert_eq!(
        (&policies[0]["tapes"], &policies[0]["running"], &policies[0]["failure"]),
        (&json!(2), &json!(false), &Value::Null)
    );
    service.run(&["run", "weekly"]).refused(&["no policy is called weekly"]);
    // Without a service the command does the turn itself.
    let (_, folder) = service.stop();
    let config = folder.path().join("gateway.toml");
    run(args!["run", "nightly", "--config", &config]).expect(0);
    assert!(folder.path().join("tapes/nightly/demo.VT0003.aws").exists());
}

#[test]
fn a_command_that_fails_before_t0_fails_the_turn_and_the_host_is_made_good() {
    let folder = folder();
    let after = folder.path().join("after");
    let policy =
        POLICY.replace("echo $TAPEGATE_VOLUMES > before", "exit 5").replace("> after", &format!("> {}", after.display()));
    let service = Service::start_in(folder, &format!("{VOLUMES}{policy}"));
    service.run(&["run", "nightly"]).refused(&["the command before T0", "exit status: 5"]);
    assert_eq!(fs::read_to_string(after).unwrap(), "failed\n");
    assert_eq!(service.json(&["session", "list"]), json!([]));
    let policies = service.run(&["policies"]).expect(0).text();
    assert!(policies.contains("FAILED: the command before T0: sh: exit status: 5"), "{policies}");
}

#[test]
fn a_missed_turn_is_made_up_for_once() {
    let folder = folder();
    fs::create_dir(folder.path().join("state")).unwrap();
    let record = json!({ "daily": { "last": "2020-01-01T02:30:00Z" } });
    fs::write(folder.path().join("state/policies.json"), record.to_string()).unwrap();
    // A year away, so that no further turn is due while the test runs.
    let day = jiff::Zoned::now().yesterday().unwrap().day();
    let policy = format!(
        "[[policy]]\nname = \"daily\"\nvolumes = [\"tiny\"]\ntape = \"daily.{{time}}.aws\"\ncalendar = \"monthly {day} 00:00\"\n"
    );
    let service = Service::start_in(folder, &format!("{VOLUMES}{policy}"));
    let done = |service: &Service| service.json(&["policies"])[0]["tapes"] == 1;
    while !done(&service) {
        std::thread::yield_now();
    }
    let policies = service.json(&["policies"]);
    assert_ne!(policies[0]["last"], "2020-01-01T02:30:00Z");
    let (_, folder) = service.stop();
    let service = Service::start_in(folder, &format!("{VOLUMES}{policy}"));
    assert_eq!(service.json(&["policies"])[0]["last"], policies[0]["last"]);
    assert_eq!(service.json(&["tapes"])["tapes"].as_array().unwrap().len(), 1);
}

#[test]
fn an_image_has_one_service() {
    let service = Service::start(VOLUMES);
    let second = service.path("second");
    fs::create_dir(&second).unwrap();
    let config = second.join("gateway.toml");
    let image = service.path("tiny.ckd");
    fs::create_dir(second.join("tapes")).unwrap();
    let text = format!(
        "library = \"tapes\"\nstate = \"state\"\n[control]\nsocket = \"control\"\n[[volume]]\nname = \"tiny\"\nimage = \"{}\"\n",
        image.display()
    );
    fs::write(&config, &text).unwrap();
    run(args!["serve", &config]).refused(&["tiny", "tiny.ckd", "another program"]);
    // Neither do others who lock.
    run(args!["ls", &image]).refused(&["tiny.ckd", "locked"]);
    fs::write(&config, text.replace("\"state\"", "\"../state\"")).unwrap();
    run(args!["serve", &config]).refused(&["another service uses this folder"]);
    fs::write(&config, text.replace("\"control\"", "\"../control\"").replace(&image.display().to_string(), "../none")).unwrap();
    run(args!["serve", &config]).refused(&["none"]);
    // Refused services leave the socket of the one that runs.
    service.run(&["volumes"]).expect(0);
}

#[test]
fn a_wrong_configuration_is_one_message_with_its_line() {
    let folder = folder();
    for (more, words) in [
        ("[[volume]]\nname = \"a\"\nimage = \"tiny.ckd\"\nimage2 = 1\n", &["gateway.toml:8:1", "unknown field `image2`"][..]),
        (
            "[[volume]]\nname = \"a\"\nimage = \"tiny.ckd\"\n[[volume]]\nname = \"a\"\nimage = \"tiny.fba\"\n",
            &["gateway.toml:9:8", "already that of line 6"],
        ),
        ("[[volume\n", &["gateway.toml:5:"]),
        ("[shared_device]\nlisten = [\"nowhere\"]\n", &["gateway.toml:6:11", "no place to listen"]),
        ("[[volume]]\nname = \"a\"\nimage = \"none\"\n", &["a: ", "none", "No such file"]),
        (
            "[shared_device]\n[[volume]]\nname = \"a\"\nimage = \"tiny.fba\"\ndevice = \"0150\"\n",
            &["a is a fixed-block volume", "file"],
        ),
    ] {
        let config = configure(folder.path(), more);
        run(args!["serve", &config]).refused(words);
    }
    run(args!["serve", folder.path().join("missing.toml")]).refused(&["missing.toml", "No such file"]);
    let config = configure(folder.path(), VOLUMES);
    let checked = run(args!["serve", &config, "--check"]).expect(0).text();
    assert!(checked.ends_with("right, 3 volumes, 0 policies\n"), "{checked}");
    fs::remove_dir(folder.path().join("tapes")).unwrap();
    run(args!["serve", &config]).refused(&["gateway.toml:1:11", "make it first"]);
}

#[test]
fn the_socket_is_the_groups_and_a_broken_client_loses_only_its_connection() {
    let service = Service::start(VOLUMES);
    let socket = service.path("control");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    let mut nonsense = UnixStream::connect(&socket).unwrap();
    nonsense.write_all(b"\xff\xfe\x00 GET / HTTP/1.1\n").unwrap();
    let mut reply = String::new();
    nonsense.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("{\"reply\":\"error\"") && reply.lines().count() == 1, "{reply}");
    service.run(&["volumes"]).expect(0);
    service.run(&["clients"]).expect(0);
}

#[test]
fn over_tcp_nothing_is_answered_without_the_token() {
    let folder = folder();
    let token = folder.path().join("token");
    fs::write(&token, "an example of a token\n").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let control = format!("[control]\nsocket = \"control\"\ntcp = \"127.0.0.1:{port}\"\ntoken_file = \"token\"\n{VOLUMES}");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let config = configure(folder.path(), &control);
    run(args!["serve", &config]).refused(&["token", "chmod o-rwx"]);
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let service = Service::start_in(folder, &control);
    let ask = |lines: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(lines.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut replies = String::new();
        // A connection that is ended with bytes unread breaks.
        let _broken = stream.read_to_string(&mut replies);
        replies.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["reply"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ask("{\"request\":\"volumes\"}\n"), ["error"]);
    assert_eq!(ask("{\"request\":\"token\",\"token\":\"an example of a tokeN\"}\n{\"request\":\"volumes\"}\n"), ["error"]);
    assert_eq!(
        ask("{\"request\":\"token\",\"token\":\"an example of a token\"}\n{\"request\":\"volumes\"}\n"),
        ["done", "volumes"]
    );
    drop(service);
}

#[test]
fn the_control_interface_stops_the_service_and_commands_say_when_none_answers() {
    let mut service = Service::start(VOLUMES);
    let mut stream = UnixStream::connect(service.path("control")).unwrap();
    stream.write_all(b"{\"request\":\"stop\"}\n").unwrap();
    let process = service.process.take().unwrap();
    Ended::of(process.wait_with_output().unwrap()).expect(0);
    assert!(!service.path("control").exists());
    for command in [&["volumes"][..], &["session", "list"], &["freeze", "tiny"], &["run", "x"], &["tapes"]] {
        service.run(command).refused(&["no service answers", "tapegate serve"]);
    }
    // The library needs none.
    service.run(&["tapes", "--library", "tapes"]).expect(0);
}

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
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
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
