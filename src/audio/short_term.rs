//! Short-term features: what a window of some milliseconds sounds like.
//!
//! Definitions, their small constants and their order are pyAudioAnalysis 0.3.14's, so that a generator trained on its features
//! gets the same values. A window is not tapered; its spectrum is the magnitude of the first half of its bins divided by their number.
//! Everything depends on the window, the one before it, and mean and peak of the whole sound.

use super::{Sound, sum};
use crate::media::Rational;
use crate::{Error, Result};
use rayon::prelude::*;
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use std::sync::Arc;

/// Features in the time domain and of the spectrum's shape.
const SHAPE: usize = 8;
/// Mel frequency cepstral coefficients.
const MFCC: usize = 13;
/// Triangles under which the spectrum is gathered for them.
const TRIANGLES: usize = 40;
/// Notes of the octave.
const NOTES: usize = 12;
/// Parts of a window, and of its spectrum, whose energies make an entropy.
const PARTS: usize = 10;
/// Share of the energy below the roll-off.
const ROLL_OFF: f64 = 0.9;
/// Keeps the scale of a sound off 0.
const PEAK_FLOOR: f64 = 1e-10;
/// Windows that a thread computes at a time.
const CHUNK: usize = 1024;

/// Whose features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// pyAudioAnalysis 0.3.14: 34 features; the sound is scaled by its peak without DC.
    PyAudioAnalysis,
    /// The official HeadGAN code's copy of it: without chroma, 21 features; scaled by the peak with DC; other small constants.
    HeadGan,
}

impl Variant {
    /// Features of a window, without their changes.
    pub fn width(self) -> usize {
        match self {
            Variant::PyAudioAnalysis => SHAPE + MFCC + NOTES + 1,
            Variant::HeadGan => SHAPE + MFCC,
        }
    }

    /// Their names, in order, then those of their changes.
    pub fn names(self) -> Vec<String> {
        let shape = [
            "zcr",
            "energy",
            "energy_entropy",
            "spectral_centroid",
            "spectral_spread",
            "spectral_entropy",
            "spectral_flux",
            "spectral_rolloff",
        ];
        let mut names: Vec<String> = shape.map(str::to_owned).into();
        names.extend((1..=MFCC).map(|i| format!("mfcc_{i}")));
        if self == Variant::PyAudioAnalysis {
            names.extend((1..=NOTES).map(|i| format!("chroma_{i}")));
            names.push("chroma_std".into());
        }
        let deltas: Vec<String> = names.iter().map(|n| format!("delta {n}")).collect();
        names.extend(deltas);
        names
    }

    fn eps(self) -> f64 {
        match self {
            Variant::PyAudioAnalysis => f64::EPSILON,
            Variant::HeadGan => 1e-8,
        }
    }
}

/// Where windows lie: window `j` begins at sample `floor((a j + b) / c)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    window: usize,
    a: i128,
    b: i128,
    c: i128,
}

impl Grid {
    /// Windows of `window` samples, every `step`.
    ///
    /// # Errors
    /// [`Error::Usage`] where a window has fewer than 2 samples or a step none.
    pub fn steps(window: usize, step: usize) -> Result<Grid> {
        if window < 2 || step == 0 {
            return Err(Error::usage(format!(
                "windows of {window} samples every {step} cannot be analysed: use a lower frame rate, or a sound of more \
                 samples a second"
            )));
        }
        Ok(Grid { window, a: step as i128, b: 0, c: 1 })
    }

    /// Windows half a frame long at sixteen moments a frame: the middle of window `j` is, within half a sample, where `(j + 4) / 16`
    /// frames have passed, however many came before.
    ///
    /// # Errors
    /// [`Error::Usage`] where half a frame is shorter than 2 samples.
    pub fn frames(rate: u32, fps: Rational) -> Result<Grid> {
        // A step is p / q samples.
        let (p, q) = (i128::from(rate) * i128::from(fps.den), 16 * i128::from(fps.num));
        let window = (16 * p + q).div_euclid(2 * q);
        Grid::steps(usize::try_from(window).unwrap_or(usize::MAX), 1)?;
        Ok(Grid { window: window as usize, a: 2 * p, b: 8 * p - window * q + q, c: 2 * q })
    }

