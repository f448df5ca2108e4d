//! What is refused at the start, who may ask, and how it ends.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use super::common::{Ended, run};
use super::harness::{Service, VOLUMES, configure, folder};

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
