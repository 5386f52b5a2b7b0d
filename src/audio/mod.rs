//! Sound, and the audio values that a generator takes.
//!
//! This module turns sound into numbers. The acoustic model's layers are in [`crate::nets`], the sound of a shot and its cache in
//! [`crate::shot::audio`].
//!
//! * [`decode`]: files and videos as a [`Sound`]; [`resample`].
//! * [`short_term`]: features of windows of some milliseconds, as pyAudioAnalysis defines them.
//! * [`mid_term`]: their means and deviations over the windows around a moment.
//! * [`layout`]: the order of these features for each frame of a video.
//! * [`spectrogram`], [`speech`], [`ctc`]: the input of an acoustic model, and the characters that it recognises, with their times;
//!   [`windows`]: the characters around each frame.
//! * [`conditioning`]: all of these values for every frame of a shot, as a generator takes them.
//! * [`mel`], [`lips`]: what lips do while a sound is heard.
//!
//! T. Giannakopoulos, "pyAudioAnalysis: An Open-Source Python Library for Audio Signal Analysis", PLoS ONE 10(12), 2015.

pub mod conditioning;
pub mod ctc;
pub mod decode;
mod edits;
pub mod layout;
pub mod lips;
pub mod mel;
pub mod mid_term;
pub mod resample;
pub mod short_term;
pub mod spectrogram;
pub mod speech;
pub mod windows;

pub use conditioning::AudioConditioning;
pub use layout::{Alignment, Features, Layout, headgan84, headgan300, short68};

use crate::{CancelToken, Error, Result};
use std::ops::RangeInclusive;

/// Sample rates that are worked with, in Hz.
pub const RATES: RangeInclusive<u32> = 8_000..=384_000;
/// Most samples of a sound: 4 GiB, three hours at 48 kHz.
pub const MAX_SAMPLES: usize = 1 << 29;
/// Largest sample. Full scale is 1; more than this is no sound but damage, and its square need not be a number.
const LARGEST: f64 = 1e30;

/// A mono sound.
#[derive(Debug, Clone)]
pub struct Sound {
    rate: u32,
    samples: Vec<f64>,
    /// What its features are multiplied with once its peak is 1.
    level: f64,
    /// Ends long work on it.
    cancel: CancelToken,
}

impl PartialEq for Sound {
    fn eq(&self, other: &Sound) -> bool {
        (self.rate, self.level) == (other.rate, other.level) && self.samples == other.samples
    }
}

impl Sound {
    /// Samples at `rate` Hz. Full scale is 1: a sample of 16 bits is its value divided by 32768.
    ///
    /// # Errors
    /// [`Error::Input`] for a rate outside [`RATES`], no samples, more than [`MAX_SAMPLES`], or one that is no number.
    pub fn new(rate: u32, samples: Vec<f64>) -> Result<Sound> {
        check_rate(rate)?;
        if samples.is_empty() {
            return Err(Error::Input("the sound has no samples: record or export it again".into()));
        }
        if samples.len() > MAX_SAMPLES {
            return Err(too_long());
        }
        check_samples(&samples)?;
        Ok(Sound { rate, samples, level: 1.0, cancel: CancelToken::default() })
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// The samples; at least one.
    pub fn samples(&self) -> &[f64] {
        &self.samples
    }

    /// The same sound with a gain of `decibels` for its features. Features are computed at a peak of 1, so the level of the samples does
    /// not matter; an acoustic model normalises every sound and ignores the gain.
    pub fn louder(self, decibels: f64) -> Sound {
        Sound { level: self.level * 10f64.powf(decibels / 20.0), ..self }
    }

    /// The same sound; decoding, features and speech of it end with [`Error::Interrupted`] once `cancel` is cancelled.
    pub fn cancelled_by(self, cancel: &CancelToken) -> Sound {
        Sound { cancel: cancel.clone(), ..self }
    }

    /// How long it lasts.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }

    /// Whether the sound is silent: all samples are alike.
    pub fn is_silent(&self) -> bool {
        self.samples.iter().all(|v| *v == self.samples[0])
    }
}

fn check_rate(rate: u32) -> Result<()> {
    let (low, high) = (RATES.start(), RATES.end());
    if RATES.contains(&rate) {
        return Ok(());
    }
    Err(Error::input(format!(
        "{rate} samples a second are not worked with, {low} to {high} are: convert the sound to 48000"
    )))
}

fn check_samples(samples: &[f64]) -> Result<()> {
    match samples.iter().position(|v| v.is_nan() || v.abs() > LARGEST) {
        Some(i) => Err(Error::input(format!("sample {i} of the sound is {}: export the sound again", samples[i]))),
        None => Ok(()),
    }
}

fn too_long() -> Error {
    Error::input(format!("the sound has more than {MAX_SAMPLES} samples: cut it into parts"))
}

/// Adds `f(0)` to `f(n - 1)` in four lanes: faster than one after the other, and nearer to the truth.
fn sum(n: usize, f: impl Fn(usize) -> f64) -> f64 {
    let mut lanes = [0.0; 4];
    let whole = n - n % 4;
    for i in (0..whole).step_by(4) {
        for (k, lane) in lanes.iter_mut().enumerate() {
            *lane += f(i + k);
        }
    }
    (whole..n).fold((lanes[0] + lanes[1]) + (lanes[2] + lanes[3]), |s, i| s + f(i))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_sound() {
        assert!(Sound::new(44_100, vec![0.0]).is_ok());
        for (rate, samples, says) in [
            (7_999, vec![0.0], "7999"),
            (400_000, vec![0.0], "400000"),
            (44_100, vec![], "no samples"),
            (44_100, vec![0.0, f64::NAN], "sample 1"),
            (44_100, vec![f64::NEG_INFINITY], "sample 0"),
        ] {
            let e = Sound::new(rate, samples).unwrap_err();
            assert!(matches!(&e, Error::Input(text) if text.contains(says)), "{e}");
        }
        assert!(Sound::new(8_000, vec![0.5; 3]).unwrap().is_silent());
        assert!(!Sound::new(8_000, vec![0.5, 0.25]).unwrap().is_silent());
    }

    #[test]
    fn lanes_add_up() {
        for n in 0..11 {
            assert_eq!(sum(n, |i| i as f64), (n * n.saturating_sub(1) / 2) as f64);
        }
    }
}
