//! The HeadGAN generator: a flow network that warps the reference and a rendering network that paints the result.
//!
//! Doukas, Zafeiriou, Sharmanska: "HeadGAN: One-shot Neural Head Synthesis and Editing", ICCV 2021,
//! <https://arxiv.org/abs/2012.08261>. SPADE: <https://arxiv.org/abs/1903.07291>. AdaIN: <https://arxiv.org/abs/1703.06868>.
//! Layer names are those of the official checkpoint.
//!
//! Two departures make a small generator of little data: a flow *prior* (the mesh already knows where most of the
//! reference goes; the flow network finds what is left) and *composition* (the rendering network changes the warped
//! reference instead of painting it anew). A third keeps *sound at the mouth*: AdaIN changes all positions alike, so the
//! modulation by the audio is blended with that of silence, by where the PNCC shows the mouth. All three are off in official files.
//!
//! Shapes below are for 256x256 pixels and `ngf` 32; any size divisible by 4 works.

use crate::engine::{Act, Conv, Ops, Resize};
use crate::models::Architecture;
use crate::weights::Weights;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a weights file was trained as; stored in the pack and in the file's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Channels at full size; each level below has four times more.
    pub ngf: usize,
    /// Times the picture is halved (256 px down to 64 px: 2).
    pub levels: usize,
    /// Hidden channels of every SPADE layer.
    pub spade: usize,
    /// Driving PNCC frames seen at once (t-2, t-1, t: 3).
    pub frames: usize,
    /// Length of the audio vector, 0 for a generator without audio.
    pub audio: usize,
    /// Whether the flow network starts from the mesh's flow and adds to it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub prior: bool,
    /// Whether the rendering network's picture is added to the warped reference.
    #[serde(default, skip_serializing_if = "is_false")]
    pub compose: bool,
    /// Whether audio changes the mouth alone; elsewhere the picture is that of silence ([`mouth`]).
    #[serde(default, skip_serializing_if = "is_false")]
    pub sound_at_mouth: bool,
    /// Whether the PNCC shows the eyeballs of a model that has them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub eyeballs: bool,
}

/// Its name in packs and in the metadata of weights files.
pub const ARCHITECTURE: Architecture = Architecture::HeadganGenerator;

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Default for Config {
    fn default() -> Config {
        Config {
            ngf: 32,
            levels: 2,
            spade: 256,
            frames: 3,
            audio: 300,
            prior: false,
            compose: false,
            sound_at_mouth: false,
            eyeballs: false,
        }
    }
}

impl Config {
    /// The configuration that folded weights were made for: read off their shapes, and off `config` in the file's
    /// metadata what shapes do not tell.
    ///
    /// # Errors
    /// [`Error::Model`] naming the layer that is missing, or for metadata that cannot be read.
    pub fn infer(weights: &Weights) -> Result<Config> {
        let shape = |name: &str| match weights.get(name) {
            Some(a) if a.shape.len() == 4 => Ok(&a.shape),
            Some(a) => Err(Error::model(format!("layer '{name}' has shape {:?}; four dimensions are needed", a.shape))),
            None => Err(Error::model(format!("layer '{name}' is missing: this is not a HeadGAN generator"))),
        };
        let first = shape("rendering_network.cond_enc.0.1.0.weight")?;
        let spade = shape("flow_network.dec_res.0.norm_0.mlp_shared.0.weight")?[0];
        let levels = (1..8).take_while(|i| weights.get(&format!("flow_network.enc.{i}.0.0.weight")).is_some()).count();
        let audio = weights.get("rendering_network.cond_dec_audio.0.norm1.fc.weight");
        let audio = audio.and_then(|a| a.shape.get(1).copied()).unwrap_or(0);
        let stated = match weights.metadata.get("config") {
            Some(text) if weights.metadata.get("architecture").is_some_and(|a| a == ARCHITECTURE.as_str()) => {
                serde_json::from_str(text).map_err(|e| {
                    Error::model(format!(
                        "the metadata 'config' is no generator's configuration ({e}); export it again"
                    ))
                    .with_source(e)
                })?
            }
            _ => Config::default(),
        };
        Ok(Config { ngf: first[0], levels, spade, frames: first[1] / 3, audio, ..stated })
    }

