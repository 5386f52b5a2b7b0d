//! The button Analyse shot: the analysis of all frames of Source. `driving.rs` finds the motion of a single frame.

use super::clip_image::ClipImage;
use super::params::{self, PluginParams, ShotRecord};
use super::values::Controls;
use super::{SOURCE, colour, listening, shared, sound};
use crate::host::{Effect, Progress};
use headgan::media::FrameRange;
use headgan::shot::StoredAnalysis;
use headgan::shot::analyse::{Clip, ClipFrames};
use headgan::{CancelToken, Error, Result};

/// More frames than any shot has: a host that says so means that it does not know.
const MOST: f64 = 1e6;

/// First and last frame of Source.
///
/// # Errors
/// `Input` where the host does not say.
fn range(effect: &Effect) -> Result<(i64, i64)> {
    let usable = |(first, last): &(f64, f64)| last - first < MOST && first.abs() < 1e12;
    let clip = effect.clip(SOURCE).and_then(|clip| clip.frame_range()).filter(usable);
    let (first, last) = clip.or_else(|| effect.timeline().filter(usable)).ok_or_else(|| {
        Error::Input("the host does not say which frames Source has: give the clip a beginning and an end".into())
    })?;
    Ok((first.ceil() as i64, last.floor() as i64))
}

/// Follows the driver's face through all frames of Source, stores what it does, and notes in the project where.
///
/// # Errors
/// Those of the clip, the networks and the cache; `Interrupted` when the user stops it (what was observed stays known).
pub fn analyse(effect: &Effect, scale: [f64; 2], time: f64) -> Result<()> {
    if scale != [1.0; 2] {
        return Err(Error::Usage("the host works at a smaller size: switch proxies off to analyse".into()));
    }
    shared::retry_failed();
    let params = PluginParams::read(effect)?;
    let host_params = effect.params()?;
    let settings = Controls::new(&host_params).at(time)?.resolve(time);
    let source = effect.clip(SOURCE).ok_or_else(|| Error::Input("connect who performs to Source".into()))?;
    let (first, last) = range(effect)?;
    let context = shared::context(effect.host.processors())?;
    let cache = shared::cache(&params.cache_folder)?;
    // The audio is extracted while the frames are analysed. Its errors must not stop the analysis: they are reported at the end, or when
    // a frame needs the audio.
    let audio_request = sound::request(effect, &context, &params, &settings, settings.quality).ok().flatten();
    if let Some(audio_request) = &audio_request {
        let _ = listening::poll(audio_request, &context, Some(&cache));
    }
    let progress = Progress::start(*effect, "Analyse shot");
    // Frames are numbered as the host does where that is possible.
    let base = first.max(0) as usize;
    let total = (last - first + 1).max(1) as f64;
    let frames = |part: Option<FrameRange>| -> Result<ClipFrames> {
        let from = part.map_or(base, |p| p.first);
        let to = part.and_then(|p| p.last).unwrap_or(base + (last - first) as usize);
        let (progress, color) = (&progress, colour::clip_color(&source, &params));
        Ok(Box::new((from..=to).map(move |n| {
            let at = first + (n - base) as i64;
            if !progress.show((at - first) as f64 / total) {
                return Err(Error::Interrupted);
            }
            let none = || Error::input(format!("Source has no picture at frame {at}: trim the clip to what it shows"));
            let image = source.image(at as f64)?.ok_or_else(none)?;
            Ok((n, ClipImage::new(image, color).frame()))
        })))
    };
    let clip = Clip { name: "Source", fps: None, identity: None, frames: &frames };
    let analysis = context.analyse(&clip, |w, h| settings.face(w, h), Some(&cache), &|| (), &CancelToken::default())?;
    let networks = context.networks();
    let choice = settings.face(analysis.size.0, analysis.size.1);
    let known = StoredAnalysis::new(&analysis, networks.fingerprint(), networks.model_hash(), choice);
    let count = known.pixels.len();
    let (key, known) = known.put(&cache);
    shared::keep_analysis(key, known);
    cache.trim();
    let record = ShotRecord { key, first, frames: count };
    let param = host_params
        .get(params::SHOT)
        .ok_or_else(|| Error::Engine("the host has lost a parameter: make the effect anew".into()))?;
    param.set_string(&record.to_text())?;
    if let Some(audio_request) = &audio_request {
        while listening::poll(audio_request, &context, Some(&cache))?.is_none() {
            if !progress.show(1.0) {
                return Err(Error::Interrupted);
            }
            std::thread::sleep(listening::POLL_INTERVAL);
        }
    }
    // What could not be stored is known to this process alone.
    cache.problem().map_or(Ok(()), |problem| Err(Error::input(problem)))
}
