//! Level 10: everything at random, for as long as asked.

use super::{Run, each_plugin, instance};
use crate::abi::*;
use crate::effect::View;
use crate::log;
use crate::picture::{Components, Layout};
use crate::random::Random;
use crate::session::{Ask, Instance, Loaded, safety};
use crate::watch::process;
use std::time::{Duration, Instant};

/// Instances that live at once.
const LIVING: usize = 6;
/// What may stay over a soak, whose allocations differ from minute to minute.
const LEAK: u64 = 8 << 20;

pub fn run(run: &Run) {
    process::plain_allocator();
    each_plugin(run, |loaded| log::check(format!("a soak of {:?}", run.soak), || soak(run, loaded)));
}

fn soak(run: &Run, loaded: &Loaded) {
    let mut random = run.settings.random("soak");
    let begin = Instant::now();
    let mut living: Vec<Instance> = Vec::new();
    let (mut steps, mut warm) = (0_u64, None);
    while begin.elapsed() < run.soak {
        steps += 1;
        if warm.is_none() && begin.elapsed() > run.soak / 3 {
            warm = Some(at_rest(&mut living));
        }
        if living.len() < LIVING && random.one_in(4) || living.is_empty() {
            log::step(format!("soak step {steps}: a new instance"));
            match instance(loaded) {
                Some(new) => living.push(new),
                None => return,
            }
        }
        let at = random.below(living.len());
        let depths = loaded.depths();
        match random.below(8) {
            0 => {
                log::step(format!("soak step {steps}: destroy"));
                living.swap_remove(at).destroy();
            }
            1 => {
                let view = View {
                    depth: depths[random.below(depths.len())],
                    components: Components::ALL[random.below(3)],
                    layout: Layout::ALL[random.below(3)],
                    scale: [1.0, 0.5, 0.25, 0.37][random.below(4)],
                    origin: [(0.0, 0.0), (-13.0, -7.0), (5.0, 3.0)][random.below(3)],
                    wired: true,
                };
                log::step(format!("soak step {steps}: {view:?}"));
                living[at].change_view(view);
            }
            2 => {
                log::step(format!("soak step {steps}: random values"));
                living[at].set_at_random(&mut random);
            }
            3 => {
                log::step(format!("soak step {steps}: purge"));
                living[at].simple(kOfxActionPurgeCaches);
            }
            4 if safety(&loaded.thread_safety()) > 0 => {
                log::step(format!("soak step {steps}: all instances at once"));
                std::thread::scope(|s| {
                    for instance in &living {
                        let time = random.below(instance.effect.project.frames) as f64;
                        s.spawn(move || instance.render(Ask::at(time)));
                    }
                });
            }
            n => one(&living[at], n == 5, steps, &mut random),
        }
    }
    let grown = at_rest(&mut living).saturating_sub(warm.unwrap_or(u64::MAX));
    log::note(format!("{steps} steps; memory grew by {} KiB over the last two thirds", grown >> 10));
    if grown > LEAK {
        log::fail(format!("a leak of {} KiB", grown >> 10));
    }
}

/// Memory once all instances are gone and the plugin was told to purge its caches: what they hold depends on chance.
fn at_rest(living: &mut Vec<Instance>) -> u64 {
    if let Some(last) = living.last() {
        last.simple(kOfxActionPurgeCaches);
    }
    living.drain(..).for_each(Instance::destroy);
    process::resident()
}

fn one(instance: &Instance, abort: bool, step: u64, random: &mut Random) {
    let time = random.below(instance.effect.project.frames) as f64;
    log::step(format!("soak step {step}: frame {time}, abort {abort}"));
    if abort {
        instance.effect.abort_at(Some(Instant::now() + Duration::from_secs_f64(random.within(0.0, 0.05))));
    }
    instance.render(Ask { interactive: random.one_in(2), ..Ask::at(time) });
    instance.effect.abort_at(None);
}
