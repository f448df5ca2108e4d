//! What may be written in `gateway.toml`: its tables and keys, with their defaults.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use tapegate_formats::volume::name::Volser;
use toml::Spanned;

use super::volume::{DeviceNumber, Right};
use crate::plan::pattern::Pattern;
use crate::service::calendar::Calendar;
use crate::service::network::Network;
use crate::service::quantity::{ByteSize, Time};
use crate::volume::ImageFormat;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) library: Spanned<PathBuf>,
    pub(super) state: Spanned<PathBuf>,
    #[serde(default)]
    pub(super) control: Control,
    pub(super) shared_device: Option<SharedDevice>,
    pub(super) files: Option<Files>,
    #[serde(default, rename = "cache")]
    pub(super) caches: Vec<Cache>,
    #[serde(default, rename = "volume")]
    pub(super) volumes: Vec<Volume>,
    #[serde(default, rename = "view")]
    pub(super) views: Vec<View>,
    #[serde(default, rename = "policy")]
    pub(super) policies: Vec<Policy>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    pub(super) socket: Option<PathBuf>,
    pub(super) tcp: Option<Spanned<SocketAddr>>,
    pub(super) token_file: Option<Spanned<PathBuf>>,
    pub(super) allow: Option<Vec<Network>>,
    pub(super) connections: Option<Spanned<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SharedDevice {
    pub(super) listen: Option<Vec<Spanned<String>>>,
    pub(super) allow: Option<Vec<Network>>,
    pub(super) connections: Option<Spanned<u32>>,
    pub(super) sync: Option<Sync>,
    pub(super) sync_interval: Option<Spanned<Time>>,
    pub(super) hold_limit: Option<Spanned<Time>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sync {
    Bracket,
    Interval,
    Never,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Files {
    pub(super) mount: PathBuf,
    #[serde(default)]
    pub(super) allow_other: bool,
    pub(super) mode: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cache {
    pub(super) name: Spanned<String>,
    pub(super) memory: Option<ByteSize>,
    pub(super) spill: Option<PathBuf>,
    pub(super) spill_limit: Option<Spanned<ByteSize>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Volume {
    pub(super) name: Spanned<String>,
    pub(super) image: Spanned<PathBuf>,
    #[serde(rename = "type")]
    pub(super) kind: Option<ImageFormat>,
    #[serde(default)]
    pub(super) shadows: Vec<PathBuf>,
    pub(super) shadow_pattern: Option<Spanned<PathBuf>>,
    pub(super) device: Option<Spanned<DeviceNumber>>,
    #[serde(default)]
    pub(super) read_only: bool,
    #[serde(default)]
    pub(super) rights: Vec<Right>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct View {
    pub(super) name: Spanned<String>,
    pub(super) of: Spanned<String>,
    pub(super) device: Option<Spanned<DeviceNumber>>,
    #[serde(default)]
    pub(super) writable: bool,
    pub(super) volser: Option<Text<Volser>>,
    pub(super) cache: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) rights: Vec<Right>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) name: Spanned<String>,
    pub(super) volumes: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) files: Vec<Text<Pattern>>,
    #[serde(default)]
    pub(super) exclude: Vec<Text<Pattern>>,
    #[serde(default)]
    pub(super) consistency: Consistency,
    pub(super) quiet: Option<Spanned<Time>>,
    pub(super) quiet_limit: Option<Spanned<Time>>,
    #[serde(default)]
    pub(super) else_now: bool,
    pub(super) t0_wait: Option<Time>,
    pub(super) tape: Option<Spanned<String>>,
    pub(super) volsers: Option<Spanned<String>>,
    pub(super) keep: Option<Spanned<u32>>,
    pub(super) keep_days: Option<Spanned<u32>>,
    pub(super) calendar: Option<Calendar>,
    pub(super) before: Option<Command>,
    pub(super) after: Option<Command>,
    #[serde(default)]
    pub(super) on_error: OnError,
    pub(super) hold_limit: Option<Spanned<Time>>,
    pub(super) rate_limit: Option<Spanned<ByteSize>>,
    pub(super) stages_in_a_row: Option<Spanned<u32>>,
    pub(super) cache: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) used: bool,
    #[serde(default)]
    pub(super) no_free: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Consistency {
    #[default]
    Now,
    Quiet,
    Host,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OnError {
    #[default]
    Drop,
    Hold,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    pub(super) command: Spanned<Vec<String>>,
    pub(super) limit: Option<Spanned<Time>>,
}

/// A value that is written as text.
#[derive(Debug, Clone)]
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: std::str::FromStr<Err: std::fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}
