//! The identity of a shot: coefficients and residual modes that serve all its frames.

use super::columns::Normal;
use super::frames::{DEPTH, Observed, Solution};
use super::head::{Actor, DenseHead};
use super::places::{POINTS, SKIN};
use super::solve::cholesky;
use crate::morphable::ArkitShape;
use nalgebra::{Matrix3, Vector3};

/// What holds an identity coefficient at 0, per frame.
const LAMBDA: f64 = 12.0;
/// What holds the first residual mode at the average face, and the others at 0, per frame.
const AVERAGE: f64 = 20.0;
const LOCAL: f64 = 0.3;
/// Shapes that the person may show at rest: narrow eyes are not half shut.
const RESTING: [ArkitShape; 15] = [
    ArkitShape::EyeBlinkLeft,
    ArkitShape::EyeBlinkRight,
    ArkitShape::EyeSquintLeft,
    ArkitShape::EyeSquintRight,
    ArkitShape::EyeWideLeft,
    ArkitShape::EyeWideRight,
    ArkitShape::BrowDownLeft,
    ArkitShape::BrowDownRight,
    ArkitShape::BrowInnerUp,
    ArkitShape::BrowOuterUpLeft,
    ArkitShape::BrowOuterUpRight,
    ArkitShape::CheekSquintLeft,
    ArkitShape::CheekSquintRight,
    ArkitShape::NoseSneerLeft,
    ArkitShape::NoseSneerRight,
];
/// The share of frames below which such a shape is at rest.
const REST: f64 = 0.2;

/// The identity coefficients that the frames ask for; `actor` is who the frames were solved for.
pub(super) fn solve(head: &DenseHead, actor: &Actor, frames: &[(&Observed, Solution)]) -> Vec<f64> {
    // What a shape shows in most frames belongs to the person.
    let mut rest = [0.0; ArkitShape::COUNT];
    for shape in RESTING {
        rest[shape as usize] = quantile(frames.iter().map(|(_, s)| s.shapes[shape as usize]).collect(), REST);
    }
    // Of each point: the sum of its metrics in the head's space, and what pulls it away from the mean.
    let mut metrics = vec![Matrix3::zeros(); POINTS];
    let mut forces = vec![Vector3::zeros(); POINTS];
    let depth = Matrix3::from_diagonal(&Vector3::new(1.0, 1.0, DEPTH));
    for (observed, s) in frames {
        let turned = s.camera.rotation.matrix() * s.camera.scale;
        let back = turned.transpose() * depth;
        let metric = back * turned;
        // Below 0 where the person shows less than at rest.
        let moved: [f64; ArkitShape::COUNT] = std::array::from_fn(|k| (s.shapes[k] - rest[k]) * actor.gains[k]);
        for i in 0..POINTS {
            let w = s.weights[i];
            let shown = head.mean[i] + head.shapes.moved(i, &moved);
            metrics[i] += metric * w;
            forces[i] += (back * (observed.points[i] - s.camera.translation) - metric * shown) * w;
        }
    }
    let count = frames.len() as f64;
    let mut normal = Normal::new(head.identity.count());
    for i in 0..POINTS {
        normal.add(head.identity.at(i), &metrics[i], &forces[i]);
    }
    let own = solved(normal, |_| (LAMBDA * count, 0.0));

    // What the coefficients leave over. The irises go with their sockets, so that a steady gaze to the side becomes no part of
    // the person.
    let mut normal = Normal::new(head.residual.count());
    for i in 0..SKIN {
        let left = forces[i] - metrics[i] * head.identity.moved(i, &own);
        normal.add(head.residual.at(i), &metrics[i], &left);
    }
    let residual = solved(normal, |k| if k == 0 { (AVERAGE * count, 1.0) } else { (LOCAL * count, 0.0) });
    own.iter().zip(&head.deviations).map(|(v, d)| v * d).chain(residual).collect()
}

/// The coefficients, each held at a value by a weight; all 0 where there is nothing to solve.
fn solved(mut normal: Normal, held: impl Fn(usize) -> (f64, f64)) -> Vec<f64> {
    let n = normal.g.len();
    for k in 0..n {
        let (weight, value) = held(k);
        normal.h[k * n + k] += weight;
        normal.g[k] += weight * value;
    }
    let fine = cholesky(&mut normal.h, &mut normal.g) && normal.g.iter().all(|v| v.is_finite());
    if fine { normal.g } else { vec![0.0; n] }
}

/// The value below which a share of the values lies, between the two next to it in proportion.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let at = share * last as f64;
    let below = at as usize;
    values[below] + (at - below as f64) * (values[(below + 1).min(last)] - values[below])
}
