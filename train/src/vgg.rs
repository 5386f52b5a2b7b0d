//! VGG19's features, for the perceptual loss; layer names are torchvision's.
//!
//! Simonyan, Zisserman: <https://arxiv.org/abs/1409.1556>. Which layers count how much:
//! <https://arxiv.org/abs/1711.11585>.

use headgan::Result;
use headgan::engine::{Act, Conv, Ops, shape};
use headgan::weights::Weights;

/// What the layers count: relu1_1, relu2_1, relu3_1, relu4_1, relu5_1.
pub const WEIGHTS: [f64; 5] = [1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0];
/// ImageNet's means and deviations of RGB in 0..1.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// Index in `features`, output channels, whether a pooling comes before, whether the result is kept.
const LAYERS: [(usize, usize, bool, bool); 13] = [
    (0, 64, false, true),
    (2, 64, false, false),
    (5, 128, true, true),
    (7, 128, false, false),
    (10, 256, true, true),
    (12, 256, false, false),
    (14, 256, false, false),
    (16, 256, false, false),
    (19, 512, true, true),
    (21, 512, false, false),
    (23, 512, false, false),
    (25, 512, false, false),
    (28, 512, true, true),
];

/// Features of RGB in -1..1, `[n, 3, h, w]`.
pub fn features<O: Ops>(ops: &O, picture: &O::Tensor) -> Vec<O::Tensor> {
    // From -1..1 to 0..1 to ImageNet's normal form.
    let channel = |c: usize| ops.affine(&ops.slice(picture, c, 1), 0.5 / DEVIATION[c], (0.5 - MEAN[c]) / DEVIATION[c]);
    let mut x = ops.concat(&[&channel(0), &channel(1), &channel(2)]);
    let mut out = Vec::with_capacity(WEIGHTS.len());
    for (index, channels, pooled, kept) in LAYERS {
        if pooled {
            x = ops.max_pool(&x, 2, 2, 0, false);
        }
        x = ops.conv2d(&x, &format!("features.{index}"), Conv::same(channels, 3).act(Act::Relu));
        if kept {
            out.push(x.clone());
        }
    }
    out
}

/// Whether weights are VGG19's.
///
/// # Errors
/// [`headgan::Error::Model`] naming the layer that does not fit.
pub fn check(weights: &Weights) -> Result<()> {
    shape::check(weights, |ops| {
        features(ops, &[1, 3, 64, 64]);
    })
    .map(drop)
}
