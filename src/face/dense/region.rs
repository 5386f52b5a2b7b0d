//! The turned square of a picture that a dense network sees, and its pixels.

use crate::face::bgr::encode_srgb;
use crate::frame::{Color, Frame, Rect};
use wide::f32x4;

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
        let (red, rest) = planes.split_at_mut(size * size);
        let (green, blue) = rest.split_at_mut(size * size);
        let (sin, cos) = self.turn.sin_cos();
        let step = self.side / size as f32;
        let [x0, y0] = self.place([0.0, 0.0]);
        for (j, planes) in red.chunks_mut(size).zip(green.chunks_mut(size)).zip(blue.chunks_mut(size)).enumerate() {
            let ((red, green), blue) = planes;
            let start = [x0 - sin * step * j as f32, y0 + cos * step * j as f32];
            Line { image, start, step: [cos * step, sin * step], scale, offset }.pixels(zeros, [red, green, blue]);
        }
        planes
    }
}

/// A row of a region's pixels.
struct Line<'a> {
    image: &'a Frame,
    /// Where the first lies.
    start: [f32; 2],
    /// From one to the next.
    step: [f32; 2],
    scale: f32,
    offset: f32,
}

impl Line<'_> {
    fn pixels(&self, zeros: bool, planes: [&mut [f32]; 3]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has it.
            return unsafe { self.avx2(zeros, planes) };
        }
        self.any(zeros, planes);
    }

    /// The same code with instructions of three operands, which need no copies.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn avx2(&self, zeros: bool, planes: [&mut [f32]; 3]) {
        self.any(zeros, planes);
    }

    #[inline(always)]
    fn any(&self, zeros: bool, planes: [&mut [f32]; 3]) {
        match (self.image.color, zeros) {
            (Color::Linear, _) => self.each(planes, |x, y| linear(self.image, x, y, zeros)),
            (_, false) => self.each(planes, |x, y| inside(self.image, x, y)),
            (_, true) => self.each(planes, |x, y| framed(self.image, x, y)),
        }
    }

    /// Four pixels at a time; of the last four some may lie behind the row's end.
    #[inline(always)]
    fn each(&self, [red, green, blue]: [&mut [f32]; 3], rgb: impl Fn(f32x4, f32x4) -> [f32x4; 3]) {
        let of_lane = f32x4::new([0.0, 1.0, 2.0, 3.0]);
        let rows = red.chunks_mut(4).zip(green.chunks_mut(4)).zip(blue.chunks_mut(4));
        for (i, ((red, green), blue)) in rows.enumerate() {
            let along = f32x4::splat((4 * i) as f32) + of_lane;
            let [x, y] = [0, 1].map(|k| f32x4::splat(self.start[k]) + f32x4::splat(self.step[k]) * along);
            for (to, values) in [red, green, blue].into_iter().zip(rgb(x, y)) {
                let values = (f32x4::splat(self.scale) * values + f32x4::splat(self.offset)).to_array();
                match <&mut [f32; 4]>::try_from(&mut *to) {
                    Ok(to) => *to = values,
                    Err(_) => to.copy_from_slice(&values[..to.len()]),
                }
            }
        }
    }
}

/// The pixel's values, held between 0 and 1. What is not a number stays so.
#[inline(always)]
fn held(v: [f32; 4]) -> f32x4 {
    f32x4::ONE.fast_min(f32x4::ZERO.fast_max(f32x4::new(v)))
}

#[inline(always)]
fn bilinear([a, b, c, d]: [f32x4; 4], fx: f32, fy: f32) -> f32x4 {
    let (fx, fy) = (f32x4::splat(fx), f32x4::splat(fy));
    let top = a + (b - a) * fx;
    let low = c + (d - c) * fx;
    top + (low - top) * fy
}

/// Red, green and blue of four places, the border going on outside.
#[inline(always)]
fn inside(image: &Frame, x: f32x4, y: f32x4) -> [f32x4; 3] {
    let pixels = image.data.as_chunks::<4>().0;
    let (w, last_x, last_y) = (image.width, (image.width - 1) as f32, (image.height - 1) as f32);
    let within = |v: f32x4, last: f32| f32x4::splat(last).fast_min(f32x4::ZERO.fast_max(v));
    let (x, y) = (within(x, last_x), within(y, last_y));
    let (px, py) = (x.fast_trunc_int(), y.fast_trunc_int());
    let (left, top) = (px.round_float(), py.round_float());
    let (fx, fy) = ((x - left).to_array(), (y - top).to_array());
    let next = |v: f32x4, last: f32| f32x4::splat(last).fast_min(v + f32x4::ONE).fast_trunc_int().to_array();
    let (right, below) = (next(left, last_x), next(top, last_y));
    let (px, py) = (px.to_array(), py.to_array());
    let four: [f32x4; 4] = std::array::from_fn(|k| {
        let (top, low) = (py[k] as usize * w, below[k] as usize * w);
        let (left, right) = (px[k] as usize, right[k] as usize);
        let corners = [top + left, top + right, low + left, low + right].map(|i| held(pixels[i]));
        bilinear(corners, fx[k], fy[k])
    });
    let [r, g, b, _] = f32x4::transpose(four);
    [r, g, b]
}

