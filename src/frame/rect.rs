//! Axis-aligned boxes in image coordinates.

/// An axis-aligned box in image coordinates, left, top, right, bottom (pixels, may leave the image).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x0: f32,
    /// Upper edge.
    pub y0: f32,
    /// Right edge.
    pub x1: f32,
    /// Lower edge.
    pub y1: f32,
}

impl Rect {
    /// In pixels.
    pub fn width(&self) -> f32 {
        self.x1 - self.x0
    }
    /// In pixels.
    pub fn height(&self) -> f32 {
        self.y1 - self.y0
    }
    /// The middle: x, y.
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
