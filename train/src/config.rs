//! What a run is: one JSON file, stored in every checkpoint.

use crate::data::prepare::SHORTEST;
use headgan::audio::layout::ALL;
use headgan::nets::{discriminator, generator};
use headgan::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tch::Kind;

/// The configuration of a training run. What a file leaves out has the value of [`TrainConfig::default`], the small
/// generator for processors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    pub generator: generator::Config,
    /// An exported generator that the run begins with; random weights where nothing is said.
    pub start: Option<PathBuf>,
    pub learn: Learn,
    /// Sees PNCC and picture.
    pub picture_judge: DiscriminatorConfig,
    /// Sees [`MOUTH`](crate::losses::MOUTH) pixels around the mouth, with a generator that listens together with what is heard.
    pub mouth_judge: DiscriminatorConfig,
    /// Steps of the whole run.
    pub steps: u64,
    /// Steps before the discriminators join.
    pub warm_up: u64,
    /// Step from which on the learning rates fall, linearly, to zero at the end.
    pub decay_from: u64,
    /// Pairs a step.
    pub batch: usize,
    /// How many frames in a row belong to a pair, as `[from this step on, frames]`; 1 where nothing is said.
    pub sequences: Vec<[u64; 2]>,
    pub seed: u64,
    pub generator_rate: f64,
    pub judge_rate: f64,
    /// Adam's.
    pub betas: [f64; 2],
    /// The largest norm of a network's gradient; longer ones are shortened to it.
    pub clip: f64,
    /// How much of the averaged weights a step leaves.
    pub average: f64,
    pub losses: LossWeights,
    pub augment: Augment,
    /// VGG19 as torchvision stores it (safetensors or .pth). Without it, MobileFaceNet's features are compared.
    pub vgg19: Option<PathBuf>,
    pub precision: Precision,
    pub checkpoint_minutes: f64,
    pub validation_minutes: f64,
    /// Pairs of each held-out clip that a validation measures.
    pub validation_pairs: usize,
}

/// A discriminator's size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorConfig {
    pub ndf: usize,
    pub layers: usize,
    pub scales: usize,
}

impl DiscriminatorConfig {
    /// As the network knows it, for pictures of `input` channels.
    pub fn config(&self, input: usize) -> discriminator::Config {
        discriminator::Config { input, ndf: self.ndf, layers: self.layers, scales: self.scales }
    }
}

/// What the losses are multiplied with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossWeights {
    /// Hinge loss against the picture's discriminator.
    pub picture: f64,
    /// Hinge loss against the mouth's discriminator.
    pub mouth: f64,
    pub feature_matching: f64,
    /// On the result and on the warped picture.
    pub perceptual: f64,
    /// L1 of result and of warped picture inside the face's silhouette.
    pub inside: f64,
    /// The same outside of it.
    pub outside: f64,
    /// Mean of the flow's mask; joins gradually during the warm-up.
    pub mask: f64,
    /// Change from frame to frame inside the face, against the true change; only where sequences are longer than 1.
    pub temporal: f64,
    /// Mean of -ln(mask), with a prior: keeps the mask from closing altogether, where no flow would be learned behind it.
    pub gate: f64,
}

impl Default for LossWeights {
    fn default() -> LossWeights {
        LossWeights {
            picture: 1.0,
            mouth: 1.0,
            feature_matching: 10.0,
            perceptual: 10.0,
            inside: 50.0,
            outside: 25.0,
            mask: 0.5,
            temporal: 25.0,
            gate: 0.05,
        }
    }
}

/// How pairs are varied; picture and PNCC stay consistent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Mirrors every second pair.
    pub flip: bool,
    /// Largest change of size: 0.08 is from 1/1.08 to 1.08.
    pub scale: f64,
    /// Largest shift of the window, in its sides.
    pub shift: f64,
    /// Largest change of exposure and gamma, the same for both pictures of a pair.
    pub colour: f64,
}

impl Default for Augment {
    fn default() -> Augment {
        Augment { flip: true, scale: 0.08, shift: 0.04, colour: 0.1 }
    }
}

/// What of a generator learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Learn {
    #[default]
    All,
    /// What is heard alone: it says nothing at first, everything else stays as in [`TrainConfig::start`], and only clips
    /// whose sound changes are seen.
    Sound,
}

/// The numbers that networks compute with. Weights, optimiser and losses are float32 beside bf16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    Fp32,
    Bf16,
    /// For tests of gradients.
    Fp64,
}

impl Precision {
    /// Of weights, optimiser and losses.
    pub fn master(self) -> Kind {
        if self == Precision::Fp64 { Kind::Double } else { Kind::Float }
    }

    /// Of the networks' activations.
    pub fn compute(self) -> Kind {
        match self {
            Precision::Fp32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
            Precision::Fp64 => Kind::Double,
        }
    }
}

