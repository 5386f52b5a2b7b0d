//! A network with batch norms in training: its weights, what its norms have seen, averages of both over the steps, and the
//! optimiser. What the trainers of detector and regressor share.

use crate::adam::Adam;
use crate::checkpoint::Checkpoint;
use crate::spectral_weights::{SpectralWeights, for_engine, weights_of};
use headgan::random::Rng;
use headgan::weights::Weights;
use headgan::{Error, Result};
use headgan_torch::Torch;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use tch::{Device, Kind, Tensor, no_grad};

/// What a batch's statistics weigh in the running ones, PyTorch's default.
const MOMENTUM: f64 = 0.1;
/// How slowly averaged weights follow, once there are many steps.
const AVERAGE: f64 = 0.998;

/// What a step did.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    pub step: u64,
    pub losses: BTreeMap<&'static str, f64>,
    pub gradient: f64,
}

/// A network in training.
pub struct BatchNormTrainer {
    pub step: u64,
    pub skipped: u64,
    pub device: Device,
    /// Longest gradient that is followed as it is.
    clip: f64,
    net: SpectralWeights,
    /// Running means and variances of the batch norms.
    running: BTreeMap<String, Tensor>,
    /// Averages of the weights and of the running values over the steps.
    average: BTreeMap<String, Tensor>,
    adam: Adam,
}

/// The running statistics of the batch norms as they were before a step.
pub struct RunningStatistics(Vec<(String, Tensor)>);

impl BatchNormTrainer {
    /// Of these layers, with random weights; `gain` is that of a layer's initialisation ([`SpectralWeights::new`]).
    pub fn new(
        layers: Vec<(String, Vec<usize>)>,
        seed: u64,
        gain: impl Fn(&str) -> f64,
        clip: f64,
        device: Device,
    ) -> BatchNormTrainer {
        let is_running = |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
        let (running, layers): (Vec<_>, Vec<_>) = layers.into_iter().partition(|(name, _)| is_running(name));
        let running = running.into_iter().map(|(name, shape)| {
            let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
            let value = if name.ends_with("running_var") { 1.0 } else { 0.0 };
            (name, Tensor::full(shape, value, (Kind::Float, device)))
        });
        let running: BTreeMap<String, Tensor> = running.collect();
        let net = SpectralWeights::new(
            &layers,
            &BTreeSet::new(),
            (Kind::Float, device),
            &mut Rng::from_parts(&[seed, 1]),
            gain,
        );
        let all = net.weights.iter().chain(&running);
        let average = all.map(|(name, t)| (name.clone(), t.detach().copy())).collect();
        BatchNormTrainer { step: 0, skipped: 0, device, clip, net, running, average, adam: Adam::default() }
    }

    /// Leaves what comes before a layer as it is; what its norms see goes on being followed. For networks whose layers' names
    /// are in order.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no such layer.
    pub fn freeze_before(&mut self, layer: &str) -> Result<()> {
        let of = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
        if !self.net.weights.keys().any(|name| of(name) == layer) {
            let mut known: Vec<String> = self.net.weights.keys().map(|name| of(name)).collect();
            known.dedup();
            return Err(Error::usage(format!("there is no layer '{layer}'; there are {}", known.join(", "))));
        }
        for (name, weight) in &mut self.net.weights {
            if *of(name) < *layer {
                *weight = weight.detach();
            }
        }
        Ok(())
    }

    /// Gives a weight its first values, in the averages too.
    ///
    /// # Panics
    /// Where there is no such weight, or it is of another size.
    pub fn preset(&mut self, name: &str, values: &Tensor) {
        no_grad(|| {
            self.net.weights[name].shallow_clone().copy_(values);
            self.average[name].shallow_clone().copy_(values);
        });
    }

    /// An executor of the network with batch norms as training has them.
    pub fn ops(&self) -> Torch {
        let all = self.net.weights.iter().chain(&self.running);
        let weights = all.map(|(name, t)| (name.clone(), t.shallow_clone())).collect();
        Torch::over(for_engine(&weights, Kind::Float), self.device, Kind::Float).batch_statistics(MOMENTUM)
    }

    /// The averages over the steps.
    pub fn average(&self) -> &BTreeMap<String, Tensor> {
        &self.average
    }