    /// What a weights file of this configuration says of itself.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let config = serde_json::json!(self).to_string();
        [("architecture", ARCHITECTURE.to_string()), ("config", config)].map(|(k, v)| (k.to_owned(), v)).into()
    }

    /// Channels at level `i` (0 is full size).
    pub fn channels(&self, level: usize) -> usize {
        self.ngf << (2 * level)
    }

    /// What a picture's sides must be divisible by.
    pub fn stride(&self) -> usize {
        1 << self.levels
    }
}

/// What depends on the reference alone; computed once per shot.
#[derive(Debug, Clone)]
pub struct Reference<T> {
    /// Features from full size down, `channels(i)` x 1/2^i.
    pub features: Vec<T>,
    /// The picture, RGB in -1..1.
    pub rgb: T,
}

/// Everything the generator computes for one frame.
#[derive(Debug, Clone)]
pub struct Output<T> {
    /// The result, RGB in -1..1; with composition it may lie beyond, and is to be clipped. `[n, 3, h, w]`
    pub image: T,
    /// Where each pixel comes from, relative, in pixels, already multiplied by the mask and with the prior added.
    /// `[n, 2, h, w]`
    pub flow: T,
    /// How much of the network's own flow is used, 0..1. `[n, 1, h, w]`
    pub mask: T,
    /// The reference picture under the flow. `[n, 3, h, w]`
    pub warped: T,
    /// The reference features under the flow, full size first.
    pub warped_features: Vec<T>,
}

/// Activation inside every block.
const LEAKY: Act = Act::Leaky(0.2);

/// Encodes the reference: `input` is PNCC (0..1) and RGB (-1..1), `[n, 6, h, w]`.
pub fn reference<O: Ops>(ops: &O, config: &Config, input: &O::Tensor) -> Reference<O::Tensor> {
    Reference { features: encoder(ops, config, input, "flow_network.enc"), rgb: ops.slice(input, 3, 3) }
}

/// One frame: `pncc` holds the driving PNCC frames, oldest first, `[n, 3 frames, h, w]` in 0..1; `audio` is `[n, 300, 1, 1]`.
///
/// A generator without sound ignores `audio`; one with sound takes zeros where none is given. `prior` is the mesh's
/// flow, as [`Output::flow`] is, `[n, 2, h, w]`; treated likewise.
pub fn forward<O: Ops>(
    ops: &O,
    config: &Config,
    reference: &Reference<O::Tensor>,
    pncc: &O::Tensor,
    audio: Option<&O::Tensor>,
    prior: Option<&O::Tensor>,
) -> Output<O::Tensor> {
    let [n, _, h, w] = ops.shape(pncc);
    let still;
    let prior = match (config.prior, prior) {
        (false, _) => None,
        (true, Some(prior)) => Some(prior),
        (true, None) => {
            still = ops.tensor([n, 2, h, w], &vec![0.0; 2 * n * h * w]);
            Some(&still)
        }
    };
    let (flow, mask) = flow_network(ops, config, reference, pncc, prior);

    let mut level_flow = flow.clone();
    let mut warped_features = Vec::with_capacity(config.levels + 1);
    for (level, features) in reference.features.iter().enumerate() {
        if level > 0 {
            level_flow = halved(ops, &level_flow);
        }
        warped_features.push(ops.warp(features, &level_flow));
    }
    let warped = ops.warp(&reference.rgb, &flow);

    let silence;
    let audio = match audio {
        Some(audio) => audio,
        None => {
            silence = ops.tensor([n, config.audio, 1, 1], &vec![0.0; n * config.audio]);
            &silence
        }
    };
    let painted = rendering_network(ops, config, pncc, &warped_features, &warped, audio);
    let image = if config.compose { ops.add(&warped, &painted) } else { painted };
    for (name, tensor) in [("image", &image), ("flow", &flow), ("mask", &mask), ("warped", &warped)] {
        ops.name(tensor, name);
    }
    Output { image, flow, mask, warped, warped_features }
}

/// A flow at the next level: in its pixels, half as large and half as long.
fn halved<O: Ops>(ops: &O, flow: &O::Tensor) -> O::Tensor {
    ops.affine(&ops.avg_pool(flow, 2, 2, 0, true), 0.5, 0.0)
}

