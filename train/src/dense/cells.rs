//! One step of the finder, and the state of a run: scenes with faces, what each cell should answer, and the losses.

use super::label::LabelledClip;
use super::label::decode;
use crate::batch_norm::{BatchNormTrainer, Record};
use crate::checkpoint::Checkpoint;
use crate::detector::picture::{Face, Picture};
use crate::detector::scene::{Scene, Sources, compose};
use crate::run::Trainable;
use crate::spectral_weights::weights_of;
use headgan::engine::shape;
use headgan::face::bgr::Bgr8;
use headgan::face::dense::single_look::encode;
use headgan::frame::Rect;
use headgan::nets::dense_finder::{LEVELS, SIZE, VALUES, finder, shape as input};
use headgan::random::Rng;
use headgan::weights::Weights;
use headgan::{Error, Result};
use headgan_torch::Shared;
use tch::{Device, Kind, Reduction, Tensor};

/// What a checkpoint of the finder says under [`super::points::METADATA_KEY`].
pub const NAME: &str = "finder";
/// Longest gradient that is followed as it is.
const CLIP: f64 = 10.0;
/// Sizes of faces, longer side in shares of the picture's: up to the second the small cells answer, from the first on the large ones.
const SIZES: [f32; 2] = [0.26, 0.36];
/// A level says nothing of faces that are smaller or larger than those that it answers for by less than this factor.
const NEAR: f32 = 1.5;
/// A cell answers for a face whose middle is at most so far, in the face's longer side and at least in cells; up to the second it may.
const REACH: [f32; 2] = [0.2, 0.4];
const LEAST_REACH: f32 = 0.8;
/// Pictures kept of each clip.
const PICTURES: usize = 8;
/// How strongly cells that are sure already stop counting (Lin et al. 2017, <https://arxiv.org/abs/1708.02002>).
const FOCUS: f64 = 2.0;
/// Weights of class, box and points.
const WEIGHTS: [f64; 3] = [1.0, 2.0, 1.0];

/// Pictures of a clip, evenly over it.
///
/// # Errors
/// [`Error::Input`] where one is damaged.
pub fn pictures(clip: &LabelledClip) -> Result<Vec<Picture>> {
    let every = clip.frames.len().div_ceil(PICTURES).max(1);
    let frames = clip.frames.iter().enumerate().step_by(every);
    let picture = |(i, jpeg): (usize, &Vec<u8>)| {
        let faces = clip.faces.iter().filter(|f| f.frame == i).map(|f| {
            let [x0, y0, x1, y1] = f.rect;
            Face { rect: Rect { x0, y0, x1, y1 }, landmarks: f.in_frame, required: true }
        });
        Ok(Picture::new(decode(jpeg)?, faces.collect()))
    };
    frames.map(picture).collect()
}

/// A drawn head as a picture with its face.
pub fn drawn(face: &super::faces::Face) -> Picture {
    let none = Rect { x0: f32::MAX, y0: f32::MAX, x1: f32::MIN, y1: f32::MIN };
    let grow =
        |r: Rect, p: &[f32; 3]| Rect { x0: r.x0.min(p[0]), y0: r.y0.min(p[1]), x1: r.x1.max(p[0]), y1: r.y1.max(p[1]) };
    let rect = face.points.iter().fold(none, grow);
    let landmarks = super::label::FIVE.map(|i| [face.points[i][0], face.points[i][1]]);
    Picture::new(face.picture.clone(), vec![Face { rect, landmarks, required: true }])
}

/// A square scene: one of any shape, with black above and below or at the sides, as the finder sees pictures.
pub fn scene(sources: &Sources, rng: &mut Rng) -> Scene {
    let stretch = if rng.unit() < 0.35 { 1.0 } else { 0.5 + 0.5 * rng.unit() };
    let other = ((SIZE as f64 * stretch).round() as usize).max(48);
    let wide = rng.unit() < 0.65;
    let (w, h) = if wide { (SIZE, other) } else { (other, SIZE) };
    let Scene { picture, mut faces } = compose(sources, (w, h), rng);
    let (dx, dy) = ((SIZE - w) / 2, (SIZE - h) / 2);
    let mut square = Bgr8 { width: SIZE, height: SIZE, data: vec![0; 3 * SIZE * SIZE] };
    for y in 0..h {
        square.data[3 * ((y + dy) * SIZE + dx)..][..3 * w].copy_from_slice(&picture.data[3 * y * w..][..3 * w]);
    }
    for face in &mut faces {
        let (dx, dy) = (dx as f32, dy as f32);
        let r = face.rect;
        face.rect = Rect { x0: r.x0 + dx, y0: r.y0 + dy, x1: r.x1 + dx, y1: r.y1 + dy };
        face.landmarks = face.landmarks.map(|[x, y]| [x + dx, y + dy]);
    }
    Scene { picture: square, faces }
}