    /// Samples of a window.
    pub fn window(&self) -> usize {
        self.window
    }

    /// First sample of window `j`.
    pub fn start(&self, j: usize) -> usize {
        (self.a * j as i128 + self.b).div_euclid(self.c).max(0) as usize
    }

    /// Windows that lie within `samples` samples.
    pub fn count(&self, samples: usize) -> usize {
        let Some(last) = samples.checked_sub(self.window) else { return 0 };
        // start(j) <= last, that is a j + b < c (last + 1).
        let room = self.c * (last as i128 + 1) - self.b;
        (room + self.a - 1).div_euclid(self.a).max(0) as usize
    }
}

/// The features of all windows of a sound: for each the features, then by how much each has changed since the window before (0 in
/// the first window), so `2 * variant.width()` values. Of a sound that [is silent](Sound::is_silent) all are 0.
///
/// Runs on all of rayon's threads; the values do not depend on how many there are.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn features(sound: &Sound, grid: &Grid, variant: Variant) -> Result<Vec<f64>> {
    let count = grid.count(sound.samples().len());
    let row = 2 * variant.width();
    let mut out = vec![0.0; count * row];
    if count == 0 || sound.is_silent() {
        return Ok(out);
    }
    let plan = Plan::new(sound, grid, variant);
    out.par_chunks_mut(CHUNK * row).enumerate().try_for_each(|(i, rows)| {
        sound.cancel.check()?;
        plan.run(i * CHUNK, rows);
        Ok(())
    })?;
    Ok(out)
}

/// What all windows of a sound share.
struct Plan<'a> {
    samples: &'a [f64],
    grid: &'a Grid,
    variant: Variant,
    mean: f64,
    /// The sound's level over its peak.
    gain: f64,
    fft: Arc<dyn RealToComplex<f64>>,
    bins: usize,
    /// Hz between bins.
    spacing: f64,
    nyquist: f64,
    triangles: Vec<Triangle>,
    cosines: Vec<[f64; TRIANGLES]>,
    chroma: Vec<Tone>,
}

/// The weights of neighbouring bins under one triangle.
struct Triangle {
    first: usize,
    weights: Vec<f64>,
}

/// One bin's part in the chroma.
struct Tone {
    note: usize,
    bin: usize,
    share: f64,
}

/// The buffers of a thread.
struct Scratch {
    time: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    fft: Vec<Complex<f64>>,
    magnitude: Vec<f64>,
    square: Vec<f64>,
    /// The magnitudes divided by their sum, of this window and the one before.
    shape: Vec<f64>,
    shape_before: Vec<f64>,
}

