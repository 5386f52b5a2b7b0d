//! `headgan cache`: what the shot cache holds, and clearing it.

use crate::common;
use clap::{Args as ClapArgs, Subcommand};
use headgan::Result;
use headgan::shot::cache::{Cache, parse_size};
use std::path::PathBuf;
use std::process::ExitCode;

/// Look at, clear or check the shot cache.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// Folder of the shot cache; $HEADGAN_CACHE or the user's cache folder unless told.
    #[arg(long, value_name = "DIR", global = true)]
    cache: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Folder, size, limit ($HEADGAN_CACHE_LIMIT, 2GiB unless told).
    Info,
    /// Take away everything, or the least recently used down to a size.
    Clear {
        /// What may stay, for instance 500MB.
        #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
        keep: u64,
    },
    /// Read everything; damaged files are set aside and made anew when they are needed.
    Verify,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let cache = Cache::open(&common::cache_folder(args.cache.as_deref())?, common::cache_limit()?)?;
    match args.action {
        Action::Info => {
            let info = cache.info();
            if args.json {
                common::print_json(&info)?;
            } else {
                say!(
                    "{}: {} values, {} of {}",
                    info.folder.display(),
                    info.entries,
                    size(info.bytes),
                    size(info.limit)
                );
                if info.damaged > 0 {
                    say!("{} damaged files set aside, {}", info.damaged, size(info.damaged_bytes));
                }
            }
        }
        Action::Clear { keep } => {
            let cleared = cache.clear(keep);
            if args.json {
                common::print_json(&cleared)?;
            } else {
                say!("{}: {} files cleared, {}", cache.folder().display(), cleared.files, size(cleared.bytes));
            }
        }
        Action::Verify => {
            let found = cache.verify();
            if args.json {
                common::print_json(&found)?;
            } else {
                say!(
                    "{}: {} good, {} damaged and set aside",
                    cache.folder().display(),
                    found.good,
                    found.damaged.len()
                );
                found.damaged.iter().for_each(|path| say!("  {}", path.display()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}
