//! What may be written, and the message with line and column for what may not.

use super::*;
use crate::live::status::{Consistency, OnError, Pace};
use crate::service::quantity::Time;

/// A configuration with everything in it.
const WHOLE: &str = r#"
library = "tapes"
state = "state"

[control]
socket = "control"
tcp = "127.0.0.1:7990"
token_file = "token"

[shared_device]
listen = ["127.0.0.1:3990", "[::1]:3990", "./hercules_shared.3990"]
allow = ["127.0.0.1", "10.0.0.0/8"]
connections = 8
sync = "interval"
sync_interval = "2s"
hold_limit = "15s"

[files]
mount = "/run/tapegate/volumes"
mode = "660"

[[cache]]
name = "default"
memory = "64MiB"
spill = "spill"
spill_limit = "8GiB"

[[volume]]
name = "prod01"
image = "prod01.cckd"
device = "0150"
rights = [{ from = "127.0.0.0/8", access = "read-write" }, { from = "10.0.0.0/8", access = "read" }]

[[volume]]
name = "prod02"
image = "prod02.cckd"
shadow_pattern = "prod02_1.shadow"
device = "151"
read_only = true

[[view]]
name = "prod01-view"
of = "prod01"
device = "0250"
volser = "VIEW01"
cache = "default"

[[policy]]
name = "nightly"
volumes = ["prod01", "prod02"]
files = ["SYS1.**"]
exclude = ["SYS1.DUMP*"]
consistency = "quiet"
quiet = "250ms"
else_now = true
tape = "{policy}/{volume}.{date}.aws"
volsers = "VT0001-VT0999"
keep = 7
calendar = "daily 02:30"
after = { command = ["/bin/true"], limit = "5s" }
on_error = "hold"
hold_limit = "12s"
rate_limit = "100MiB"
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tapes")).unwrap();
    std::fs::write(folder.path().join("prod01.cckd"), "").unwrap();
    folder
}

#[test]
fn everything_can_be_said() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let config = Config::parse(WHOLE, &at("gateway.toml")).unwrap();
    assert_eq!((&config.library, &config.state, &config.control.socket), (&at("tapes"), &at("state"), &at("control")));
    assert_eq!(config.control.tcp.as_ref().unwrap().token_file, at("token"));
    assert_eq!(config.control.tcp.as_ref().unwrap().allow, Network::loopback());
    let server = config.shared_device.as_ref().unwrap();
    assert_eq!((server.listen.len(), server.connections), (3, 8));
    assert_eq!((server.sync, server.hold_limit), (SyncRule::Interval(Duration::from_secs(2)), Duration::from_secs(15)));
    assert_eq!(config.caches[0].spill.as_ref().unwrap().limit_bytes, 8 << 30);
    let volume = config.volume("prod01").unwrap();
    assert_eq!((volume.image.clone(), volume.device, volume.read_only), (at("prod01.cckd"), Some(DeviceNumber(0x150)), false));
    assert_eq!(config.volumes[1].device.unwrap().to_string(), "0151");
    assert_eq!(config.views[0].volser.unwrap().to_string(), "VIEW01");
    let policy = config.policy("nightly").unwrap();
    assert_eq!(policy.consistency, Consistency::Quiet { quiet_ms: 250, limit_ms: 60_000, else_now: true });
    assert_eq!(policy.on_error, OnError::Hold { limit_ms: 12_000 });
    assert_eq!(policy.pace, Pace { stages_in_a_row: None, bytes_per_second: Some(100 << 20) });
    assert_eq!(policy.after.as_ref().unwrap().limit, Duration::from_secs(5));
    assert_eq!(policy.retention, Retention { turns: Some(7), days: None });
}

#[test]
fn little_need_be_said_and_nothing_but_loopback_is_open_by_default() {
    let folder = folder();
    let text = "library = \"tapes\"\nstate = \"state\"\n[shared_device]\n";
    let config = Config::parse(text, &folder.path().join("gateway.toml")).unwrap();
    let server = config.shared_device.unwrap();
    assert_eq!(server.listen, [Listener::Tcp("127.0.0.1:3990".parse().unwrap())]);
    assert_eq!(server.allow, Network::loopback());
    assert_eq!(server.sync, SyncRule::Interval(Duration::from_secs(5)));
    assert_eq!(config.control.socket, Path::new(DEFAULT_SOCKET));
    assert!(config.control.tcp.is_none() && config.files.is_none());
}

