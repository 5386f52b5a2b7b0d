//! MobileNetV1 as the regressor of 3DDFA-V2: 62 parameters of the morphable model from a face crop.
//!
//! Howard et al., "MobileNets", <https://arxiv.org/abs/1704.04861>; Guo et al., "Towards Fast, Accurate and Stable 3D
//! Dense Face Alignment", <https://arxiv.org/abs/2009.09960>. Layer names of cleardusk/3DDFA_V2
//! (`models/mobilenet_v1.py`), without the `module.` in front that the checkpoints have.

use super::lids;
use crate::engine::{Act, Conv, Ops};
use crate::error::{Advice, Error, Result};
use crate::weights::Weights;

/// Epsilon of every batch norm of the network.
const EPS: f32 = 1e-5;
/// Side of the square input in pixels.
pub const SIZE: usize = 120;

/// Blocks in order: name, output channels at width 1, stride.
const BLOCKS: [(&str, usize, usize); 13] = [
    ("dw2_1", 64, 1),
    ("dw2_2", 128, 2),
    ("dw3_1", 128, 1),
    ("dw3_2", 256, 2),
    ("dw4_1", 256, 1),
    ("dw4_2", 512, 2),
    ("dw5_1", 512, 1),
    ("dw5_2", 512, 1),
    ("dw5_3", 512, 1),
    ("dw5_4", 512, 1),
    ("dw5_5", 512, 1),
    ("dw5_6", 1024, 2),
    ("dw6", 1024, 1),
];

/// What varies between the published regressors.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Width factor of every layer: 0.5 (mb05) or 1 (mb1).
    pub width: f32,
    /// Name of the last layer: `fc_param` in the published files, `fc` once upstream's loader has renamed it.
    pub head: String,
    /// Number of outputs (62).
    pub outputs: usize,
    /// Whether the file also holds the second stage, for the lids ([`super::lids`]); no published file does.
    pub lids: bool,
}

impl Config {
    /// Reads the configuration off the shapes of `weights`.
    ///
    /// # Errors
    /// [`Error::Model`] when the first or the last layer is missing or has no sensible shape.
    pub fn from_weights(weights: &Weights) -> Result<Config> {
        let again = || Advice::ImportModel("3ddfa-v2".into());
        let channels = weights.get("conv1.weight").and_then(|a| a.shape.first().copied()).ok_or_else(|| {
            Error::model("the 3DDFA-V2 regressor has no layer 'conv1.weight'; import it again").with_advice(again())
        })?;
        let (head, outputs) = ["fc_param", "fc"]
            .iter()
            .find_map(|head| Some((*head, *weights.get(&format!("{head}.weight"))?.shape.first()?)))
            .ok_or_else(|| {
                let text = "the 3DDFA-V2 regressor has neither 'fc_param.weight' nor 'fc.weight'; import it again";
                Error::model(text).with_advice(again())
            })?;
        Ok(Config { width: channels as f32 / 32.0, head: head.to_owned(), outputs, lids: lids::are_in(weights) })
    }

    fn channels(&self, full: usize) -> usize {
        (full as f32 * self.width) as usize
    }
}

/// The network on `x`, `[n, 3, 120, 120]`: BGR, `(value - 127.5) / 128`. Returns `[n, outputs, 1, 1]`, normalised
/// (to be multiplied by the standard deviations and moved by the means of the training set).
pub fn mobilenet<O: Ops>(ops: &O, x: &O::Tensor, config: &Config) -> O::Tensor {
    let stem = Conv::same(config.channels(32), 3).stride(2).no_bias().act(Act::Relu);
    let mut x = ops.conv_bn(x, "conv1", stem, "bn1", EPS); // [n, 32 width, 60, 60]
    for (name, out, stride) in BLOCKS {
        let [_, c, _, _] = ops.shape(&x);
        let layer = |part: &str| format!("{name}.{part}");
        let depthwise = Conv::same(c, 3).stride(stride).groups(c).no_bias().act(Act::Relu);
        x = ops.conv_bn(&x, &layer("conv_dw"), depthwise, &layer("bn_dw"), EPS);
        let pointwise = Conv::same(config.channels(out), 1).no_bias().act(Act::Relu);
        x = ops.conv_bn(&x, &layer("conv_sep"), pointwise, &layer("bn_sep"), EPS);
        // dw2: 60, then 30; dw3: 30, then 15; dw4: 15, then 8; dw5: 8, then 4; dw6: 4
    }
    let [_, _, side, _] = ops.shape(&x); // [n, 1024 width, 4, 4]
    let x = ops.avg_pool(&x, side, side, 0, true); // [n, 1024 width, 1, 1]
    let y = ops.linear(&x, &config.head, config.outputs);
    ops.name(&y, "params");
    y
}
