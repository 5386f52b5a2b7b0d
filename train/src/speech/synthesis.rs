//! Transcribed speech made by espeak-ng: sentences of [`words`], several voices, speeds and pitches, noise.

use super::data::{MANIFEST, TRAIN, Utterance, normalize_text};
use super::espeak::{Espeak, VoiceSettings};
use super::{letters, words};
use crate::data::store::write_text;
use crate::interrupt;
use headgan::audio::Sound;
use headgan::media::atomic;
use headgan::random::Rng;
use headgan::synthetic::sound::{SAMPLE_RATE, wav};
use headgan::{Error, Result};
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

/// Accents of English that espeak-ng has; its `en` is British.
const ACCENTS: [&str; 4] = ["en-us", "en", "en-gb-x-rp", "en-gb-scotland"];
/// Accents are drawn with these; the last two are rarer.
const OFTEN: [usize; 8] = [0, 0, 0, 0, 1, 1, 2, 3];
/// Variants of voices that are trained on.
const VARIANTS: [&str; 16] =
    ["m1", "m2", "m3", "m4", "m5", "m7", "m8", "f1", "f2", "f3", "f5", "Alex", "Andy", "Annie", "belinda", "Mike"];
/// Voices that are never trained on.
const HELD_OUT: [&str; 2] = ["en-us+m6", "en-us+f4"];
/// The sets that are held out: other sentences by voices that are trained on, and by `HELD_OUT`.
pub const SENTENCES: &str = "sentences";
pub const VOICES: &str = "voices";

/// What is made.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    pub out: &'a Path,
    /// Sentences to train on.
    pub count: usize,
    /// Sentences of each set that is held out.
    pub held_out: usize,
    pub seed: u64,
    pub quiet: bool,
}

/// Makes the data set and returns how many seconds of speech it has. What a folder's manifest says before is replaced.
///
/// # Errors
/// Those of [`Espeak::load`]; [`Error::Input`] where a file cannot be written; [`Error::Interrupted`].
pub fn make(settings: &Settings) -> Result<f64> {
    let espeak = Espeak::load()?;
    let folder = settings.out.join("sounds");
    std::fs::create_dir_all(&folder)
        .map_err(|e| Error::input(format!("{}: cannot be made ({e})", folder.display())).with_source(e))?;
    let (mut manifest, mut seconds) = (String::new(), 0.0);
    let mut known = HashSet::new();
    // What is held out comes first, so that training takes other sentences.
    let sets = [(SENTENCES, settings.held_out), (VOICES, settings.held_out), (TRAIN, settings.count)];
    for (number, (set, count)) in (0u64..).zip(sets) {
        for i in 0..count {
            interrupt::check()?;
            let mut rng = Rng::from_parts(&[settings.seed, number, i as u64]);
            let mut text = words::sentence(&mut rng);
            while !known.insert(text.clone()) {
                text = words::sentence(&mut rng);
            }
            let name = format!("{set}_{i:06}.wav");
            let one = speak(&espeak, &text, set, &folder.join(&name), &mut rng)?;
            seconds += one.seconds.unwrap_or(0.0);
            let line = Utterance { sound: Path::new("sounds").join(name), ..one };
            manifest += &serde_json::to_string(&line)
                .map_err(|e| Error::engine(format!("the manifest: {e}")).with_source(e))?;
            manifest.push('\n');
            if !settings.quiet && (i + 1).is_multiple_of(1000) {
                eprintln!("headgan-train: {set}: {} of {count}", i + 1);
            }
        }
    }
    write_text(&settings.out.join(MANIFEST), &manifest)?;
    Ok(seconds)
}

