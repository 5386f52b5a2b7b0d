//! Log spectrograms, as deepspeech.pytorch's acoustic models take them: windows centred on their moments, `ln(1 + magnitude)`, the whole
//! sound brought to mean 0 and deviation 1.
//!
//! The transform is that of librosa before 0.9, with which those models were trained: a sound is mirrored before its beginning and
//! behind its end. Checkpoints of its second version were trained with symmetric windows, later ones with periodic ones.

use super::Sound;
use crate::{Error, Result};
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use std::f64::consts::TAU;
use std::sync::Arc;

/// 16-bit samples are divided by 32767 there, by 32768 here.
const FULL_SCALE: f64 = 32768.0 / 32767.0;
/// Longest window in samples.
const LONGEST: usize = 1 << 16;
/// Samples that are worked on at a time.
const PIECE: usize = 1 << 16;

/// Weights of a window's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// Hamming's.
    #[default]
    Hamming,
    /// Hann's.
    Hann,
    /// Blackman's.
    Blackman,
    /// A triangle.
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
    /// What each stretch of samples is weighted with.
    #[serde(default)]
    pub window: Window,
    /// Periodic, as for spectra, instead of symmetric.
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
            return Err(Error::model(format!(
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

/// The spectrogram of a sound: a spectrum at its beginning and after every step. All zeros for a silent sound.
///
/// # Errors
/// [`Error::Model`] as [`Config::samples`], [`Error::Input`] as [`Sound::resampled`], [`Error::Interrupted`].
pub fn spectrogram(sound: &Sound, config: &Config) -> Result<Spectrogram> {
    let mut statistics = Statistics::default();
    let mut out = collect(sound, config, |spectrum, to| {
        statistics.add(spectrum);
        to.extend(spectrum.iter().map(|v| *v as f32));
    })?;
    statistics.normalise(&mut out.values);
    Ok(out)
}

/// The same by other statistics than the whole sound's.
///
/// # Errors
/// As [`spectrogram`].
pub fn spectrogram_by(sound: &Sound, config: &Config, normalisation: Normalisation) -> Result<Spectrogram> {
    let mut normaliser = Normaliser::new(normalisation);
    collect(sound, config, |spectrum, to| normaliser.add(spectrum, to))
}

/// All spectra of a sound; `each` adds one as it shall be to the end of an empty list.
fn collect(sound: &Sound, config: &Config, mut each: impl FnMut(&[f64], &mut Vec<f32>)) -> Result<Spectrogram> {
    let mut spectra = Spectra::new(config)?;
    let sound = sound.resampled(config.sample_rate)?;
    let (bins, frames) = (config.bins()?, 1 + sound.samples().len() / spectra.step);
    let (mut values, mut frame, mut one) = (vec![0.0f32; bins * frames], 0, Vec::with_capacity(bins));
    let mut keep = |spectrum: &[f64]| {
        one.clear();
        each(spectrum, &mut one);
        values[frame..].iter_mut().step_by(frames).zip(&one).for_each(|(to, v)| *to = *v);
        frame += 1;
    };
    for chunk in sound.samples().chunks(PIECE) {
        sound.cancel.check()?;
        spectra.push(chunk, &mut keep);
    }
    spectra.finish(&mut keep);
    Ok(Spectrogram { bins, values })
}

/// The mean and deviation that normalise spectra. Acoustic models are trained on sounds that are normalised as a whole; in a stream
/// these statistics are unknown before its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Normalisation {
    /// Those of the whole sound, from a first pass over it.
    Known(Statistics),
    /// Those of the samples so far: each spectrum and all before it. The model's input then differs from that of the whole sound, most at
    /// the beginning; docs/USER_GUIDE.md, "Speech", says how much.
    Running,
}

/// Normalises spectra as they come.
pub(super) struct Normaliser {
    statistics: Statistics,
    running: bool,
}

impl Normaliser {
    pub(super) fn new(normalisation: Normalisation) -> Normaliser {
        match normalisation {
            Normalisation::Known(statistics) => Normaliser { statistics, running: false },
            Normalisation::Running => Normaliser { statistics: Statistics::default(), running: true },
        }
    }

    /// Adds a spectrum to the end of `to`.
    pub(super) fn add(&mut self, spectrum: &[f64], to: &mut Vec<f32>) {
        if self.running {
            self.statistics.add(spectrum);
        }
        let from = to.len();
        to.extend(spectrum.iter().map(|v| *v as f32));
        self.statistics.normalise(&mut to[from..]);
    }
}

/// Mean and deviation of the values of spectra, gathered as they come.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Statistics {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Statistics {
    /// Those of a whole sound, at the configuration's rate or another.
    ///
    /// # Errors
    /// As [`spectrogram`].
    pub fn from_sound(sound: &Sound, config: &Config) -> Result<Statistics> {
        let (mut spectra, mut out) = (Spectra::new(config)?, Statistics::default());
        for chunk in sound.resampled(config.sample_rate)?.samples().chunks(PIECE) {
            sound.cancel.check()?;
            spectra.push(chunk, |spectrum| out.add(spectrum));
        }
        spectra.finish(|spectrum| out.add(spectrum));
        Ok(out)
    }

    /// Takes a spectrum as [`Spectra`] gives it into account.
    pub fn add(&mut self, spectrum: &[f64]) {
        self.count += spectrum.len() as f64;
        for v in spectrum {
            self.sum += v;
            self.squares += v * v;
        }
    }

    /// 0 of nothing.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }

    /// That of a sample; 0 of fewer than two values.
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        ((self.squares - self.count * mean * mean).max(0.0) / (self.count - 1.0).max(1.0)).sqrt()
    }

    /// Brings values to mean 0 and deviation 1; to zeros where all values so far are alike.
    pub fn normalise(&self, values: &mut [f32]) {
        let (mean, deviation) = (self.mean(), self.deviation());
        let scale = if deviation > 1e-9 { 1.0 / deviation } else { 0.0 };
        values.iter_mut().for_each(|v| *v = ((f64::from(*v) - mean) * scale) as f32);
    }
}

