//! One step of the network from sound to lips, and the state of a run.

use super::sample::Batch;
use crate::batch_norm::{BatchNormTrainer, Record};
use crate::checkpoint::Checkpoint;
use crate::run::Trainable;
use crate::spectral_weights::weights_of;
use headgan::Result;
use headgan::engine::shape;
use headgan::nets::sound_lips::{BANDS, LAST, sound_lips};
use headgan::weights::Weights;
use headgan_torch::Shared;
use tch::{Device, Kind, Tensor};

/// Longest gradient that is followed as it is.
const CLIP: f64 = 5.0;
/// A usual deviation of gaps, and of shapes.
const USUAL: [f64; 2] = [0.07, 0.12];
/// Weights of the losses.
const FOLLOWS: f64 = 1.0;
const MOVES: f64 = 0.3;
const SIZE: f64 = 0.3;
const SHAPES: f64 = 0.3;

/// The state of a run.
pub struct Trainer {
    pub net: BatchNormTrainer,
    width: usize,
}

/// One less the correlation of the two in each sample, where they are seen; the mean of samples in which the truth moves.
fn apart(predicted: &Tensor, truth: &Tensor, seen: &Tensor, least: f64) -> Tensor {
    let n = seen.sum_dim_intlist(-1, true, Kind::Float) + 1e-3;
    let mean = |x: &Tensor| (x * seen).sum_dim_intlist(-1, true, Kind::Float) / &n;
    let (p, t) = (predicted - mean(predicted), truth - mean(truth));
    let (pp, tt, pt) = (mean(&(&p * &p)), mean(&(&t * &t)), mean(&(&p * &t)));
    let r = pt / ((pp + 1e-6) * (&tt + 1e-6)).sqrt();
    let counts = tt.gt(least * least).to_kind(Kind::Float);
    let off: Tensor = (-r + 1.0) * &counts;
    off.sum(Kind::Float) / (counts.sum(Kind::Float) + 1e-3)
}

impl Trainer {
    /// With random weights.
    pub fn new(width: usize, seed: u64, device: Device) -> Trainer {
        let layers = shape::layers(|ops| {
            sound_lips(ops, width, &[1, BANDS, 1, 16]);
        });
        let gain = |layer: &str| if layer == LAST { 0.1 } else { 6f64.sqrt() };
        Trainer { net: BatchNormTrainer::new(layers, seed, gain, CLIP, device), width }
    }

    /// The losses of a batch, with their weights in them: how the gap follows, how its changes do, how large it is, and the shapes.
    fn losses(&self, batch: &Batch) -> [(&'static str, Tensor); 4] {
        let out = sound_lips(&self.net.ops(), self.width, &Shared(batch.input.shallow_clone())).0;
        let (seen, truth) = (&batch.seen, &batch.truth);
        let (gap, wanted) = (out.narrow(1, 0, 1), truth.narrow(1, 0, 1));
        let n = gap.size()[3];
        // Over 60 ms: fits shake.
        let change = |x: &Tensor| x.narrow(3, 3, n - 3) - x.narrow(3, 0, n - 3);
        let both = seen.narrow(3, 3, n - 3) * seen.narrow(3, 0, n - 3);
        let off = |a: Tensor, b: Tensor, usual: f64| {
            let d: Tensor = ((a - b) / usual) * seen;
            let soft: Tensor = &d * &d / (d.abs() + 1.0);
            soft.mean(Kind::Float)
        };
        let shapes = out.size()[1] - 1;
        [
            ("follows", apart(&gap, &wanted, seen, 0.02) * FOLLOWS),
            ("moves", apart(&change(&gap), &change(&wanted), &both, 0.02) * MOVES),
            ("size", off(gap, wanted, USUAL[0]) * SIZE),
            ("shapes", off(out.narrow(1, 1, shapes), truth.narrow(1, 1, shapes), USUAL[1]) * SHAPES),
        ]
    }

    /// Goes on where a checkpoint was written.
    ///
    /// # Errors
    /// [`headgan::Error::Input`] where it is another network's.
    pub fn restore(&mut self, from: &Checkpoint) -> Result<()> {
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
        Ok(self.net.checkpoint())
    }
}

/// The averaged weights of a checkpoint.
///
/// # Errors
/// [`headgan::Error::Engine`] where one cannot be read.
pub fn weights(checkpoint: &Checkpoint) -> Result<Weights> {
    weights_of(checkpoint.part("average"))
}
