//! Resize, crop, turn and warp. All separable work goes through one routine: an axis-aligned window of
//! the source, in float coordinates, is resampled to a whole number of pixels; outside the picture the
//! border pixel is repeated.
//!
//! Windows are given in *edge* coordinates, as slices are: pixel `i` covers `[i, i + 1)`, and the window
//! `x0 = 0, width = w` resampled to `w` columns is the identity. With pixel centres at integers (the
//! convention of points elsewhere) output column `j` of `n` is centred at
//! `x0 + (j + 0.5) * width / n - 0.5`.

use super::Frame;
use rayon::prelude::*;

/// How pixels between the pixels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// The nearest pixel.
    Nearest,
    /// Two by two pixels, whatever the scale (what `cv2.INTER_LINEAR` does): aliases when it shrinks.
    Bilinear,
    /// The mean over each output pixel's footprint when it shrinks, bilinear when it enlarges.
    #[default]
    Area,
    /// Lanczos with three lobes, widened when it shrinks: the sharpest. May over- and undershoot.
    Lanczos3,
}

/// A quarter turn, clockwise as seen on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// 90 degrees clockwise.
    Right,
    /// 180 degrees.
    Half,
    /// 90 degrees counter-clockwise.
    Left,
}

/// A window of a picture in edge coordinates (see the module's text). It may reach outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Left edge.
    pub x0: f64,
    /// Upper edge.
    pub y0: f64,
    /// Width in source pixels, above 0.
    pub width: f64,
    /// Height in source pixels, above 0.
    pub height: f64,
}

impl Window {
    /// The square with this upper left corner and side.
    pub fn square(x0: f64, y0: f64, side: f64) -> Window {
        Window { x0, y0, width: side, height: side }
    }
}

/// The weights of one axis: output `j` is the sum of `weights[j * taps ..][..taps]` over the source
/// pixels from `first[j]` on.
struct Axis {
    first: Vec<usize>,
    taps: usize,
    weights: Vec<f32>,
}

impl Axis {
    fn new(source: usize, start: f64, extent: f64, out: usize, filter: Filter) -> Axis {
        let scale = extent / out as f64;
        let last = source as i64 - 1;
        let mut lists: Vec<(usize, Vec<f32>)> = Vec::with_capacity(out);
        let mut taps = 1;
        for j in 0..out {
            let centre = start + (j as f64 + 0.5) * scale - 0.5;
            // (first tap, weights) before the clamp to the border
            let (lo, w): (i64, Vec<f64>) = match filter {
                Filter::Nearest => ((centre + 0.5).floor() as i64, vec![1.0]),
                Filter::Area if scale > 1.0 => {
                    let (a, b) = (start + j as f64 * scale, start + (j + 1) as f64 * scale);
                    let lo = a.floor() as i64;
                    let hi = ((b - 1e-9).floor() as i64).max(lo);
                    (lo, (lo..=hi).map(|i| (b.min((i + 1) as f64) - a.max(i as f64)).max(0.0)).collect())
                }
                Filter::Bilinear | Filter::Area => {
                    let lo = centre.floor();
                    (lo as i64, vec![1.0 - (centre - lo), centre - lo])
                }
                Filter::Lanczos3 => {
                    let stretch = scale.max(1.0);
                    let lo = (centre - 3.0 * stretch).ceil() as i64;
                    let hi = ((centre + 3.0 * stretch).floor() as i64).max(lo);
                    (lo, (lo..=hi).map(|i| lanczos3((i as f64 - centre) / stretch)).collect())
                }
            };
            let sum: f64 = w.iter().sum();
            let first = lo.clamp(0, last) as usize;
            let mut folded = vec![0.0f32; ((lo + w.len() as i64 - 1).clamp(0, last) as usize) - first + 1];
            for (i, v) in w.iter().enumerate() {
                let at = (lo + i as i64).clamp(0, last) as usize;
                folded[at - first] += (v / sum) as f32;
            }
            taps = taps.max(folded.len());
            lists.push((first, folded));
        }
        // Equal counts for all outputs make the pixel loops plain; the tail is filled with zero weights
        // on pixels that exist.
        let taps = taps.min(source);
        let mut axis = Axis { first: Vec::with_capacity(out), taps, weights: vec![0.0; taps * out] };
        for (j, (first, list)) in lists.into_iter().enumerate() {
            let shifted = first.min(source - taps);
            for (i, v) in list.into_iter().enumerate() {
                axis.weights[j * taps + (first - shifted) + i] = v;
            }
            axis.first.push(shifted);
        }
        axis
    }

    fn of(&self, j: usize) -> (usize, &[f32]) {
        (self.first[j], &self.weights[j * self.taps..(j + 1) * self.taps])
    }
}

