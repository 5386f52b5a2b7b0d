//! Which features stand where: the vectors that the official HeadGAN code makes for each frame of a video, and pyAudioAnalysis's own.

use super::Sound;
use super::mid_term::mean_and_deviation;
use super::short_term::{self, Grid, Variant, features};
use crate::media::Rational;
use crate::{Error, Result};

/// Values of a frame that come from the sound's signal.
pub const SIGNAL: usize = 84;
/// Values of a frame that say which characters are spoken around it: [`TOKENS`] frames of one of [`LETTERS`].
pub const CHARACTERS: usize = TOKENS * LETTERS;
/// Frames around a frame whose characters it gets.
pub const TOKENS: usize = 8;
/// a to z, and anything else.
pub const LETTERS: usize = 27;
/// Values of a frame that a generator gets.
pub const ALL: usize = SIGNAL + CHARACTERS;
/// Short-term windows that begin in a frame.
const PER_FRAME: usize = 16;
/// Frames that a vector covers, from its own on.
const SPAN: usize = 8;

/// Kinds of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// [`headgan84`].
    Headgan84,
    /// [`short68`].
    Short68,
    /// [`headgan300`].
    Headgan300,
}

impl Layout {
    /// Names of a vector's values, in order; of [`Layout::Headgan300`]'s characters `token_0_a` to `token_7_other`.
    pub fn names(self) -> Vec<String> {
        match self {
            Layout::Short68 => Variant::PyAudioAnalysis.names(),
            Layout::Headgan84 => {
                let names = Variant::HeadGan.names();
                ["mean", "std"].iter().flat_map(|s| names.iter().map(move |n| format!("{n}_{s}"))).collect()
            }
            Layout::Headgan300 => {
                let letters = ('a'..='z').map(String::from).chain(["other".to_owned()]);
                let letters: Vec<String> = letters.collect();
                let tokens = (0..TOKENS).flat_map(|t| letters.iter().map(move |l| format!("token_{t}_{l}")));
                Layout::Headgan84.names().into_iter().chain(tokens).collect()
            }
        }
    }
}

/// How vectors and frames of a video belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alignment {
    /// By time: windows lie where the frames are, to half a sample, however long the sound.
    Time,
    /// As the original computes: windows and steps are rounded to samples, so that vectors drift away from the frames: at 29.97 frames a
    /// second and 16 kHz a vector comes every 528 samples, a frame every 533.9.
    Original,
}

/// A vector for each frame (or window).
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    width: usize,
    values: Vec<f64>,
}

impl Features {
    /// Vectors of `width` values, one after the other.
    ///
    /// # Errors
    /// [`Error::Usage`] where the values do not make whole vectors.
    pub fn new(width: usize, values: Vec<f64>) -> Result<Features> {
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(Error::usage(format!("{} values do not make vectors of {width}", values.len())));
        }
        Ok(Features { width, values })
    }

    /// Values of a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Vectors.
    pub fn frames(&self) -> usize {
        self.values.len() / self.width
    }

    /// All values, vector by vector.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The vectors.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }

    /// All values, feature by feature: `[width, frames]`, as pyAudioAnalysis stores them.
    pub fn by_feature(&self) -> Vec<f64> {
        let n = self.frames();
        (0..self.values.len()).map(|i| self.values[i % n * self.width + i / n]).collect()
    }
}

/// How many frames of a video a sound of `samples` samples accompanies: at least one.
pub fn frames_of(samples: usize, rate: u32, fps: Rational) -> usize {
    let (num, den) = (samples as u128 * u128::from(fps.num), u128::from(rate) * u128::from(fps.den));
    usize::try_from((2 * num + den) / (2 * den)).unwrap_or(usize::MAX).max(1)
}

