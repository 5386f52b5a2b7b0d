//! One frame: the camera and the shapes of a person whose face at rest is known.

use super::columns::Normal;
use super::head::{Actor, DenseHead};
use super::places::{OUTER_CORNERS, POINTS, STEADY};
use super::solve::{Side, boxed};
use super::{DensePoints, DenseRegion, EYES, FrameFit};
use crate::morphable::align::{Similarity, procrustes_by};
use crate::morphable::{ArkitShape, ImageCamera};
use nalgebra::{Matrix3, Rotation3, SMatrix, SVector, Vector3};

/// Weight of an error in depth against one in the picture. MediaPipe's depth is a guess, but without it shapes take up part of a nod:
/// over twelve clips the fitted head nods 0.91 as far as its points with this weight, 0.84 with a tenth of it, and turns 1.04 instead of
/// 1.12 times as far; the points in the picture are missed by 1.05 % of the eyes' distance instead of 0.98 (medians, `headgan analyse --json`).
pub(super) const DEPTH: f64 = 0.3;
/// Geman-McClure's measure of a point's error in the picture and of a region's root mean square: at this error a weight is a
/// quarter. A region that as a whole lies elsewhere is hidden.
const OUTLYING: [f64; 2] = [8.0, 6.0];
/// Gauss-Newton steps.
const STEPS: usize = 4;
/// What holds a shape at rest: the cost of its square and of itself.
const RIDGE: f64 = 3.0;
const LASSO: f64 = 1.5;
/// Largest change of the size within a step, as a logarithm.
const GROWTH: f64 = 1.0;
const SHAPES: usize = ArkitShape::COUNT;

/// The points of a face in the fit's units.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    pub points: Vec<Vector3<f64>>,
    /// Units per pixel.
    pub per_pixel: f64,
}

impl Observed {
    /// `None` where a point is not finite or the eyes have no distance.
    pub fn new(points: &DensePoints) -> Option<Observed> {
        let up = |p: &[f32; 3]| Vector3::new(f64::from(p[0]), -f64::from(p[1]), -f64::from(p[2]));
        let mut points: Vec<Vector3<f64>> = points.iter().map(up).collect();
        let [right, left] = OUTER_CORNERS.map(|i| points[i]);
        let per_pixel = EYES / (left - right).norm();
        points.iter_mut().for_each(|p| *p *= per_pixel);
        let finite = per_pixel > 0.0 && points.iter().all(|p| p.iter().all(|v| v.is_finite()));
        finite.then_some(Observed { points, per_pixel })
    }
}

/// What a frame shows.
#[derive(Debug, Clone)]
pub(super) struct Solution {
    pub camera: Similarity,
    pub shapes: [f64; SHAPES],
    /// Of each point.
    pub weights: Vec<f64>,
}

impl Solution {
    /// Where the model puts the points.
    pub fn points(&self, head: &DenseHead, actor: &Actor) -> Vec<Vector3<f64>> {
        let moved: [f64; SHAPES] = std::array::from_fn(|k| self.shapes[k] * actor.gains[k]);
        let matrix = self.camera.rotation.matrix() * self.camera.scale;
        let at = |i: usize| matrix * (actor.neutral[i] + head.shapes.moved(i, &moved)) + self.camera.translation;
        (0..POINTS).map(at).collect()
    }
}

/// Sums over regions of what belongs to their points.
fn per_region(head: &DenseHead, value: impl Fn(usize) -> f64) -> [f64; DenseRegion::COUNT] {
    let mut sums = [0.0; DenseRegion::COUNT];
    head.regions.iter().enumerate().for_each(|(i, r)| sums[*r as usize] += value(i));
    sums
}