fn lanczos3(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    if x.abs() >= 3.0 {
        return 0.0;
    }
    let p = std::f64::consts::PI * x;
    3.0 * p.sin() * (p / 3.0).sin() / (p * p)
}

impl Frame {
    /// The window resampled to `width` x `height` pixels; outside the picture the border is repeated.
    /// Partly transparent pictures are filtered premultiplied, so that hidden colours do not bleed.
    /// Where the window falls on whole pixels at scale 1, pixels are copied bit by bit.
    pub fn crop(&self, window: Window, width: usize, height: usize, filter: Filter) -> Frame {
        let Window { x0, y0, width: ww, height: wh } = window;
        let aligned = ww == width as f64 && wh == height as f64 && x0.fract() == 0.0 && y0.fract() == 0.0;
        if aligned && x0.abs() < 1e9 && y0.abs() < 1e9 {
            return self.copy_window(x0 as i64, y0 as i64, width, height);
        }
        let across = Axis::new(self.width, x0, ww, width, filter);
        let down = Axis::new(self.height, y0, wh, height, filter);
        let opaque = self.is_opaque();
        let mut out = Frame { width, height, data: vec![0.0; 4 * width * height], color: self.color };

        // Rows that the vertical pass will ask for.
        let top = down.first.iter().copied().min().unwrap_or(0);
        let bottom = down.first.iter().map(|f| f + down.taps).max().unwrap_or(1);
        let mut rows = vec![0.0f32; 4 * width * (bottom - top)];
        rows.par_chunks_mut(4 * width).enumerate().for_each(|(i, row)| {
            let from = &self.data[4 * self.width * (top + i)..][..4 * self.width];
            if opaque {
                across_row::<true>(&across, from, row);
            } else {
                across_row::<false>(&across, from, row);
            }
        });
        out.data.par_chunks_mut(4 * width).enumerate().for_each(|(j, to)| {
            let (first, weights) = down.of(j);
            for (i, &w) in weights.iter().enumerate() {
                if w == 0.0 {
                    continue;
                }
                let from = &rows[4 * width * (first + i - top)..][..4 * width];
                for (to, from) in to.iter_mut().zip(from) {
                    *to += w * from;
                }
            }
            for p in to.chunks_exact_mut(4) {
                if opaque {
                    p[3] = 1.0;
                } else if p[3] > 0.0 {
                    let inverse = 1.0 / p[3];
                    for v in &mut p[..3] {
                        *v *= inverse;
                    }
                    // Lanczos overshoots; coverage above 1 has no meaning.
                    p[3] = p[3].min(1.0);
                } else {
                    p.fill(0.0);
                }
            }
        });
        out
    }

    /// The whole picture at another size.
    pub fn resize(&self, width: usize, height: usize, filter: Filter) -> Frame {
        let window = Window { x0: 0.0, y0: 0.0, width: self.width as f64, height: self.height as f64 };
        self.crop(window, width, height, filter)
    }

    /// The whole-pixel window from (`x0`, `y0`), borders repeated; pixels are copied bit by bit.
    pub fn copy_window(&self, x0: i64, y0: i64, width: usize, height: usize) -> Frame {
        let mut out = Frame { width, height, data: vec![0.0; 4 * width * height], color: self.color };
        let (w, h) = (self.width as i64, self.height as i64);
        out.data.par_chunks_mut((4 * width).max(1)).enumerate().for_each(|(j, to)| {
            let y = (y0 + j as i64).clamp(0, h - 1) as usize;
            let from = &self.data[4 * self.width * y..][..4 * self.width];
            for (i, p) in to.chunks_exact_mut(4).enumerate() {
                let x = (x0 + i as i64).clamp(0, w - 1) as usize;
                p.copy_from_slice(&from[4 * x..4 * x + 4]);
            }
        });
        out
    }

    /// The picture turned.
    pub fn turn(&self, turn: Turn) -> Frame {
        let (w, h) = (self.width, self.height);
        let (ow, oh) = if turn == Turn::Half { (w, h) } else { (h, w) };
        let mut out = Frame { width: ow, height: oh, data: vec![0.0; self.data.len()], color: self.color };
        out.data.par_chunks_mut((4 * ow).max(1)).enumerate().for_each(|(y, row)| {
            for (x, p) in row.chunks_exact_mut(4).enumerate() {
                let (sx, sy) = match turn {
                    Turn::Right => (y, h - 1 - x),
                    Turn::Half => (w - 1 - x, h - 1 - y),
                    Turn::Left => (w - 1 - y, x),
                };
                p.copy_from_slice(&self.data[4 * (sy * w + sx)..][..4]);
            }
        });
        out
    }