/// pyAudioAnalysis's 34 short-term features and their changes: 68 values every 25 ms, of windows of 50 ms.
///
/// # Errors
/// [`Error::Input`] where the sound is shorter than a window; [`Error::Interrupted`].
pub fn short68(sound: &Sound) -> Result<Features> {
    let rate = sound.rate() as usize;
    let grid = Grid::steps(rate / 20, rate / 40)?;
    whole_windows(sound, &grid)?;
    let variant = Variant::PyAudioAnalysis;
    Features::new(2 * variant.width(), features(sound, &grid, variant)?)
}

/// The official HeadGAN code's 84 values for each of `frames` frames of a video of `fps` frames a second whose first frame is shown when
/// the sound begins; without `frames` as many as the sound accompanies. They are means, then deviations, of 21 features and of their
/// changes over the windows that begin in the eight frames from this one on: they include the sound up to a third of a second ahead.
///
/// At the sound's end the windows that there are count; a frame behind it gets the vector of the last one before. A sound that is
/// silent, or, aligned by time, shorter than half a frame, gives zeros.
///
/// # Errors
/// [`Error::Usage`] for a rate so high that windows are empty; [`Error::Input`] where the original's alignment finds no window in the
/// sound; [`Error::Interrupted`].
pub fn headgan84(sound: &Sound, fps: Rational, frames: Option<usize>, alignment: Alignment) -> Result<Features> {
    let samples = sound.samples().len();
    let (grid, step, span, count) = match alignment {
        Alignment::Time => {
            let grid = Grid::frames(sound.rate(), fps)?;
            let count = frames.unwrap_or_else(|| frames_of(samples, sound.rate(), fps));
            (grid, PER_FRAME, PER_FRAME * SPAN, count)
        }
        Alignment::Original => {
            // In floats and in the original's order, as what is rounded may lie half way between two numbers.
            let size = |seconds: f64| (f64::from(sound.rate()) * seconds).round_ties_even();
            let (f, span, per_frame) = (fps.as_f64(), SPAN as f64, PER_FRAME as f64);
            let (mid_window, mid_step) = (size(span / f), size(1.0 / f));
            let (window, short_step) = (size(span / (f * per_frame)), size(1.0 / (f * per_frame)));
            let grid = Grid::steps(window as usize, short_step as usize)?;
            whole_windows(sound, &grid)?;
            let windows = |samples: f64| (samples / short_step).round_ties_even().max(1.0) as usize;
            let step = windows(mid_step);
            let count = frames.unwrap_or_else(|| grid.count(samples).div_ceil(step));
            (grid, step, windows(mid_window), count)
        }
    };
    let rows = features(sound, &grid, Variant::HeadGan)?;
    Features::new(SIGNAL, mean_and_deviation(&rows, 2 * Variant::HeadGan.width(), step, span, count))
}

/// A generator's 300 values a frame: those of [`headgan84`], then the [`CHARACTERS`] values of what an acoustic model recognised.
///
/// # Errors
/// [`Error::Usage`] where the two have other widths or not as many frames.
pub fn headgan300(signal: &Features, characters: &Features) -> Result<Features> {
    if (signal.width, characters.width) != (SIGNAL, CHARACTERS) || signal.frames() != characters.frames() {
        return Err(Error::usage(format!(
            "{} vectors of {} values and {} of {} cannot be joined: as many of {SIGNAL} and of {CHARACTERS} are needed",
            signal.frames(),
            signal.width,
            characters.frames(),
            characters.width
        )));
    }
    let values = signal.rows().zip(characters.rows()).flat_map(|(s, c)| s.iter().chain(c).copied()).collect();
    Features::new(ALL, values)
}

fn whole_windows(sound: &Sound, grid: &short_term::Grid) -> Result<()> {
    let (window, samples) = (grid.window(), sound.samples().len());
    if grid.count(samples) == 0 {
        return Err(Error::input(format!(
            "the sound has {samples} samples, fewer than the {window} of one window: record a longer one"
        )));
    }
    Ok(())
}
