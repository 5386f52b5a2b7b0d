//! Residual modes: what the identity basis of a model cannot express, as further columns of it.
//!
//! The first says how faces differ from the mean head on average, at each of the 478 points: a head of formulas is nobody's
//! mean. The second turns both eyes apart, as the look outwards does. The others move the skin around a control point along an
//! axis, by as many millimetres as their coefficient says. All are smooth but where lids and lips part.

use super::head::attach;
use super::places::{SKIN, skin};
use super::solve::cholesky;
use crate::morphable::canonical::modes::height;
use crate::morphable::canonical::surface::P3;
use crate::morphable::rig::lines::{Lines, Place, vertex};
use crate::morphable::{ArkitShape, Morphable};
use crate::{Error, Result};
use rayon::prelude::*;

/// How far apart the two sides of a slit count to be, as half of it, millimetres.
const APART: f64 = 10.0;
/// Over which length at its corners a slit ends, millimetres.
const TAPER: f64 = 6.0;
/// Height of half a slit below which its rims count as above and below all the same, millimetres.
const SHUT: f64 = 0.4;
/// Share that a difference in depth counts.
const DEPTH: f64 = 0.5;
/// Reach of a mode, in mean distances of the three nearest control points.
const REACH: f64 = 3.0;
/// Reach of the average's bump around each point, millimetres, and what keeps it smooth: the points' weights are a few.
const BETWEEN: f64 = 15.0;
const SMOOTH: f64 = 0.02;

/// The points that residual modes move the skin around: far from each other, closest together at lids and lips.
const CONTROLS: [usize; 49] = [
    1, 33, 263, 76, 306, 17, 133, 362, 72, 302, 145, 374, 158, 385, 179, 403, 74, 304, 107, 336, 154, 381, 105, 334,
    177, 401, 160, 387, 70, 300, 163, 390, 95, 324, 87, 317, 84, 314, 140, 369, 13, 36, 266, 73, 303, 65, 295, 127,
    356,
];

/// How many identity coefficients [`with_residual_modes`] adds.
pub const RESIDUAL_MODES: usize = LOCAL + 3 * CONTROLS.len();
/// Number of the mode that is the average face, of that which turns the eyes apart, and of the first local one.
pub(super) const AVERAGE: usize = 0;
pub(super) const EYES_APART: usize = 1;
pub(super) const LOCAL: usize = 2;

/// The model with residual modes as the last columns of its identity basis. Eyeballs go with their sockets and stay round. It
/// belongs to no regressor, so that it has no means and deviations of parameters.
///
/// # Errors
/// `Model` when the model is not valid, has residual modes already, or its 68 landmarks do not lie like those of a face.
pub fn with_residual_modes(model: &Morphable) -> Result<Morphable> {
    model.validate()?;
    if model.landmarks.len() != 68 {
        let count = model.landmarks.len();
        return Err(Error::model(format!("morphable model: {count} landmarks where 68 are due: import it again")));
    }
    if model.residual_modes > 0 {
        return Err(Error::Model("morphable model: it has residual modes already: use it as it is".into()));
    }
    let place = Place::new(model)?;
    let lines = Lines::new(model, &place);
    let modes = Modes::new(model, &place, &lines)?;
    // A mode along an axis is its bump times the axis in the model's units.
    let axes: [P3; 3] =
        std::array::from_fn(|a| place.displacement(std::array::from_fn(|c| f64::from(u8::from(a == c)))));
    let rows = |bumps: &Bumps| -> Vec<f32> {
        let average = place.displacement(bumps.average);
        let mut rows = Vec::with_capacity(3 * RESIDUAL_MODES);
        for c in 0..3 {
            // The skin does not turn with the eyes.
            rows.extend([average[c] as f32, 0.0]);
            rows.extend(bumps.controls.iter().flat_map(|b| axes.map(|axis| (b * axis[c]) as f32)));
        }
        rows
    };
    let at = |v: u32| place.at(vertex(model, v));
    let skin = model.skin_vertex_count();
    let sockets = [[42, 45], [36, 39]].map(|corners| {
        let [a, b] = corners.map(|i: usize| modes.at(&lines, at(model.landmarks[i])));
        rows(&a.mean(&b))
    });
    // Which column turns an eye outwards.
    let outwards = |left: bool| {
        let shape = if left { ArkitShape::EyeLookOutLeft } else { ArkitShape::EyeLookOutRight };
        model.arkit.get(shape as usize).map(|&k| k as usize)
    };
    let outwards = [outwards(true), outwards(false)];
    let (dim, n) = (model.shape_dim, model.vertex_count());
    let wide = dim + RESIDUAL_MODES;
    let mut basis = vec![0.0f32; 3 * n * wide];
    basis.par_chunks_mut(3 * wide).enumerate().for_each(|(v, out)| {
        let p = at(v as u32);
        let own;
        let added = if v < skin {
            own = rows(&modes.at(&lines, p));
            &own
        } else {
            &sockets[usize::from(p[0] < 0.0)]
        };
        for (c, out) in out.chunks_exact_mut(wide).enumerate() {
            out[..dim].copy_from_slice(&model.shape_basis[(3 * v + c) * dim..][..dim]);
            out[dim..].copy_from_slice(&added[c * RESIDUAL_MODES..][..RESIDUAL_MODES]);
            if let Some(k) = outwards[usize::from(p[0] < 0.0)].filter(|_| v >= skin) {
                out[dim + EYES_APART] = model.expr_basis[(3 * v + c) * model.expr_dim + k];
            }
        }
    });
    let model = Morphable {
        shape_basis: basis,
        shape_dim: wide,
        residual_modes: RESIDUAL_MODES,
        param_mean: Vec::new(),
        param_std: Vec::new(),
        ..model.clone()
    };
    model.validate()?;
    Ok(model)
}

