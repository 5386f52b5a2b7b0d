//! Pose: the regressor's 3x4 camera, Euler angles, and the camera in image pixels.
//!
//! The regressor's camera `[A | t]` maps the model's units (micrometres) to the 120x120 crop with y up.
//! [`ImageCamera`] says the same in pixels of the image with y down, so that frames whose crops differ
//! can be compared, averaged and exchanged.

use nalgebra::{Matrix3, Rotation3, Vector3};

use super::Fit;
use crate::frame::Rect;
use crate::{Error, Result};

/// Side of the square picture that the regressor sees, in pixels.
pub const CROP_SIZE: f32 = 120.0;

/// Head pose in degrees, in the convention of 3DDFA-V2's `utils/pose.py`:
/// `R = Rz(roll) Ry(-yaw) Rx(pitch)`, right handed, y up, z towards the viewer.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Euler {
    /// To the side.
    pub yaw: f32,
    /// Up and down.
    pub pitch: f32,
    /// Towards a shoulder.
    pub roll: f32,
}

impl Euler {
    /// The angles of a regressed camera (3x4, row major), exactly as upstream reports them: the first two
    /// rows normalised, the third their cross product, and yaw snapped to 90 degrees where the sine
    /// exceeds 0.998. A camera with a vanishing row gives NaN.
    pub fn from_camera(camera: &[f32; 12]) -> Euler {
        let m = camera.map(f64::from);
        let r1 = Vector3::new(m[0], m[1], m[2]).normalize();
        let r2 = Vector3::new(m[4], m[5], m[6]).normalize();
        let r3 = r1.cross(&r2);
        angles(&Matrix3::from_rows(&[r1.transpose(), r2.transpose(), r3.transpose()]), 0.998)
    }

    /// The angles of a rotation. Unlike [`Euler::from_camera`] it snaps only within 0.1 degrees of the
    /// gimbal lock, so that `Euler::from_rotation(r).rotation()` gives `r` back.
    pub fn from_rotation(rotation: &Rotation3<f32>) -> Euler {
        angles(&rotation.matrix().map(f64::from), 0.999_999)
    }

    /// The rotation with these angles.
    pub fn rotation(self) -> Rotation3<f32> {
        let [yaw, pitch, roll] = [self.yaw, self.pitch, self.roll].map(|d| f64::from(d).to_radians());
        to_f32(&Rotation3::from_euler_angles(pitch, -yaw, roll))
    }
}

impl std::ops::Add for Euler {
    type Output = Euler;

    fn add(self, o: Euler) -> Euler {
        Euler { yaw: self.yaw + o.yaw, pitch: self.pitch + o.pitch, roll: self.roll + o.roll }
    }
}

/// Angles of a (nearly) rotation matrix; `snap` is the sine of the yaw above which roll and pitch cannot
/// be told apart and roll is set to zero.
fn angles(r: &Matrix3<f64>, snap: f64) -> Euler {
    let s = r[(2, 0)];
    let (yaw, pitch, roll) = if s > snap {
        (std::f64::consts::FRAC_PI_2, (-r[(0, 1)]).atan2(-r[(0, 2)]), 0.0)
    } else if s < -snap {
        (-std::f64::consts::FRAC_PI_2, r[(0, 1)].atan2(r[(0, 2)]), 0.0)
    } else {
        // cos(yaw) is positive here, so dividing both arguments by it would change nothing.
        (s.asin(), r[(2, 1)].atan2(r[(2, 2)]), r[(1, 0)].atan2(r[(0, 0)]))
    };
    Euler { yaw: yaw.to_degrees() as f32, pitch: pitch.to_degrees() as f32, roll: roll.to_degrees() as f32 }
}

fn to_f32(r: &Rotation3<f64>) -> Rotation3<f32> {
    Rotation3::from_matrix_unchecked(r.matrix().map(|v| v as f32))
}

/// A scaled orthographic camera in pixels of an image.
///
/// A model point `v` appears at `F (scale R S v) + translation` with `F = diag(1, -1, 1)`: the model has y
/// up, the image y down, and keeping the flip outside `R` leaves `R` a proper rotation with the angles that
/// [`Euler`] reports. `S` is close to the identity; it carries what the regressor's free 3x4 matrix has
/// beyond a similarity, so that no information is lost on the way there and back.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageCamera {
    /// Pixels per model unit: the mean length of the camera's first two rows.
    pub scale: f32,
    /// Rotation of the head, y up.
    pub rotation: Rotation3<f32>,
    /// Deviation from a similarity, applied first.
    pub shear: Matrix3<f32>,
    /// Where the model's origin appears: x right, y down, z towards the viewer, in pixels. The depth is
    /// relative: meshes are shifted so that their smallest z is 0.
    pub translation: [f32; 3],
}

