//! Dense points of a picture's face, for measuring: found anew in every picture, so that no frame depends on another.

use super::finder::DenseFinder;
use super::landmarks::{DenseFace, Landmarks};
use super::region::Region;
use crate::engine::Executor;
use crate::error::{Error, Result};
use crate::face::Detection;
use crate::face::traits::FaceDetector;
use crate::frame::{Frame, Rect};

/// The detectors and the network of the points.
#[derive(Debug)]
pub struct DenseTracker<E> {
    finder: DenseFinder<E>,
    landmarks: Landmarks<E>,
}

/// A face of which the network is less certain is none.
const LEAST_PRESENCE: f32 = 0.5;

impl<E: Executor + Sync> DenseTracker<E> {
    /// What finds faces, and what finds their points.
    pub fn new(finder: DenseFinder<E>, landmarks: Landmarks<E>) -> DenseTracker<E> {
        DenseTracker { finder, landmarks }
    }

    /// The largest face of a picture; `None` where there is none.
    ///
    /// # Errors
    /// A picture or a network that cannot be used.
    pub fn largest(&self, picture: &Frame) -> Result<Option<DenseFace>> {
        self.largest_of(picture, |_| true)
    }

    /// The largest face whose middle lies in `within`; of a picture with several people the one that is meant.
    ///
    /// # Errors
    /// As [`DenseTracker::largest`].
    pub fn largest_within(&self, picture: &Frame, within: &Rect) -> Result<Option<DenseFace>> {
        self.largest_of(picture, |face| {
            let [x, y] = face.rect.center();
            (within.x0..within.x1).contains(&x) && (within.y0..within.y1).contains(&y)
        })
    }

    fn largest_of(&self, picture: &Frame, meant: impl Fn(&Detection) -> bool) -> Result<Option<DenseFace>> {
        match self.largest_found(picture, self.finder.find(picture)?, &meant)? {
            None => self.largest_found(picture, self.finder.find_slowly(picture)?, &meant),
            face => Ok(face),
        }
    }

    fn largest_found(
        &self,
        picture: &Frame,
        found: Vec<Detection>,
        meant: &impl Fn(&Detection) -> bool,
    ) -> Result<Option<DenseFace>> {
        let area = |face: &Detection| face.rect.width() * face.rect.height();
        let largest = found.into_iter().filter(meant).max_by(|a, b| area(a).total_cmp(&area(b)));
        let Some(Detection { rect, landmarks5: Some([right, left, ..]), .. }) = largest else { return Ok(None) };
        let Some(face) = self.points(picture, &Region::around(&rect, right, left))? else { return Ok(None) };
        // Once more in the region that the points themselves ask for: a detector's box is less exact than they are.
        self.points(picture, &face.region())
    }

    /// `None` for a region that shows no face.
    fn points(&self, picture: &Frame, region: &Region) -> Result<Option<DenseFace>> {
        match self.landmarks.find(picture, region) {
            Ok(face) => Ok(Some(face).filter(|f| f.presence >= LEAST_PRESENCE)),
            Err(Error::NoFace(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }
}
