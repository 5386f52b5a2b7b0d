//! Level 5: instances side by side, abort in each action, storms of edits, keyframes.

use super::{Run, each_plugin, hashes, instance};
use crate::abi::*;
use crate::params::Holds;
use crate::random::Random;
use crate::session::{Ask, Instance, Loaded, safety};
use crate::{log, values};
use std::ffi::CStr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

const PARALLEL: usize = 4;
const ABORTS: usize = 24;
const EDITS: usize = 200;
/// A user who stopped something waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

pub fn run(run: &Run) {
    each_plugin(run, |loaded| {
        let Some(first) = instance(loaded) else { return };
        let begin = Instant::now();
        let expected = log::check("frames of one instance", || hashes(&first));
        let frame = begin.elapsed() / expected.len().max(1) as u32;
        let mut random = run.settings.random("edits");
        parallel(loaded, &expected);
        log::check(format!("abort at {ABORTS} moments of a render"), || aborts(&first, frame, &expected, &mut random));
        log::check("abort raised in every other action", || abort_elsewhere(&first, &expected, &mut random));
        first.destroy();
        if let Some(other) = instance(loaded) {
            log::check("keyframes on every parameter that animates", || keyframes(&other, &mut random));
            log::check(format!("a storm of {EDITS} edits"), || storm(&other, &mut random));
            other.destroy();
        }
    });
}

fn parallel(loaded: &Loaded, expected: &[Option<u64>]) {
    if safety(&loaded.thread_safety()) == 0 {
        return log::note("parallel instances: the plugin declares itself unsafe, so hosts do not ask this");
    }
    log::check(format!("{PARALLEL} instances on threads of their own"), || {
        std::thread::scope(|s| {
            for _ in 0..PARALLEL {
                s.spawn(|| {
                    let Some(instance) = instance(loaded) else { return };
                    if hashes(&instance) != expected {
                        log::fail("an instance beside others gives other pixels than alone");
                    }
                    instance.destroy();
                });
            }
        });
    });
}

fn aborts(instance: &Instance, frame: Duration, expected: &[Option<u64>], random: &mut Random) {
    let mut slowest = Duration::ZERO;
    for round in 0..ABORTS {
        let delay = if round == 0 { Duration::ZERO } else { frame.mul_f64(random.within(0.0, 1.2)) };
        let time = random.below(expected.len());
        log::step(format!("abort {round}: frame {time}, after {delay:.1?}"));
        let moment = Instant::now() + delay;
        instance.effect.abort_at(Some(moment));
        instance.render(Ask { interactive: round % 2 == 0, ..Ask::at(time as f64) });
        slowest = slowest.max(Instant::now().saturating_duration_since(moment));
        instance.effect.abort_at(None);
    }
    log::note(format!("from abort to the end of a render, at most {slowest:.1?}"));
    if slowest > PATIENCE {
        log::warn(format!("a render went on for {slowest:.1?} after the abort"));
    }
    if hashes(instance) != expected {
        log::fail("after aborted renders, frames have other pixels");
    }
}

fn abort_elsewhere(instance: &Instance, expected: &[Option<u64>], random: &mut Random) {
    let simple =
        [kOfxActionBeginInstanceEdit, kOfxActionEndInstanceEdit, kOfxActionSyncPrivateData, kOfxActionPurgeCaches];
    for action in simple {
        log::step(format!("abort in {}", action.to_string_lossy()));
        instance.effect.abort_at(Some(Instant::now()));
        let status = instance.simple(action);
        if !done(status) && status != kOfxStatFailed {
            log::fail(format!("{}: {}", action.to_string_lossy(), status_name(status)));
        }
    }
    let domain = crate::properties! { kOfxImageEffectPropFrameRange => [0.0, expected.len() as f64 - 1.0] };
    let (status, _) = instance.effect.act(kOfxImageEffectActionGetTimeDomain, None, Some(domain));
    if !done(status) {
        log::fail(format!("getTimeDomain: {}", status_name(status)));
    }
    instance.prefer();
    instance.effect.abort_at(None);
    if hashes(instance) != expected {
        log::fail("after aborted actions, frames have other pixels");
    }
    // Buttons start work that takes long: they must stop, and be able to be pressed again. What they do may well change
    // pixels, so only that the instance still works is looked at.
    for button in instance.effect.params.all().iter().filter(|p| p.is(kOfxParamTypePushButton)) {
        log::step(format!("abort after pressing {}", button.name.to_string_lossy()));
        for delay in [0.0, random.within(0.0, 50.0)] {
            let moment = Instant::now() + Duration::from_secs_f64(delay / 1e3);
            instance.effect.abort_at(Some(moment));
            legal(instance.edit(&button.name, kOfxChangeUserEdited));
            let late = Instant::now().saturating_duration_since(moment);
            if late > PATIENCE {
                log::warn(format!("button {}: went on for {late:.1?} after the abort", button.name.to_string_lossy()));
            }
        }
    }
    instance.effect.abort_at(None);
    hashes(instance);
}

