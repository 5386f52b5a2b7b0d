//! Finding the faces of a picture: with BlazeFace, near ones first, else farther ones; or with the project's own finder.

use super::blaze::Detector;
use super::single_look::SingleLook;
use crate::engine::Executor;
use crate::error::Result;
use crate::face::Detection;
use crate::face::detector;
use crate::face::traits::FaceDetector;
use crate::frame::Frame;

/// What finds faces for dense points.
#[derive(Debug)]
pub enum DenseFinder<E> {
    /// BlazeFace of short range, and that of full range for pictures in which it finds nothing. `full` may be missing: then small faces
    /// are not found.
    Blaze {
        /// Up to two metres from a telephone.
        short: Detector<E>,
        /// Farther.
        full: Option<Detector<E>>,
    },
    /// The project's own, which does not see faces of less than a tenth of the picture; and a detector of boxes that does, where there is one.
    Own {
        /// Asked first.
        finder: SingleLook<E>,
        /// Asked where that found no face.
        small: Option<detector::Detector<E>>,
    },
}

impl<E: Executor> DenseFinder<E> {
    /// BlazeFace.
    pub fn new(short: Detector<E>, full: Option<Detector<E>>) -> DenseFinder<E> {
        DenseFinder::Blaze { short, full }
    }

    /// What runs the networks.
    pub fn executors(&self) -> impl Iterator<Item = &E> {
        let all = match self {
            DenseFinder::Blaze { short, full } => [Some(short.executor()), full.as_ref().map(Detector::executor)],
            DenseFinder::Own { finder, small } => {
                [Some(finder.executor()), small.as_ref().map(detector::Detector::executor)]
            }
        };
        all.into_iter().flatten()
    }
}

/// Of BlazeFace's five points the last two are both the middle of the mouth: it does not know its corners.
impl<E: Executor + Sync> FaceDetector for DenseFinder<E> {
    fn find(&self, image: &Frame) -> Result<Vec<Detection>> {
        let (short, full) = match self {
            DenseFinder::Own { finder, .. } => return finder.find(image),
            DenseFinder::Blaze { short, full } => (short, full),
        };
        let mut found = short.find(image)?;
        if let (true, Some(full)) = (found.is_empty(), full) {
            found = full.find(image)?;
        }
        let detection = |f: super::BlazeFace| {
            let [right, left, nose, mouth, ..] = f.points;
            Detection { rect: f.rect, score: f.score, landmarks5: Some([right, left, nose, mouth, mouth]) }
        };
        Ok(found.into_iter().map(detection).collect())
    }

    fn find_slowly(&self, image: &Frame) -> Result<Vec<Detection>> {
        match self {
            DenseFinder::Own { small: Some(small), .. } => small.find(image),
            _ => Ok(Vec::new()),
        }
    }
}
