//! The motion of the head as one rigid piece, and the ellipsoid that stands for the skull and its hair.

use nalgebra::{Matrix2, Matrix3, Matrix4, Vector2, Vector3, Vector4};

/// A similarity of space: `x -> scale * rotation * x + shift`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Similarity {
    pub scale: f32,
    pub rotation: Matrix3<f32>,
    pub shift: Vector3<f32>,
}

impl Similarity {
    /// The similarity that carries `from[i]` nearest to `to[i]` for the listed vertices, by least squares
    /// (S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991).
    /// `None` where the points do not span a volume.
    pub fn fit(from: &[[f32; 3]], to: &[[f32; 3]], vertices: &[u32]) -> Option<Similarity> {
        let n = vertices.len() as f64;
        let at = |m: &[[f32; 3]], v: u32| Vector3::from(m[v as usize].map(f64::from));
        let (mut cf, mut ct) = (Vector3::zeros(), Vector3::zeros());
        for &v in vertices {
            cf += at(from, v);
            ct += at(to, v);
        }
        (cf, ct) = (cf / n, ct / n);
        let (mut cov, mut var) = (Matrix3::zeros(), 0.0);
        for &v in vertices {
            let (f, t) = (at(from, v) - cf, at(to, v) - ct);
            cov += t * f.transpose();
            var += f.norm_squared();
        }
        let svd = (cov / n).svd(true, true);
        let (u, vt) = (svd.u?, svd.v_t?);
        if !(var > 0.0 && svd.singular_values[1] > 1e-9 * svd.singular_values[0]) {
            return None;
        }
        let mut sign = Vector3::new(1.0, 1.0, 1.0);
        if (u * vt).determinant() < 0.0 {
            let least = (0..3).min_by(|&a, &b| svd.singular_values[a].total_cmp(&svd.singular_values[b]))?;
            sign[least] = -1.0;
        }
        let rotation = u * Matrix3::from_diagonal(&sign) * vt;
        let scale = svd.singular_values.component_mul(&sign).sum() / (var / n);
        let shift = ct - scale * rotation * cf;
        let ok = scale.is_finite() && scale > 0.0 && shift.iter().all(|v| v.is_finite());
        ok.then(|| Similarity { scale: scale as f32, rotation: rotation.cast(), shift: shift.cast() })
    }

    pub fn apply(&self, p: Vector3<f32>) -> Vector3<f32> {
        self.scale * (self.rotation * p) + self.shift
    }

    /// The rotation in the picture plane that comes nearest to this rotation, as cosine and sine.
    fn roll(&self) -> (f32, f32) {
        let r = &self.rotation;
        let (c, s) = (r[(0, 0)] + r[(1, 1)], r[(1, 0)] - r[(0, 1)]);
        let n = (c * c + s * s).sqrt();
        if n > 1e-6 { (c / n, s / n) } else { (1.0, 0.0) }
    }
}

/// Affine map from model coordinates (the normalised coordinate code) to a mesh.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine {
    pub linear: Matrix3<f32>,
    pub shift: Vector3<f32>,
}

impl Affine {
    /// Least squares over all vertices; `None` for a mesh without volume.
    pub fn fit(ncc: &[[f32; 3]], mesh: &[[f32; 3]]) -> Option<Affine> {
        let (mut ata, mut atb) = (Matrix4::<f64>::zeros(), [Vector4::<f64>::zeros(); 3]);
        for (n, m) in ncc.iter().zip(mesh) {
            let row = Vector4::new(n[0].into(), n[1].into(), n[2].into(), 1.0);
            ata += row * row.transpose();
            for k in 0..3 {
                atb[k] += row * f64::from(m[k]);
            }
        }
        let inv = ata.try_inverse()?;
        let x = atb.map(|b| inv * b);
        let linear = Matrix3::from_fn(|r, c| x[r][c] as f32);
        let shift = Vector3::from_fn(|r, _| x[r][3] as f32);
        (linear.iter().chain(shift.iter()).all(|v| v.is_finite())).then_some(Affine { linear, shift })
    }
}

/// Centre and half axes of the skull with an average head of hair, in model coordinates relative to the symmetry
/// plane. From the mean face's size in millimetres (155 x 179 x 120): centre 40 mm above the nose tip's height and at
/// the depth of the ears, half axes 92, 112 and 100 mm.
const CENTRE_Y: f32 = 0.727;
const CENTRE_Z: f32 = 0.063;
const HALF_AXES: [f32; 3] = [0.595, 0.62, 0.83];

