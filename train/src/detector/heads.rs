//! Drawn heads with the box and the landmarks that a detector should give.

use super::picture::{Face, Picture};
use crate::regressor::heads as drawn;
use crate::regressor::sample::Sample;
use headgan::Result;
use headgan::frame::Rect;
use headgan::morphable::{ImageCamera, PreparedMorphable};
use headgan::synthetic::head;

/// Side of the pictures in pixels.
pub const SIDE: usize = 224;
/// How much of the surroundings they hold, in sides of the crop that a regressor sees.
pub const CONTEXT: f64 = 1.7;

/// How far a detector's box reaches beyond the box around the 68 landmarks, in shares of that one's width (left and
/// right) and height (top, bottom): means over what upstream's RetinaFace gives on people
/// (`train/examples/box_convention.rs`).
const BOX_MARGINS: [f32; 4] = [-0.02, 0.335, -0.02, -0.009];

/// An endless row of heads; each follows from seed and number alone.
pub struct SyntheticHeads {
    source: drawn::SyntheticHeads,
    model: PreparedMorphable,
}

impl SyntheticHeads {
    /// # Errors
    /// Those of the head.
    pub fn new(seed: u64) -> Result<SyntheticHeads> {
        Ok(SyntheticHeads {
            source: drawn::SyntheticHeads::with_framing(seed, SIDE, CONTEXT),
            model: PreparedMorphable::new(head())?,
        })
    }

    /// The next head.
    ///
    /// # Errors
    /// Those of the renderer.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Picture> {
        let Sample { picture, camera, shape, expr, .. } = self.source.next()?;
        let points = self.model.posed_landmarks(&shape, &expr, &ImageCamera::from_matrix(&camera)?)?;
        Ok(Picture::new(picture, vec![face_of(&points)]))
    }
}

/// What a detector should say of a face with these landmarks, in pixels whose middles are whole numbers.
pub fn face_of(points: &[[f32; 3]; 68]) -> Face {
    let r = bounding_box(points);
    let [left, top, right, bottom] = BOX_MARGINS;
    let (w, h) = (r.width(), r.height());
    let rect = Rect { x0: r.x0 - left * w, y0: r.y0 - top * h, x1: r.x1 + right * w, y1: r.y1 + bottom * h };
    Face { rect, landmarks: landmarks5(points), required: true }
}

/// The box around landmarks; the picture's left upper corner is at 0, 0.
pub fn bounding_box(points: &[[f32; 3]; 68]) -> Rect {
    let none = Rect { x0: f32::MAX, y0: f32::MAX, x1: f32::MIN, y1: f32::MIN };
    let grow = |r: Rect, p: &[f32; 3]| {
        let [x, y] = [p[0] + 0.5, p[1] + 0.5];
        Rect { x0: r.x0.min(x), y0: r.y0.min(y), x1: r.x1.max(x), y1: r.y1.max(y) }
    };
    points.iter().fold(none, grow)
}

/// Eyes, nose and corners of the mouth of the 68 landmarks; the picture's left upper corner is at 0, 0.
pub fn landmarks5(points: &[[f32; 3]; 68]) -> [[f32; 2]; 5] {
    let mean = |of: std::ops::Range<usize>| {
        let n = of.len() as f32;
        [0, 1].map(|c| points[of.clone()].iter().map(|p| p[c]).sum::<f32>() / n + 0.5)
    };
    [mean(36..42), mean(42..48), mean(30..31), mean(48..49), mean(54..55)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_hold_their_face() {
        let mut heads = SyntheticHeads::new(3).unwrap();
        for _ in 0..3 {
            let picture = heads.next().unwrap();
            let [face] = picture.faces[..] else { panic!("{:?}", picture.faces) };
            let r = face.rect;
            assert!(face.required && r.width() > 50.0 && r.width() < 170.0 && r.height() > r.width(), "{r:?}");
            assert!(r.x0 > 10.0 && r.y0 > 0.0 && r.x1 < 214.0 && r.y1 < 224.0, "{r:?}");
            assert!(face.landmarks.iter().all(|p| (r.x0..r.x1).contains(&p[0]) && (r.y0..r.y1).contains(&p[1])));
            assert!(face.landmarks[0][0] < face.landmarks[1][0] && face.landmarks[0][1] < face.landmarks[3][1]);
        }
    }
}
