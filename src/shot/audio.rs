//! The audio values that a generator takes for a shot, computed once and kept in the cache.

use crate::audio::lips::{self, LipCurves, SoundLips};
use crate::audio::speech::{ARCHITECTURE, Speech};
use crate::audio::{AudioConditioning, Sound, decode};
use crate::engine::cpu;
use crate::key::Key;
use crate::media::ffmpeg::Tools;
use crate::media::probe::VideoInfo;
use crate::media::source::content;
use crate::media::{Rational, Source, atomic};
use crate::models::{Component, ModelSet, Role};
use crate::shot::cache::Cache;
use crate::{CancelToken, Error, Result};
use std::path::Path;
use std::sync::Arc;

/// Changes whenever the same sound may give other values.
const VERSION: &[u8] = b"1";
/// The same of lips.
const LIPS: &[u8] = b"1";

/// Where a shot's sound comes from.
#[derive(Debug, Clone, Copy)]
pub enum AudioSource<'a> {
    /// A file with sound, which begins with the shot's first frame.
    File(&'a Path),
    /// The sound of a clip, from its first picture on.
    Clip(&'a Path, &'a VideoInfo),
}

impl<'a> AudioSource<'a> {
    /// The sound that a clip brings along; `None` where it has none.
    pub fn from_clip(clip: &'a Source) -> Option<AudioSource<'a>> {
        clip.video().filter(|v| v.has_audio).map(|video| AudioSource::Clip(clip.path(), video))
    }

    fn load(&self, cancel: &CancelToken) -> Result<Sound> {
        match self {
            AudioSource::File(path) => Sound::load_cancellable(path, cancel),
            AudioSource::Clip(path, video) => Sound::from_video(path, video, cancel),
        }
    }

    /// The key of the sound: the file's content, its decoder, and where in the file the sound begins.
    fn identity(&self) -> Result<Key> {
        let (path, start) = match self {
            AudioSource::File(path) => (path, None),
            AudioSource::Clip(path, video) => (path, Some(video.start)),
        };
        let own = start.is_none() && decode::is_sound_file(path)?;
        let decoder = if own { String::new() } else { Tools::find()?.version_text() };
        let bytes = content(path)
            .map_err(|e| Error::input(format!("{}: {}", path.display(), atomic::plain(&e))).with_source(e))?;
        let start = start.map_or(Vec::new(), |s| s.to_le_bytes().to_vec());
        Ok(Key::new("sound", &[env!("CARGO_PKG_VERSION").as_bytes(), decoder.as_bytes(), &bytes, &start]))
    }
}

/// The audio values of a shot.
#[derive(Debug, Clone)]
pub struct ShotAudio {
    /// The values of each frame.
    pub conditioning: Arc<AudioConditioning>,
    /// Stands for it: made of the sound's content, the frame rate, the gain and the acoustic model.
    pub key: Key,
    /// Whether the cache had it, so that nothing was decoded.
    pub cached: bool,
}

/// What lips do while a sound is heard.
#[derive(Debug, Clone)]
pub struct ShotLips {
    /// Through the sound.
    pub curves: Arc<LipCurves>,
    /// Stands for them: made of the sound's content and the network.
    pub key: Key,
}

/// Extracts the audio values of shots.
#[derive(Clone, Copy)]
pub struct AudioExtractor<'a> {
    /// Where an acoustic model may be; without one the values for characters are 0.
    pub models: &'a ModelSet,
    /// Threads of the acoustic model; 0: all cores.
    pub threads: usize,
    /// Keeps the extracted values.
    pub cache: Option<&'a Cache>,
    /// Ends decoding and recognition.
    pub cancel: &'a CancelToken,
}

