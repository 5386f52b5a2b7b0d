//! The window generator: a small network that paints an eye or a mouth where a viewer looks.
//!
//! It is built as HeadGAN's generator is (<https://arxiv.org/abs/2012.08261>): reference features under a flow, rendering by SPADE
//! (<https://arxiv.org/abs/1903.07291>) and, for the mouth, AdaIN by sound (<https://arxiv.org/abs/1703.06868>). Instead of PNCC it
//! takes drawn contours, and its picture is a mixture of three: Draft's window and the reference's, each under a flow of its own, and
//! what it paints itself. Flows and shares hold at any resolution, so skin stays as sharp as the plate.
//!
//! Shapes below are for a side of 64 pixels and `width` 24; any side divisible by 4 works.

use crate::engine::{Act, Conv, Ops, Resize};
use crate::models::Architecture;
use crate::weights::Weights;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a weights file was trained as; stored in the pack and in the file's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Side of the window in pixels.
    pub side: usize,
    /// Channels at full size; each level below has twice as many.
    pub width: usize,
    /// Hidden channels of every SPADE layer.
    pub spade: usize,
    /// Drawn channels of the reference, and as many of the target.
    pub conditions: usize,
    /// Length of the audio vector, 0 for a window without audio.
    pub audio: usize,
}

/// Of an eye.
pub const EYE: Config = Config { side: 64, width: 24, spade: 24, conditions: 4, audio: 0 };
/// Of the mouth.
pub const MOUTH: Config = Config { side: 96, width: 24, spade: 24, conditions: 4, audio: 300 };

/// Its name in packs and in the metadata of weights files.
pub const ARCHITECTURE: Architecture = Architecture::WindowGenerator;
/// Activation inside every block.
const LEAKY: Act = Act::Leaky(0.2);
/// Times the window is halved.
const LEVELS: usize = 2;
/// Longest flow along an axis, in sides of the window.
const REACH: f32 = 0.25;

impl Config {
    /// The configuration of weights: from the metadata, checked against the layers' shapes.
    ///
    /// # Errors
    /// [`Error::Model`] where the metadata do not say it, or do not go with the layers.
    pub fn infer(weights: &Weights) -> Result<Config> {
        let text = weights
            .metadata
            .get("config")
            .filter(|_| weights.metadata.get("architecture").is_some_and(|a| a == ARCHITECTURE.as_str()));
        let text = text.ok_or_else(|| Error::model("the file does not say that it is a window generator"))?;
        let config: Config = serde_json::from_str(text).map_err(|e| {
            Error::model(format!("the metadata 'config' is no window generator's configuration ({e}); export it again"))
                .with_source(e)
        })?;
        let sound = |n: usize, most: usize| (1..=most).contains(&n);
        if !sound(config.width, 512)
            || !sound(config.spade, 512)
            || !sound(config.conditions, 64)
            || config.audio > 4096
        {
            return Err(Error::model(format!("a window generator of {config:?} makes no sense; export it again")));
        }
        if !config.side.is_multiple_of(1 << LEVELS) || !(16..=1024).contains(&config.side) {
            let side = config.side;
            return Err(Error::model(format!("a window of {side} pixels: a multiple of 4 from 16 to 1024 is needed")));
        }
        Ok(config)
    }

    /// What a weights file of this configuration says of itself.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let config = serde_json::json!(self).to_string();
        [("architecture", ARCHITECTURE.to_string()), ("config", config)].map(|(k, v)| (k.to_owned(), v)).into()
    }

    /// Channels of the input that depends on the reference alone: its picture, the bank's, its contours.
    pub fn reference_channels(&self) -> usize {
        6 + self.conditions
    }

    /// Channels of the frame's input: Draft's picture, the target's contours.
    pub fn target_channels(&self) -> usize {
        3 + self.conditions
    }

    /// The inputs' shapes for a batch.
    pub fn shapes(&self, n: usize) -> [[usize; 4]; 3] {
        let s = self.side;
        [[n, self.reference_channels(), s, s], [n, self.target_channels(), s, s], [n, self.audio, 1, 1]]
    }

    fn channels(&self, level: usize) -> usize {
        self.width << level
    }
}

/// What depends on the reference alone; computed once per shot.
#[derive(Debug, Clone)]
pub struct Reference<T> {
    /// Features from full size down.
    pub features: Vec<T>,
    /// The reference's window, RGB in -1..1.
    pub rgb: T,
    /// Its contours, 0..1.
    pub contours: T,
}

/// Everything that the network computes for one frame.
#[derive(Debug, Clone)]
pub struct Output<T> {
    /// The mixture, RGB in -1..1. `[n, 3, h, w]`
    pub image: T,
    /// Shares of Draft's window, of the reference's and of what is painted; their sum is 1. `[n, 3, h, w]`
    pub shares: T,
    /// Where Draft's window and the reference's are read, relative, in pixels: x, y of each. `[n, 4, h, w]`
    pub flow: T,
    /// What is painted, RGB in -1..1. `[n, 3, h, w]`
    pub paint: T,
}

