//! One step of a window's network against its discriminator, and the state of a run.

use super::features::Features;
use super::store::{CHANNELS, Kind, WindowClip};
use crate::adam::Adam;
use crate::checkpoint::Checkpoint;
use crate::losses::{self, DiscriminatorFeatures};
use crate::run::Trainable;
use crate::spectral_weights::{SpectralWeights, for_engine, weights_of};
use headgan::engine::Ops;
use headgan::engine::shape::{self, ShapeOps};
use headgan::nets::{discriminator, window};
use headgan::random::Rng;
use headgan::reenact::windows::{CONTOURS, feather};
use headgan::weights::Weights;
use headgan::{Error, Result};
use headgan_torch::{Shared, Torch};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use tch::{Device, Kind as Number, Tensor, no_grad};

/// The metadata keys of a checkpoint.
const CONFIG: &str = "window";
const KIND: &str = "kind";
/// Longest gradient that is followed as it is.
const CLIP: f64 = 5.0;
/// Logits of the shares of Draft, reference and paint before anything is learned.
const FIRST_SHARES: [f32; 3] = [1.5, 0.0, 0.0];
const BETAS: [f64; 2] = [0.5, 0.99];
/// How slowly averaged weights follow, once there are many steps.
const AVERAGE: f64 = 0.998;
/// Frames that follow each other in a batch.
const SEQUENCE: i64 = 2;

/// Weights of the losses.
mod weight {
    pub const PICTURE: f64 = 10.0;
    /// Of Draft's window and the reference's under their flows, and of what is painted: each learns, however small its share.
    pub const PARTS: f64 = 2.0;
    pub const FEATURES: f64 = 1.5;
    pub const POINTS: f64 = 10.0;
    pub const TEMPORAL: f64 = 5.0;
    pub const ADVERSARIAL: f64 = 0.5;
    pub const MATCHING: f64 = 1.0;
}

/// The network of a kind.
pub fn config(kind: Kind) -> window::Config {
    if kind == Kind::Eye { window::EYE } else { window::MOUTH }
}

fn discriminator_config() -> discriminator::Config {
    discriminator::Config { input: CHANNELS, ndf: 32, layers: 3, scales: 1 }
}

/// Windows and what is wanted of them, two and two that follow each other.
pub struct Batch {
    /// [n, 6 + C, s, s].
    pub reference: Tensor,
    /// [n, 3 + C, s, s].
    pub target: Tensor,
    /// The contours that the discriminator sees, [n, C, s, s]: those that drive, hidden or not.
    pub contours: Tensor,
    /// [n, 3, s, s].
    pub truth: Tensor,
    /// [n, 300, 1, 1], or none.
    pub sound: Option<Tensor>,
    /// How much each place counts, [n, 1, s, s].
    pub weight: Tensor,
}

/// What a batch is made of: a clip, window, reference and driving frame.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    pub clip: &'a WindowClip,
    pub window: usize,
    pub reference: usize,
    pub target: usize,
}

/// How an item is changed; the same for both of a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augmentation {
    pub gain: f32,
    pub lift: [f32; 3],
    pub mirror: bool,
    /// Draft's window and the contours are taken away: sound alone says what the mouth does.
    pub hidden: bool,
}

impl Augmentation {
    pub const NONE: Augmentation = Augmentation { gain: 1.0, lift: [0.0; 3], mirror: false, hidden: false };

    pub fn draw(kind: Kind, has_sound: bool, hide: f64, rng: &mut Rng) -> Augmentation {
        let [gain, mirror, hidden] = [rng.within(0.3), rng.unit(), rng.unit()];
        Augmentation {
            gain: gain.exp() as f32,
            lift: std::array::from_fn(|_| rng.within(0.12) as f32),
            // Two eyes are mirrored already.
            mirror: kind == Kind::Mouth && mirror < 0.5,
            hidden: kind == Kind::Mouth && has_sound && hidden < hide,
        }
    }

