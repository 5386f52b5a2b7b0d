//! One step of the network of dense points, and the state of a run.
//!
//! Faces come in pairs of one clip under one view: what differs between the two is what the face does, and has a loss of its own. The
//! windows at eyes and lips are placed by the true corners, a little off, as the first look's mesh will be.

use super::faces::Example;
use crate::batch_norm::{BatchNormTrainer, Record};
use crate::checkpoint::Checkpoint;
use crate::run::Trainable;
use crate::spectral_weights::weights_of;
use headgan::engine::shape;
use headgan::face::dense::refinement::{LEFT_EYE, LIPS, POINTS, RIGHT_EYE};
use headgan::nets::dense_points::{
    self, EYE, EYE_SCALE, IRIS, LIPS_SCALE, MESH, Part, SIZE, WINDOW, centres, eye, face, lips, window,
};
use headgan::random::Rng;
use headgan::weights::Weights;
use headgan::{Error, Result};
use headgan_torch::Shared;
use tch::{Device, Kind, Reduction, Tensor, no_grad};

/// The metadata key that tells a checkpoint of these networks, and what it says here.
pub const METADATA_KEY: &str = "dense";
pub const NAME: &str = "points";
/// Longest gradient that is followed as it is.
const CLIP: f64 = 10.0;
/// How far off the middles of windows are, pixels of the input.
const OFF: f64 = 3.0;
/// Errors count in shares of the distance of the eyes' outer corners; nearer ones count as so many pixels apart.
const LEAST_EYES: f64 = 40.0;

/// Weights of the losses.
mod weight {
    pub const MESH: f64 = 10.0;
    pub const EYES: f64 = 10.0;
    pub const LIPS: f64 = 8.0;
    /// Of openings, irises and brows against the corners of the eye, and of what the lips do.
    pub const SIGNALS: f64 = 20.0;
    /// Of how these differ between the two of a pair.
    pub const CHANGES: f64 = 20.0;
    pub const FLAG: f64 = 0.3;
    /// Of depth, beside x and y.
    pub const DEPTH: f64 = 0.3;
}

/// The iris' points as the mirror shows the left one, in the order of the right one.
const LEFT_IRIS: [usize; IRIS] = [473, 476, 475, 474, 477];
/// Points that place the windows and the next region count more.
const CORNERS: [usize; 10] = [33, 133, 362, 263, 61, 291, 10, 152, 234, 454];

/// Faces and what is wanted of them.
pub struct Batch {
    /// [n, 3, 192, 192]: faces first, in pairs, then pictures of nobody.
    pub pixels: Tensor,
    /// [m, 478, 3].
    pub points: Tensor,
    /// \[m\]: 1 for a person, 0 for a drawn head.
    pub person: Tensor,
    /// Middles of the windows, [m, 2] each: right eye, left eye, lips.
    pub centres: [Tensor; 3],
}

impl Batch {
    /// Of faces, an even number, and pictures of nobody.
    pub fn collate(faces: &[Example], nobody: &[Example], rng: &mut Rng, device: Device) -> Batch {
        let side = SIZE as i64;
        let m = faces.len() as i64;
        let pixels: Vec<f32> = faces.iter().chain(nobody).flat_map(|e| e.pixels.iter().copied()).collect();
        let points: Vec<f32> = faces.iter().flat_map(|e| e.points.as_flattened().iter().copied()).collect();
        let points = Tensor::from_slice(&points).reshape([m, POINTS as i64, 3]);
        let person: Vec<f32> = faces.iter().map(|e| f32::from(u8::from(e.person))).collect();
        let mesh = Shared(points.narrow(1, 0, MESH as i64).reshape([m, 3 * MESH as i64, 1, 1]));
        let ops = headgan_torch::Torch::over(Default::default(), Device::Cpu, Kind::Float);
        let centres = centres(&ops, &mesh).map(|c| {
            // The same for both of a pair: what they differ by is the face's doing.
            let off: Vec<f32> = (0..m / 2)
                .flat_map(|_| {
                    let off = [rng.within(OFF) as f32, rng.within(OFF) as f32];
                    [off, off].concat()
                })
                .collect();
            (c.0.reshape([m, 2]) + Tensor::from_slice(&off).reshape([m, 2])).to_device(device)
        });
        Batch {
            pixels: Tensor::from_slice(&pixels).reshape([-1, 3, side, side]).to_device(device),
            points: points.to_device(device),
            person: Tensor::from_slice(&person).to_device(device),
            centres,
        }
    }
}

