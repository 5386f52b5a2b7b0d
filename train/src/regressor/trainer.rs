//! One step of the regressor, and the state of a run.

use super::labels::{UNKNOWN, landmark_basis};
use super::view::Crop;
use crate::batch_norm::{BatchNormTrainer, Record, missing_tensor};
use crate::checkpoint::Checkpoint;
use headgan::engine::shape;
use headgan::morphable::Morphable;
use headgan::nets::mobilenet::{Config, SIZE, mobilenet};
use headgan::weights::{Array, Weights};
use headgan::{Error, Result};
use headgan_torch::Shared;
use tch::{Device, Kind, Reduction, Tensor};

/// Camera values before the coefficients.
const CAMERA: i64 = 12;
/// Pixels of a crop that the outer corners of the eyes are apart, about: makes losses of landmarks shares of it.
const EYES: f64 = 38.0;
/// Longest gradient that is followed as it is.
const CLIP: f64 = 5.0;
/// What depth counts beside x and y.
const DEPTH: f64 = 0.5;
/// Landmarks of the lids between the corners, which fits without lids do not know.
const LIDS: [usize; 8] = [37, 38, 40, 41, 43, 44, 46, 47];

/// Landmarks whose distance says how far an eye or the mouth is open, above and below; the eyes come first.
const GAPS: [(i64, i64); 7] = [(37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65)];
/// How many of [`GAPS`] are between lids.
const LID_GAPS: i64 = 4;

/// Weights of the losses.
mod weight {
    pub const LANDMARKS: f64 = 10.0;
    pub const CAMERA: f64 = 1.0;
    pub const IDENTITY: f64 = 0.1;
    pub const EXPRESSION: f64 = 5.0;
    /// Of openings: an eye's is a thirtieth of all landmarks' ways, and what a blink is.
    pub const GAPS: f64 = 30.0;
    /// Of lids that nobody knows: open is the best guess.
    pub const OPEN: f64 = 0.03;
    pub const SAME_FACE: f64 = 0.1;
    pub const SAME_PLACE: f64 = 3.0;
}

/// Crops of samples, two views of each, one after the other.
pub struct Batch {
    /// [2n, 3, side, side].
    pub pixels: Tensor,
    /// [2n, parameters].
    pub params: Tensor,
    /// [2n, 2, 3]: from the crop to the sample.
    pub back: Tensor,
    /// [2n, 1]: 1 where the parameters are the truth.
    pub truth: Tensor,
}

impl Batch {
    /// Of crops and whether each one's parameters are the truth.
    pub fn collate(crops: &[(Crop, bool)], device: Device) -> Batch {
        let n = crops.len() as i64;
        let all = |values: Vec<f32>, shape: &[i64]| Tensor::from_slice(&values).reshape(shape).to_device(device);
        let of = |f: &dyn Fn(&Crop) -> &[f32]| crops.iter().flat_map(|(c, _)| f(c).iter().copied()).collect();
        let back = crops.iter().flat_map(|(c, _)| c.back.map(|v| v as f32)).collect();
        let side = SIZE as i64;
        Batch {
            pixels: all(of(&|c| &c.pixels), &[n, 3, side, side]),
            params: all(of(&|c| &c.params), &[n, -1]),
            back: all(back, &[n, 2, 3]),
            truth: all(crops.iter().map(|(_, truth)| f32::from(u8::from(*truth))).collect(), &[n, 1]),
        }
    }

    /// The same on a device.
    pub fn to_device(self, device: Device) -> Batch {
        let to = |t: Tensor| t.to_device(device);
        Batch { pixels: to(self.pixels), params: to(self.params), back: to(self.back), truth: to(self.truth) }
    }
}

/// The state of a run.
pub struct Trainer {
    pub net: BatchNormTrainer,
    pub config: Config,
    /// Mean and deviation of the parameters, which the outputs count from and in: [1, parameters].
    mean: Tensor,
    deviation: Tensor,
    /// The head's landmarks: mean [204], basis [204, coefficients].
    landmarks: (Tensor, Tensor),
    shape_dim: i64,
    expr_dim: i64,
}

impl Trainer {
    /// With random weights. `statistics` are mean and deviation of the parameters that it will see.
    pub fn new(model: &Morphable, width: f32, seed: u64, statistics: [Vec<f32>; 2], device: Device) -> Trainer {
        let outputs = statistics[0].len();
        let config = Config { width, head: "fc".into(), outputs, lids: false };
        let layers = shape::layers(|ops| {
            mobilenet(ops, &[1, 3, SIZE, SIZE], &config);
        });
        // He's initialisation (https://arxiv.org/abs/1502.01852); the last layer begins near the mean face.
        let gain = |layer: &str| if layer == "fc" { 0.1 } else { 6f64.sqrt() };
        let row = |v: &Vec<f32>| Tensor::from_slice(v).reshape([1, -1]).to_device(device);
        let (mean, basis) = landmark_basis(model, Kind::Float);
        Trainer {
            net: BatchNormTrainer::new(layers, seed, gain, CLIP, device),
            config,
            mean: row(&statistics[0]),
            deviation: row(&statistics[1]),
            landmarks: (mean.to_device(device), basis.to_device(device)),
            shape_dim: model.shape_dim as i64,
            expr_dim: model.expr_dim as i64,
        }
    }

