//! Dense alignment: similarity Procrustes and bounded least squares for identity and expression.
//!
//! This is LSFM's part in HeadGAN (<https://arxiv.org/abs/2012.08261>, `fit_3DMM` of the published code): given
//! where many vertices of a face are in space, find the pose and the coefficients. The published code aligns
//! once with the mean face; here alignment and coefficients alternate until they agree, and outliers can be
//! weighed down.

use nalgebra::{DMatrix, DVector, Matrix3, Rotation3, Vector3};

use super::{ImageCamera, Morphable};
use crate::{Error, Result};

/// `y = scale * rotation * x + translation`.
#[derive(Debug, Clone, PartialEq)]
pub struct Similarity {
    /// Applied after the rotation.
    pub scale: f64,
    /// Applied first.
    pub rotation: Rotation3<f64>,
    /// Added last.
    pub translation: Vector3<f64>,
}

impl Similarity {
    /// Applies the map.
    pub fn apply(&self, x: Vector3<f64>) -> Vector3<f64> {
        self.rotation * x * self.scale + self.translation
    }

    /// Applies the inverse map.
    pub fn apply_inverse(&self, y: Vector3<f64>) -> Vector3<f64> {
        self.rotation.inverse_transform_vector(&(y - self.translation)) / self.scale
    }

    /// The camera of points that were given as `(x, -y, z)` of image pixels (a face in an image, y down, is
    /// mirrored; no rotation turns the model into it).
    pub fn image_camera(&self) -> ImageCamera {
        let t = self.translation;
        ImageCamera::new(
            self.scale as f32,
            Rotation3::from_matrix_unchecked(self.rotation.matrix().map(|v| v as f32)),
            [t.x as f32, -t.y as f32, t.z as f32],
        )
    }
}

/// The similarity that maps `source` onto `target` with the least weighted sum of squared distances
/// (Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991).
/// Never a reflection. Without weights all points count alike.
///
/// # Errors
/// `Input` when the counts differ, fewer than three points have weight, or the points coincide or are not finite.
pub fn procrustes(source: &[[f32; 3]], target: &[[f32; 3]], weights: Option<&[f32]>) -> Result<Similarity> {
    check_cloud(source.len(), target.len(), weights)?;
    let at = |points: &[[f32; 3]], i: usize| Vector3::from(points[i].map(f64::from));
    procrustes_by(source.len(), |i| at(source, i), |i| at(target, i), |i| weights.map_or(1.0, |w| f64::from(w[i])))
}

fn check_cloud(points: usize, targets: usize, weights: Option<&[f32]>) -> Result<()> {
    if points != targets {
        return Err(Error::input(format!("{points} points cannot be aligned with {targets}: give one for each")));
    }
    if let Some(w) = weights {
        if w.len() != points {
            return Err(Error::input(format!("{} weights for {points} points: give one for each", w.len())));
        }
        if w.iter().any(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(Error::Input("a weight is negative or not finite: weights are 0 or above".into()));
        }
    }
    Ok(())
}