/// Gauss-Newton with robust weights. Each step solves for the change of the camera and the shapes together; the camera is
/// eliminated, and the shapes stay within 0 and 1. `factor` is how strictly they are held at rest. `None` where the points are
/// none of a face's.
pub(super) fn solve(head: &DenseHead, actor: &Actor, observed: &Observed, factor: f64) -> Option<Solution> {
    let q = &observed.points;
    let (source, target) = (|i: usize| actor.neutral[STEADY[i]], |i: usize| q[STEADY[i]]);
    let camera = procrustes_by(STEADY.len(), source, target, |_| 1.0).ok()?;
    let mut found = Solution { camera, shapes: [0.0; SHAPES], weights: head.counts.clone() };
    let mut sides = [Side::Low; SHAPES];
    let whole = per_region(head, |i| head.counts[i]);
    for step in 0..STEPS {
        let Similarity { scale, rotation, translation } = found.camera.clone();
        let fitted = found.points(head, actor);
        if step > 0 {
            let squared = |i: usize| (q[i] - fitted[i]).xy().norm_squared();
            let sums = per_region(head, |i| head.counts[i] * squared(i));
            let kept_share = |squared: f64, measure: f64| (1.0 + squared / (measure * measure)).powi(-2);
            let kept: [f64; DenseRegion::COUNT] =
                std::array::from_fn(|r| kept_share(sums[r] / (whole[r] + 1e-9), OUTLYING[1]));
            for i in 0..POINTS {
                let region = kept[head.regions[i] as usize];
                found.weights[i] = head.counts[i] * region * kept_share(squared(i), OUTLYING[0]);
            }
        }
        let depth = Matrix3::from_diagonal(&Vector3::new(1.0, 1.0, DEPTH));
        let turned = rotation.matrix() * scale;
        let back = turned.transpose() * depth;
        let metric = back * turned;
        let mut normal = Normal::new(SHAPES);
        // Turn, logarithm of the size, and translation, and what they share with the shapes.
        let (mut hc, mut gc) = (SMatrix::<f64, 7, 7>::zeros(), SVector::<f64, 7>::zeros());
        let mut shared = [[0.0; 7]; SHAPES];
        for i in 0..POINTS {
            let w = found.weights[i];
            let (error, y) = (q[i] - fitted[i], fitted[i] - translation);
            let entries = head.shapes.at(i);
            normal.add(entries, &(metric * w), &(back * error * w));
            let c = SMatrix::<f64, 3, 7>::from_row_slice(&[
                0.0, y.z, -y.y, y.x, 1.0, 0.0, 0.0, //
                -y.z, 0.0, y.x, y.y, 0.0, 1.0, 0.0, //
                y.y, -y.x, 0.0, y.z, 0.0, 0.0, 1.0,
            ]);
            let mut weighted = c * w;
            weighted.row_mut(2).scale_mut(DEPTH);
            hc += weighted.transpose() * c;
            gc += weighted.transpose() * error;
            let moved = turned.transpose() * weighted;
            for (k, v) in entries {
                let row = v.transpose() * moved;
                shared[*k].iter_mut().zip(row.iter()).for_each(|(s, r)| *s += r);
            }
        }
        // The gains, and what the present shapes explain, so that the shapes themselves are solved for.
        let (h, g) = (&mut normal.h, &mut normal.g);
        let gains = &actor.gains;
        for k in 0..SHAPES {
            h[k * SHAPES..][..=k].iter_mut().zip(gains).for_each(|(h, gain)| *h *= gain * gains[k]);
            g[k] *= gains[k];
            shared[k].iter_mut().for_each(|s| *s *= gains[k]);
        }
        normal.mirror();
        let (h, g) = (&mut normal.h, &mut normal.g);
        for k in 0..SHAPES {
            let row = &h[k * SHAPES..][..SHAPES];
            g[k] += row.iter().zip(&found.shapes).map(|(h, b)| h * b).sum::<f64>();
            for (g, s) in gc.iter_mut().zip(shared[k]) {
                *g += s * found.shapes[k];
            }
        }
        let camera = hc.cholesky()?;
        let lower = camera.l();
        // With `hc = L L'`, the camera takes `(L^-1 shared')' (L^-1 shared')` away.
        let mut taken = [SVector::<f64, 7>::zeros(); SHAPES];
        for (t, s) in taken.iter_mut().zip(&shared) {
            *t = lower.solve_lower_triangular(&SVector::from(*s))?;
        }
        let taken_g = lower.solve_lower_triangular(&gc)?;
        for k in 0..SHAPES {
            for l in 0..=k {
                let value = h[k * SHAPES + l] - taken[k].dot(&taken[l]);
                (h[k * SHAPES + l], h[l * SHAPES + k]) = (value, value);
            }
            h[k * SHAPES + k] += RIDGE * factor * head.costs[k];
            g[k] -= taken[k].dot(&taken_g) + LASSO * factor * head.costs[k];
        }
        let shapes = boxed(h, g, 1.0, &mut sides)?;
        found.shapes.copy_from_slice(&shapes);
        for (b, s) in shapes.iter().zip(&shared) {
            gc -= SVector::from(*s) * *b;
        }
        let x = camera.solve(&gc);
        let rotation = Rotation3::new(Vector3::new(x[0], x[1], x[2])) * rotation;
        let scale = scale * x[3].clamp(-GROWTH, GROWTH).exp();
        // The size and the turn are about the model's origin, so that they leave the translation alone.
        let translation = translation + Vector3::new(x[4], x[5], x[6]);
        let finite = x.iter().chain(&found.shapes).all(|v| v.is_finite()) && scale > 0.0 && scale.is_finite();
        if !finite {
            return None;
        }
        found.camera = Similarity { scale, rotation, translation };
    }
    Some(found)
}

/// The camera from the model's units to pixels, of one from millimetres to the fit's units. `None` where it is none.
pub(super) fn image_camera(head: &DenseHead, found: &Similarity, per_pixel: f64) -> Option<ImageCamera> {
    let to_pixels = Similarity {
        scale: found.scale * head.place.scale / per_pixel,
        rotation: found.rotation * head.place.rotation,
        translation: found.apply(head.place.translation) / per_pixel,
    };
    let camera = to_pixels.image_camera();
    let finite = camera.matrix().iter().all(|v| v.is_finite()) && camera.scale > 0.0;
    finite.then_some(camera)
}

/// A frame as the caller gets it.
pub(super) fn fit(head: &DenseHead, actor: &Actor, observed: &Observed) -> Option<FrameFit> {
    let found = solve(head, actor, observed, 1.0)?;
    let fitted = found.points(head, actor);
    let off: f64 = observed.points.iter().zip(&fitted).map(|(a, b)| (a - b).xy().norm()).sum();
    let (kept, whole) = (per_region(head, |i| found.weights[i]), per_region(head, |i| head.counts[i]));
    let camera = image_camera(head, &found.camera, observed.per_pixel)?;
    Some(FrameFit {
        camera,
        shapes: found.shapes.map(|v| v as f32),
        expr: head.expression(found.shapes.iter().zip(&actor.gains).map(|(b, g)| b * g)),
        confidence: std::array::from_fn(|r| (kept[r] / whole[r].max(1e-9)) as f32),
        error: (off / (POINTS as f64 * EYES)) as f32,
    })
}
