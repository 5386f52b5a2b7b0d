//! RetinaFace: faces, and five landmarks of each, at three strides.
//!
//! Deng et al., "RetinaFace: Single-stage Dense Face Localisation in the Wild", <https://arxiv.org/abs/1905.00641>.
//! Layout and layer names of biubug6/Pytorch_Retinaface (`models/retinaface.py`, `models/net.py`).

use crate::engine::{Act, Conv, Ops, Resize};
use crate::error::{Advice, Error, Result};
use crate::weights::Weights;

/// Epsilon of every batch norm of the network.
const EPS: f32 = 1e-5;
/// Anchors per cell of every level.
pub const ANCHORS: usize = 2;

/// The network under the pyramid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backbone {
    /// MobileNetV1 at a quarter of the width; pyramid of 64 channels.
    MobileNet025,
    /// ResNet-50 with torchvision's names; pyramid of 256 channels.
    ResNet50,
}

impl Backbone {
    /// The backbone that `weights` belong to, told by the first layer's name.
    ///
    /// # Errors
    /// [`Error::Model`] when neither backbone's first layer is there.
    pub fn from_weights(weights: &Weights) -> Result<Backbone> {
        if weights.get("body.stage1.0.0.weight").is_some() {
            Ok(Backbone::MobileNet025)
        } else if weights.get("body.conv1.weight").is_some() {
            Ok(Backbone::ResNet50)
        } else {
            let text = "RetinaFace weights have neither 'body.stage1.0.0.weight' (mobilenet0.25) nor 'body.conv1.weight' \
                        (ResNet-50); import them again";
            Err(Error::model(text).with_advice(Advice::ImportModel("retinaface".into())))
        }
    }

    /// Channels of the pyramid.
    pub fn width(self) -> usize {
        match self {
            Backbone::MobileNet025 => 64,
            Backbone::ResNet50 => 256,
        }
    }
}

/// Raw outputs of one pyramid level (stride 8, 16 or 32), channels grouped by anchor.
#[derive(Debug, Clone)]
pub struct Level<T> {
    /// `[1, 2 * 2, h, w]`: logits of background and face.
    pub class: T,
    /// `[1, 2 * 4, h, w]`: offsets of centre and size, to be decoded with variances 0.1 and 0.2.
    pub boxes: T,
    /// `[1, 2 * 10, h, w]`: offsets of the landmarks.
    pub landmarks: T,
}

/// The network on `x`, `[1, 3, h, w]`: BGR 0..255 minus (104, 117, 123). Levels at strides 8, 16, 32, each
/// `ceil(h / stride) x ceil(w / stride)`.
pub fn retinaface<O: Ops>(ops: &O, x: &O::Tensor, backbone: Backbone) -> [Level<O::Tensor>; 3] {
    let c = match backbone {
        Backbone::MobileNet025 => mobilenet025(ops, x), // 64, 128, 256 channels
        Backbone::ResNet50 => resnet50(ops, x),         // 512, 1024, 2048 channels
    };
    let width = backbone.width();
    let p = pyramid(ops, &c, width);
    let mut level = 0;
    p.map(|p| {
        level += 1;
        let f = ssh(ops, &p, &format!("ssh{level}"), width); // [1, width, h, w]
        let head = |name: &str, values: usize| {
            ops.conv2d(&f, &format!("{name}.{}.conv1x1", level - 1), Conv::same(ANCHORS * values, 1))
        };
        let out =
            Level { class: head("ClassHead", 2), boxes: head("BboxHead", 4), landmarks: head("LandmarkHead", 10) };
        ops.name(&out.class, &format!("class{level}"));
        ops.name(&out.boxes, &format!("boxes{level}"));
        ops.name(&out.landmarks, &format!("landmarks{level}"));
        out
    })
}

/// The activation of the pyramid and the context modules: thin networks leak.
fn leak(width: usize) -> Act {
    if width <= 64 { Act::Leaky(0.1) } else { Act::Relu }
}

/// Convolution `<layer>.0` without bias, batch norm `<layer>.1`.
fn conv_bn<O: Ops>(ops: &O, x: &O::Tensor, layer: &str, conv: Conv) -> O::Tensor {
    ops.conv_bn(x, &format!("{layer}.0"), conv.no_bias(), &format!("{layer}.1"), EPS)
}

/// Feature pyramid: each level takes the coarser one, up-sampled, and is smoothed by a 3x3 convolution.
fn pyramid<O: Ops>(ops: &O, c: &[O::Tensor; 3], width: usize) -> [O::Tensor; 3] {
    let lateral =
        |i: usize| conv_bn(ops, &c[i], &format!("fpn.output{}", i + 1), Conv::same(width, 1).act(leak(width)));
    let merge = |fine: O::Tensor, coarse: &O::Tensor, layer: &str| {
        let [_, _, h, w] = ops.shape(&fine);
        let sum = ops.add(&fine, &ops.resize(coarse, h, w, Resize::Nearest));
        conv_bn(ops, &sum, layer, Conv::same(width, 3).act(leak(width)))
    };
    let p3 = lateral(2); // stride 32
    let p2 = merge(lateral(1), &p3, "fpn.merge2"); // stride 16
    let p1 = merge(lateral(0), &p2, "fpn.merge1"); // stride 8
    [p1, p2, p3]
}

