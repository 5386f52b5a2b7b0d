//! Pictures as the face networks were trained to see them: 8 bits, blue, green, red, scaled the way OpenCV scales.

use crate::error::{Error, Result};
use crate::frame::{Color, Frame};

/// Anything that has 8-bit pixels in the order blue, green, red.
pub trait Pixels {
    /// Width in pixels.
    fn width(&self) -> usize;
    /// Height in pixels.
    fn height(&self) -> usize;
    /// The pixel at column `x`, row `y` (both must lie inside).
    fn bgr(&self, x: usize, y: usize) -> [u8; 3];
}

/// An 8-bit picture, blue, green, red interleaved, rows from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bgr8 {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// `3 * width * height` values.
    pub data: Vec<u8>,
}

impl Pixels for Bgr8 {
    fn width(&self) -> usize {
        self.width
    }
    fn height(&self) -> usize {
        self.height
    }
    #[inline]
    fn bgr(&self, x: usize, y: usize) -> [u8; 3] {
        let i = 3 * (y * self.width + x);
        [self.data[i], self.data[i + 1], self.data[i + 2]]
    }
}

/// Values are rounded to 8 bits (exactly what an 8-bit file held); linear light is encoded first. Alpha plays no part.
impl Pixels for Frame {
    fn width(&self) -> usize {
        self.width
    }
    fn height(&self) -> usize {
        self.height
    }
    #[inline]
    fn bgr(&self, x: usize, y: usize) -> [u8; 3] {
        let [r, g, b, _] = self.pixel(x, y);
        [b, g, r].map(|v| {
            let v = if self.color == Color::Linear { encode_srgb(v) } else { v };
            // A NaN becomes 0: `as` saturates.
            (v.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
        })
    }
}

/// The sRGB curve (IEC 61966-2-1).
pub(super) fn encode_srgb(v: f32) -> f32 {
    if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

/// A window into a picture; black outside of it.
pub struct Window<'a, P: Pixels> {
    source: &'a P,
    x: i64,
    y: i64,
    width: usize,
    height: usize,
}

impl<'a, P: Pixels> Window<'a, P> {
    /// The window whose left upper pixel is `(x, y)` of `source` (may lie outside).
    pub fn new(source: &'a P, x: i64, y: i64, width: usize, height: usize) -> Self {
        Window { source, x, y, width, height }
    }
}

impl<P: Pixels> Pixels for Window<'_, P> {
    fn width(&self) -> usize {
        self.width
    }
    fn height(&self) -> usize {
        self.height
    }
    #[inline]
    fn bgr(&self, x: usize, y: usize) -> [u8; 3] {
        let (x, y) = (x as i64 + self.x, y as i64 + self.y);
        let inside = x >= 0 && y >= 0 && x < self.source.width() as i64 && y < self.source.height() as i64;
        if inside { self.source.bgr(x as usize, y as usize) } else { [0; 3] }
    }
}

/// Bits of an interpolation weight.
const WEIGHT_BITS: u32 = 11;

/// One output position's two input positions and their weights, in 1/2048.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tap {
    at: [usize; 2],
    weight: [i32; 2],
}

/// The taps along one axis: half-pixel centres, border repeated.
fn taps(n_in: usize, n_out: usize) -> Vec<Tap> {
    let one = (1 << WEIGHT_BITS) as f32;
    // The reciprocal of a quotient, not a quotient: the last bit decides some roundings.
    let scale = 1.0 / (n_out as f64 / n_in as f64);
    (0..n_out)
        .map(|d| {
            let s = ((d as f64 + 0.5) * scale - 0.5) as f32;
            let (floor, frac) = (s.floor(), s - s.floor());
            let i = floor as i64;
            let at = |i: i64| i.clamp(0, n_in as i64 - 1) as usize;
            let weight = [(1.0 - frac) * one, frac * one].map(|w| w.round_ties_even() as i32);
            Tap { at: [at(i), at(i + 1)], weight }
        })
        .collect()
}