/// What the cells of one level should answer for faces in pixels of [`SIZE`]: class (1, 0, or -1 where either will do) and values.
fn targets(faces: &[Face], level: usize) -> (Vec<f32>, Vec<f32>) {
    let (side, unit) = LEVELS[level];
    let mut class = vec![0.0; side * side];
    let mut values = vec![0.0; (VALUES - 1) * side * side];
    let mut nearest = vec![f32::MAX; side * side];
    let share = 1.0 / SIZE as f32;
    for face in faces {
        let r = face.rect;
        let rect = Rect { x0: share * r.x0, y0: share * r.y0, x1: share * r.x1, y1: share * r.y1 };
        let points = face.landmarks.map(|p| p.map(|v| share * v));
        let size = rect.width().max(rect.height());
        let (answers, near) = match level {
            0 => (size <= SIZES[1], size <= NEAR * SIZES[1]),
            _ => (size >= SIZES[0], size >= SIZES[0] / NEAR),
        };
        if !near {
            continue;
        }
        let [cx, cy] = rect.center();
        let cell = 1.0 / side as f32;
        let reach = REACH.map(|r| (r * size).max(LEAST_REACH * cell));
        for p in 0..side * side {
            let at = [p % side, p / side].map(|v| (v as f32 + 0.5) * cell);
            let away = (at[0] - cx).hypot(at[1] - cy);
            if away > reach[1] || away >= nearest[p] {
                continue;
            }
            if answers && face.required && away <= reach[0] {
                nearest[p] = away;
                class[p] = 1.0;
                for (k, v) in encode(&rect, &points, at, unit).into_iter().enumerate() {
                    values[k * side * side + p] = v;
                }
            } else if class[p] == 0.0 {
                class[p] = -1.0;
            }
        }
    }
    (class, values)
}

/// Scenes and what is wanted of each level's cells.
pub struct Batch {
    /// [n, 3, 128, 128].
    pub pixels: Tensor,
    /// Of each level [n, 1, side, side] and [n, 14, side, side].
    pub levels: Vec<(Tensor, Tensor)>,
}

impl Batch {
    pub fn collate(scenes: &[Scene], device: Device) -> Batch {
        let n = scenes.len() as i64;
        let pixels: Vec<f32> = scenes
            .iter()
            .flat_map(|s| {
                let plane = |c: usize| s.picture.data.iter().skip(2 - c).step_by(3).map(|v| f32::from(*v) / 255.0);
                (0..3).flat_map(plane).collect::<Vec<f32>>()
            })
            .collect();
        let level = |l: usize| {
            let side = LEVELS[l].0 as i64;
            let (class, values): (Vec<_>, Vec<_>) = scenes.iter().map(|s| targets(&s.faces, l)).unzip();
            let tensor = |v: Vec<Vec<f32>>, k: i64| {
                Tensor::from_slice(&v.concat()).reshape([n, k, side, side]).to_device(device)
            };
            (tensor(class, 1), tensor(values, VALUES as i64 - 1))
        };
        let side = SIZE as i64;
        Batch {
            pixels: Tensor::from_slice(&pixels).reshape([n, 3, side, side]).to_device(device),
            levels: (0..LEVELS.len()).map(level).collect(),
        }
    }
}

/// The state of a run.
pub struct Trainer {
    pub net: BatchNormTrainer,
}

impl Trainer {
    /// With random weights.
    pub fn new(seed: u64, device: Device) -> Trainer {
        let layers = shape::layers(|ops| {
            finder(ops, &input());
        });
        let gain = |layer: &str| match layer {
            layer if layer.ends_with(".b.conv") => 1.0,
            layer if layer.ends_with(".cells") => 0.1,
            _ => 6f64.sqrt(),
        };
        Trainer { net: BatchNormTrainer::new(layers, seed, gain, CLIP, device) }
    }