impl Default for TrainConfig {
    fn default() -> TrainConfig {
        let small = generator::Config {
            ngf: 8,
            spade: 16,
            audio: 0,
            prior: true,
            compose: true,
            ..generator::Config::default()
        };
        let discriminator = DiscriminatorConfig { ndf: 16, layers: 4, scales: 2 };
        TrainConfig {
            generator: small,
            start: None,
            learn: Learn::All,
            picture_judge: discriminator.clone(),
            mouth_judge: discriminator,
            steps: 12_000,
            warm_up: 4_000,
            decay_from: 8_000,
            batch: 1,
            sequences: Vec::new(),
            seed: 1,
            generator_rate: 2e-4,
            judge_rate: 2e-4,
            betas: [0.5, 0.999],
            clip: 100.0,
            average: 0.999,
            losses: LossWeights::default(),
            augment: Augment::default(),
            vgg19: None,
            precision: Precision::Fp32,
            checkpoint_minutes: 10.0,
            validation_minutes: 30.0,
            validation_pairs: 2,
        }
    }
}

impl TrainConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read, [`Error::Usage`] for a value that makes no sense.
    pub fn load(path: &Path) -> Result<TrainConfig> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::input(format!("{}: cannot be read ({e})", path.display())).with_source(e))?;
        let config: TrainConfig =
            serde_json::from_str(&text).map_err(|e| Error::usage(format!("{}: {e}", path.display())).with_source(e))?;
        config.check()?;
        Ok(config)
    }

    /// # Errors
    /// [`Error::Usage`] naming the value that makes no sense.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::usage(format!("training configuration: {what}")));
        if ![0, ALL].contains(&self.generator.audio) {
            return wrong(&format!("generator.audio must be 0, or {ALL} for a generator that listens to sound"));
        }
        if self.generator.ngf == 0 || self.generator.spade == 0 || self.generator.frames == 0 {
            return wrong("generator.ngf, spade and frames must be above 0");
        }
        if !(1..=4).contains(&self.generator.levels) {
            return wrong("generator.levels must be 1 to 4");
        }
        if self.learn == Learn::Sound && (self.generator.audio == 0 || self.start.is_none()) {
            return wrong(
                "learn 'sound' needs a generator that listens (generator.audio) and one to begin with (start)",
            );
        }
        if self.batch == 0 || self.steps == 0 {
            return wrong("batch and steps must be above 0");
        }
        if self.sequences.iter().any(|&[_, frames]| !(1..=SHORTEST as u64).contains(&frames)) {
            return wrong(&format!("sequences must be pairs of a step and 1 to {SHORTEST} frames"));
        }
        if !(0.0..1.0).contains(&self.average) || self.betas.iter().any(|b| !(0.0..1.0).contains(b)) {
            return wrong("average and betas must be from 0 up to 1, without 1");
        }
        let positive = [self.generator_rate, self.judge_rate, self.clip, self.checkpoint_minutes];
        if positive.iter().any(|v| !(*v > 0.0 && v.is_finite())) {
            return wrong("generator_rate, judge_rate, clip and checkpoint_minutes must be above 0");
        }
        Ok(())
    }

    /// The mouth's discriminator as the network knows it.
    pub fn mouth(&self) -> discriminator::Config {
        self.mouth_judge.config(3 + self.generator.audio)
    }

    /// Frames in a row that belong to a pair at a step.
    pub fn sequence_length(&self, step: u64) -> usize {
        let begun = self.sequences.iter().filter(|[from, _]| *from <= step);
        begun.max_by_key(|[from, _]| *from).map_or(1, |&[_, frames]| frames as usize)
    }

    /// What a rate is multiplied with at a step.
    pub fn schedule(&self, step: u64) -> f64 {
        if step < self.decay_from || self.steps <= self.decay_from {
            return 1.0;
        }
        let left = self.steps.saturating_sub(step) as f64;
        left / (self.steps - self.decay_from) as f64
    }

    /// How far the mask's penalty has joined at a step, 0..1.
    pub fn mask_penalty_ramp(&self, step: u64) -> f64 {
        if step >= self.warm_up { 1.0 } else { step as f64 / self.warm_up as f64 }
    }

    /// Whether the discriminators take part at a step.
    pub fn discriminators_active(&self, step: u64) -> bool {
        step >= self.warm_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_grow() {
        let mut config = TrainConfig::default();
        assert_eq!(config.sequence_length(7), 1);
        config.sequences = vec![[20, 4], [10, 2]];
        let at = [0, 9, 10, 19, 20, 900].map(|step| config.sequence_length(step));
        assert_eq!(at, [1, 1, 2, 2, 4, 4]);
        config.check().unwrap();
        config.sequences.push([30, 13]);
        assert!(config.check().unwrap_err().to_string().contains("1 to 12 frames"));
    }

    #[test]
    fn sound_is_all_or_nothing() {
        let mut config = TrainConfig::default();
        assert_eq!(config.mouth().input, 3);
        config.generator.audio = 300;
        config.check().unwrap();
        assert_eq!(config.mouth().input, 303);
        config.learn = Learn::Sound;
        assert!(config.check().unwrap_err().to_string().contains("start"));
        config.start = Some("generator.safetensors".into());
        config.check().unwrap();
        config.generator.audio = 84;
        assert!(config.check().unwrap_err().to_string().contains("0, or 300"));
    }
}
