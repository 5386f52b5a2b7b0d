//! One step, and the state of a run.

use super::batches::Batch;
use super::config::{BLANK, SpeechConfig};
use crate::adam::Adam;
use crate::checkpoint::Checkpoint;
use crate::ctc::{self, CtcTargets};
use crate::spectral_weights::{SpectralWeights, weights_of};
use headgan::engine::shape;
use headgan::nets::deepspeech2::{self, deepspeech2};
use headgan::random::Rng;
use headgan::weights::Weights;
use headgan::{Error, Result};
use headgan_torch::{Shared, Torch};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use tch::{Device, Kind, Tensor, no_grad};

/// The metadata key of acoustic models' checkpoints; its value is the configuration.
pub const METADATA_KEY: &str = "speech";

/// A model that learns.
#[derive(Debug)]
pub struct Trainer {
    pub config: SpeechConfig,
    network: deepspeech2::Config,
    net: SpectralWeights,
    /// Running averages of batch norms.
    statistics: BTreeMap<String, Tensor>,
    adam: Adam,
    device: Device,
    /// Steps taken.
    pub step: u64,
    /// Steps whose loss or gradient was not finite.
    pub skipped: u64,
}

/// What a step came to.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    pub step: u64,
    /// A letter's.
    pub ctc: f64,
    /// A letter's, of those whose time is known.
    pub timing: f64,
    pub gradient: f64,
    pub rate: f64,
    pub seconds: f64,
    /// Seconds of sound.
    pub sound: f64,
}

impl Trainer {
    /// A model with random weights.
    ///
    /// # Errors
    /// [`Error::Model`] for windows that make no sense.
    pub fn new(config: SpeechConfig, device: Device) -> Result<Trainer> {
        let network = config.network()?;
        let layers = shape::layers(|ops| {
            deepspeech2(ops, &network, &[1, 1, network.bins, 64]);
        });
        let (averages, layers): (Vec<_>, Vec<_>) = layers.into_iter().partition(|(name, _)| is_statistic(name));
        let mut rng = Rng::from_parts(&[config.seed, 0]);
        let net = SpectralWeights::new(&layers, &BTreeSet::new(), (Kind::Float, device), &mut rng, |_| 1.0);
        let average = |(name, shape): (String, Vec<usize>)| {
            let value = if name.ends_with("running_var") { 1.0 } else { 0.0 };
            (name, Tensor::full([shape[0] as i64], value, (Kind::Float, device)))
        };
        let statistics = averages.into_iter().map(average).collect();
        Ok(Trainer { config, network, net, statistics, adam: Adam::default(), device, step: 0, skipped: 0 })
    }

    /// Learns from a batch.
    pub fn train_step(&mut self, batch: &Batch) -> Record {
        let started = Instant::now();
        // Averages are kept aside, so that a step that is skipped leaves none.
        let averages: BTreeMap<String, Tensor> = self.statistics.iter().map(|(k, v)| (k.clone(), v.copy())).collect();
        let weights =
            self.net.effective().into_iter().chain(averages.iter().map(|(k, v)| (k.clone(), v.shallow_clone())));
        let torch = Torch::over(weights.collect(), self.device, Kind::Float).batch_statistics(self.config.momentum);
        let logits = deepspeech2(&torch, &self.network, &Shared(batch.spectra.shallow_clone())).0;
        let ctc = ctc_per_letter(&logits, batch);
        let timing = timing(&logits, &batch.timed);
        let loss = &ctc + &timing * self.config.timing;
        self.net.zero_grad();
        loss.backward();
        let gradient = self.net.gradient_norm();
        let rate = self.config.rate_at(self.step);
        if loss.double_value(&[]).is_finite() && gradient.is_finite() {
            let shrink = (self.config.clip / gradient.max(1e-12)).min(1.0);
            self.adam.step(&mut self.net.weights, rate, self.config.betas, shrink);
            self.statistics = averages;
        } else {
            self.skipped += 1;
        }
        self.step += 1;
        let stride = self.config.spectrogram.window_stride;
        Record {
            step: self.step,
            ctc: ctc.double_value(&[]),
            timing: timing.double_value(&[]),
            gradient,
            rate,
            seconds: started.elapsed().as_secs_f64(),
            sound: stride * (batch.spectra.size()[0] * batch.spectra.size()[3]) as f64,
        }
    }

