//! How far each eye is closed, from a small picture of both: the second stage of the procedural head's regressor.
//!
//! The face regressor sees an eye some twelve pixels long, behind a global pooling that forgets which side it saw; this
//! network sees each eye at a known position. The architecture is this project's; one file holds its layers and the regressor's.

use crate::engine::{Act, Conv, Ops};
use crate::weights::Weights;

/// Height and width of an eye's picture in pixels.
pub const SIZE: [usize; 2] = [24, 32];
/// Values about the face that come as planes ([`crate::face::lids`] says which).
pub const HINTS: usize = 5;
/// Channels of the input: the eye and the other one, both blue, green, red with the outer corner left, then the hints.
pub const CHANNELS: usize = 6 + HINTS;
/// What the layers' names begin with.
pub const PREFIX: &str = "lids.";

/// Epsilon of every batch norm of the network.
const EPS: f32 = 1e-5;
/// Layers in order: channels, stride.
const LAYERS: [(usize, usize); 5] = [(24, 1), (32, 2), (32, 1), (48, 2), (64, 2)];

/// Of the input for `eyes` eyes: `[eyes, CHANNELS, 24, 32]`.
pub const fn shape(eyes: usize) -> [usize; 4] {
    [eyes, CHANNELS, SIZE[0], SIZE[1]]
}

/// Whether weights of a regressor have this stage.
pub fn are_in(weights: &Weights) -> bool {
    weights.arrays.keys().any(|name| name.starts_with(PREFIX))
}

/// The network on `x`, `[n, CHANNELS, 24, 32]`, one item for each eye. Returns `[n, 1, 1, 1]`: 0 open, 1 closed.
pub fn lids<O: Ops>(ops: &O, x: &O::Tensor) -> O::Tensor {
    let mut x = x.clone();
    let layer = |x: &O::Tensor, number: usize, conv: Conv| {
        let [name, norm] = ["conv", "bn"].map(|part| format!("{PREFIX}{part}{number}"));
        ops.conv_bn(x, &name, conv.no_bias().act(Act::Relu), &norm, EPS)
    };
    for (i, (out, stride)) in LAYERS.into_iter().enumerate() {
        x = layer(&x, i + 1, Conv::same(out, 3).stride(stride)); // 24x32, 12x16, 12x16, 6x8, 3x4
    }
    // All places of the last picture apart, not their mean: where something is seen matters here.
    let [_, c, h, w] = ops.shape(&x);
    let whole = Conv { kernel: (h, w), ..Conv::same(c, 1) };
    x = layer(&x, LAYERS.len() + 1, whole);
    let y = ops.sigmoid(&ops.linear(&x, &format!("{PREFIX}fc"), 1));
    ops.name(&y, "closed");
    y
}