    /// Planes of bytes: RGB in -1..1 first, then contours in 0..1.
    fn planes(&self, from: &[u8], side: usize, out: &mut Vec<f32>) {
        for (c, plane) in from.chunks_exact(side * side).enumerate() {
            for row in plane.chunks_exact(side) {
                let value = |v: u8| match self.lift.get(c) {
                    Some(lift) => ((f32::from(v) / 127.5 * self.gain) - 1.0 + lift).clamp(-1.0, 1.0),
                    None => f32::from(v) / 255.0,
                };
                if self.mirror {
                    out.extend(row.iter().rev().map(|v| value(*v)));
                } else {
                    out.extend(row.iter().map(|v| value(*v)));
                }
            }
        }
    }
}

impl Batch {
    /// Of items with their augmentations.
    pub fn collate(kind: Kind, items: &[(Item, Augmentation)], device: Device) -> Batch {
        let side = kind.side();
        let picture = 3 * side * side;
        let (mut reference, mut target, mut truth, mut contours) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut sound = Vec::new();
        for (item, how) in items {
            let Item { clip, window, reference: k, target: t } = *item;
            let (from, to) = (clip.reference_at(window, k), clip.target_at(window, t));
            how.planes(&from[..picture], side, &mut reference);
            // No bank yet.
            reference.resize(reference.len() + picture, 0.0);
            let lines = |bytes: &[u8], out: &mut Vec<f32>| {
                // Behind a picture's channels.
                let mut all = Vec::new();
                how.planes(bytes, side, &mut all);
                out.extend_from_slice(&all[picture..]);
            };
            lines(from, &mut reference);
            let draft = if how.hidden { &from[..picture] } else { clip.draft_at(window, k, t) };
            how.planes(draft, side, &mut target);
            match how.hidden {
                true => target.resize(target.len() + CONTOURS * side * side, 0.0),
                false => lines(to, &mut target),
            }
            lines(to, &mut contours);
            how.planes(&to[..picture], side, &mut truth);
            sound.extend_from_slice(clip.sound_at(t));
        }
        let (n, s) = (items.len() as i64, side as i64);
        let tensor = |v: &[f32], c: i64| Tensor::from_slice(v).reshape([n, c, s, s]).to_device(device);
        let fade: Vec<f32> = (0..side * side).map(|i| feather(side, [(i % side) as f32, (i / side) as f32])).collect();
        let fade = Tensor::from_slice(&fade).reshape([1, 1, s, s]).to_device(device);
        let contours = tensor(&contours, CONTOURS as i64);
        // What opens and closes counts more, and what is around it.
        let around = contours.narrow(1, 0, 1).max_pool2d([9, 9], [1, 1], [4, 4], [1, 1], false);
        let sounding = sound.len() == items.len() * config(kind).audio && !sound.is_empty();
        Batch {
            reference: tensor(&reference, 6 + CONTOURS as i64),
            target: tensor(&target, 3 + CONTOURS as i64),
            truth: tensor(&truth, 3),
            sound: sounding.then(|| Tensor::from_slice(&sound).reshape([n, -1, 1, 1]).to_device(device)),
            weight: (fade + 0.1) * (around * 3.0 + 1.0),
            contours,
        }
    }
}

/// A network with its optimiser.
struct Trained {
    net: SpectralWeights,
    adam: Adam,
}

/// What a step did.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    pub step: u64,
    pub losses: BTreeMap<&'static str, f64>,
    pub gradient: f64,
    pub seconds: f64,
}

/// What a network makes of a batch.
pub struct Made {
    pub image: Tensor,
    pub shares: Tensor,
    /// What the image is a mixture of.
    parts: [Tensor; 3],
}

/// The state of a run.
pub struct Trainer {
    pub kind: Kind,
    pub config: window::Config,
    device: Device,
    generator: Trained,
    discriminator: Trained,
    average: BTreeMap<String, Tensor>,
    features: Option<Features>,
    /// What networks compute in; weights, pictures and losses are float32.
    compute: Number,
    pub step: u64,
    pub skipped: u64,
    /// The step from which on the discriminator counts.
    pub adversarial_from: u64,
}

