//! Log spectrograms, as deepspeech.pytorch's acoustic models hear them: windows centred on their moments, `ln(1 + magnitude)`, the whole
//! sound brought to mean 0 and deviation 1.
//!
//! The transform is that of librosa before 0.9, with which those models were trained: before its beginning and behind its end a
//! sound is mirrored. Checkpoints of its second version were trained with symmetric windows, later ones with periodic ones.

use super::Sound;
use crate::media::interrupt;
use crate::{Error, Result};
use realfft::RealFftPlanner;
use std::f64::consts::TAU;

/// 16-bit samples are divided by 32767 there, by 32768 here.
const FULL_SCALE: f64 = 32768.0 / 32767.0;
/// Longest window in samples.
const LONGEST: usize = 1 << 16;

/// Weights of a window's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    #[default]
    Hamming,
    Hann,
    Blackman,
    Bartlett,
}

impl Window {
    /// `n` weights; a periodic window's next one would be the first again, a symmetric one's last is the first.
    fn weights(self, n: usize, periodic: bool) -> Vec<f64> {
        let span = if periodic { n } else { n - 1 }.max(1) as f64;
        let at = |i: usize| {
            let x = i as f64 / span;
            match self {
                Window::Hamming => 0.54 - 0.46 * (TAU * x).cos(),
                Window::Hann => 0.5 - 0.5 * (TAU * x).cos(),
                Window::Blackman => 0.42 - 0.5 * (TAU * x).cos() + 0.08 * (2.0 * TAU * x).cos(),
                Window::Bartlett => 1.0 - (2.0 * x - 1.0).abs(),
            }
        };
        (0..n).map(at).collect()
    }
}

/// How spectrograms are made; the names are deepspeech.pytorch's.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// Samples a second; sounds of other rates are resampled.
    pub sample_rate: u32,
    /// Seconds of a window.
    pub window_size: f64,
    /// Seconds from a window to the next.
    pub window_stride: f64,
    #[serde(default)]
    pub window: Window,
    pub periodic: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config { sample_rate: 16_000, window_size: 0.02, window_stride: 0.01, window: Window::Hamming, periodic: true }
    }
}

impl Config {
    /// Samples of a window and from one to the next, cut to whole ones.
    ///
    /// # Errors
    /// [`Error::Model`] for a rate that is not worked with, and where a window or a step has no sample, or a window more than 65536.
    pub fn samples(&self) -> Result<(usize, usize)> {
        let count = |seconds: f64| (f64::from(self.sample_rate) * seconds) as usize;
        let (window, step) = (count(self.window_size), count(self.window_stride));
        if !super::RATES.contains(&self.sample_rate)
            || !(2..=LONGEST).contains(&window)
            || !(1..=LONGEST).contains(&step)
        {
            return Err(Error::Model(format!(
                "windows of {} s every {} s at {} Hz make no sense; 0.02, 0.01 and 16000 are usual",
                self.window_size, self.window_stride, self.sample_rate
            )));
        }
        Ok((window, step))
    }

    /// Values of a spectrum.
    ///
    /// # Errors
    /// As [`Config::samples`].
    pub fn bins(&self) -> Result<usize> {
        Ok(self.samples()?.0 / 2 + 1)
    }
}

/// Spectra, one for each step of a sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    bins: usize,
    /// `[bins, frames]`
    values: Vec<f32>,
}

impl Spectrogram {
    /// Values of a spectrum.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// Spectra; at least one.
    pub fn frames(&self) -> usize {
        self.values.len() / self.bins
    }

    /// All values, bin by bin: `[bins, frames]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The spectra `range`, bin by bin. The range must lie inside.
    pub fn part(&self, range: std::ops::Range<usize>) -> Vec<f32> {
        self.values.chunks_exact(self.frames()).flat_map(|bin| &bin[range.clone()]).copied().collect()
    }
}

