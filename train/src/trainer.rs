//! One step of training: the generator against two discriminators.

use crate::adam::Adam;
use crate::checkpoint::Checkpoint;
use crate::config::{Learn, TrainConfig};
use crate::data::Batch;
use crate::losses::{self, DiscriminatorFeatures, MOUTH};
use crate::perceptual::Perceptual;
use crate::spectral_weights::{SpectralWeights, for_engine};
use headgan::engine::Ops;
use headgan::engine::shape::{self, ShapeOps};
use headgan::nets::{discriminator, generator};
use headgan::random::Rng;
use headgan::weights::safetensors;
use headgan::{Error, Result};
use headgan_torch::{Shared, Torch};
use serde::Serialize;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor, no_grad};

/// What an untrained network adds to the mesh's flow and to the warped picture is noise: its heads begin this
/// much smaller than other layers, lest the first thing learned be to shut them off.
const FIRST_HEADS: f64 = 0.02;
/// Below this, a gate is as good as closed.
const LEAST_GATE: f64 = 1e-6;

/// A run's whole state.
pub struct Trainer {
    pub config: TrainConfig,
    device: Device,
    generator: TrainedNetwork,
    picture_discriminator: TrainedNetwork,
    mouth_discriminator: TrainedNetwork,
    /// The generator's weights as it computes with them, averaged over steps: what is validated and exported.
    pub average: BTreeMap<String, Tensor>,
    perceptual: Option<Perceptual>,
    /// Steps done, skipped ones included.
    pub step: u64,
    /// Steps whose loss or gradient was not a number.
    pub skipped: u64,
}

/// A network with its optimiser.
struct TrainedNetwork {
    net: SpectralWeights,
    adam: Adam,
}

/// What a step did.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Record {
    pub step: u64,
    /// By name, before multiplication with their weights; `generator`, `picture_judge`, `mouth_judge` are the sums that
    /// are minimised.
    pub losses: BTreeMap<&'static str, f64>,
    /// Lengths of the gradients before they are shortened.
    pub gradients: BTreeMap<&'static str, f64>,
    pub rate: f64,
    /// Whether nothing was learned because something was not a number.
    pub skipped: bool,
    /// Seconds.
    pub seconds: f64,
}

impl Trainer {
    /// A run at its beginning. Without `perceptual` that loss is left out.
    ///
    /// # Errors
    /// [`Error::Usage`] for a configuration that makes no sense; [`Error::Model`] where the generator to begin with is
    /// another.
    pub fn new(config: TrainConfig, perceptual: Option<Perceptual>, device: Device) -> Result<Trainer> {
        config.check()?;
        let kind = config.precision.master();
        let g = config.generator.clone();
        let side = 16 << g.levels;
        let run = |ops: &ShapeOps| {
            let reference = generator::reference(ops, &g, &[1, 6, side, side]);
            generator::forward(ops, &g, &reference, &[1, 3 * g.frames, side, side], None, None);
        };
        let head = |layer: &str| {
            let residual = g.prior && (layer.contains(".dec_flow.") || layer.contains(".dec_mask."));
            residual || (g.compose && layer.contains(".conv_img."))
        };
        let gain = |layer: &str| if head(layer) { FIRST_HEADS } else { 1.0 };
        let mut rng = Rng::from_parts(&[config.seed, 1]);
        let mut net = SpectralWeights::new(&shape::layers(run), &shape::spectral(run), (kind, device), &mut rng, gain);
        if let Some(path) = &config.start {
            let begun = safetensors::load(path).and_then(|weights| net.load_initial(&weights));
            begun.map_err(|e| {
                Error::model(format!(
                    "{}: cannot be what this configuration's generator begins with ({e})",
                    path.display()
                ))
            })?;
        }
        if config.learn == Learn::Sound {
            net.train_only(generator::takes_sound);
        }
        let average = net.frozen().into_iter().map(|(name, t)| (name, t.copy())).collect();
        let discriminator = |config: &discriminator::Config, side: usize, rng: &mut Rng| {
            let run = |ops: &ShapeOps| {
                discriminator::forward(ops, config, &[1, config.input, side, side]);
            };
            let layers = (shape::layers(run), shape::spectral(run));
            SpectralWeights::new(&layers.0, &layers.1, (kind, device), rng, |_| 1.0)
        };
        let picture = discriminator(&config.picture_judge.config(6), 64, &mut rng);
        let mouth = discriminator(&config.mouth(), MOUTH as usize, &mut rng);
        Ok(Trainer {
            generator: TrainedNetwork { net, adam: Adam::default() },
            picture_discriminator: TrainedNetwork { net: picture, adam: Adam::default() },
            mouth_discriminator: TrainedNetwork { net: mouth, adam: Adam::default() },
            average,
            perceptual,
            device,
            config,
            step: 0,
            skipped: 0,
        })
    }

