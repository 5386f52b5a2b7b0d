//! What a generator that listens hears: the audio file, which begins with Source's first frame. A host's clips carry no sound.

use super::own::Own;
use super::performance::Performance;
use super::{SOURCE, shared};
use crate::host::Effect;
use headgan::controls::Settings;
use headgan::controls::choices::Quality;
use headgan::media::Rational;
use headgan::reenact::audio_input::AudioInput;
use headgan::reenact::context::RenderContext;
use headgan::shot::Cache;
use headgan::{Error, Result};
use std::sync::Arc;
use std::time::SystemTime;

/// What is to be heard of which file.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub file: String,
    /// When the file was written and how long it is: one that is replaced is listened to again.
    pub state: Option<(SystemTime, u64)>,
    pub fps: Rational,
    pub gain: f32,
}

/// What there is to hear in `quality`: nothing where no file is chosen, or no generator listens.
///
/// # Errors
/// `Input` where the host does not say how fast frames follow each other; those of the place and the generator.
pub fn question(
    effect: &Effect,
    stage: &RenderContext,
    own: &Own,
    settings: &Settings,
    quality: Quality,
) -> Result<Option<Question>> {
    if own.audio_file.is_empty() || quality != Quality::Full || !stage.takes_audio(&stage.place(settings.device)?)? {
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
    let state = std::fs::metadata(&own.audio_file).ok();
    let state = state.and_then(|m| Some((m.modified().ok()?, m.len())));
    Ok(Some(Question { file: own.audio_file.clone(), state, fps, gain: settings.audio_gain }))
}

/// What a performance hears. The first who asks has it computed by a thread of its own, which goes on where the host stops those
/// who wait for it.
///
/// # Errors
/// Those of [`question`] and of listening; `Interrupted` as soon as the host wants the rendering to stop.
pub fn find(
    effect: &Effect,
    stage: &Arc<RenderContext>,
    question: &Question,
    performance: &Performance,
    time: f64,
    cache: Option<&Arc<Cache>>,
) -> Result<AudioInput> {
    let listened = shared::listen(question, stage, cache, &|| effect.check_abort())?;
    // An analysed shot begins with Source's first frame, a few frames around a moment begin somewhere.
    let first = match performance.analysed {
        true => 0.0,
        false => {
            let start = effect.clip(SOURCE).and_then(|clip| clip.frame_range()).map_or(0.0, |(first, _)| first);
            time - start - performance.index as f64
        }
    };
    Ok(AudioInput { heard: listened.heard, key: listened.key, first })
}
