//! Where a face is, before anything is known of who it is or what it does.

use super::frames::{Observed, image_camera};
use super::places::STEADY;
use super::{DenseHead, DensePoints};
use crate::morphable::ImageCamera;
use crate::morphable::align::procrustes_by;

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
        image_camera(self, &camera, observed.per_pixel)
    }
}
