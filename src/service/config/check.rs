//! What must fit together in a configuration, beyond what each key may hold.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::file::{self, File};
use super::policy::{PolicyCommand, PolicyConfig, Retention};
use super::problem::{Problem, place};
use super::volume::{DeviceNumber, ViewConfig, VolumeConfig};
use super::{
    CacheConfig, Config, ControlConfig, DEFAULT_MEMORY_BYTES, FilesConfig, SharedDeviceConfig, SpillConfig, SyncRule, TcpControl,
};
use crate::channel::shared_device::{self, Listener};
use crate::live::status::{Consistency, OnError, Pace};
use crate::service::network::Network;
use crate::service::quantity::{ByteSize, Time};
use crate::volume::OpenOptions;

/// Where the control socket is unless something else is configured.
pub const DEFAULT_SOCKET: &str = "/run/tapegate/control";
const DEFAULT_SPILL: u64 = 8 << 30;
/// A guest's missing-interrupt timer runs for 15 to 30 s.
const DEFAULT_HOLD: Duration = Duration::from_secs(10);
const DEFAULT_TAPE: &str = "{policy}/{volume}-{date}-{time}.aws";

type Checked<T> = Result<T, Problem>;

/// Checks a file whose text and folder are known.
pub(super) struct Check<'a> {
    pub(super) folder: &'a Path,
    pub(super) text: &'a str,
}