/// The spectrogram of a sound: a spectrum at its beginning and after every step. All zeros where nothing is heard.
///
/// # Errors
/// [`Error::Model`] as [`Config::samples`], [`Error::Input`] as [`Sound::resampled`], [`Error::Interrupted`].
pub fn spectrogram(sound: &Sound, config: &Config) -> Result<Spectrogram> {
    let (window, step) = config.samples()?;
    let sound = sound.resampled(config.sample_rate)?;
    let samples = sound.samples();
    let (bins, frames) = (window / 2 + 1, 1 + samples.len() / step);
    let weights: Vec<f64> = config.window.weights(window, config.periodic).iter().map(|w| w * FULL_SCALE).collect();
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(window);
    let (mut x, mut spectrum, mut scratch) = (fft.make_input_vec(), fft.make_output_vec(), fft.make_scratch_vec());
    let mut values = vec![0.0f32; bins * frames];
    let (mut sum, mut squares) = (0.0f64, 0.0f64);
    for frame in 0..frames {
        if frame % 1024 == 0 {
            interrupt::check()?;
        }
        let first = (frame * step) as isize - (window / 2) as isize;
        for (i, (x, w)) in x.iter_mut().zip(&weights).enumerate() {
            *x = samples[mirrored(first + i as isize, samples.len())] * w;
        }
        // The lengths are the plan's own, so there is nothing that could fail.
        let _ = fft.process_with_scratch(&mut x, &mut spectrum, &mut scratch);
        for (k, c) in spectrum.iter().enumerate() {
            let v = c.norm().ln_1p();
            values[k * frames + frame] = v as f32;
            sum += v;
            squares += v * v;
        }
    }
    let n = values.len() as f64;
    let mean = sum / n;
    let deviation = ((squares - n * mean * mean).max(0.0) / (n - 1.0)).sqrt();
    let scale = if deviation > 1e-9 { 1.0 / deviation } else { 0.0 };
    values.iter_mut().for_each(|v| *v = ((f64::from(*v) - mean) * scale) as f32);
    Ok(Spectrogram { bins, values })
}

/// The sample that stands for `i`: a sound goes on as its mirror image, without its last sample twice, as often as need be.
fn mirrored(i: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let i = i.rem_euclid(period);
    i.min(period - i) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors() {
        let image: Vec<usize> = (-5..9).map(|i| mirrored(i, 4)).collect();
        assert_eq!(image, [1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]);
        assert_eq!(mirrored(-7, 1), 0);
    }

    #[test]
    fn windows() {
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(&Window::Hamming.weights(4, true), &[0.08, 0.54, 1.0, 0.54]));
        assert!(near(&Window::Hamming.weights(5, false), &[0.08, 0.54, 1.0, 0.54, 0.08]));
        assert!(near(&Window::Hann.weights(4, true), &[0.0, 0.5, 1.0, 0.5]));
        assert!(near(&Window::Bartlett.weights(5, false), &[0.0, 0.5, 1.0, 0.5, 0.0]));
        assert!(near(&Window::Blackman.weights(4, true), &[0.0, 0.34, 1.0, 0.34]));
    }

    /// A tone has its peak where it is, whatever the sound's own rate; the whole has mean 0 and deviation 1.
    #[test]
    fn a_tone() {
        for rate in [16_000, 44_100] {
            let step = TAU * 1_000.0 / f64::from(rate);
            let n = rate as usize / 2;
            let sound = Sound::new(rate, (0..n).map(|i| 0.4 * (step * i as f64).sin()).collect()).unwrap();
            let s = spectrogram(&sound, &Config::default()).unwrap();
            assert_eq!((s.bins(), s.frames()), (161, 51));
            let at = |k: usize, frame: usize| s.values()[k * 51 + frame];
            for frame in 5..45 {
                let peak = (0..161).max_by(|a, b| at(*a, frame).total_cmp(&at(*b, frame))).unwrap();
                assert_eq!(peak, 20, "{rate} Hz, {frame}");
            }
            let values = || s.values().iter().map(|v| f64::from(*v));
            let mean = values().sum::<f64>() / (161.0 * 51.0);
            let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / (161.0 * 51.0 - 1.0);
            assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
            assert_eq!(s.part(3..5), (0..161).flat_map(|k| [at(k, 3), at(k, 4)]).collect::<Vec<_>>());
        }
    }

    #[test]
    fn silence_and_single_samples() {
        for samples in [vec![0.0; 4_000], vec![0.0]] {
            let s = spectrogram(&Sound::new(16_000, samples).unwrap(), &Config::default()).unwrap();
            assert!(s.values().iter().all(|v| *v == 0.0));
        }
        let s = spectrogram(&Sound::new(16_000, vec![0.7]).unwrap(), &Config::default()).unwrap();
        assert!(s.frames() == 1 && s.values().iter().all(|v| v.is_finite()));
        let short = Config { window_size: 1e-5, ..Config::default() };
        assert!(short.bins().unwrap_err().to_string().contains("0.00001"));
        assert!(Config { window_stride: f64::NAN, ..short }.samples().is_err());
    }
}