/// The same, between the outermost pixels and black too. In 32nds of a pixel and whole grey levels, as OpenCV warps: a detector's box is
/// of many overlapping ones, and small differences decide which.
#[inline(always)]
fn framed(image: &Frame, x: f32x4, y: f32x4) -> [f32x4; 3] {
    let (w, h) = (image.width, image.height);
    // Halves away from zero. What is not a number stays so.
    let round = |v: f32x4| {
        let size = v.abs();
        let whole = size.trunc_int().round_float();
        let up = whole + ((size - whole).simd_ge(f32x4::HALF) & f32x4::ONE);
        // What is no number stays none.
        #[allow(clippy::eq_op, reason = "NaN minus NaN is NaN, all else 0")]
        let zero = v - v;
        (up | (v & f32x4::splat(-0.0))) + zero
    };
    let floor = |v: f32x4| {
        let whole = v.trunc_int().round_float();
        whole - (whole.simd_gt(v) & f32x4::ONE)
    };
    let [x, y] = [x, y].map(|v| round(f32x4::splat(32.0) * v) * f32x4::splat(1.0 / 32.0));
    let (left, top) = (floor(x), floor(y));
    let (fx, fy) = ((x - left).to_array(), (y - top).to_array());
    let (px, py) = (left.trunc_int().to_array(), top.trunc_int().to_array());
    let pixels = image.data.as_chunks::<4>().0;
    let at = |x: i64, y: i64| {
        let there = (0..w as i64).contains(&x) && (0..h as i64).contains(&y);
        if there { held(pixels[y as usize * w + x as usize]) } else { f32x4::ZERO }
    };
    let four: [f32x4; 4] = std::array::from_fn(|k| {
        let (x, y) = (i64::from(px[k]), i64::from(py[k]));
        bilinear([at(x, y), at(x + 1, y), at(x, y + 1), at(x + 1, y + 1)], fx[k], fy[k])
    });
    let levels = |v: f32x4| round(f32x4::splat(255.0) * v) / f32x4::splat(255.0);
    let [r, g, b, _] = f32x4::transpose(four);
    [r, g, b].map(levels)
}

/// Either, of a picture whose numbers are not those that the networks know.
fn linear(image: &Frame, x: f32x4, y: f32x4, zeros: bool) -> [f32x4; 3] {
    let (x, y) = (x.to_array(), y.to_array());
    let four: [[f32; 3]; 4] = std::array::from_fn(|k| place(image, x[k], y[k], zeros));
    std::array::from_fn(|c| f32x4::new(four.map(|rgb| rgb[c])))
}

/// One place by definition.
fn place(image: &Frame, x: f32, y: f32, zeros: bool) -> [f32; 3] {
    let (w, h) = (image.width, image.height);
    if zeros {
        let [x, y] = [x, y].map(|v| (32.0 * v).round() / 32.0);
        let rgb = mix(x, y, |px, py| {
            let inside = px >= 0 && py >= 0 && (px as usize) < w && (py as usize) < h;
            if inside { sample(image, px as usize, py as usize) } else { [0.0; 3] }
        });
        return rgb.map(|v| (255.0 * v).round() / 255.0);
    }
    mix(x.clamp(0.0, (w - 1) as f32), y.clamp(0.0, (h - 1) as f32), |px, py| {
        sample(image, (px as usize).min(w - 1), (py as usize).min(h - 1))
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    #[test]
    fn four_places_at_a_time_are_those_by_definition() {
        let mut rng = Rng(7);
        for (width, height) in [(1, 1), (2, 3), (37, 23), (64, 48)] {
            let mut image = Frame::from_rgba_f32(width, height, &rng.vec(4 * width * height), Color::Srgb);
            image.data.iter_mut().for_each(|v| *v = 0.5 + 0.7 * *v);
            image.data[4 * (width * height / 2)] = f32::NAN;
            for n in 0..40 {
                let mut number = |from: f32, to: f32| from + 0.5 * (1.0 + rng.signed()) * (to - from);
                let (w, h) = (width as f32, height as f32);
                let mut region = Region {
                    centre: [number(-0.3 * w, 1.3 * w), number(-0.3 * h, 1.3 * h)],
                    side: number(1.0, 2.0 * w.max(h)),
                    turn: number(-3.2, 3.2),
                };
                if n % 4 == 0 {
                    region = Region::letterbox(&image);
                }
                let size = [12, 13, 14, 15][n % 4];
                for color in [Color::Rec709, Color::Linear] {
                    image.color = color;
                    for zeros in [false, true] {
                        let got = region.pixels(&image, size, zeros, (2.0, -1.0));
                        let (sin, cos) = region.turn.sin_cos();
                        let step = region.side / size as f32;
                        let [x0, y0] = region.place([0.0, 0.0]);
                        for (p, (i, j)) in (0..size).flat_map(|j| (0..size).map(move |i| (i, j))).enumerate() {
                            let x = x0 - sin * step * j as f32 + cos * step * i as f32;
                            let y = y0 + cos * step * j as f32 + sin * step * i as f32;
                            for (c, v) in place(&image, x, y, zeros).into_iter().enumerate() {
                                let (want, got) = (2.0 * v - 1.0, got[c * size * size + p]);
                                let same = want == got || want.is_nan() && got.is_nan();
                                assert!(same, "{region:?} {zeros} {color:?} {i} {j} {c}: {got} for {want}");
                            }
                        }
                    }
                }
            }
        }
    }
}
