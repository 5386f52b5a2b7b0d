//! One step of the network that looks at lids, and the state of a run.

use super::examples::Example;
use crate::batch_norm::{BatchNormTrainer, Record};
use crate::checkpoint::Checkpoint;
use crate::run::Trainable;
use crate::spectral_weights::weights_of;
use headgan::engine::shape;
use headgan::face::lids::EyeCrop;
use headgan::nets::lids::{CHANNELS, PREFIX, SIZE, lids};
use headgan::random::Rng;
use headgan::weights::Weights;
use headgan::{Error, Result};
use headgan_torch::Shared;
use tch::{Device, Reduction, Tensor};

/// The metadata key of a checkpoint that names the regressor.
const METADATA_KEY: &str = "regressor";
/// Longest gradient that is followed as it is.
const CLIP: f64 = 5.0;
/// What makes the loss about 1 at first.
const TRUTH: f64 = 10.0;
/// How far eyes are moved in their pictures, in pixels, and scaled (a logarithm).
const SHIFT: f64 = 1.5;
const ZOOM: f64 = 0.07;

/// Eyes and how far they are closed, two items for each face.
pub struct Batch {
    /// [2n, channels, 24, 32].
    pub input: Tensor,
    /// \[2n\].
    pub closed: Tensor,
}

impl Batch {
    /// Of examples, augmented where there is a `rng`: each eye moved a little, and other light, colours and noise.
    pub fn collate(examples: &[&Example], mut rng: Option<&mut Rng>, device: Device) -> Batch {
        let n = 2 * examples.len() as i64;
        let input = examples.iter().flat_map(|example| match rng.as_deref_mut() {
            None => example.crop.input(),
            Some(rng) => augment(&example.crop, rng).input(),
        });
        let input: Vec<f32> = input.collect();
        let closed: Vec<f32> = examples.iter().flat_map(|e| e.closed).collect();
        let shape = [n, CHANNELS as i64, SIZE[0] as i64, SIZE[1] as i64];
        Batch {
            input: Tensor::from_slice(&input).reshape(shape).to_device(device),
            closed: Tensor::from_slice(&closed).to_device(device),
        }
    }
}

/// Each eye moved and scaled a little, as if the fit had been another; both in the same other light and colours.
fn augment(crop: &EyeCrop, rng: &mut Rng) -> EyeCrop {
    let light = rng.within(0.3).exp();
    let gains: [f64; 3] = std::array::from_fn(|_| light * rng.within(0.1).exp());
    let lift = 19.0 * rng.within(1.0);
    let noise = if rng.unit() < 0.5 { 10.0 * rng.unit() as f32 } else { 0.0 };
    let mut pixels = crop.pixels.each_ref().map(|pixels| jitter_eye(pixels, rng));
    for eye in &mut pixels {
        for (plane, gain) in eye.chunks_exact_mut(SIZE[0] * SIZE[1]).zip(gains) {
            for v in plane {
                *v = (gain as f32 * f32::from(*v) + lift as f32 + noise * rng.signed() + 0.5) as u8;
            }
        }
    }
    EyeCrop { pixels, hints: crop.hints }
}

/// An eye's planes, moved and scaled.
fn jitter_eye(pixels: &[u8], rng: &mut Rng) -> Vec<u8> {
    let [height, width] = SIZE;
    let zoom = rng.within(ZOOM).exp();
    let [dx, dy] = [0, 1].map(|_| rng.within(SHIFT));
    // Of each column or row: the one before, the one behind, and how far behind it is.
    let taps = |n: usize, by: f64| -> Vec<(usize, usize, f32)> {
        let middle = 0.5 * (n as f64 - 1.0);
        let tap = |i: usize| {
            let at = (middle + zoom * (i as f64 - middle) + by).clamp(0.0, n as f64 - 1.0);
            (at as usize, (at as usize + 1).min(n - 1), at.fract() as f32)
        };
        (0..n).map(tap).collect()
    };
    let (columns, rows) = (taps(width, dx), taps(height, dy));
    let mut out = Vec::with_capacity(pixels.len());
    for plane in pixels.chunks_exact(width * height) {
        for &(y0, y1, ty) in &rows {
            for &(x0, x1, tx) in &columns {
                let at = |x: usize, y: usize| f32::from(plane[y * width + x]);
                let (a, b) = (at(x0, y0), at(x0, y1));
                let (top, bottom) = (a + (at(x1, y0) - a) * tx, b + (at(x1, y1) - b) * tx);
                out.push((top + (bottom - top) * ty + 0.5) as u8);
            }
        }
    }
    out
}

/// The state of a run.
pub struct Trainer {
    pub net: BatchNormTrainer,
    /// The blake3 of the regressor whose fits it is taught with.
    of: String,
}

impl Trainer {
    /// With random weights, for a regressor's second look.
    pub fn new(seed: u64, of: &str, device: Device) -> Trainer {
        let layers = shape::layers(|ops| {
            lids(ops, &[1, CHANNELS, SIZE[0], SIZE[1]]);
        });
        // He's initialisation (https://arxiv.org/abs/1502.01852); the last layer begins in the sigmoid's middle.
        let last = format!("{PREFIX}fc");
        let gain = |layer: &str| if layer == last { 0.1 } else { 6f64.sqrt() };
        Trainer { net: BatchNormTrainer::new(layers, seed, gain, CLIP, device), of: of.to_owned() }
    }