/// The picture of the head's ellipsoid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hull {
    pub centre: Vector2<f32>,
    /// Inverse of the ellipse's matrix: `(p - c)^T inverse (p - c) = 1` on the outline.
    inverse: Matrix2<f32>,
    /// Geometric mean of the outline's half axes, pixels.
    pub radius: f32,
    /// One unit of the model's height, upwards, in the picture.
    up: Vector2<f32>,
}

impl Hull {
    /// The hull under `model` (model coordinates to picture); `None` where it has no area.
    pub fn new(model: &Affine, symmetry_x: f32) -> Option<Hull> {
        let centre = model.linear * Vector3::new(symmetry_x, CENTRE_Y, CENTRE_Z) + model.shift;
        let m = model.linear * Matrix3::from_diagonal(&Vector3::from(HALF_AXES));
        let m = m.fixed_view::<2, 3>(0, 0).into_owned();
        let q = m * m.transpose();
        let inverse = q.try_inverse()?;
        let radius = q.determinant().max(0.0).powf(0.25);
        let up = Vector2::new(model.linear[(0, 1)], model.linear[(1, 1)]);
        (radius.is_finite() && radius > 0.0).then_some(Hull { centre: centre.xy(), inverse, radius, up })
    }

    /// Distance from the centre, 1 on the outline.
    #[inline]
    pub fn rho(&self, p: Vector2<f32>) -> f32 {
        let d = p - self.centre;
        (d.dot(&(self.inverse * d))).max(0.0).sqrt()
    }

    /// Height above the centre in units of the face's height.
    #[inline]
    pub fn height(&self, p: Vector2<f32>) -> f32 {
        (p - self.centre).dot(&self.up) / self.up.norm_squared().max(0.25 * self.radius * self.radius)
    }
}

/// The head's motion from the target picture back to the reference picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadMotion {
    /// Reference mesh to target mesh.
    pub forward: Similarity,
    pub target_hull: Hull,
    /// Picture-plane similarity that carries the target's hull centre to the reference's: linear part and shift.
    pub linear: Matrix2<f32>,
    pub shift: Vector2<f32>,
}

impl HeadMotion {
    /// The motion given by a fitted similarity; `None` where the hull degenerates.
    pub fn new(forward: Similarity, model: &Affine, reference: &Hull, symmetry_x: f32) -> Option<HeadMotion> {
        let target =
            Affine { linear: forward.scale * forward.rotation * model.linear, shift: forward.apply(model.shift) };
        let target_hull = Hull::new(&target, symmetry_x)?;
        let (c, s) = forward.roll();
        let linear = Matrix2::new(c, s, -s, c) / forward.scale;
        let shift = reference.centre - linear * target_hull.centre;
        Some(HeadMotion { forward, target_hull, linear, shift })
    }

    /// Displacement of hair and skull at target point `p`: where its colour comes from, minus `p`.
    #[inline]
    pub fn displacement(&self, p: Vector2<f32>) -> Vector2<f32> {
        self.linear * p + self.shift - p
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Rotation3;

    #[test]
    fn similarity_is_recovered() {
        let from: Vec<[f32; 3]> = (0..60)
            .map(|i| {
                let t = i as f32;
                [(t * 0.7).sin() * 40.0 + 100.0, (t * 1.3).cos() * 50.0 + 90.0, (t * 0.31).sin() * 30.0]
            })
            .collect();
        let want = Similarity {
            scale: 1.2,
            rotation: Rotation3::from_euler_angles(0.2, -0.4, 0.3).into_inner(),
            shift: Vector3::new(12.0, -7.0, 3.0),
        };
        let to: Vec<[f32; 3]> = from.iter().map(|&p| want.apply(Vector3::from(p)).into()).collect();
        let all: Vec<u32> = (0..60).collect();
        let got = Similarity::fit(&from, &to, &all).unwrap();
        assert!((got.scale - want.scale).abs() < 1e-5);
        assert!((got.rotation - want.rotation).norm() < 1e-5);
        assert!((got.shift - want.shift).norm() < 1e-3);
        assert!(Similarity::fit(&vec![[1.0; 3]; 60], &to, &all).is_none());
    }
}
