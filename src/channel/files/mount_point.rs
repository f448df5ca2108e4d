//! The folder of the mount: whether it can be used, what a former gateway left there, and how a mount is torn off.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::statfs;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::error::MountError;

/// How the mount is called in the table of mounts.
pub(super) const SOURCE: &str = "tapegate";
/// Most dead mounts, one on the other, that are taken away from a folder.
const MOST_DEAD: usize = 16;

/// Checks that files can be mounted on an empty folder, and gives its real path.
///
/// A gateway that was killed leaves a mount behind that answers nothing ("Transport endpoint is not connected"); it is
/// taken away. Programs that have files of it open keep getting that error, and must open them again.
pub(super) fn prepare(path: &Path) -> Result<PathBuf, MountError> {
    let wrong = |reason: String| MountError::MountPoint { path: path.to_owned(), reason };
    let mut dead = 0;
    loop {
        // It asks the gateway, where `stat` may be answered from what the kernel remembers of one that is gone.
        match statfs(path) {
            Err(Errno::NOTCONN | Errno::CONNABORTED) if dead < MOST_DEAD => {
                dead += 1;
                tracing::warn!("{}: a gateway that was killed left its mount here; it is taken away", path.display());
                detach(path, UnmountFlags::DETACH).map_err(|error| {
                    wrong(format!(
                        "a dead mount is in the way and can't be taken away ({error}); try: umount -l {}",
                        path.display()
                    ))
                })?;
            }
            Err(Errno::NOENT) => return Err(wrong("there is no such folder; make one".to_owned())),
            Err(error) => return Err(wrong(format!("the folder can't be used: {error}"))),
            Ok(_) => break,
        }
    }
    if !path.is_dir() {
        return Err(wrong("the files need a folder, and this is none".to_owned()));
    }
    let real = path.canonicalize().map_err(|error| wrong(format!("the folder can't be used: {error}")))?;
    if is_served(&real) {
        return Err(wrong("another gateway serves files here; name another folder, or stop it".to_owned()));
    }
    let mut content = fs::read_dir(&real).map_err(|error| wrong(format!("the folder can't be listed: {error}")))?;
    if content.next().is_some() {
        return Err(wrong("the folder is not empty, and the mount would hide what is in it; name an empty one".to_owned()));
    }
    Ok(real)
}

/// Whether a mount of a gateway is on the folder.
fn is_served(real: &Path) -> bool {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    table.split(|byte| *byte == b'\n').filter_map(parse_mount).any(|(on, source)| on == real && source == SOURCE.as_bytes())
}

/// Where a line of mountinfo says that something is mounted, and its source (proc(5): fields 5 and, behind the dash, 2).
fn parse_mount(line: &[u8]) -> Option<(PathBuf, &[u8])> {
    let mut fields = line.split(|byte| *byte == b' ');
    let on = fields.nth(4)?;
    let source = fields.skip_while(|field| *field != b"-").nth(2)?;
    Some((PathBuf::from(OsStr::from_bytes(&unescaped(on))), source))
}

/// Bytes in which the kernel wrote blanks and the like as `\040`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
        match (first, tail.get(..3).and_then(octal)) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

/// Takes a mount off its folder; programs that have files of it open keep it alive unless it is forced.
pub(super) fn detach(path: &Path, flags: UnmountFlags) -> io::Result<()> {
    match unmount(path, flags | UnmountFlags::NOFOLLOW) {
        Err(Errno::PERM) => {}
        result => return Ok(result?),
    }
    // Only root may unmount; for others there is a program with its right.
    let mut refused = None;
    for program in ["fusermount3", "fusermount"] {
        match Command::new(program).args(["-u", "-z", "--"]).arg(path).stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => refused = Some(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    Err(refused.unwrap_or_else(|| Errno::PERM.into()))
}

/// The number by which the kernel knows the connection behind a mount.
pub(super) fn connection(mounted: &Path) -> Option<u32> {
    fs::metadata(mounted).ok().map(|metadata| rustix::fs::minor(metadata.dev()))
}

/// Cuts a connection: every program that has a file of it open is told so.
pub(super) fn abort(connection: u32) -> io::Result<()> {
    fs::write(format!("/sys/fs/fuse/connections/{connection}/abort"), "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as proc(5) shows them.
    #[test]
    fn a_line_of_the_mount_table_gives_place_and_source() {
        let line = br"36 35 98:0 / /srv/my\040disks rw,noatime shared:1 master:2 - fuse tapegate rw,user_id=0";
        assert_eq!(parse_mount(line), Some((PathBuf::from("/srv/my disks"), &b"tapegate"[..])));
        assert_eq!(parse_mount(b"36 35 98:0 / /mnt rw - ext3"), None);
        assert_eq!(parse_mount(b""), None);
        assert_eq!(unescaped(br"a\134b\0"), br"a\b\0");
    }

    #[test]
    fn a_folder_that_would_be_hidden_and_a_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(prepare(folder.path()).unwrap(), folder.path().canonicalize().unwrap());
        let file = folder.path().join("volume.ckd");
        fs::write(&file, "precious").unwrap();
        for (path, word) in [(folder.path(), "not empty"), (&file, "is none"), (&folder.path().join("no"), "no such folder")] {
            let message = prepare(path).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }
}
