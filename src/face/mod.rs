//! Finding faces: detectors, face choice, the 62-parameter fit.
//!
//! A frame goes through [`detector`] (boxes), [`roi`] (the square crop) and [`regress`] (the parameters): [`observe`] does this
//! for all faces of a picture, [`choose`] says which one is meant, [`crate::shot`] follows it through a clip. [`identity`] tells
//! people apart, [`report`] is what the command line prints.

pub mod align;
pub mod anchors;
pub mod bgr;
pub mod choose;
pub mod detector;
pub mod identity;
pub mod lids;
pub mod nms;
pub mod observe;
pub mod regress;
pub mod report;
pub mod roi;

#[cfg(test)]
mod parity;
#[cfg(test)]
mod testdata;

/// An axis-aligned box in image coordinates, left, top, right, bottom (pixels, may leave the image).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rect {
    pub x0: f32,
    pub y0: f32,
    pub x1: f32,
    pub y1: f32,
}

impl Rect {
    pub fn width(&self) -> f32 {
        self.x1 - self.x0
    }
    pub fn height(&self) -> f32 {
        self.y1 - self.y0
    }
    pub fn center(&self) -> [f32; 2] {
        [0.5 * (self.x0 + self.x1), 0.5 * (self.y0 + self.y1)]
    }
    /// Intersection over union, 0 for disjoint or empty boxes.
    pub fn iou(&self, other: &Rect) -> f32 {
        let w = self.x1.min(other.x1) - self.x0.max(other.x0);
        let h = self.y1.min(other.y1) - self.y0.max(other.y0);
        if w <= 0.0 || h <= 0.0 {
            return 0.0;
        }
        let union = self.width() * self.height() + other.width() * other.height() - w * h;
        w * h / union
    }
}

/// One face as a detector reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    pub rect: Rect,
    /// Confidence, 0..1.
    pub score: f32,
    /// Left eye, right eye, nose, left and right mouth corner (as seen in the image); RetinaFace only.
    pub landmarks5: Option<[[f32; 2]; 5]>,
}
