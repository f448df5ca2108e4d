//! `tapegate cache`: the pools of the original-data cache.

use std::io::Write;

use clap::Args;

use super::control_args::{ControlArgs, print_json, unexpected};
use super::exit::Exit;
use super::table::{self, Column};
use crate::service::protocol::{PoolStatus, Reply, Request};
use crate::service::quantity::ByteSize;

/// Shows the original-data cache of a running service by pool and session, or changes the limits of a pool.
///
/// A limit can be raised while sessions run. One that is lowered below what is used takes nothing away; nothing more is
/// put in.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  tapegate cache --json\n  tapegate cache default --spill 16GiB")]
pub struct CacheArgs {
    /// Pool to show or change.
    #[arg(value_name = "POOL")]
    pub pool: Option<String>,

    /// New limit in memory.
    #[arg(long, value_name = "SIZE", requires = "pool")]
    pub memory: Option<ByteSize>,

    /// New limit in the spill.
    #[arg(long, value_name = "SIZE", requires = "pool")]
    pub spill: Option<ByteSize>,

    #[command(flatten)]
    pub control: ControlArgs,
}

const POOLS: [Column<PoolStatus>; 6] = [
    ("POOL", false, |pool| pool.name.clone()),
    ("MEMORY", true, |pool| ByteSize(pool.memory_bytes).to_string()),
    ("LIMIT", true, |pool| ByteSize(pool.memory_limit_bytes).to_string()),
    ("SPILL", true, |pool| ByteSize(pool.spill_bytes).to_string()),
    ("LIMIT", true, |pool| ByteSize(pool.spill_limit_bytes).to_string()),
    ("USED BY", false, |pool| {
        let owner = |owner: &crate::service::protocol::OwnerStatus| {
            format!("{} ({} units, {})", owner.owner, owner.units, ByteSize(owner.bytes))
        };
        pool.owners.iter().map(owner).collect::<Vec<_>>().join(", ")
    }),
];

/// Runs the command.
///
/// # Errors
/// When no service answers, or there is no such pool.
pub fn run(args: &CacheArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let request = match &args.pool {
        Some(pool) if args.memory.is_some() || args.spill.is_some() => Request::CacheLimits {
            pool: pool.clone(),
            memory_bytes: args.memory.map(|size| size.0),
            spill_bytes: args.spill.map(|size| size.0),
        },
        _ => Request::Cache,
    };
    let Reply::Cache { mut pools } = args.control.ask(&request)? else {
        return Err(unexpected(&Reply::Done));
    };
    if let Some(wanted) = &args.pool {
        pools.retain(|pool| pool.name == *wanted);
        if pools.is_empty() {
            anyhow::bail!("no cache is called {wanted}; see `tapegate cache`");
        }
    }
    if args.control.json {
        print_json(&pools, out)?;
    } else {
        table::print(&pools, &POOLS, "No cache", out)?;
        for pool in pools.iter().filter(|pool| pool.nearly_full) {
            eprintln!(
                "warning: {}: the cache is nearly full; raise a limit with `tapegate cache {} --spill SIZE`",
                pool.name, pool.name
            );
        }
    }
    Ok(Exit::Done)
}