/// 7x7 convolution at full size, then `levels` halvings; the features of every level.
fn encoder<O: Ops>(ops: &O, config: &Config, x: &O::Tensor, name: &str) -> Vec<O::Tensor> {
    let first = Conv::same(config.ngf, 7).reflect().no_bias().spectral();
    let x = ops.conv2d(x, &format!("{name}.0.1.0"), first);
    let mut features = vec![ops.instance_norm(&x, Some(&format!("{name}.0.1.1")), Act::Relu)]; // 32 x 256 x 256
    for level in 1..=config.levels {
        let conv = Conv::same(config.channels(level), 3).stride(2).no_bias().spectral();
        let x = ops.conv2d(&features[level - 1], &format!("{name}.{level}.0.0"), conv);
        features.push(ops.instance_norm(&x, Some(&format!("{name}.{level}.0.1")), Act::Relu)); // 128 x 128², 512 x 64²
    }
    features
}

fn flow_network<O: Ops>(
    ops: &O,
    config: &Config,
    reference: &Reference<O::Tensor>,
    pncc: &O::Tensor,
    prior: Option<&O::Tensor>,
) -> (O::Tensor, O::Tensor) {
    let deepest = &reference.features[config.levels]; // 512 x 64 x 64
    let mut x = match prior {
        Some(prior) => {
            let deep = (0..config.levels).fold(prior.clone(), |flow, _| halved(ops, &flow));
            ops.warp(deepest, &deep)
        }
        None => deepest.clone(),
    };
    for i in 0..2 {
        x = spade_block(ops, config, &x, pncc, &format!("flow_network.dec_res.{i}"));
    }
    for i in 0..config.levels {
        x = spade_block(ops, config, &x, pncc, &format!("flow_network.dec_main.{i}"));
        x = ops.pixel_shuffle(&x, 2); // 128 x 128 x 128, 32 x 256 x 256
    }
    let flow = ops.conv2d(&x, "flow_network.dec_flow.1", Conv::same(2, 7).reflect());
    let mask = ops.conv2d(&x, "flow_network.dec_mask.1", Conv::same(1, 7).reflect());
    let mask = ops.affine(&ops.tanh(&mask), 0.5, 0.5);
    let own = ops.mul(&flow, &mask);
    let flow = match prior {
        Some(prior) => ops.add(prior, &own),
        None => own,
    };
    (flow, mask)
}

fn rendering_network<O: Ops>(
    ops: &O,
    config: &Config,
    pncc: &O::Tensor,
    warped_features: &[O::Tensor],
    warped: &O::Tensor,
    audio: &O::Tensor,
) -> O::Tensor {
    let mut x = match encoder(ops, config, pncc, "rendering_network.cond_enc").pop() {
        Some(x) => x, // 512 x 64 x 64
        None => pncc.clone(),
    };
    let mouth = (config.audio > 0 && config.sound_at_mouth).then(|| mouth(ops, config, pncc));
    for i in 0..=config.levels {
        let features = &warped_features[config.levels - i];
        x = spade_block(ops, config, &x, features, &format!("rendering_network.cond_dec.{i}"));
        if config.audio > 0 {
            x = adain_block(ops, &x, audio, mouth.as_ref(), &format!("rendering_network.cond_dec_audio.{i}"));
        }
        if i < config.levels {
            x = ops.pixel_shuffle(&x, 2); // 128 x 128 x 128, 32 x 256 x 256
        }
    }
    x = spade_block(ops, config, &x, warped, &format!("rendering_network.cond_dec.{}", config.levels + 1));
    let x = ops.leaky_relu(&x, 0.2);
    ops.tanh(&ops.conv2d(&x, "rendering_network.conv_img.1", Conv::same(3, 7).reflect()))
}