    pub fn device(&self) -> Device {
        self.device
    }

    fn engine(&self, weights: &BTreeMap<String, Tensor>) -> Torch {
        let kind = self.config.precision.compute();
        Torch::over(for_engine(weights, kind), self.device, kind)
    }

    /// The generator on a batch. What a composing one changes of the reference under the mesh's flow is added to Draft's
    /// picture, as Full does.
    fn generate(&self, weights: &BTreeMap<String, Tensor>, batch: &Batch) -> generator::Output<Tensor> {
        let (compute, master) = (self.config.precision.compute(), self.config.precision.master());
        let ops = self.engine(weights);
        let config = &self.config.generator;
        let input = |t: &Tensor| Shared(t.to_kind(compute));
        let reference = generator::reference(&ops, config, &input(&batch.reference));
        let prior = input(&batch.prior);
        let sound = (config.audio > 0).then(|| input(&batch.sound));
        let out = generator::forward(&ops, config, &reference, &input(&batch.pncc), sound.as_ref(), Some(&prior));
        let back = |t: Shared| t.0.to_kind(master);
        let image = back(out.image);
        let image = match config.compose {
            true => image + &batch.draft - back(ops.warp(&reference.rgb, &prior)),
            false => image,
        };
        generator::Output {
            image,
            flow: back(out.flow),
            mask: back(out.mask),
            warped: back(out.warped),
            warped_features: Vec::new(),
        }
    }

    /// What the averaged generator makes of a batch.
    pub fn infer(&self, batch: &Batch) -> generator::Output<Tensor> {
        no_grad(|| self.generate(&self.average, batch))
    }

    /// A discriminator's features and scores of pictures.
    fn discriminate(
        &self,
        weights: &BTreeMap<String, Tensor>,
        config: &discriminator::Config,
        x: &Tensor,
    ) -> DiscriminatorFeatures {
        let (compute, master) = (self.config.precision.compute(), self.config.precision.master());
        let out = discriminator::forward(&self.engine(weights), config, &Shared(x.to_kind(compute)));
        out.into_iter().map(|layers| layers.into_iter().map(|t| Shared(t.0.to_kind(master))).collect()).collect()
    }

    /// What the mouth's discriminator sees of a picture: the mouth, and of a generator that listens at every pixel all that is heard.
    fn mouth_input(&self, picture: &Tensor, batch: &Batch) -> Tensor {
        let mouth = losses::mouth(picture, &batch.mouths);
        if self.config.generator.audio == 0 {
            return mouth;
        }
        let size = mouth.size();
        Tensor::cat(&[&mouth, &batch.sound.expand([size[0], -1, size[2], size[3]], false)], 1)
    }

    /// The generator's losses by name, each with its weight, and its picture.
    fn generator_losses(&self, out: &generator::Output<Tensor>, batch: &Batch) -> Vec<(&'static str, f64, Tensor)> {
        let w = &self.config.losses;
        let (inside, outside) = (&batch.valid * &batch.face, &batch.valid * (1.0 - &batch.face));
        let l1 = |picture: &Tensor, weight: &Tensor| losses::weighted_l1(picture, &batch.target, weight);
        let mut all = vec![
            ("inside", w.inside, l1(&out.image, &inside)),
            ("outside", w.outside, l1(&out.image, &outside)),
            ("warped_inside", w.inside, l1(&out.warped, &inside)),
            ("warped_outside", w.outside, l1(&out.warped, &outside)),
            ("mask", w.mask * self.config.mask_penalty_ramp(self.step), out.mask.mean(None)),
        ];
        if batch.sequence_length > 1 {
            let change = |t: &Tensor| losses::frame_differences(t, batch.sequence_length);
            let later = losses::drop_first_frames(&inside, batch.sequence_length);
            let temporal = losses::weighted_l1(&change(&out.image), &change(&batch.target), &later);
            all.push(("temporal", w.temporal, temporal));
        }
        if self.config.generator.prior {
            all.push(("gate", w.gate, gate(&out.mask)));
        }
        let (image, warped) = (batch.mask_invalid(&out.image), batch.mask_invalid(&out.warped));
        if let Some(perceptual) = self.perceptual.as_ref().filter(|_| w.perceptual > 0.0) {
            all.push(("perceptual", w.perceptual, perceptual.distance(&[&image, &warped], &batch.target)));
        }
        if self.config.discriminators_active(self.step) {
            let now = batch.current_pncc();
            let see = |picture: &Tensor| Tensor::cat(&[&now, picture], 1);
            let mouth = |picture: &Tensor| self.mouth_input(picture, batch);
            let (p, m) = (self.picture_discriminator.net.frozen(), self.mouth_discriminator.net.frozen());
            let (pc, mc) = (self.config.picture_judge.config(6), self.config.mouth());
            let real = no_grad(|| {
                [self.discriminate(&p, &pc, &see(&batch.target)), self.discriminate(&m, &mc, &mouth(&batch.target))]
            });
            let fake = [self.discriminate(&p, &pc, &see(&image)), self.discriminate(&m, &mc, &mouth(&image))];
            all.push(("picture", w.picture, losses::hinge_generator(&fake[0])));
            all.push(("mouth", w.mouth, losses::hinge_generator(&fake[1])));
            let matching = losses::feature_matching(&real[0], &fake[0]) + losses::feature_matching(&real[1], &fake[1]);
            all.push(("feature_matching", w.feature_matching, matching));
        }
        all
    }

