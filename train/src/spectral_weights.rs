//! A network's weights while it learns.
//!
//! Layers with spectral normalisation (<https://arxiv.org/abs/1802.05957>) are kept as torch keeps them: `weight_orig`,
//! and the vectors `weight_u` and `weight_v` of a power iteration that goes on by one round a step.

use headgan::random::Rng;
use headgan::weights::{Array, Weights};
use headgan::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tch::{Device, Kind, Tensor, no_grad};

/// Rounds of the power iteration before training.
const FIRST_ROUNDS: usize = 15;
/// And where the matrices are another run's: the vectors are not stored with an exported network.
const FOLDED_ROUNDS: usize = 100;
/// What norms are kept above.
const EPS: f64 = 1e-12;

/// Weights by the checkpoint's names.
#[derive(Debug)]
pub struct SpectralWeights {
    /// What is trained; all require gradients, unless [only some do](SpectralWeights::train_only).
    pub weights: BTreeMap<String, Tensor>,
    /// `weight_u` and `weight_v`.
    pub vectors: BTreeMap<String, Tensor>,
}

impl SpectralWeights {
    /// Random weights for the layers of a network ([`headgan::engine::shape::layers`]): uniform within 1/sqrt(fan-in)
    /// times `gain(layer)`, biases zero, norms one.
    pub fn new(
        layers: &[(String, Vec<usize>)],
        spectral: &BTreeSet<String>,
        (kind, device): (Kind, Device),
        rng: &mut Rng,
        gain: impl Fn(&str) -> f64,
    ) -> SpectralWeights {
        let mut out = SpectralWeights { weights: BTreeMap::new(), vectors: BTreeMap::new() };
        let tensor = |values: &[f64], shape: &[usize]| {
            let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
            Tensor::from_slice(values).reshape(shape).to_kind(kind).to_device(device)
        };
        for (name, shape) in layers {
            let (layer, part) = name.rsplit_once('.').unwrap_or(("", name));
            let len = shape.iter().product::<usize>();
            let values: Vec<f64> = match part {
                part if part.starts_with("weight") && shape.len() > 1 => {
                    let reach = gain(layer) / ((len / shape[0].max(1)) as f64).sqrt();
                    (0..len).map(|_| rng.within(reach)).collect()
                }
                "weight" => vec![1.0; len],
                _ => vec![0.0; len],
            };
            let is_spectral = part == "weight" && spectral.contains(layer);
            let key = if is_spectral { format!("{layer}.weight_orig") } else { name.clone() };
            out.weights.insert(key, tensor(&values, shape).set_requires_grad(true));
            if is_spectral {
                let rows = shape[0];
                for (part, n) in [("weight_u", rows), ("weight_v", len / rows.max(1))] {
                    let values: Vec<f64> = (0..n).map(|_| rng.within(1.0)).collect();
                    out.vectors.insert(format!("{layer}.{part}"), unit(&tensor(&values, &[n])));
                }
            }
        }
        for _ in 0..FIRST_ROUNDS {
            out.power_iteration();
        }
        out
    }

    /// Takes the values of an exported network, whose spectral norms are folded in.
    ///
    /// # Errors
    /// [`Error::Model`] naming the layer that is missing or of another shape.
    pub fn load_initial(&mut self, weights: &Weights) -> Result<()> {
        for (name, tensor) in &mut self.weights {
            let name = name.strip_suffix("_orig").unwrap_or(name);
            let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
            let values = match weights.get(name) {
                None => return Err(Error::model(format!("layer '{name}' is missing"))),
                Some(array) if array.shape != shape => {
                    return Err(Error::model(format!("layer '{name}' has shape {:?}, not {shape:?}", array.shape)));
                }
                Some(array) => array.as_f32(),
            };
            let values = values.ok_or_else(|| Error::model(format!("layer '{name}' holds integers")))?;
            no_grad(|| tensor.copy_(&Tensor::from_slice(values).reshape(tensor.size())));
        }
        // Until the vectors are those of these matrices.
        for _ in 0..FOLDED_ROUNDS {
            self.power_iteration();
        }
        Ok(())
    }

