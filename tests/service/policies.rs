//! Policies: turns, serials, retention, commands, and what becomes of a turn over a stop.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use super::common::{self, Ended, fixture, run, tapegate};
use super::harness::{Service, VOLUMES, folder, wait_until};

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
    wait_until(|| service.json(&["policies"])[0]["tapes"] == 1);
    let policies = service.json(&["policies"]);
    assert_ne!(policies[0]["last"], "2020-01-01T02:30:00Z");
    let (_, folder) = service.stop();
    let service = Service::start_in(folder, &format!("{VOLUMES}{policy}"));
    assert_eq!(service.json(&["policies"])[0]["last"], policies[0]["last"]);
    assert_eq!(service.json(&["tapes"])["tapes"].as_array().unwrap().len(), 1);
}

#[test]
fn a_turn_goes_on_after_a_stop_with_its_session() {
    let policy = "[[policy]]\nname = \"slow\"\nvolumes = [\"demo\"]\ntape = \"{volume}.aws\"\nvolsers = \"SL0001-SL0009\"\nrate_limit = \"1MiB\"\n";
    let more = format!("{VOLUMES}{policy}");
    let service = Service::start(&more);
    let mut run = tapegate();
    run.env("TAPEGATE_CONTROL", service.path("control")).args(["run", "slow"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = run.spawn().unwrap();
    wait_until(|| service.json(&["session", "list"])[0]["state"] == "logically-complete");
    let (_, folder) = service.stop();
    Ended::of(run.wait_with_output().unwrap()).refused(&["stopped before the tapes were whole", "goes on with the next start"]);
    assert!(!folder.path().join("tapes/demo.aws").exists());

    let service = Service::start_in(folder, &more);
    service.run(&["session", "pace", "1", "--rate", "0"]).expect(0);
    wait_until(|| service.json(&["policies"])[0]["tapes"] == 1);
    let policies = service.json(&["policies"]);
    assert_eq!((&policies[0]["failure"], &policies[0]["running"]), (&Value::Null, &json!(false)));
    let tapes = service.json(&["tapes"]);
    assert_eq!((&tapes["tapes"][0]["tape"], &tapes["tapes"][0]["volser"]), (&json!("demo.aws"), &json!("SL0001")));
    common::run(args!["tape", "verify", service.path("tapes/demo.aws"), "--against", fixture("demo.cckd")]).expect(0);
}