    /// The colour at (`x`, `y`), pixel centres at integers, bilinear, coordinates clamped to the border.
    /// The four channels are interpolated as they are stored.
    #[inline]
    pub fn sample(&self, x: f32, y: f32) -> [f32; 4] {
        // `max` before `min` sends NaN to 0.
        let x = x.max(0.0).min((self.width - 1) as f32);
        let y = y.max(0.0).min((self.height - 1) as f32);
        let (xi, yi) = (x as usize, y as usize);
        let (fx, fy) = (x - xi as f32, y - yi as f32);
        let right = if xi + 1 < self.width { 4 } else { 0 };
        let below = if yi + 1 < self.height { 4 * self.width } else { 0 };
        let i = 4 * (yi * self.width + xi);
        let d = &self.data;
        let mut out = [0.0; 4];
        for (c, o) in out.iter_mut().enumerate() {
            let a = d[i + c];
            let b = d[i + right + c];
            let e = d[i + below + c];
            let f = d[i + below + right + c];
            let upper = a + (b - a) * fx;
            let lower = e + (f - e) * fx;
            *o = upper + (lower - upper) * fy;
        }
        out
    }

    /// A picture whose pixel (`x`, `y`) shows this one's [`Frame::sample`] at `from(x, y)`.
    pub fn warp(&self, width: usize, height: usize, from: impl Fn(usize, usize) -> (f32, f32) + Sync) -> Frame {
        let mut out = Frame { width, height, data: vec![0.0; 4 * width * height], color: self.color };
        out.data.par_chunks_mut((4 * width).max(1)).enumerate().for_each(|(y, row)| {
            for (x, p) in row.chunks_exact_mut(4).enumerate() {
                let (sx, sy) = from(x, y);
                p.copy_from_slice(&self.sample(sx, sy));
            }
        });
        out
    }
}

/// One row through the horizontal weights; partly transparent pixels are premultiplied on the way.
fn across_row<const OPAQUE: bool>(axis: &Axis, from: &[f32], to: &mut [f32]) {
    for (j, p) in to.chunks_exact_mut(4).enumerate() {
        let (first, weights) = axis.of(j);
        let mut sum = [0.0f32; 4];
        for (q, &w) in from[4 * first..].chunks_exact(4).zip(weights) {
            if OPAQUE {
                for (s, v) in sum.iter_mut().zip(q) {
                    *s += w * v;
                }
            } else {
                let wa = w * q[3];
                for c in 0..3 {
                    sum[c] += wa * q[c];
                }
                sum[3] += wa;
            }
        }
        p.copy_from_slice(&sum);
    }
}

