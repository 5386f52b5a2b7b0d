//! What a step sees: two seconds of a clip's spectra, spoiled, and what the lips do meanwhile.

use super::store::{SHAPES, SpokenClip};
use headgan::audio::mel::{PER_SECOND, RANGE, scaled};
use headgan::nets::sound_lips::{BANDS, OUTPUTS};
use headgan::random::Rng;
use tch::{Device, Tensor};

/// Moments of a sample.
pub const MOMENTS: usize = 100;
/// How often a sample is silent: lips that hear nothing are closed.
const SILENT: f64 = 0.04;
/// How much faster or slower speech is played (a logarithm).
const TEMPO: f64 = 0.1;
/// By how much bands are moved: a share of their number, as a throat of another length does it, and bands.
const THROAT: [f64; 2] = [0.08, 1.0];
/// Most of what a recording's tone changes of a band's energy, logarithms.
const TONE: f64 = 1.5;
/// Levels of noise, below the sound's.
const NOISE: [f64; 2] = [2.5, 9.0];
/// Most bands, and moments, that are hidden.
const HIDDEN: [usize; 2] = [6, 8];

/// Samples, one behind the other.
pub struct Batch {
    /// [n, [`BANDS`], 1, [`MOMENTS`]].
    pub input: Tensor,
    /// [n, [`OUTPUTS`], 1, [`MOMENTS`]].
    pub truth: Tensor,
    /// 1 where the face was seen, [n, 1, 1, [`MOMENTS`]].
    pub seen: Tensor,
}

/// A sample's values, in the order of [`Batch`].
struct Sample {
    input: Vec<f32>,
    truth: Vec<f32>,
    seen: Vec<f32>,
}

impl Batch {
    /// `n` samples of clips; longer clips are seen more often.
    pub fn draw(clips: &[&SpokenClip], n: usize, rng: &mut Rng, device: Device) -> Batch {
        let total: usize = clips.iter().map(|c| c.gap.len()).sum();
        let mut all = Sample { input: Vec::new(), truth: Vec::new(), seen: Vec::new() };
        for _ in 0..n {
            let mut at = rng.below(total.max(1));
            let chosen = clips.iter().find(|c| {
                let within = at < c.gap.len();
                at = at.saturating_sub(c.gap.len());
                within
            });
            let Some(clip) = chosen.or(clips.last()) else { continue };
            let one = sample(clip, rng);
            all.input.extend(one.input);
            all.truth.extend(one.truth);
            all.seen.extend(one.seen);
        }
        let n = n as i64;
        let tensor = |values: &[f32], channels: usize| {
            Tensor::from_slice(values).reshape([n, channels as i64, 1, MOMENTS as i64]).to_device(device)
        };
        Batch { input: tensor(&all.input, BANDS), truth: tensor(&all.truth, OUTPUTS), seen: tensor(&all.seen, 1) }
    }
}

/// Between rows of a table, at a place that may lie outside it: its ends stay.
fn between(at: f64, rows: usize, value: impl Fn(usize) -> f32) -> f32 {
    let at = at.clamp(0.0, rows.saturating_sub(1) as f64);
    let (below, share) = (at as usize, at.fract() as f32);
    let a = value(below);
    a + share * (value((below + 1).min(rows - 1)) - a)
}