    /// A letter's loss with the running averages of batch norms, as a program runs the network.
    ///
    /// # Errors
    /// Those of [`Trainer::weights`].
    pub fn loss_as_run(&self, batch: &Batch) -> Result<f64> {
        let torch = Torch::new(&self.weights()?, self.device, Kind::Float);
        let logits = no_grad(|| deepspeech2(&torch, &self.network, &Shared(batch.spectra.shallow_clone())).0);
        Ok(ctc_per_letter(&logits, batch).double_value(&[]))
    }

    /// The weights as a program loads them.
    ///
    /// # Errors
    /// [`Error::Engine`] where a tensor cannot be read.
    pub fn weights(&self) -> Result<Weights> {
        let all = self.net.weights.iter().chain(&self.statistics);
        weights_of(all.map(|(name, tensor)| (name.clone(), tensor)))
    }

    /// Everything that the run needs to go on.
    ///
    /// # Errors
    /// [`Error::Engine`] where the configuration cannot be written.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let mut out = Checkpoint::default();
        out.put("weights", &self.net.weights);
        out.put("statistics", &self.statistics);
        out.put("first", self.adam.moments.iter().map(|(name, (m, _))| (name, m)));
        out.put("second", self.adam.moments.iter().map(|(name, (_, v))| (name, v)));
        let text = serde_json::to_string(&self.config)
            .map_err(|e| Error::engine(format!("the configuration: {e}")).with_source(e))?;
        out.metadata.insert(METADATA_KEY.into(), text);
        let numbers = [("step", self.step), ("skipped", self.skipped), ("adam", self.adam.steps)];
        out.metadata.extend(numbers.map(|(name, n)| (name.into(), n.to_string())));
        Ok(out)
    }

    /// Goes on where a checkpoint was written.
    ///
    /// # Errors
    /// [`Error::Input`] where it is another network's.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let other = || Error::Input("the checkpoint is another network's: begin a new run, with another --out".into());
        for (prefix, here) in [("weights", &mut self.net.weights), ("statistics", &mut self.statistics)] {
            let mut part = checkpoint.part(prefix);
            for (name, tensor) in here {
                let stored = part.remove(name).filter(|t| t.size() == tensor.size()).ok_or_else(other)?;
                no_grad(|| tensor.copy_(&stored));
            }
        }
        let (mut first, mut second) = (checkpoint.part("first"), checkpoint.part("second"));
        for name in self.net.weights.keys() {
            if let (Some(m), Some(v)) = (first.remove(name), second.remove(name)) {
                self.adam.moments.insert(name.clone(), (m, v));
            }
        }
        self.step = checkpoint.number("step")?;
        self.skipped = checkpoint.number("skipped")?;
        self.adam.steps = checkpoint.number("adam")?;
        Ok(())
    }
}

/// Whether a layer's part is a running average of a batch norm.
pub fn is_statistic(name: &str) -> bool {
    name.ends_with("running_mean") || name.ends_with("running_var")
}

/// [`ctc::loss`] over the mean number of letters.
fn ctc_per_letter(logits: &Tensor, batch: &Batch) -> Tensor {
    let sentences = CtcTargets { labels: &batch.labels, lengths: &batch.lengths };
    let letters = batch.labels.len().max(1) as f64 / batch.lengths.len().max(1) as f64;
    ctc::loss(logits, &batch.moments, sentences, BLANK) / letters
}

/// The negative log probability of letters at the moments at which they begin, mean over `timed`: sound, label and moment of each; 0
/// where there are none. `logits` are `[n, labels, 1, t]`.
fn timing(logits: &Tensor, timed: &[[i64; 3]]) -> Tensor {
    if timed.is_empty() {
        return Tensor::zeros([], (logits.kind(), logits.device()));
    }
    let (labels, moments) = (logits.size()[1], logits.size()[3]);
    let places: Vec<i64> = timed.iter().map(|[n, label, moment]| (n * labels + label) * moments + moment).collect();
    let places = Tensor::from_slice(&places).to_device(logits.device());
    -logits.log_softmax(1, None::<Kind>).reshape([-1]).index_select(0, &places).mean(logits.kind())
}
