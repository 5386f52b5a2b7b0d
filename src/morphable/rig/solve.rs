//! An expression on a model: direction in its basis, and corrective.

use super::{P3, Quality};
use crate::morphable::Morphable;
use crate::morphable::canonical::surface::smoothstep;
use nalgebra::{DMatrix, DVector};

/// Approximate number of vertices in the least squares.
const SAMPLES: usize = 8000;
/// Weight of the vertices that move most, those at rest counting 1.
const MOVING: f64 = 10.0;
/// Share of a coefficient's own weight that holds it at 0.
const RIDGE: f64 = 1e-3;
/// Shares of the largest displacement between which the corrective comes in.
const SUPPORT: [f64; 2] = [0.03, 0.12];
/// Directions that explain less than this are none.
const WORTH: f64 = 0.1;
/// Directions that explain more than this need no corrective: the basis has this expression in a version of its own.
const ENOUGH: f64 = 0.95;
/// Correctives below this share of the largest displacement are left out.
const SMALL: f64 = 2e-3;

/// See [`super::Rig`].
#[derive(Debug)]
pub(super) struct Solution {
    pub direction: Vec<f32>,
    pub corrective: Vec<(u32, [f32; 3])>,
    pub quality: Quality,
    /// Dot product with coefficients: how often they contain the direction, as the landmarks see it.
    pub measure: Vec<f32>,
}

/// `at` holds the mean face's vertices in millimetres; `target` gives their displacement in the model's units, `beside`
/// that of the same expression on the face's other side, which must not move.
pub(super) fn solve(
    model: &Morphable,
    at: &[P3],
    target: &dyn Fn(P3) -> P3,
    beside: Option<&dyn Fn(P3) -> P3>,
) -> Solution {
    let dim = model.expr_dim;
    let targets: Vec<P3> = at.iter().map(|p| target(*p)).collect();
    let extent = |(p, t): (&P3, &P3)| beside.map_or(0.0, |beside| length(beside(*p))).max(length(*t));
    let extents: Vec<f64> = at.iter().zip(&targets).map(extent).collect();
    let most = extents.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let row = |v: usize, c: usize| &model.expr_basis[(3 * v + c) * dim..][..dim];

    let mut h = DMatrix::<f64>::zeros(dim, dim);
    let mut g = DVector::<f64>::zeros(dim);
    for v in (0..at.len()).step_by((at.len() / SAMPLES).max(1)) {
        let weight = 1.0 + (MOVING - 1.0) * extents[v] / most;
        for (c, t) in targets[v].iter().enumerate() {
            let row = row(v, c);
            for (i, &a) in row.iter().enumerate() {
                let a = weight * f64::from(a);
                g[i] += a * t;
                for (j, &b) in row[..=i].iter().enumerate() {
                    h[(i, j)] += a * f64::from(b);
                }
            }
        }
    }
    for i in 0..dim {
        for j in 0..i {
            h[(j, i)] = h[(i, j)];
        }
        h[(i, i)] = h[(i, i)] * (1.0 + RIDGE) + f64::MIN_POSITIVE;
    }
    let mut direction = h.cholesky().map_or_else(|| DVector::zeros(dim), |c| c.solve(&g));

    let moved = |v: usize, d: &DVector<f64>| -> P3 {
        std::array::from_fn(|c| row(v, c).iter().zip(d.iter()).map(|(b, d)| f64::from(*b) * d).sum())
    };
    let home = |v: usize| smoothstep(SUPPORT[0], SUPPORT[1], extents[v] / most);
    let mut quality = measure_quality(model, &targets, &home, &|v| moved(v, &direction));
    if quality.explained < WORTH {
        direction.fill(0.0);
        quality = Quality { explained: 0.0, elsewhere: 0.0 };
    }
    let mut corrective = Vec::new();
    for (v, t) in targets.iter().enumerate() {
        let share = home(v);
        if share > 0.0 && quality.explained < ENOUGH {
            let m = moved(v, &direction);
            let rest: P3 = std::array::from_fn(|c| share * (t[c] - m[c]));
            if length(rest) > SMALL * most {
                corrective.push((v as u32, rest.map(|r| r as f32)));
            }
        }
    }
    // D' M / D' M D with M the basis at the landmarks: 1 for the direction itself.
    let mut measure = DVector::<f64>::zeros(dim);
    for &v in &model.landmarks {
        let m = moved(v as usize, &direction);
        for (c, m) in m.iter().enumerate() {
            for (k, &b) in row(v as usize, c).iter().enumerate() {
                measure[k] += m * f64::from(b);
            }
        }
    }
    let own = measure.dot(&direction);
    if own > 0.0 {
        measure /= own;
    }
    let floats = |v: &DVector<f64>| v.iter().map(|x| *x as f32).collect();
    Solution { direction: floats(&direction), corrective, quality, measure: floats(&measure) }
}

fn measure_quality(
    model: &Morphable,
    targets: &[P3],
    home: &dyn Fn(usize) -> f64,
    moved: &dyn Fn(usize) -> P3,
) -> Quality {
    let (mut way, mut left, mut count) = (0.0, 0.0, 0);
    let (mut side, mut side_count) = (0.0, 0);
    for &v in &model.landmarks {
        let v = v as usize;
        let (t, m) = (targets[v], moved(v));
        if home(v) > 0.5 {
            way += length(t).powi(2);
            left += length(std::array::from_fn(|c| t[c] - m[c])).powi(2);
            count += 1;
        } else {
            side += length(m).powi(2);
            side_count += 1;
        }
    }
    if way <= 0.0 {
        return Quality { explained: 0.0, elsewhere: 0.0 };
    }
    let mean = (way / f64::from(count)).sqrt();
    let elsewhere = if side_count > 0 { (side / f64::from(side_count)).sqrt() / mean } else { 0.0 };
    Quality { explained: (1.0 - left / way).max(0.0), elsewhere }
}

fn length(p: P3) -> f64 {
    p.iter().map(|v| v * v).sum::<f64>().sqrt()
}
