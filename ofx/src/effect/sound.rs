//! What a generator that listens hears: the audio file, which begins with Source's first frame. A host's clips carry no sound. Files are
//! listened to in `listening.rs`.

use super::SOURCE;
use super::driving::Driving;
use super::listening::{self, AudioRequest};
use super::params::PluginParams;
use crate::host::Effect;
use headgan::controls::Settings;
use headgan::controls::choices::Quality;
use headgan::media::Rational;
use headgan::reenact::AudioInput;
use headgan::reenact::context::RenderContext;
use headgan::shot::Cache;
use headgan::{Error, Result};
use std::sync::Arc;

/// What there is to hear in `quality`: nothing where no file is chosen, or no generator listens.
///
/// # Errors
/// `Input` where the host does not say how fast frames follow each other; those of the place and the generator.
pub fn request(
    effect: &Effect,
    stage: &RenderContext,
    params: &PluginParams,
    settings: &Settings,
    quality: Quality,
) -> Result<Option<AudioRequest>> {
    if params.audio_file.is_empty() || quality != Quality::Full || !stage.takes_audio(&stage.place(settings.device)?)? {
        return Ok(None);
    }
    let rate = effect.clip(SOURCE).and_then(|clip| clip.frame_rate()).or_else(|| effect.frame_rate());
    let fps = rate.and_then(Rational::nearest).ok_or_else(|| {
        Error::Input(
            "the host does not say how many frames a second Source has, which the Audio file needs: set the project's \
             frame rate, or clear Audio file"
                .into(),
        )
    })?;
    // What cannot be read is said by whoever listens.
    let state = std::fs::metadata(&params.audio_file).ok();
    let state = state.and_then(|m| Some((m.modified().ok()?, m.len())));
    Ok(Some(AudioRequest { file: params.audio_file.clone(), state, fps, gain: settings.audio_gain }))
}

/// What the driving motion hears. The first who asks has it computed by a thread of its own, which goes on where the host stops those
/// who wait for it.
///
/// # Errors
/// Those of [`request`] and of listening; `Interrupted` as soon as the host wants the rendering to stop.
pub fn find(
    effect: &Effect,
    stage: &Arc<RenderContext>,
    request: &AudioRequest,
    driving: &Driving,
    time: f64,
    cache: Option<&Arc<Cache>>,
) -> Result<AudioInput> {
    let listened = listening::wait(request, stage, cache, &effect.cancel_token())?;
    // An analysed shot begins with Source's first frame, a few frames around one begin somewhere.
    let first = match driving.analysed {
        true => 0.0,
        false => {
            let start = effect.clip(SOURCE).and_then(|clip| clip.frame_range()).map_or(0.0, |(first, _)| first);
            time - start - driving.index as f64
        }
    };
    Ok(AudioInput::starting_at(&listened, first))
}
