//! The features in which LPIPS compares pictures: AlexNet's and VGG16's, with the learned weights of their channels.
//!
//! Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018,
//! <https://arxiv.org/abs/1801.03924>, version 0.1. AlexNet in the form of <https://arxiv.org/abs/1404.5997>, VGG16:
//! <https://arxiv.org/abs/1409.1556>. Layer names are those of the PyPI package `lpips`, `LPIPS(net=...).state_dict()`.

use crate::engine::shape::{self, ShapeOps};
use crate::engine::{Act, Conv, Ops};
use crate::weights::{Array, Weights};
use crate::{Error, Result};

/// Feature maps that are compared.
pub const LEVELS: usize = 5;
/// Side below which a picture has no pixel left on the deepest level.
pub const LEAST: usize = 32;

/// The network whose features are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trunk {
    /// AlexNet.
    Alex,
    /// VGG-16.
    Vgg,
}

/// What a weights file was made as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// Whose features are compared.
    pub trunk: Trunk,
    /// Red, green and blue (-1..1) go in as `(x - shift) / scale`.
    pub shift: [f32; 3],
    /// What each colour is divided by.
    pub scale: [f32; 3],
}

/// A convolution with ReLU, and what happens around it.
struct Step {
    layer: &'static str,
    conv: Conv,
    /// Whether a max pooling comes before.
    pooled: bool,
    /// Whether the result is compared.
    kept: bool,
}

const fn step(layer: &'static str, conv: Conv, pooled: bool, kept: bool) -> Step {
    Step { layer, conv: conv.act(Act::Relu), pooled, kept }
}

// Sizes behind the steps are those of a picture of 256 pixels.
const ALEX: [Step; 5] = [
    step("slice1.0", Conv::same(64, 11).stride(4).pad(2), false, true), // 64 x 63 x 63
    step("slice2.3", Conv::same(192, 5), true, true),                   // 192 x 31 x 31
    step("slice3.6", Conv::same(384, 3), true, true),                   // 384 x 15 x 15
    step("slice4.8", Conv::same(256, 3), false, true),
    step("slice5.10", Conv::same(256, 3), false, true),
];
const VGG: [Step; 13] = [
    step("slice1.0", Conv::same(64, 3), false, false),
    step("slice1.2", Conv::same(64, 3), false, true), // 64 x 256 x 256
    step("slice2.5", Conv::same(128, 3), true, false),
    step("slice2.7", Conv::same(128, 3), false, true), // 128 x 128 x 128
    step("slice3.10", Conv::same(256, 3), true, false),
    step("slice3.12", Conv::same(256, 3), false, false),
    step("slice3.14", Conv::same(256, 3), false, true), // 256 x 64 x 64
    step("slice4.17", Conv::same(512, 3), true, false),
    step("slice4.19", Conv::same(512, 3), false, false),
    step("slice4.21", Conv::same(512, 3), false, true), // 512 x 32 x 32
    step("slice5.24", Conv::same(512, 3), true, false),
    step("slice5.26", Conv::same(512, 3), false, false),
    step("slice5.28", Conv::same(512, 3), false, true), // 512 x 16 x 16
];

impl Trunk {
    fn steps(self) -> &'static [Step] {
        match self {
            Trunk::Alex => &ALEX,
            Trunk::Vgg => &VGG,
        }
    }

    /// Side of the windows of its max poolings, whose stride is 2.
    fn pool(self) -> usize {
        match self {
            Trunk::Alex => 3,
            Trunk::Vgg => 2,
        }
    }
}

impl Config {
    /// The configuration that weights were made for, every layer of which has been checked.
    ///
    /// # Errors
    /// [`Error::Model`] naming the layer that does not fit.
    pub fn from_weights(weights: &Weights) -> Result<Config> {
        let first = weights.get("net.slice1.0.weight").map(|a| a.shape.as_slice());
        let trunk = match first {
            Some([64, 3, 11, 11]) => Trunk::Alex,
            Some([64, 3, 3, 3]) => Trunk::Vgg,
            Some(other) => {
                return Err(Error::model(format!(
                    "layer 'net.slice1.0.weight' has shape {other:?}, which is neither AlexNet's nor VGG16's"
                )));
            }
            None => return Err(Error::Model("layer 'net.slice1.0.weight' is missing".into())),
        };
        let three = |name: &str| -> Result<[f32; 3]> {
            let values = weights.get(name).and_then(Array::as_f32).and_then(|v| v.try_into().ok());
            values.ok_or_else(|| Error::model(format!("'{name}' is missing or does not hold three numbers")))
        };
        let config = Config { trunk, shift: three("scaling_layer.shift")?, scale: three("scaling_layer.scale")? };
        if config.scale.contains(&0.0) {
            return Err(Error::Model("'scaling_layer.scale' holds a zero".into()));
        }
        shape::check(weights, |ops| ask(ops, &config))?;
        Ok(config)
    }
}

