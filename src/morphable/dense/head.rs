//! What the dense fit needs of a model: where the 478 points lie on it, and what its bases move there.

use super::DenseRegion;
use super::columns::Columns;
use super::places::{EYE_CORNERS, IRIS_WEIGHTS, IRISES, LIDS, LOWER_LIP, POINTS, SKIN, UPPER_LIP, skin};
use crate::morphable::align::Similarity;
use crate::morphable::arkit::ball_vertices;
use crate::morphable::canonical::surface::P3;
use crate::morphable::rig::lines::{Place, vertex};
use crate::morphable::{ArkitShape, Morphable};
use crate::{Error, Result};
use nalgebra::Vector3;
use rayon::prelude::*;

/// Half width and half height of MediaPipe's iris on the mean head, millimetres.
const IRIS: [f64; 2] = [5.9, 5.3];
/// How far an open jaw moves the lower lip at least, and the upper one at most, millimetres.
const LOWER_DROP: f64 = 12.0;
/// Movements of a point below this are none, millimetres: an eighth of the work would be for them.
const LEAST: f64 = 1e-4;
/// Root mean squares between which an identity column's movement of the points is taken for one of unit variance, millimetres.
const USUAL: [f64; 2] = [0.02, 20.0];
/// How much wider or narrower a person's eyes may be open at rest than the mean head's.
const LIDS_RANGE: [f64; 2] = [0.4, 2.0];
/// Cost of a shape that a frame shows, 1 where nothing is said: those that look like others, or that the points hardly tell,
/// cost more; looks less, since nothing else turns the eyes.
fn cost(shape: ArkitShape) -> f64 {
    use ArkitShape as S;
    match shape {
        S::TongueOut => 1e6,
        S::CheekPuff => 8.0,
        S::JawForward => 6.0,
        S::CheekSquintLeft | S::CheekSquintRight => 3.0,
        S::MouthClose | S::MouthShrugUpper | S::MouthShrugLower | S::MouthPressLeft | S::MouthPressRight => 2.0,
        S::EyeSquintLeft | S::EyeSquintRight | S::NoseSneerLeft | S::NoseSneerRight => 2.0,
        S::EyeLookDownLeft | S::EyeLookInLeft | S::EyeLookOutLeft | S::EyeLookUpLeft => 0.3,
        S::EyeLookDownRight | S::EyeLookInRight | S::EyeLookOutRight | S::EyeLookUpRight => 0.3,
        _ => 1.0,
    }
}

/// A model at the 478 points, in millimetres of the mean head; see [`fit_shot`](super::fit_shot).
#[derive(Debug, Clone)]
pub struct DenseHead {
    /// The model's units to millimetres.
    pub(super) place: Similarity,
    triangles: Vec<[u32; 3]>,
    weights: Vec<[f64; 3]>,
    pub(super) mean: Vec<Vector3<f64>>,
    /// The identity basis without the residual modes, at one standard deviation.
    pub(super) identity: Columns,
    /// Standard deviations of the identity coefficients.
    pub(super) deviations: Vec<f64>,
    /// The residual modes: the average, how far the eyes stand apart, and the local ones.
    pub(super) residual: Columns,
    /// ARKit's shapes.
    pub(super) shapes: Columns,
    pub(super) costs: Vec<f64>,
    /// How much each point counts before its error is known.
    pub(super) counts: Vec<f64>,
    pub(super) regions: Vec<DenseRegion>,
    expr_dim: usize,
    arkit: Vec<u32>,
}