/// How much more the place of an iris counts than an opening.
const IRIS_WEIGHT: f64 = 3.0;

/// What is read off a window's points: linear, a column for each.
struct Signals {
    /// [2 points, signals].
    matrix: Tensor,
    /// [1, signals]: 0 for what drawn heads do not have.
    drawn: Tensor,
}

/// A sum of coordinates (point in the window, axis, factor), and whether drawn heads have it.
type Signal = (Vec<(usize, usize, f64)>, bool);

impl Signals {
    fn new(points: usize, signals: &[Signal], device: Device) -> Signals {
        let n = signals.len();
        let mut matrix = vec![0f32; 2 * points * n];
        for (k, (terms, _)) in signals.iter().enumerate() {
            for (point, axis, factor) in terms {
                matrix[(2 * point + axis) * n + k] += *factor as f32;
            }
        }
        let drawn: Vec<f32> = signals.iter().map(|(_, drawn)| f32::from(u8::from(*drawn))).collect();
        Signals {
            matrix: Tensor::from_slice(&matrix).reshape([2 * points as i64, n as i64]).to_device(device),
            drawn: Tensor::from_slice(&drawn).reshape([1, n as i64]).to_device(device),
        }
    }
}

/// Where a point of the mesh is in a table.
fn place(table: &[usize], point: usize) -> usize {
    table.iter().position(|p| *p == point).unwrap_or_else(|| panic!("{point} is in no window"))
}

/// Of an eye's window.
fn eye_signals(device: Device) -> Signals {
    let at = |p: usize| place(&RIGHT_EYE, p);
    let corners = [at(33), at(133)];
    let beside = |axis: usize, points: &[usize], weight: f64| {
        let n = points.len() as f64;
        let mut terms: Vec<_> = points.iter().map(|p| (*p, axis, weight / n)).collect();
        terms.extend(corners.map(|c| (c, axis, -0.5 * weight)));
        terms
    };
    let opening = |upper: usize, lower: usize| vec![(at(lower), 1, 1.0), (at(upper), 1, -1.0)];
    let brow: Vec<usize> = [70, 63, 105, 66, 107].map(at).into();
    let all = [
        (opening(160, 144), true),
        (opening(159, 145), true),
        (opening(158, 153), true),
        // An iris moves less than lids do, and within them.
        (beside(0, &[EYE], IRIS_WEIGHT), false),
        (beside(1, &[EYE], IRIS_WEIGHT), false),
        (beside(1, &brow, 1.0), true),
        (beside(1, &brow[..2], 1.0), true),
        (beside(1, &brow[3..], 1.0), true),
    ];
    Signals::new(EYE + IRIS, &all, device)
}

/// Of the lips' window.
fn lips_signals(device: Device) -> Signals {
    let at = |p: usize| place(&LIPS, p);
    let difference = |a: usize, b: usize, axis: usize| vec![(at(a), axis, 1.0), (at(b), axis, -1.0)];
    let middle = [(at(13), 1, -0.5), (at(14), 1, -0.5)];
    let corner = |c: usize| [vec![(at(c), 1, 1.0)], middle.to_vec()].concat();
    let all = [
        (difference(14, 13, 1), true),
        (difference(178, 81, 1), true),
        (difference(402, 311, 1), true),
        (difference(291, 61, 0), true),
        (difference(17, 0, 1), true),
        (corner(61), true),
        (corner(291), true),
    ];
    Signals::new(LIPS.len(), &all, device)
}

