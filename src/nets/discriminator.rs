//! The PatchGAN discriminators of the HeadGAN training: the same network at several scales.
//!
//! Multi-scale PatchGAN as in pix2pixHD, <https://arxiv.org/abs/1711.11585>, with spectral and instance normalisation.

use crate::engine::{Act, Conv, Ops};
use crate::weights::Weights;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a discriminator was trained as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Channels of the picture that is judged (PNCC and RGB: 6).
    pub input: usize,
    /// Channels after the first layer.
    pub ndf: usize,
    /// Layers before the judgement.
    pub layers: usize,
    /// Scales, each half the size of the one before.
    pub scales: usize,
}

impl Config {
    /// The configuration that folded weights were made for, read off their shapes.
    ///
    /// # Errors
    /// [`Error::Model`] naming the layer that is missing.
    pub fn infer(weights: &Weights) -> Result<Config> {
        let name = "discriminator_0.model0.0.weight";
        let first = weights.get(name).map(|a| a.shape.as_slice());
        let Some(&[ndf, input, _, _]) = first else {
            return Err(Error::model(format!("layer '{name}' is missing: this is not a HeadGAN discriminator")));
        };
        let there = |name: String| weights.get(&name).is_some();
        let layers = (1..8).take_while(|i| there(format!("discriminator_0.model{i}.0.0.weight"))).count() + 1;
        let scales = (0..8).take_while(|i| there(format!("discriminator_{i}.model0.0.weight"))).count();
        Ok(Config { input, ndf, layers, scales })
    }
}

/// Features of every layer per scale, the last entry being the judgement (unbounded, one channel).
pub fn forward<O: Ops>(ops: &O, config: &Config, x: &O::Tensor) -> Vec<Vec<O::Tensor>> {
    let mut x = x.clone();
    (0..config.scales)
        .map(|scale| {
            if scale > 0 {
                x = ops.avg_pool(&x, 3, 2, 1, false);
            }
            patch(ops, config, &x, &format!("discriminator_{scale}"))
        })
        .collect()
}

/// 4x4 convolutions with two pixels of padding: 64 x 33², 128 x 17², 256 x 9², 512 x 10², 1 x 11² for 64 px.
fn patch<O: Ops>(ops: &O, config: &Config, x: &O::Tensor, name: &str) -> Vec<O::Tensor> {
    let conv = |out: usize, stride: usize| Conv::same(out, 4).stride(stride).pad(2);
    let leaky = Act::Leaky(0.2);
    let mut features = vec![ops.conv2d(x, &format!("{name}.model0.0"), conv(config.ndf, 2).act(leaky))];
    let mut channels = config.ndf;
    for i in 1..config.layers {
        channels = (2 * channels).min(512);
        let stride = if i + 1 == config.layers { 1 } else { 2 };
        let layer = conv(channels, stride).no_bias().spectral();
        let y = ops.conv2d(&features[i - 1], &format!("{name}.model{i}.0.0"), layer);
        features.push(ops.instance_norm(&y, Some(&format!("{name}.model{i}.0.1")), leaky));
    }
    let judgement = ops.conv2d(&features[config.layers - 1], &format!("{name}.model{}.0", config.layers), conv(1, 1));
    features.push(judgement);
    features
}
