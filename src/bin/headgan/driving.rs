//! Who performs, as several verbs take it: a clip, a motion file or a Live Link Face recording.

use crate::{common, interrupt};
use headgan::audio::Sound;
use headgan::controls::{Settings, Values};
use headgan::media::source::SourceKind;
use headgan::media::{AudioFrom, Rational, Source};
use headgan::morphable::Fit;
use headgan::reenact::networks::Networks;
use headgan::reenact::{FullPainter, LipInput, RenderContext};
use headgan::shot::audio::ShotAudio;
use headgan::shot::live_link::{Performance, is_recording_name};
use headgan::shot::motion::is_motion_name;
use headgan::shot::{Analysis, AudioSource, Cache, Motion};
use headgan::{Error, Result};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};

/// The fit of a clip that performs itself, in its frame with this index: of the face that is followed through it, which need not be
/// the frame's largest.
pub fn own_fit(analysis: &Analysis, index: usize, name: &str) -> Result<Fit> {
    let face = analysis.faces.get(index).and_then(Option::as_ref);
    face.map(|f| f.fit.clone()).ok_or_else(|| {
        let n = analysis.first + index;
        let text =
            format!("{name}: frame {n} does not show the face that is followed: choose another with reference_frame");
        Error::no_face(text)
    })
}

/// What a generator takes of the sound of a shot. A generator without audio decodes no sound.
pub struct AudioOptions<'a> {
    pub context: &'a RenderContext,
    /// What paints, if anything does.
    pub painter: Option<&'a FullPainter>,
    /// Whether the mouth follows the sound.
    pub speaks: bool,
    pub cache: Option<&'a Cache>,
    /// Of the controls.
    pub gain: f32,
    pub quiet: bool,
}

impl AudioOptions<'_> {
    /// Extracts a sound in frames of `fps` a second, and says what the generator has to do without; `None` where it takes no audio
    /// or there is none.
    pub fn extract(&self, sound: Option<AudioSource>, fps: Rational) -> Result<Option<ShotAudio>> {
        if !self.takes_audio() {
            return Ok(None);
        }
        let say = |text: &'static str| {
            if !self.quiet {
                say_once(text);
            }
        };
        let Some(sound) = sound else {
            say(
                "the generator listens to sound and there is none: it is given zeros (reenact takes a sound with --audio FILE)",
            );
            return Ok(None);
        };
        let shot_audio = self.context.audio(&sound, fps, self.gain, self.cache, interrupt::token())?;
        if !shot_audio.conditioning.has_characters() {
            say("there is no acoustic model: what the generator hears of characters is zeros; headgan models import \
                 deepspeech2 brings one");
        }
        Ok(Some(shot_audio))
    }

    /// What lips do while a sound that begins with the first of frames of `fps` a second is heard; `None` where the mouth is the driver's.
    pub fn lips(&self, sound: Option<AudioSource>, fps: Rational) -> Result<Option<LipInput>> {
        if !self.speaks {
            return Ok(None);
        }
        let none = || Error::usage("the mouth shall follow the sound and there is none: give one with --audio FILE");
        let lips = self.context.lips(&sound.ok_or_else(none)?, self.cache, interrupt::token())?;
        Ok(Some(LipInput::starting_at(&lips, 0.0, fps.as_f64())))
    }

    pub fn takes_audio(&self) -> bool {
        self.painter.is_some_and(FullPainter::takes_audio)
    }
}

/// Says what holds for every clip of a command, such as those of an evaluation, once.
fn say_once(text: &'static str) {
    static SAID: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let mut said = SAID.lock();
    if !said.contains(&text) {
        said.push(text);
        eprintln!("headgan: {text}");
    }
}

/// A hole in a recording that is named: longer than a few dropped frames, seconds.
const HOLE: f64 = 0.5;

/// Who performs: a clip that is to be analysed, a motion that is known, a recording, or a sound alone; the last two become the motion of
/// whom they drive.
pub enum Driving {
    Clip(Source),
    Motion(Motion),
    Recording(Performance),
    Sound(PathBuf),
}

/// Frames a second of a sound alone.
const SOUND_FPS: u32 = 25;

impl Driving {
    pub fn open(name: &str) -> Result<Driving> {
        if is_motion_name(Path::new(name)) {
            return Ok(Driving::Motion(Motion::load(Path::new(name))?));
        }
        if is_recording_name(Path::new(name)) {
            return Ok(Driving::Recording(Performance::load(Path::new(name))?));
        }
        Ok(Driving::Clip(Source::open(name)?.cancelled_by(interrupt::token())))
    }