impl Trainer {
    /// With random weights. Without `features` they are left out.
    pub fn new(
        kind: Kind,
        config: window::Config,
        features: Option<Features>,
        adversarial_from: u64,
        seed: u64,
        (device, compute): (Device, Number),
    ) -> Trainer {
        let [from, to, sound] = config.shapes(1);
        let run = |ops: &ShapeOps| {
            let reference = window::reference(ops, &config, &from);
            window::forward(ops, &config, &reference, &to, (config.audio > 0).then_some(&sound));
        };
        // He's initialisation (https://arxiv.org/abs/1502.01852); what is added to something begins small.
        let gain = |layer: &str| match layer.rsplit('.').next() {
            _ if layer == "flow.out" || layer == "paint.shares" => 0.05,
            Some("gamma" | "beta" | "fc") => 0.3,
            Some("conv") => 0.6,
            _ => 6f64.sqrt(),
        };
        let mut rng = Rng::from_parts(&[seed, 1]);
        let net =
            SpectralWeights::new(&shape::layers(run), &shape::spectral(run), (Number::Float, device), &mut rng, gain);
        // Draft's window is nearly right: that is what a run begins with.
        let bias = net.weights["paint.shares.bias"].shallow_clone();
        no_grad(|| bias.detach().copy_(&Tensor::from_slice(&FIRST_SHARES).to_device(device)));
        let average = net.frozen().into_iter().map(|(name, t)| (name, t.copy())).collect();
        let d = discriminator_config();
        let run = |ops: &ShapeOps| {
            discriminator::forward(ops, &d, &[1, d.input, 64, 64]);
        };
        let judge =
            SpectralWeights::new(&shape::layers(run), &shape::spectral(run), (Number::Float, device), &mut rng, |_| {
                1.0
            });
        Trainer {
            kind,
            config,
            device,
            generator: Trained { net, adam: Adam::default() },
            discriminator: Trained { net: judge, adam: Adam::default() },
            average,
            features,
            compute,
            step: 0,
            skipped: 0,
            adversarial_from,
        }
    }

    pub fn device(&self) -> Device {
        self.device
    }

    fn engine(&self, weights: &BTreeMap<String, Tensor>) -> Torch {
        Torch::over(for_engine(weights, self.compute), self.device, self.compute)
    }

    fn generate(&self, weights: &BTreeMap<String, Tensor>, batch: &Batch) -> Made {
        let ops = self.engine(weights);
        let input = |t: &Tensor| Shared(t.to_kind(self.compute));
        let reference = window::reference(&ops, &self.config, &input(&batch.reference));
        let sound = batch.sound.as_ref().filter(|_| self.config.audio > 0).map(&input);
        let out = window::forward(&ops, &self.config, &reference, &input(&batch.target), sound.as_ref());
        // The pictures are mixed once more, in full precision.
        let exact = Torch::over(HashMap::new(), self.device, Number::Float);
        let [flow, shares, paint] = [out.flow, out.shares, out.paint].map(|t| t.0.to_kind(Number::Float));
        let moved = |picture: &Tensor, first: i64| {
            exact.warp(&Shared(picture.narrow(1, 0, 3)), &Shared(flow.narrow(1, first, 2))).0
        };
        let (from_draft, from_reference) = (moved(&batch.target, 0), moved(&batch.reference, 2));
        let share = |k: i64| shares.narrow(1, k, 1);
        let image = &from_draft * share(0) + &from_reference * share(1) + &paint * share(2);
        Made { image, shares, parts: [from_draft, from_reference, paint] }
    }

    /// What the averaged network makes of a batch.
    pub fn infer(&self, batch: &Batch) -> Made {
        no_grad(|| self.generate(&self.average, batch))
    }

    /// How far windows lie from a batch's true ones in features; 0 without.
    pub fn feature_distance(&self, windows: &Tensor, truth: &Tensor) -> f64 {
        no_grad(|| self.features.as_ref().map_or(0.0, |f| losses::value(&f.distance(windows, truth).features)))
    }