/// The layer that says how much each channel of a level counts: a 1x1 convolution to one channel, without bias.
pub fn linear(level: usize) -> String {
    format!("lin{level}.model.1")
}

/// Feature maps of RGB in -1..1, `[n, 3, h, w]` of at least [`LEAST`] pixels, from the first level down.
pub fn features<O: Ops>(ops: &O, config: &Config, picture: &O::Tensor) -> Vec<O::Tensor> {
    let channel = |c: usize| {
        let (shift, scale) = (config.shift[c], config.scale[c]);
        ops.affine(&ops.slice(picture, c, 1), 1.0 / scale, -shift / scale)
    };
    let mut x = ops.concat(&[&channel(0), &channel(1), &channel(2)]);
    let mut out = Vec::with_capacity(LEVELS);
    for Step { layer, conv, pooled, kept } in config.trunk.steps() {
        if *pooled {
            x = ops.max_pool(&x, config.trunk.pool(), 2, 0, false);
        }
        x = ops.conv2d(&x, &format!("net.{layer}"), *conv);
        if *kept {
            out.push(x.clone());
        }
    }
    out
}

/// Asks for every layer once.
fn ask(ops: &ShapeOps, config: &Config) {
    for (level, maps) in features(ops, config, &[1, 3, 64, 64]).iter().enumerate() {
        ops.conv2d(maps, &linear(level), Conv::same(1, 1).no_bias());
    }
}

/// The arrays that a file for this trunk must hold, by name, with their shapes.
pub fn layers(trunk: Trunk) -> Vec<(String, Vec<usize>)> {
    let config = Config { trunk, shift: [0.0; 3], scale: [1.0; 3] };
    let mut out = shape::layers(|ops| ask(ops, &config));
    out.extend(["shift", "scale"].map(|part| (format!("scaling_layer.{part}"), vec![1, 3, 1, 1])));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plain::Plain;
    use crate::engine::{Executor, cpu};
    use crate::testing::{Rng, random_weights};
    use std::sync::Arc;

    #[test]
    fn trunks_are_told_by_their_weights() {
        for (trunk, parameters) in [(Trunk::Alex, 2_469_696 + 1152), (Trunk::Vgg, 14_714_688 + 1472)] {
            let mut weights = random_weights(&layers(trunk), 1);
            let config = Config::from_weights(&weights).unwrap();
            assert_eq!((config.trunk, config.shift.len()), (trunk, 3));
            let count: usize = weights.arrays.values().map(Array::len).sum();
            assert_eq!(count, parameters + 6, "{trunk:?}");
            weights.arrays.remove("lin3.model.1.weight");
            assert!(Config::from_weights(&weights).unwrap_err().to_string().contains("lin3.model.1.weight"));
            weights.arrays.remove("scaling_layer.scale");
            assert!(Config::from_weights(&weights).unwrap_err().to_string().contains("scaling_layer.scale"));
        }
        // SqueezeNet begins as VGG16 does.
        let mut other = random_weights(&layers(Trunk::Vgg), 1);
        other.arrays.retain(|name, _| name != "net.slice1.2.weight");
        assert!(Config::from_weights(&other).unwrap_err().to_string().contains("net.slice1.2.weight"));
        assert!(Config::from_weights(&Weights::default()).unwrap_err().to_string().contains("net.slice1.0.weight"));
    }

    #[test]
    fn both_engines_see_the_same() {
        for trunk in [Trunk::Alex, Trunk::Vgg] {
            let weights = Arc::new(random_weights(&layers(trunk), 2));
            let config = Config { scale: [0.4, 0.5, 0.6], ..Config::from_weights(&weights).unwrap() };
            let values = Rng(3).vec(3 * 40 * 52);
            let plain = Plain::new(weights.clone());
            let cpu = cpu::Cpu::new(weights, &cpu::Options::default());
            let shape = [1, 3, 40, 52];
            let maps = features(&plain, &config, &plain.tensor(shape, &values));
            let a: Vec<Vec<f32>> = maps.iter().map(|t| plain.values(t)).collect();
            let maps = features(&cpu, &config, &cpu.tensor(shape, &values));
            let b: Vec<Vec<f32>> = maps.iter().map(|t| cpu.values(t)).collect();
            assert_eq!((a.len(), b.len()), (LEVELS, LEVELS));
            for (a, b) in a.iter().zip(&b) {
                let top = a.iter().fold(0.0f32, |m, v| m.max(*v));
                assert!(top > 0.0 && a.len() == b.len());
                assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * top), "{trunk:?}");
            }
        }
    }
}