impl ImageCamera {
    /// A camera without shear.
    pub fn new(scale: f32, rotation: Rotation3<f32>, translation: [f32; 3]) -> ImageCamera {
        ImageCamera { scale, rotation, shear: Matrix3::identity(), translation }
    }

    /// The camera of a fit, in pixels of the image that its crop was taken from.
    ///
    /// # Errors
    /// `NoFace` when the fit is not finite, its rows vanish or are parallel, or its crop is empty.
    pub fn from_fit(fit: &Fit) -> Result<ImageCamera> {
        Self::from_matrix(&fit_image_matrix(fit))
    }

    /// Splits an affine map from the model to image pixels (3x4, row major, y down).
    ///
    /// # Errors
    /// `NoFace` when the map is not finite or its first two rows vanish or are parallel.
    pub fn from_matrix(matrix: &[f64; 12]) -> Result<ImageCamera> {
        let bad = || Error::NoFace("the fitted camera is degenerate: no face is there, or choose another frame".into());
        if matrix.iter().any(|v| !v.is_finite()) {
            return Err(bad());
        }
        let m = matrix;
        // y up, as in the model
        let a = Matrix3::new(m[0], m[1], m[2], -m[4], -m[5], -m[6], m[8], m[9], m[10]);
        let (n1, n2) = (a.row(0).norm(), a.row(1).norm());
        let scale = 0.5 * (n1 + n2);
        if !(n1 > 1e-12 && n2 > 1e-12) {
            return Err(bad());
        }
        // The orthonormal pair nearest to both rows: it leans neither to the first nor to the second.
        let (r1, r2) = (a.row(0).transpose() / n1, a.row(1).transpose() / n2);
        let (sum, difference) = (r1 + r2, r1 - r2);
        if sum.norm() < 1e-6 || difference.norm() < 1e-6 {
            return Err(bad());
        }
        let (sum, difference) = (sum.normalize(), difference.normalize());
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let (r1, r2) = ((sum + difference) * half, (sum - difference) * half);
        let r = Matrix3::from_rows(&[r1.transpose(), r2.transpose(), r1.cross(&r2).transpose()]);
        let shear = r.transpose() * a / scale;
        Ok(ImageCamera {
            scale: scale as f32,
            rotation: Rotation3::from_matrix_unchecked(r.map(|v| v as f32)),
            shear: shear.map(|v| v as f32),
            translation: [m[3] as f32, m[7] as f32, m[11] as f32],
        })
    }

    /// The affine map from the model to image pixels: 3x4, row major, y down.
    pub fn matrix(&self) -> [f64; 12] {
        let a = self.rotation.matrix().map(f64::from) * self.shear.map(f64::from) * f64::from(self.scale);
        let t = self.translation.map(f64::from);
        [
            a[(0, 0)],
            a[(0, 1)],
            a[(0, 2)],
            t[0],
            -a[(1, 0)],
            -a[(1, 1)],
            -a[(1, 2)],
            t[1],
            a[(2, 0)],
            a[(2, 1)],
            a[(2, 2)],
            t[2],
        ]
    }

    /// The regressor's camera that shows the same in the crop `roi`: the inverse of [`ImageCamera::from_fit`].
    ///
    /// # Errors
    /// `Usage` when the crop is empty or not finite.
    pub fn to_fit_camera(&self, roi: &Rect) -> Result<[f32; 12]> {
        let [kx, ky, kz] = roi_scale(roi);
        if !(kx > 0.0 && ky > 0.0 && kx.is_finite() && ky.is_finite()) {
            return Err(Error::usage(format!("the crop {roi:?} is empty: give one with positive width and height")));
        }
        let m = self.matrix();
        let mut out = [0.0f32; 12];
        for c in 0..3 {
            out[c] = (m[c] / kx) as f32;
            out[4 + c] = (-m[4 + c] / ky) as f32;
            out[8 + c] = (m[8 + c] / kz) as f32;
        }
        out[3] = ((m[3] - f64::from(roi.x0)) / kx + 1.0) as f32;
        out[7] = (f64::from(CROP_SIZE) - (m[7] - f64::from(roi.y0)) / ky) as f32;
        out[11] = (m[11] / kz + 1.0) as f32;
        Ok(out)
    }

