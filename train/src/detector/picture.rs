//! A picture and the faces in it.

use crate::affine::{Affine, apply, inverse};
use headgan::face::Detection;
use headgan::face::bgr::{self, Bgr8};
use headgan::frame::{Frame, Rect};

/// A face, in a picture's pixels; the left upper corner of the picture is at 0, 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    pub rect: Rect,
    /// In the order of [`Detection::landmarks5`].
    pub landmarks: [[f32; 2]; 5],
    /// Whether it must be found. What is mostly hidden, or what was labelled with little confidence, may be found or
    /// not.
    pub required: bool,
}

impl Face {
    /// A detection that has landmarks; required from this score on.
    pub fn from_detection(detection: &Detection, min_score: f32) -> Option<Face> {
        let landmarks = detection.landmarks5?;
        Some(Face { rect: detection.rect, landmarks, required: detection.score >= min_score })
    }

    /// The side of a square as large as its box, in pixels.
    pub fn size(&self) -> f32 {
        (self.rect.width() * self.rect.height()).max(0.0).sqrt()
    }

    /// The distance of the eyes in pixels.
    pub fn eye_distance(&self) -> f32 {
        let [a, b] = [self.landmarks[0], self.landmarks[1]];
        (a[0] - b[0]).hypot(a[1] - b[1])
    }

    /// Where it is in a picture whose point p shows this one's at `map` of p: turned, scaled evenly, moved, mirrored.
    pub fn transformed(&self, map: &Affine) -> Face {
        let back = inverse(map);
        let point = |p: [f32; 2]| {
            let (x, y) = apply(&back, p.map(f64::from));
            [x as f32, y as f32]
        };
        let [cx, cy] = point(self.rect.center());
        // A head is round: the box of the ellipse in this box, turned, rather than that of the turned box.
        let (a, b) = (f64::from(self.rect.width()), f64::from(self.rect.height()));
        let w = 0.5 * (back[0] * a).hypot(back[1] * b) as f32;
        let h = 0.5 * (back[3] * a).hypot(back[4] * b) as f32;
        let mut landmarks = self.landmarks.map(point);
        if back[0] * back[4] - back[1] * back[3] < 0.0 {
            // Left and right are as seen.
            landmarks.swap(0, 1);
            landmarks.swap(3, 4);
        }
        Face { rect: Rect { x0: cx - w, y0: cy - h, x1: cx + w, y1: cy + h }, landmarks, required: self.required }
    }
}

/// What two boxes have in common; empty boxes have no width or height below 0.
pub fn intersection(a: &Rect, b: &Rect) -> Rect {
    let (x0, y0) = (a.x0.max(b.x0), a.y0.max(b.y0));
    Rect { x0, y0, x1: a.x1.min(b.x1).max(x0), y1: a.y1.min(b.y1).max(y0) }
}

/// The area in pixels; 0 where a side is below 0.
pub fn area(r: &Rect) -> f32 {
    r.width().max(0.0) * r.height().max(0.0)
}

/// A picture with all faces in it, ready to be shown smaller.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Each half as large as the one before.
    levels: Vec<Bgr8>,
    pub faces: Vec<Face>,
}

impl Picture {
    /// Boxes are cut at the picture's border.
    pub fn new(pixels: Bgr8, faces: Vec<Face>) -> Picture {
        let whole = Rect { x0: 0.0, y0: 0.0, x1: pixels.width as f32, y1: pixels.height as f32 };
        let cut = |face: &Face| Face { rect: intersection(&face.rect, &whole), ..*face };
        let faces = faces.iter().map(cut).filter(|f| area(&f.rect) > 0.0).collect();
        let mut levels = vec![pixels];
        while let Some(last) = levels.last().filter(|l| l.width.min(l.height) > 16) {
            let half = bgr::shrink(last, 2);
            levels.push(half);
        }
        Picture { levels, faces }
    }