    /// A sound alone as the motion of a reference's face in a picture of `size`, which holds still as long as it lasts, at `fps` frames a
    /// second (`None`: 25); others as they are.
    pub fn still(self, networks: &Networks, fit: &Fit, fps: Option<Rational>, size: (usize, usize)) -> Result<Driving> {
        let Driving::Sound(path) = &self else { return Ok(self) };
        let fps = fps.unwrap_or(Rational::whole(SOUND_FPS));
        let seconds = Sound::load_cancellable(path, interrupt::token())?.seconds();
        let frames = (seconds * fps.as_f64()).ceil().max(1.0) as usize;
        let mut motion = Motion::from_fits(std::iter::repeat_n(fit, frames), size, networks.model_hash());
        motion.fps = Some(fps);
        Ok(Driving::Motion(motion))
    }

    /// A recording as the motion of a reference's face, at `fps` frames a second (`None`: as it was recorded); others as they are.
    pub fn performed_by(
        self,
        networks: &Networks,
        fit: &Fit,
        fps: Option<Rational>,
        name: &str,
        quiet: bool,
    ) -> Result<Driving> {
        let Driving::Recording(performance) = self else { return Ok(self) };
        let fps = fps.unwrap_or(performance.rate());
        let named = |e: Error| e.map_text(|text| format!("{name}: {text}"));
        let motion = performance.motion(fps, &networks.performer(&fit.params.shape)).map_err(named)?;
        for [from, to] in performance.holes(HOLE).into_iter().filter(|_| !quiet) {
            eprintln!(
                "headgan: {name}: no rows between {from:.2} s and {to:.2} s; the face goes from one to the other"
            );
        }
        Ok(Driving::Motion(motion))
    }

    pub fn first(&self) -> usize {
        match self {
            Driving::Clip(source) => source.info().first,
            Driving::Motion(motion) => motion.first,
            Driving::Recording(_) | Driving::Sound(_) => 0,
        }
    }

    /// Number of frames where it is certain (what a video's header says may be wrong), else where it is stated.
    pub fn frames(&self, certain: bool) -> Option<usize> {
        match self {
            Driving::Clip(source) if certain && source.video().is_some_and(|v| !v.frames_exact) => None,
            Driving::Clip(source) => source.info().frames,
            Driving::Motion(motion) => Some(motion.frames.len()),
            Driving::Recording(_) | Driving::Sound(_) => None,
        }
    }

    pub fn fps(&self) -> Rational {
        let fps = match self {
            Driving::Clip(source) => source.info().fps,
            Driving::Motion(motion) => motion.fps,
            Driving::Recording(performance) => Some(performance.rate()),
            Driving::Sound(_) => Some(Rational::whole(SOUND_FPS)),
        };
        fps.unwrap_or(Rational::whole(25))
    }

    /// The sound that belongs to it from a frame on.
    pub fn sound(&self, first: usize) -> Option<AudioFrom> {
        match self {
            Driving::Clip(source) if source.info().kind == SourceKind::Video => source.audio_from(first),
            _ => None,
        }
    }

    /// The sound a generator may take: the file that was named, else the clip's own sound.
    pub fn audio_source<'a>(&'a self, named: Option<&'a Path>) -> Option<AudioSource<'a>> {
        named.map(AudioSource::File).or(match self {
            Driving::Clip(source) => AudioSource::from_clip(source),
            Driving::Motion(_) | Driving::Recording(_) | Driving::Sound(_) => None,
        })
    }

    /// Fails where a motion does not go with the networks or the controls.
    pub fn check(&self, networks: &Networks, values: &Values, name: &str) -> Result<()> {
        let Driving::Motion(motion) = self else { return Ok(()) };
        motion.check_model(networks.model_hash(), &networks.pack, name)?;
        let model = networks.morphable.model();
        let expr = motion.frames.iter().flatten().all(|f| f.expr.len() == model.expr_dim);
        if !expr || motion.identity.as_ref().is_some_and(|i| i.len() != model.shape_dim) {
            let text = format!("{name}: its coefficients are not those of the morphable model: export it again");
            return Err(Error::input(text));
        }
        if motion.identity.is_none() && values.uses("identity_mix") {
            return Err(Error::usage(format!(
                "identity_mix needs the driver's face shape, which {name} does not hold: export it with --with-identity"
            )));
        }
        Ok(())
    }

    /// What the driver does, and, of a clip, the analysis that it was found by.
    pub fn motion(
        &self,
        context: &RenderContext,
        base: &Settings,
        cache: Option<&Cache>,
        quiet: bool,
    ) -> Result<(Motion, Option<Analysis>)> {
        match self {
            Driving::Motion(motion) => Ok((motion.clone(), None)),
            // Each verb that takes one makes a motion of it first.
            Driving::Recording(_) | Driving::Sound(_) => {
                Err(Error::usage("a recording drives a reference: say whose face performs"))
            }
            Driving::Clip(source) => {
                let choice = |width, height| base.face(width, height);
                let analysis = common::analyse(context, source, choice, cache, quiet)?;
                Ok((analysis.motion(context.networks().model_hash()), Some(analysis)))
            }
        }
    }
}
