//! What the analysis of a picture asks of its networks: a detector, a fitter, an embedder, a model. Each can be replaced by a caller's own.

use super::Detection;
use super::dense::{DenseFace, Region};
use super::embedding::FaceEmbedding;
use crate::error::Result;
use crate::frame::{Frame, Rect};
use crate::morphable::dense::DenseRegion;
use crate::morphable::{Fit, PreparedMorphable};

/// What finds faces ([`Detector`](super::detector::Detector)).
pub trait FaceDetector: Sync {
    /// The faces of a picture, best first.
    ///
    /// # Errors
    /// A picture or an engine that cannot be used.
    fn find(&self, image: &Frame) -> Result<Vec<Detection>>;

    /// The same by another, slower way, for a picture in which what [`FaceDetector::find`] found turned out to be no face. None where there
    /// is no such way.
    ///
    /// # Errors
    /// As [`FaceDetector::find`].
    fn find_slowly(&self, _image: &Frame) -> Result<Vec<Detection>> {
        Ok(Vec::new())
    }
}

/// What fits the morphable model ([`Regressor`](super::regress::Regressor)).
pub trait FaceFitter: Sync {
    /// The parameters of the face inside `roi`.
    ///
    /// # Errors
    /// A crop that holds nothing, or an engine that cannot be used.
    fn fit(&self, image: &Frame, roi: &Rect) -> Result<Fit>;
}

/// What finds a face's dense points and fits the morphable model to them ([`DenseFitter`](super::dense::DenseFitter)). Who a
/// face is is known from its whole shot only, so that a shot's frames are fitted together.
pub trait PointFitter: Sync {
    /// The points of the face in a region of a picture.
    ///
    /// # Errors
    /// A region that holds nothing, or an engine that cannot be used.
    fn points(&self, image: &Frame, region: &Region) -> Result<DenseFace>;

    /// Roughly the points of the face in a region: enough to know the region in which the network sees it best.
    ///
    /// # Errors
    /// As [`PointFitter::points`].
    fn rough_points(&self, image: &Frame, region: &Region) -> Result<DenseFace> {
        self.points(image, region)
    }

    /// Whether a detector's box and points are as exact as a rough look, so that none is needed.
    fn knows_regions(&self) -> bool {
        false
    }

    /// Where the model's mean face lies on these points: pose alone. `None` where they are none of a face's.
    fn place(&self, face: &DenseFace) -> Option<Fit>;

    /// The fits of one face's frames: identity once for all, pose and expression for each. `None` where there are no points, or
    /// none of a face's.
    fn fit_points(&self, frames: &[Option<&DenseFace>]) -> Vec<Option<PointFit>>;
}

/// A fit to dense points.
#[derive(Debug, Clone, PartialEq)]
pub struct PointFit {
    /// Pose, identity and expression.
    pub fit: Fit,
    /// How much of each region the fit follows, 0..1: near 0 where something hides it.
    pub regions: [f32; DenseRegion::COUNT],
    /// Mean distance of the points from the model's, in shares of the distance of the outer corners of the eyes.
    pub error: f32,
}

/// What turns parameters into points (the morphable model).
pub trait FaceModel: Sync {
    /// The 68 iBUG landmarks in image coordinates.
    ///
    /// # Errors
    /// Parameters that do not belong to the model.
    fn landmarks68(&self, fit: &Fit) -> Result<[[f32; 3]; 68]>;
}

impl FaceModel for PreparedMorphable {
    fn landmarks68(&self, fit: &Fit) -> Result<[[f32; 3]; 68]> {
        PreparedMorphable::landmarks68(self, fit)
    }
}

/// What tells people apart ([`Embedder`](crate::face::embedder::Embedder)).
pub trait FaceEmbedder: Sync {
    /// The identity of the face with these five landmarks.
    ///
    /// # Errors
    /// Points that span no face, or an engine that cannot be used.
    fn identity(&self, image: &Frame, points: &[[f32; 2]; 5]) -> Result<FaceEmbedding>;
}