impl<'a> Plan<'a> {
    fn new(sound: &'a Sound, grid: &'a Grid, variant: Variant) -> Plan<'a> {
        let samples = sound.samples();
        let mean = sum(samples.len(), |i| samples[i]) / samples.len() as f64;
        let dc = match variant {
            Variant::PyAudioAnalysis => mean,
            Variant::HeadGan => 0.0,
        };
        let peak = samples.iter().fold(0.0f64, |m, v| m.max((v - dc).abs()));
        let bins = grid.window / 2;
        let rate = f64::from(sound.rate());
        let chroma = match variant {
            Variant::PyAudioAnalysis => tones(rate, bins),
            Variant::HeadGan => Vec::new(),
        };
        Plan {
            samples,
            grid,
            variant,
            mean,
            gain: sound.level / (peak + PEAK_FLOOR),
            fft: RealFftPlanner::new().plan_fft_forward(grid.window),
            bins,
            spacing: rate / (2.0 * bins as f64),
            nyquist: rate / 2.0,
            triangles: triangles(rate, bins),
            cosines: cosines(),
            chroma,
        }
    }

    /// The rows from window `first` on, as many as `out` holds.
    fn run(&self, first: usize, out: &mut [f64]) {
        let width = self.variant.width();
        let mut scratch = Scratch {
            time: self.fft.make_input_vec(),
            spectrum: self.fft.make_output_vec(),
            fft: self.fft.make_scratch_vec(),
            magnitude: vec![0.0; self.bins],
            square: vec![0.0; self.bins],
            shape: vec![0.0; self.bins],
            shape_before: vec![0.0; self.bins],
        };
        // A change needs the row before, whose flux needs the spectrum before that.
        let warm = first.saturating_sub(2);
        let mut before = vec![0.0; width];
        let mut row = vec![0.0; width];
        for j in warm..first {
            self.window(j, j == warm, &mut scratch, &mut before);
        }
        for (j, out) in (first..).zip(out.chunks_exact_mut(2 * width)) {
            self.window(j, j == warm, &mut scratch, &mut row);
            let (values, deltas) = out.split_at_mut(width);
            values.copy_from_slice(&row);
            if j > 0 {
                deltas.iter_mut().zip(&row).zip(&before).for_each(|((d, v), b)| *d = v - b);
            }
            std::mem::swap(&mut row, &mut before);
        }
    }

    /// The features of window `j`. `fresh`: there is no window before.
    fn window(&self, j: usize, fresh: bool, s: &mut Scratch, out: &mut [f64]) {
        let (n, bins, eps) = (self.grid.window, self.bins, self.variant.eps());
        let start = self.grid.start(j);
        let x = &mut s.time[..];
        for (x, v) in x.iter_mut().zip(&self.samples[start..start + n]) {
            *x = (v - self.mean) * self.gain;
        }
        out[0] = zero_crossings(x) / (n as f64 - 1.0);
        let energy = sum(n, |i| x[i] * x[i]);
        out[1] = energy / n as f64;
        let part = n / PARTS;
        out[2] = entropy(|k| sum(part, |i| x[k * part + i] * x[k * part + i]), energy, eps);

        // What all samples have in common belongs to bin 0 alone. Without it a window whose samples are alike has a spectrum of exactly
        // one bin, not of one and the transform's rounding, which the spread would take for a hiss.
        let (all, common) = (sum(n, |i| x[i]), x[0]);
        x.iter_mut().for_each(|v| *v -= common);
        // The lengths are the plan's own, so there is nothing that could fail.
        let _ = self.fft.process_with_scratch(x, &mut s.spectrum, &mut s.fft);
        s.spectrum[0] = Complex::new(all, 0.0);
        let scale = 1.0 / bins as f64;
        let (m, sq) = (&mut s.magnitude[..], &mut s.square[..]);
        for ((m, sq), c) in m.iter_mut().zip(sq.iter_mut()).zip(&s.spectrum) {
            *m = (c.re * c.re + c.im * c.im).sqrt() * scale;
            *sq = *m * *m;
        }
        let largest = m.iter().fold(0.0f64, |a, b| a.max(*b));
        let total = sum(bins, |k| m[k]);
        // Without any spectrum there is no middle of it: 0.
        let (mut centroid, mut spread) = (0.0, 0.0);
        if largest > 0.0 {
            let weight = total / largest + eps;
            let at = |k: usize| (k + 1) as f64 * self.spacing;
            centroid = sum(bins, |k| at(k) * (m[k] / largest)) / weight;
            spread = (sum(bins, |k| (at(k) - centroid).powi(2) * (m[k] / largest)) / weight).sqrt();
        }
        out[3] = centroid / self.nyquist;
        out[4] = spread / self.nyquist;
        let power = sum(bins, |k| sq[k]);
        let part = bins / PARTS;
        out[5] = entropy(|k| sum(part, |i| sq[k * part + i]), power, eps);

        let all = total + bins as f64 * eps;
        s.shape.iter_mut().zip(&*m).for_each(|(s, m)| *s = m / all);
        out[6] = if fresh { 0.0 } else { sum(bins, |k| (s.shape[k] - s.shape_before[k]).powi(2)) };
        std::mem::swap(&mut s.shape, &mut s.shape_before);

        let mut below = 0.0;
        let edge = sq.iter().position(|v| {
            below += v;
            below + eps > ROLL_OFF * power
        });
        out[7] = edge.unwrap_or(0) as f64 / bins as f64;

        let mut logs = [0.0; TRIANGLES];
        for (log, t) in logs.iter_mut().zip(&self.triangles) {
            let (w, m) = (&t.weights[..], &m[t.first..]);
            *log = (sum(w.len(), |k| w[k] * m[k]) + eps).log10();
        }
        for (out, cosines) in out[SHAPE..].iter_mut().zip(&self.cosines) {
            *out = sum(TRIANGLES, |k| cosines[k] * logs[k]);
        }

        if self.variant == Variant::PyAudioAnalysis {
            let chroma = &mut out[SHAPE + MFCC..];
            chroma.fill(0.0);
            if power > 0.0 {
                self.chroma.iter().for_each(|t| chroma[t.note] += sq[t.bin] * t.share);
                chroma[..NOTES].iter_mut().for_each(|c| *c /= power);
            }
            let mean = sum(NOTES, |k| chroma[k]) / NOTES as f64;
            chroma[NOTES] = (sum(NOTES, |k| (chroma[k] - mean).powi(2)) / NOTES as f64).sqrt();
        }
    }
}

