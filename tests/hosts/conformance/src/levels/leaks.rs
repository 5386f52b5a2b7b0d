//! Level 9: memory over a thousand frames, ten thousand instances and five hundred aborts; files and environment while
//! rendering.

use super::{Run, each_plugin, instance};
use crate::log;
use crate::session::{Ask, Instance, Loaded};
use crate::watch::{self, process};
use std::time::{Duration, Instant};

const FRAMES: usize = 1000;
const INSTANCES: usize = 10_000;
const ABORTS: usize = 500;
/// What may stay over a part: hosts run for days.
const LEAK: u64 = 1 << 20;
/// Each part's share of the level's time.
const SHARE: Duration = Duration::from_secs(80);

pub fn run(run: &Run) {
    let files = watch::start();
    if let Err(why) = &files {
        log::note(format!("files opened while rendering are not watched: {why}"));
    }
    each_plugin(run, |loaded| {
        let Some(one) = instance(loaded) else { return };
        log::check(format!("memory over {FRAMES} frames"), || frames(&one, FRAMES));
        log::check("no file opened and no variable read within render", || reads(&one, files.is_ok()));
        log::check(format!("memory over {ABORTS} renders with random aborts"), || aborts(&one, run));
        one.destroy();
        log::check(format!("memory over {INSTANCES} instances"), || instances(loaded));
    });
}

/// Repeats `body` after a fifth as warm-up, and compares memory, open files and threads. Stops early if time is up, and
/// says how far it came.
fn steady(what: &str, rounds: usize, mut body: impl FnMut(usize)) {
    let begin = Instant::now();
    let warm = rounds / 5;
    let figures = || (process::resident(), process::descriptors(), process::threads());
    let mut before = figures();
    let mut came = 0;
    let mut since = 0;
    for round in 0..rounds {
        if round == warm || (since == 0 && begin.elapsed() > SHARE / 3) {
            before = figures();
            since = round;
        }
        if begin.elapsed() > SHARE {
            break;
        }
        body(round);
        came = round + 1;
    }
    let after = figures();
    let grown = after.0.saturating_sub(before.0);
    let rest = came - since;
    log::note(format!(
        "{what}: memory grew by {} KiB over the last {rest} of {came}, {:.1?}",
        grown >> 10,
        begin.elapsed()
    ));
    if came < rounds {
        log::warn(format!("{what}: {came} of {rounds} in the time there was"));
    }
    if grown > LEAK {
        log::fail(format!("{what}: a leak of {} KiB, {} bytes each", grown >> 10, grown / rest.max(1) as u64));
    }
    if after.1 > before.1 {
        log::fail(format!("{what}: {} files stay open", after.1 - before.1));
    }
    if after.2 > before.2 + 1 {
        log::fail(format!("{what}: {} threads stay", after.2 - before.2));
    }
}

fn frames(instance: &Instance, count: usize) {
    let length = instance.effect.project.frames;
    steady("frames", count, |round| {
        instance.render(Ask::at((round % length) as f64));
    });
}

fn reads(instance: &Instance, files: bool) {
    // `frames` has rendered each of these before.
    for t in 0..instance.effect.project.frames {
        watch::watch();
        instance.render(Ask::at(t as f64));
        let seen = watch::stop();
        if files && seen.opened > 0 {
            log::fail(format!("render of a frame rendered before opens {}", seen.paths.join(", ")));
        }
        if !seen.variables.is_empty() {
            log::fail(format!(
                "render of a frame rendered before reads {} from the environment",
                seen.variables.join(", ")
            ));
        }
    }
}

fn aborts(instance: &Instance, run: &Run) {
    let mut random = run.settings.random("leaks");
    let length = instance.effect.project.frames;
    let begin = Instant::now();
    instance.render(Ask::at(0.0));
    let frame = begin.elapsed();
    steady("aborts", ABORTS, |_| {
        let delay = frame.mul_f64(random.within(0.0, 1.2));
        instance.effect.abort_at(Some(Instant::now() + delay));
        instance.render(Ask::at(random.below(length) as f64));
        instance.effect.abort_at(None);
    });
}

fn instances(loaded: &Loaded) {
    steady("instances", INSTANCES, |_| {
        if let Some(instance) = instance(loaded) {
            instance.destroy();
        }
    });
}