impl DenseHead {
    /// Finds the 478 points on a model.
    ///
    /// # Errors
    /// `Model` when the model is not valid, has none of ARKit's shapes, or its 68 landmarks do not lie like those of a face.
    pub fn new(model: &Morphable) -> Result<DenseHead> {
        model.validate()?;
        if model.arkit.len() != ArkitShape::COUNT {
            return Err(Error::Model("morphable model: it has none of ARKit's shapes: use one that acts".into()));
        }
        if model.landmarks.len() != 68 {
            let count = model.landmarks.len();
            return Err(Error::model(format!("morphable model: {count} landmarks where 68 are due: import it again")));
        }
        let place = Place::new(model)?;
        let (triangles, weights) = attach(model, &place)?;
        let all = |i: usize| triangles[i].into_iter().zip(weights[i]);
        let mean = (0..POINTS)
            .map(|i| all(i).map(|(v, w)| Vector3::from(place.at(vertex(model, v))) * w).sum::<Vector3<f64>>())
            .collect();
        let columns = |basis: &[f32], dim: usize, first: usize, count: usize, factors: &[f64], least: f64| {
            Columns::new(count, least, |i, k| {
                let sum = all(i).fold([0.0; 3], |sum, (v, w)| {
                    let value = |c: usize| f64::from(basis[(3 * v as usize + c) * dim + first + k]);
                    std::array::from_fn(|c| sum[c] + w * value(c))
                });
                Vector3::from(place.millimetres(sum)) * factors.get(k).copied().unwrap_or(1.0)
            })
        };
        let dim = model.shape_dim;
        let own = dim - model.residual_modes;
        // A model without statistics has coefficients of unit variance, unless they move next to nothing or everything: then
        // the basis has lengths of its own, and one deviation is taken to be a millimetre.
        let stats = model.param_std.get(12..12 + own).map(|s| s.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
        let mut deviations = stats.unwrap_or_else(|| vec![1.0; own]);
        let plain = columns(&model.shape_basis, dim, 0, own, &deviations, 0.0);
        for (k, d) in deviations.iter_mut().enumerate() {
            let size = plain.size(k);
            if size > 0.0 && !(USUAL[0]..=USUAL[1]).contains(&size) {
                *d /= size;
            }
        }
        let identity = columns(&model.shape_basis, dim, 0, own, &deviations, 0.0);
        let residual = columns(&model.shape_basis, dim, own, model.residual_modes, &[], 0.0);
        let arkit = |i: usize, k: usize| {
            let column = model.arkit[k] as usize;
            let sum = all(i).fold([0.0; 3], |sum, (v, w)| {
                let value = |c: usize| f64::from(model.expr_basis[(3 * v as usize + c) * model.expr_dim + column]);
                std::array::from_fn(|c| sum[c] + w * value(c))
            });
            Vector3::from(place.millimetres(sum))
        };
        let shapes = Columns::new(ArkitShape::COUNT, LEAST, arkit);
        let spots = skin();
        let iris = |i: usize| {
            let [middle, rim] = if model.eyeballs > 0 { IRIS_WEIGHTS } else { [0.0; 2] };
            if IRISES.contains(&i) { middle } else { rim }
        };
        let iris_region = |i: usize| if i < IRISES[1] { DenseRegion::EyeRight } else { DenseRegion::EyeLeft };
        Ok(DenseHead {
            place: place.map().clone(),
            triangles,
            weights,
            mean,
            identity,
            deviations,
            residual,
            shapes,
            costs: ArkitShape::ALL.iter().map(|s| cost(*s)).collect(),
            counts: (0..POINTS).map(|i| spots.get(i).map_or_else(|| iris(i), |s| s.weight)).collect(),
            regions: (0..POINTS).map(|i| spots.get(i).map_or_else(|| iris_region(i), |s| s.region)).collect(),
            expr_dim: model.expr_dim,
            arkit: model.arkit.clone(),
        })
    }

    /// Number of the model's identity coefficients.
    pub fn shape_dim(&self) -> usize {
        self.identity.count() + self.residual.count()
    }

    /// Where a point lies on every mesh of the model: the vertices of a triangle, and their shares.
    ///
    /// # Panics
    /// When `point` is not below [`POINTS`].
    pub fn place_of(&self, point: usize) -> ([u32; 3], [f32; 3]) {
        (self.triangles[point], self.weights[point].map(|w| w as f32))
    }

    /// How many times the model's blink shuts the left and the right eye of a person of these identity coefficients: above 1 where their
    /// eyes are wider than the model's. 1 for coefficients that are none of the model's.
    pub fn lid_gains(&self, shape: &[f32]) -> [f32; 2] {
        if shape.len() != self.shape_dim() {
            return [1.0; 2];
        }
        let shape: Vec<f64> = shape.iter().map(|v| f64::from(*v)).collect();
        let gains = Actor::new(self, &shape).gains;
        [ArkitShape::EyeBlinkLeft, ArkitShape::EyeBlinkRight].map(|s| gains[s as usize] as f32)
    }

    /// Coefficients of the model's expression basis for ARKit's.
    pub(super) fn expression(&self, arkit: impl Iterator<Item = f64>) -> Vec<f32> {
        let mut expr = vec![0.0f32; self.expr_dim];
        for (&column, value) in self.arkit.iter().zip(arkit) {
            expr[column as usize] += value as f32;
        }
        expr
    }
}

/// A person: the model at rest at the 478 points.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    pub neutral: Vec<Vector3<f64>>,
    /// How many times each shape moves this person as far as the model: a wider eye closes further.
    pub gains: Vec<f64>,
}