    /// Learns from a batch. Where a loss or a gradient is not a number nothing is learned, and that is counted.
    pub fn train_step(&mut self, batch: &Batch) -> Record {
        let started = std::time::Instant::now();
        let rate = self.config.schedule(self.step);
        let mut record = Record { step: self.step, rate: rate * self.config.generator_rate, ..Record::default() };
        let weights = self.generator.net.advance();
        let out = self.generate(&weights, batch);
        let losses = self.generator_losses(&out, batch);
        let total = sum(losses.iter().map(|(_, weight, loss)| loss * *weight));
        record.losses.extend(losses.iter().map(|(name, _, loss)| (*name, losses::value(loss))));
        record.losses.insert("generator", losses::value(&total));

        let config = &self.config;
        let mut fine =
            self.generator.optimizer_step(&total, config.generator_rate * rate, config, &mut record, "generator");
        if fine {
            let left = self.config.average.min((1.0 + self.step as f64) / (10.0 + self.step as f64));
            let now = self.generator.net.frozen();
            no_grad(|| {
                for (name, average) in &mut self.average {
                    let _ = average.lerp_(&now[name], 1.0 - left);
                }
            });
        }
        if fine && self.config.discriminators_active(self.step) {
            let image = batch.mask_invalid(&out.image).detach();
            let now = batch.current_pncc();
            let see = |picture: &Tensor| Tensor::cat(&[&now, picture], 1);
            let (real, fake) = (self.mouth_input(&batch.target, batch), self.mouth_input(&image, batch));
            fine &= self.train_discriminator("picture_judge", see(&batch.target), see(&image), rate, &mut record);
            fine &= self.train_discriminator("mouth_judge", real, fake, rate, &mut record);
        }
        record.skipped = !fine;
        self.skipped += u64::from(!fine);
        self.step += 1;
        record.seconds = started.elapsed().as_secs_f64();
        record
    }

    fn train_discriminator(
        &mut self,
        name: &'static str,
        real: Tensor,
        fake: Tensor,
        rate: f64,
        record: &mut Record,
    ) -> bool {
        let is_mouth = name == "mouth_judge";
        let size = if is_mouth { &self.config.mouth_judge } else { &self.config.picture_judge };
        let config = size.config(real.size()[1] as usize);
        let network = if is_mouth { &mut self.mouth_discriminator } else { &mut self.picture_discriminator };
        let weights = network.net.advance();
        let loss = losses::hinge_discriminator(
            &self.discriminate(&weights, &config, &real),
            &self.discriminate(&weights, &config, &fake),
        );
        record.losses.insert(name, losses::value(&loss));
        let network = if is_mouth { &mut self.mouth_discriminator } else { &mut self.picture_discriminator };
        network.optimizer_step(&loss, self.config.judge_rate * rate, &self.config, record, name)
    }