/// Puts `new` in the place of `old` in the whole configuration: message, and the line in which `new` stands.
#[track_caller]
fn wrong(old: &str, new: &str, at: &str, words: &str) {
    let folder = folder();
    assert!(WHOLE.contains(old), "{old}");
    let text = WHOLE.replacen(old, new, 1);
    let error = Config::parse(&text, &folder.path().join("gateway.toml")).unwrap_err();
    let ConfigError::Wrong { line, column, message, .. } = &error else { panic!("{error}") };
    let (expected_line, expected_column) = problem::place(&text, text.rfind(at).unwrap());
    assert_eq!((*line, *column), (expected_line, expected_column), "{error}");
    assert!(message.contains(words), "{error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    assert!(error.to_string().contains(&format!("gateway.toml:{line}:{column}: ")), "{error}");
}

#[test]
fn what_a_key_can_not_hold_is_told_with_its_place() {
    wrong("connections = 8", "conections = 8", "conections", "unknown field `conections`");
    wrong("memory = \"64MiB\"", "memory = \"64M\"", "\"64M\"", "'64M' is no size");
    wrong("\"2s\"", "\"2\"", "\"2\"\n", "no length of time");
    wrong("\"10.0.0.0/8\"]", "\"10.0.0.1/8\"]", "[\"127.0.0.1\", \"10.0.0.1/8\"", "inside the network 10.0.0.0/8");
    wrong("device = \"0150\"", "device = \"15G\"", "\"15G\"", "hexadecimal");
    wrong("\"read-write\"", "\"write\"", "\"write\"", "unknown variant `write`");
    wrong("\"VIEW01\"", "\"VIEW0001\"", "\"VIEW0001\"", "VIEW0001");
    wrong("\"SYS1.**\"", "\"SYS1..X\"", "[\"SYS1..X\"", "empty qualifier");
    wrong("\"daily 02:30\"", "\"daily\"", "\"daily\"", "no calendar");
    wrong("\"660\"", "\"0888\"", "\"0888\"", "octal");
    wrong("\"[::1]:3990\"", "\"[::1]\"", "\"[::1]\"", "no place to listen");
    wrong("[files]", "[files", "\nmount", "");
}

#[test]
fn what_does_not_fit_together_is_told_with_its_place() {
    wrong("library = \"tapes\"", "library = \"nowhere\"", "\"nowhere\"", "is not a folder; make it first");
    wrong("name = \"prod02\"", "name = \"prod01\"", "\"prod01\"\nimage", "the volume or view prod01 is already that of line 29");
    wrong("name = \"prod01-view\"", "name = \"prod02\"", "\"prod02\"\nof", "already that of line 35");
    wrong("device = \"151\"", "device = \"0150\"", "\"0150\"\nread", "the device number 0150 is already that of line 31");
    wrong("device = \"0250\"", "device = \"0151\"", "\"0151\"\nvol", "already that of line 38");
    wrong("image = \"prod02.cckd\"", "image = \"./prod01.cckd\"", "\"./prod01.cckd\"", "the image");
    wrong("of = \"prod01\"", "of = \"prod03\"", "\"prod03\"", "no [[volume]] of the name prod03");
    wrong("\"prod01\", \"prod02\"]", "\"prod01\", \"prod03\"]", "\"prod03\"]", "no [[volume]] of the name prod03");
    wrong("\"prod01\", \"prod02\"]", "\"prod01\", \"prod01\"]", "\"prod01\"]", "named twice");
    wrong("cache = \"default\"", "cache = \"fast\"", "\"fast\"", "no [[cache]] of the name fast");
    wrong("tcp = \"127.0.0.1:7990\"", "", "\"token\"", "set it or leave both out");
    wrong("token_file = \"token\"", "", "\"127.0.0.1:7990\"", "needs a token_file");
    wrong("{volume}.{date}", "{date}", "\"{policy}/{date}", "needs {volume}");
    wrong("{policy}/{volume}", "../{volume}", "\"../{volume}", "inside the library");
    wrong("{policy}/", "{host}/", "\"{host}/", "knows only");
    wrong("VT0001-VT0999", "VT0999-VT0001", "\"VT0999-VT0001\"", "no range of serials");
    wrong("consistency = \"quiet\"", "consistency = \"now\"", "\"250ms\"", "for consistency = \"quiet\"");
    wrong("\"prod02\"\nimage", "\"../02\"\nimage", "\"../02\"", "no name");
    wrong("keep = 7", "keep = 0", "0\ncalendar", "keep is at least 1");
    wrong("[\"/bin/true\"]", "[]", "[], limit", "needs a program");
}

#[test]
fn a_hold_limit_is_bounded() {
    assert_eq!("5m".parse::<Time>().unwrap().as_millis(), 300_000);
    wrong("hold_limit = \"12s\"", "hold_limit = \"1h\"", "\"1h\"", "at most 5 minutes");
}

#[test]
fn rights_are_those_of_the_first_network_that_fits() {
    use volume::access_of;
    let folder = folder();
    let config = Config::parse(WHOLE, &folder.path().join("gateway.toml")).unwrap();
    let rights = &config.volumes[0].rights;
    let access = |address: &str, writable| access_of(rights, writable, address.parse().unwrap());
    assert_eq!(access("127.0.0.1", true), AccessRight::ReadWrite);
    assert_eq!(access("127.0.0.1", false), AccessRight::Read);
    assert_eq!(access("10.1.1.1", true), AccessRight::Read);
    assert_eq!(access("192.168.1.1", true), AccessRight::None);
    assert_eq!(access_of(&[], true, "192.168.1.1".parse().unwrap()), AccessRight::ReadWrite);
}