/// How often the sign changes; a sample of exactly 0 lies half way.
fn zero_crossings(x: &[f64]) -> f64 {
    let sign = |v: f64| i32::from(v > 0.0) - i32::from(v < 0.0);
    let halves: u32 = x.windows(2).map(|w| (sign(w[1]) - sign(w[0])).unsigned_abs()).sum();
    f64::from(halves) / 2.0
}

/// Entropy, in bits, of how `total` energy spreads over the parts.
fn entropy(part: impl Fn(usize) -> f64, total: f64, eps: f64) -> f64 {
    (0..PARTS).fold(0.0, |e, k| {
        let share = part(k) / (total + eps);
        e - share * (share + eps).log2()
    })
}

/// The triangles of the scikits.talkbox toolbox: 13 spaced evenly, 27 by a constant ratio. pyAudioAnalysis gives bin `k` of `bins`
/// the frequency `k / bins * rate`, twice its own, and so do its users' models.
fn triangles(rate: f64, bins: usize) -> Vec<Triangle> {
    const LOWEST: f64 = 133.33;
    const EVEN: usize = 13;
    const SPACING: f64 = 200.0 / 3.0;
    const RATIO: f64 = 1.071_170_3;
    let corner = |i: usize| {
        let even = |i: usize| LOWEST + i as f64 * SPACING;
        if i < EVEN { even(i) } else { even(EVEN - 1) * RATIO.powf((i + 1 - EVEN) as f64) }
    };
    let n = bins as f64;
    let bin = |hertz: f64| ((hertz * n / rate).floor() as usize + 1).min(bins);
    let triangle = |i: usize| {
        let (low, middle, high) = (corner(i), corner(i + 1), corner(i + 2));
        let height = 2.0 / (high - low);
        let weight = |k: usize| {
            let hertz = k as f64 / n * rate;
            if k < bin(middle) {
                height / (middle - low) * (hertz - low)
            } else {
                height / (high - middle) * (high - hertz)
            }
        };
        Triangle { first: bin(low), weights: (bin(low)..bin(high)).map(weight).collect() }
    };
    (0..TRIANGLES).map(triangle).collect()
}

/// The first rows of the orthonormal DCT-II.
fn cosines() -> Vec<[f64; TRIANGLES]> {
    let n = TRIANGLES as f64;
    let row = |k: usize| {
        let scale = if k == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
        std::array::from_fn(|i| scale * (std::f64::consts::PI * k as f64 * (2 * i + 1) as f64 / (2.0 * n)).cos())
    };
    (0..MFCC).map(row).collect()
}