    fn judge(&self, weights: &BTreeMap<String, Tensor>, picture: &Tensor, batch: &Batch) -> DiscriminatorFeatures {
        // One frame of each pair: its neighbour shows hardly more.
        let x = losses::first_frames(&Tensor::cat(&[picture, &batch.contours], 1), SEQUENCE).to_kind(self.compute);
        let out = discriminator::forward(&self.engine(weights), &discriminator_config(), &Shared(x));
        let back = |t: Shared| Shared(t.0.to_kind(Number::Float));
        out.into_iter().map(|layers| layers.into_iter().map(back).collect()).collect()
    }

    fn adversarial(&self) -> bool {
        self.step >= self.adversarial_from
    }

    /// The network's losses by name, each with its weight in it.
    fn losses(&self, made: &Made, batch: &Batch) -> Vec<(&'static str, Tensor)> {
        let l1 = |picture: &Tensor| losses::weighted_l1(picture, &batch.truth, &batch.weight);
        let mut all = vec![
            ("picture", l1(&made.image) * weight::PICTURE),
            ("parts", made.parts.iter().map(l1).sum::<Tensor>() * weight::PARTS),
        ];
        let change = |t: &Tensor| losses::frame_differences(t, SEQUENCE);
        let later = losses::drop_first_frames(&batch.weight, SEQUENCE);
        let temporal = losses::weighted_l1(&change(&made.image), &change(&batch.truth), &later);
        all.push(("temporal", temporal * weight::TEMPORAL));
        if let Some(features) = &self.features {
            let first = |t: &Tensor| losses::first_frames(t, SEQUENCE);
            let distance = features.distance(&first(&made.image), &first(&batch.truth));
            all.push(("features", distance.features * weight::FEATURES));
            all.extend(distance.points.map(|points| ("points", points * weight::POINTS)));
        }
        if self.adversarial() {
            let judge = self.discriminator.net.frozen();
            let real = no_grad(|| self.judge(&judge, &batch.truth, batch));
            let fake = self.judge(&judge, &made.image, batch);
            all.push(("adversarial", losses::hinge_generator(&fake) * weight::ADVERSARIAL));
            all.push(("matching", losses::feature_matching(&real, &fake) * weight::MATCHING));
        }
        all
    }

    /// One step at a rate. Where a loss or a gradient is not a number nothing is learned, and that is counted.
    pub fn train_step(&mut self, batch: &Batch, rate: f64) -> Record {
        let started = std::time::Instant::now();
        let weights = self.generator.net.advance();
        let made = self.generate(&weights, batch);
        let losses = self.losses(&made, batch);
        let total = losses.iter().fold(Tensor::from(0f32).to_device(self.device), |sum, (_, t)| sum + t);
        let mut named: BTreeMap<&'static str, f64> = losses.iter().map(|(n, t)| (*n, losses::value(t))).collect();
        named.insert("total", losses::value(&total));
        let (mut fine, gradient) = self.generator.follow(&total, rate);
        if fine {
            let step = self.step as f64;
            let share = 1.0 - AVERAGE.min((1.0 + step) / (10.0 + step));
            let now = self.generator.net.frozen();
            no_grad(|| {
                for (name, average) in &mut self.average {
                    let _ = average.lerp_(&now[name], share);
                }
            });
        }
        if fine && self.adversarial() {
            let weights = self.discriminator.net.advance();
            let image = made.image.detach();
            let loss = losses::hinge_discriminator(
                &self.judge(&weights, &batch.truth, batch),
                &self.judge(&weights, &image, batch),
            );
            named.insert("judge", losses::value(&loss));
            fine &= self.discriminator.follow(&loss, rate).0;
        }
        self.skipped += u64::from(!fine);
        self.step += 1;
        Record { step: self.step, losses: named, gradient, seconds: started.elapsed().as_secs_f64() }
    }

    /// The loss of a batch as it is trained, differentiable in [`Trainer::weights`].
    pub fn loss(&self, batch: &Batch) -> Tensor {
        let made = self.generate(&self.generator.net.effective(), batch);
        self.losses(&made, batch).iter().fold(Tensor::from(0f32).to_device(self.device), |sum, (_, t)| sum + t)
    }

