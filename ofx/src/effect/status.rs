//! The status line: what is missing, and what to do about it. Errors of an action are shown by `entry.rs`.

use super::params::{self, PluginParams, ShotRecord};
use super::values::Controls;
use super::{advice, recording, reference, shared};
use crate::host::Effect;
use headgan::Result;
use headgan::controls::choices::Quality;

/// Brings the line up to date; with `load` the networks are loaded to see whether they can be.
///
/// # Errors
/// `Engine` where the host refuses it.
pub fn refresh(effect: &Effect, load: bool) -> Result<()> {
    let Some(param) = effect.params()?.get(params::STATUS) else { return Ok(()) };
    if load {
        shared::retry_failed();
        // What is wrong is what the line says.
        let _ = shared::context(effect.host.processors());
    }
    let line = text(effect)?;
    // Setting it makes a host call back: once must do.
    if param.string().as_deref() != Some(line.as_str()) {
        param.set_string(&line)?;
    }
    Ok(())
}

fn text(effect: &Effect) -> Result<String> {
    let params = PluginParams::read(effect)?;
    if !params.enabled {
        return Ok("Switched off".into());
    }
    if let Some(Err(e)) = shared::loaded_context() {
        return Ok(advice::message_with_advice(&e));
    }
    if let Err(e) = reference::find(effect, &params) {
        return Ok(advice::message_with_advice(&e));
    }
    let silent = silence(effect, &params)?;
    if !params.performance_file.is_empty() {
        return Ok(match recording::load(&params.performance_file) {
            Ok(recording) => {
                let (rows, seconds) = (recording.samples().len(), recording.seconds());
                format!("Performance file: {rows} rows in {seconds:.1} s{silent}")
            }
            Err(e) => advice::message_with_advice(&e),
        });
    }
    let Some(record) = ShotRecord::from_text(&params.shot) else {
        return Ok("Not analysed: press Analyse shot".into());
    };
    let cache = shared::cache(&params.cache_folder);
    Ok(match shared::analysis(&record.key, cache.as_deref().ok()) {
        Some(known) => {
            let gaps = known.motion.frames.iter().filter(|f| f.is_none()).count();
            let without = if gaps > 0 { format!(", no face in {gaps}") } else { String::new() };
            let last = record.first + record.frames as i64 - 1;
            let settings = Controls::new(&effect.params()?).at(0.0)?.resolve(0.0);
            let engine = shared::engine_description(settings.device);
            format!("Analysed: frames {} to {last}{without}; {engine}{silent}", record.first)
        }
        None => "Its analysis is not in the cache folder: choose that folder, or press Analyse shot".into(),
    })
}

/// What is said where a generator that takes audio gets none.
fn silence(effect: &Effect, params: &PluginParams) -> Result<&'static str> {
    let settings = Controls::new(&effect.params()?).at(0.0)?.resolve(0.0);
    let none = settings.quality == Quality::Full && params.audio_file.is_empty() && shared::has_audio_generator();
    Ok(if none { "; the generator listens and hears nothing: choose an Audio file" } else { "" })
}
