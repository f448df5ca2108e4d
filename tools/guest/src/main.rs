//! Writes the guest as a file for Hercules' `loadcore`, and its listing.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use guest::{CoreImage, Disk, Kind, Parameters};

/// Writes a bare-metal guest that exercises disks, for `loadcore` and `restart` of Hercules in S/370 mode.
#[derive(Debug, Parser)]
struct Options {
    /// The core image to write; without it the listing is printed
    output: Option<PathBuf>,
    /// A count-key-data disk: device number, first track and number of tracks, as 150:15:435
    #[arg(long, value_parser = range)]
    ckd: Vec<(u16, u32, u32)>,
    /// A fixed-block disk: device number, first block and number of blocks, as 160:0:8000
    #[arg(long, value_parser = range)]
    fba: Vec<(u16, u32, u32)>,
    /// Only updates of records, once a track is formatted
    #[arg(long)]
    updates: bool,
    /// Goes into contents and order
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Operations after which the guest stops
    #[arg(long, default_value_t = u32::MAX)]
    limit: u32,
    /// Microseconds before each operation
    #[arg(long, default_value_t = 0)]
    delay: u32,
}

fn range(text: &str) -> Result<(u16, u32, u32), String> {
    let parts: Vec<_> = text.split(':').collect();
    let [device, first, count] = parts[..] else { return Err("not DEVICE:FIRST:COUNT".to_owned()) };
    let device = u16::from_str_radix(device, 16).map_err(|error| format!("{device}: {error}"))?;
    let number = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
    Ok((device, number(first)?, number(count)?))
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mix = if options.updates { [Kind::Update; 16] } else { Disk::MIXED };
    let ckd = options.ckd.iter().map(|&(device, first, count)| Disk::ckd(device, first, count).with_mix(mix));
    let fba = options.fba.iter().map(|&(device, first, count)| Disk::fixed_block(device, first, count));
    let disks = ckd.chain(fba).collect();
    let image =
        CoreImage::new(&Parameters { limit: options.limit, delay_us: options.delay, ..Parameters::new(options.seed, disks) })?;
    let Some(output) = &options.output else {
        print!("{}", image.listing());
        return Ok(());
    };
    fs::write(output, image.bytes()).with_context(|| format!("writing {}", output.display()))?;
    println!("MAINSIZE at least {}; loadcore {}, then restart", image.storage_mib(), output.display());
    Ok(())
}