impl Check<'_> {
    pub(super) fn config(&self, file: File, path: &Path) -> Checked<Config> {
        let library = self.path(file.library.get_ref());
        if !library.is_dir() {
            let message = format!("the tape library {} is not a folder; make it first", library.display());
            return Err(Problem::at(file.library.span(), message));
        }
        let state = self.path(file.state.get_ref());
        if state.exists() && !state.is_dir() {
            return Err(Problem::at(file.state.span(), format!("{} is there, and is not a folder", state.display())));
        }
        let mut seen = Seen::new(self.text);
        let caches = file.caches.into_iter().map(|cache| self.cache(cache, &mut seen)).collect::<Checked<Vec<_>>>()?;
        let volumes = file.volumes.into_iter().map(|volume| self.volume(volume, &mut seen)).collect::<Checked<Vec<_>>>()?;
        let known = |name: &str| volumes.iter().any(|volume| volume.name == name);
        let pool = |name: Option<Spanned<String>>| named_pool(&caches, name);
        let views = file
            .views
            .into_iter()
            .map(|view| {
                seen.name(&view.name, "volume or view")?;
                if !known(view.of.get_ref()) {
                    return Err(unknown_volume(&view.of));
                }
                Ok(ViewConfig {
                    name: view.name.into_inner(),
                    of: view.of.into_inner(),
                    device: seen.device(view.device)?,
                    writable: view.writable,
                    volser: view.volser.map(|volser| volser.0),
                    cache: pool(view.cache)?,
                    rights: view.rights,
                })
            })
            .collect::<Checked<Vec<_>>>()?;
        let policies = file
            .policies
            .into_iter()
            .map(|mut policy| {
                seen.unique("policy", policy.name.get_ref().clone(), policy.name.span())?;
                check_name(&policy.name)?;
                if let Some(unknown) = policy.volumes.get_ref().iter().find(|name| !known(name.get_ref())) {
                    return Err(unknown_volume(unknown));
                }
                let cache = pool(policy.cache.take())?;
                checked_policy(policy, cache)
            })
            .collect::<Checked<Vec<_>>>()?;
        Ok(Config {
            path: path.to_owned(),
            library,
            state,
            control: self.control(file.control)?,
            shared_device: file.shared_device.map(|server| self.shared_device(server)).transpose()?,
            files: file.files.map(|files| self.files(files)).transpose()?,
            caches,
            volumes,
            views,
            policies,
        })
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    fn control(&self, control: file::Control) -> Checked<ControlConfig> {
        let tcp = match (control.tcp, control.token_file) {
            (None, None) => None,
            (Some(listen), Some(token_file)) => Some(TcpControl {
                listen: listen.into_inner(),
                token_file: self.path(token_file.get_ref()),
                allow: control.allow.unwrap_or_else(Network::loopback),
            }),
            (Some(listen), None) => {
                return Err(Problem::at(
                    listen.span(),
                    "tcp needs a token_file, or anyone on the network could stop the service",
                ));
            }
            (None, Some(token_file)) => {
                return Err(Problem::at(token_file.span(), "token_file is for tcp, which is not set; set it or leave both out"));
            }
        };
        let socket = control.socket.map_or_else(|| PathBuf::from(DEFAULT_SOCKET), |socket| self.path(&socket));
        Ok(ControlConfig { socket, tcp, connections: connections(control.connections, 64)? })
    }

    fn cache(&self, cache: file::Cache, seen: &mut Seen<'_>) -> Checked<CacheConfig> {
        check_name(&cache.name)?;
        seen.unique("cache", cache.name.get_ref().clone(), cache.name.span())?;
        let spill = match (cache.spill, cache.spill_limit) {
            (Some(path), limit) => {
                let limit_bytes = limit.map_or(DEFAULT_SPILL, |limit| limit.into_inner().0);
                Some(SpillConfig { path: self.path(&path), limit_bytes })
            }
            (None, Some(limit)) => {
                return Err(Problem::at(limit.span(), "spill_limit is for spill, which is not set; set it or leave both out"));
            }
            (None, None) => None,
        };
        let memory_bytes = cache.memory.map_or(DEFAULT_MEMORY_BYTES, |memory| memory.0);
        Ok(CacheConfig { name: cache.name.into_inner(), memory_bytes, spill })
    }

    fn shared_device(&self, server: file::SharedDevice) -> Checked<SharedDeviceConfig> {
        let default = shared_device::SharedDeviceConfig::default();
        let sync = match (server.sync, server.sync_interval) {
            (None | Some(file::Sync::Interval), interval) => {
                let interval = interval.map(|interval| at_least(interval, Duration::from_millis(10))).transpose()?;
                SyncRule::Interval(interval.unwrap_or(Duration::from_secs(5)))
            }
            (Some(_), Some(interval)) => return Err(Problem::at(interval.span(), "sync_interval is for sync = \"interval\"")),
            (Some(file::Sync::Bracket), None) => SyncRule::Bracket,
            (Some(file::Sync::Never), None) => SyncRule::Never,
        };
        let listen = server.listen.map(|listen| listen.iter().map(|listener| self.listener(listener)).collect());
        let hold_limit = server.hold_limit.map(|limit| at_least(limit, Duration::from_secs(1))).transpose()?;
        Ok(SharedDeviceConfig {
            listen: listen.transpose()?.unwrap_or(default.listeners),
            allow: server.allow.unwrap_or_else(Network::loopback),
            connections: connections(server.connections, default.most_connections)?,
            sync,
            hold_limit: hold_limit.unwrap_or(default.limits.hold),
        })
    }

    /// A word with a slash is a socket in the file system.
    fn listener(&self, text: &Spanned<String>) -> Checked<Listener> {
        if text.get_ref().contains('/') {
            return Ok(Listener::Unix(self.path(Path::new(text.get_ref()))));
        }
        let wrong = "this is no place to listen; write \"127.0.0.1:3990\", \"[::1]:3990\" or the path of a socket with a slash";
        text.get_ref().parse().map(Listener::Tcp).map_err(|_| Problem::at(text.span(), wrong))
    }

    fn files(&self, files: file::Files) -> Checked<FilesConfig> {
        let wrong = "mode is up to three octal digits, such as \"660\"";
        let mode = files.mode.map(|mode| {
            let bits =
                u16::from_str_radix(mode.get_ref(), 8).ok().filter(|bits| *bits <= 0o777 && !mode.get_ref().starts_with('+'));
            bits.ok_or_else(|| Problem::at(mode.span(), wrong))
        });
        Ok(FilesConfig {
            mount: self.path(&files.mount),
            allow_other: files.allow_other,
            mode: mode.transpose()?.unwrap_or(0o600),
        })
    }

    fn volume(&self, volume: file::Volume, seen: &mut Seen<'_>) -> Checked<VolumeConfig> {
        seen.name(&volume.name, "volume or view")?;
        let image = self.path(volume.image.get_ref());
        let top = volume.shadows.last().map_or_else(|| image.clone(), |shadow| self.path(shadow));
        // One image by two names would be two volumes that know nothing of each other's writes.
        let key = fs::metadata(&top).map_or_else(|_| top.display().to_string(), |file| format!("{} {}", file.dev(), file.ino()));
        seen.unique_as("image", key, volume.image.span(), &top.display().to_string())?;
        if let (Some(pattern), false) = (&volume.shadow_pattern, volume.shadows.is_empty()) {
            return Err(Problem::at(pattern.span(), "give either shadows or shadow_pattern"));
        }
        let open = OpenOptions {
            kind: volume.kind,
            shadows: volume.shadows.iter().map(|shadow| self.path(shadow)).collect(),
            shadow_pattern: volume.shadow_pattern.map(|pattern| self.path(pattern.get_ref())),
        };
        Ok(VolumeConfig {
            name: volume.name.into_inner(),
            image,
            open,
            device: seen.device(volume.device)?,
            read_only: volume.read_only,
            rights: volume.rights,
        })
    }
}

