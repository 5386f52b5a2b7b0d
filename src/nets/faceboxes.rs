//! FaceBoxes: a face detector made for CPUs. It shrinks the picture 32 times in four layers and works there.
//!
//! Zhang et al., "FaceBoxes: A CPU Real-time Face Detector with High Accuracy", <https://arxiv.org/abs/1708.05234>.
//! Layout and layer names of cleardusk/3DDFA_V2 (`FaceBoxes/models/faceboxes.py`).

use crate::engine::{Act, Conv, Ops};

/// Epsilon of every batch norm of the network.
const EPS: f32 = 1e-5;
/// Anchors per cell of each level (strides 32, 64, 128).
pub const ANCHORS: [usize; 3] = [21, 1, 1];

/// Raw outputs of one level, channels grouped by anchor.
#[derive(Debug, Clone)]
pub struct Level<T> {
    /// `[1, anchors * 2, h, w]`: logits of background and face.
    pub class: T,
    /// `[1, anchors * 4, h, w]`: offsets of centre and size, to be decoded with variances 0.1 and 0.2.
    pub boxes: T,
}

/// The network on `x`, `[1, 3, h, w]`: BGR 0..255 minus (104, 117, 123). Levels at strides 32, 64, 128, each
/// `ceil(h / stride) x ceil(w / stride)`.
pub fn faceboxes<O: Ops>(ops: &O, x: &O::Tensor) -> [Level<O::Tensor>; 3] {
    let x = crelu(ops, x, "conv1", Conv::same(24, 7).stride(4)); // [1, 48, h/4, w/4]
    let x = ops.max_pool(&x, 3, 2, 1, false); // [1, 48, h/8, w/8]
    let x = crelu(ops, &x, "conv2", Conv::same(64, 5).stride(2)); // [1, 128, h/16, w/16]
    let x = ops.max_pool(&x, 3, 2, 1, false); // [1, 128, h/32, w/32]
    let x = inception(ops, &x, "inception1");
    let x = inception(ops, &x, "inception2");
    let f1 = inception(ops, &x, "inception3"); // [1, 128, h/32, w/32]
    let f2 = basic(ops, &f1, "conv3_1", Conv::same(128, 1));
    let f2 = basic(ops, &f2, "conv3_2", Conv::same(256, 3).stride(2)); // [1, 256, h/64, w/64]
    let f3 = basic(ops, &f2, "conv4_1", Conv::same(128, 1));
    let f3 = basic(ops, &f3, "conv4_2", Conv::same(256, 3).stride(2)); // [1, 256, h/128, w/128]
    let mut level = 0;
    [f1, f2, f3].map(|f| {
        let out = Level {
            class: ops.conv2d(&f, &format!("conf.{level}"), Conv::same(2 * ANCHORS[level], 3)),
            boxes: ops.conv2d(&f, &format!("loc.{level}"), Conv::same(4 * ANCHORS[level], 3)),
        };
        level += 1;
        ops.name(&out.class, &format!("class{level}"));
        ops.name(&out.boxes, &format!("boxes{level}"));
        out
    })
}

/// Convolution without bias, batch norm, activation: `<layer>.conv`, `<layer>.bn`.
fn conv_bn<O: Ops>(ops: &O, x: &O::Tensor, layer: &str, conv: Conv) -> O::Tensor {
    ops.conv_bn(x, &format!("{layer}.conv"), conv.no_bias(), &format!("{layer}.bn"), EPS)
}

fn basic<O: Ops>(ops: &O, x: &O::Tensor, layer: &str, conv: Conv) -> O::Tensor {
    conv_bn(ops, x, layer, conv.act(Act::Relu))
}

/// Concatenated ReLU: the filters and their negatives, which early layers would learn in pairs anyway.
fn crelu<O: Ops>(ops: &O, x: &O::Tensor, layer: &str, conv: Conv) -> O::Tensor {
    let y = conv_bn(ops, x, layer, conv);
    ops.relu(&ops.concat(&[&y, &ops.affine(&y, -1.0, 0.0)]))
}

/// Four branches of 32 channels with growing receptive fields, `[1, 128, h, w]` to the same.
fn inception<O: Ops>(ops: &O, x: &O::Tensor, layer: &str) -> O::Tensor {
    let conv =
        |x: &O::Tensor, name: &str, out: usize, k: usize| basic(ops, x, &format!("{layer}.{name}"), Conv::same(out, k));
    let a = conv(x, "branch1x1", 32, 1);
    let b = conv(&ops.avg_pool(x, 3, 1, 1, true), "branch1x1_2", 32, 1);
    let c = conv(&conv(x, "branch3x3_reduce", 24, 1), "branch3x3", 32, 3);
    let d = conv(&conv(x, "branch3x3_reduce_2", 24, 1), "branch3x3_2", 32, 3);
    let d = conv(&d, "branch3x3_3", 32, 3);
    ops.concat(&[&a, &b, &c, &d])
}
