//! Where a face is, before anything is known of who it is or what it does.

use super::frames::Observed;
use super::places::STEADY;
use super::{DenseHead, DensePoints};
use crate::morphable::ImageCamera;
use crate::morphable::align::{Similarity, procrustes_by};

impl DenseHead {
    /// Number of the model's expression coefficients.
    pub fn expr_dim(&self) -> usize {
        self.expression(std::iter::empty()).len()
    }

    /// The camera that puts the mean face's steady points on those of a face. `None` where the points are none of a face's.
    pub fn pose(&self, points: &DensePoints) -> Option<ImageCamera> {
        let observed = Observed::new(points)?;
        let (mean, found) = (|i: usize| self.mean[STEADY[i]], |i: usize| observed.points[STEADY[i]]);
        let camera = procrustes_by(STEADY.len(), mean, found, |_| 1.0).ok()?;
        let to_pixels = Similarity {
            scale: camera.scale * self.place.scale / observed.per_pixel,
            rotation: camera.rotation * self.place.rotation,
            translation: camera.apply(self.place.translation) / observed.per_pixel,
        };
        let camera = to_pixels.image_camera();
        let finite = camera.matrix().iter().all(|v| v.is_finite()) && camera.scale > 0.0;
        finite.then_some(camera)
    }
}