/// What takes a policy's volumes as known.
fn checked_policy(policy: file::Policy, cache: Option<String>) -> Checked<PolicyConfig> {
    let consistency = consistency(&policy)?;
    let volumes: Vec<String> = policy.volumes.get_ref().iter().map(|name| name.get_ref().clone()).collect();
    if volumes.is_empty() {
        return Err(Problem::at(policy.volumes.span(), "a policy needs at least one volume"));
    }
    if let Some(twice) = (1..volumes.len()).find(|&place| volumes[..place].contains(&volumes[place])) {
        return Err(Problem::at(policy.volumes.get_ref()[twice].span(), format!("the volume {} is named twice", volumes[twice])));
    }
    if let (Consistency::Host, None) = (consistency, &policy.before) {
        let message = "consistency = \"host\" needs a before command that makes the host write what it holds back";
        return Err(Problem::at(policy.name.span(), message));
    }
    let on_error = match (policy.on_error, policy.hold_limit) {
        (file::OnError::Drop, None) => OnError::Drop,
        (file::OnError::Drop, Some(limit)) => return Err(Problem::at(limit.span(), "hold_limit is for on_error = \"hold\"")),
        (file::OnError::Hold, limit) => OnError::Hold { limit_ms: Time(hold_limit(limit)?).as_millis() },
    };
    let pace = Pace {
        stages_in_a_row: policy.stages_in_a_row.map(|stages| not_zero(stages, "stages_in_a_row")).transpose()?,
        bytes_per_second: policy.rate_limit.map(rate).transpose()?,
    };
    Ok(PolicyConfig {
        tape: tape_template(policy.tape, volumes.len() > 1)?,
        name: policy.name.into_inner(),
        volumes,
        files: policy.files.iter().map(|pattern| pattern.0.to_string()).collect(),
        exclude: policy.exclude.iter().map(|pattern| pattern.0.to_string()).collect(),
        consistency,
        t0_wait: policy.t0_wait.map_or(Duration::from_secs(30), |wait| wait.0),
        volsers: policy.volsers.map(|range| parsed(&range)).transpose()?,
        retention: Retention {
            turns: policy.keep.map(|turns| not_zero(turns, "keep")).transpose()?,
            days: policy.keep_days.map(|days| not_zero(days, "keep_days")).transpose()?,
        },
        calendar: policy.calendar,
        before: policy.before.map(command).transpose()?,
        after: policy.after.map(command).transpose()?,
        on_error,
        pace,
        cache,
        used: policy.used,
        no_free: policy.no_free,
    })
}

fn consistency(policy: &file::Policy) -> Checked<Consistency> {
    let quiet_only = policy.quiet.as_ref().or(policy.quiet_limit.as_ref());
    match (policy.consistency, quiet_only) {
        (file::Consistency::Quiet, _) => Ok(Consistency::Quiet {
            quiet_ms: policy.quiet.as_ref().map_or(500, |quiet| quiet.get_ref().as_millis()),
            limit_ms: policy.quiet_limit.as_ref().map_or(60_000, |limit| limit.get_ref().as_millis()),
            else_now: policy.else_now,
        }),
        (_, Some(quiet)) => Err(Problem::at(quiet.span(), "quiet and quiet_limit are for consistency = \"quiet\"")),
        _ if policy.else_now => Err(Problem::at(policy.name.span(), "else_now is for consistency = \"quiet\"")),
        (file::Consistency::Now, None) => Ok(Consistency::Now),
        (file::Consistency::Host, None) => Ok(Consistency::Host),
    }
}

/// A path in the library, so that retention never deletes anything outside of it.
fn tape_template(tape: Option<Spanned<String>>, several: bool) -> Checked<String> {
    let Some(tape) = tape else { return Ok(DEFAULT_TAPE.to_owned()) };
    let wrong = |message: String| Err(Problem::at(tape.span(), message));
    let mut plain = tape.get_ref().clone();
    for known in crate::service::policy::PLACEHOLDERS {
        plain = plain.replace(known, "x");
    }
    if plain.contains(['{', '}']) {
        return wrong(format!("a tape's name knows only {}", crate::service::policy::PLACEHOLDERS.join(", ")));
    }
    let inside = Path::new(&plain).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if !inside || plain.is_empty() || plain.ends_with('/') {
        return wrong("a policy's tape is a path inside the library, without '..' and not from '/' on".to_owned());
    }
    if several && !tape.get_ref().contains("{volume}") {
        return wrong("a policy of several volumes makes several tapes, so their name needs {volume}".to_owned());
    }
    Ok(tape.into_inner())
}

