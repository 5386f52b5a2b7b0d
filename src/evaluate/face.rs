//! How far two fitted faces are from each other.

use crate::Result;
use crate::face::observe::Fitted;
use crate::morphable::retarget::FramePose;
use crate::morphable::{ImageCamera, PreparedMorphable};
use nalgebra::Rotation3;

/// Pose and expression of a fitted face.
///
/// # Errors
/// [`Error::NoFace`](crate::Error::NoFace) for a degenerate fit.
pub fn pose(seen: &Fitted) -> Result<FramePose> {
    FramePose::from_fit(&seen.fit)
}

/// The angle between two heads' rotations, degrees.
pub fn rotation_between(a: &FramePose, b: &FramePose) -> f64 {
    f64::from(a.camera.rotation.angle_to(&b.camera.rotation)).to_degrees()
}

/// The distance between two expressions: the root mean square displacement of the 68 landmarks of the mean face, in its
/// inter-ocular distances (outer corners of the eyes).
///
/// # Errors
/// [`Error::Model`](crate::Error::Model) where the coefficients are not the model's.
pub fn expression_between(model: &PreparedMorphable, a: &[f32], b: &[f32]) -> Result<f64> {
    let shape = vec![0.0; model.model().shape_dim];
    let still = ImageCamera::new(1.0, Rotation3::identity(), [0.0; 3]);
    let at = |expr: &[f32]| model.posed_landmarks(&shape, expr, &still);
    let (rest, a, b) = (at(&vec![0.0; model.model().expr_dim])?, at(a)?, at(b)?);
    let apart = |p: &[f32; 3], q: &[f32; 3]| (0..2).map(|c| f64::from(p[c] - q[c]).powi(2)).sum::<f64>();
    let eyes = apart(&rest[36], &rest[45]).sqrt();
    // Depth is left out: landmarks are moved so that the nearest has none, which an expression changes.
    let moved = a.iter().zip(&b).map(|(p, q)| apart(p, q)).sum::<f64>() / 68.0;
    Ok(moved.sqrt() / eyes.max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::testkit::synthetic;

    #[test]
    fn distances() {
        let model = PreparedMorphable::new(synthetic(8, 3, 2, 5)).unwrap();
        assert_eq!(expression_between(&model, &[0.3, 0.1], &[0.3, 0.1]).unwrap(), 0.0);
        let once = expression_between(&model, &[0.0, 0.0], &[1.0, 0.0]).unwrap();
        let twice = expression_between(&model, &[2.0, 0.0], &[0.0, 0.0]).unwrap();
        assert!(once > 0.0 && (twice / once - 2.0).abs() < 1e-3, "{once} {twice}");
        let turned = |degrees: f32| FramePose {
            camera: ImageCamera::new(1.0, Rotation3::from_euler_angles(0.0, degrees.to_radians(), 0.0), [0.0; 3]),
            expr: vec![],
        };
        assert!((rotation_between(&turned(-5.0), &turned(12.0)) - 17.0).abs() < 1e-3);
    }
}