    /// The loss of a batch, with its weight in it.
    fn losses(&self, batch: &Batch) -> [(&'static str, Tensor); 1] {
        let predicted = lids(&self.net.ops(), &Shared(batch.input.shallow_clone())).0.reshape([-1]);
        [("truth", predicted.mse_loss(&batch.closed, Reduction::Mean) * TRUTH)]
    }

    /// Goes on where a checkpoint was written.
    ///
    /// # Errors
    /// [`Error::Input`] where it is another network's, or was taught with another regressor.
    pub fn restore(&mut self, from: &Checkpoint) -> Result<()> {
        if regressor_hash(from)? != self.of {
            return Err(Error::Input(
                "the run's checkpoint was made with another regressor; choose another --out".into(),
            ));
        }
        self.net.restore(from)
    }

    /// One step at a rate. A step whose loss or gradient is not finite is skipped and counted.
    pub fn train_step(&mut self, batch: &Batch, rate: f64) -> Record {
        let before = self.net.running_statistics();
        let losses = self.losses(batch);
        self.net.optimizer_step(&before, &losses, rate)
    }
}

impl Trainable for Trainer {
    fn step(&self) -> u64 {
        self.net.step
    }
    fn checkpoint(&self) -> Result<Checkpoint> {
        let mut out = self.net.checkpoint();
        out.metadata.insert(METADATA_KEY.into(), self.of.clone());
        Ok(out)
    }
}

/// The blake3 of the regressor that a checkpoint was taught with.
///
/// # Errors
/// [`Error::Input`] where it says none.
pub fn regressor_hash(checkpoint: &Checkpoint) -> Result<&str> {
    let of = checkpoint.metadata.get(METADATA_KEY).map(String::as_str);
    of.ok_or_else(|| Error::Input("the checkpoint is none of a second look at lids".into()))
}

/// The averaged weights of a checkpoint.
///
/// # Errors
/// [`headgan::Error::Engine`] where one cannot be read.
pub fn weights(checkpoint: &Checkpoint) -> Result<Weights> {
    weights_of(checkpoint.part("average"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use headgan::nets::lids::HINTS;

    /// The further it is closed, the larger a dark part of the eye is.
    fn example(closed: [f32; 2]) -> Example {
        let [height, width] = SIZE;
        let eye = |closed: f32| {
            let line = |i: usize| {
                let row = i % (height * width) / width;
                if row as f32 > 18.0 * (1.0 - closed) && row < 18 { 40 } else { 200 }
            };
            (0..3 * height * width).map(line).collect()
        };
        Example { crop: EyeCrop { pixels: closed.map(eye), hints: [[0.1; HINTS]; 2] }, closed, portion: 0 }
    }

    fn batch(rng: Option<&mut Rng>) -> Batch {
        let all: Vec<Example> = (0..12).map(|i| example([i as f32 / 12.0, (11 - i) as f32 / 12.0])).collect();
        Batch::collate(&all.iter().collect::<Vec<_>>(), rng, Device::Cpu)
    }

    #[test]
    fn it_learns_what_it_sees_and_goes_on_where_it_stopped() {
        let (mut one, batch) = (Trainer::new(1, "its blake3", Device::Cpu), batch(None));
        let first = one.train_step(&batch, 2e-3).losses["truth"];
        (0..30).for_each(|_| drop(one.train_step(&batch, 2e-3)));
        let saved: Checkpoint = one.checkpoint().unwrap();
        let mut two = Trainer::new(2, "its blake3", Device::Cpu);
        assert!(Trainer::new(2, "another", Device::Cpu).restore(&saved).is_err());
        two.restore(&saved).unwrap();
        let (a, b) = (one.train_step(&batch, 2e-3), two.train_step(&batch, 2e-3));
        assert_eq!((a.step, &a.losses), (b.step, &b.losses));
        assert!(a.losses["truth"] < 0.3 * first, "{first} {:?}", a.losses);
        assert!(weights(&saved).unwrap().arrays.keys().all(|name| name.starts_with(PREFIX)));
    }

    #[test]
    fn spoiling_leaves_hints_and_truth_alone() {
        let (plain, augmented) = (batch(None), batch(Some(&mut Rng(4))));
        let apart = |a: Tensor, b: Tensor| (a - b).abs().max().double_value(&[]);
        assert_eq!(apart(plain.closed.shallow_clone(), augmented.closed.shallow_clone()), 0.0);
        let of = |b: &Batch, from: i64, n: i64| b.input.narrow(1, from, n);
        assert_eq!(apart(of(&plain, 6, HINTS as i64), of(&augmented, 6, HINTS as i64)), 0.0);
        assert!(apart(of(&plain, 0, 6), of(&augmented, 0, 6)) > 0.05);
        assert!(of(&augmented, 0, 6).abs().max().double_value(&[]) <= 1.0);
        // An eye is the same to itself and to the other one.
        let items = |from: i64| of(&augmented, from, 3).reshape([-1, 2, 3 * (SIZE[0] * SIZE[1]) as i64]);
        assert_eq!(apart(items(0).select(1, 0), items(3).select(1, 1)), 0.0);
    }
}
