//! The identity of a shot: coefficients and residual modes that serve all its frames.

use super::columns::Normal;
use super::frames::{DEPTH, Observed, Solution};
use super::head::{Actor, DenseHead};
use super::places::SKIN;
use super::residual::{AVERAGE, EYES_APART};
use super::solve::cholesky;
use crate::morphable::ArkitShape;
use nalgebra::{Matrix3, Vector3};

/// What holds an identity coefficient at 0, per frame.
const LAMBDA: f64 = 12.0;
/// What holds the first residual mode at the average face, and the others at 0, per frame.
const TYPICAL: f64 = 20.0;
const LOCAL: f64 = 0.3;
/// Shapes that the person may show at rest: narrow eyes are not half shut, thin lips are not rolled in.
const RESTING: [ArkitShape; 17] = [
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
    ArkitShape::MouthRollLower,
    ArkitShape::MouthRollUpper,
];
/// The share of frames below which such a shape is at rest.
const REST: f64 = 0.2;
/// The same of shapes of the mouth: who speaks closes it now and then.
const MOUTH_REST: f64 = 0.1;
/// What a mouth never goes below is the actor's rest while it is small; beyond this it is a performance, such as a smile
/// throughout. Nobody holds the lips apart or pursed as long, but a person's may be short or narrow.
const RESTING_MOUTH: f64 = 0.3;
const RESTING_LIPS: f64 = 0.8;

/// What of a value that a shape of the mouth never goes below belongs to the person: nearly all of little, hardly any of much.
fn rest_of_mouth(shape: ArkitShape, floor: f64) -> f64 {
    use ArkitShape as S;
    let lips = matches!(
        shape,
        S::MouthFunnel
            | S::MouthPucker
            | S::MouthUpperUpLeft
            | S::MouthUpperUpRight
            | S::MouthLowerDownLeft
            | S::MouthLowerDownRight
    );
    floor / (1.0 + (floor / if lips { RESTING_LIPS } else { RESTING_MOUTH }).powi(2)).powi(2)
}

/// The identity coefficients that the frames ask for; `actor` is who the frames were solved for, of identity `before`, which
/// holds `rested` of the shapes of the mouth.
pub(super) fn solve(
    head: &DenseHead,
    actor: &Actor,
    before: &[f64],
    frames: &[(&Observed, Solution)],
    rested: &mut [f64; ArkitShape::COUNT],
) -> Vec<f64> {
    // What a shape shows in most frames belongs to the person.
    let floor = |k: usize, share: f64| quantile(frames.iter().map(|(_, s)| s.shapes[k]).collect(), share);
    let mut rest = [0.0; ArkitShape::COUNT];
    for shape in RESTING {
        rest[shape as usize] = floor(shape as usize, REST);
    }
    for (k, shape) in ArkitShape::ALL.iter().enumerate() {
        let mouth = shape.name().starts_with("mouth") || shape.name().starts_with("jaw");
        if mouth && !RESTING.contains(shape) {
            let whole = rest_of_mouth(*shape, rested[k] + floor(k, MOUTH_REST));
            (rest[k], rested[k]) = (whole - rested[k], whole);
        }
    }
    // Of each point: the sum of its metrics in the head's space, and what pulls it away from the mean.
    let mut metrics = vec![Matrix3::zeros(); SKIN];
    let mut forces = vec![Vector3::zeros(); SKIN];
    let depth = Matrix3::from_diagonal(&Vector3::new(1.0, 1.0, DEPTH));
    for (observed, s) in frames {
        let turned = s.camera.rotation.matrix() * s.camera.scale;
        let back = turned.transpose() * depth;
        let metric = back * turned;
        // Below 0 where the person shows less than at rest.
        let moved: [f64; ArkitShape::COUNT] = std::array::from_fn(|k| (s.shapes[k] - rest[k]) * actor.gains[k]);
        // The irises say nothing about the skin; how far they stand apart is settled below.
        for i in 0..SKIN {
            let w = s.weights[i];
            let shown = head.mean[i] + head.shapes.moved(i, &moved);
            metrics[i] += metric * w;
            forces[i] += (back * (observed.points[i] - s.camera.translation) - metric * shown) * w;
        }
    }
    let count = frames.len() as f64;
    let mut normal = Normal::new(head.identity.count());
    for i in 0..SKIN {
        normal.add(head.identity.at(i), &metrics[i], &forces[i]);
    }
    let own = solved(normal, |_| (LAMBDA * count, 0.0));

    // What the coefficients leave over.
    let mut normal = Normal::new(head.residual.count());
    for i in 0..SKIN {
        let left = forces[i] - metrics[i] * head.identity.moved(i, &own);
        normal.add(head.residual.at(i), &metrics[i], &left);
    }
    let mut residual = solved(normal, |k| if k == AVERAGE { (TYPICAL * count, 1.0) } else { (LOCAL * count, 0.0) });
    // Nobody squints outwards: how far both eyes look apart in most frames is the person's, not the gaze. A steady gaze to
    // one side stays a gaze.
    if let Some(apart) = residual.get_mut(EYES_APART) {
        let outwards = |s: &Solution| {
            let at = |shape: ArkitShape| s.shapes[shape as usize];
            let right = at(ArkitShape::EyeLookOutRight) - at(ArkitShape::EyeLookInRight);
            0.5 * (right + at(ArkitShape::EyeLookOutLeft) - at(ArkitShape::EyeLookInLeft))
        };
        *apart = before[own.len() + EYES_APART] + quantile(frames.iter().map(|(_, s)| outwards(s)).collect(), 0.5);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_is_rest_and_much_is_not() {
        let rest = |v| rest_of_mouth(ArkitShape::MouthSmileLeft, v);
        assert!(rest(0.05) > 0.045 && rest(0.1) > 0.08 && rest(0.6) < 0.05 && rest(1.0) < 0.02 && rest(0.0) == 0.0);
        // Lips that stand apart or are narrow are longer taken for the person's.
        for v in [0.1, 0.3, 0.5, 0.8] {
            assert!(rest_of_mouth(ArkitShape::MouthFunnel, v) > rest(v));
        }
    }

    #[test]
    fn quantiles_lie_between_values() {
        let q = |share| quantile(vec![4.0, 0.0, 2.0], share);
        assert_eq!((q(0.0), q(0.25), q(0.5), q(1.0)), (0.0, 1.0, 2.0, 4.0));
        assert_eq!(quantile(Vec::new(), 0.5), 0.0);
    }
}