impl Actor {
    /// `shape` has the model's number of identity coefficients.
    pub fn new(head: &DenseHead, shape: &[f64]) -> Actor {
        let (own, residual) = shape.split_at(head.identity.count());
        let own: Vec<f64> = own.iter().zip(&head.deviations).map(|(v, d)| v / d).collect();
        let neutral: Vec<Vector3<f64>> = (0..POINTS)
            .map(|i| head.mean[i] + head.identity.moved(i, &own) + head.residual.moved(i, residual))
            .collect();
        let opening = |points: &[Vector3<f64>], left: bool| {
            let [upper, lower] = LIDS[usize::from(left)];
            upper.iter().zip(lower).map(|(&a, b)| (points[a] - points[b]).norm()).sum::<f64>()
        };
        let gain = |left: bool| {
            let gain = opening(&neutral, left) / opening(&head.mean, left);
            // Where the model's own lids touch, nothing is known.
            if gain.is_finite() { gain.clamp(LIDS_RANGE[0], LIDS_RANGE[1]) } else { 1.0 }
        };
        let mut gains = vec![1.0; ArkitShape::COUNT];
        gains[ArkitShape::EyeBlinkRight as usize] = gain(false);
        gains[ArkitShape::EyeBlinkLeft as usize] = gain(true);
        Actor { neutral, gains }
    }
}

/// Vertices and shares of the place of each point: the nearest on the skin to its place on the mean head, irises on the balls.
pub(super) type Attached = (Vec<[u32; 3]>, Vec<[f64; 3]>);