/// The state of a run.
pub struct Trainer {
    pub net: BatchNormTrainer,
    eye: Signals,
    lips: Signals,
    /// How much each point counts: [468, 1], [76, 1], [80, 1].
    weights: [Tensor; 3],
}

impl Trainer {
    /// With random weights.
    pub fn new(seed: u64, device: Device) -> Trainer {
        let layers = shape::layers(|ops| {
            dense_points::points(ops, &dense_points::shape());
        });
        // He's initialisation (https://arxiv.org/abs/1502.01852); residual branches and last layers begin small.
        let gain = |layer: &str| match layer {
            layer if layer.ends_with(".b.conv") => 1.0,
            "face.mesh" | "face.flag" | "eye.points" | "lips.points" => 0.1,
            _ => 6f64.sqrt(),
        };
        let weights = |n: usize, of: &dyn Fn(usize) -> f32| {
            let all: Vec<f32> = (0..n).map(of).collect();
            Tensor::from_slice(&all).reshape([1, n as i64, 1]).to_device(device)
        };
        let lid = |i: usize| if !(16..EYE).contains(&i) { 3.0 } else { 1.0 };
        let brow = [70, 63, 105, 66, 107, 46, 53, 52, 65, 55].map(|p| place(&RIGHT_EYE, p));
        Trainer {
            net: BatchNormTrainer::new(layers, seed, gain, CLIP, device),
            eye: eye_signals(device),
            lips: lips_signals(device),
            weights: [
                weights(MESH, &|i| if CORNERS.contains(&i) { 3.0 } else { 1.0 }),
                weights(EYE + IRIS, &|i| if brow.contains(&i) { 2.0 } else { lid(i) }),
                weights(LIPS.len(), &|_| 1.0),
            ],
        }
    }

    /// Lets the last layers begin with the mean of a batch.
    pub fn begin_with(&mut self, batch: &Batch) {
        no_grad(|| {
            let half = 0.5 * SIZE as f64;
            let mesh = batch.points.narrow(1, 0, MESH as i64).mean_dim([0i64].as_slice(), false, Kind::Float);
            self.net.preset("face.mesh.bias", &((mesh.reshape([-1]) - half) / half));
            let half = 0.5 * WINDOW as f64;
            let bias = |truth: Tensor| {
                let mean = truth.mean_dim([0i64].as_slice(), false, Kind::Float);
                (mean.reshape([-1]) - half) / half
            };
            self.net.preset("eye.points.bias", &bias(wanted(batch, Part::RightEye)));
            self.net.preset("lips.points.bias", &bias(wanted(batch, Part::Lips)));
        });
    }

    /// The losses of a batch, each with its weight in it.
    fn losses(&self, batch: &Batch) -> Vec<(&'static str, Tensor)> {
        let ops = self.net.ops();
        let n = batch.pixels.size()[0];
        let m = batch.points.size()[0];
        let x = Shared(batch.pixels.shallow_clone());
        let (mesh, flag) = face(&ops, &x);
        let mesh = mesh.0.narrow(0, 0, m).reshape([m, MESH as i64, 3]);
        let truth = batch.points.narrow(1, 0, MESH as i64);
        let corner = |i: i64| batch.points.select(1, i).narrow(1, 0, 2);
        let eyes = (corner(263) - corner(33)).square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float).sqrt();
        let eyes = eyes.clamp_min(LEAST_EYES).reshape([m, 1, 1]);
        let person = batch.person.reshape([m, 1, 1]);
        let off = (mesh - truth).abs() * &self.weights[0] / &eyes;
        let depth = (off.narrow(2, 2, 1) * &person).mean(Kind::Float) * weight::DEPTH;
        let off = off.narrow(2, 0, 2).mean(Kind::Float) + depth;