impl AudioExtractor<'_> {
    /// The audio values of a sound for the frames of a shot of `fps` frames a second, with a gain of `gain` decibels
    /// ([`Sound::louder`]).
    ///
    /// # Errors
    /// [`Error::Input`] where the sound cannot be decoded or there is none in the file, [`Error::Model`] where the acoustic model is damaged,
    /// [`Error::Usage`] for a frame rate that leaves windows no sample, [`Error::Interrupted`].
    pub fn extract(&self, from: &AudioSource, fps: Rational, gain: f32) -> Result<ShotAudio> {
        let acoustic = self.acoustic();
        let key = Key::new(
            "heard",
            &[
                VERSION,
                from.identity()?.bytes(),
                b"headgan300",
                fps.to_string().as_bytes(),
                // Minus nothing is nothing.
                &(gain + 0.0).to_le_bytes(),
                acoustic.map(stands_for).unwrap_or_default().as_bytes(),
            ],
        );
        if let Some(values) = self.cache.and_then(|cache| AudioConditioning::from_arrays(&cache.get(&key)?).ok()) {
            return Ok(ShotAudio { conditioning: Arc::new(values), key, cached: true });
        }
        let options = cpu::Options { threads: self.threads, ..cpu::Options::default() };
        let speech = acoustic.map(|_| Speech::load(self.models, None, &options)).transpose()?;
        let values = AudioConditioning::from_sound(&from.load(self.cancel)?.louder(gain.into()), fps, speech.as_ref())?;
        // What another program has stored first counts, as everywhere in the cache.
        let stored =
            self.cache.and_then(|cache| AudioConditioning::from_arrays(&cache.put(&key, values.to_arrays())).ok());
        Ok(ShotAudio { conditioning: Arc::new(stored.unwrap_or(values)), key, cached: false })
    }

    /// What lips do while a sound is heard, whatever its gain.
    ///
    /// # Errors
    /// [`Error::Model`] where no pack has lips, or they are damaged; [`Error::Input`] where the sound cannot be decoded or there is none in the
    /// file; [`Error::Interrupted`].
    pub fn lips(&self, from: &AudioSource) -> Result<ShotLips> {
        let (_, component) = self.models.find(Role::Lips, Some(&lips::ARCHITECTURE), None)?;
        let key = Key::new("lips", &[LIPS, from.identity()?.bytes(), component.blake3.as_bytes()]);
        if let Some(curves) = self.cache.and_then(|cache| LipCurves::from_arrays(&cache.get(&key)?)) {
            return Ok(ShotLips { curves: Arc::new(curves), key });
        }
        let options = cpu::Options { threads: self.threads, ..cpu::Options::default() };
        let curves = SoundLips::load(self.models, &options)?.hear(&from.load(self.cancel)?)?;
        let stored = self.cache.and_then(|cache| LipCurves::from_arrays(&cache.put(&key, curves.to_arrays())));
        Ok(ShotLips { curves: Arc::new(stored.unwrap_or(curves)), key })
    }

    /// The acoustic model that [`AudioExtractor::extract`] uses, by the checksum of its weights; `None` where there is none.
    pub fn acoustic_model(&self) -> Option<&str> {
        self.acoustic().map(|component| component.blake3.as_str())
    }

    fn acoustic(&self) -> Option<&Component> {
        self.models.find(Role::Speech, Some(&ARCHITECTURE), None).ok().map(|(_, component)| component)
    }
}

/// An acoustic model as a part of keys.
fn stands_for(model: &Component) -> String {
    format!("{} {}", model.blake3, serde_json::Value::Object(model.config.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shot::cache::DEFAULT_LIMIT;
    use crate::synthetic::{demo_sound, sound::wav};

    #[test]
    fn what_was_heard_once_is_not_decoded_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s.wav");
        std::fs::write(&file, wav(&demo_sound(20, 25.0))).unwrap();
        let cache = Cache::open(&dir.path().join("cache"), DEFAULT_LIMIT).unwrap();
        let models = ModelSet::from_folders(&[]);
        let extractor =
            AudioExtractor { models: &models, threads: 1, cache: Some(&cache), cancel: &CancelToken::default() };
        let from = AudioSource::File(&file);
        let fps = Rational::whole(25);
        let first = extractor.extract(&from, fps, 0.0).unwrap();
        assert!(!first.cached && first.conditioning.frames() == 20 && !first.conditioning.has_characters());
        let again = extractor.extract(&from, fps, -0.0).unwrap();
        assert!(again.cached && again.key == first.key && again.conditioning == first.conditioning);
        // Elsewhere, under another name, it is the same sound.
        let copy = dir.path().join("copy.wav");
        std::fs::copy(&file, &copy).unwrap();
        assert!(extractor.extract(&AudioSource::File(&copy), fps, 0.0).unwrap().cached);
        // Another gain, rate or sound is not.
        for (gain, fps) in [(6.0, fps), (0.0, Rational::new(24_000, 1_001).unwrap())] {
            let other = extractor.extract(&from, fps, gain).unwrap();
            assert!(!other.cached && other.key != first.key && other.conditioning != first.conditioning);
        }
        std::fs::write(&copy, wav(&demo_sound(19, 25.0))).unwrap();
        assert!(!extractor.extract(&AudioSource::File(&copy), fps, 0.0).unwrap().cached);
        // A damaged value is made anew.
        std::fs::write(cache.path(&first.key), b"no").unwrap();
        let anew = extractor.extract(&from, fps, 0.0).unwrap();
        assert!(!anew.cached && anew.conditioning == first.conditioning);
        let bare = AudioExtractor { cache: None, ..extractor };
        assert!(bare.extract(&from, fps, 0.0).unwrap().conditioning == first.conditioning);
    }

    #[test]
    fn a_sound_that_is_not_there_is_said() {
        let models = ModelSet::from_folders(&[]);
        let extractor = AudioExtractor { models: &models, threads: 1, cache: None, cancel: &CancelToken::default() };
        let missing = Path::new("nowhere/s.wav");
        let e = extractor.extract(&AudioSource::File(missing), Rational::whole(25), 0.0).unwrap_err();
        assert!(matches!(&e, Error::Input(text) if text.contains("nowhere/s.wav")), "{e}");
    }
}