pub(super) fn attach(model: &Morphable, place: &Place) -> Result<Attached> {
    let at: Vec<Vector3<f64>> =
        (0..model.vertex_count() as u32).map(|v| Vector3::from(place.at(vertex(model, v)))).collect();
    let skin_triangles = model.skin_triangles();
    let balls = &model.triangles[skin_triangles.len()..];
    let spots = skin();
    // A closed mouth's lips lie on each other: what tells them apart is that the lower one goes with the jaw.
    let jaw = model.arkit.get(ArkitShape::JawOpen as usize).map(|&k| k as usize);
    let drop = |v: u32, jaw: usize| {
        let value = |c: usize| f64::from(model.expr_basis[(3 * v as usize + c) * model.expr_dim + jaw]);
        Vector3::from(place.millimetres(std::array::from_fn(value))).norm()
    };
    let (lower, upper): (Vec<[u32; 3]>, Vec<[u32; 3]>) = match jaw {
        Some(jaw) => {
            let falls = |t: &&[u32; 3]| t.iter().map(|&v| drop(v, jaw)).sum::<f64>() >= 3.0 * LOWER_DROP;
            skin_triangles.iter().partition(falls)
        }
        None => (skin_triangles.to_vec(), skin_triangles.to_vec()),
    };
    let mut wanted: Vec<(P3, Vec<[u32; 3]>)> = Vec::new();
    for (first, left) in IRISES.into_iter().zip([false, true]) {
        // Without the socket, which does not turn.
        let ball = ball_vertices(model, left).unwrap_or_default();
        let own: Vec<[u32; 3]> = balls.iter().copied().filter(|t| t.iter().all(|v| ball.contains(v))).collect();
        let mut points = own.as_flattened().iter().map(|&v| at[v as usize]);
        let middle = points.next().map(|first| points.fold((first, first), |(a, b), p| (a.inf(&p), b.sup(&p))));
        for [x, y] in [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]] {
            let (x, y) = (IRIS[0] * x, IRIS[1] * y);
            let target = match middle {
                // On the front of a ball.
                Some((low, high)) => {
                    let (centre, radius) = ((low + high) / 2.0, (high.z - low.z) / 2.0);
                    let depth = (radius * radius - x * x - y * y).max(0.0).sqrt();
                    [centre.x + x, centre.y + y, centre.z + depth]
                }
                None => {
                    let [a, b] = EYE_CORNERS[usize::from(left)].map(|i| spots[i].at);
                    [0.5 * (a[0] + b[0]) + x, 0.5 * (a[1] + b[1]) + y, 0.5 * (a[2] + b[2])]
                }
            };
            wanted.push((target, own.clone()));
        }
        debug_assert_eq!(SKIN + wanted.len(), first + 5);
    }
    let nearest = |p: P3, triangles: &[[u32; 3]]| nearest(&at, triangles, Vector3::from(p));
    let found: Vec<Option<([u32; 3], [f64; 3])>> = (0..POINTS)
        .into_par_iter()
        .map(|i| match i.checked_sub(SKIN).map(|i| &wanted[i]) {
            Some((p, own)) if !own.is_empty() => nearest(*p, own),
            Some((p, _)) => nearest(*p, skin_triangles),
            None if UPPER_LIP.contains(&i) => nearest(spots[i].at, &upper),
            None if LOWER_LIP.contains(&i) => nearest(spots[i].at, &lower),
            None => nearest(spots[i].at, skin_triangles),
        })
        .collect();
    let all: Option<Vec<_>> = found.into_iter().collect();
    let all = all.ok_or_else(|| Error::Model("morphable model: it has no skin or no lips: import it again".into()))?;
    Ok(all.into_iter().unzip())
}

/// The triangle nearest to a point, and the shares of its corners at the nearest place.
fn nearest(at: &[Vector3<f64>], triangles: &[[u32; 3]], p: Vector3<f64>) -> Option<([u32; 3], [f64; 3])> {
    let mut best: Option<([u32; 3], [f64; 3])> = None;
    let mut least = f64::INFINITY;
    for t in triangles {
        let [a, b, c] = t.map(|v| at[v as usize]);
        // No place of the triangle is further from its first corner than its longest side.
        let side = (b - a).norm_squared().max((c - a).norm_squared()).sqrt();
        if (p - a).norm() - side > least.sqrt() {
            continue;
        }
        for shares in candidates(a, b, c, p) {
            let d = (a * shares[0] + b * shares[1] + c * shares[2] - p).norm_squared();
            if d < least {
                (least, best) = (d, Some((*t, shares)));
            }
        }
    }
    best
}

/// Shares of the places of a triangle of which one is the nearest to `p`: below it, if that is within, and the nearest of each
/// side.
fn candidates(a: Vector3<f64>, b: Vector3<f64>, c: Vector3<f64>, p: Vector3<f64>) -> impl Iterator<Item = [f64; 3]> {
    let (u, v, w) = (b - a, c - a, p - a);
    let (uu, uv, vv, wu, wv) = (u.dot(&u), u.dot(&v), v.dot(&v), w.dot(&u), w.dot(&v));
    let det = uu * vv - uv * uv;
    let (s, t) = ((vv * wu - uv * wv) / det, (uu * wv - uv * wu) / det);
    let inside = (det > 0.0 && s >= 0.0 && t >= 0.0 && s + t <= 1.0).then_some([1.0 - s - t, s, t]);
    let along = |from: Vector3<f64>, to: Vector3<f64>| {
        let way = to - from;
        let share = (p - from).dot(&way) / way.norm_squared();
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    };
    let (ab, ac, bc) = (along(a, b), along(a, c), along(b, c));
    inside.into_iter().chain([[1.0 - ab, ab, 0.0], [1.0 - ac, 0.0, ac], [0.0, 1.0 - bc, bc]])
}