    fn losses(&self, batch: &Batch) -> Vec<(&'static str, Tensor)> {
        let out = finder(&self.net.ops(), &Shared(batch.pixels.shallow_clone()));
        let mut sums: [Option<Tensor>; 3] = [None, None, None];
        let mut count = Tensor::from(1f32).to_device(batch.pixels.device());
        for (cells, (class, values)) in out.iter().zip(&batch.levels) {
            let logits = cells.0.narrow(1, 0, 1);
            let positive = class.eq(1.0).to_kind(Kind::Float);
            let known = class.ge(0.0).to_kind(Kind::Float);
            let cross = logits.binary_cross_entropy_with_logits::<Tensor>(&positive, None, None, Reduction::None);
            let unsure: Tensor = 1.0 - (-&cross).exp();
            let class = (cross * unsure.pow_tensor_scalar(FOCUS) * known).sum(Kind::Float);
            let off = (cells.0.narrow(1, 1, VALUES as i64 - 1) - values).abs() * &positive;
            let boxes = off.narrow(1, 0, 4).sum(Kind::Float) * 0.25;
            let points = off.narrow(1, 4, 10).sum(Kind::Float) * 0.1;
            count += positive.sum(Kind::Float);
            for (sum, new) in sums.iter_mut().zip([class, boxes, points]) {
                *sum = Some(sum.take().map_or_else(|| new.shallow_clone(), |old| old + &new));
            }
        }
        let names = ["class", "boxes", "points"];
        let all = names.into_iter().zip(sums).zip(WEIGHTS);
        all.filter_map(|((name, sum), w)| Some((name, sum? * w / &count))).collect()
    }

    /// One step at a rate. A step whose loss or gradient is not finite is skipped and counted.
    pub fn train_step(&mut self, batch: &Batch, rate: f64) -> Record {
        let before = self.net.running_statistics();
        let losses = self.losses(batch);
        self.net.optimizer_step(&before, &losses, rate)
    }
}

impl Trainable for Trainer {
    fn step(&self) -> u64 {
        self.net.step
    }
    fn checkpoint(&self) -> Result<Checkpoint> {
        let mut out = self.net.checkpoint();
        out.metadata.insert(super::points::METADATA_KEY.into(), NAME.into());
        Ok(out)
    }
}

/// The averaged network of a checkpoint, in half precision.
///
/// # Errors
/// [`Error::Input`] for a checkpoint of another network; [`Error::Model`] where the weights would not run.
pub fn export(checkpoint: &Checkpoint) -> Result<Weights> {
    if checkpoint.metadata.get(super::points::METADATA_KEY).is_none_or(|name| name != NAME) {
        return Err(Error::input(
            "the checkpoint is none of a finder: name a run of headgan-train dense --network finder",
        ));
    }
    let weights = crate::export::halved(weights_of(checkpoint.part("average"))?);
    shape::check(&weights, |ops| {
        finder(ops, &input());
    })?;
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, side: f32, required: bool) -> Face {
        let rect = Rect { x0: x, y0: x, x1: x + side, y1: x + side };
        Face { rect, landmarks: [[x + 0.5 * side; 2]; 5], required }
    }

    #[test]
    fn each_size_has_cells_that_answer() {
        for side in [12.0, 24.0, 38.0, 60.0, 115.0] {
            let [small, large] = [0, 1].map(|l| targets(&[face(5.0, side, true)], l));
            let count = |class: &[f32]| class.iter().filter(|c| **c == 1.0).count();
            assert!(count(&small.0) + count(&large.0) > 0, "{side}");
            assert_eq!(count(&small.0) > 0, side <= SIZES[1] * SIZE as f32, "{side}");
            assert_eq!(count(&large.0) > 0, side >= SIZES[0] * SIZE as f32, "{side}");
        }
        let (class, _) = targets(&[face(40.0, 50.0, false)], 1);
        assert!(class.contains(&-1.0) && !class.contains(&1.0));
    }

    #[test]
    fn it_learns_and_goes_on_where_it_stopped() {
        let grey = Bgr8 { width: SIZE, height: SIZE, data: vec![90; 3 * SIZE * SIZE] };
        let scene = |x, side| Scene { picture: grey.clone(), faces: vec![face(x, side, true)] };
        let batch = Batch::collate(&[scene(20.0, 60.0), scene(50.0, 20.0)], Device::Cpu);
        let mut one = Trainer::new(1, Device::Cpu);
        let first = one.train_step(&batch, 1e-3).losses["total"];
        (0..20).for_each(|_| drop(one.train_step(&batch, 1e-3)));
        let saved = one.checkpoint().unwrap();
        let mut two = Trainer::new(2, Device::Cpu);
        two.net.restore(&saved).unwrap();
        let (a, b) = (one.train_step(&batch, 1e-3), two.train_step(&batch, 1e-3));
        assert_eq!((a.step, &a.losses), (b.step, &b.losses));
        assert!(a.losses["total"] < 0.8 * first, "{first} {:?}", a.losses);
        assert!(export(&saved).is_ok() && super::super::points::export(&saved).is_err());
    }
}