/// [`procrustes`] of points that are computed as they are asked for.
pub(super) fn procrustes_by(
    n: usize,
    source: impl Fn(usize) -> Vector3<f64>,
    target: impl Fn(usize) -> Vector3<f64>,
    weight: impl Fn(usize) -> f64,
) -> Result<Similarity> {
    let bad = |why: &str| Error::input(format!("the points cannot be aligned: {why}"));
    let total: f64 = (0..n).map(&weight).sum();
    if (0..n).filter(|&i| weight(i) > 0.0).count() < 3 {
        return Err(bad("fewer than three of them count"));
    }
    let centroid = |p: &dyn Fn(usize) -> Vector3<f64>| (0..n).map(|i| p(i) * weight(i)).sum::<Vector3<f64>>() / total;
    let (cs, ct) = (centroid(&source), centroid(&target));
    let (mut covariance, mut variance) = (Matrix3::zeros(), 0.0);
    for i in 0..n {
        let (w, s, t) = (weight(i), source(i) - cs, target(i) - ct);
        covariance += t * s.transpose() * w;
        variance += w * s.norm_squared();
    }
    if !(variance.is_finite() && covariance.iter().all(|v: &f64| v.is_finite())) {
        return Err(bad("one of them is not finite"));
    }
    let svd = covariance.svd(true, true);
    let (Some(u), Some(v_t)) = (svd.u, svd.v_t) else { return Err(bad("the decomposition failed")) };
    if variance <= 0.0 || svd.singular_values.max() <= 0.0 {
        return Err(bad("they all lie in one place"));
    }
    // The singular values come in no particular order here; a reflection is undone along the weakest axis.
    let mut signs = Vector3::repeat(1.0);
    if (u * v_t).determinant() < 0.0 {
        signs[svd.singular_values.imin()] = -1.0;
    }
    let rotation = Rotation3::from_matrix_unchecked(u * Matrix3::from_diagonal(&signs) * v_t);
    let scale = svd.singular_values.dot(&signs) / variance;
    if scale.is_nan() || scale <= 0.0 {
        return Err(bad("they are mirrored or unrelated"));
    }
    Ok(Similarity { scale, translation: ct - rotation * cs * scale, rotation })
}

/// How [`fit_dense`] works. The defaults are HeadGAN's bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct AlignSettings {
    /// Largest deviation of an identity coefficient from its mean, in standard deviations.
    pub identity_bound: f32,
    /// Largest deviation of an expression coefficient from its mean, in standard deviations.
    pub expression_bound: f32,
    /// Most rounds of alignment and coefficients.
    pub iterations: usize,
    /// Stop when no coefficient changes by more than this many standard deviations.
    pub tolerance: f64,
    /// Weigh points down that stay far from the model (Geman-McClure, with the residuals' median as measure).
    pub robust: bool,
}

impl Default for AlignSettings {
    fn default() -> Self {
        AlignSettings { identity_bound: 0.8, expression_bound: 1.5, iterations: 50, tolerance: 1e-5, robust: false }
    }
}

/// What [`fit_dense`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseFit {
    /// From the model's units to the points' space.
    pub similarity: Similarity,
    /// Identity coefficients.
    pub shape: Vec<f32>,
    /// Expression coefficients.
    pub expr: Vec<f32>,
    /// Root of the weighted mean squared distance, in the points' units.
    pub rms: f64,
    /// Rounds made.
    pub iterations: usize,
    /// Final weight of each point: those given, times the robust ones.
    pub weights: Vec<f32>,
}