/// What the modes do at one place.
struct Bumps {
    /// How faces differ there from the mean head, millimetres.
    average: P3,
    controls: Vec<f64>,
}

impl Bumps {
    fn mean(&self, other: &Bumps) -> Bumps {
        Bumps {
            average: std::array::from_fn(|c| 0.5 * (self.average[c] + other.average[c])),
            controls: self.controls.iter().zip(&other.controls).map(|(a, b)| 0.5 * (a + b)).collect(),
        }
    }
}

/// A place of the skin whose distances go around the corners of lids and lips.
type Lifted = [f64; 5];

struct Modes {
    /// Place and reach of each control point.
    controls: Vec<(Lifted, f64)>,
    /// The points, and what each adds to the average around it.
    points: Vec<(Lifted, P3)>,
}

impl Modes {
    fn new(model: &Morphable, place: &Place, lines: &Lines) -> Result<Modes> {
        let spots = skin();
        let lifted: Vec<Lifted> = spots.iter().map(|s| lift(lines, s.at)).collect();
        let reach = |i: usize| {
            let mut others: Vec<f64> =
                CONTROLS.iter().filter(|&&j| j != i).map(|&j| distance(&lifted[i], &lifted[j])).collect();
            others.sort_by(f64::total_cmp);
            let near = &others[..others.len().min(3)];
            REACH * near.iter().sum::<f64>() / near.len().max(1) as f64
        };
        let controls = CONTROLS.iter().map(|&i| (lifted[i], reach(i))).collect();
        // A bump around each point, as the mesh shows it at the points: least squares, for neither do all points have a vertex of
        // their own nor may the skin have every dent.
        let (triangles, weights) = attach(model, place)?;
        let around = |q: &Lifted, j: usize| bump(distance(q, &lifted[j]) / BETWEEN);
        let shown: Vec<Vec<f64>> = (0..SKIN)
            .into_par_iter()
            .map(|i| {
                let corners = triangles[i].map(|v| lift(lines, place.at(vertex(model, v))));
                (0..SKIN).map(|j| (0..3).map(|k| weights[i][k] * around(&corners[k], j)).sum()).collect()
            })
            .collect();
        let count = |i: usize| spots[i].weight;
        let columns: Vec<Vec<f64>> = (0..SKIN).map(|j| shown.iter().map(|row| row[j]).collect()).collect();
        let h: Vec<f64> = (0..SKIN)
            .into_par_iter()
            .flat_map_iter(|j| {
                let (columns, lifted, around) = (&columns, &lifted, &around);
                (0..SKIN).map(move |l| {
                    if l > j {
                        // Not read.
                        return 0.0;
                    }
                    let seen: f64 = (0..SKIN).map(|i| count(i) * columns[j][i] * columns[l][i]).sum();
                    seen + SMOOTH * around(&lifted[j], l) + if j == l { 1e-9 } else { 0.0 }
                })
            })
            .collect();
        let axis = |c: usize| {
            let mut g: Vec<f64> =
                columns.iter().map(|a| (0..SKIN).map(|i| count(i) * a[i] * spots[i].average[c]).sum()).collect();
            // Positive definite, as the bump is in five dimensions.
            if cholesky(&mut h.clone(), &mut g) { g } else { vec![0.0; SKIN] }
        };
        let axes = [axis(0), axis(1), axis(2)];
        let points = (0..SKIN).map(|i| (lifted[i], std::array::from_fn(|c| axes[c][i]))).collect();
        Ok(Modes { controls, points })
    }

    fn at(&self, lines: &Lines, p: P3) -> Bumps {
        let q = lift(lines, p);
        let mut average = [0.0; 3];
        for (at, value) in &self.points {
            let b = bump(distance(&q, at) / BETWEEN);
            average.iter_mut().zip(value).for_each(|(a, v)| *a += b * v);
        }
        Bumps { average, controls: self.controls.iter().map(|(at, reach)| bump(distance(&q, at) / reach)).collect() }
    }
}

/// 1 at 0, 0 from 1 on, twice continuously differentiable (Wendland's for five dimensions,
/// <https://doi.org/10.1007/BF02123482>).
fn bump(r: f64) -> f64 {
    if r < 1.0 { (1.0 - r).powi(5) * (5.0 * r + 1.0) } else { 0.0 }
}

fn distance(a: &Lifted, b: &Lifted) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn lift(lines: &Lines, p: P3) -> Lifted {
    let [upper, lower] = lines.lips();
    let ends = |line: &[P3]| (line.first().map_or(0.0, |p| p[0]), line.last().map_or(0.0, |p| p[0]));
    let ((a, b), (c, d)) = (ends(upper), ends(lower));
    let lips = side(p[1], height(upper, p[0]), height(lower, p[0]), p[0] - a.min(c), b.max(d) - p[0]);
    let (left, x) = (p[0] > 0.0, p[0].abs());
    let (upper, lower) = lines.lids(left, x);
    let [inner, outer] = lines.corners(left);
    let lids = side(p[1], upper, lower, x - inner, outer - x);
    [p[0], p[1], DEPTH * p[2], APART * lips, APART * lids]
}

/// 1 above a slit, -1 below, 0 beyond its corners.
fn side(y: f64, upper: f64, lower: f64, from: f64, to: f64) -> f64 {
    let half = (0.5 * (upper - lower)).max(SHUT);
    ((y - 0.5 * (upper + lower)) / half).clamp(-1.0, 1.0) * (from.min(to) / TAPER).clamp(0.0, 1.0)
}