/// Spectra of a sound that comes in chunks, before they are normalised: those of [`spectrogram`], each as soon as the samples that it
/// is made of are there. It remembers no more than a window.
///
/// A first pass over a sound that does not fit into memory:
///
/// ```
/// use headgan::audio::spectrogram::{Config, Spectra, Statistics};
/// # let chunks = [vec![0.25; 1_000], vec![-0.5; 70]];
/// let (mut spectra, mut statistics) = (Spectra::new(&Config::default())?, Statistics::default());
/// for chunk in &chunks {
///     spectra.push(chunk, |spectrum| statistics.add(spectrum));
/// }
/// spectra.finish(|spectrum| statistics.add(spectrum));
/// # assert!(statistics.deviation() > 0.0);
/// # Ok::<(), headgan::Error>(())
/// ```
pub struct Spectra {
    step: usize,
    /// Of a window's samples.
    weights: Vec<f64>,
    fft: Arc<dyn RealToComplex<f64>>,
    x: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
    magnitudes: Vec<f64>,
    /// The last samples, and how many there were before them.
    kept: Vec<f64>,
    gone: usize,
    /// Spectra made.
    made: usize,
}

impl Spectra {
    /// A stream without samples yet.
    ///
    /// # Errors
    /// As [`Config::samples`].
    pub fn new(config: &Config) -> Result<Spectra> {
        let (window, step) = config.samples()?;
        let weights = config.window.weights(window, config.periodic).iter().map(|w| w * FULL_SCALE).collect();
        let fft = RealFftPlanner::<f64>::new().plan_fft_forward(window);
        Ok(Spectra {
            step,
            weights,
            x: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            magnitudes: vec![0.0; window / 2 + 1],
            fft,
            kept: Vec::new(),
            gone: 0,
            made: 0,
        })
    }

    /// Takes the next samples, at the configuration's rate and of full scale 1; `each` is given the spectra that they settle, in
    /// order: `ln(1 + magnitude)` of each bin.
    pub fn push(&mut self, samples: &[f64], mut each: impl FnMut(&[f64])) {
        for piece in samples.chunks(PIECE) {
            self.kept.extend_from_slice(piece);
            let (known, half) = (self.gone + self.kept.len(), self.weights.len() / 2);
            // The first one's mirror image reaches as far back as it itself reaches ahead.
            while self.made * self.step + half < known {
                self.make(known, &mut each);
            }
            // At its end the sound is mirrored too, of odd windows from two samples before it.
            let needed = (self.made * self.step).min(known.saturating_sub(2)).saturating_sub(half);
            self.kept.drain(..needed - self.gone);
            self.gone = needed;
        }
    }