/// Speaks a sentence into a file.
fn speak(espeak: &Espeak, text: &str, set: &str, path: &Path, rng: &mut Rng) -> Result<Utterance> {
    let voice = match set {
        VOICES => HELD_OUT[rng.below(HELD_OUT.len())].to_owned(),
        _ => format!("{}+{}", ACCENTS[OFTEN[rng.below(OFTEN.len())]], VARIANTS[rng.below(VARIANTS.len())]),
    };
    let mut between = |low: u32, high: u32| low + rng.below((high - low + 1) as usize) as u32;
    let voice_settings =
        VoiceSettings { voice: &voice, rate: between(90, 180), pitch: between(20, 80), range: between(20, 80) };
    let spoken = espeak.speak(text, voice_settings)?;
    let onsets = letters::onsets(text, &spoken.events);
    let sound = Sound::new(spoken.rate, spoken.samples)?.resampled(SAMPLE_RATE)?;
    let mut samples: Vec<f32> = sound.samples().iter().map(|v| *v as f32).collect();
    add_noise(&mut samples, rng);
    let bytes = wav(&samples);
    atomic::write(path, |out| out.write_all(&bytes).map_err(|e| atomic::write_error(path, e)))?;
    Ok(Utterance {
        sound: path.into(),
        text: normalize_text(text).map_err(Error::engine)?,
        set: set.into(),
        voice: Some(voice),
        seconds: Some(sound.seconds()),
        onsets: onsets.iter().map(|t| t.map(|t| (t * 1000.0).round() / 1000.0)).collect(),
    })
}

/// Another loudness, and noise: white, or with more of low than of high frequencies.
fn add_noise(samples: &mut [f32], rng: &mut Rng) {
    let power = samples.iter().map(|v| v * v).sum::<f32>() / samples.len().max(1) as f32;
    let peak = samples.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    let gain = (0.1 + 0.8 * rng.unit() as f32) / peak;
    let dark = if rng.unit() < 0.5 { 0.0 } else { 0.95 * rng.unit() as f32 };
    let decibels = 10.0 + 35.0 * rng.unit() as f32;
    // Of uniform noise of -1..1 through the filter below.
    let own = (1.0 / 3.0) * (1.0 - dark) / (1.0 + dark);
    let level = gain * (power / own).sqrt() * 10f32.powf(-decibels / 20.0);
    let mut last = 0.0;
    for v in samples {
        last = dark * last + (1.0 - dark) * rng.signed();
        *v = *v * gain + level * last;
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::SpeechDataSet;
    use super::*;

    #[test]
    fn noise_is_as_loud_as_drawn() {
        let clean: Vec<f32> = (0..32_000).map(|i| 0.3 * (0.05 * i as f32).sin()).collect();
        for seed in 0..20 {
            let mut noisy = clean.clone();
            add_noise(&mut noisy, &mut Rng(seed));
            // The gain is what fits the clean sound best.
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
            let gain = dot(&noisy, &clean) / dot(&clean, &clean);
            let rest: Vec<f32> = noisy.iter().zip(&clean).map(|(n, c)| n - gain as f32 * c).collect();
            let decibels = 10.0 * (gain * gain * dot(&clean, &clean) / dot(&rest, &rest)).log10();
            assert!((8.5..47.0).contains(&decibels), "{decibels}");
            assert!(noisy.iter().all(|v| v.abs() < 2.0));
        }
    }

    /// Needs espeak-ng; says so where it is not there.
    #[test]
    fn a_small_data_set() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { out: folder.path(), count: 6, held_out: 2, seed: 3, quiet: true };
        match make(&settings) {
            Ok(seconds) => assert!((5.0..120.0).contains(&seconds), "{seconds}"),
            Err(error) => {
                assert!(error.to_string().contains("install"), "{error}");
                eprintln!("skipped: {error}");
                return;
            }
        }
        let data = SpeechDataSet::open(folder.path()).unwrap();
        assert_eq!((data.train.len(), data.held_out[SENTENCES].len(), data.held_out[VOICES].len()), (6, 2, 2));
        for one in data.train.iter().chain(data.held_out.values().flatten()) {
            let sound = data.sound(one).unwrap();
            assert!((sound.seconds() - one.seconds.unwrap()).abs() < 1e-3);
            let timed: Vec<f64> = one.onsets.iter().flatten().copied().collect();
            assert!(2 * timed.len() > one.text.len() && timed.is_sorted(), "{one:?}");
            assert!(timed.last() < one.seconds.as_ref());
        }
        let first = std::fs::read(folder.path().join(MANIFEST)).unwrap();
        make(&settings).unwrap();
        assert!(first == std::fs::read(folder.path().join(MANIFEST)).unwrap(), "a seed gives one data set");
    }
}
