//! A host that writes 4 KiB into tracks chosen at random, and measures what each write takes.
//!
//! It reaches its volume as hosts do, by the shared device protocol or as a file, and depends on none of tapegate's
//! crates. Phases come from standard input: every line names what is going on from now on, and the end of the input ends
//! the work. So one host under way sees all phases, and a pause between two of them is in the gaps of one of them.
//!
//! Each phase becomes a line of JSON; times are microseconds.
//!
//! | field | what |
//! | --- | --- |
//! | `write_*` | from the first byte of a write to its answer: START, WRITE and END together, or one pwrite |
//! | `due_*` | the same from when the write was due, so that writes which queue behind a slow one count too |
//! | `worst_gap` | longest time from the end of one write to the end of the next |
//! | `kept_percent` | writes that were made, of those that were due |

mod file_host;
mod measures;
mod phases;
mod shared_device_host;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};

use crate::file_host::FileHost;
use crate::measures::Measures;
use crate::phases::Phases;
use crate::shared_device_host::SharedDeviceHost;

/// Bytes of a write.
const WRITE_BYTES: usize = 4096;
/// Where writes begin in a track at least: behind home address, R0 and the count field of R1.
const FIRST_BYTE: u64 = 5 + 16 + 8;
/// Bytes of R1 that are written to: data, whatever the block size from 8 KiB on.
const DATA_BYTES: u64 = 8192;

/// Writes 4 KiB into tracks of a 3390 chosen at random until standard input ends, and prints what that took as JSON
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    way: Way,
}

/// How the host reaches its volume.
#[derive(Debug, Subcommand)]
enum Way {
    /// By the Hercules shared device protocol
    SharedDevice {
        /// Where it is served
        address: SocketAddr,
        /// Device number, in hexadecimal
        #[arg(long, default_value = "0150", value_parser = device_number)]
        device: u16,
        #[command(flatten)]
        load: Load,
    },
    /// As a CKD_P370 image file
    File {
        /// The file
        path: PathBuf,
        #[command(flatten)]
        load: Load,
    },
}

/// How much it writes, and where.
#[derive(Debug, Clone, Copy, Args)]
struct Load {
    /// Writes a second; 0 for as many as there can be
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// First track that is written to
    #[arg(long, default_value_t = 30)]
    first_track: u32,
    /// Tracks behind the last one
    #[arg(long)]
    end_track: u32,
    /// Seed of the choice of tracks
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn device_number(text: &str) -> Result<u16, std::num::ParseIntError> {
    u16::from_str_radix(text, 16)
}

/// A host's way to its volume.
trait Host {
    /// Writes bytes of a track, as one channel program.
    fn write(&mut self, track: u32, offset: u16, bytes: &[u8]) -> Result<()>;
}

fn main() -> Result<()> {
    match Options::parse().way {
        Way::SharedDevice { address, device, load } => drive(&mut SharedDeviceHost::attach(address, device)?, load),
        Way::File { path, load } => drive(&mut FileHost::open(&path)?, load),
    }
}

/// Writes until the phases end, and prints each.
fn drive(host: &mut dyn Host, load: Load) -> Result<()> {
    ensure!(load.first_track < load.end_track, "no track from {} to {}", load.first_track, load.end_track);
    let phases = Phases::listen();
    let mut random = Random(load.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bytes = vec![0xa5; WRITE_BYTES];
    let period = (load.rate != 0).then(|| Duration::from_secs(1) / load.rate);
    let mut now = Instant::now();
    let (mut due, mut before) = (now, now);
    let mut phase = phases.wait_for_next(0);
    while let Some(name) = phase.name() {
        now = Instant::now();
        if phase.is_first() {
            (due, before) = (now, now);
        }
        let mut measures = Measures::begin(now);
        while phases.current() == phase.number() {
            match period {
                Some(period) => {
                    due += period;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                None => due = now,
            }
            let number = random.next();
            let track = load.first_track + u32::try_from(number % u64::from(load.end_track - load.first_track))?;
            let offset = u16::try_from(FIRST_BYTE + (number >> 32) % (DATA_BYTES - WRITE_BYTES as u64 + 1))?;
            // No two writes are alike, so none could be left out.
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            let began = Instant::now();
            host.write(track, offset, &bytes).with_context(|| format!("writing to track {track}"))?;
            now = Instant::now();
            measures.add(now - began, now.saturating_duration_since(due), now - before);
            before = now;
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", measures.to_json(name, now, period))?;
        out.flush()?;
        phase = phases.wait_for_next(phase.number());
    }
    Ok(())
}

/// Xorshift: which tracks are written to.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }
}