    /// There are no more samples: the rest of the spectra. None where there never were any.
    pub fn finish(mut self, mut each: impl FnMut(&[f64])) {
        let known = self.gone + self.kept.len();
        while known > 0 && self.made * self.step <= known {
            self.make(known, &mut each);
        }
    }

    /// The next spectrum of a sound of which `known` samples are there; behind them it is mirrored.
    fn make(&mut self, known: usize, each: &mut impl FnMut(&[f64])) {
        let first = (self.made * self.step) as isize - (self.weights.len() / 2) as isize;
        for (i, (x, w)) in self.x.iter_mut().zip(&self.weights).enumerate() {
            *x = self.kept[mirrored(first + i as isize, known) - self.gone] * w;
        }
        // The lengths are the plan's own, so there is nothing that could fail.
        let _ = self.fft.process_with_scratch(&mut self.x, &mut self.spectrum, &mut self.scratch);
        for (v, c) in self.magnitudes.iter_mut().zip(&self.spectrum) {
            *v = c.norm().ln_1p();
        }
        each(&self.magnitudes);
        self.made += 1;
    }
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
    use crate::random::Rng;

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

    /// Spectra by definition, of sounds that are shorter and longer than a window, for windows of even and odd numbers of samples and
    /// steps below and above them.
    #[test]
    fn spectra_in_chunks() {
        for (window, step) in [(16, 8), (9, 4), (8, 20), (7, 10), (33, 5), (5, 1)] {
            // The half beside a whole number keeps a division from falling just below it.
            let seconds = |samples: usize| (samples as f64 + 0.5) / 8_000.0;
            let config = Config {
                sample_rate: 8_000,
                window_size: seconds(window),
                window_stride: seconds(step),
                ..Config::default()
            };
            assert_eq!(config.samples().unwrap(), (window, step));
            let weights = Window::Hamming.weights(window, true);
            for n in [1, 2, 3, 4, 5, 8, 9, 10, 16, 17, 20, 40, 41, 100] {
                let samples: Vec<f64> = Rng(n as u64).vec(n).iter().map(|v| f64::from(*v)).collect();
                let expected: Vec<f64> = (0..=n / step)
                    .flat_map(|frame| (0..=window / 2).map(move |bin| (frame, bin)))
                    .map(|(frame, bin)| {
                        let (mut re, mut im) = (0.0, 0.0);
                        for (i, w) in weights.iter().enumerate() {
                            let at = (frame * step + i) as isize - (window / 2) as isize;
                            let (v, turn) = (samples[mirrored(at, n)] * w, TAU * (bin * i) as f64 / window as f64);
                            (re, im) = (re + v * turn.cos(), im - v * turn.sin());
                        }
                        (FULL_SCALE * f64::hypot(re, im)).ln_1p()
                    })
                    .collect();
                for chunk in [1, 7, 1_000] {
                    let (mut spectra, mut got) = (Spectra::new(&config).unwrap(), Vec::new());
                    for (i, part) in samples.chunks(chunk).enumerate() {
                        spectra.push(part, |spectrum| got.extend_from_slice(spectrum));
                        let heard = n.min((i + 1) * chunk);
                        let settled = heard.saturating_sub(window / 2).div_ceil(step);
                        assert_eq!(got.len(), settled * (window / 2 + 1), "of {heard} samples");
                        assert!(spectra.kept.len() <= window + 2);
                    }
                    spectra.finish(|spectrum| got.extend_from_slice(spectrum));
                    assert_eq!(got.len(), expected.len(), "{n} samples, windows of {window} every {step}");
                    let apart = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(apart < 1e-12, "{n} samples, windows of {window} every {step}: {apart}");
                }
            }
        }
        Spectra::new(&Config::default()).unwrap().finish(|_| panic!("nothing was heard"));
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
