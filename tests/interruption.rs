//! A session that is killed, stopped, starved or disturbed leaves nothing that looks like a tape, says why, and can go
//! on where that is safe.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use tapegate::volume::ImageFormat;
use tempfile::{TempDir, tempdir};

use common::{
    Ended, assert_same_units, big_volume, fixture, has, names_in, open, patch, restore_new, run, slot_offset, snapshot, tapegate,
    units,
};

/// A volume, and the tape that an undisturbed session makes of it.
struct Scene {
    folder: TempDir,
    volume: PathBuf,
    expected: Vec<u8>,
}

impl Scene {
    /// A volume of incompressible tracks, 750 KB a cylinder.
    fn new(format: ImageFormat, cylinders: u32) -> Self {
        let folder = tempdir().unwrap();
        let volume = folder.path().join("volume");
        big_volume(&volume, format, cylinders, 3);
        let undisturbed = folder.path().join("undisturbed.aws");
        snapshot(&volume, &undisturbed, &[], 0);
        let expected = fs::read(&undisturbed).unwrap();
        fs::remove_file(&undisturbed).unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        Self { folder, volume, expected }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn tape(&self) -> PathBuf {
        self.out().join("tape.aws")
    }

    fn partial(&self) -> PathBuf {
        self.out().join(".tape.aws.partial")
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = tapegate();
        command.args(["snapshot", "--no-sync", "-j", "2", "-o"]).arg(self.tape()).arg(&self.volume).args(options);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, options: &[&str]) -> Ended {
        Ended::of(self.command(options).output().unwrap())
    }

    /// A session that stands still with some of the data on the tape.
    fn standing(&self) -> Child {
        caught(|| self.command(&[]), &self.partial(), &self.tape(), || self.tidy())
    }

    /// Removes whatever sessions left.
    fn tidy(&self) {
        fs::remove_dir_all(self.out()).unwrap();
        fs::create_dir(self.out()).unwrap();
    }

    /// Fails unless there is no tape, and what there is can't be taken for one.
    #[track_caller]
    fn assert_no_tape(&self) {
        assert!(!self.tape().exists());
        let Ok(partial) = fs::read(self.partial()) else { return };
        if partial == self.expected {
            // Complete but for its name.
            return;
        }
        run(args!["tape", "map", self.partial()]).refused(&[".tape.aws.partial"]);
        run(args!["restore", self.partial(), "--new", self.out().join("image")]).refused(&[".tape.aws.partial"]);
        assert!(!self.out().join("image").exists());
        if has("hetmap") {
            let copy = self.folder.path().join("partial-copy");
            fs::write(&copy, &partial).unwrap();
            let output = Command::new("hetmap").arg("-l").arg(&copy).output().unwrap();
            let map = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(!map.contains("HDR1") && !map.contains("VOL1"), "hetmap reads the partial tape:\n{map}");
        }
    }

    /// Fails unless the tape is there, equal to the undisturbed one, and nothing else but its manifest.
    #[track_caller]
    fn assert_tape(&self) {
        assert!(fs::read(self.tape()).unwrap() == self.expected, "the tape differs from that of an undisturbed session");
        assert_eq!(names_in(&self.out()), ["tape.aws", "tape.aws.manifest.json"]);
    }
}

/// A process that stands still (SIGSTOP) after it wrote some of `partial`. It is caught by looking again and again, so
/// one that was too fast is tidied away and tried again.
fn caught(command: impl Fn() -> Command, partial: &Path, done: &Path, tidy: impl Fn()) -> Child {
    for _ in 0..20 {
        let mut child = command().spawn().unwrap();
        while partial.metadata().map_or(0, |partial| partial.blocks()) == 0 && !done.exists() {
            if child.try_wait().unwrap().is_some() && !done.exists() {
                panic!("the process ended early: {:?}", Ended::of(child.wait_with_output().unwrap()));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        signal(&child, Signal::STOP);
        // Who is done has given the file its name.
        if !done.exists() && partial.exists() {
            return child;
        }
        killed(child);
        tidy();
    }
    panic!("the process was never caught in the middle");
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn killed(child: Child) {
    signal(&child, Signal::KILL);
    child.wait_with_output().unwrap();
}

#[test]
fn a_session_killed_at_any_moment_goes_on_and_makes_the_same_tape() {
    for format in [ImageFormat::Ckd, ImageFormat::Cckd] {
        let scene = Scene::new(format, 40);
        let began = Instant::now();
        scene.run(&[]).expect(0);
        let whole = began.elapsed();
        scene.assert_tape();
        scene.tidy();
        // Moments all over a session: each run goes on where the one before was killed.
        for part in [5, 17, 31, 43, 59, 71, 83, 97] {
            let journal = scene.out().join(".tape.aws.journal");
            let mut child = if journal.exists() { scene.command(&["--resume"]) } else { scene.command(&[]) }.spawn().unwrap();
            std::thread::sleep(whole * part / 100);
            if child.try_wait().unwrap().is_some() {
                let ended = Ended::of(child.wait_with_output().unwrap());
                // A session killed before its journal was made whole can't go on, and says so.
                if ended.code == Some(1) {
                    assert!(ended.err.contains("run without --resume"), "{}", ended.err);
                    fs::remove_file(&journal).unwrap();
                    continue;
                }
                assert_eq!(ended.code, Some(0), "{}", ended.err);
                scene.assert_tape();
                scene.tidy();
                continue;
            }
            killed(child);
            if scene.tape().exists() {
                assert!(fs::read(scene.tape()).unwrap() == scene.expected);
                scene.tidy();
                continue;
            }
            scene.assert_no_tape();
        }
        if scene.out().join(".tape.aws.journal").exists() {
            scene.run(&["--resume"]).expect(0);
        } else {
            scene.run(&[]).expect(0);
        }
        scene.assert_tape();
    }
}

#[test]
fn a_session_that_goes_on_trusts_no_byte_that_it_does_not_read_back() {
    let scene = Scene::new(ImageFormat::Ckd, 40);
    killed(scene.standing());
    scene.assert_no_tape();
    // As after a crash of the machine: some of what was written never reached the medium.
    let bytes = scene.partial().metadata().unwrap().len();
    for place in [bytes / 50, bytes / 10, bytes / 3, bytes / 2] {
        patch(&scene.partial(), place, &[0; 4096]);
    }
    scene.run(&["--resume"]).expect(0);
    scene.assert_tape();
}

#[test]
fn a_session_that_goes_on_keeps_its_t0() {
    let scene = Scene::new(ImageFormat::Ckd, 40);
    killed(scene.standing());
    let output = scene.command(&["--resume"]).env("SOURCE_DATE_EPOCH", "1800000000").output().unwrap();
    Ended::of(output).expect(0);
    scene.assert_tape();
}

#[test]
fn a_resumed_session_has_the_options_of_the_interrupted_one_or_is_refused() {
    let scene = Scene::new(ImageFormat::Ckd, 40);
    killed(scene.standing());
    for options in [&["--labels", "al"][..], &["--tape-block", "4096"], &["--volser", "OTHER"]] {
        scene.run(&[&["--resume"], options].concat()).refused(&["other options"]);
    }
    scene.run(&["--resume"]).expect(0);
    scene.assert_tape();
    scene.tidy();
    scene.run(&["--resume"]).refused(&["no interrupted run"]);
    run(args!["snapshot", &scene.volume, "--resume", "-o", "-"]).refused(&["pipe"]);
}

#[test]
fn a_volume_that_changed_between_two_runs_is_not_resumed() {
    let scene = Scene::new(ImageFormat::Ckd, 40);
    killed(scene.standing());
    let place = slot_offset(&open(&scene.volume), 500) + 100;
    patch(&scene.volume, place, b"changed");
    scene.run(&["--resume"]).refused(&["before it changed"]);
    scene.assert_no_tape();
    scene.run(&[]).expect(0);
    let image = scene.folder.path().join("image");
    restore_new(&scene.tape(), &image, &[]);
    assert_same_units(&units(&scene.volume), &units(&image), "the changed volume");
}

#[test]
fn a_volume_that_changes_under_the_session_gives_no_tape() {
    let scene = Scene::new(ImageFormat::Ckd, 40);
    let child = scene.standing();
    let place = slot_offset(&open(&scene.volume), 500) + 100;
    patch(&scene.volume, place, b"changed");
    signal(&child, Signal::CONT);
    Ended::of(child.wait_with_output().unwrap()).refused(&["changed while it was read", "volume"]);
    assert_eq!(names_in(&scene.out()), Vec::<String>::new(), "nothing is left of it");

    let child = scene.standing();
    File::options().append(true).open(&scene.volume).unwrap().set_len(scene.volume.metadata().unwrap().len() + 512).unwrap();
    signal(&child, Signal::CONT);
    Ended::of(child.wait_with_output().unwrap()).refused(&["changed while it was read", "size"]);
    assert_eq!(names_in(&scene.out()), Vec::<String>::new());
}

#[test]
fn a_volume_that_changes_while_a_pipe_is_read_ends_the_pipe_without_the_end_of_a_tape() {
    let scene = Scene::new(ImageFormat::Ckd, 40);
    let mut command = tapegate();
    command.args(["snapshot", "-o", "-"]).arg(&scene.volume).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    // The session can't end before the reader takes more than the pipe and the buffers hold.
    let mut received = vec![0; 1000];
    out.read_exact(&mut received).unwrap();
    patch(&scene.volume, 700_000, b"changed");
    out.read_to_end(&mut received).unwrap();
    Ended::of(child.wait_with_output().unwrap()).refused(&["changed while it was read"]);
    let got = scene.folder.path().join("received.aws");
    fs::write(&got, &received).unwrap();
    assert_eq!(run(args!["tape", "verify", &got]).code, Some(3), "what was received is not sound");
    let image = scene.folder.path().join("image");
    let ended = run(args!["restore", &got, "--new", &image]);
    assert_ne!(ended.code, Some(0), "a tape without an end restores with a warning at best");
}

#[test]
fn a_pipe_that_breaks_ends_the_session_with_an_error() {
    let scene = Scene::new(ImageFormat::Ckd, 40);
    let mut command = tapegate();
    command.args(["snapshot", "-o", "-"]).arg(&scene.volume).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut received = vec![0; 1000];
    child.stdout.take().unwrap().read_exact(&mut received).unwrap();
    let ended = Ended::of(child.wait_with_output().unwrap());
    ended.refused(&["roken pipe"]);
}

#[test]
fn a_terminated_session_says_how_to_go_on() {
    for which in [Signal::TERM, Signal::INT] {
        let scene = Scene::new(ImageFormat::Ckd, 40);
        let child = scene.standing();
        signal(&child, which);
        signal(&child, Signal::CONT);
        Ended::of(child.wait_with_output().unwrap()).refused(&["no tape was made", "--resume"]);
        scene.assert_no_tape();
        scene.run(&["--resume"]).expect(0);
        scene.assert_tape();
    }
}

#[test]
fn a_killed_restore_leaves_no_volume_and_is_not_in_the_way_of_the_next() {
    let scene = Scene::new(ImageFormat::Ckd, 40);
    scene.run(&[]).expect(0);
    for format in ["ckd", "cckd"] {
        let (image, partial) = (scene.out().join("image"), scene.out().join(".image.partial"));
        let command = || {
            let mut command = tapegate();
            command.args(["restore", "--no-sync", "--format", format]).arg(scene.tape()).arg("--new").arg(&image);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        let child = caught(command, &partial, &image, || fs::remove_file(&image).unwrap());
        Ended::of(command().output().unwrap()).refused(&["another run"]);
        killed(child);
        assert!(!image.exists() && partial.exists());
        Ended::of(command().output().unwrap()).expect(0);
        assert_same_units(&units(&scene.volume), &units(&image), format);
        fs::remove_file(&image).unwrap();

        let child = caught(command, &partial, &image, || fs::remove_file(&image).unwrap());
        signal(&child, Signal::TERM);
        signal(&child, Signal::CONT);
        Ended::of(child.wait_with_output().unwrap()).refused(&["nothing is left"]);
        assert_eq!(names_in(&scene.out()), ["tape.aws", "tape.aws.manifest.json"]);
    }
}

#[test]
fn two_sessions_never_write_the_same_tape() {
    let scene = Scene::new(ImageFormat::Ckd, 40);
    let child = scene.standing();
    scene.run(&[]).refused(&["another process"]);
    let resumed = scene.run(&["--resume"]);
    assert_eq!(resumed.code, Some(1), "{}", resumed.err);
    signal(&child, Signal::CONT);
    Ended::of(child.wait_with_output().unwrap()).expect(0);
    scene.assert_tape();
}

#[test]
fn what_exists_is_never_written_over() {
    let folder = tempdir().unwrap();
    let [file, link, directory] = ["file", "link", "directory"].map(|name| folder.path().join(name));
    fs::write(&file, "precious").unwrap();
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    fs::create_dir(&directory).unwrap();
    let tape = folder.path().join("tape.aws");
    snapshot(&fixture("tiny.ckd"), &tape, &[], 0);
    for existing in [&file, &link, &directory] {
        run(args!["snapshot", fixture("tiny.ckd"), "-o", existing]).refused(&["exists"]);
        run(args!["restore", &tape, "--new", existing]).refused(&["exists"]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert_eq!(names_in(folder.path()), ["directory", "file", "link", "tape.aws", "tape.aws.manifest.json"]);
}

#[test]
fn a_tape_that_appears_meanwhile_is_not_written_over() {
    let scene = Scene::new(ImageFormat::Ckd, 40);
    let child = scene.standing();
    fs::write(scene.tape(), "precious").unwrap();
    signal(&child, Signal::CONT);
    Ended::of(child.wait_with_output().unwrap()).refused(&["exists"]);
    assert_eq!(fs::read_to_string(scene.tape()).unwrap(), "precious");
}

#[test]
fn a_volume_that_somebody_writes_to_is_refused() {
    let folder = tempdir().unwrap();
    let volume = folder.path().join("volume");
    fs::copy(fixture("tiny.ckd"), &volume).unwrap();
    let writer = File::open(&volume).unwrap();
    flock(&writer, FlockOperation::NonBlockingLockExclusive).unwrap();
    for command in ["ls", "plan"] {
        run(args![command, &volume]).refused(&["locked", "volume"]);
    }
    run(args!["snapshot", &volume, "-o", folder.path().join("tape.aws")]).refused(&["locked", "volume"]);
    assert_eq!(names_in(folder.path()), ["volume"]);
    flock(&writer, FlockOperation::Unlock).unwrap();
    run(args!["ls", &volume]).expect(0);
}

#[test]
fn sources_are_never_written_to() {
    let folder = tempdir().unwrap();
    let volume = folder.path().join("volume");
    fs::copy(fixture("demo.cckd"), &volume).unwrap();
    let before = fs::metadata(&volume).unwrap();
    snapshot(&volume, &folder.path().join("tape.aws"), &[], 0);
    run(args!["ls", "--members", "--used", &volume]).expect(0);
    let after = fs::metadata(&volume).unwrap();
    assert_eq!((before.mtime_nsec(), before.ctime_nsec(), before.ino()), (after.mtime_nsec(), after.ctime_nsec(), after.ino()));
    assert!(fs::read(&volume).unwrap() == fs::read(fixture("demo.cckd")).unwrap());
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempdir().unwrap();
    run(args!["snapshot", fixture("tiny.ckd"), "-o", folder.path().join("missing/tape.aws")]).refused(&["missing"]);
    run(args!["ls", folder.path().join("missing.ckd")]).refused(&["missing.ckd", "No such file"]);
}

/// Runs a script as root of a user namespace with mounts of its own; `None` where the system does not allow it.
fn in_namespace(script: &str) -> Option<Ended> {
    let unshared =
        |script: &str| Command::new("unshare").args(["-rm", "sh", "-c", script]).env("SOURCE_DATE_EPOCH", common::T0).output();
    if !unshared("mount -t tmpfs tmpfs /mnt").is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no file system can be mounted in a user namespace");
        return None;
    }
    Some(Ended::of(unshared(script).unwrap()))
}

#[test]
fn a_full_disk_ends_the_session_and_room_lets_it_go_on() {
    for format in [ImageFormat::Ckd, ImageFormat::Cckd] {
        let scene = Scene::new(format, 20);
        fs::write(scene.out().join("expected"), &scene.expected).unwrap();
        let script = format!(
            "mount -t tmpfs -o size=6m tmpfs /mnt && cd /mnt || exit 90\n\
             tapegate() {{ {program} snapshot {volume} -o tape.aws \"$@\"; }}\n\
             tapegate; echo $?; ls -A\n\
             mount -o remount,size=60m /mnt || exit 91\n\
             tapegate --resume >/dev/null; echo $?\n\
             cmp tape.aws {expected} && ls -A",
            program = env!("CARGO_BIN_EXE_tapegate"),
            volume = scene.volume.display(),
            expected = scene.out().join("expected").display(),
        );
        let Some(ended) = in_namespace(&script) else { return };
        let text = ended.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            ["1", ".tape.aws.journal", ".tape.aws.partial", "0", "tape.aws", "tape.aws.manifest.json"],
            "{format}: {}",
            ended.err
        );
        assert!(ended.err.contains("No space left") && ended.err.contains("--resume"), "{}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    }
}

#[test]
fn a_file_that_may_not_grow_ends_the_session_and_it_goes_on_without_the_limit() {
    for format in [ImageFormat::Ckd, ImageFormat::Cckd] {
        let scene = Scene::new(format, 20);
        let script = format!(
            "trap '' XFSZ; ulimit -f 4096; exec {} snapshot --no-sync {} -o {}",
            env!("CARGO_BIN_EXE_tapegate"),
            scene.volume.display(),
            scene.tape().display()
        );
        let output = Command::new("sh").arg("-c").arg(script).env("SOURCE_DATE_EPOCH", common::T0).output().unwrap();
        Ended::of(output).refused(&["File too large", "--resume"]);
        scene.assert_no_tape();
        scene.run(&["--resume"]).expect(0);
        scene.assert_tape();
    }
}

#[test]
fn a_folder_that_is_read_only_is_named() {
    let script = format!(
        "mount -t tmpfs tmpfs /mnt && cd /mnt && mount -o remount,ro /mnt || exit 90\n{} snapshot {} -o tape.aws",
        env!("CARGO_BIN_EXE_tapegate"),
        fixture("tiny.ckd").display()
    );
    let Some(ended) = in_namespace(&script) else { return };
    ended.refused(&["Read-only file system", "tape.aws"]);
}
