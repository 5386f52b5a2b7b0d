//! MobileFaceNet: a 128-value embedding of a face's identity.
//!
//! Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-time Face Verification on Mobile Devices",
//! <https://arxiv.org/abs/1804.07573>. Layout and layer names of Xiaoccer/MobileFaceNet_Pytorch (`core/model.py`).

use crate::engine::{Act, Conv, Ops};

/// Epsilon of every batch norm of the network.
const EPS: f32 = 1e-5;
/// Width of the aligned input in pixels.
pub const WIDTH: usize = 96;
/// Height of the aligned input in pixels.
pub const HEIGHT: usize = 112;
/// Length of the embedding.
pub const EMBEDDING: usize = 128;

/// Bottlenecks: expansion, output channels, repetitions, stride of the first one.
const STAGES: [(usize, usize, usize, usize); 5] =
    [(2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1)];

/// The network on `x`, `[n, 3, 112, 96]`: RGB, `(value - 127.5) / 128`, aligned by five points. Returns
/// `[n, 128, 1, 1]`, not normalised.
pub fn mobilefacenet<O: Ops>(ops: &O, x: &O::Tensor) -> O::Tensor {
    let x = conv_prelu(ops, x, "conv1", Conv::same(64, 3).stride(2)); // [n, 64, 56, 48]
    let mut x = conv_prelu(ops, &x, "dw_conv1", Conv::same(64, 3).groups(64)); // [n, 64, 56, 48]
    let mut i = 0;
    for (expansion, out, repeat, stride) in STAGES {
        for k in 0..repeat {
            x = bottleneck(ops, &x, &format!("blocks.{i}.conv"), expansion, out, if k == 0 { stride } else { 1 });
            i += 1;
        }
        // 64x28x24, 128x14x12, 128x14x12, 128x7x6, 128x7x6
    }
    let x = conv_prelu(ops, &x, "conv2", Conv::same(512, 1)); // [n, 512, 7, 6]
    // One weight per position and channel instead of an average: the middle of a face tells more than its border.
    let global = Conv { kernel: (7, 6), ..Conv::same(512, 1) }.groups(512).no_bias();
    let x = ops.conv_bn(&x, "linear7.conv", global, "linear7.bn", EPS); // [n, 512, 1, 1]
    let y = ops.conv_bn(&x, "linear1.conv", Conv::same(EMBEDDING, 1).no_bias(), "linear1.bn", EPS); // [n, 128, 1, 1]
    ops.name(&y, "embedding");
    y
}

/// What the network sees on its way, at strides 2, 4 and 8 (64, 64, 128 channels): features of any picture, of any
/// size, in the units of [`mobilefacenet`]'s input.
pub fn features<O: Ops>(ops: &O, x: &O::Tensor) -> Vec<O::Tensor> {
    let x = conv_prelu(ops, x, "conv1", Conv::same(64, 3).stride(2)); // [n, 64, h/2, w/2]
    let mut x = conv_prelu(ops, &x, "dw_conv1", Conv::same(64, 3).groups(64));
    let mut out = vec![x.clone()];
    let mut i = 0;
    for (expansion, channels, repeat, stride) in STAGES.into_iter().take(2) {
        for k in 0..repeat {
            let layer = format!("blocks.{i}.conv");
            x = bottleneck(ops, &x, &layer, expansion, channels, if k == 0 { stride } else { 1 });
            i += 1;
        }
        out.push(x.clone()); // [n, 64, h/4, w/4], [n, 128, h/8, w/8]
    }
    out
}

/// `<layer>.conv`, `<layer>.bn`, `<layer>.prelu`.
fn conv_prelu<O: Ops>(ops: &O, x: &O::Tensor, layer: &str, conv: Conv) -> O::Tensor {
    let y = ops.conv_bn(x, &format!("{layer}.conv"), conv.no_bias().act(Act::None), &format!("{layer}.bn"), EPS);
    ops.prelu(&y, &format!("{layer}.prelu"))
}

/// Inverted residual: widen, filter each channel, narrow without activation. `layer` is a sequence of
/// conv 0, norm 1, prelu 2, depthwise conv 3, norm 4, prelu 5, conv 6, norm 7.
fn bottleneck<O: Ops>(ops: &O, x: &O::Tensor, layer: &str, expansion: usize, out: usize, stride: usize) -> O::Tensor {
    let [_, c, _, _] = ops.shape(x);
    let wide = c * expansion;
    let conv_bn = |x: &O::Tensor, k: usize, conv: Conv| {
        ops.conv_bn(x, &format!("{layer}.{k}"), conv.no_bias(), &format!("{layer}.{}", k + 1), EPS)
    };
    let prelu = |x: &O::Tensor, k: usize| ops.prelu(x, &format!("{layer}.{k}"));
    let y = prelu(&conv_bn(x, 0, Conv::same(wide, 1)), 2);
    let y = prelu(&conv_bn(&y, 3, Conv::same(wide, 3).stride(stride).groups(wide)), 5);
    let y = conv_bn(&y, 6, Conv::same(out, 1));
    if stride == 1 && c == out { ops.add(x, &y) } else { y }
}