    /// Where a point of the model appears: x right, y down, pixels.
    pub fn project(&self, point: [f32; 3]) -> [f32; 2] {
        let m = self.matrix();
        let p = point.map(f64::from);
        std::array::from_fn(|r| (m[4 * r] * p[0] + m[4 * r + 1] * p[1] + m[4 * r + 2] * p[2] + m[4 * r + 3]) as f32)
    }

    /// Head pose in degrees.
    pub fn euler(&self) -> Euler {
        Euler::from_rotation(&self.rotation)
    }

    /// The same camera with degrees added to its pose.
    pub fn turned(&self, add: Euler) -> ImageCamera {
        // Nothing to add must change nothing, not even the last bit.
        if add == Euler::default() {
            return self.clone();
        }
        ImageCamera { rotation: (self.euler() + add).rotation(), ..self.clone() }
    }

    /// The same camera seen in another raster of the image: pixel `(x, y)` there is
    /// `(k x + offset[0], k y + offset[1])` of this one's.
    pub fn mapped(&self, k: f32, offset: [f32; 2]) -> ImageCamera {
        let [x, y, z] = self.translation;
        ImageCamera {
            scale: self.scale * k,
            translation: [k * x + offset[0], k * y + offset[1], k * z],
            ..self.clone()
        }
    }
}

/// Pixels of the image per pixel of the crop: x, y, and their mean for z.
fn roi_scale(roi: &Rect) -> [f64; 3] {
    let size = f64::from(CROP_SIZE);
    let kx = (f64::from(roi.x1) - f64::from(roi.x0)) / size;
    let ky = (f64::from(roi.y1) - f64::from(roi.y0)) / size;
    [kx, ky, 0.5 * (kx + ky)]
}

