//! The status line: what is missing, and what to do.

use super::own::{self, Own, Record};
use super::values::Controls;
use super::{reference, shared};
use crate::host::Effect;
use headgan::Result;
use headgan::controls::choices::Quality;

/// Brings the line up to date; with `thorough` the networks are loaded to see whether they can be.
///
/// # Errors
/// `Engine` where the host refuses it.
pub fn refresh(effect: &Effect, thorough: bool) -> Result<()> {
    let Some(param) = effect.params()?.get(own::STATUS) else { return Ok(()) };
    if thorough {
        shared::retry();
        // What is wrong is what the line says.
        let _ = shared::stage(effect.host.processors());
    }
    let line = line(effect)?;
    // Setting it makes a host call back: once must do.
    if param.string().as_deref() != Some(line.as_str()) {
        param.set_string(&line)?;
    }
    Ok(())
}

fn line(effect: &Effect) -> Result<String> {
    let own = Own::of(effect)?;
    if !own.enabled {
        return Ok("Switched off".into());
    }
    if let Some(Err(e)) = shared::stage_so_far() {
        return Ok(e.to_string());
    }
    if let Err(e) = reference::find(effect, &own) {
        return Ok(e.to_string());
    }
    let Some(record) = Record::from_text(&own.shot) else {
        return Ok("Not analysed: press Analyse shot".into());
    };
    let cache = shared::cache(&own.cache_folder);
    Ok(match shared::known(&record.key, cache.as_deref().ok()) {
        Some(known) => {
            let gaps = known.motion.frames.iter().filter(|f| f.is_none()).count();
            let without = if gaps > 0 { format!(", no face in {gaps}") } else { String::new() };
            let last = record.first + record.frames as i64 - 1;
            let settings = Controls::of(&effect.params()?).at(0.0)?.resolve(0.0);
            let deaf = settings.quality == Quality::Full && own.audio_file.is_empty() && shared::some_take_audio();
            let silent = if deaf { "; the generator listens and hears nothing: choose an Audio file" } else { "" };
            let engine = shared::engine(settings.device);
            format!("Analysed: frames {} to {last}{without}; {engine}{silent}", record.first)
        }
        None => "Its analysis is not in the cache folder: choose that folder, or press Analyse shot".into(),
    })
}
