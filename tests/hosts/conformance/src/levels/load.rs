//! Level 1: the binary's symbols; loading, describing and unloading a hundred times.

use super::Run;
use crate::abi::*;
use crate::log;
use crate::plugin::{Binary, SYMBOLS};
use crate::session::Loaded;
use crate::watch::process;
use std::time::{Duration, Instant};

const ROUNDS: usize = 100;
/// Rounds after which memory must have come to rest.
const WARM: usize = 20;

pub fn run(run: &Run) {
    log::check("the binary exports what a host looks for", || match run.bundle.exports() {
        Ok(names) => {
            for missing in SYMBOLS[..2].iter().filter(|s| !names.iter().any(|n| n == *s)) {
                log::fail(format!("the binary does not export {missing}"));
            }
            let others: Vec<_> = names.iter().filter(|n| !SYMBOLS.contains(&n.as_str())).take(5).cloned().collect();
            if !others.is_empty() {
                let count = names.len() - SYMBOLS.iter().filter(|s| names.iter().any(|n| n == *s)).count();
                log::warn(format!("the binary exports {count} names that are not OpenFX's: {}", others.join(", ")));
            }
        }
        Err(e) => log::fail(e),
    });
    log::check(format!("load, describe, unload {ROUNDS} times"), || {
        let mut times = Vec::new();
        let mut warm = (0, 0);
        for round in 0..ROUNDS {
            log::step(format!("load, describe, unload: round {round}"));
            let begin = Instant::now();
            let binary = match Binary::open(&run.bundle) {
                Ok(binary) => binary,
                Err(e) => return log::fail(e),
            };
            for plugin in &binary.plugins {
                match Loaded::load(plugin, &run.settings) {
                    Ok(loaded) => {
                        times.push(begin.elapsed());
                        loaded.unload();
                    }
                    Err((action, status)) => return log::fail(format!("{action}: {}", status_name(status))),
                }
            }
            if let Err(e) = binary.close() {
                log::fail(format!("unloading the binary: {e}"));
            }
            if round == WARM {
                warm = (process::resident(), process::descriptors());
            }
        }
        let (memory, files) = (process::resident(), process::descriptors());
        times.sort();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        log::note(format!("load and describe: median {median:.1?}, worst {worst:.1?}"));
        if median > Duration::from_millis(50) {
            log::warn(format!("load and describe take {median:.0?}; hosts scan many plugins"));
        }
        let grown = memory.saturating_sub(warm.0);
        log::note(format!("memory grew by {} KiB in {} rounds", grown >> 10, ROUNDS - 1 - WARM));
        if grown > 1 << 20 {
            log::fail(format!("loading and unloading leaks: {} KiB in {} rounds", grown >> 10, ROUNDS - 1 - WARM));
        }
        if files > warm.1 {
            log::fail(format!("loading and unloading leaves {} files open", files - warm.1));
        }
    });
}