/// Fits identity, expression and pose of a model to points in space (y up; see [`Similarity::image_camera`] for
/// points of an image).
///
/// `points[i]` is where vertex `vertices[i]` was seen (without `vertices`: vertex `i`). A coefficient stays
/// within its bound times its standard deviation around its mean; both come from the model's regressor
/// statistics, and are 1 and 0 for a model without them (LSFM's coefficients have unit variance).
///
/// # Errors
/// `Input` for points that cannot be aligned or vertices that the model does not have, `Usage` for bounds that
/// are not positive, `Model` for a model whose parts do not fit.
pub fn fit_dense(
    model: &Morphable,
    points: &[[f32; 3]],
    vertices: Option<&[u32]>,
    weights: Option<&[f32]>,
    settings: &AlignSettings,
) -> Result<DenseFit> {
    let (ds, de) = (model.shape_dim, model.expr_dim);
    let d = ds + de;
    let n = points.len();
    check_cloud(vertices.map_or(model.vertex_count(), <[u32]>::len), n, weights)?;
    if model.shape_basis.len() != model.mean.len() * ds || model.expr_basis.len() != model.mean.len() * de {
        return Err(Error::Model("morphable model: a basis does not fit the mean shape: import it again".into()));
    }
    if let Some(v) = vertices.and_then(|v| v.iter().find(|&&v| v as usize >= model.vertex_count())) {
        return Err(Error::input(format!("vertex {v} is not one of the model's {}", model.vertex_count())));
    }
    if !(settings.identity_bound > 0.0 && settings.expression_bound > 0.0) {
        return Err(Error::Usage("the bounds of identity and expression must be above 0".into()));
    }
    if points.as_flattened().iter().any(|v| !v.is_finite()) {
        return Err(Error::Input(
            "a point of the cloud is not finite: leave it out or give it weight 0 and a value".into(),
        ));
    }
    let vertex = |i: usize| vertices.map_or(i, |v| v[i] as usize);
    let point = |i: usize| Vector3::from(points[i].map(f64::from));
    let given = |i: usize| weights.map_or(1.0, |w| f64::from(w[i]));

    // Coefficients are solved for in standard deviations from their means: well conditioned, and the bounds are
    // the same for all.
    let with_stats = model.param_std.len() == 12 + d && model.param_mean.len() == 12 + d;
    let sigma: Vec<f64> = (0..d)
        .map(|k| if with_stats && model.param_std[12 + k] > 0.0 { f64::from(model.param_std[12 + k]) } else { 1.0 })
        .collect();
    let centre: Vec<f64> = (0..d).map(|k| if with_stats { f64::from(model.param_mean[12 + k]) } else { 0.0 }).collect();
    let row = |i: usize, c: usize, k: usize| {
        let r = 3 * vertex(i) + c;
        sigma[k] * f64::from(if k < ds { model.shape_basis[r * ds + k] } else { model.expr_basis[r * de + k - ds] })
    };
    let shape_at = |i: usize, x: &DVector<f64>| {
        Vector3::from_fn(|c, _| {
            let u = f64::from(model.mean[3 * vertex(i) + c]);
            (0..d).fold(u, |sum, k| sum + row(i, c, k) * (x[k] + centre[k] / sigma[k]))
        })
    };
    let shapes_at = |x: &DVector<f64>| -> Vec<Vector3<f64>> { (0..n).map(|i| shape_at(i, x)).collect() };

    // Seven more unknowns, free of bounds, let the solve move, turn and scale the face a little. Without
    // them the alternation would creep wherever a mode resembles a rigid motion.
    let bound = |k: usize| match k {
        k if k < ds => f64::from(settings.identity_bound),
        k if k < d => f64::from(settings.expression_bound),
        _ => f64::INFINITY,
    };
    let upper = DVector::from_fn(d + 7, |k, _| bound(k));
    let lower = -&upper;

    let mut x = DVector::zeros(d);
    let mut robust = vec![1.0f64; n];
    let mut shapes = shapes_at(&x);
    let mut similarity = procrustes_by(n, |i| shapes[i], point, given)?;
    let mut rounds = 0;
    for _ in 0..settings.iterations.max(1) {
        rounds += 1;
        if settings.robust {
            robust_weights(n, |i| (similarity.apply(shapes[i]) - point(i)).norm(), given, &mut robust);
        }
        let size = (shapes.iter().map(|s| s.norm_squared()).sum::<f64>() / n as f64).sqrt().max(f64::MIN_POSITIVE);
        let (h, g) = normal_equations(
            n,
            d,
            |i, out: &mut [f64]| {
                let s = shapes[i];
                let rigid = [
                    [1.0, 0.0, 0.0, 0.0, s.z / size, -s.y / size, s.x / size],
                    [0.0, 1.0, 0.0, -s.z / size, 0.0, s.x / size, s.y / size],
                    [0.0, 0.0, 1.0, s.y / size, -s.x / size, 0.0, s.z / size],
                ];
                for c in 0..3 {
                    let out = &mut out[c * (d + 7)..][..d + 7];
                    for (k, o) in out[..d].iter_mut().enumerate() {
                        *o = row(i, c, k);
                    }
                    for (o, r) in out[d..].iter_mut().zip(rigid[c]) {
                        *o = r * size;
                    }
                }
            },
            |i| similarity.apply_inverse(point(i)) - shapes[i],
            |i| given(i) * robust[i],
        );
        // The equations are in steps from x; the bounds move along.
        let mut shift = DVector::zeros(d + 7);
        shift.rows_mut(0, d).copy_from(&x);
        let step = bounded_quadratic(&h, &g, &(&lower - &shift), &(&upper - &shift));
        for k in 0..d {
            x[k] = (x[k] + step[k]).clamp(-bound(k), bound(k));
        }
        shapes = shapes_at(&x);
        similarity = procrustes_by(n, |i| shapes[i], point, |i| given(i) * robust[i])?;
        if step.rows(0, d).amax() <= settings.tolerance {
            break;
        }
    }
    let final_weights: Vec<f64> = (0..n).map(|i| given(i) * robust[i]).collect();
    let total: f64 = final_weights.iter().sum();
    let squares: f64 = (0..n).map(|i| final_weights[i] * (similarity.apply(shapes[i]) - point(i)).norm_squared()).sum();
    let coefficient = |k: usize| (centre[k] + sigma[k] * x[k]) as f32;
    Ok(DenseFit {
        similarity,
        shape: (0..ds).map(coefficient).collect(),
        expr: (ds..d).map(coefficient).collect(),
        rms: (squares / total).sqrt(),
        iterations: rounds,
        weights: final_weights.iter().map(|&w| w as f32).collect(),
    })
}

