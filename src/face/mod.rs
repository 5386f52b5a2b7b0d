//! Finding faces: detectors, face choice, the fit's parameters.
//!
//! This module processes a single picture. [`crate::shot`] follows a face through a clip, [`crate::nets`] holds the networks'
//! layers, [`crate::morphable`] the model that is fitted.
//!
//! A frame goes through [`detector`] (boxes), [`roi`] (the square crop) and [`regress`] (the parameters): [`observe`] does this
//! for all faces of a picture, [`choose`] says which one is meant, [`crate::shot`] follows it through a clip. [`embedder`] tells
//! people apart, [`report`] is what the command line prints.

use crate::frame::Rect;
pub mod align;
pub mod anchors;
pub mod bgr;
pub mod choose;
pub mod dense;
pub mod detector;
pub mod embedder;
pub mod embedding;
pub mod lids;
pub mod nms;
pub mod observe;
pub mod regress;
pub mod report;
pub mod roi;
pub mod traits;

#[cfg(test)]
mod parity;
#[cfg(test)]
mod testdata;

/// One face as a detector reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// The box, in pixels of the picture.
    pub rect: Rect,
    /// Confidence, 0..1.
    pub score: f32,
    /// Left eye, right eye, nose, left and right mouth corner (as seen in the image); RetinaFace only.
    pub landmarks5: Option<[[f32; 2]; 5]>,
}