/// Encodes the reference: RGB (-1..1), the bank's RGB (zeros where there is none), contours (0..1).
pub fn reference<O: Ops>(ops: &O, config: &Config, input: &O::Tensor) -> Reference<O::Tensor> {
    Reference {
        features: encoder(ops, config, input, "reference"),
        rgb: ops.slice(input, 0, 3),
        contours: ops.slice(input, 6, config.conditions),
    }
}

/// One frame: `target` is Draft's RGB (-1..1) and the contours (0..1); `audio` is `[n, 300, 1, 1]`, zeros where none is given to a
/// window that takes it.
pub fn forward<O: Ops>(
    ops: &O,
    config: &Config,
    reference: &Reference<O::Tensor>,
    target: &O::Tensor,
    audio: Option<&O::Tensor>,
) -> Output<O::Tensor> {
    let [n, _, h, w] = ops.shape(target);
    let draft = ops.slice(target, 0, 3);
    let own = encoder(ops, config, target, "target");
    let mut contours = vec![ops.concat(&[&ops.slice(target, 3, config.conditions), &reference.contours])];
    for level in 0..LEVELS {
        contours.push(ops.avg_pool(&contours[level], 2, 2, 0, true));
    }
    let deep = &contours[LEVELS];
    let wide = config.channels(LEVELS);

    let x = ops.concat(&[&reference.features[LEVELS], &own[LEVELS]]); // 192 x 16 x 16
    let x = ops.conv2d(&x, "flow.in", Conv::same(wide, 3).act(LEAKY)); // 96 x 16 x 16
    let x = block(ops, config, &x, deep, "flow.block");
    let flow = ops.tanh(&ops.conv2d(&x, "flow.out", Conv::same(4, 3)));
    let flow = ops.affine(&ops.resize(&flow, h, w, Resize::Bilinear), REACH * w as f32, 0.0); // 4 x 64 x 64
    let of_reference = ops.slice(&flow, 2, 2);
    let mut flows = vec![of_reference.clone()];
    for level in 0..LEVELS {
        // Half as large and half as long.
        flows.push(ops.affine(&ops.avg_pool(&flows[level], 2, 2, 0, true), 0.5, 0.0));
    }
    let moved = |level: usize| ops.warp(&reference.features[level], &flows[level]);

    let silence;
    let audio = match audio {
        Some(audio) => audio,
        None => {
            silence = ops.tensor([n, config.audio, 1, 1], &vec![0.0; n * config.audio]);
            &silence
        }
    };
    let x = ops.concat(&[&moved(LEVELS), &own[LEVELS]]);
    let mut x = ops.conv2d(&x, "paint.in", Conv::same(wide, 3).act(LEAKY)); // 96 x 16 x 16
    for i in 0..2 {
        x = block(ops, config, &x, deep, &format!("paint.block{i}"));
        if config.audio > 0 {
            let gamma_beta = ops.linear(audio, &format!("paint.sound{i}.fc"), 2 * wide);
            let y = ops.norm_modulate(&x, &gamma_beta, LEAKY);
            x = ops.add(&x, &ops.conv2d(&y, &format!("paint.sound{i}.conv"), Conv::same(wide, 3)));
        }
    }
    for level in (0..LEVELS).rev() {
        let [_, _, height, width] = ops.shape(&own[level]);
        let up = ops.resize(&x, height, width, Resize::Nearest);
        let all = ops.concat(&[&up, &moved(level), &own[level]]); // 192 x 32 x 32, 96 x 64 x 64
        let name = format!("paint.up{level}");
        x = ops.conv2d(&all, &format!("{name}.in"), Conv::same(config.channels(level), 3).act(LEAKY));
        x = block(ops, config, &x, &contours[level], &name); // 48 x 32 x 32, 24 x 64 x 64
    }
    let x = ops.leaky_relu(&x, 0.2);
    let shares = ops.softmax(&ops.conv2d(&x, "paint.shares", Conv::same(3, 3)));
    let paint = ops.tanh(&ops.conv2d(&x, "paint.out", Conv::same(3, 3)));
    let from_draft = ops.warp(&draft, &ops.slice(&flow, 0, 2));
    let from_reference = ops.warp(&reference.rgb, &of_reference);
    let part = |picture: &O::Tensor, k: usize| ops.mul(picture, &ops.slice(&shares, k, 1));
    let image = ops.add(&ops.add(&part(&from_draft, 0), &part(&from_reference, 1)), &part(&paint, 2));
    for (name, tensor) in [("image", &image), ("shares", &shares), ("flow", &flow), ("paint", &paint)] {
        ops.name(tensor, name);
    }
    Output { image, shares, flow, paint }
}

