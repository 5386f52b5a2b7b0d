//! The dense fit of a shot: MediaPipe's 478 points of every frame become one identity, and a camera and ARKit's 52 shapes a
//! frame.
//!
//! A frame's answer depends on its own points and on the shot's identity alone. The identity depends on the set of the shot's
//! faces: it is estimated on at most 48 of them, evenly spaced among the frames that have one, so that neither
//! threads nor the order of the work matter, and a shot of up to that many faces may come in any order.
//!
//! Within this module a face is measured in units of which 86 lie between the outer corners of its eyes, y up, z
//! towards the viewer: about millimetres of the mean head.

mod bridge;
mod columns;
mod frames;
mod head;
mod identity;
mod places;
mod pose;
pub mod residual;
mod solve;
mod steady;
#[cfg(test)]
mod tests;

pub use bridge::bridge_hidden;
pub use head::DenseHead;
pub use places::{POINTS, mirrored};
pub use residual::with_residual_modes;
pub use steady::steady_cameras;

use super::{ArkitShape, ImageCamera};
use frames::Observed;
use head::Actor;
use rayon::prelude::*;

/// Distance of the outer corners of the mean head's eyes, millimetres.
const EYES: f64 = 86.0;
/// Most frames that the identity is estimated on: at first, and in the last two rounds.
const SUBSETS: [usize; 2] = [16, 48];
/// How strictly the shapes are held at rest in each round of frames and identity, as a factor, and on how many frames: what is
/// constant goes to the identity first.
const ROUNDS: [(f64, usize); 4] = [(20.0, SUBSETS[0]), (5.0, SUBSETS[0]), (1.0, SUBSETS[1]), (1.0, SUBSETS[1])];

/// The 478 points of a face in pixels: x right, y down, z in the same unit, smaller nearer.
pub type DensePoints = [[f32; 3]; POINTS];

/// A part of the face whose points may be hidden together. Left and right are the face's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum DenseRegion {
    /// Lids, iris and skin of the right eye.
    EyeRight,
    /// Those of the left eye.
    EyeLeft,
    /// The right brow.
    BrowRight,
    /// The left brow.
    BrowLeft,
    /// The lips.
    Mouth,
    /// Chin, jaw and what is around the lips.
    Jaw,
    /// The nose.
    Nose,
    /// What is above the brows and between them.
    Forehead,
    /// The right cheek.
    CheekRight,
    /// The left cheek.
    CheekLeft,
}

impl DenseRegion {
    /// How many there are.
    pub const COUNT: usize = DenseRegion::ALL.len();
    /// All of them, in order.
    pub const ALL: &'static [DenseRegion] = &[
        DenseRegion::EyeRight,
        DenseRegion::EyeLeft,
        DenseRegion::BrowRight,
        DenseRegion::BrowLeft,
        DenseRegion::Mouth,
        DenseRegion::Jaw,
        DenseRegion::Nose,
        DenseRegion::Forehead,
        DenseRegion::CheekRight,
        DenseRegion::CheekLeft,
    ];
}

/// Camera and expression of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameFit {
    /// From the model's units to the picture's pixels.
    pub camera: ImageCamera,
    /// ARKit's coefficients, 0..1, in the order of [`ArkitShape::ALL`]: 1 shuts this person's eye.
    pub shapes: [f32; ArkitShape::COUNT],
    /// Coefficients of the model's expression basis that show them on this person: the same, but a blink closes as much as
    /// this person's eye is open (up to twice as far as the model's). 0 where the column is none of ARKit's.
    pub expr: Vec<f32>,
    /// Share of their weight that the points of each region kept, in the order of [`DenseRegion::ALL`]: near 0 where something
    /// hides them.
    pub confidence: [f32; DenseRegion::COUNT],
    /// Mean distance of the points from where the model puts them in the picture, in shares of the distance of the outer
    /// corners of the eyes.
    pub error: f32,
}

/// A shot: one person, and what its face does in each frame.
#[derive(Debug, Clone, PartialEq)]
pub struct ShotFit {
    /// The model's identity coefficients.
    pub shape: Vec<f32>,
    /// `None` where no face was found, or its points are none of a face's.
    pub frames: Vec<Option<FrameFit>>,
}

/// Fits a shot of any number of frames, one included. `None` where no frame has a face.
pub fn fit_shot(head: &DenseHead, frames: &[Option<&DensePoints>]) -> Option<ShotFit> {
    let observed: Vec<Option<Observed>> = frames.par_iter().map(|f| f.and_then(Observed::new)).collect();
    let faces: Vec<&Observed> = observed.iter().flatten().collect();
    if faces.is_empty() {
        return None;
    }
    let mut shape = vec![0.0; head.shape_dim()];
    let mut rested = [0.0; ArkitShape::COUNT];
    for (factor, most) in ROUNDS {
        let subset = evenly(faces.len(), most);
        let actor = Actor::new(head, &shape);
        // Collected in the frames' order, so that sums over frames come out the same on any number of threads.
        let found: Vec<_> = subset
            .par_iter()
            .filter_map(|&i| frames::solve(head, &actor, faces[i], factor).map(|s| (faces[i], s)))
            .collect();
        if found.is_empty() {
            return None;
        }
        shape = identity::solve(head, &actor, &shape, &found, &mut rested);
    }
    // As the caller will have it.
    let shape: Vec<f32> = shape.iter().map(|v| *v as f32).collect();
    let actor = Actor::new(head, &shape.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
    let fit = |o: &Option<Observed>| o.as_ref().and_then(|o| frames::fit(head, &actor, o));
    let frames: Vec<_> = observed.par_iter().map(fit).collect();
    frames.iter().any(Option::is_some).then_some(ShotFit { shape, frames })
}

/// Fits one more frame of a person whose identity coefficients are known; what [`fit_shot`] says of that frame, to the
/// bit. `None` where the points are none of a face's or the coefficients none of the model's.
pub fn fit_frame(head: &DenseHead, shape: &[f32], points: &DensePoints) -> Option<FrameFit> {
    let known = shape.len() == head.shape_dim() && shape.iter().all(|v| v.is_finite());
    let shape: Vec<f64> = shape.iter().map(|v| f64::from(*v)).collect();
    Observed::new(points).filter(|_| known).and_then(|o| frames::fit(head, &Actor::new(head, &shape), &o))
}

/// Up to `most` of `n` indices, evenly spaced, first and last included.
fn evenly(n: usize, most: usize) -> Vec<usize> {
    let count = n.min(most);
    let step = if count > 1 { (n - 1) as f64 / (count - 1) as f64 } else { 0.0 };
    // No two are alike: the step is at least 1.
    (0..count).map(|i| (i as f64 * step).round_ties_even() as usize).collect()
}
