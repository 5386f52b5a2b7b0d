//! One step of the detector, and the state of a run.
//!
//! Losses as in RetinaFace (<https://arxiv.org/abs/1905.00641>) without its mesh: cross entropy of face and background,
//! where of the priors without a face only the worst are counted (hard negative mining, Liu et al., SSD,
//! <https://arxiv.org/abs/1512.02325>; seven for each prior with one, mined over the whole batch), and smooth L1 of
//! boxes and landmarks where faces are. All three are sums, divided by the number of priors with a face. Each scene
//! counts as two of these besides: so scenes without faces teach too, and a batch with few faces does not count for
//! more than others.

use super::scene::Scene;
use super::targets::Targets;
use crate::batch_norm::{BatchNormTrainer, Record};
use crate::checkpoint::Checkpoint;
use crate::spectral_weights::weights_of;
use headgan::engine::shape;
use headgan::face::{anchors, detector};
use headgan::nets::retinaface::{ANCHORS, Backbone, retinaface};
use headgan::weights::Weights;
use headgan::{Error, Result};
use headgan_torch::Shared;
use tch::{Device, Kind, Reduction, Tensor};

/// Longest gradient that is followed as it is.
const CLIP: f64 = 10.0;
/// Priors without a face that are counted for each with one.
const NEGATIVES_PER_POSITIVE: i64 = 7;
/// As how many priors with a face a scene counts besides.
const SCENE: i64 = 2;
/// The metadata key that tells a detector's checkpoints.
const METADATA_KEY: &str = "detector";

/// Weights of the losses.
mod weight {
    pub const CLASS: f64 = 1.0;
    pub const BOXES: f64 = 2.0;
    pub const LANDMARKS: f64 = 1.0;
}

/// Scenes of one size and what is wanted of them; p priors.
pub struct Batch {
    /// [n, 3, h, w].
    pub pixels: Tensor,
    /// [n, p]: 1, 0, or -1 where either will do.
    pub class: Tensor,
    /// [n, p, 4].
    pub boxes: Tensor,
    /// [n, p, 10].
    pub landmarks: Tensor,
}

impl Batch {
    /// Of scenes that all have the first one's size.
    pub fn collate(scenes: &[Scene], device: Device) -> Batch {
        let n = scenes.len() as i64;
        let (width, height) = scenes.first().map_or((0, 0), |s| (s.picture.width, s.picture.height));
        let priors = anchors::retinaface(height, width);
        let targets: Vec<Targets> =
            scenes.iter().map(|s| Targets::from_faces(&s.faces, (width, height), &priors)).collect();
        let p = priors.len() as i64;
        let mut pixels = Vec::with_capacity(3 * width * height * scenes.len());
        for scene in scenes {
            for (c, mean) in detector::MEAN.iter().enumerate() {
                pixels.extend(scene.picture.data.iter().skip(c).step_by(3).map(|v| f32::from(*v) - mean));
            }
        }
        let floats = |of: fn(&Targets) -> &Vec<f32>, k: i64| {
            let all: Vec<f32> = targets.iter().flat_map(|t| of(t).iter().copied()).collect();
            Tensor::from_slice(&all).reshape([n, p, k]).to_device(device)
        };
        let class: Vec<i64> = targets.iter().flat_map(|t| t.class.iter().copied()).collect();
        Batch {
            pixels: Tensor::from_slice(&pixels).reshape([n, 3, height as i64, width as i64]).to_device(device),
            class: Tensor::from_slice(&class).reshape([n, p]).to_device(device),
            boxes: floats(|t| &t.boxes, 4),
            landmarks: floats(|t| &t.landmarks, 10),
        }
    }
}

/// What the network says, prior by prior: [n, p, 2], [n, p, 4], [n, p, 10].
pub struct Outputs {
    pub class: Tensor,
    pub boxes: Tensor,
    pub landmarks: Tensor,
}

/// The state of a run.
pub struct Trainer {
    pub net: BatchNormTrainer,
}

impl Trainer {
    /// With random weights.
    pub fn new(seed: u64, device: Device) -> Trainer {
        let layers = shape::layers(|ops| {
            retinaface(ops, &[1, 3, 64, 64], Backbone::MobileNet025);
        });
        // He's initialisation (https://arxiv.org/abs/1502.01852). What comes in counts up to 150, which the first layer
        // takes back, so that its variances can be told in half precision; a batch norm follows it. The last layers
        // begin near zero.
        let gain = |layer: &str| match layer {
            "body.stage1.0.0" => 6f64.sqrt() / 16.0,
            layer if layer.contains("Head.") => 0.2,
            _ => 6f64.sqrt(),
        };
        Trainer { net: BatchNormTrainer::new(layers, seed, gain, CLIP, device) }
    }

    /// What the network says of pictures, with batch norms as training has them.
    fn outputs(&self, pixels: &Tensor) -> Outputs {
        let levels = retinaface(&self.net.ops(), &Shared(pixels.shallow_clone()), Backbone::MobileNet025);
        let n = pixels.size()[0];
        // [n, anchors * k, h, w] to [n, h * w * anchors, k], the order of the priors.
        let by_prior =
            |t: &Shared, k: i64| t.0.reshape([n, ANCHORS as i64, k, -1]).permute([0, 3, 1, 2]).reshape([n, -1, k]);
        let joined = |k: i64, of: fn(&headgan::nets::retinaface::Level<Shared>) -> &Shared| {
            Tensor::cat(&levels.iter().map(|l| by_prior(of(l), k)).collect::<Vec<_>>(), 1)
        };
        Outputs {
            class: joined(2, |l| &l.class),
            boxes: joined(4, |l| &l.boxes),
            landmarks: joined(10, |l| &l.landmarks),
        }
    }