/// Features of every level, from full size down.
fn encoder<O: Ops>(ops: &O, config: &Config, x: &O::Tensor, name: &str) -> Vec<O::Tensor> {
    let mut features = vec![ops.conv2d(x, &format!("{name}.enc0"), Conv::same(config.width, 3).act(LEAKY))];
    for level in 1..=LEVELS {
        let conv = Conv::same(config.channels(level), 3).stride(2).act(LEAKY);
        features.push(ops.conv2d(&features[level - 1], &format!("{name}.enc{level}"), conv));
    }
    features // 24 x 64², 48 x 32², 96 x 16²
}

/// `x + conv(leaky(spade(x)))`, as many channels out as in.
fn block<O: Ops>(ops: &O, config: &Config, x: &O::Tensor, contours: &O::Tensor, name: &str) -> O::Tensor {
    let channels = ops.shape(x)[1];
    let hidden = ops.conv2d(contours, &format!("{name}.shared"), Conv::same(config.spade, 3).act(Act::Relu));
    let (gamma, beta) = (format!("{name}.gamma"), format!("{name}.beta"));
    let gamma_beta = ops.conv2d_pair(&hidden, &gamma, &beta, Conv::same(channels, 3));
    let y = ops.norm_modulate(x, &gamma_beta, LEAKY);
    ops.add(x, &ops.conv2d(&y, &format!("{name}.conv"), Conv::same(channels, 3)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plain::Plain;
    use crate::engine::{Executor, shape};
    use crate::testing::{Rng, random_weights};
    use std::sync::Arc;

    const SMALL: Config = Config { side: 16, width: 4, spade: 5, conditions: 4, audio: 6 };

    fn weights(config: &Config) -> Weights {
        let [from, to, sound] = config.shapes(1);
        let layers = shape::layers(|ops| {
            let reference = reference(ops, config, &from);
            forward(ops, config, &reference, &to, (config.audio > 0).then_some(&sound));
        });
        let mut weights = random_weights(&layers, 5);
        weights.metadata = config.metadata();
        weights
    }

    #[test]
    fn the_picture_is_a_mixture_of_three() {
        let ops = Plain::new(Arc::new(weights(&SMALL)));
        let [from, to, sound] = SMALL.shapes(1);
        let mut rng = Rng(4);
        let mut tensor = |s: [usize; 4]| ops.tensor(s, &rng.vec(s.iter().product()));
        let (from, to, sound) = (tensor(from), tensor(to), tensor(sound));
        let reference = reference(&ops, &SMALL, &from);
        let out = forward(&ops, &SMALL, &reference, &to, Some(&sound));
        let [image, shares, flow, paint] = [&out.image, &out.shares, &out.flow, &out.paint].map(|t| ops.values(t));
        let flow = |k: usize| ops.tensor([1, 2, 16, 16], &flow[512 * k..512 * (k + 1)]);
        let draft = ops.values(&ops.warp(&ops.slice(&to, 0, 3), &flow(0)));
        let own = ops.values(&ops.warp(&ops.slice(&from, 0, 3), &flow(1)));
        for i in 0..3 * 256 {
            let share = |k: usize| shares[256 * k + i % 256];
            assert!((share(0) + share(1) + share(2) - 1.0).abs() < 1e-5);
            let mixed = share(0) * draft[i] + share(1) * own[i] + share(2) * paint[i];
            assert!((mixed - image[i]).abs() < 1e-4, "{i}: {mixed} {}", image[i]);
        }
        // Sound changes it; without any it hears zeros.
        let silent = ops.values(&forward(&ops, &SMALL, &reference, &to, None).image);
        let zeros = ops.tensor([1, 6, 1, 1], &[0.0; 6]);
        assert_eq!(silent, ops.values(&forward(&ops, &SMALL, &reference, &to, Some(&zeros)).image));
        assert_ne!(silent, image);
    }

    #[test]
    fn a_configuration_is_read_off_metadata() {
        let mut w = weights(&SMALL);
        assert_eq!(Config::infer(&w).unwrap(), SMALL);
        let error = |w: &Weights| Config::infer(w).unwrap_err().to_string();
        w.metadata.insert("config".into(), r#"{"side":18,"width":4,"spade":5,"conditions":4,"audio":0}"#.into());
        assert!(error(&w).contains("18 pixels"));
        w.metadata.insert("config".into(), "{".into());
        assert!(error(&w).contains("config"));
        w.metadata.clear();
        assert!(error(&w).contains("window generator"));
    }

    #[test]
    fn as_large_as_it_is_said_to_be() {
        let count = |config: &Config| weights(config).arrays.values().map(|a| a.shape.iter().product::<usize>()).sum();
        let (eye, mouth): (usize, usize) = (count(&EYE), count(&MOUTH));
        assert!((900_000..1_100_000).contains(&eye), "{eye}");
        assert!(mouth > eye + 2 * 300 * 192, "{mouth}");
    }
}
