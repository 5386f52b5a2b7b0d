//! What lips do while a sound is heard: from mel spectra to the gap of the lips and the shapes around it, a moment at a time.
//!
//! Convolutions along time alone: what comes out at a moment depends on the spectra within [`REACH`] of it, so a sound may be cut anywhere
//! else and gives the same.

use crate::engine::{Act, Conv, Ops};
use crate::weights::Weights;
use crate::{Error, Result};

/// Values of a spectrum ([`crate::audio::mel`]).
pub const BANDS: usize = 40;
/// What comes out of a moment: the gap, then the shapes ([`crate::morphable::arkit::spoken`] says which).
pub const OUTPUTS: usize = 16;
/// Convolutions that see neighbours.
const LAYERS: usize = 4;
/// Spectra that each of them sees.
const KERNEL: usize = 7;
/// How many spectra before and behind its own a moment depends on.
pub const REACH: usize = LAYERS * (KERNEL / 2);
/// Epsilon of every batch norm of the network.
const EPS: f32 = 1e-5;
/// The layer that comes last.
pub const LAST: &str = "out";

/// Channels of the layers that weights have.
///
/// # Errors
/// [`Error::Model`] where they are not this network's.
pub fn width(weights: &Weights) -> Result<usize> {
    let width = weights.get("conv1.weight").map_or(0, |a| a.shape.first().copied().unwrap_or_default());
    if (1..=4096).contains(&width) {
        return Ok(width);
    }
    Err(Error::model("the file has no layer 'conv1' as a network from sound to lips has it; this is another network"))
}

/// The network on `x`, `[n, BANDS, 1, t]`. Returns `[n, OUTPUTS, 1, t]`.
pub fn sound_lips<O: Ops>(ops: &O, width: usize, x: &O::Tensor) -> O::Tensor {
    let conv = Conv { kernel: (1, KERNEL), pad: (0, KERNEL / 2), ..Conv::same(width, 1) };
    let conv = conv.no_bias().act(Act::Relu);
    let layer = |x: &O::Tensor, i: usize| ops.conv_bn(x, &format!("conv{i}"), conv, &format!("bn{i}"), EPS);
    let mut x = layer(x, 1);
    for i in 2..=LAYERS {
        x = ops.add(&x, &layer(&x, i));
    }
    ops.conv2d(&x, LAST, Conv::same(OUTPUTS, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Executor, cpu, shape};
    use crate::testing::{Rng, random_weights};
    use std::sync::Arc;

    #[test]
    fn a_moment_sees_as_far_as_stated() {
        let layers = shape::layers(|ops| {
            assert_eq!(sound_lips(ops, 6, &[2, BANDS, 1, 9]), [2, OUTPUTS, 1, 9]);
        });
        let weights = random_weights(&layers, 4);
        assert_eq!(width(&weights).unwrap(), 6);
        assert!(width(&Weights::default()).is_err());
        let cpu = cpu::Cpu::new(Arc::new(weights), &cpu::Options::default());
        let frames = 60;
        let run = |values: &[f32]| cpu.values(&sound_lips(&cpu, 6, &cpu.tensor([1, BANDS, 1, frames], values)));
        let mut values = Rng(3).vec(BANDS * frames);
        let before = run(&values);
        values.chunks_exact_mut(frames).for_each(|row| row[30] += 1.0);
        let after = run(&values);
        let changed =
            |t: usize| before.chunks(frames).zip(after.chunks(frames)).any(|(a, b)| (a[t] - b[t]).abs() > 1e-6);
        let all: Vec<usize> = (0..frames).filter(|t| changed(*t)).collect();
        assert_eq!((all[0], all[all.len() - 1]), (30 - REACH, 30 + REACH));
    }
}
