//! The action instanceChanged: what each button and menu does. `analyse.rs` does the analysis, `status.rs` the status line.

use super::describe::built_in_presets;
use super::render::render_scale;
use super::values::Controls;
use super::{LABEL, analyse, listening, params, shared, status};
use crate::host::message::MessageType;
use crate::host::{Effect, Properties};
use headgan::controls::Preset;
use headgan::media::atomic;
use headgan::{Error, Result};
use openfx::sys::generic::core::{kOfxChangeUserEdited, kOfxPropChangeReason, kOfxPropName, kOfxPropTime};
use std::io::Write;
use std::path::Path;

/// Something has changed. Names that the effect has not declared mean nothing.
///
/// # Errors
/// Those of what a button does.
pub fn instance_changed(effect: &Effect, args: Properties) -> Result<()> {
    // Our own settings, and the passing of time, need no answer.
    if args.string(kOfxPropChangeReason, 0).is_none_or(|r| r.as_bytes() != kOfxChangeUserEdited.to_bytes()) {
        return Ok(());
    }
    let time = args.double(kOfxPropTime, 0).unwrap_or(0.0);
    let name = args.string(kOfxPropName, 0).unwrap_or_default();
    let result = match name.as_str() {
        params::ANALYSE => analyse::analyse(&effect.with_cuda_stream(args), render_scale(args), time),
        params::PRESET => apply_chosen(effect),
        params::PRESET_LOAD => load(effect),
        params::PRESET_SAVE => save(effect, time),
        params::REFERENCE_FILE => {
            shared::purge();
            Ok(())
        }
        params::AUDIO_FILE => {
            listening::forget_audio();
            Ok(())
        }
        params::CACHE_FOLDER => {
            shared::retry_failed();
            Ok(())
        }
        _ => Ok(()),
    };
    status::refresh(effect, false)?;
    result
}

fn apply(effect: &Effect, preset: &Preset) -> Result<()> {
    let params = effect.params()?;
    params.edit(&format!("preset {}", preset.name), || Controls::new(&params).apply(preset))
}

/// The preset that the menu shows; its first line stands for none.
fn apply_chosen(effect: &Effect) -> Result<()> {
    let chosen = effect.params()?.get(params::PRESET).and_then(|p| p.int()).unwrap_or(0);
    let preset = usize::try_from(chosen - 1).ok().and_then(|i| built_in_presets().nth(i));
    preset.map_or(Ok(()), |(_, preset)| apply(effect, &preset))
}

fn preset_file(effect: &Effect) -> Result<String> {
    let file = effect.params()?.get(params::PRESET_FILE).and_then(|p| p.string()).unwrap_or_default();
    if file.trim().is_empty() {
        return Err(Error::Usage("name a .json file under Preset file first".into()));
    }
    Ok(file.trim().into())
}

fn load(effect: &Effect) -> Result<()> {
    apply(effect, &Preset::read(Path::new(&preset_file(effect)?))?)
}

fn save(effect: &Effect, time: f64) -> Result<()> {
    let file = preset_file(effect)?;
    let path = Path::new(&file);
    let path = if path.extension().is_none() { path.with_extension("json") } else { path.to_owned() };
    let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let preset = Controls::new(&effect.params()?).preset(&id, time)?;
    let text = preset.to_json();
    atomic::write(&path, |f| f.write_all(text.as_bytes()).map_err(|e| atomic::write_error(&path, e)))?;
    effect.message(MessageType::Message, &format!("{LABEL}: saved {}", path.display()));
    Ok(())
}