        let faces = Shared(batch.pixels.narrow(0, 0, m));
        let look = |part: Part| {
            let centre = &batch.centres[part as usize];
            window(&ops, &faces, &Shared(centre.reshape([m, 2, 1, 1])), part).0
        };
        let both = Tensor::cat(&[look(Part::RightEye), look(Part::LeftEye)], 0);
        let seen = eye(&ops, &Shared(both)).0.reshape([2 * m, 2 * (EYE + IRIS) as i64]);
        let want = Tensor::cat(&[wanted(batch, Part::RightEye), wanted(batch, Part::LeftEye)], 0);
        let mask = Tensor::cat(&[&person, &person], 0);
        let apart = Tensor::cat(&[&eyes, &eyes], 0);
        let iris = Tensor::cat(
            &[mask.ones_like().expand([2 * m, EYE as i64, 1], true), mask.expand([2 * m, IRIS as i64, 1], true)],
            1,
        );
        let eye_scale = f64::from(EYE_SCALE);
        let off_eyes = (&seen - &want).reshape([2 * m, (EYE + IRIS) as i64, 2]).abs() * &self.weights[1] * iris;
        let off_eyes = (off_eyes * eye_scale / &apart).mean(Kind::Float);
        let mut moved =
            signal_losses(&self.eye, &seen, &want, &(apart.reshape([2 * m, 1]) / eye_scale), &mask.reshape([2 * m, 1]));

        let seen = lips(&ops, &Shared(look(Part::Lips))).0.reshape([m, 2 * LIPS.len() as i64]);
        let want = wanted(batch, Part::Lips);
        let lips_scale = f64::from(LIPS_SCALE);
        let off_lips = (&seen - &want).reshape([m, LIPS.len() as i64, 2]).abs() * &self.weights[2];
        let off_lips = (off_lips * lips_scale / &eyes).mean(Kind::Float);
        let lips_moved =
            signal_losses(&self.lips, &seen, &want, &(eyes.reshape([m, 1]) / lips_scale), &person.reshape([m, 1]));
        for (a, b) in moved.iter_mut().zip(lips_moved) {
            *a = &*a + b;
        }
        let [signals, changes] = moved;
        let there = Tensor::arange(n, (Kind::Float, batch.pixels.device())).lt(m as f64).to_kind(Kind::Float);
        let flag = flag.0.reshape([n]).binary_cross_entropy_with_logits::<Tensor>(&there, None, None, Reduction::Mean);
        vec![
            ("mesh", off * weight::MESH),
            ("eyes", off_eyes * weight::EYES),
            ("lips", off_lips * weight::LIPS),
            ("signals", signals * weight::SIGNALS),
            ("changes", changes * weight::CHANGES),
            ("flag", flag * weight::FLAG),
        ]
    }

    /// One step at a rate. A step whose loss or gradient is not finite is skipped and counted.
    pub fn train_step(&mut self, batch: &Batch, rate: f64) -> Record {
        let before = self.net.running_statistics();
        let losses = self.losses(batch);
        self.net.optimizer_step(&before, &losses, rate)
    }
}

/// How far signals are off, and how far their differences between the two of each pair are.
fn signal_losses(signals: &Signals, seen: &Tensor, want: &Tensor, apart: &Tensor, person: &Tensor) -> [Tensor; 2] {
    let off = (seen - want).matmul(&signals.matrix) / apart;
    let known = person.maximum(&signals.drawn);
    let off = off * known;
    let pairs = off.reshape([-1, 2, off.size()[1]]);
    let changes = (pairs.select(1, 0) - pairs.select(1, 1)).abs();
    [off.abs().mean(Kind::Float), changes.mean(Kind::Float)]
}