/// `source` at `width x height`, bilinear, bit for bit what OpenCV's `resize` with `INTER_LINEAR` gives for 8-bit
/// pictures: 11-bit weights, sums in integers, two truncating shifts and a rounding one.
///
/// # Errors
/// [`Error::Input`] when either picture has no pixels.
pub fn resize_linear(source: &impl Pixels, width: usize, height: usize) -> Result<Bgr8> {
    if source.width() == 0 || source.height() == 0 || width == 0 || height == 0 {
        return Err(Error::input(format!(
            "cannot scale a picture of {}x{} pixels to {width}x{height}: both need at least one pixel",
            source.width(),
            source.height()
        )));
    }
    let (columns, rows) = (taps(source.width(), width), taps(source.height(), height));
    // The two source rows in use, interpolated along x; neighbouring output rows share them.
    let mut cache: [(usize, Vec<i32>); 2] = [(usize::MAX, vec![0; 3 * width]), (usize::MAX, vec![0; 3 * width])];
    let mut data = Vec::with_capacity(3 * width * height);
    for row in &rows {
        if cache[0].0 != row.at[0] && cache[1].0 == row.at[0] {
            cache.swap(0, 1);
        }
        for ((have, line), &y) in cache.iter_mut().zip(&row.at) {
            if *have != y {
                for (out, tap) in line.chunks_exact_mut(3).zip(&columns) {
                    let (a, b) = (source.bgr(tap.at[0], y), source.bgr(tap.at[1], y));
                    for c in 0..3 {
                        out[c] = i32::from(a[c]) * tap.weight[0] + i32::from(b[c]) * tap.weight[1];
                    }
                }
                *have = y;
            }
        }
        let [(_, top), (_, low)] = &cache;
        data.extend(top.iter().zip(low).map(|(&t, &l)| {
            let sum = ((row.weight[0] * (t >> 4)) >> 16) + ((row.weight[1] * (l >> 4)) >> 16);
            ((sum + 2) >> 2).clamp(0, 255) as u8
        }));
    }
    Ok(Bgr8 { width, height, data })
}

/// The mean of each `n x n` block (a partial block at the right and the bottom counts what it has).
pub fn shrink(source: &impl Pixels, n: usize) -> Bgr8 {
    let n = n.max(1);
    let (width, height) = (source.width().div_ceil(n), source.height().div_ceil(n));
    let mut data = Vec::with_capacity(3 * width * height);
    let mut sums = vec![[0u32; 4]; width];
    for oy in 0..height {
        sums.fill([0; 4]);
        for y in oy * n..((oy + 1) * n).min(source.height()) {
            for x in 0..source.width() {
                let (sum, p) = (&mut sums[x / n], source.bgr(x, y));
                for c in 0..3 {
                    sum[c] += u32::from(p[c]);
                }
                sum[3] += 1;
            }
        }
        data.extend(sums.iter().flat_map(|s| [0, 1, 2].map(|c| ((s[c] + s[3] / 2) / s[3]) as u8)));
    }
    Bgr8 { width, height, data }
}

/// The colour at a point (pixel centres at whole coordinates): blue, green, red, 0..1, bilinear, black outside the picture.
pub fn bilinear(source: &impl Pixels, [x, y]: [f32; 2]) -> [f32; 3] {
    let mut out = [0.0; 3];
    if !(x > -1.0 && y > -1.0 && x < source.width() as f32 && y < source.height() as f32) {
        return out;
    }
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (x - x0, y - y0);
    for (dx, dy, weight) in
        [(0, 0, (1.0 - fx) * (1.0 - fy)), (1, 0, fx * (1.0 - fy)), (0, 1, (1.0 - fx) * fy), (1, 1, fx * fy)]
    {
        let (px, py) = (x0 as i64 + dx, y0 as i64 + dy);
        if weight > 0.0 && px >= 0 && py >= 0 && px < source.width() as i64 && py < source.height() as i64 {
            let bgr = source.bgr(px as usize, py as usize);
            for c in 0..3 {
                out[c] += weight * f32::from(bgr[c]) / 255.0;
            }
        }
    }
    out
}