    /// Sets the weights, not the biases, of the layers that `which` names to zero, and leaves those alone to learn.
    pub fn train_only(&mut self, which: impl Fn(&str) -> bool) {
        for (name, tensor) in &mut self.weights {
            match name.strip_suffix(".weight").is_some_and(&which) {
                true => no_grad(|| drop(tensor.zero_())),
                false => *tensor = tensor.detach(),
            }
        }
    }

    /// One round of the power iteration.
    fn power_iteration(&mut self) {
        no_grad(|| {
            for (name, weight) in &self.weights {
                let Some(layer) = name.strip_suffix(".weight_orig") else { continue };
                let matrix = weight.flatten(1, -1);
                let (u_name, v_name) = (format!("{layer}.weight_u"), format!("{layer}.weight_v"));
                let v = unit(&matrix.tr().mv(&self.vectors[&u_name]));
                let u = unit(&matrix.mv(&v));
                // New tensors: the graph of the step before may still hold the old ones.
                self.vectors.insert(u_name, u);
                self.vectors.insert(v_name, v);
            }
        });
    }

    /// The weights that the network computes with, after a round of the power iteration, differentiable.
    pub fn advance(&mut self) -> BTreeMap<String, Tensor> {
        self.power_iteration();
        self.effective()
    }

    /// The weights that the network computes with, as they are, differentiable.
    pub fn effective(&self) -> BTreeMap<String, Tensor> {
        let of = |(name, weight): (&String, &Tensor)| match name.strip_suffix(".weight_orig") {
            None => (name.clone(), weight.shallow_clone()),
            Some(layer) => {
                let (u, v) = (&self.vectors[&format!("{layer}.weight_u")], &self.vectors[&format!("{layer}.weight_v")]);
                let sigma = u.dot(&weight.flatten(1, -1).mv(v));
                (format!("{layer}.weight"), weight / sigma)
            }
        };
        self.weights.iter().map(of).collect()
    }

    /// As [`SpectralWeights::effective`], without gradients.
    pub fn frozen(&self) -> BTreeMap<String, Tensor> {
        no_grad(|| self.effective()).into_iter().map(|(name, t)| (name, t.detach())).collect()
    }

    /// Forgets all gradients.
    pub fn zero_grad(&mut self) {
        self.weights.values_mut().for_each(Tensor::zero_grad);
    }

    /// The length of the gradient over all weights; 0 before any backward pass.
    pub fn gradient_norm(&self) -> f64 {
        let squares = self.weights.values().map(Tensor::grad).filter(Tensor::defined);
        let squares: Vec<Tensor> = squares.map(|g| g.square().sum(Kind::Double)).collect();
        if squares.is_empty() { 0.0 } else { Tensor::stack(&squares, 0).sum(Kind::Double).sqrt().double_value(&[]) }
    }
}

/// The vector at length one.
fn unit(v: &Tensor) -> Tensor {
    v / v.norm().clamp_min(EPS)
}

/// The map that an executor takes, in the kind that it computes with.
pub fn for_engine(weights: &BTreeMap<String, Tensor>, kind: Kind) -> HashMap<String, Tensor> {
    weights.iter().map(|(name, t)| (name.clone(), t.to_kind(kind))).collect()
}

/// The float arrays of a file as tensors.
pub fn tensors_of(weights: &Weights, device: Device) -> BTreeMap<String, Tensor> {
    let tensor = |array: &Array| {
        let shape: Vec<i64> = array.shape.iter().map(|&n| n as i64).collect();
        Some(Tensor::from_slice(array.as_f32()?).reshape(shape).to_device(device))
    };
    weights.arrays.iter().filter_map(|(name, array)| Some((name.clone(), tensor(array)?))).collect()
}

/// Tensors as arrays of float32.
///
/// # Errors
/// [`Error::Engine`] where one cannot be read.
pub fn weights_of<T: std::borrow::Borrow<Tensor>>(tensors: impl IntoIterator<Item = (String, T)>) -> Result<Weights> {
    let mut out = Weights::default();
    for (name, tensor) in tensors {
        let tensor = tensor.borrow().detach().to_device(Device::Cpu).to_kind(Kind::Float);
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        let values = Vec::<f32>::try_from(tensor.contiguous().reshape([-1]));
        let values = values.map_err(|e| Error::engine(format!("'{name}' cannot be read ({e})")).with_source(e))?;
        out.insert(name, Array::f32(shape, values));
    }
    Ok(out)
}
