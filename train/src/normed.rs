//! A network with batch norms in training: its weights, what its norms have seen, averages of both over the steps, and the
//! optimiser. What the trainers of detector and regressor share.

use crate::adam::Adam;
use crate::checkpoint::Checkpoint;
use crate::learned::{Learned, for_engine};
use headgan::random::Rng;
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
pub struct Normed {
    pub step: u64,
    pub skipped: u64,
    pub device: Device,
    /// Longest gradient that is followed as it is.
    clip: f64,
    learned: Learned,
    /// Running means and variances of the batch norms.
    running: BTreeMap<String, Tensor>,
    /// Averages of the weights and of the running values over the steps.
    average: BTreeMap<String, Tensor>,
    adam: Adam,
}

/// What the norms have seen before a step.
pub struct Before(Vec<(String, Tensor)>);

impl Normed {
    /// Of these layers, with random weights; `gain` is that of a layer's initialisation ([`Learned::new`]).
    pub fn new(
        layers: Vec<(String, Vec<usize>)>,
        seed: u64,
        gain: impl Fn(&str) -> f64,
        clip: f64,
        device: Device,
    ) -> Normed {
        let is_running = |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
        let (running, layers): (Vec<_>, Vec<_>) = layers.into_iter().partition(|(name, _)| is_running(name));
        let running = running.into_iter().map(|(name, shape)| {
            let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
            let value = if name.ends_with("running_var") { 1.0 } else { 0.0 };
            (name, Tensor::full(shape, value, (Kind::Float, device)))
        });
        let running: BTreeMap<String, Tensor> = running.collect();
        let learned = Learned::new(&layers, &BTreeSet::new(), (Kind::Float, device), &mut Rng::of(&[seed, 1]), gain);
        let all = learned.weights.iter().chain(&running);
        let average = all.map(|(name, t)| (name.clone(), t.detach().copy())).collect();
        Normed { step: 0, skipped: 0, device, clip, learned, running, average, adam: Adam::default() }
    }

    /// Leaves what comes before a layer as it is; what its norms see goes on being followed. For networks whose layers' names
    /// are in order.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no such layer.
    pub fn learn_from(&mut self, layer: &str) -> Result<()> {
        let of = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
        if !self.learned.weights.keys().any(|name| of(name) == layer) {
            let mut known: Vec<String> = self.learned.weights.keys().map(|name| of(name)).collect();
            known.dedup();
            return Err(Error::Usage(format!("there is no layer '{layer}'; there are {}", known.join(", "))));
        }
        for (name, weight) in &mut self.learned.weights {
            if *of(name) < *layer {
                *weight = weight.detach();
            }
        }
        Ok(())
    }

    /// An executor of the network with batch norms as training has them.
    pub fn ops(&self) -> Torch {
        let all = self.learned.weights.iter().chain(&self.running);
        let weights = all.map(|(name, t)| (name.clone(), t.shallow_clone())).collect();
        Torch::over(for_engine(&weights, Kind::Float), self.device, Kind::Float).batch_statistics(MOMENTUM)
    }

    /// The averages over the steps.
    pub fn average(&self) -> &BTreeMap<String, Tensor> {
        &self.average
    }

    /// To be asked before a step's batch is looked at, which changes what the norms have seen.
    pub fn before(&self) -> Before {
        Before(self.running.iter().map(|(n, t)| (n.clone(), t.copy())).collect())
    }

    /// One step at a rate along the losses of a batch. A step whose loss or gradient is not finite is skipped and counted.
    pub fn learn(&mut self, before: &Before, losses: &[(&'static str, Tensor)], rate: f64) -> Record {
        let total = losses.iter().fold(Tensor::from(0f32).to_device(self.device), |sum, (_, t)| sum + t);
        self.learned.zero_grad();
        total.backward();
        let gradient = self.learned.gradient_norm();
        if total.double_value(&[]).is_finite() && gradient.is_finite() {
            let shrink = (self.clip / gradient.max(1e-12)).min(1.0);
            self.adam.step(&mut self.learned.weights, rate, [0.9, 0.999], shrink);
            self.follow();
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
    fn follow(&mut self) {
        let step = self.adam.steps as f64;
        let share = 1.0 - AVERAGE.min((1.0 + step) / (10.0 + step));
        no_grad(|| {
            for (name, value) in self.learned.weights.iter().chain(&self.running) {
                let _ = self.average[name].shallow_clone().lerp_(&value.detach(), share);
            }
        });
    }

    /// All that is needed to go on.
    pub fn checkpoint(&self) -> Checkpoint {
        let mut out = Checkpoint::default();
        out.put("weight", &self.learned.weights);
        out.put("running", &self.running);
        out.put("average", &self.average);
        for (name, (m, v)) in &self.adam.moments {
            out.put("moment", [(&format!("{name}.1"), m), (&format!("{name}.2"), v)]);
        }
        let numbers = [("step", self.step), ("skipped", self.skipped), ("adam", self.adam.steps)];
        out.notes.extend(numbers.map(|(name, n)| (name.to_owned(), n.to_string())));
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
                let value = saved.get(name).filter(|t| t.size() == tensor.size()).ok_or_else(|| lacks(name))?;
                no_grad(|| tensor.copy_(value));
            }
            Ok(())
        };
        take("weight", &mut self.learned.weights)?;
        take("running", &mut self.running)?;
        take("average", &mut self.average)?;
        let moments = from.part("moment");
        for name in self.learned.weights.keys() {
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
pub fn lacks(name: &str) -> Error {
    Error::Input(format!("the checkpoint has no '{name}' as this run's network has it"))
}