/// `[1, 3, h, w]` values of a picture for a network: `f(value, channel)` in planes blue, green, red.
pub fn planes(picture: &impl Pixels, f: impl Fn(u8, usize) -> f32) -> Vec<f32> {
    let (w, h) = (picture.width(), picture.height());
    let mut data = vec![0.0; 3 * w * h];
    for y in 0..h {
        for x in 0..w {
            let p = picture.bgr(x, y);
            for (c, &v) in p.iter().enumerate() {
                data[(c * h + y) * w + x] = f(v, c);
            }
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gray(width: usize, data: &[u8]) -> Bgr8 {
        Bgr8 { width, height: data.len() / width, data: data.iter().flat_map(|&v| [v; 3]).collect() }
    }

    #[test]
    fn resize_against_hand_computed_values() {
        // 2x2 to 4x4: weights 1536/512 by the half-pixel rule, first and last repeat the border.
        let out = resize_linear(&gray(2, &[0, 100, 200, 255]), 4, 4).unwrap();
        let row = |y: usize| (0..4).map(|x| out.bgr(x, y)[0]).collect::<Vec<_>>();
        assert_eq!(row(0), [0, 25, 75, 100]);
        // Row 1 = 3/4 of (0, 25, 75, 100) + 1/4 of (200, 213.75, 241.25, 255).
        assert_eq!(row(1), [50, 72, 117, 139]);
        assert_eq!(row(3), [200, 214, 241, 255]);
        // Halving takes the mean of four, rounded half up.
        assert_eq!(resize_linear(&gray(2, &[0, 1, 1, 0]), 1, 1).unwrap().data, [1, 1, 1]);
        assert_eq!(resize_linear(&gray(2, &[0, 1, 0, 0]), 1, 1).unwrap().data, [0, 0, 0]);
        // Two to three: the outer centres lie beyond the input's, the middle one half-way.
        let third = resize_linear(&gray(2, &[0, 30]), 3, 1).unwrap();
        assert_eq!(third.data.chunks(3).map(|p| p[0]).collect::<Vec<_>>(), [0, 15, 30]);
    }

    #[test]
    fn taps_stay_inside_and_sum_to_one() {
        for (n_in, n_out) in [(1, 7), (7, 1), (120, 120), (333, 120), (57, 120)] {
            for t in taps(n_in, n_out) {
                assert!(t.at[0] < n_in && t.at[1] < n_in && t.at[0] <= t.at[1]);
                assert_eq!(t.weight[0] + t.weight[1], 2048, "{n_in} to {n_out}: {t:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn same_size_is_a_copy(w in 1usize..20, h in 1usize..20, seed in any::<u8>()) {
            let data = (0..3 * w * h).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect();
            let picture = Bgr8 { width: w, height: h, data };
            prop_assert_eq!(&resize_linear(&picture, w, h).unwrap(), &picture);
            prop_assert_eq!(&shrink(&picture, 1), &picture);
        }

        #[test]
        fn resize_stays_within_the_range(w in 1usize..40, h in 1usize..40, lo in 0u8..100, span in 0u8..100) {
            let data: Vec<u8> = (0..4 * 5).map(|i| lo + (i * 37 % (usize::from(span) + 1)) as u8).collect();
            let out = resize_linear(&gray(4, &data), w, h).unwrap();
            // The truncating shifts may lose one level, never gain one.
            prop_assert!(out.data.iter().all(|&v| v + 1 >= lo && v <= lo + span));
        }
    }

    #[test]
    fn a_window_is_black_outside() {
        let picture = gray(2, &[1, 2, 3, 4]);
        let w = Window::new(&picture, -1, 1, 3, 2);
        let values: Vec<u8> = (0..2).flat_map(|y| (0..3).map(move |x| (x, y))).map(|(x, y)| w.bgr(x, y)[0]).collect();
        assert_eq!(values, [0, 3, 4, 0, 0, 0]);
    }

    #[test]
    fn frames_round_to_what_the_file_held() {
        let mut f = Frame::new(256, 1);
        for v in 0..256 {
            f.set_pixel(v, 0, [v as f32 / 255.0, 0.5, f32::NAN, 1.0]);
        }
        assert!((0..256).all(|v| f.bgr(v, 0) == [0, 128, v as u8]));
        f.color = Color::Linear;
        f.set_pixel(0, 0, [0.214_041_14, 1.0, 7.0, 1.0]);
        assert_eq!(f.bgr(0, 0), [255, 255, 128]);
    }

    #[test]
    fn shrinking_averages_blocks() {
        let p = gray(3, &[0, 10, 7, 20, 30, 9, 5, 5, 4]);
        assert_eq!(shrink(&p, 2), gray(2, &[15, 8, 5, 4]));
    }

    #[test]
    fn empty_pictures_are_an_error() {
        let empty = Bgr8 { width: 0, height: 0, data: vec![] };
        assert!(matches!(resize_linear(&empty, 4, 4), Err(Error::Input(_))));
    }
}
