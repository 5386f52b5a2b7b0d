//! The morphable model fitted to dense points: of one picture, or of a face's whole shot.

use super::landmarks::{DenseFace, Landmarks};
use super::region::Region;
use crate::engine::Executor;
use crate::error::{Error, Result};
use crate::face::traits::{FaceFitter, PointFit, PointFitter};
use crate::frame::{Frame, Rect};
use crate::morphable::dense::{DenseHead, FrameFit, bridge_hidden, fit_shot, steady_cameras};
use crate::morphable::{Fit, Params};

/// The landmark network and the model that is fitted to its points.
#[derive(Debug)]
pub struct DenseFitter<E> {
    network: Landmarks<E>,
    rough: Option<Landmarks<E>>,
    head: DenseHead,
    knows_regions: bool,
}

impl<E: Executor> DenseFitter<E> {
    /// What finds the points, what finds them roughly and fast (`network` too, where it is missing), and what is fitted to them.
    pub fn new(network: Landmarks<E>, rough: Option<Landmarks<E>>, head: DenseHead) -> DenseFitter<E> {
        DenseFitter { network, rough, head, knows_regions: false }
    }

    /// For a detector whose boxes are around the dense points: then a face that it found is looked at once.
    pub fn with_exact_regions(self) -> DenseFitter<E> {
        DenseFitter { knows_regions: true, ..self }
    }

    /// What is fitted.
    pub fn head(&self) -> &DenseHead {
        &self.head
    }

    /// What runs the networks.
    pub fn executors(&self) -> impl Iterator<Item = &E> {
        [Some(&self.network), self.rough.as_ref()].into_iter().flatten().map(Landmarks::executor)
    }
}

/// The square that a face's parameters refer to.
fn square(face: &DenseFace) -> Rect {
    let bounds = face.bounds();
    let [x, y] = bounds.center();
    let half = (0.75 * bounds.width().max(bounds.height())).max(1.0);
    Rect { x0: x - half, y0: y - half, x1: x + half, y1: y + half }
}

fn to_fit(face: &DenseFace, shape: &[f32], frame: FrameFit) -> Option<PointFit> {
    let roi = square(face);
    let camera = frame.camera.to_fit_camera(&roi).ok()?;
    let fit = Fit { params: Params { camera, shape: shape.to_vec(), expr: frame.expr }, roi };
    Some(PointFit { fit, regions: frame.confidence, error: frame.error })
}

impl<E: Executor + Sync> PointFitter for DenseFitter<E> {
    fn points(&self, image: &Frame, region: &Region) -> Result<DenseFace> {
        self.network.find(image, region)
    }

    fn rough_points(&self, image: &Frame, region: &Region) -> Result<DenseFace> {
        self.rough.as_ref().unwrap_or(&self.network).find(image, region)
    }

    fn knows_regions(&self) -> bool {
        self.knows_regions
    }

    fn place(&self, face: &DenseFace) -> Option<Fit> {
        let roi = square(face);
        let camera = self.head.pose(&face.points)?.to_fit_camera(&roi).ok()?;
        let (shape, expr) = (vec![0.0; self.head.shape_dim()], vec![0.0; self.head.expr_dim()]);
        Some(Fit { params: Params { camera, shape, expr }, roi })
    }

    fn fit_points(&self, frames: &[Option<&DenseFace>]) -> Vec<Option<PointFit>> {
        let points: Vec<_> = frames.iter().map(|f| f.map(|f| &*f.points)).collect();
        let Some(mut shot) = fit_shot(&self.head, &points) else { return frames.iter().map(|_| None).collect() };
        bridge_hidden(&self.head, &mut shot.frames);
        steady_cameras(&self.head, &mut shot.frames);
        let fits = frames.iter().zip(shot.frames);
        fits.map(|(face, frame)| to_fit((*face)?, &shot.shape, frame?)).collect()
    }
}

/// A picture alone: its one face is its whole shot.
impl<E: Executor + Sync> FaceFitter for DenseFitter<E> {
    fn fit(&self, image: &Frame, roi: &Rect) -> Result<Fit> {
        let region = Region { centre: roi.center(), side: roi.width().max(roi.height()), turn: 0.0 };
        // Once more in the region that the points themselves ask for: level, and as large as the network knows faces.
        let face = self.points(image, &region)?;
        let face = self.points(image, &face.region())?;
        let fit = self.fit_points(&[Some(&face)]).pop().flatten();
        fit.map(|f| f.fit)
            .ok_or_else(|| Error::no_face("the points found are not a face's: choose another face or frame"))
    }
}