/// Geman-McClure weights; a residual three times the median counts a quarter.
fn robust_weights(n: usize, residual: impl Fn(usize) -> f64, given: impl Fn(usize) -> f64, out: &mut [f64]) {
    let residuals: Vec<f64> = (0..n).map(residual).collect();
    let mut counted: Vec<f64> = (0..n).filter(|&i| given(i) > 0.0).map(|i| residuals[i]).collect();
    if counted.is_empty() {
        return;
    }
    let middle = counted.len() / 2;
    let (_, &mut median, _) = counted.select_nth_unstable_by(middle, f64::total_cmp);
    let c2 = (3.0 * median).powi(2).max(f64::MIN_POSITIVE);
    for (w, r) in out.iter_mut().zip(&residuals) {
        *w = (c2 / (c2 + r * r)).powi(2);
    }
}

/// `sum w Aᵀ A` and `sum w Aᵀ b` over `n` points; `rows` writes a point's three rows of `d + 7` values.
fn normal_equations(
    n: usize,
    d: usize,
    rows: impl Fn(usize, &mut [f64]),
    residual: impl Fn(usize) -> Vector3<f64>,
    weight: impl Fn(usize) -> f64,
) -> (DMatrix<f64>, DVector<f64>) {
    const CHUNK: usize = 128;
    let m = d + 7;
    let mut h = DMatrix::zeros(m, m);
    let mut g = DVector::zeros(m);
    // Column-major `m x rows`: a row of A is a contiguous column here.
    let mut a_t = DMatrix::zeros(m, 3 * CHUNK);
    let mut b = DVector::zeros(3 * CHUNK);
    for start in (0..n).step_by(CHUNK) {
        let count = CHUNK.min(n - start);
        a_t.fill(0.0);
        b.fill(0.0);
        for (j, columns) in a_t.as_mut_slice().chunks_exact_mut(3 * m).take(count).enumerate() {
            let i = start + j;
            let root = weight(i).sqrt();
            rows(i, columns);
            columns.iter_mut().for_each(|v| *v *= root);
            b.fixed_rows_mut::<3>(3 * j).copy_from(&(residual(i) * root));
        }
        h.gemm(1.0, &a_t, &a_t.transpose(), 1.0);
        g.gemv(1.0, &a_t, &b, 1.0);
    }
    (h, g)
}