/// `x + conv(leaky(spade(conv(leaky(spade(x))))))`, as many channels out as in.
fn spade_block<O: Ops>(ops: &O, config: &Config, x: &O::Tensor, cond: &O::Tensor, name: &str) -> O::Tensor {
    let [_, c, h, w] = ops.shape(x);
    let [_, _, ch, cw] = ops.shape(cond);
    let cond = if (ch, cw) == (h, w) { cond.clone() } else { ops.resize(cond, h, w, Resize::Nearest) };
    let mut y = x.clone();
    for i in 0..2 {
        let norm = format!("{name}.norm_{i}");
        let shared = Conv::same(config.spade, 3).act(Act::Relu);
        let hidden = ops.conv2d(&cond, &format!("{norm}.mlp_shared.0"), shared); // 256 x h x w
        let gamma_beta =
            ops.conv2d_pair(&hidden, &format!("{norm}.mlp_gamma"), &format!("{norm}.mlp_beta"), Conv::same(c, 3));
        y = ops.norm_modulate(&y, &gamma_beta, LEAKY);
        y = ops.conv2d(&y, &format!("{name}.conv_{i}"), Conv::same(c, 3).spectral());
    }
    ops.add(x, &y)
}

/// `conv(leaky(adain(conv(leaky(adain(x))))))`, no shortcut; gamma and beta are a linear function of the audio vector,
/// and with `mouth` (at the deepest level's size) elsewhere that of zeros.
fn adain_block<O: Ops>(ops: &O, x: &O::Tensor, audio: &O::Tensor, mouth: Option<&O::Tensor>, name: &str) -> O::Tensor {
    let [n, c, h, w] = ops.shape(x);
    let spread = |t: &O::Tensor| ops.resize(t, h, w, Resize::Nearest);
    let mouth = mouth.map(|mouth| {
        let silence = ops.affine(audio, 0.0, 0.0);
        let mouth =
            if ops.shape(mouth) == [n, 1, h, w] { mouth.clone() } else { ops.resize(mouth, h, w, Resize::Bilinear) };
        (mouth, silence)
    });
    let mut y = x.clone();
    for i in 1..=2 {
        let layer = format!("{name}.norm{i}.fc");
        let mut gamma_beta = ops.linear(audio, &layer, 2 * c);
        if let Some((mouth, silence)) = &mouth {
            let silent = ops.linear(silence, &layer, 2 * c);
            let difference = ops.add(&gamma_beta, &ops.affine(&silent, -1.0, 0.0));
            gamma_beta = ops.add(&spread(&silent), &ops.mul(&spread(&difference), mouth));
        }
        y = ops.norm_modulate(&y, &gamma_beta, LEAKY);
        y = ops.conv2d(&y, &format!("{name}.conv{i}"), Conv::same(c, 3).spectral());
    }
    y
}

/// Whether a layer takes the audio vector.
pub fn takes_sound(layer: &str) -> bool {
    layer.contains(".cond_dec_audio.") && layer.ends_with(".fc")
}

/// Middle of the mouth in coordinate codes (x, y, z in 0..1), and how far from it sound reaches: the lips' landmarks lie
/// within 0.34..0.66, 0.23..0.33, 0.72..0.87, both of 3DDFA-V2's model and of the procedural head.
const MOUTH: [[f32; 2]; 3] = [[0.5, 0.26], [0.27, 0.17], [0.8, 0.5]];
/// Side of the window that closes an opened mouth, which PNCC shows as nothing, at the deepest level.
const CLOSED: usize = 11;