    /// Goes on where a checkpoint was written.
    ///
    /// # Errors
    /// [`Error::Input`] where it is another network's.
    pub fn restore(&mut self, from: &Checkpoint) -> Result<()> {
        if read_config(from)? != (self.kind, self.config.clone()) {
            return Err(Error::Input("the run's checkpoint is of another window; choose another --out".into()));
        }
        load_into(&mut self.average, from.part("average"))?;
        for (name, network) in [("generator", &mut self.generator), ("judge", &mut self.discriminator)] {
            load_into(&mut network.net.weights, from.part(name))?;
            load_into(&mut network.net.vectors, from.part(&format!("{name}_vectors")))?;
            let mut second = from.part(&format!("{name}_second"));
            let first = from.part(&format!("{name}_first")).into_iter();
            network.adam.moments = first.filter_map(|(n, m)| second.remove(&n).map(|v| (n, (m, v)))).collect();
            network.adam.steps = from.number(&format!("{name}_steps"))?;
        }
        self.step = from.number("step")?;
        self.skipped = from.number("skipped")?;
        Ok(())
    }

    /// The averaged weights, with what they say of themselves.
    ///
    /// # Errors
    /// [`Error::Engine`] where they cannot be read.
    pub fn averaged(&self) -> Result<Weights> {
        let mut weights = weights_of(self.average.iter().map(|(name, t)| (name.clone(), t.shallow_clone())))?;
        weights.metadata = self.config.metadata();
        weights.metadata.insert("steps".into(), self.step.to_string());
        Ok(weights)
    }

    /// Begins with the weights of an exported network.
    ///
    /// # Errors
    /// [`Error::Model`] where its layers are others.
    pub fn begin_with(&mut self, weights: &Weights) -> Result<()> {
        self.generator.net.load_initial(weights)?;
        self.average = self.generator.net.frozen().into_iter().map(|(name, t)| (name, t.copy())).collect();
        Ok(())
    }
}

impl Trained {
    /// Moves the weights against a loss; `false`, and nothing moved, where it is not a number. And the gradient's length.
    fn follow(&mut self, loss: &Tensor, rate: f64) -> (bool, f64) {
        self.net.zero_grad();
        if !losses::value(loss).is_finite() {
            return (false, f64::NAN);
        }
        loss.backward();
        let length = self.net.gradient_norm();
        if length.is_finite() {
            self.adam.step(&mut self.net.weights, rate, BETAS, (CLIP / length.max(1e-12)).min(1.0));
        }
        (length.is_finite(), length)
    }
}

impl Trainable for Trainer {
    fn step(&self) -> u64 {
        self.step
    }
    fn checkpoint(&self) -> Result<Checkpoint> {
        let mut out = Checkpoint::default();
        out.put("average", &self.average);
        for (name, network) in [("generator", &self.generator), ("judge", &self.discriminator)] {
            out.put(name, &network.net.weights);
            out.put(&format!("{name}_vectors"), &network.net.vectors);
            out.put(&format!("{name}_first"), network.adam.moments.iter().map(|(n, m)| (n, &m.0)));
            out.put(&format!("{name}_second"), network.adam.moments.iter().map(|(n, m)| (n, &m.1)));
            out.metadata.insert(format!("{name}_steps"), network.adam.steps.to_string());
        }
        let config = serde_json::to_string(&self.config)
            .map_err(|e| Error::engine(format!("the configuration cannot be written ({e})")).with_source(e))?;
        out.metadata.extend([
            (CONFIG.to_owned(), config),
            (KIND.to_owned(), self.kind.name().to_owned()),
            ("step".to_owned(), self.step.to_string()),
            ("skipped".to_owned(), self.skipped.to_string()),
        ]);
        Ok(out)
    }
}

/// What a checkpoint is of.
///
/// # Errors
/// [`Error::Input`] where it is no window's.
pub fn read_config(checkpoint: &Checkpoint) -> Result<(Kind, window::Config)> {
    let bad = || Error::Input("the checkpoint is none of a window".into());
    let kind = checkpoint.metadata.get(KIND).and_then(|k| Kind::ALL.into_iter().find(|kind| kind.name() == k));
    let config = checkpoint.metadata.get(CONFIG).and_then(|text| serde_json::from_str(text).ok());
    Ok((kind.ok_or_else(bad)?, config.ok_or_else(bad)?))
}