    /// The normalised outputs for pictures, with batch norms as training has them.
    fn outputs(&self, pixels: &Tensor) -> Tensor {
        mobilenet(&self.net.ops(), &Shared(pixels.shallow_clone()), &self.config)
            .0
            .reshape([-1, self.config.outputs as i64])
    }

    /// Landmarks in the crop's coordinates, [n, 68, 3], of parameters [n, parameters].
    pub fn landmark_positions(&self, params: &Tensor) -> Tensor {
        let n = params.size()[0];
        let (mean, basis) = &self.landmarks;
        let coefficients = params.narrow(1, CAMERA, self.shape_dim + self.expr_dim);
        let points = (coefficients.matmul(&basis.tr()) + mean).reshape([n, -1, 3]);
        let camera = params.narrow(1, 0, CAMERA).reshape([n, 3, 4]);
        points.matmul(&camera.narrow(2, 0, 3).transpose(1, 2)) + camera.select(2, 3).unsqueeze(1)
    }

    /// The losses of outputs for a batch, by name, each with its weight in it.
    fn losses(&self, outputs: &Tensor, batch: &Batch) -> Vec<(&'static str, Tensor)> {
        let none = Reduction::None;
        let params = outputs * &self.deviation + &self.mean;
        let wanted = (&batch.params - &self.mean) / &self.deviation;
        let off = outputs.smooth_l1_loss(&wanted, none, 1.0);
        let (s, e) = (self.shape_dim, self.expr_dim);

        let places = self.landmark_positions(&params);
        let way = (&places - self.landmark_positions(&batch.params))
            * Tensor::from_slice(&[1f32, 1.0, DEPTH as f32]).to_device(self.net.device);
        let way = (way.square().sum_dim_intlist(2, false, Kind::Float) + 1e-4).sqrt() / EYES;
        let known = Tensor::ones([1, way.size()[1]], (Kind::Float, self.net.device));
        for i in LIDS {
            let _ = known.select(1, i as i64).zero_();
        }
        // 1 everywhere for the truth; 0 at the lids for fits.
        let known = &known + &batch.truth * (1.0 - &known);
        let landmarks = (way * &known).sum(Kind::Float) / known.sum(Kind::Float);

        // Openings, as in EMOCA's losses of closed eyes and mouths (https://arxiv.org/abs/2204.11312).
        let index = |side: fn(&(i64, i64)) -> i64| {
            Tensor::from_slice(&GAPS.iter().map(side).collect::<Vec<_>>()).to_device(self.net.device)
        };
        let (above, below) = (index(|g| g.0), index(|g| g.1));
        let gaps = |p: &Tensor| p.index_select(1, &above) - p.index_select(1, &below);
        let gap = gaps(&places) - gaps(&self.landmark_positions(&batch.params));
        let gap = (gap.narrow(2, 0, 2).square().sum_dim_intlist(2, false, Kind::Float) + 1e-4).sqrt() / EYES;
        let seen = Tensor::ones([1, GAPS.len() as i64], (Kind::Float, self.net.device));
        let _ = seen.narrow(1, 0, LID_GAPS).zero_();
        let seen = &seen + &batch.truth * (1.0 - &seen);
        let gaps = (gap * &seen).sum(Kind::Float) / seen.sum(Kind::Float);

        let expression = off.narrow(1, CAMERA + s, e);
        let asked = Tensor::ones([1, e], (Kind::Float, self.net.device));
        for mode in UNKNOWN {
            let _ = asked.select(1, mode as i64).zero_();
        }
        let open = params.narrow(1, CAMERA + s, e).abs() * (1.0 - &asked) * (1.0 - &batch.truth);
        let asked = &asked + &batch.truth * (1.0 - &asked);
        let expression = (expression * &asked).sum(Kind::Float) / asked.sum(Kind::Float);

        let pairs = |t: &Tensor| {
            let views = t.reshape([[-1, 2].as_slice(), &t.size()[1..]].concat());
            views.select(1, 0) - views.select(1, 1)
        };
        let face = pairs(&outputs.narrow(1, CAMERA, s + e)).square().mean(Kind::Float);
        let turn = batch.back.narrow(2, 0, 2).transpose(1, 2);
        let in_sample = places.narrow(2, 0, 2).matmul(&turn) + batch.back.select(2, 2).unsqueeze(1);
        let place = (pairs(&in_sample).square().sum_dim_intlist(2, false, Kind::Float) + 1e-4).sqrt() / EYES;
        let mean = |t: Tensor| t.mean(Kind::Float);
        vec![
            ("landmarks", landmarks * weight::LANDMARKS),
            ("gaps", gaps * weight::GAPS),
            ("camera", mean(off.narrow(1, 0, CAMERA)) * weight::CAMERA),
            ("identity", mean(off.narrow(1, CAMERA, s)) * weight::IDENTITY),
            ("expression", expression * weight::EXPRESSION),
            ("open", mean(open) * weight::OPEN),
            ("same face", face * weight::SAME_FACE),
            ("same place", mean(place) * weight::SAME_PLACE),
        ]
    }

