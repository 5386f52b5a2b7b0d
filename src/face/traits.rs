//! What the analysis of a picture asks of its networks: a detector, a fitter, an embedder, a model. Each can be replaced by a caller's own.

use super::Detection;
use super::embedding::FaceEmbedding;
use crate::error::Result;
use crate::frame::{Frame, Rect};
use crate::morphable::{Fit, PreparedMorphable};

/// What finds faces ([`Detector`](super::detector::Detector)).
pub trait FaceDetector: Sync {
    /// The faces of a picture, best first.
    ///
    /// # Errors
    /// A picture or an engine that cannot be used.
    fn find(&self, image: &Frame) -> Result<Vec<Detection>>;
}

/// What fits the morphable model ([`Regressor`](super::regress::Regressor)).
pub trait FaceFitter: Sync {
    /// The parameters of the face inside `roi`.
    ///
    /// # Errors
    /// A crop that holds nothing, or an engine that cannot be used.
    fn fit(&self, image: &Frame, roi: &Rect) -> Result<Fit>;
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