    /// The same, as the program takes them.
    ///
    /// # Errors
    /// [`Error::Engine`] where they cannot be read.
    pub fn averaged(&self) -> Result<Weights> {
        weights_of(self.average.iter().map(|(name, t)| (name.clone(), t.shallow_clone())))
    }

    /// A copy of the running statistics, to be taken before a step's forward pass, which changes them.
    pub fn running_statistics(&self) -> RunningStatistics {
        RunningStatistics(self.running.iter().map(|(n, t)| (n.clone(), t.copy())).collect())
    }

    /// One step at a rate along the losses of a batch. A step whose loss or gradient is not finite is skipped and counted.
    pub fn optimizer_step(
        &mut self,
        before: &RunningStatistics,
        losses: &[(&'static str, Tensor)],
        rate: f64,
    ) -> Record {
        let total = losses.iter().fold(Tensor::from(0f32).to_device(self.device), |sum, (_, t)| sum + t);
        self.net.zero_grad();
        total.backward();
        let gradient = self.net.gradient_norm();
        if total.double_value(&[]).is_finite() && gradient.is_finite() {
            let shrink = (self.clip / gradient.max(1e-12)).min(1.0);
            self.adam.step(&mut self.net.weights, rate, [0.9, 0.999], shrink);
            self.update_average();
        } else {
            self.skipped += 1;
            no_grad(|| before.0.iter().for_each(|(name, t)| self.running[name].shallow_clone().copy_(t)));
        }
        self.step += 1;
        let mut named: BTreeMap<&'static str, f64> = losses.iter().map(|(n, t)| (*n, t.double_value(&[]))).collect();
        named.insert("total", total.double_value(&[]));
        Record { step: self.step, losses: named, gradient }
    }

    /// Moves the averages; fast at first, or they would remember the random weights.
    fn update_average(&mut self) {
        let step = self.adam.steps as f64;
        let share = 1.0 - AVERAGE.min((1.0 + step) / (10.0 + step));
        no_grad(|| {
            for (name, value) in self.net.weights.iter().chain(&self.running) {
                let _ = self.average[name].shallow_clone().lerp_(&value.detach(), share);
            }
        });
    }

    /// All that is needed to go on.
    pub fn checkpoint(&self) -> Checkpoint {
        let mut out = Checkpoint::default();
        out.put("weight", &self.net.weights);
        out.put("running", &self.running);
        out.put("average", &self.average);
        for (name, (m, v)) in &self.adam.moments {
            out.put("moment", [(&format!("{name}.1"), m), (&format!("{name}.2"), v)]);
        }
        let numbers = [("step", self.step), ("skipped", self.skipped), ("adam", self.adam.steps)];
        out.metadata.extend(numbers.map(|(name, n)| (name.to_owned(), n.to_string())));
        out
    }

    /// Goes on where a checkpoint was written.
    ///
    /// # Errors
    /// [`Error::Input`] where it is another network's.
    pub fn restore(&mut self, from: &Checkpoint) -> Result<()> {
        let take = |part: &str, to: &mut BTreeMap<String, Tensor>| -> Result<()> {
            let saved = from.part(part);
            for (name, tensor) in to {
                let value =
                    saved.get(name).filter(|t| t.size() == tensor.size()).ok_or_else(|| missing_tensor(name))?;
                no_grad(|| tensor.copy_(value));
            }
            Ok(())
        };
        take("weight", &mut self.net.weights)?;
        take("running", &mut self.running)?;
        take("average", &mut self.average)?;
        let moments = from.part("moment");
        for name in self.net.weights.keys() {
            let of = |part: &str| moments.get(&format!("{name}.{part}")).map(Tensor::copy);
            if let (Some(m), Some(v)) = (of("1"), of("2")) {
                self.adam.moments.insert(name.clone(), (m, v));
            }
        }
        self.step = from.number("step")?;
        self.skipped = from.number("skipped")?;
        self.adam.steps = from.number("adam")?;
        Ok(())
    }
}

/// A checkpoint of another network.
pub fn missing_tensor(name: &str) -> Error {
    Error::input(format!("the checkpoint has no '{name}' as this run's network has it"))
}