/// Which bins make the chroma. pyAudioAnalysis keeps the power of each semitone's *last* bin in a table as long as the spectrum, a
/// semitone below A0 counted from the table's end; divides entry `i` by how many bins share the semitone of bin `i`, not of entry `i`;
/// and adds up every twelfth entry.
fn tones(rate: f64, bins: usize) -> Vec<Tone> {
    const A0: f64 = 27.5;
    let n = bins as i64;
    let entry = |k: usize| {
        let hertz = (k + 1) as f64 * rate / (2.0 * bins as f64);
        (12.0 * (hertz / A0).log2()).round_ties_even() as i64
    };
    let entries: Vec<i64> = (0..bins).map(entry).collect();
    let mut last = vec![None; bins];
    for (bin, e) in entries.iter().enumerate().filter(|(_, e)| (-n..n).contains(*e)) {
        last[e.rem_euclid(n) as usize] = Some(bin);
    }
    // Semitones ascend with the bins, so those of one stand together.
    let alike = |e: i64| entries.partition_point(|v| *v <= e) - entries.partition_point(|v| *v < e);
    // Upstream looks up the count at the semitone of bin `i`, in a list that goes by bin.
    let count = |i: usize| {
        let e = entries[i];
        (-n..n).contains(&e).then(|| alike(entries[e.rem_euclid(n) as usize]) as f64)
    };
    last.iter()
        .enumerate()
        .filter_map(|(i, bin)| Some(Tone { note: i % NOTES, bin: (*bin)?, share: 1.0 / count(i)? }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    /// A chunk's rows are those that the whole has there, so threads cannot matter.
    #[test]
    fn chunks_are_independent() {
        let mut rng = Rng(3);
        let samples: Vec<f64> = (0..16_000).map(|i| rng.unit() * (i as f64 / 900.0).sin()).collect();
        let sound = Sound::new(16_000, samples).unwrap();
        for (variant, grid) in [
            (Variant::HeadGan, Grid::frames(16_000, Rational::new(30_000, 1001).unwrap()).unwrap()),
            (Variant::PyAudioAnalysis, Grid::steps(800, 40).unwrap()),
        ] {
            let row = 2 * variant.width();
            let all = features(&sound, &grid, variant).unwrap();
            let plan = Plan::new(&sound, &grid, variant);
            for first in [0, 1, 2, 3, 100, 370] {
                let mut part = vec![0.0; 5 * row];
                plan.run(first, &mut part);
                assert_eq!(part, all[first * row..][..5 * row], "{variant:?} from window {first}");
            }
        }
    }

    #[test]
    fn grids() {
        let steps = Grid::steps(320, 40).unwrap();
        assert_eq!((steps.start(0), steps.start(7)), (0, 280));
        assert_eq!([0, 319, 320, 359, 360, 176_000].map(|n| steps.count(n)), [0, 0, 1, 1, 2, 4393]);
        // At 25 frames a second and 16 kHz both kinds are the same.
        let frames = Grid::frames(16_000, Rational::whole(25)).unwrap();
        assert_eq!(frames.window(), 320);
        assert!((0..9_999).all(|j| frames.start(j) == steps.start(j)));
        for (rate, num, den) in [(44_100, 30_000, 1001), (8_000, 60_000, 1001), (11_025, 24, 1), (192_000, 50, 1)] {
            let grid = Grid::frames(rate, Rational::new(num, den).unwrap()).unwrap();
            for samples in (0..4 * grid.window()).chain([1_000_000]) {
                let count = grid.count(samples);
                assert!(count == 0 || grid.start(count - 1) + grid.window() <= samples);
                assert!(grid.start(count) + grid.window() > samples);
            }
        }
        assert!(Grid::steps(1, 1).is_err() && Grid::steps(9, 0).is_err());
        assert!(Grid::frames(8_000, Rational::whole(5_000)).is_err());
        assert!(Grid::frames(8_000, Rational { num: u32::MAX, den: 1 }).is_err());
        assert!(Grid::frames(384_000, Rational { num: 1, den: u32::MAX }).unwrap().count(usize::MAX / 2) > 0);
    }

    #[test]
    fn triangles_and_cosines() {
        for rate in [8_000.0, 44_100.0, 192_000.0] {
            let bins = (rate / 40.0) as usize;
            let t = triangles(rate, bins);
            assert!(t.iter().all(|t| t.first + t.weights.len() <= bins && t.weights.iter().all(|w| *w >= 0.0)));
        }
        let c = cosines();
        for (i, a) in c.iter().enumerate() {
            for (k, b) in c.iter().enumerate() {
                let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((product - f64::from(u8::from(i == k))).abs() < 1e-12);
            }
        }
    }
}
