//! Finding the faces of a picture with BlazeFace: near ones first, else farther ones.

use super::blaze::Detector;
use crate::engine::Executor;
use crate::error::Result;
use crate::face::Detection;
use crate::face::traits::FaceDetector;
use crate::frame::Frame;

/// The detector of short range, and that of full range for pictures in which it finds nothing.
#[derive(Debug)]
pub struct DenseFinder<E> {
    short: Detector<E>,
    full: Option<Detector<E>>,
}

impl<E: Executor> DenseFinder<E> {
    /// `full` may be missing: then small faces are not found.
    pub fn new(short: Detector<E>, full: Option<Detector<E>>) -> DenseFinder<E> {
        DenseFinder { short, full }
    }

    /// What runs the networks.
    pub fn executors(&self) -> impl Iterator<Item = &E> {
        [Some(&self.short), self.full.as_ref()].into_iter().flatten().map(Detector::executor)
    }
}

/// Of the five points the last two are both the middle of the mouth: BlazeFace does not know its corners.
impl<E: Executor + Sync> FaceDetector for DenseFinder<E> {
    fn find(&self, image: &Frame) -> Result<Vec<Detection>> {
        let mut found = self.short.find(image)?;
        if let (true, Some(full)) = (found.is_empty(), &self.full) {
            found = full.find(image)?;
        }
        let detection = |f: super::BlazeFace| {
            let [right, left, nose, mouth, ..] = f.points;
            Detection { rect: f.rect, score: f.score, landmarks5: Some([right, left, nose, mouth, mouth]) }
        };
        Ok(found.into_iter().map(detection).collect())
    }
}