fn legal(status: OfxStatus) {
    if ![kOfxStatOK, kOfxStatReplyDefault, kOfxStatFailed, kOfxStatErrMemory].contains(&status) {
        log::fail(format!("instanceChanged: {}", status_name(status)));
    }
}

fn keyframes(instance: &Instance, random: &mut Random) {
    let expected = hashes(instance);
    let saved = instance.save();
    let last = expected.len() as f64 - 1.0;
    let keyed = instance.effect.params.all();
    let keyed = keyed.iter().filter(|p| p.animates() && p.holds != Holds::Text && !instance.is_pinned(&p.name));
    let mut count = 0;
    for param in keyed {
        count += 1;
        for time in [0.0, last / 3.0, last] {
            param.set_key(time, values::random(param, random));
        }
        legal(instance.edit(&param.name, kOfxChangeUserEdited));
    }
    log::note(format!("{count} parameters have keys"));
    let keyed = hashes(instance);
    instance.effect.set_time(last);
    legal(instance.edit(c"", kOfxChangeTime));
    if hashes(instance) != keyed {
        log::fail("with keyframes, the same frames twice have different pixels");
    }
    let restore = || {
        if let Err(e) = values::load(&instance.effect.params, &saved) {
            log::fail(e);
        }
    };
    restore();
    for param in instance.effect.params.all().iter().filter(|p| p.holds != Holds::Nothing) {
        legal(instance.edit(&param.name, kOfxChangeUserEdited));
    }
    // A menu of presets sets others; the host's undo puts all back.
    restore();
    let back = hashes(instance);
    if back != expected {
        log::fail("with the first values back, frames have other pixels than at first");
    }
    instance.effect.set_time(0.0);
}

fn storm(instance: &Instance, random: &mut Random) {
    let params = instance.effect.params.all();
    for round in 0..EDITS {
        let reason = [kOfxChangeUserEdited, kOfxChangeTime, kOfxChangePluginEdited][random.below(3)];
        match random.below(8) {
            0 => {
                log::step(format!("edit {round}: a parameter that there is not"));
                legal(instance.edit(c"no_such_parameter", reason));
            }
            1 => {
                log::step(format!("edit {round}: a clip"));
                let clips = instance.effect.all_clips();
                let clip: &CStr = &clips[random.below(clips.len())].name;
                legal(instance.edit(clip, reason));
                instance.prefer();
            }
            _ if params.is_empty() => {}
            _ => {
                let param = &params[random.below(params.len())];
                log::step(format!("edit {round}: {}", param.name.to_string_lossy()));
                if param.is(kOfxParamTypePushButton) {
                    // Pressed in the storm, a button is stopped at once.
                    instance.effect.abort_at(Some(Instant::now()));
                }
                if param.holds != Holds::Nothing && !instance.is_pinned(&param.name) {
                    param.set(values::random(param, random));
                }
                legal(instance.edit(&param.name, reason));
                instance.effect.abort_at(None);
            }
        }
        if round % 20 == 0 {
            instance.render(Ask { interactive: true, ..Ask::at(random.below(4) as f64) });
        }
    }
    // Messages that stand may have been shown for values that are gone.
    instance.effect.messages.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
