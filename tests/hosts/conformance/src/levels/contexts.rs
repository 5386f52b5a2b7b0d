//! Level 2: what the plugin says of itself in each context, and how it takes it when suites are missing.

use super::{Run, apart, each_plugin};
use crate::abi::*;
use crate::effect::Effect;
use crate::host::{OPTIONAL, Profile, REQUIRED, host};
use crate::log;
use crate::params::{Holds, Param, Sample};
use crate::plugin::Binary;
use crate::session::{Ask, Loaded};
use std::ffi::CStr;

pub fn run(run: &Run) {
    apart("the description is sound in every context", || each_plugin(run, describe));
    for (name, version) in REQUIRED.into_iter().chain(OPTIONAL) {
        let what = format!("without {} {version}: works or refuses politely", name.to_string_lossy());
        apart(&what, || without(run, &[(name, version)]));
    }
    apart("without any optional suite: works or refuses politely", || without(run, &OPTIONAL));
}

fn describe(loaded: &Loaded) {
    if loaded.contexts.is_empty() {
        log::fail("the plugin offers neither General nor Filter");
    }
    if loaded.depths().is_empty() {
        log::fail("the plugin takes no depth");
    }
    let safety = loaded.thread_safety();
    let known = [kOfxImageEffectRenderUnsafe, kOfxImageEffectRenderInstanceSafe, kOfxImageEffectRenderFullySafe];
    if !known.contains(&safety.as_c_str()) {
        log::fail(format!("{safety:?} is no thread safety"));
    }
    if loaded.props().string(kOfxPropLabel).is_empty() {
        log::fail("the plugin has no label");
    }
    for (context, effect) in &loaded.contexts {
        log::step(format!("the description in {}", context.to_string_lossy()));
        clips(effect);
        for param in effect.params.all() {
            parameter(effect, &param);
        }
        match loaded.create(context, loaded.view(), None) {
            Ok(instance) => {
                instance.render(Ask::at(0.0));
                instance.destroy();
            }
            Err(e) => log::fail(e),
        }
    }
}

fn clips(effect: &Effect) {
    for name in [kOfxImageEffectOutputClipName, kOfxImageEffectSimpleSourceClipName] {
        if effect.clip(name).is_none() {
            log::fail(format!("there is no clip {}", name.to_string_lossy()));
        }
    }
    for clip in effect.all_clips().iter().filter(|c| c.supports().is_empty()) {
        log::fail(format!("clip {} takes no component set", clip.name.to_string_lossy()));
    }
}

fn parameter(effect: &Effect, param: &Param) {
    let name = param.name.to_string_lossy();
    let label = param.props.string(kOfxPropLabel);
    if label.is_empty() {
        log::warn(format!("parameter {name} has no label"));
    }
    if label.to_bytes().contains(&b'-') {
        log::warn(format!("parameter {name}: \"-\" in the label {label:?}, which Nuke dislikes"));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        log::warn(format!("parameter {name}: scripts of some hosts take only letters, digits and _ in names"));
    }
    let parent = param.props.string(kOfxParamPropParent);
    if !parent.is_empty() && !effect.params.find(&parent).is_some_and(|p| p.is(kOfxParamTypeGroup)) {
        log::fail(format!("parameter {name}: its parent {parent:?} is no group"));
    }
    for child in param.props.strings(kOfxParamPropPageChild) {
        let skip = [kOfxParamPageSkipRow, kOfxParamPageSkipColumn].contains(&child.as_c_str());
        if !skip && effect.params.find(&child).is_none() {
            log::fail(format!("page {name}: there is no parameter {child:?}"));
        }
    }
    if param.is(kOfxParamTypeChoice) {
        let options = param.props.strings(kOfxParamPropChoiceOption);
        let Sample::Ints(default) = param.default() else { return };
        if !(0..options.len() as i32).contains(&default[0]) {
            log::fail(format!("choice {name}: default {} of {} options", default[0], options.len()));
        }
        if (1..options.len()).any(|i| options[..i].contains(&options[i])) {
            log::warn(format!("choice {name}: a label stands twice; hosts set choices by label"));
        }
        return;
    }
    let numbers = |name: &CStr| param.props.doubles(name).unwrap_or_default();
    let default: Vec<f64> = match param.default() {
        Sample::Doubles(v) => v,
        Sample::Ints(v) => v.into_iter().map(f64::from).collect(),
        _ => return,
    };
    let (low, high) = (numbers(kOfxParamPropMin), numbers(kOfxParamPropMax));
    let (shown_low, shown_high) = (numbers(kOfxParamPropDisplayMin), numbers(kOfxParamPropDisplayMax));
    for (i, value) in default.iter().enumerate() {
        if let (Some(l), Some(h)) = (low.get(i), high.get(i))
            && !(l..=h).contains(&value)
        {
            log::fail(format!("parameter {name}: default {value} is not within {l} to {h}"));
        }
        if let (Some(l), Some(h)) = (shown_low.get(i), shown_high.get(i))
            && l > h
        {
            log::fail(format!("parameter {name}: its slider runs from {l} to {h}"));
        }
    }
    if param.holds == Holds::Ints(1) && param.is(kOfxParamTypeBoolean) && ![0.0, 1.0].contains(&default[0]) {
        log::fail(format!("parameter {name}: default {} of a boolean", default[0]));
    }
}

fn without(run: &Run, suites: &[(&CStr, i32)]) {
    let withheld = suites.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
    host().set_profile(Profile { withheld, ..Profile::default() });
    let binary = match Binary::open(&run.bundle) {
        Ok(binary) => binary,
        Err(e) => return log::fail(e),
    };
    for plugin in &binary.plugins {
        match Loaded::load(plugin, &run.settings) {
            Err((action, status)) => {
                log::note(format!("{action} without {:?}: {}", suites[0].0, status_name(status)));
                let polite = [kOfxStatErrMissingHostFeature, kOfxStatFailed, kOfxStatErrFatal, kOfxStatErrUnsupported];
                if !polite.contains(&status) {
                    log::fail(format!("{action}: {} where a suite is missing", status_name(status)));
                }
            }
            Ok(loaded) => {
                let Some(context) = loaded.context() else { return loaded.unload() };
                // Without a message suite, a refusal cannot be explained, and need not be.
                let silent = suites.iter().filter(|(n, _)| *n == kOfxMessageSuite).count() == 2;
                match loaded.create(context, loaded.view(), None) {
                    Ok(instance) if silent => instance.destroy(),
                    Ok(instance) => {
                        instance.render(Ask::at(0.0));
                        instance.destroy();
                    }
                    Err(e) => log::note(e),
                }
                loaded.unload();
            }
        }
    }
}