/// How much each position belongs to the mouth by the newest PNCC frame: 1 on the lips and around them, falling to 0 before
/// nose and chin. `[n, 1, h, w]` at the deepest level's size.
pub fn mouth<O: Ops>(ops: &O, config: &Config, pncc: &O::Tensor) -> O::Tensor {
    let newest = 3 * (config.frames - 1);
    let [x, y, z] = std::array::from_fn(|k| {
        let [middle, reach] = MOUTH[k];
        let off = ops.affine(&ops.slice(pncc, newest + k, 1), 1.0 / reach, -middle / reach);
        ops.mul(&off, &off)
    });
    let off = ops.add(&ops.add(&x, &y), &z);
    let near = ops.clamp(&ops.affine(&off, -2.0, 2.0), 0.0, 1.0);
    let near = (0..config.levels).fold(near, |t, _| ops.avg_pool(&t, 2, 2, 0, true));
    // Largest, then least of a window: fills what is narrower than it and leaves the outline.
    let largest = |t: &O::Tensor| ops.max_pool(t, CLOSED, 1, CLOSED / 2, false);
    let turned = |t: &O::Tensor| ops.affine(t, -1.0, 0.0);
    turned(&largest(&turned(&largest(&near))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::check::Check;
    use crate::engine::plain::Plain;
    use crate::engine::{Executor, cpu, shape};
    use crate::pncc::Rasterizer;
    use crate::testing::{Rng, random_weights};
    use crate::weights::{Array, Data};
    use std::sync::Arc;

    const SMALL: Config = Config {
        ngf: 3,
        levels: 2,
        spade: 8,
        frames: 3,
        audio: 0,
        prior: true,
        compose: true,
        sound_at_mouth: false,
        eyeballs: false,
    };

    fn weights(config: &Config) -> Weights {
        let layers = shape::layers(|ops| {
            let shot = reference(ops, config, &[1, 6, 32, 32]);
            forward(ops, config, &shot, &[1, 9, 32, 32], None, None);
        });
        Weights { metadata: config.metadata(), ..random_weights(&layers, 5) }
    }

    /// Sets every value of a layer's part.
    fn set(weights: &mut Weights, name: &str, value: f32) {
        let Array { data: Data::F32(values), .. } = weights.arrays.get_mut(name).unwrap() else { panic!("{name}") };
        values.fill(value);
    }

    /// Without a flow of its own and with nothing changed, the result is the reference under the mesh's flow.
    #[test]
    fn no_residual_and_no_change_give_the_warped_reference() {
        let mut w = weights(&SMALL);
        for part in ["weight", "bias"] {
            set(&mut w, &format!("flow_network.dec_flow.1.{part}"), 0.0);
            set(&mut w, &format!("rendering_network.conv_img.1.{part}"), 0.0);
        }
        let mut rng = Rng(3);
        let ops = Check::new(Arc::new(w), &cpu::Options { threads: 2, ..cpu::Options::default() });
        let input = ops.tensor([1, 6, 32, 32], &rng.vec(6 * 32 * 32));
        let pncc = ops.tensor([1, 9, 32, 32], &rng.vec(9 * 32 * 32));
        let prior = ops.tensor([1, 2, 32, 32], &rng.vec(2 * 32 * 32).iter().map(|v| 9.0 * v).collect::<Vec<_>>());
        let shot = reference(&ops, &SMALL, &input);
        let out = forward(&ops, &SMALL, &shot, &pncc, None, Some(&prior));
        let expected = ops.values(&ops.warp(&shot.rgb, &prior));
        assert_eq!(ops.values(&out.image), expected);
        assert_eq!(ops.values(&out.warped), expected);
        assert_eq!(ops.values(&out.flow), ops.values(&prior));
        // Without a prior nothing moves.
        let still = forward(&ops, &SMALL, &shot, &pncc, None, None);
        assert_eq!(ops.values(&still.image), ops.values(&shot.rgb));
    }

    /// The mouth is what the lips enclose, open or not, and nothing of eyes, nose and chin.
    #[test]
    fn the_mouth_is_found_by_its_codes() {
        use crate::morphable::canonical::ExpressionMode;
        use crate::morphable::{Euler, ImageCamera, Mesh, PreparedMorphable};
        const SIDE: usize = 256;
        let model = PreparedMorphable::new(crate::synthetic::head()).unwrap();
        let shape = vec![0.0; model.model().shape_dim];
        let config = Config { frames: 1, ..Config::default() };
        let ops = Plain::new(Arc::new(Weights::default()));
        for (yaw, jaw) in [(0.0, 0.0), (0.0, 1.0), (35.0, 1.0), (-35.0, 0.3)] {
            let mut expr = vec![0.0; model.model().expr_dim];
            expr[ExpressionMode::JawOpen as usize] = jaw;
            let turned = Euler { yaw, pitch: 5.0, roll: 10.0 };
            let camera = ImageCamera::new(9e-4, turned.rotation(), [128.0, 128.0, 0.0]);
            let mut mesh = Mesh::default();
            model.mesh_into(&model.identity(&shape).unwrap(), &expr, &camera, &mut mesh).unwrap();
            let mut raster = Rasterizer::new();
            let rendered = raster.render(&mesh.vertices, model.triangles(), SIDE, SIDE).unwrap();
            let mut pixels = Vec::new();
            rendered.pncc_f32_into(&model.model().ncc, &mut pixels).unwrap();
            let planes: Vec<f32> = (0..3).flat_map(|c| pixels.iter().skip(c).step_by(3).copied()).collect();
            let mouth = mouth(&ops, &config, &ops.tensor([1, 3, SIDE, SIDE], &planes));
            assert_eq!(mouth.shape, [1, 1, SIDE / 4, SIDE / 4]);
            let points = model.posed_landmarks(&shape, &expr, &camera).unwrap();
            let at = |p: [f32; 2]| mouth.data[(p[1] / 4.0) as usize * SIDE / 4 + (p[0] / 4.0) as usize];
            let middle = |a: usize, b: usize| [0, 1].map(|k| 0.5 * (points[a][k] + points[b][k]));
            for (a, b) in [(51, 57), (62, 66), (50, 58), (52, 56)] {
                assert!(at(middle(a, b)) > 0.75, "{yaw} {jaw}: {a} {b} {}", at(middle(a, b)));
            }
            for i in [36, 39, 42, 45, 30, 27, 8, 21] {
                let value = at(middle(i, i));
                assert!(value < 0.02, "{yaw} {jaw}: landmark {i} has {value}");
            }
            let share = mouth.data.iter().sum::<f32>() / mouth.data.len() as f32;
            assert!((0.02..0.1).contains(&share), "{yaw} {jaw}: {share} of the picture");
        }
    }

    /// At the mouth as with sound, elsewhere as in silence.
    #[test]
    fn sound_is_heard_where_the_mouth_is() {
        let config = Config { audio: 6, ..SMALL };
        let ops = Plain::new(Arc::new(weights(&config)));
        let mut rng = Rng(8);
        let x = ops.tensor([1, 48, 8, 8], &rng.vec(48 * 64));
        let sound = ops.tensor([1, 6, 1, 1], &rng.vec(6));
        let silence = ops.tensor([1, 6, 1, 1], &[0.0; 6]);
        let block = |sound: &_, mouth: Option<f32>| {
            let mouth = mouth.map(|v| ops.tensor([1, 1, 8, 8], &[v; 64]));
            ops.values(&adain_block(&ops, &x, sound, mouth.as_ref(), "rendering_network.cond_dec_audio.0"))
        };
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let (sounding, silent) = (block(&sound, None), block(&silence, None));
        assert!(apart(&sounding, &silent) > 0.01);
        assert!(apart(&block(&sound, Some(1.0)), &sounding) < 1e-4);
        assert!(apart(&block(&sound, Some(0.0)), &silent) < 1e-4);
    }

    #[test]
    fn a_configuration_is_read_off_shapes_and_metadata() {
        let w = weights(&SMALL);
        assert_eq!(Config::infer(&w).unwrap(), SMALL);
        let local = Config { audio: 6, sound_at_mouth: true, ..SMALL };
        assert_eq!(Config::infer(&weights(&local)).unwrap(), local);
        let official = Config { prior: false, compose: false, ..SMALL };
        let mut plain = weights(&official);
        assert_eq!(Config::infer(&plain).unwrap(), official);
        plain.metadata.clear();
        assert_eq!(Config::infer(&plain).unwrap(), official);
        // Files of before say nothing of the three, and are written as they were.
        let text = serde_json::to_string(&official).unwrap();
        assert_eq!(text, r#"{"ngf":3,"levels":2,"spade":8,"frames":3,"audio":0}"#);
        let mut damaged = w;
        damaged.metadata.insert("config".into(), "{".into());
        assert!(matches!(Config::infer(&damaged), Err(Error::Model(t)) if t.contains("config")));
    }

    #[test]
    fn eyeballs_are_written_only_where_they_are_drawn() {
        let text = |config: &Config| config.metadata()["config"].clone();
        assert!(!text(&SMALL).contains("eyeballs"));
        let seeing = Config { eyeballs: true, ..SMALL };
        assert!(text(&seeing).contains("\"eyeballs\":true"));
        assert_eq!(serde_json::from_str::<Config>(&text(&seeing)).unwrap(), seeing);
        assert!(!serde_json::from_str::<Config>(&text(&SMALL)).unwrap().eyeballs);
    }
}
