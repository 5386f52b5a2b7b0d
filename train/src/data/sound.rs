//! What the clips of a data set are heard as: added to clips that are finished, so that data sets made before sound was kept get it too.

use super::store::{self, SOUND, StoredClip};
use crate::interrupt;
use headgan::audio::AudioConditioning;
use headgan::media::{Progress, Source};
use headgan::models::ModelSet;
use headgan::shot::{AudioExtractor, AudioSource, Cache};
use headgan::weights::safetensors;
use headgan::{Error, Result};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AudioSummary {
    /// Clips with sound.
    pub heard: usize,
    /// Clips without, whose frames hear zeros.
    pub silent: usize,
    /// Whether an acoustic model listened; without one the values for characters are 0.
    pub characters: bool,
    /// Why clips' sound could not be looked for or decoded, a line each.
    pub problems: Vec<String>,
}

/// Listens to every clip of a data set whose sound was not looked for yet, or by another acoustic model; the files that they were cut
/// out of lie in `clips`.
///
/// # Errors
/// [`Error::Input`] where the data set cannot be read or written, [`Error::Model`] where the acoustic model is damaged,
/// [`Error::Interrupted`]. A clip whose sound cannot be decoded hears zeros, and is told.
pub fn add_audio(
    clips: &Path,
    data: &Path,
    models: &ModelSet,
    cache: Option<&Cache>,
    quiet: bool,
) -> Result<AudioSummary> {
    let listener = AudioExtractor { models, threads: 0, cache, cancel: interrupt::token() };
    let acoustic = listener.acoustic_model().map(str::to_owned);
    let mut out = AudioSummary { characters: acoustic.is_some(), ..AudioSummary::default() };
    let stored = store::open_all(data)?;
    let mut progress = Progress::new("listening", Some(stored.len() as u64), quiet);
    // Parts of one file follow each other.
    let mut last: Option<(String, Option<Arc<AudioConditioning>>)> = None;
    for mut clip in stored {
        interrupt::check()?;
        let known = clip.metadata.sound.as_ref().is_some_and(|s| !s.heard || s.acoustic == acoustic);
        if !known {
            let of_file = match &last {
                Some((name, heard)) if *name == clip.metadata.source => heard.clone(),
                _ => {
                    let Ok(source) = Source::open(&clips.join(&clip.metadata.source).to_string_lossy()) else {
                        let text = format!("{}: its file is not in {}", clip.metadata.name, clips.display());
                        out.problems.push(text);
                        continue;
                    };
                    let heard = match audio_of_source(&listener, &source) {
                        Err(Error::Input(text)) => {
                            out.problems.push(text.to_string());
                            None
                        }
                        other => other?,
                    };
                    last = Some((clip.metadata.source.clone(), heard.clone()));
                    heard
                }
            };
            store_audio(&mut clip, of_file.as_deref(), acoustic.as_deref())?;
        }
        let heard = clip.metadata.sound.as_ref().is_some_and(|s| s.heard);
        if heard {
            out.heard += 1;
        } else {
            out.silent += 1;
        }
        progress.inc(1);
    }
    progress.finish();
    Ok(out)
}

fn audio_of_source(listener: &AudioExtractor, source: &Source) -> Result<Option<Arc<AudioConditioning>>> {
    let (Some(from), Some(fps)) = (AudioSource::from_clip(source), source.info().fps) else { return Ok(None) };
    Ok(Some(listener.extract(&from, fps, 0.0)?.conditioning))
}

/// Stores what the frames of a clip are heard as, given what the file is that it was cut out of.
fn store_audio(clip: &mut StoredClip, of_file: Option<&AudioConditioning>, acoustic: Option<&str>) -> Result<()> {
    if let Some(heard) = of_file {
        let first = clip.metadata.first;
        let mut arrays = heard.part(first..first + clip.metadata.frames).to_arrays();
        arrays.metadata.extend(acoustic.map(|model| ("acoustic".to_owned(), model.to_owned())));
        safetensors::save(&clip.folder.join(SOUND), &arrays)?;
    }
    clip.metadata.sound = Some(store::Sound { heard: of_file.is_some(), acoustic: acoustic.map(str::to_owned) });
    store::write_metadata(&clip.folder, &clip.metadata)
}

