//! Mel spectra, as the network from sound to lips takes them: how loud each of 40 bands is, every 20 ms, against how loud the sound is.
//!
//! A band's energy is counted in natural logarithms from [`RANGE`] below the sound's level, in steps of [`SCALE`]: 0 is silence. The level
//! is what the loudest twentieth of all values exceeds, so that the gain of a recording does not matter; a sound that is fainter
//! than `FAINTEST` is silence, not speech to be amplified.

use super::Sound;
use crate::nets::sound_lips::BANDS;
use crate::{Error, Result};
use realfft::RealFftPlanner;
use std::f64::consts::TAU;

/// Samples a second that sounds are brought to.
pub const RATE: u32 = 16_000;
/// Spectra a second.
pub const PER_SECOND: usize = 50;
/// Samples from one spectrum to the next.
const STEP: usize = RATE as usize / PER_SECOND;
/// Samples of a window, of which Hann's weights are the length, and of its transform.
const WINDOW: usize = 400;
const TRANSFORM: usize = 512;
/// Hz, of the lowest band's lower end and the highest one's upper end.
const BOUNDS: [f64; 2] = [60.0, 7_600.0];
/// Logarithms of energy that are told apart below the level.
pub const RANGE: f32 = 9.0;
/// What they are divided by.
pub const SCALE: f32 = 3.0;
/// The least level: about that of a tone 60 dB below full scale.
const FAINTEST: f32 = -5.0;
/// Keeps logarithms finite.
const FLOOR: f64 = 1e-10;

/// Spectra of a sound, one every 20 ms; the first is centred on the sound's beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct MelSpectra {
    /// The logarithms of the bands' energies, one spectrum behind the other.
    log: Vec<f32>,
}

impl MelSpectra {
    /// Of a sound of any rate.
    ///
    /// # Errors
    /// As [`Sound::resampled`]; [`Error::Interrupted`].
    pub fn of(sound: &Sound) -> Result<MelSpectra> {
        let sound = sound.resampled(RATE)?;
        let bands = bands();
        let fft = RealFftPlanner::<f64>::new().plan_fft_forward(TRANSFORM);
        let (mut input, mut output) = (fft.make_input_vec(), fft.make_output_vec());
        let weights: Vec<f64> = (0..WINDOW).map(|i| 0.5 - 0.5 * (TAU * i as f64 / WINDOW as f64).cos()).collect();
        let samples = sound.samples();
        let frames = samples.len() / STEP + 1;
        let mut log = Vec::with_capacity(frames * BANDS);
        for frame in 0..frames {
            if frame.is_multiple_of(1000) {
                sound.cancel.check()?;
            }
            // Before the sound and behind it there is silence.
            let at = |i: usize| (frame * STEP + i).checked_sub(WINDOW / 2).and_then(|k| samples.get(k));
            input.fill(0.0);
            for (i, (to, weight)) in input.iter_mut().zip(&weights).enumerate() {
                *to = weight * at(i).copied().unwrap_or_default();
            }
            let failed = |e| Error::engine(format!("the spectrum of a sound cannot be computed ({e})"));
            fft.process(&mut input, &mut output).map_err(failed)?;
            let energy: Vec<f64> = output.iter().map(|c| c.norm_sqr()).collect();
            for (first, band) in &bands {
                let sum: f64 = band.iter().zip(&energy[*first..]).map(|(w, e)| w * e).sum();
                log.push((sum + FLOOR).ln() as f32);
            }
        }
        Ok(MelSpectra { log })
    }

    /// Of logarithms of energies, [`BANDS`] a spectrum; `None` where they are not whole spectra.
    pub fn from_log(log: Vec<f32>) -> Option<MelSpectra> {
        (!log.is_empty() && log.len().is_multiple_of(BANDS)).then_some(MelSpectra { log })
    }

    /// How many spectra; at least one.
    pub fn frames(&self) -> usize {
        self.log.len() / BANDS
    }

