//! What drives a frame: the shot's analysis where there is one that shows this very frame, else that of three frames.

use super::own::{Own, Record};
use super::reference::Picture;
use super::{SOURCE, colour, shared};
use crate::host::Effect;
use headgan::controls::Settings;
use headgan::controls::choices::Neutral;
use headgan::frame::Frame;
use headgan::key::Key;
use headgan::media::FrameRange;
use headgan::reenact::context::RenderContext;
use headgan::shot::analyse::{Clip, ClipFrames, pixels};
use headgan::shot::{Cache, Motion, StoredAnalysis, TrackSettings};
use headgan::{Error, Result};

/// What drives a frame.
pub struct Performance {
    pub motion: Motion,
    /// Stands for the motion.
    pub key: Key,
    /// The frame's place in it.
    pub index: usize,
    pub track: TrackSettings,
    /// The shot's frames where it was analysed, else those that were looked at.
    pub pixels: Vec<Key>,
    pub analysed: bool,
}

/// The frame that is asked for.
pub struct Moment<'a> {
    pub time: f64,
    /// Source's picture.
    pub driver: &'a Picture,
    /// The host wants a smaller picture than the full one.
    pub proxy: bool,
    /// Nobody watches and nobody will look at it again.
    pub is_final: bool,
}

/// What drives a moment.
///
/// # Errors
/// `Usage` for a final render of a shot that was not analysed, unless that is allowed; else as the analysis.
pub fn find(
    effect: &Effect,
    stage: &RenderContext,
    own: &Own,
    settings: &Settings,
    moment: &Moment,
    cache: Option<&Cache>,
) -> Result<Performance> {
    let record = Record::from_text(&own.shot);
    let known = record.and_then(|record| Some((record, shared::known(&record.key, cache)?)));
    if let Some((record, known)) = known
        && let Some(found) = in_shot(stage, settings, moment, &record, &known)
    {
        return Ok(found);
    }
    if moment.is_final && !own.allow_unanalysed {
        return Err(Error::Usage(format!(
            "frame {} is not analysed: press Analyse shot in the interface, with a Cache folder that this machine sees, \
             or switch on Allow unanalysed",
            moment.time
        )));
    }
    around(effect, stage, own, settings, moment, cache)
}

/// The moment's place in an analysed shot; `None` where the analysis is of other frames, networks or another face.
fn in_shot(
    stage: &RenderContext,
    settings: &Settings,
    moment: &Moment,
    record: &Record,
    known: &StoredAnalysis,
) -> Option<Performance> {
    let networks = stage.networks();
    let frame = &moment.driver.frame;
    let (width, height) = known.motion.size;
    if !known.is_of(&networks.fingerprint(), settings.face(width, height)) {
        return None;
    }
    let expected = moment.time.round() as i64 - record.first;
    // Pixels of a proxy are others than those that were analysed: there time must do.
    let (index, motion) = if moment.proxy {
        let index = usize::try_from(expected).ok().filter(|i| *i < known.pixels.len())?;
        (index, known.motion.resized(frame.width, frame.height))
    } else {
        (known.find(&pixels(frame), expected)?, known.motion.clone())
    };
    let pixels = known.pixels.clone();
    Some(Performance { motion, key: record.key, index, track: settings.track(), pixels, analysed: true })
}

/// Analyses the frames up to a moment: as many as a generator sees.
fn around(
    effect: &Effect,
    stage: &RenderContext,
    own: &Own,
    settings: &Settings,
    moment: &Moment,
    cache: Option<&Cache>,
) -> Result<Performance> {
    let mut frames: Vec<Frame> = Vec::new();
    if let Some(source) = effect.clip(SOURCE) {
        let range = source.frame_range();
        for back in [2.0, 1.0] {
            let time = moment.time - back;
            if range.is_some_and(|(first, _)| time < first) {
                continue;
            }
            effect.check_abort()?;
            let Some(image) = source.image(time)? else { continue };
            let frame = Picture::of(&image, colour::of_clip(&source, own)).frame;
            // A clip that changes its size is another one.
            if (frame.width, frame.height) == (moment.driver.frame.width, moment.driver.frame.height) {
                frames.push(Frame::clone(&frame));
            }
        }
    }
    frames.push(Frame::clone(&moment.driver.frame));
    effect.check_abort()?;
    let networks = stage.networks();
    let (width, height) = (moment.driver.frame.width, moment.driver.frame.height);
    let choice = settings.face(width, height);
    let keys: Vec<u8> = frames.iter().flat_map(|f| *pixels(f).bytes()).collect();
    let key = Key::of("window", &[networks.fingerprint().bytes(), format!("{choice:?}").as_bytes(), &keys]);
    let known = shared::window(key, || {
        let all = |range: Option<FrameRange>| -> Result<ClipFrames> {
            let inside = move |i: usize| range.is_none_or(|r| r.first <= i && r.last.is_none_or(|l| i <= l));
            Ok(Box::new(frames.iter().enumerate().filter(move |(i, _)| inside(*i)).map(|(i, f)| Ok((i, f.clone())))))
        };
        let name = format!("Source at frame {}", moment.time);
        let clip = Clip { name: &name, fps: None, identity: None, frames: &all };
        let analysis = stage.analyse(&clip, |_, _| choice, cache, &|| Ok(()))?;
        Ok(StoredAnalysis::new(&analysis, networks.fingerprint(), networks.model_hash(), choice))
    })?;
    // A frame at rest is one of the whole shot's.
    let neutral = if settings.neutral == Neutral::Frame { Neutral::Automatic } else { settings.neutral };
    let track = Settings { neutral, ..settings.clone() }.track();
    let index = frames.len() - 1;
    let (motion, pixels) = (known.motion.clone(), known.pixels.clone());
    Ok(Performance { key, motion, index, track, pixels, analysed: false })
}