/// The averaged weights of a checkpoint, with what they say of themselves.
///
/// # Errors
/// As [`read_config`].
pub fn weights(checkpoint: &Checkpoint) -> Result<(Kind, window::Config, Weights)> {
    let (kind, config) = read_config(checkpoint)?;
    let mut weights = weights_of(checkpoint.part("average"))?;
    weights.metadata = config.metadata();
    weights.metadata.insert("steps".into(), checkpoint.number("step")?.to_string());
    Ok((kind, config, weights))
}

fn load_into(to: &mut BTreeMap<String, Tensor>, mut from: BTreeMap<String, Tensor>) -> Result<()> {
    for (name, tensor) in to.iter_mut() {
        let stored = from.remove(name).filter(|s| s.size() == tensor.size());
        let stored = stored
            .ok_or_else(|| Error::input(format!("the checkpoint has no '{name}' as this run's network has it")))?;
        no_grad(|| tensor.copy_(&stored));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::clip;
    use super::*;

    const CPU: (Device, Number) = (Device::Cpu, Number::Float);

    fn small(kind: Kind) -> window::Config {
        window::Config { width: 4, spade: 4, ..config(kind) }
    }

    fn batch(kind: Kind, how: Augmentation) -> Batch {
        let clip = clip(kind, 4, false);
        let items: Vec<(Item, Augmentation)> =
            (0..4).map(|t| (Item { clip: &clip, window: 0, reference: t % 2, target: t }, how)).collect();
        Batch::collate(kind, &items, Device::Cpu)
    }

    #[test]
    fn it_learns_what_it_sees_and_goes_on_where_it_stopped() {
        for kind in Kind::ALL {
            let mut one = Trainer::new(kind, small(kind), None, 12, 1, CPU);
            let batch = batch(kind, Augmentation::NONE);
            let first = one.train_step(&batch, 2e-3).losses["picture"];
            let mut last = first;
            (0..20).for_each(|_| last = one.train_step(&batch, 2e-3).losses["picture"]);
            assert!(last < 0.7 * first, "{first} {last}");
            let saved = one.checkpoint().unwrap();
            let mut two = Trainer::new(kind, small(kind), None, 12, 2, CPU);
            two.restore(&saved).unwrap();
            let (a, b) = (one.train_step(&batch, 2e-3), two.train_step(&batch, 2e-3));
            assert_eq!((a.step, &a.losses), (b.step, &b.losses));
            assert!(a.losses.contains_key("judge"));
            let (of, _, exported) = weights(&saved).unwrap();
            assert_eq!((of, window::Config::infer(&exported).unwrap()), (kind, small(kind)));
            assert!(Trainer::new(kind, config(kind), None, 0, 2, CPU).restore(&saved).is_err());
        }
    }

    #[test]
    fn a_hidden_mouth_shows_nothing_of_itself() {
        let shown = batch(Kind::Mouth, Augmentation::NONE);
        let hidden = batch(Kind::Mouth, Augmentation { hidden: true, ..Augmentation::NONE });
        let apart = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        assert_eq!(apart(&hidden.target.narrow(1, 0, 3), &hidden.reference.narrow(1, 0, 3)), 0.0);
        assert_eq!(hidden.target.narrow(1, 3, CONTOURS as i64).abs().max().double_value(&[]), 0.0);
        assert!(apart(&hidden.target, &shown.target) > 0.1);
        assert_eq!(apart(&hidden.truth, &shown.truth), 0.0);
        assert_eq!(hidden.reference.narrow(1, 3, 3).abs().max().double_value(&[]), 0.0);
        let mirrored = batch(Kind::Mouth, Augmentation { mirror: true, ..Augmentation::NONE });
        assert_eq!(apart(&mirrored.truth.flip([3]), &shown.truth), 0.0);
        assert_eq!(apart(&mirrored.reference.flip([3]), &shown.reference), 0.0);
    }
}