fn sample(clip: &SpokenClip, rng: &mut Rng) -> Sample {
    let (log, frames) = (clip.spectra.log(), clip.spectra.frames());
    let tempo = rng.within(TEMPO).exp();
    let spare = (frames as f64 - tempo * MOMENTS as f64).max(0.0);
    let start = spare * rng.unit();
    let moment = |t: usize| start + tempo * t as f64;
    let silent = rng.unit() < SILENT;

    let level = clip.spectra.level();
    let (stretch, shift) = (1.0 + rng.within(THROAT[0]), rng.within(THROAT[1]));
    let tone: [f64; 4] = std::array::from_fn(|_| rng.within(TONE / 2.0));
    let noisy = silent || rng.unit() < 0.5;
    let noise = -(NOISE[0] + (NOISE[1] - NOISE[0]) * rng.unit());
    let slope = rng.within(2.0);
    let mut input = vec![0.0; BANDS * MOMENTS];
    for band in 0..BANDS {
        let from = (band as f64 * stretch + shift).clamp(0.0, BANDS as f64 - 1.0);
        let x = band as f64 / (BANDS - 1) as f64;
        let colour: f64 = tone.iter().enumerate().map(|(k, a)| a * (std::f64::consts::PI * k as f64 * x).cos()).sum();
        for t in 0..MOMENTS {
            let at = |frame: usize| between(from, BANDS, |b| log[frame * BANDS + b]);
            let mut value = between(moment(t), frames, at) - level + colour as f32;
            if silent {
                value = -RANGE;
            }
            if noisy {
                let hiss = (noise + slope * (x - 0.5)) as f32 + 0.7 * rng.signed();
                let top = value.max(hiss);
                value = top + (-(value - hiss).abs()).exp().ln_1p();
            }
            input[band * MOMENTS + t] = scaled(value);
        }
    }
    for (axis, most) in HIDDEN.into_iter().enumerate() {
        if rng.unit() < 0.3 {
            let size = if axis == 0 { BANDS } else { MOMENTS };
            let n = 1 + rng.below(most);
            let first = rng.below(size - n);
            for (i, v) in input.iter_mut().enumerate() {
                let at = if axis == 0 { i / MOMENTS } else { i % MOMENTS };
                if (first..first + n).contains(&at) {
                    *v = 0.0;
                }
            }
        }
    }

    let n = clip.gap.len();
    let (mut truth, mut seen) = (vec![0.0; OUTPUTS * MOMENTS], vec![1.0; MOMENTS]);
    if !silent {
        for t in 0..MOMENTS {
            let frame = moment(t) / PER_SECOND as f64 * clip.note.fps;
            let known = frame <= (n - 1) as f64 && between(frame, n, |i| clip.confidence[i].signum()) > 0.99;
            seen[t] = f32::from(u8::from(known));
            truth[t] = between(frame, n, |i| clip.gap[i]);
            for k in 0..SHAPES {
                truth[(1 + k) * MOMENTS + t] = between(frame, n, |i| clip.shapes[i][k]);
            }
        }
    }
    Sample { input, truth, seen }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lips::store::ClipNote;
    use headgan::audio::mel::MelSpectra;

    pub(crate) fn clip(seed: u64, frames: usize) -> SpokenClip {
        let mut rng = Rng(seed);
        let mut open = 0.0f32;
        let gap: Vec<f32> = (0..frames)
            .map(|i| {
                if i % 5 == 0 {
                    open = 0.1 * rng.signed().abs();
                }
                open
            })
            .collect();
        let log = (0..2 * frames).flat_map(|t| (0..BANDS).map(move |b| (t / 2, b)));
        let log = log.map(|(f, b)| 30.0 * gap[f] - 0.1 * b as f32).collect();
        let shapes = gap.iter().map(|g| [3.0 * g; SHAPES]).collect();
        let note = ClipNote {
            name: format!("c{seed}"),
            person: format!("p{seed}"),
            held: false,
            clean: true,
            fps: 25.0,
            agreement: 1.0,
            rejected: None,
        };
        let confidence = vec![0.9; frames];
        SpokenClip { note, spectra: MelSpectra::from_log(log).unwrap(), gap, shapes, confidence }
    }

    #[test]
    fn a_sample_follows_from_its_numbers_and_is_as_it_should() {
        let clips = [clip(1, 80), clip(2, 30)];
        let clips: Vec<&SpokenClip> = clips.iter().collect();
        let draw = |seed: u64| Batch::draw(&clips, 6, &mut Rng(seed), Device::Cpu);
        let (a, b) = (draw(4), draw(4));
        assert_eq!(a.input.size(), [6, BANDS as i64, 1, MOMENTS as i64]);
        let apart = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        assert_eq!((apart(&a.input, &b.input), apart(&a.truth, &b.truth)), (0.0, 0.0));
        assert!(apart(&a.input, &draw(5).input) > 0.1);
        assert!(a.input.min().double_value(&[]) >= 0.0 && a.truth.max().double_value(&[]) <= 0.31);
        // A clip of 1.2 s ends within a sample.
        let short = Batch::draw(&clips[1..], 4, &mut Rng(1), Device::Cpu);
        let seen = short.seen.mean(tch::Kind::Float).double_value(&[]);
        assert!((0.4..0.9).contains(&seen), "{seen}");
    }
}