/// A single-channel plane (a mask, a depth) through the same window arithmetic; `plane` is
/// `width * height` values. Panics on another length.
pub fn crop_plane(
    plane: &[f32],
    (width, height): (usize, usize),
    window: Window,
    (out_width, out_height): (usize, usize),
    filter: Filter,
) -> Vec<f32> {
    assert_eq!(plane.len(), width * height, "one value a pixel is needed");
    let across = Axis::new(width, window.x0, window.width, out_width, filter);
    let down = Axis::new(height, window.y0, window.height, out_height, filter);
    let top = down.first.iter().copied().min().unwrap_or(0);
    let bottom = down.first.iter().map(|f| f + down.taps).max().unwrap_or(1);
    let mut rows = vec![0.0f32; out_width * (bottom - top)];
    rows.par_chunks_mut(out_width.max(1)).enumerate().for_each(|(i, row)| {
        let from = &plane[width * (top + i)..][..width];
        for (j, p) in row.iter_mut().enumerate() {
            let (first, weights) = across.of(j);
            *p = from[first..].iter().zip(weights).map(|(v, w)| v * w).sum();
        }
    });
    let mut out = vec![0.0f32; out_width * out_height];
    out.par_chunks_mut(out_width.max(1)).enumerate().for_each(|(j, to)| {
        let (first, weights) = down.of(j);
        for (i, &w) in weights.iter().enumerate() {
            for (to, from) in to.iter_mut().zip(&rows[out_width * (first + i - top)..][..out_width]) {
                *to += w * from;
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Color;

    fn ramp(w: usize, h: usize) -> Frame {
        let mut f = Frame::new(w, h);
        for y in 0..h {
            for x in 0..w {
                f.set_pixel(x, y, [x as f32, y as f32, (x * y) as f32, 1.0]);
            }
        }
        f
    }

    #[test]
    fn identity_is_bit_exact() {
        let f = ramp(7, 5);
        for filter in [Filter::Nearest, Filter::Bilinear, Filter::Area, Filter::Lanczos3] {
            assert_eq!(f.resize(7, 5, filter), f);
        }
        assert_eq!(f.warp(7, 5, |x, y| (x as f32, y as f32)), f);
    }

    #[test]
    fn crop_matches_its_formula() {
        let f = ramp(20, 20);
        let (x0, y0, side, n) = (3.3, 4.7, 9.0, 6usize);
        let c = f.crop(Window::square(x0, y0, side), n, n, Filter::Bilinear);
        for j in 0..n {
            for i in 0..n {
                let x = x0 + (i as f64 + 0.5) * side / n as f64 - 0.5;
                let y = y0 + (j as f64 + 0.5) * side / n as f64 - 0.5;
                let p = c.pixel(i, j);
                assert!((f64::from(p[0]) - x).abs() < 1e-4 && (f64::from(p[1]) - y).abs() < 1e-4);
                let s = f.sample(x as f32, y as f32);
                assert!((s[2] - p[2]).abs() < 2e-3);
            }
        }
    }

    #[test]
    fn borders_repeat() {
        let f = ramp(4, 4);
        let c = f.crop(Window::square(-10.0, -10.0, 5.0), 5, 5, Filter::Area);
        assert!(c.data.chunks(4).all(|p| p == f.pixel(0, 0)));
        let c = f.crop(Window::square(100.5, -3.25, 2.0), 3, 3, Filter::Lanczos3);
        assert!(c.data.chunks(4).all(|p| (p[0] - 3.0).abs() < 1e-5 && p[1].abs() < 1e-5));
        assert_eq!(f.sample(f32::NAN, -5.0), f.pixel(0, 0));
        assert_eq!(f.sample(99.0, 99.0), f.pixel(3, 3));
    }

    #[test]
    fn area_is_the_mean() {
        let f = ramp(8, 6);
        let c = f.resize(4, 3, Filter::Area);
        assert_eq!(c.pixel(1, 2), [2.5, 4.5, (2.0 * 4.0 + 3.0 * 4.0 + 2.0 * 5.0 + 3.0 * 5.0) / 4.0, 1.0]);
        // the mean of the whole survives any size
        let f = ramp(100, 60);
        let one = f.resize(1, 1, Filter::Area).pixel(0, 0);
        assert!((one[0] - 49.5).abs() < 1e-3 && (one[1] - 29.5).abs() < 1e-3);
        let c = f.resize(37, 23, Filter::Area);
        let mean = c.data.chunks(4).map(|p| p[0]).sum::<f32>() / (37.0 * 23.0);
        assert!((mean - 49.5).abs() < 1e-2);
    }

    #[test]
    fn constant_stays_constant_and_tiny_pictures_work() {
        for (w, h) in [(1, 1), (1, 9), (2, 3), (640, 2)] {
            let f = Frame::filled(w, h, [0.25, 0.5, 0.75, 1.0], Color::Srgb);
            for filter in [Filter::Nearest, Filter::Bilinear, Filter::Area, Filter::Lanczos3] {
                for (ow, oh) in [(1, 1), (5, 7), (33, 1)] {
                    let c = f.resize(ow, oh, filter);
                    assert!(c.data.chunks(4).all(|p| (p[0] - 0.25).abs() < 1e-5 && p[3] == 1.0), "{filter:?}");
                }
            }
        }
    }

    #[test]
    fn hidden_colours_do_not_bleed() {
        let mut f = Frame::filled(2, 1, [0.0, 1.0, 0.0, 1.0], Color::Srgb);
        f.set_pixel(1, 0, [1.0, 0.0, 0.0, 0.0]);
        let p = f.resize(1, 1, Filter::Area).pixel(0, 0);
        assert_eq!(p, [0.0, 1.0, 0.0, 0.5]);
    }

    #[test]
    fn quarter_turns() {
        let f = ramp(3, 2);
        let r = f.turn(Turn::Right);
        assert_eq!((r.width, r.height), (2, 3));
        // the lower left corner comes to the upper left
        assert_eq!(r.pixel(0, 0), f.pixel(0, 1));
        assert_eq!(r.pixel(1, 0), f.pixel(0, 0));
        assert_eq!(r.turn(Turn::Left), f);
        assert_eq!(f.turn(Turn::Right).turn(Turn::Right), f.turn(Turn::Half));
    }

    #[test]
    fn planes_follow_frames() {
        let f = ramp(13, 9);
        let plane: Vec<f32> = f.data.chunks(4).map(|p| p[2]).collect();
        let w = Window { x0: -2.5, y0: 1.25, width: 11.0, height: 6.5 };
        for filter in [Filter::Bilinear, Filter::Area, Filter::Lanczos3] {
            let a = f.crop(w, 5, 8, filter);
            let b = crop_plane(&plane, (13, 9), w, (5, 8), filter);
            assert!(a.data.chunks(4).zip(&b).all(|(p, v)| (p[2] - v).abs() < 1e-3));
        }
    }
}
