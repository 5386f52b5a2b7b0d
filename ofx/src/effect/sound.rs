//! The audio for a generator that takes audio and for a mouth that follows it: the audio file, which begins with Source's first frame. A host's clips carry no sound.
//! `listening.rs` extracts the audio from files.

use super::SOURCE;
use super::driving::Driving;
use super::frame_rate::frame_rate;
use super::listening::{self, AudioRequest};
use super::params::PluginParams;
use crate::host::Effect;
use headgan::Result;
use headgan::controls::Settings;
use headgan::controls::choices::{MouthFrom, Quality};
use headgan::reenact::context::RenderContext;
use headgan::reenact::{AudioInput, LipInput};
use headgan::shot::Cache;
use std::sync::Arc;

/// The audio that `quality` and the mouth need: `None` where no file is chosen, or neither takes audio.
///
/// # Errors
/// `Input` where the host does not say how fast frames follow each other; those of the backend and the generator.
pub fn request(
    effect: &Effect,
    context: &RenderContext,
    params: &PluginParams,
    settings: &Settings,
    quality: Quality,
) -> Result<Option<AudioRequest>> {
    if params.audio_file.is_empty() {
        return Ok(None);
    }
    let audio = quality == Quality::Full && context.takes_audio(&context.backend(settings.device)?)?;
    let lips = settings.mouth_from == MouthFrom::Sound;
    if !audio && !lips {
        return Ok(None);
    }
    let fps = frame_rate(effect, "Audio file")?;
    // The extraction reports a file that cannot be read.
    let state = std::fs::metadata(&params.audio_file).ok();
    let state = state.and_then(|m| Some((m.modified().ok()?, m.len())));
    Ok(Some(AudioRequest { file: params.audio_file.clone(), state, fps, gain: settings.audio_gain, audio, lips }))
}

/// The audio that accompanies the driving motion. The first call starts a thread that extracts it; the thread goes on when the host stops
/// the calls that wait for it.
///
/// # Errors
/// Those of [`request`] and of the extraction; `Interrupted` as soon as the host wants the rendering to stop.
pub fn find(
    effect: &Effect,
    context: &Arc<RenderContext>,
    request: &AudioRequest,
    driving: &Driving,
    time: f64,
    cache: Option<&Arc<Cache>>,
) -> Result<(Option<AudioInput>, Option<LipInput>)> {
    let extracted = listening::wait(request, context, cache, &effect.cancel_token())?;
    // An analysed shot begins with Source's first frame, a few frames around one begin somewhere. A recording's last frame is held.
    let first = match driving.analysed && driving.recording().is_none() {
        true => 0.0,
        false => {
            let start = effect.clip(SOURCE).and_then(|clip| clip.frame_range()).map_or(0.0, |(first, _)| first);
            time - start - driving.index as f64
        }
    };
    let audio = extracted.audio.map(|audio| AudioInput::starting_at(&audio, first));
    Ok((audio, extracted.lips.map(|lips| LipInput::starting_at(&lips, first, request.fps.as_f64()))))
}