/// The affine map from the model to pixels of the image (3x4, row major, y down) that a fit defines:
/// the regressor's camera, then `x - 1`, `120 - y`, `z - 1`, then scale and corner of the crop.
pub fn fit_image_matrix(fit: &Fit) -> [f64; 12] {
    let [kx, ky, kz] = roi_scale(&fit.roi);
    let p = fit.params.camera.map(f64::from);
    let (x0, y0) = (f64::from(fit.roi.x0), f64::from(fit.roi.y0));
    [
        kx * p[0],
        kx * p[1],
        kx * p[2],
        kx * (p[3] - 1.0) + x0,
        -ky * p[4],
        -ky * p[5],
        -ky * p[6],
        ky * (f64::from(CROP_SIZE) - p[7]) + y0,
        kz * p[8],
        kz * p[9],
        kz * p[10],
        kz * (p[11] - 1.0),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::morphable::Params;

    fn fit(camera: [f32; 12], roi: Rect) -> Fit {
        Fit { params: Params { camera, shape: vec![], expr: vec![] }, roi }
    }

    fn frontal() -> [f32; 12] {
        [4.4e-4, 0.0, 0.0, 62.0, 0.0, 4.4e-4, 0.0, 70.0, 0.0, 0.0, 4.4e-4, -60.0]
    }

    #[test]
    fn frontal_camera_has_no_angles() {
        assert_eq!(Euler::from_camera(&frontal()), Euler::default());
    }

    #[test]
    fn upstream_snaps_near_profile() {
        let r = Euler { yaw: 88.0, pitch: 5.0, roll: 0.0 }.rotation();
        let mut camera = frontal();
        for row in 0..3 {
            for col in 0..3 {
                camera[4 * row + col] = r[(row, col)] * 5e-4;
            }
        }
        assert_eq!(Euler::from_camera(&camera).yaw, 90.0);
        assert!((Euler::from_rotation(&r).yaw - 88.0).abs() < 0.05);
    }

    #[test]
    fn degenerate_cameras_are_errors() {
        let roi = Rect { x0: 0.0, y0: 0.0, x1: 240.0, y1: 240.0 };
        assert!(matches!(ImageCamera::from_fit(&fit([0.0; 12], roi)), Err(Error::NoFace(_))));
        let mut parallel = frontal();
        parallel[4] = parallel[0];
        parallel[5] = 0.0;
        assert!(ImageCamera::from_fit(&fit(parallel, roi)).is_err());
        let mut nan = frontal();
        nan[3] = f32::NAN;
        assert!(ImageCamera::from_fit(&fit(nan, roi)).is_err());
        let empty = Rect { x0: 5.0, y0: 5.0, x1: 5.0, y1: 5.0 };
        assert!(ImageCamera::from_fit(&fit(frontal(), empty)).is_err());
        let camera = ImageCamera::from_fit(&fit(frontal(), roi)).unwrap();
        assert!(matches!(camera.to_fit_camera(&empty), Err(Error::Usage(_))));
    }

    #[test]
    fn y_down_in_the_image() {
        let roi = Rect { x0: 100.0, y0: 50.0, x1: 340.0, y1: 290.0 };
        let camera = ImageCamera::from_fit(&fit(frontal(), roi)).unwrap();
        // origin: ((62 - 1) * 2 + 100, (120 - 70) * 2 + 50)
        assert_eq!(camera.translation, [222.0, 150.0, -122.0]);
        let m = camera.matrix();
        // a point above the origin in the model lies above it in the image: smaller y
        assert!(m[5] < 0.0);
        assert!((camera.scale - 8.8e-4).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn angles_round_trip(yaw in -85.0f32..85.0, pitch in -80.0f32..80.0, roll in -170.0f32..170.0) {
            let e = Euler { yaw, pitch, roll };
            let back = Euler::from_rotation(&e.rotation());
            prop_assert!((back.yaw - yaw).abs() < 0.02, "{back:?}");
            prop_assert!((back.pitch - pitch).abs() < 0.02, "{back:?}");
            prop_assert!((back.roll - roll).abs() < 0.02, "{back:?}");
        }

        #[test]
        fn camera_round_trips_through_the_image(
            noise in proptest::array::uniform9(-1e-4f32..1e-4),
            yaw in -60.0f32..60.0, pitch in -40.0f32..40.0, roll in -60.0f32..60.0,
            t in proptest::array::uniform3(-80.0f32..120.0),
            x0 in -50.0f32..500.0, y0 in -50.0f32..500.0, side in 40.0f32..900.0, squash in 0.99f32..1.01,
        ) {
            let r = Euler { yaw, pitch, roll }.rotation();
            let mut camera = [0.0; 12];
            for row in 0..3 {
                for col in 0..3 {
                    camera[4 * row + col] = 5e-4 * r[(row, col)] + noise[3 * row + col];
                }
                camera[4 * row + 3] = t[row];
            }
            let roi = Rect { x0, y0, x1: x0 + side, y1: y0 + side * squash };
            let fit = fit(camera, roi);
            let image = ImageCamera::from_fit(&fit).unwrap();
            let r = image.rotation.matrix();
            prop_assert!((r.determinant() - 1.0).abs() < 1e-5);
            prop_assert!((r * r.transpose() - Matrix3::identity()).norm() < 1e-5);
            let direct = fit_image_matrix(&fit);
            for (a, b) in image.matrix().iter().zip(&direct) {
                prop_assert!((a - b).abs() < 1e-8 + 3e-7 * (b.abs() + direct[0].abs()), "{a} {b}");
            }
            let back = image.to_fit_camera(&roi).unwrap();
            for (i, (a, b)) in back.iter().zip(&camera).enumerate() {
                let tolerance = if i % 4 == 3 { 2e-3 } else { 1e-9 };
                prop_assert!((a - b).abs() < tolerance, "{i}: {a} {b}");
            }
        }

        #[test]
        fn turning_adds_degrees(yaw in -30.0f32..30.0, pitch in -30.0f32..30.0, roll in -30.0f32..30.0, add in -20.0f32..20.0) {
            let camera = ImageCamera::new(1e-3, Euler { yaw, pitch, roll }.rotation(), [1.0, 2.0, 3.0]);
            let e = camera.turned(Euler { yaw: add, ..Euler::default() }).euler();
            prop_assert!((e.yaw - yaw - add).abs() < 0.02 && (e.pitch - pitch).abs() < 0.02 && (e.roll - roll).abs() < 0.02);
            prop_assert_eq!(camera.turned(Euler::default()), camera);
        }
    }
}