    /// At its full size.
    pub fn pixels(&self) -> &Bgr8 {
        &self.levels[0]
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [f64; 2] {
        [self.pixels().width as f64, self.pixels().height as f64]
    }

    /// The level for showing so many pixels as one, and how many of the picture's pixels one of its are.
    pub fn level(&self, scale: f64) -> (&Bgr8, f64) {
        let l = (scale.max(1.0).log2() + 0.25).floor() as usize;
        let l = l.min(self.levels.len() - 1);
        (&self.levels[l], (1u64 << l) as f64)
    }
}

/// The picture with boxes and landmarks: green around what must be found, grey around what may be.
pub fn draw_faces(picture: &Bgr8, faces: &[Face]) -> Frame {
    let (w, h) = (picture.width, picture.height);
    let mut frame = Frame::new(w, h);
    for (i, p) in picture.data.as_chunks::<3>().0.iter().enumerate() {
        let [b, g, r] = p.map(|v| f32::from(v) / 255.0);
        frame.set_pixel(i % w, i / w, [r, g, b, 1.0]);
    }
    for face in faces {
        let ink = if face.required { [0.1, 1.0, 0.2, 1.0] } else { [0.6, 0.6, 0.6, 1.0] };
        outline(&mut frame, &face.rect, ink);
        for [x, y] in face.landmarks {
            dot(&mut frame, x, y, [1.0, 0.9, 0.1, 1.0]);
        }
    }
    frame
}

/// Draws a box, one pixel wide.
pub fn outline(frame: &mut Frame, rect: &Rect, ink: [f32; 4]) {
    let steps = (rect.width().max(rect.height()).ceil() as usize).clamp(1, 4096);
    for i in 0..=steps {
        let t = i as f32 / steps as f32;
        let (x, y) = (rect.x0 + t * rect.width(), rect.y0 + t * rect.height());
        for [x, y] in [[x, rect.y0], [x, rect.y1], [rect.x0, y], [rect.x1, y]] {
            dot(frame, x, y, ink);
        }
    }
}

fn dot(frame: &mut Frame, x: f32, y: f32, ink: [f32; 4]) {
    if x >= 0.0 && y >= 0.0 && x < frame.width as f32 && y < frame.height as f32 {
        frame.set_pixel(x as usize, y as usize, ink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn face() -> Face {
        let rect = Rect { x0: 10.0, y0: 20.0, x1: 30.0, y1: 50.0 };
        Face { rect, landmarks: [[15.0, 30.0], [25.0, 31.0], [21.0, 37.0], [16.0, 43.0], [24.0, 44.0]], required: true }
    }

    #[test]
    fn a_mirror_swaps_left_and_right() {
        // A picture 100 pixels wide.
        let turned = face().transformed(&[-1.0, 0.0, 100.0, 0.0, 1.0, 0.0]);
        assert_eq!(turned.rect, Rect { x0: 70.0, y0: 20.0, x1: 90.0, y1: 50.0 });
        assert_eq!(turned.landmarks, [[75.0, 31.0], [85.0, 30.0], [79.0, 37.0], [76.0, 44.0], [84.0, 43.0]]);
        assert_eq!(turned.transformed(&[-1.0, 0.0, 100.0, 0.0, 1.0, 0.0]), face());
    }

    #[test]
    fn a_face_half_as_large_is_half_as_large() {
        let small = face().transformed(&[2.0, 0.0, 0.0, 0.0, 2.0, 0.0]);
        assert_eq!(small.rect, Rect { x0: 5.0, y0: 10.0, x1: 15.0, y1: 25.0 });
        assert_eq!(small.landmarks[2], [10.5, 18.5]);
        // A quarter turn: width becomes height, the nose follows.
        let turned = face().transformed(&[0.0, 1.0, 0.0, -1.0, 0.0, 0.0]);
        assert!((turned.rect.width() - 30.0).abs() < 1e-4 && (turned.rect.height() - 20.0).abs() < 1e-4);
        assert!((turned.landmarks[2][0] + 37.0).abs() < 1e-4 && (turned.landmarks[2][1] - 21.0).abs() < 1e-4);
    }

    #[test]
    fn levels_are_for_what_they_show() {
        let picture = Picture::new(Bgr8 { width: 64, height: 48, data: vec![9; 64 * 48 * 3] }, vec![face()]);
        assert_eq!((picture.level(0.3).1, picture.level(1.0).1, picture.level(2.0).1), (1.0, 1.0, 2.0));
        assert_eq!((picture.level(4.0).0.width, picture.level(1e9).0.width), (16, 16));
        assert_eq!(picture.faces[0].rect.y1, 48.0, "cut at the border");
    }
}
