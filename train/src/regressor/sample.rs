//! A picture with the parameters of the face in it, and those of a data set's frames.

use super::labels::FitConverter;
use crate::affine::{resample, to_bgr8, transform_camera};
use crate::data::store::StoredClip;
use headgan::face::bgr::Bgr8;
use headgan::face::roi;
use headgan::frame::Rect;
use headgan::morphable::{ImageCamera, PreparedMorphable};
use headgan::{Error, Result};

/// Side of the pictures in pixels.
pub const SIDE: usize = 160;
/// How much of a face's surroundings a picture holds: its side, in sides of the crop that the landmarks give.
pub const CONTEXT: f64 = 1.4;

/// A square picture around a face.
#[derive(Debug, Clone)]
pub struct Sample {
    pub picture: Bgr8,
    /// 3x4, from the head to the picture's pixels, y down ([`ImageCamera::matrix`]).
    pub camera: [f64; 12],
    pub shape: Vec<f32>,
    pub expr: Vec<f32>,
    /// Whether the parameters are the truth. Fits brought onto the head say nothing of the lids.
    pub truth: bool,
}

/// The crop that the landmarks of a head give.
///
/// # Errors
/// [`Error::NoFace`] where they are not finite.
pub fn landmark_crop(model: &PreparedMorphable, shape: &[f32], expr: &[f32], camera: &ImageCamera) -> Result<Rect> {
    let points = model.posed_landmarks(shape, expr, camera)?;
    roi::from_landmarks(&points).ok_or_else(|| Error::NoFace("a face's landmarks are not finite".into()))
}

/// A frame of a prepared clip; `model` is the head, `converter` brings the clip's fits onto it.
///
/// # Errors
/// Those of the clip.
pub fn from_frame(
    clip: &StoredClip,
    frame: usize,
    model: &PreparedMorphable,
    converter: &FitConverter,
) -> Result<Sample> {
    let stored = &clip.frames[frame];
    let (shape, expr) = converter.convert(&stored.shape, &stored.reference.expr)?;
    let camera = &stored.reference.camera;
    let crop = landmark_crop(model, &shape, &expr, camera)?;
    let side = CONTEXT * f64::from(crop.width());
    let [cx, cy] = crop.center().map(f64::from);
    let (k, x0, y0) = (side / SIDE as f64, cx - 0.5 * side, cy - 0.5 * side);
    // From this picture's pixels to the stored one's.
    let to_stored = [k, 0.0, x0 + 0.5 * k - 0.5, 0.0, k, y0 + 0.5 * k - 0.5];
    let picture = resample(&to_bgr8(&clip.picture(frame)?), &to_stored, SIDE);
    let camera = transform_camera(&camera.matrix(), &to_stored);
    Ok(Sample { picture, camera, shape, expr, truth: false })
}