/// Context module: receptive fields of 3, 5 and 7 pixels side by side.
fn ssh<O: Ops>(ops: &O, x: &O::Tensor, layer: &str, width: usize) -> O::Tensor {
    let conv = |x: &O::Tensor, name: &str, out: usize, act: Act| {
        conv_bn(ops, x, &format!("{layer}.{name}"), Conv::same(out, 3).act(act))
    };
    let c3 = conv(x, "conv3X3", width / 2, Act::None);
    let half = conv(x, "conv5X5_1", width / 4, leak(width));
    let c5 = conv(&half, "conv5X5_2", width / 4, Act::None);
    let deep = conv(&half, "conv7X7_2", width / 4, leak(width));
    let c7 = conv(&deep, "conv7x7_3", width / 4, Act::None);
    ops.relu(&ops.concat(&[&c3, &c5, &c7]))
}

/// Stages 1 to 3 of the narrow MobileNetV1: 64, 128, 256 channels at strides 8, 16, 32.
fn mobilenet025<O: Ops>(ops: &O, x: &O::Tensor) -> [O::Tensor; 3] {
    const LEAK: Act = Act::Leaky(0.1);
    let block = |x: &O::Tensor, stage: usize, i: usize, out: usize, stride: usize| {
        let layer = format!("body.stage{stage}.{i}");
        let [_, c, _, _] = ops.shape(x);
        let name = |k: usize| format!("{layer}.{k}");
        let depthwise = Conv::same(c, 3).stride(stride).groups(c).no_bias().act(LEAK);
        let y = ops.conv_bn(x, &name(0), depthwise, &name(1), EPS);
        ops.conv_bn(&y, &name(3), Conv::same(out, 1).no_bias().act(LEAK), &name(4), EPS)
    };
    let run = |mut x: O::Tensor, stage: usize, first: usize, plan: &[(usize, usize)]| {
        for (i, &(out, stride)) in plan.iter().enumerate() {
            x = block(&x, stage, first + i, out, stride);
        }
        x
    };
    let x = conv_bn(ops, x, "body.stage1.0", Conv::same(8, 3).stride(2).act(LEAK)); // [1, 8, h/2, w/2]
    let c1 = run(x, 1, 1, &[(16, 1), (32, 2), (32, 1), (64, 2), (64, 1)]); // [1, 64, h/8, w/8]
    let c2 = run(c1.clone(), 2, 0, &[(128, 2), (128, 1), (128, 1), (128, 1), (128, 1), (128, 1)]); // [1, 128, h/16, w/16]
    let c3 = run(c2.clone(), 3, 0, &[(256, 2), (256, 1)]); // [1, 256, h/32, w/32]
    [c1, c2, c3]
}

/// ResNet-50 (He et al., <https://arxiv.org/abs/1512.03385>): layers 2 to 4, 512, 1024, 2048 channels at strides 8, 16, 32.
fn resnet50<O: Ops>(ops: &O, x: &O::Tensor) -> [O::Tensor; 3] {
    let stem = Conv::same(64, 7).stride(2).no_bias().act(Act::Relu);
    let x = ops.conv_bn(x, "body.conv1", stem, "body.bn1", EPS); // [1, 64, h/2, w/2]
    let x = ops.max_pool(&x, 3, 2, 1, false); // [1, 64, h/4, w/4]
    let stage = |x: &O::Tensor, stage: usize, blocks: usize, width: usize| {
        let mut x = x.clone();
        for i in 0..blocks {
            // The stride sits in the 3x3 convolution of a stage's first block (the stem did the first stage's).
            let stride = if i == 0 && stage > 1 { 2 } else { 1 };
            x = bottleneck(ops, &x, &format!("body.layer{stage}.{i}"), width, stride, i == 0);
        }
        x
    };
    let x = stage(&x, 1, 3, 64); // [1, 256, h/4, w/4]
    let c2 = stage(&x, 2, 4, 128); // [1, 512, h/8, w/8]
    let c3 = stage(&c2, 3, 6, 256); // [1, 1024, h/16, w/16]
    let c4 = stage(&c3, 4, 3, 512); // [1, 2048, h/32, w/32]
    [c2, c3, c4]
}

/// A ResNet bottleneck: 1x1 to `width`, 3x3, 1x1 to four times `width`, around a skip (projected in a stage's first block).
fn bottleneck<O: Ops>(ops: &O, x: &O::Tensor, layer: &str, width: usize, stride: usize, project: bool) -> O::Tensor {
    let conv = |x: &O::Tensor, k: usize, conv: Conv| {
        ops.conv_bn(x, &format!("{layer}.conv{k}"), conv.no_bias(), &format!("{layer}.bn{k}"), EPS)
    };
    let y = conv(x, 1, Conv::same(width, 1).act(Act::Relu));
    let y = conv(&y, 2, Conv::same(width, 3).stride(stride).act(Act::Relu));
    let y = conv(&y, 3, Conv::same(4 * width, 1));
    let skip = if project {
        conv_bn(ops, x, &format!("{layer}.downsample"), Conv::same(4 * width, 1).stride(stride))
    } else {
        x.clone()
    };
    ops.relu(&ops.add(&y, &skip))
}
