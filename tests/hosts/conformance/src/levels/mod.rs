//! The levels, each the body of a process.

mod abuse;
mod contexts;
mod edits;
mod formats;
mod leaks;
mod load;
mod order;
mod saved;
mod soak;
mod threads;

use crate::abi::*;
use crate::log;
use crate::plugin::{Binary, Bundle};
use crate::session::{Ask, Instance, Loaded, Outcome, Settings};
use std::time::Duration;

/// What a level is given.
#[derive(Clone)]
pub struct Run {
    pub bundle: Bundle,
    pub settings: Settings,
    /// How long level 10 goes on.
    pub soak: Duration,
}

/// A level: number, what it looks at, its body, and how long it may take.
pub struct Level {
    pub number: u32,
    pub about: &'static str,
    pub body: fn(&Run),
    pub seconds: u64,
}

/// All levels, in order.
pub const LEVELS: [Level; 10] = [
    Level { number: 1, about: "symbols; load, describe, unload 100 times", body: load::run, seconds: 120 },
    Level { number: 2, about: "contexts, descriptions, missing suites", body: contexts::run, seconds: 120 },
    Level { number: 3, about: "depths, components, scales, bounds, rows", body: formats::run, seconds: 240 },
    Level { number: 4, about: "frames in any order", body: order::run, seconds: 240 },
    Level { number: 5, about: "parallel instances, abort, edits, keyframes", body: edits::run, seconds: 240 },
    Level { number: 6, about: "random values, saved and loaded", body: saved::run, seconds: 240 },
    Level { number: 7, about: "one instance on four threads", body: threads::run, seconds: 240 },
    Level { number: 8, about: "odd hosts, missing and damaged files", body: abuse::run, seconds: 240 },
    Level { number: 9, about: "leaks, files and environment while rendering", body: leaks::run, seconds: 290 },
    Level { number: 10, about: "a soak of everything", body: soak::run, seconds: 120 },
];

/// Loads the bundle, and runs `body` on each plugin of it, loaded and described.
fn each_plugin(run: &Run, body: impl Fn(&Loaded)) {
    let binary = match Binary::open(&run.bundle) {
        Ok(binary) => binary,
        Err(e) => return log::fail(e),
    };
    for plugin in &binary.plugins {
        match Loaded::load(plugin, &run.settings) {
            Ok(loaded) => {
                body(&loaded);
                loaded.unload();
            }
            Err((action, status)) => log::fail(format!("{action}: {}", status_name(status))),
        }
    }
    if let Err(e) = binary.close() {
        log::fail(format!("unloading the binary: {e}"));
    }
}

/// Runs `body` in a process of its own, so that what it changes (profile, environment, limits) ends with it and a crash
/// is a finding. Call it before a plugin is loaded: a fork takes only its own thread along.
fn apart(what: &str, body: impl FnOnce()) {
    log::step(what);
    // SAFETY: this process has one thread, see above.
    match unsafe { libc::fork() } {
        -1 => log::fail(format!("{what}: no process: {}", std::io::Error::last_os_error())),
        0 => {
            let before = log::failures();
            log::check(what, body);
            // SAFETY: ends the child without running what its parent's exit would run.
            unsafe { libc::_exit((log::failures() - before).min(100) as i32) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child of above.
            unsafe { libc::waitpid(child, &mut status, 0) };
            if libc::WIFSIGNALED(status) {
                log::fail(format!("{what}: the process died of signal {}", signal_name(libc::WTERMSIG(status))));
            } else {
                log::add_failures(libc::WEXITSTATUS(status) as u32);
            }
        }
    }
}

/// A signal's number with its name, for those that crashes raise.
pub fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGBUS => "SIGBUS",
        libc::SIGABRT => "SIGABRT",
        libc::SIGILL => "SIGILL",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        _ => return signal.to_string(),
    };
    format!("{signal} ({name})")
}

/// An instance in the plugin's first context; a failure is a finding.
fn instance(loaded: &Loaded) -> Option<Instance> {
    let Some(context) = loaded.context() else {
        log::fail("the plugin offers neither General nor Filter");
        return None;
    };
    loaded.create(context, loaded.view(), None).map_err(log::fail).ok()
}

/// The hashes of all frames, in order; a refused frame has none. Says once if nothing could be rendered, as the checks
/// of pixels are then empty.
fn hashes(instance: &Instance) -> Vec<Option<u64>> {
    let frames = instance.effect.project.frames;
    let mut refusal = String::new();
    let mut hash = |t: usize| match instance.render(Ask::at(t as f64)) {
        Outcome::Refused(why) => {
            refusal = why;
            None
        }
        picture => picture.hash(),
    };
    let all: Vec<_> = (0..frames).map(&mut hash).collect();
    if all.iter().all(Option::is_none) {
        log::warn(format!("no frame was rendered, so no pixel was checked: {refusal}"));
    }
    all
}