/// The truth of a window in its own pixels, [m, 2 points].
fn wanted(batch: &Batch, part: Part) -> Tensor {
    let table: Vec<i64> = match part {
        Part::RightEye => RIGHT_EYE.into_iter().chain(468..473).map(|i| i as i64).collect(),
        Part::LeftEye => LEFT_EYE.into_iter().chain(LEFT_IRIS).map(|i| i as i64).collect(),
        Part::Lips => LIPS.map(|i| i as i64).into(),
    };
    let m = batch.points.size()[0];
    let index = Tensor::from_slice(&table).to_device(batch.points.device());
    let points = batch.points.index_select(1, &index).narrow(2, 0, 2);
    // A window's place and scale: those of the points (0, 0) and (1, 1) of it.
    let ops = headgan_torch::Torch::over(Default::default(), batch.points.device(), Kind::Float);
    let corners = Tensor::from_slice(&[0f32, 0.0, 1.0, 1.0]).to_device(batch.points.device());
    let corners = Shared(corners.reshape([1, 4, 1, 1]).expand([m, 4, 1, 1], true).contiguous());
    let centre = Shared(batch.centres[part as usize].reshape([m, 2, 1, 1]));
    let corners = dense_points::place(&ops, &corners, &centre, part).0.reshape([m, 2, 2]);
    let (from, to) = (corners.narrow(1, 0, 1), corners.narrow(1, 1, 1));
    ((points - &from) / (to - from)).reshape([m, -1])
}

impl Trainable for Trainer {
    fn step(&self) -> u64 {
        self.net.step
    }
    fn checkpoint(&self) -> Result<Checkpoint> {
        let mut out = self.net.checkpoint();
        out.metadata.insert(METADATA_KEY.into(), NAME.into());
        Ok(out)
    }
}

/// The averaged network of a checkpoint, in half precision.
///
/// # Errors
/// [`Error::Input`] for a checkpoint of another network; [`Error::Model`] where the weights would not run.
pub fn export(checkpoint: &Checkpoint) -> Result<Weights> {
    if checkpoint.metadata.get(METADATA_KEY).is_none_or(|name| name != NAME) {
        return Err(Error::input(
            "the checkpoint is none of dense points: name a run of headgan-train dense --network points",
        ));
    }
    let weights = crate::export::halved(weights_of(checkpoint.part("average"))?);
    shape::check(&weights, |ops| {
        dense_points::points(ops, &dense_points::shape());
    })?;
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dense::faces::{DrawnHead, Light, View, drawn, see};

    fn batch(seed: u64) -> Batch {
        let faces = drawn(seed, 4, &DrawnHead::new().unwrap()).unwrap();
        let see = |f| see(f, &View::plain(), &Light::plain(), &mut Rng(1));
        let faces: Vec<Example> = faces.iter().map(see).collect();
        let nobody = Example { pixels: vec![0.4; 3 * SIZE * SIZE], points: Vec::new(), person: false };
        Batch::collate(&faces, &[nobody], &mut Rng(2), Device::Cpu)
    }

    #[test]
    fn it_learns_what_it_sees_and_goes_on_where_it_stopped() {
        let batch = batch(3);
        let mut one = Trainer::new(1, Device::Cpu);
        one.begin_with(&batch);
        let first = one.train_step(&batch, 1e-3).losses["total"];
        (0..14).for_each(|_| drop(one.train_step(&batch, 1e-3)));
        let saved = one.checkpoint().unwrap();
        let mut two = Trainer::new(2, Device::Cpu);
        two.net.restore(&saved).unwrap();
        let (a, b) = (one.train_step(&batch, 1e-3), two.train_step(&batch, 1e-3));
        assert_eq!((a.step, &a.losses), (b.step, &b.losses));
        assert!(a.losses["total"] < 0.7 * first, "{first} {:?}", a.losses);
        assert!(export(&saved).is_ok());
    }

    #[test]
    fn a_window_holds_what_its_truth_says() {
        let batch = batch(4);
        let right = wanted(&batch, Part::RightEye).reshape([-1, (EYE + IRIS) as i64, 2]);
        let left = wanted(&batch, Part::LeftEye).reshape([-1, (EYE + IRIS) as i64, 2]);
        for eye in [right, left] {
            // The outer corner is left of the inner one in either window, and both are in it.
            let corner = |i: usize, axis: i64| eye.select(1, place(&RIGHT_EYE, i) as i64).select(1, axis);
            let (outer, inner) = (corner(33, 0), corner(133, 0));
            assert!(bool::try_from((&inner - &outer).gt(5.0).all()).unwrap());
            assert!(bool::try_from(outer.gt(0.0).all()).unwrap() && bool::try_from(inner.lt(48.0).all()).unwrap());
        }
    }
}