    /// One step at a rate. A step whose loss or gradient is not finite is skipped and counted.
    pub fn train_step(&mut self, batch: &Batch, rate: f64) -> Record {
        let before = self.net.running_statistics();
        let losses = self.losses(&self.outputs(&batch.pixels), batch);
        self.net.optimizer_step(&before, &losses, rate)
    }

    /// All that is needed to go on.
    pub fn checkpoint(&self) -> Checkpoint {
        let mut out = self.net.checkpoint();
        out.put("statistics", [(&"mean".to_owned(), &self.mean), (&"deviation".to_owned(), &self.deviation)]);
        out.metadata.insert("width".into(), self.config.width.to_string());
        out
    }

    /// Goes on where a checkpoint was written.
    ///
    /// # Errors
    /// [`Error::Input`] where it is another network's.
    pub fn restore(&mut self, from: &Checkpoint) -> Result<()> {
        let statistics = from.part("statistics");
        let of = |name: &str| statistics.get(name).map(Tensor::copy).ok_or_else(|| missing_tensor(name));
        (self.mean, self.deviation) = (of("mean")?, of("deviation")?);
        self.net.restore(from)
    }
}

/// The averaged regressor of a checkpoint, and the model that its outputs belong to: `head` with their mean and
/// deviation.
///
/// # Errors
/// [`Error::Input`] for a checkpoint that is none of a regressor; [`Error::Model`] where the weights would not run.
pub fn export(checkpoint: &Checkpoint, head: &Morphable) -> Result<(Weights, Morphable)> {
    let values = |t: &Tensor| {
        let flat = Vec::<f32>::try_from(t.to_kind(Kind::Float).contiguous().reshape([-1]));
        flat.map_err(|e| Error::engine(format!("the checkpoint cannot be read ({e})")).with_source(e))
    };
    let mut weights = Weights::default();
    for (name, tensor) in checkpoint.part("average") {
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        weights.insert(name, Array::f32(shape, values(&tensor)?));
    }
    headgan::face::regress::check(&weights)?;
    let statistics = checkpoint.part("statistics");
    let of = |name: &str| {
        statistics
            .get(name)
            .ok_or_else(|| Error::input(format!("the checkpoint has no '{name}': it is no regressor's")))
    };
    let (param_mean, param_std) = (values(of("mean")?)?, values(of("deviation")?)?);
    let model = Morphable { param_mean, param_std, ..head.clone() };
    model.validate()?;
    Ok((weights, model))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regressor::heads::SyntheticHeads;
    use crate::regressor::view::{self, View};
    use headgan::random::Rng;
    use headgan::synthetic::head;

    fn batch(n: usize) -> Batch {
        let (mut heads, mut rng) = (SyntheticHeads::new(1), Rng(2));
        let mut crops = Vec::new();
        for _ in 0..n {
            let sample = heads.next().unwrap();
            for _ in 0..2 {
                crops.push((view::crop(&sample, &View::draw(&mut rng), None).unwrap(), true));
            }
        }
        Batch::collate(&crops, Device::Cpu)
    }

    fn trainer() -> Trainer {
        let model = head();
        let statistics = [model.param_mean.clone(), model.param_std.clone()];
        Trainer::new(&model, 0.125, 1, statistics, Device::Cpu)
    }

    #[test]
    fn the_truth_has_no_loss() {
        let (trainer, batch) = (trainer(), batch(2));
        let truth = (&batch.params - &trainer.mean) / &trainer.deviation;
        for (name, loss) in trainer.losses(&truth, &batch) {
            // Ways of landmarks are 1e-2 px at the least, for the root's derivative.
            let least = 1e-2 / EYES * if name == "gaps" { weight::GAPS } else { weight::LANDMARKS };
            assert!(loss.double_value(&[]) < 1.1 * least, "{name}: {loss:?}");
        }
        let off = &truth + 0.5;
        for (name, loss) in trainer.losses(&off, &batch).iter().filter(|(n, _)| !["open", "same face"].contains(n)) {
            assert!(loss.double_value(&[]) > if *name == "gaps" { 0.05 } else { 0.005 }, "{name}: {loss:?}");
        }
    }

    #[test]
    fn it_learns_what_it_sees_and_goes_on_where_it_stopped() {
        let (mut one, batch) = (trainer(), batch(4));
        let first = one.train_step(&batch, 2e-3).losses["total"];
        (0..10).for_each(|_| drop(one.train_step(&batch, 2e-3)));
        let saved = one.checkpoint();
        let mut two = trainer();
        two.restore(&saved).unwrap();
        let (a, b) = (one.train_step(&batch, 2e-3), two.train_step(&batch, 2e-3));
        assert_eq!((a.step, &a.losses), (b.step, &b.losses));
        assert!(a.losses["total"] < 0.7 * first, "{first} {:?}", a.losses);
        let (weights, model) = export(&saved, &head()).unwrap();
        assert_eq!(Config::from_weights(&weights).unwrap().outputs, model.param_mean.len());
    }
}