    /// Everything that a run needs to go on.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let mut out = Checkpoint::default();
        out.put("average", &self.average);
        let entry = |name: &str, value: String| (name.to_owned(), value);
        let config = serde_json::to_string(&self.config)
            .map_err(|e| Error::engine(format!("the training configuration cannot be written ({e})")).with_source(e))?;
        out.metadata.extend([
            entry("config", config),
            entry("step", self.step.to_string()),
            entry("skipped", self.skipped.to_string()),
        ]);
        for (name, network) in self.networks() {
            out.put(name, &network.net.weights);
            out.put(&format!("{name}_vectors"), &network.net.vectors);
            for (part, pick) in [("first", 0), ("second", 1)] {
                let moments = network.adam.moments.iter().map(|(n, (m, v))| (n, if pick == 0 { m } else { v }));
                out.put(&format!("{name}_{part}"), moments);
            }
            out.metadata.insert(format!("{name}_steps"), network.adam.steps.to_string());
        }
        Ok(out)
    }

    /// Goes on where a checkpoint was written; `self` is a fresh run of the same configuration.
    ///
    /// # Errors
    /// [`Error::Input`] where the checkpoint is another configuration's.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.step = checkpoint.number("step")?;
        self.skipped = checkpoint.number("skipped")?;
        let average = checkpoint.part("average");
        load_into(&mut self.average, average, "average")?;
        for name in ["generator", "picture_judge", "mouth_judge"] {
            let network = match name {
                "generator" => &mut self.generator,
                "picture_judge" => &mut self.picture_discriminator,
                _ => &mut self.mouth_discriminator,
            };
            load_into(&mut network.net.weights, checkpoint.part(name), name)?;
            load_into(&mut network.net.vectors, checkpoint.part(&format!("{name}_vectors")), name)?;
            let mut second = checkpoint.part(&format!("{name}_second"));
            let first = checkpoint.part(&format!("{name}_first")).into_iter();
            network.adam.moments = first.filter_map(|(n, m)| second.remove(&n).map(|v| (n, (m, v)))).collect();
            network.adam.steps = checkpoint.number(&format!("{name}_steps"))?;
        }
        Ok(())
    }

    fn networks(&self) -> [(&'static str, &TrainedNetwork); 3] {
        [
            ("generator", &self.generator),
            ("picture_judge", &self.picture_discriminator),
            ("mouth_judge", &self.mouth_discriminator),
        ]
    }

    /// The generator's loss on a batch, all of it or one by name, differentiable in [`Trainer::weights`].
    pub fn loss(&self, batch: &Batch, only: Option<&str>) -> Tensor {
        let out = self.generate(&self.generator.net.effective(), batch);
        let losses = self.generator_losses(&out, batch);
        sum(losses.iter().filter(|(name, ..)| only.is_none_or(|o| o == *name)).map(|(_, weight, loss)| loss * *weight))
    }

    /// The generator's weights as they are trained.
    pub fn weights(&self) -> &BTreeMap<String, Tensor> {
        &self.generator.net.weights
    }
}

impl TrainedNetwork {
    /// Moves the weights against the gradient of `loss`; `false`, and nothing moved, where it is not a number.
    fn optimizer_step(
        &mut self,
        loss: &Tensor,
        rate: f64,
        config: &TrainConfig,
        record: &mut Record,
        name: &'static str,
    ) -> bool {
        self.net.zero_grad();
        if !losses::value(loss).is_finite() {
            return false;
        }
        loss.backward();
        let length = self.net.gradient_norm();
        record.gradients.insert(name, length);
        if !length.is_finite() {
            return false;
        }
        let shrink = if length > config.clip { config.clip / length } else { 1.0 };
        self.adam.step(&mut self.net.weights, rate, config.betas, shrink);
        true
    }
}

/// Puts stored values in the place of those that are there, name by name.
fn load_into(to: &mut BTreeMap<String, Tensor>, mut from: BTreeMap<String, Tensor>, what: &str) -> Result<()> {
    for (name, tensor) in to.iter_mut() {
        let stored = from.remove(name).filter(|s| s.size() == tensor.size() && s.kind() == tensor.kind());
        let stored = stored.ok_or_else(|| {
            Error::input(format!("the checkpoint's {what} does not have '{name}' as this configuration needs it"))
        })?;
        no_grad(|| tensor.copy_(&stored));
    }
    Ok(())
}

/// What a gate that closes costs.
fn gate(gate: &Tensor) -> Tensor {
    -gate.clamp_min(LEAST_GATE).log().mean(None)
}

/// The sum of numbers that are tensors.
fn sum(values: impl Iterator<Item = Tensor>) -> Tensor {
    let values: Vec<Tensor> = values.map(|v| v.to_kind(Kind::Double)).collect();
    Tensor::stack(&values, 0).sum(None)
}