    /// One step at a rate. A step whose loss or gradient is not finite is skipped and counted.
    pub fn train_step(&mut self, batch: &Batch, rate: f64) -> Record {
        let before = self.net.running_statistics();
        let losses = losses(&self.outputs(&batch.pixels), batch);
        self.net.optimizer_step(&before, &losses, rate)
    }

    /// All that is needed to go on.
    pub fn checkpoint(&self) -> Checkpoint {
        let mut out = self.net.checkpoint();
        out.metadata.insert(METADATA_KEY.into(), "mobilenet0.25".into());
        out
    }

    /// Goes on where a checkpoint was written.
    ///
    /// # Errors
    /// [`Error::Input`] where it is another network's.
    pub fn restore(&mut self, from: &Checkpoint) -> Result<()> {
        self.net.restore(from)
    }
}

/// The losses of outputs for a batch, by name, each with its weight in it.
fn losses(outputs: &Outputs, batch: &Batch) -> Vec<(&'static str, Tensor)> {
    let class = batch.class.reshape([-1]);
    let logs = outputs.class.reshape([-1, 2]).log_softmax(1, Kind::Float);
    let faces = class.eq(1).nonzero().reshape([-1]);
    let count = faces.size()[0] + SCENE * batch.class.size()[0];
    let share = 1.0 / count.max(1) as f64;
    let found = -logs.index_select(0, &faces).select(1, 1).sum(Kind::Float);
    let empty = class.eq(0).nonzero().reshape([-1]);
    let mistaken = -logs.index_select(0, &empty).select(1, 0);
    let k = (NEGATIVES_PER_POSITIVE * count).min(empty.size()[0]);
    let mistaken = mistaken.topk(k, 0, true, false).0.sum(Kind::Float);
    let off = |got: &Tensor, wanted: &Tensor, k: i64| {
        let of = |t: &Tensor| t.reshape([-1, k]).index_select(0, &faces);
        of(got).smooth_l1_loss(&of(wanted), Reduction::Sum, 1.0)
    };
    vec![
        ("class", (found + mistaken) * (share * weight::CLASS)),
        ("boxes", off(&outputs.boxes, &batch.boxes, 4) * (share * weight::BOXES)),
        ("landmarks", off(&outputs.landmarks, &batch.landmarks, 10) * (share * weight::LANDMARKS)),
    ]
}

/// The averaged detector of a checkpoint.
///
/// # Errors
/// [`Error::Input`] for a checkpoint that is none of a detector; [`Error::Model`] where the weights would not run.
pub fn export(checkpoint: &Checkpoint) -> Result<Weights> {
    if !checkpoint.metadata.contains_key(METADATA_KEY) {
        return Err(Error::Input("the checkpoint is no detector's: name a run of headgan-train detector".into()));
    }
    let weights = crate::export::halved(weights_of(checkpoint.part("average"))?);
    detector::Kind::from_weights(&weights)?;
    // A variance beyond half precision would be infinite.
    let finite = |a: &headgan::weights::Array| a.as_f32().is_none_or(|v| v.iter().all(|x| x.is_finite()));
    match weights.arrays.iter().find(|(_, a)| !finite(a)) {
        None => Ok(weights),
        Some((name, _)) => {
            Err(Error::model(format!("'{name}' has values that half precision cannot tell: train on, or anew")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::picture::Face;
    use headgan::face::bgr::Bgr8;
    use headgan::frame::Rect;

    /// Grey pictures with a face each.
    fn scenes() -> Vec<Scene> {
        [(20.0, 40.0), (35.0, 24.0)]
            .map(|(at, side): (f32, f32)| {
                let rect = Rect { x0: at, y0: at, x1: at + side, y1: at + side };
                let face = Face { rect, landmarks: [[at + 0.5 * side; 2]; 5], required: true };
                Scene { picture: Bgr8 { width: 96, height: 96, data: vec![99; 96 * 96 * 3] }, faces: vec![face] }
            })
            .into()
    }

    #[test]
    fn the_truth_has_no_loss() {
        let mut two = scenes();
        two[1].faces[0].required = false;
        let batch = Batch::collate(&two, Device::Cpu);
        let sign = |class: &Tensor| (class.eq(1).to_kind(Kind::Float) * 2.0 - 1.0) * 20.0;
        let logits = Tensor::stack(&[-sign(&batch.class), sign(&batch.class)], 2);
        let truth =
            Outputs { class: logits, boxes: batch.boxes.shallow_clone(), landmarks: batch.landmarks.shallow_clone() };
        for (name, loss) in losses(&truth, &batch) {
            assert!(loss.double_value(&[]) < 1e-6, "{name}: {loss:?}");
        }
        // What may be found or not costs nothing either way.
        let found = truth.class.copy();
        let ignored = batch.class.eq(-1).to_kind(Kind::Float).unsqueeze(2);
        let found = Outputs {
            class: &found * (1.0 - &ignored) + &ignored * 7.0,
            boxes: &truth.boxes + 0.0,
            landmarks: &truth.landmarks + 0.0,
        };
        assert!(losses(&found, &batch)[0].1.double_value(&[]) < 1e-6);
        let wrong = Outputs { class: -&truth.class, boxes: &truth.boxes + 0.5, landmarks: &truth.landmarks + 0.5 };
        for (name, loss) in losses(&wrong, &batch) {
            assert!(loss.double_value(&[]) > 0.1, "{name}: {loss:?}");
        }
    }
}
