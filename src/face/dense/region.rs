//! The turned square of a picture that a dense network sees, and its pixels.

use crate::face::bgr::encode_srgb;
use crate::frame::{Color, Frame, Rect};

/// A square, turned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Its middle, pixels.
    pub centre: [f32; 2],
    /// Its side, pixels.
    pub side: f32,
    /// Radians, clockwise in the picture.
    pub turn: f32,
}

/// By how much a region is larger than what it is around.
const LARGER: f32 = 1.5;

impl Region {
    /// Around a box, such that the line from one point to another is level.
    pub fn around(rect: &Rect, from: [f32; 2], to: [f32; 2]) -> Region {
        let side = LARGER * rect.width().max(rect.height());
        Region { centre: rect.center(), side, turn: (to[1] - from[1]).atan2(to[0] - from[0]) }
    }

    /// The square that holds a whole picture, middle on middle.
    pub fn letterbox(image: &Frame) -> Region {
        let (w, h) = (image.width as f32, image.height as f32);
        Region { centre: [0.5 * w, 0.5 * h], side: w.max(h), turn: 0.0 }
    }

    /// Whether it is a square that pixels can be taken from.
    pub fn is_sound(&self) -> bool {
        let numbers = [self.centre[0], self.centre[1], self.turn];
        numbers.iter().all(|v| v.is_finite()) && self.side.is_finite() && self.side >= 1.0 && self.side < 1e6
    }

    /// Where a place in it, 0..1 from its upper left corner, lies in the picture.
    pub fn place(&self, at: [f32; 2]) -> [f32; 2] {
        let (sin, cos) = self.turn.sin_cos();
        let [x, y] = at.map(|v| (v - 0.5) * self.side);
        [self.centre[0] + cos * x - sin * y, self.centre[1] + sin * x + cos * y]
    }

    /// Its pixels as `size x size` in planes red, green, blue: `scale` times 0..1 plus `offset`. Pixel `i` is at `i / size`, as
    /// MediaPipe has it. Outside the picture its border goes on, or, with `zeros`, is black.
    pub fn pixels(&self, image: &Frame, size: usize, zeros: bool, (scale, offset): (f32, f32)) -> Vec<f32> {
        let mut planes = vec![0.0; 3 * size * size];
        let (sin, cos) = self.turn.sin_cos();
        let step = self.side / size as f32;
        let [x0, y0] = self.place([0.0, 0.0]);
        let (w, h) = (image.width, image.height);
        let (last_x, last_y) = ((w - 1) as f32, (h - 1) as f32);
        let (red, rest) = planes.split_at_mut(size * size);
        let (green, blue) = rest.split_at_mut(size * size);
        for j in 0..size {
            let (rx, ry) = (x0 - sin * step * j as f32, y0 + cos * step * j as f32);
            for i in 0..size {
                let (x, y) = (rx + cos * step * i as f32, ry + sin * step * i as f32);
                let rgb = if zeros {
                    // Between the outermost pixels and black too. In 32nds of a pixel and whole grey levels, as OpenCV warps: a
                    // detector's box is of many overlapping ones, and small differences decide which.
                    let [x, y] = [x, y].map(|v| (32.0 * v).round() / 32.0);
                    mix(x, y, |px, py| {
                        let inside = px >= 0 && py >= 0 && (px as usize) < w && (py as usize) < h;
                        if inside { sample(image, px as usize, py as usize) } else { [0.0; 3] }
                    })
                    .map(|v| (255.0 * v).round() / 255.0)
                } else {
                    mix(x.clamp(0.0, last_x), y.clamp(0.0, last_y), |px, py| {
                        sample(image, (px as usize).min(w - 1), (py as usize).min(h - 1))
                    })
                };
                let at = j * size + i;
                (red[at], green[at], blue[at]) =
                    (scale * rgb[0] + offset, scale * rgb[1] + offset, scale * rgb[2] + offset);
            }
        }
        planes
    }
}

/// Bilinear.
#[inline(always)]
pub(super) fn mix(x: f32, y: f32, at: impl Fn(isize, isize) -> [f32; 3]) -> [f32; 3] {
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (x - x0, y - y0);
    let (px, py) = (x0 as isize, y0 as isize);
    let (a, b, c, d) = (at(px, py), at(px + 1, py), at(px, py + 1), at(px + 1, py + 1));
    std::array::from_fn(|k| {
        let top = a[k] + (b[k] - a[k]) * fx;
        let low = c[k] + (d[k] - c[k]) * fx;
        top + (low - top) * fy
    })
}

/// A pixel, 0..1 in the transfer function that the networks know.
#[inline(always)]
pub(super) fn sample(image: &Frame, x: usize, y: usize) -> [f32; 3] {
    let at = 4 * (y * image.width + x);
    let rgb: [f32; 3] = std::array::from_fn(|k| image.data[at + k]);
    if image.color == Color::Linear {
        rgb.map(|v| encode_srgb(v).clamp(0.0, 1.0))
    } else {
        rgb.map(|v| v.clamp(0.0, 1.0))
    }
}