/// Minimises `x'Hx / 2 - g'x` subject to `lower <= x <= upper` (which must contain 0), `H` positive
/// semidefinite: an active-set method that starts at 0, steps to the minimum of the free variables, fixes those
/// that meet a bound on the way, and frees the fixed one that pulls inwards most.
fn bounded_quadratic(h: &DMatrix<f64>, g: &DVector<f64>, lower: &DVector<f64>, upper: &DVector<f64>) -> DVector<f64> {
    let m = g.len();
    let mut x = DVector::zeros(m);
    let mut free: Vec<usize> = (0..m).collect();
    // A relative ridge keeps directions that no point sees where they are.
    let ridge = |k: usize| 1e-10 * h[(k, k)] + 1e-14 * h.diagonal().amax() + f64::MIN_POSITIVE;
    let scale: Vec<f64> = (0..m).map(|k| (h[(k, k)] + ridge(k)).sqrt()).collect();
    // The method ends by itself; the limit guards against cycling through rounding.
    for _ in 0..20 * m {
        let gradient = h * &x - g;
        if !free.is_empty() {
            let sub = DMatrix::from_fn(free.len(), free.len(), |r, c| {
                h[(free[r], free[c])] + if r == c { ridge(free[r]) } else { 0.0 }
            });
            let rhs = DVector::from_fn(free.len(), |r, _| -gradient[free[r]]);
            let step = match sub.clone().cholesky() {
                Some(c) => c.solve(&rhs),
                // Rounding made it indefinite: steepest descent per coordinate still goes downhill.
                None => DVector::from_fn(free.len(), |r, _| 0.5 * rhs[r] / (sub[(r, r)] * free.len() as f64)),
            };
            let mut alpha = 1.0f64;
            let mut blocked = None;
            for (r, &k) in free.iter().enumerate() {
                let room = if step[r] > 0.0 { upper[k] - x[k] } else { x[k] - lower[k] };
                if step[r].abs() * alpha > room {
                    alpha = room.max(0.0) / step[r].abs();
                    blocked = Some((r, if step[r] > 0.0 { upper[k] } else { lower[k] }));
                }
            }
            for (r, &k) in free.iter().enumerate() {
                x[k] += alpha * step[r];
            }
            if let Some((r, at)) = blocked {
                x[free[r]] = at;
                free.swap_remove(r);
                continue;
            }
        }
        // Minimal on the free variables: does a fixed one want to come in?
        let gradient = h * &x - g;
        let floor = 1e-9 * (0..m).map(|k| (g[k] / scale[k]).abs()).fold(f64::MIN_POSITIVE, f64::max);
        let inward = (0..m)
            .filter(|k| !free.contains(k))
            .map(|k| {
                let pull = if x[k] <= lower[k] { -gradient[k] } else { gradient[k] };
                (k, pull / scale[k])
            })
            .max_by(|a, b| a.1.total_cmp(&b.1));
        match inward {
            Some((k, pull)) if pull > floor => free.push(k),
            _ => break,
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::testkit::synthetic;
    use crate::morphable::{Euler, PreparedMorphable};
    use crate::testing::Rng;

    fn cloud(model: &Morphable, shape: &[f32], expr: &[f32], s: &Similarity) -> Vec<[f32; 3]> {
        let identity = PreparedMorphable::new(model.clone()).unwrap().identity(shape).unwrap();
        (0..model.vertex_count())
            .map(|i| {
                let v = identity.vertex(i);
                let moved = Vector3::from_fn(|c, _| {
                    let row = (3 * i + c) * model.expr_dim;
                    (0..model.expr_dim)
                        .fold(f64::from(v[c]), |sum, k| sum + f64::from(model.expr_basis[row + k]) * f64::from(expr[k]))
                });
                let p = s.apply(moved);
                [p.x as f32, p.y as f32, p.z as f32]
            })
            .collect()
    }

    fn similarity() -> Similarity {
        let r = Euler { yaw: 25.0, pitch: -10.0, roll: 7.0 }.rotation();
        Similarity {
            scale: 2.5e-3,
            rotation: Rotation3::from_matrix_unchecked(r.matrix().map(f64::from)),
            translation: Vector3::new(120.0, -90.0, 33.0),
        }
    }

    fn coefficients(model: &Morphable, limit: f32, seed: u64) -> (Vec<f32>, Vec<f32>) {
        let mut random = Rng(seed);
        let values: Vec<f32> = (0..model.shape_dim + model.expr_dim)
            .map(|k| model.param_mean[12 + k] + limit * model.param_std[12 + k] * random.signed())
            .collect();
        let (shape, expr) = values.split_at(model.shape_dim);
        (shape.to_vec(), expr.to_vec())
    }

    /// Largest deviation in standard deviations.
    fn error(model: &Morphable, fit: &DenseFit, shape: &[f32], expr: &[f32]) -> f32 {
        let found = fit.shape.iter().chain(&fit.expr);
        found
            .zip(shape.iter().chain(expr))
            .zip(&model.param_std[12..])
            .map(|((a, b), s)| (a - b).abs() / s)
            .fold(0.0, f32::max)
    }

    #[test]
    fn procrustes_recovers_a_similarity() {
        let mut random = Rng(3);
        let source: Vec<[f32; 3]> = (0..50).map(|_| std::array::from_fn(|_| 100.0 * random.signed())).collect();
        let truth = similarity();
        let mut target: Vec<[f32; 3]> = source
            .iter()
            .map(|p| {
                let y = truth.apply(Vector3::from(p.map(f64::from)));
                [y.x as f32, y.y as f32, y.z as f32]
            })
            .collect();
        let found = procrustes(&source, &target, None).unwrap();
        assert!((found.scale / truth.scale - 1.0).abs() < 1e-3);
        assert!(found.rotation.angle_to(&truth.rotation) < 1e-3);
        // A point that is far off does no harm at weight 0.
        target[7] = [1e6, -1e6, 3e5];
        let weights: Vec<f32> = (0..50).map(|i| if i == 7 { 0.0 } else { 1.0 }).collect();
        let found = procrustes(&source, &target, Some(&weights)).unwrap();
        assert!((found.translation - truth.translation).norm() < 1e-2);
        let x = Vector3::new(1.0, 2.0, 3.0);
        assert!((found.apply_inverse(found.apply(x)) - x).norm() < 1e-9);
    }

    #[test]
    fn procrustes_never_mirrors() {
        let mut random = Rng(5);
        let source: Vec<[f32; 3]> = (0..40).map(|_| std::array::from_fn(|_| random.signed())).collect();
        let target: Vec<[f32; 3]> = source.iter().map(|p| [p[0], -p[1], p[2]]).collect();
        if let Ok(found) = procrustes(&source, &target, None) {
            assert!((found.rotation.matrix().determinant() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn impossible_clouds_are_errors() {
        let p = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        assert!(procrustes(&p, &p[..2], None).is_err());
        assert!(procrustes(&p[..2], &p[..2], None).is_err());
        assert!(procrustes(&[[1.0; 3]; 5], &[[2.0; 3]; 5], None).is_err());
        assert!(procrustes(&p, &p, Some(&[1.0, -1.0, 1.0])).is_err());
        assert!(procrustes(&p, &[[f32::NAN; 3]; 3], None).is_err());
        let model = synthetic(12, 4, 3, 1);
        let settings = AlignSettings::default();
        let cloud = vec![[0.0; 3]; model.vertex_count()];
        assert!(matches!(fit_dense(&model, &cloud, None, None, &settings), Err(Error::Input(_))));
        assert!(matches!(fit_dense(&model, &p, Some(&[0, 1, 999_999]), None, &settings), Err(Error::Input(_))));
        let zero = AlignSettings { identity_bound: 0.0, ..settings };
        assert!(matches!(fit_dense(&model, &cloud, None, None, &zero), Err(Error::Usage(_))));
    }

    #[test]
    fn recovers_known_coefficients() {
        let model = synthetic(24, 8, 5, 11);
        for seed in 0..4 {
            let (shape, expr) = coefficients(&model, 0.7, seed);
            let points = cloud(&model, &shape, &expr, &similarity());
            let fit = fit_dense(&model, &points, None, None, &AlignSettings::default()).unwrap();
            assert!(error(&model, &fit, &shape, &expr) < 0.01, "{} rounds, {}", fit.iterations, fit.rms);
            assert!((fit.similarity.scale / 2.5e-3 - 1.0).abs() < 1e-3);
            assert!(fit.rms < 1e-3);
            // every third vertex says enough
            let some: Vec<u32> = (0..model.vertex_count() as u32).step_by(3).collect();
            let seen: Vec<[f32; 3]> = some.iter().map(|&v| points[v as usize]).collect();
            let fit = fit_dense(&model, &seen, Some(&some), None, &AlignSettings::default()).unwrap();
            assert!(error(&model, &fit, &shape, &expr) < 0.02);
        }
    }

    #[test]
    fn bounds_hold() {
        let model = synthetic(24, 8, 5, 12);
        let (shape, expr) = coefficients(&model, 4.0, 1);
        let points = cloud(&model, &shape, &expr, &similarity());
        let fit = fit_dense(&model, &points, None, None, &AlignSettings::default()).unwrap();
        let mut at_bound = 0;
        for (k, v) in fit.shape.iter().chain(&fit.expr).enumerate() {
            let limit = if k < 8 { 0.8 } else { 1.5 };
            let sigmas = ((v - model.param_mean[12 + k]) / model.param_std[12 + k]).abs();
            assert!(sigmas < limit + 1e-3, "{k}: {sigmas}");
            at_bound += usize::from(sigmas > limit - 1e-3);
        }
        assert!(at_bound >= 3, "{at_bound}");
        // Loosened bounds fit better.
        let loose = AlignSettings { identity_bound: 10.0, expression_bound: 10.0, ..AlignSettings::default() };
        let better = fit_dense(&model, &points, None, None, &loose).unwrap();
        assert!(better.rms < 0.1 * fit.rms);
    }

    #[test]
    fn robust_weights_ignore_outliers() {
        let model = synthetic(24, 8, 5, 13);
        let (shape, expr) = coefficients(&model, 0.7, 2);
        let mut points = cloud(&model, &shape, &expr, &similarity());
        let mut random = Rng(9);
        for p in points.iter_mut().step_by(10) {
            for c in p {
                *c += 60.0 * random.signed();
            }
        }
        let plain = fit_dense(&model, &points, None, None, &AlignSettings::default()).unwrap();
        let settings = AlignSettings { robust: true, ..AlignSettings::default() };
        let robust = fit_dense(&model, &points, None, None, &settings).unwrap();
        let (bad, good) = (error(&model, &plain, &shape, &expr), error(&model, &robust, &shape, &expr));
        assert!(good < 0.05 && good < 0.5 * bad, "{good} {bad}");
        assert!(robust.weights.iter().step_by(10).filter(|w| **w < 0.2).count() * 10 > points.len() / 2);
    }

    /// Against exhaustive enumeration of which variables sit at which bound.
    #[test]
    fn bounded_quadratic_is_optimal() {
        let mut random = Rng(21);
        for _ in 0..200 {
            let m = 4;
            let a = DMatrix::from_fn(6, m, |_, _| f64::from(random.signed()));
            let b = DVector::from_fn(6, |_, _| 2.0 * f64::from(random.signed()));
            let (h, g) = (a.transpose() * &a, a.transpose() * &b);
            let upper = DVector::from_fn(m, |_, _| 0.1 + 0.5 * f64::from(random.signed().abs()));
            let lower = DVector::from_fn(m, |_, _| -0.1 - 0.5 * f64::from(random.signed().abs()));
            let x = bounded_quadratic(&h, &g, &lower, &upper);
            let value = |x: &DVector<f64>| 0.5 * x.dot(&(&h * x)) - g.dot(x);
            let mut best = f64::INFINITY;
            for code in 0..3usize.pow(m as u32) {
                let state: Vec<usize> = (0..m).map(|k| code / 3usize.pow(k as u32) % 3).collect();
                let mut y = DVector::from_fn(m, |k, _| [lower[k], upper[k], 0.0][state[k]]);
                let free: Vec<usize> = (0..m).filter(|&k| state[k] == 2).collect();
                let sub = DMatrix::from_fn(free.len(), free.len(), |r, c| h[(free[r], free[c])]);
                let rhs = DVector::from_fn(free.len(), |r, _| g[free[r]] - h.row(free[r]).dot(&y.transpose()));
                if let Some(s) = sub.cholesky() {
                    let s = s.solve(&rhs);
                    free.iter().enumerate().for_each(|(r, &k)| y[k] = s[r]);
                }
                if (0..m).all(|k| y[k] >= lower[k] - 1e-12 && y[k] <= upper[k] + 1e-12) {
                    best = best.min(value(&y));
                }
            }
            assert!((0..m).all(|k| x[k] >= lower[k] && x[k] <= upper[k]));
            assert!(value(&x) <= best + 1e-7, "{} {best}", value(&x));
        }
    }

    /// Upstream's meshes back to the parameters that they were made with.
    #[test]
    fn upstream_meshes_give_their_parameters() {
        let Some(model) = crate::morphable::testkit::upstream_model() else { return };
        let prepared = model.prepare().unwrap();
        let some: Vec<u32> = (0..prepared.model().vertex_count() as u32).step_by(8).collect();
        // Upstream's regressor leaves the bounds now and then.
        let settings = AlignSettings { identity_bound: 5.0, expression_bound: 8.0, ..AlignSettings::default() };
        for f in crate::morphable::testkit::fixtures().into_iter().take(2) {
            // A camera without shear: a similarity is all that the alignment can find.
            let camera = ImageCamera { shear: Matrix3::identity(), ..ImageCamera::from_fit(&f.fit).unwrap() };
            let identity = prepared.identity(&f.fit.params.shape).unwrap();
            let mut mesh = crate::morphable::Mesh::default();
            prepared.mesh_into(&identity, &f.fit.params.expr, &camera, &mut mesh).unwrap();
            let points: Vec<[f32; 3]> = some
                .iter()
                .map(|&v| {
                    let [x, y, z] = mesh.vertices[v as usize];
                    [x, -y, z]
                })
                .collect();
            let start = std::time::Instant::now();
            let fit = fit_dense(prepared.model(), &points, Some(&some), None, &settings).unwrap();
            let found = fit.similarity.image_camera();
            let apart = error(prepared.model(), &fit, &f.fit.params.shape, &f.fit.params.expr);
            eprintln!(
                "{}: {} rounds in {:?}, rms {:.5} px, largest error {apart:.4} deviations",
                f.name,
                fit.iterations,
                start.elapsed(),
                fit.rms
            );
            assert!(fit.rms < 0.02 && found.rotation.angle_to(&camera.rotation) < 2e-3);
            assert!((found.scale / camera.scale - 1.0).abs() < 2e-3);
        }
    }

    #[test]
    fn image_points_give_the_image_camera() {
        let model = synthetic(16, 4, 3, 5);
        let (shape, expr) = coefficients(&model, 0.5, 3);
        let prepared = PreparedMorphable::new(model).unwrap();
        let camera = ImageCamera::new(2e-3, Euler { yaw: 20.0, pitch: 5.0, roll: 3.0 }.rotation(), [130.0, 120.0, 0.0]);
        let mut mesh = crate::morphable::Mesh::default();
        let identity = prepared.identity(&shape).unwrap();
        prepared.mesh_into(&identity, &expr, &camera, &mut mesh).unwrap();
        let points: Vec<[f32; 3]> = mesh.vertices.iter().map(|v| [v[0], -v[1], v[2]]).collect();
        let fit = fit_dense(prepared.model(), &points, None, None, &AlignSettings::default()).unwrap();
        let found = fit.similarity.image_camera();
        assert!((found.scale / camera.scale - 1.0).abs() < 1e-2);
        assert!(found.rotation.angle_to(&camera.rotation) < 1e-2);
        assert!((found.translation[0] - 130.0).abs() < 0.5 && (found.translation[1] - 120.0).abs() < 0.5);
    }
}