fn command(command: file::Command) -> Checked<PolicyCommand> {
    if command.command.get_ref().first().is_none_or(String::is_empty) {
        return Err(Problem::at(command.command.span(), "a command needs a program: [\"/path/of/program\", \"argument\"]"));
    }
    let limit = command.limit.map(|limit| at_least(limit, Duration::from_millis(1))).transpose()?;
    Ok(PolicyCommand { command: command.command.into_inner(), limit: limit.unwrap_or(Duration::from_secs(30)) })
}

fn rate(limit: Spanned<ByteSize>) -> Checked<u64> {
    if limit.get_ref().0 == 0 {
        return Err(Problem::at(limit.span(), "a rate_limit of 0 would never end; leave it out for none"));
    }
    Ok(limit.into_inner().0)
}

fn hold_limit(limit: Option<Spanned<Time>>) -> Checked<Duration> {
    let Some(limit) = limit else { return Ok(DEFAULT_HOLD) };
    if limit.get_ref().0 > Duration::from_secs(300) {
        return Err(Problem::at(limit.span(), "a hold_limit is at most 5 minutes: hosts give up a device long before"));
    }
    Ok(limit.into_inner().0)
}

fn at_least(time: Spanned<Time>, least: Duration) -> Checked<Duration> {
    if time.get_ref().0 < least {
        return Err(Problem::at(time.span(), format!("this time is at least {}", Time(least))));
    }
    Ok(time.into_inner().0)
}

fn not_zero(number: Spanned<u32>, key: &str) -> Checked<u32> {
    if *number.get_ref() == 0 {
        return Err(Problem::at(number.span(), format!("{key} is at least 1")));
    }
    Ok(number.into_inner())
}

fn connections(number: Option<Spanned<u32>>, default: usize) -> Checked<usize> {
    let Some(number) = number else { return Ok(default) };
    not_zero(number, "connections").map(|number| number as usize)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &Spanned<String>) -> Checked<T> {
    text.get_ref().parse().map_err(|error: T::Err| Problem::at(text.span(), error.to_string()))
}

fn named_pool(caches: &[CacheConfig], name: Option<Spanned<String>>) -> Checked<Option<String>> {
    let Some(name) = name else { return Ok(None) };
    if caches.iter().any(|cache| cache.name == *name.get_ref()) {
        return Ok(Some(name.into_inner()));
    }
    Err(Problem::at(name.span(), format!("there is no [[cache]] of the name {}", name.get_ref())))
}

fn unknown_volume(name: &Spanned<String>) -> Problem {
    Problem::at(name.span(), format!("there is no [[volume]] of the name {}", name.get_ref()))
}

/// Names are parts of file names and words of commands.
fn check_name(name: &Spanned<String>) -> Checked<()> {
    let text = name.get_ref();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-@#$".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with(['.', '-']) {
        return Ok(());
    }
    Err(Problem::at(
        name.span(),
        format!("'{text}' is no name: up to 64 letters, digits and _.-@#$, with neither . nor - in front"),
    ))
}

/// What must be there only once, with the place where it was seen.
struct Seen<'a> {
    text: &'a str,
    places: HashMap<(&'static str, String), Range<usize>>,
}

impl<'a> Seen<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, places: HashMap::new() }
    }

    fn unique(&mut self, what: &'static str, key: String, span: Range<usize>) -> Checked<()> {
        let told = key.clone();
        self.unique_as(what, key, span, &told)
    }

    /// As [`unique`](Self::unique), with other words for the key.
    fn unique_as(&mut self, what: &'static str, key: String, span: Range<usize>, told: &str) -> Checked<()> {
        match self.places.insert((what, key), span.clone()) {
            None => Ok(()),
            Some(first) => {
                let (line, _) = place(self.text, first.start);
                Err(Problem::at(span, format!("the {what} {told} is already that of line {line}")))
            }
        }
    }

    fn name(&mut self, name: &Spanned<String>, what: &'static str) -> Checked<()> {
        check_name(name)?;
        self.unique(what, name.get_ref().clone(), name.span())
    }

    fn device(&mut self, device: Option<Spanned<DeviceNumber>>) -> Checked<Option<DeviceNumber>> {
        let Some(device) = device else { return Ok(None) };
        self.unique("device number", device.get_ref().to_string(), device.span())?;
        Ok(Some(device.into_inner()))
    }
}