impl fmt::Display for AudioSummary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} clips with sound, {} without", self.heard, self.silent)?;
        if self.heard > 0 && !self.characters {
            write!(f, "; no acoustic model is there, so that the 216 values for characters are zeros")?;
        }
        self.problems.iter().try_for_each(|text| write!(f, "\nno sound: {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sample::tests::clip;
    use headgan::audio::layout::ALL;
    use headgan::frame::{Color, Frame};
    use headgan::media::{AudioFrom, Rational, Sink, SinkSpec};
    use headgan::synthetic::{demo_sound, sound::wav};

    /// A video of 8 grey frames, of which the clip of 6 is taken to be cut out from the third on.
    fn video(path: &Path, sound: Option<&Path>) {
        let mut spec = SinkSpec::new(32, 32, Rational::whole(25));
        spec.audio = sound.map(|path| AudioFrom { path: path.to_owned(), start: 0.0 });
        let mut sink = Sink::create(path.to_str().unwrap(), spec).unwrap();
        (0..8).for_each(|_| sink.write(&Frame::filled(32, 32, [0.5, 0.5, 0.5, 1.0], Color::Srgb)).unwrap());
        sink.finish().unwrap();
    }

    #[test]
    fn an_older_data_set_gets_its_sound() {
        if let Err(e) = headgan::media::ffmpeg::Tools::find() {
            eprintln!("skipped: {e}");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let folder = at("data/clips/drawn");
        std::fs::create_dir_all(&folder).unwrap();
        let mut old = clip(&folder);
        assert!(old.metadata.sound.is_none() && old.heard.is_none());
        old.metadata.first = 2;
        store::write_metadata(&folder, &old.metadata).unwrap();
        std::fs::create_dir_all(at("files")).unwrap();
        let models = ModelSet::from_folders(&[]);
        let run = || add_audio(&at("files"), &at("data"), &models, None, true).unwrap();

        // Without its file nothing is decided.
        let missing = run();
        assert_eq!((missing.heard, missing.silent, missing.problems.len()), (0, 0, 1));
        assert!(StoredClip::open(&folder).unwrap().metadata.sound.is_none());
        std::fs::write(at("s.wav"), wav(&demo_sound(8, 25.0))).unwrap();
        video(&at("files/drawn.mp4"), Some(&at("s.wav")));
        let found = run();
        assert_eq!((found.heard, found.silent, found.problems.len()), (1, 0, 0));
        assert!(found.to_string().contains("zeros"), "{found}");
        let now = StoredClip::open(&folder).unwrap();
        let heard = now.heard.as_ref().unwrap();
        assert_eq!((heard.frames(), heard.has_characters()), (6, false));
        // The part is where the clip is in its file.
        let from = at("files/drawn.mp4");
        let source = Source::open(from.to_str().unwrap()).unwrap();
        let listener = AudioExtractor { models: &models, threads: 0, cache: None, cancel: interrupt::token() };
        let whole = audio_of_source(&listener, &source).unwrap().unwrap();
        assert_eq!(heard.at(1.0), whole.at(3.0));
        assert!(heard.at(1.0) != [0.0; ALL] && heard.at(1.0) != heard.at(3.0));
        // It is looked for once.
        std::fs::remove_file(&from).unwrap();
        assert_eq!(run(), found);
        // Every frame of another clip hears zeros.
        let still = at("data/clips/still");
        std::fs::create_dir_all(&still).unwrap();
        clip(&still);
        video(&from, None);
        assert_eq!((run().heard, run().silent), (1, 1));
        assert!(StoredClip::open(&still).unwrap().heard.is_none());
    }
}