    /// The logarithms of the bands' energies, one spectrum behind the other.
    pub fn log(&self) -> &[f32] {
        &self.log
    }

    /// How loud the sound is: what a twentieth of all values exceeds.
    pub fn level(&self) -> f32 {
        let mut all = self.log.clone();
        let at = all.len() * 19 / 20;
        let (_, level, _) = all.select_nth_unstable_by(at, f32::total_cmp);
        level.max(FAINTEST)
    }

    /// What the network takes, `[BANDS, frames]`.
    pub fn input(&self) -> Vec<f32> {
        let (level, frames) = (self.level(), self.frames());
        let mut out = vec![0.0; self.log.len()];
        for (frame, spectrum) in self.log.chunks_exact(BANDS).enumerate() {
            for (band, value) in spectrum.iter().enumerate() {
                out[band * frames + frame] = scaled(value - level);
            }
        }
        out
    }
}

/// A logarithm above the level, or below it, as the network takes it.
pub fn scaled(above_level: f32) -> f32 {
    (above_level + RANGE).max(0.0) / SCALE
}

/// Of each band its first bin and the weights from there on: triangles of equal width in mel.
fn bands() -> Vec<(usize, Vec<f64>)> {
    let mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
    let hz = |mel: f64| 700.0 * (10f64.powf(mel / 2595.0) - 1.0);
    let [low, high] = BOUNDS.map(mel);
    let corner = |i: usize| hz(low + (high - low) * i as f64 / (BANDS + 1) as f64);
    let width = f64::from(RATE) / TRANSFORM as f64;
    let band = |i: usize| {
        let [from, top, to] = [0, 1, 2].map(|k| corner(i + k));
        let weight = |bin: usize| {
            let at = bin as f64 * width;
            ((at - from) / (top - from)).min((to - at) / (to - top)).max(0.0)
        };
        let first = (from / width).ceil() as usize;
        let last = (to / width).floor() as usize;
        (first, (first..=last.min(TRANSFORM / 2)).map(weight).collect())
    };
    (0..BANDS).map(band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hz: f64, gain: f64) -> Sound {
        let n = rate as usize / 2;
        Sound::new(rate, (0..n).map(|i| gain * (TAU * hz * i as f64 / f64::from(rate)).sin()).collect()).unwrap()
    }

    #[test]
    fn a_tone_lies_in_its_band_however_loud() {
        let loudest = |spectra: &MelSpectra| {
            let middle = &spectra.input()[..];
            let frames = spectra.frames();
            let at = |band: usize| middle[band * frames + frames / 2];
            (0..BANDS).max_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap()
        };
        let of = |hz: f64, gain: f64, rate: u32| MelSpectra::of(&tone(rate, hz, gain)).unwrap();
        assert_eq!(of(1_000.0, 0.5, 16_000).frames(), 26);
        let [low, high] = [300.0, 3_000.0].map(|hz| loudest(&of(hz, 0.5, 16_000)));
        assert!(low < high, "{low} {high}");
        assert_eq!(loudest(&of(3_000.0, 0.05, 48_000)), high);
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let [a, b] = [0.5, 0.1].map(|gain| of(440.0, gain, 16_000).input());
        assert!(apart(&a, &b) < 0.05, "{}", apart(&a, &b));
    }

    #[test]
    fn silence_is_nothing() {
        let of = |samples: Vec<f64>| MelSpectra::of(&Sound::new(16_000, samples).unwrap()).unwrap().input();
        assert!(of(vec![0.0; 5_000]).iter().all(|v| *v == 0.0));
        let faint: Vec<f64> = (0..5_000).map(|i| 1e-5 * f64::from(i % 7)).collect();
        assert!(of(faint).iter().all(|v| *v < 1.0));
        assert!(MelSpectra::from_log(vec![0.0; BANDS + 1]).is_none());
    }
}
