//! The motion that drives a frame: that of the performance file where one is chosen; else that of the shot's analysis where it contains
//! this frame, else that of an analysis of three frames.
//! `analyse.rs` analyses a whole shot.

use super::clip_image::{ClipImage, ConvertedImage};
use super::params::{PluginParams, ShotRecord};
use super::recording::{self, Recording};
use super::{SOURCE, colour, shared};
use crate::host::Effect;
use headgan::controls::Settings;
use headgan::controls::choices::Neutral;
use headgan::key::Key;
use headgan::media::FrameRange;
use headgan::reenact::context::RenderContext;
use headgan::shot::analyse::{Clip, ClipFrames};
use headgan::shot::{Cache, Motion, StoredAnalysis, TrackSettings};
use headgan::{Error, Result};
use std::sync::Arc;

/// What is known of who performs.
enum Known {
    Analysis(Arc<StoredAnalysis>),
    Recording(Arc<Recording>),
}

/// The motion that drives a frame.
pub struct Driving {
    known: Known,
    /// The motion in images of another size, for a proxy.
    resized: Option<Motion>,
    /// Stands for the motion.
    pub key: Key,
    /// The frame's index in it.
    pub index: usize,
    pub track: TrackSettings,
    /// All of the performance is known, not three frames of it.
    pub analysed: bool,
}

impl Driving {
    pub fn motion(&self) -> &Motion {
        self.resized.as_ref().unwrap_or(match &self.known {
            Known::Analysis(known) => &known.motion,
            Known::Recording(recording) => &recording.motion,
        })
    }

    /// The shot's frames where it was analysed, else the few that were analysed; none of a recording.
    pub fn pixels(&self) -> &[Key] {
        match &self.known {
            Known::Analysis(known) => &known.pixels,
            Known::Recording(_) => &[],
        }
    }

    /// The recording that performs instead of Source.
    pub fn recording(&self) -> Option<&Recording> {
        match &self.known {
            Known::Analysis(_) => None,
            Known::Recording(recording) => Some(recording),
        }
    }
}

/// The frame of Source that is asked for.
pub struct SourceFrame<'a> {
    pub time: f64,
    pub image: &'a ClipImage<'a>,
    /// The host wants a smaller picture than the full one.
    pub proxy: bool,
    /// The frame is rendered in the background and nobody will check it.
    pub is_final: bool,
}

/// Finds what drives a frame; `plate` shows who performs a recording.
///
/// # Errors
/// `Usage` for a final render of a shot that was not analysed, unless that is allowed; else as the analysis or the recording.
pub fn find(
    effect: &Effect,
    context: &RenderContext,
    params: &PluginParams,
    settings: &Settings,
    frame: &SourceFrame,
    plate: &ConvertedImage,
    cache: Option<&Cache>,
) -> Result<Driving> {
    if !params.performance_file.is_empty() {
        let recording = recording::performed(effect, context, &params.performance_file, plate, cache)?;
        return Ok(recorded(effect, settings, frame, recording));
    }
    let record = ShotRecord::from_text(&params.shot);
    let known = record.and_then(|record| Some((record, shared::analysis(&record.key, cache)?)));
    if let Some((record, known)) = known
        && let Some(found) = in_shot(context, settings, frame, &record, known)
    {
        return Ok(found);
    }
    if frame.is_final && !params.allow_unanalysed {
        return Err(Error::usage(format!(
            "frame {} is not analysed: press Analyse shot in the interface, with a Cache folder that this machine sees, \
             or switch on Allow unanalysed",
            frame.time
        )));
    }
    around(effect, context, params, settings, frame, cache)
}

/// The frame of a recording that begins with Source; behind its end the last one is held.
fn recorded(effect: &Effect, settings: &Settings, frame: &SourceFrame, recording: Arc<Recording>) -> Driving {
    let start = effect.clip(SOURCE).and_then(|clip| clip.frame_range()).map_or(0.0, |(first, _)| first);
    let last = recording.motion.frames.len() - 1;
    let index = ((frame.time - start).round().max(0.0) as usize).min(last);
    let key = recording.key;
    let known = Known::Recording(recording);
    Driving { known, resized: None, key, index, track: settings.track(), analysed: true }
}

/// The frame's motion in an analysed shot; `None` where the analysis is of other frames, networks or another face.
fn in_shot(
    context: &RenderContext,
    settings: &Settings,
    frame: &SourceFrame,
    record: &ShotRecord,
    known: Arc<StoredAnalysis>,
) -> Option<Driving> {
    let networks = context.networks();
    let (width, height) = known.motion.size;
    if !known.is_of(&networks.fingerprint(), settings.face(width, height)) {
        return None;
    }
    let expected = frame.time.round() as i64 - record.first;
    // Pixels of a proxy are others than those that were analysed: there time must do.
    let (index, resized) = if frame.proxy {
        let index = usize::try_from(expected).ok().filter(|i| *i < known.pixels.len())?;
        let (width, height) = frame.image.size();
        (index, Some(known.motion.resized(width, height)))
    } else {
        (known.find(&frame.image.key(), expected)?, None)
    };
    let known = Known::Analysis(known);
    Some(Driving { known, resized, key: record.key, index, track: settings.track(), analysed: true })
}

/// Analyses a frame and the two before it: as many as a generator sees.
fn around(
    effect: &Effect,
    context: &RenderContext,
    params: &PluginParams,
    settings: &Settings,
    frame: &SourceFrame,
    cache: Option<&Cache>,
) -> Result<Driving> {
    let mut before: Vec<ClipImage> = Vec::new();
    if let Some(source) = effect.clip(SOURCE) {
        let range = source.frame_range();
        for back in [2.0, 1.0] {
            let time = frame.time - back;
            if range.is_some_and(|(first, _)| time < first) {
                continue;
            }
            effect.check_abort()?;
            let Some(image) = source.image(time)? else { continue };
            let earlier = ClipImage::new(image, colour::clip_color(&source, params));
            // A clip that changes its size is another one.
            if earlier.size() == frame.image.size() {
                before.push(earlier);
            }
        }
    }
    let images: Vec<&ClipImage> = before.iter().chain([frame.image]).collect();
    effect.check_abort()?;
    let networks = context.networks();
    let (width, height) = frame.image.size();
    let choice = settings.face(width, height);
    let keys: Vec<u8> = images.iter().flat_map(|image| *image.key().bytes()).collect();
    let key = Key::new("window", &[networks.fingerprint().bytes(), format!("{choice:?}").as_bytes(), &keys]);
    let known = shared::short_analysis(key, || {
        let all = |range: Option<FrameRange>| -> Result<ClipFrames> {
            let inside = move |i: usize| range.is_none_or(|r| r.first <= i && r.last.is_none_or(|l| i <= l));
            Ok(Box::new(
                images.iter().enumerate().filter(move |(i, _)| inside(*i)).map(|(i, image)| Ok((i, image.frame()))),
            ))
        };
        let name = format!("Source at frame {}", frame.time);
        let clip = Clip { name: &name, fps: None, identity: None, frames: &all };
        let analysis = context.analyse(&clip, |_, _| choice, cache, &|| (), &effect.cancel_token())?;
        Ok(StoredAnalysis::new(&analysis, networks.fingerprint(), networks.model_hash(), choice))
    })?;
    // A frame at rest is one of the whole shot's.
    let neutral = if settings.neutral == Neutral::Frame { Neutral::Automatic } else { settings.neutral };
    let track = Settings { neutral, ..settings.clone() }.track();
    let index = images.len() - 1;
    Ok(Driving { known: Known::Analysis(known), resized: None, key, index, track, analysed: false })
}
