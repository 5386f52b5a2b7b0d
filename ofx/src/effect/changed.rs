//! The action instanceChanged: buttons, the preset menu, the status line.

use super::describe::shipped;
use super::render::scale;
use super::values::Controls;
use super::{LABEL, analyse, own, shared, status};
use crate::host::message::Gravity;
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
pub fn changed(effect: &Effect, args: Properties) -> Result<()> {
    // Our own settings, and the passing of time, need no answer.
    if args.string(kOfxPropChangeReason, 0).is_none_or(|r| r.as_bytes() != kOfxChangeUserEdited.to_bytes()) {
        return Ok(());
    }
    let time = args.double(kOfxPropTime, 0).unwrap_or(0.0);
    let name = args.string(kOfxPropName, 0).unwrap_or_default();
    let result = match name.as_str() {
        own::ANALYSE => analyse::analyse(&effect.with_pictures_of(args), scale(args), time),
        own::PRESET => apply_chosen(effect),
        own::PRESET_LOAD => load(effect),
        own::PRESET_SAVE => save(effect, time),
        own::REFERENCE_FILE => {
            shared::purge();
            Ok(())
        }
        own::AUDIO_FILE => {
            shared::forget_sounds();
            Ok(())
        }
        own::CACHE_FOLDER => {
            shared::retry();
            Ok(())
        }
        _ => Ok(()),
    };
    status::refresh(effect, false)?;
    result
}

fn apply(effect: &Effect, preset: &Preset) -> Result<()> {
    let params = effect.params()?;
    params.edit(&format!("preset {}", preset.name), || Controls::of(&params).apply(preset))
}

/// The preset that the menu shows; its first line stands for none.
fn apply_chosen(effect: &Effect) -> Result<()> {
    let chosen = effect.params()?.get(own::PRESET).and_then(|p| p.int()).unwrap_or(0);
    let preset = usize::try_from(chosen - 1).ok().and_then(|i| shipped().nth(i));
    preset.map_or(Ok(()), |(_, preset)| apply(effect, &preset))
}

fn preset_file(effect: &Effect) -> Result<String> {
    let file = effect.params()?.get(own::PRESET_FILE).and_then(|p| p.string()).unwrap_or_default();
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
    let preset = Controls::of(&effect.params()?).preset(&id, time)?;
    let text = preset.to_json();
    atomic::write(&path, |f| f.write_all(text.as_bytes()).map_err(|e| atomic::write_error(&path, &e)))?;
    effect.message(Gravity::Note, &format!("{LABEL}: saved {}", path.display()));
    Ok(())
}
