//! A window's pixels and the picture's: cutting a window out, and laying one in.

use crate::frame::{Color, Frame};
use crate::reenact::draft::bicubic;

/// The most samples along an axis for one pixel of a window.
const MOST_SAMPLES: usize = 8;

/// A similarity from a window's pixels to a picture's, perhaps a mirror's; pixel centres at integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowMap {
    /// Two rows of three.
    to: [f32; 6],
    back: [f32; 6],
}

impl WindowMap {
    /// The similarity that brings places of the window nearest to places of the picture. `None` where it has no size.
    pub(super) fn fit(pairs: &[([f32; 2], [f32; 2])]) -> Option<WindowMap> {
        let n = pairs.len() as f32;
        let sum =
            pairs.iter().fold([[0.0; 2]; 2], |[s, t], (w, p)| [[s[0] + w[0], s[1] + w[1]], [t[0] + p[0], t[1] + p[1]]]);
        let [w0, p0] = sum.map(|s| s.map(|v| v / n));
        let (mut a, mut b, mut square) = (0.0, 0.0, 0.0);
        for (w, p) in pairs {
            let (w, p) = ([w[0] - w0[0], w[1] - w0[1]], [p[0] - p0[0], p[1] - p0[1]]);
            a += w[0] * p[0] + w[1] * p[1];
            b += w[0] * p[1] - w[1] * p[0];
            square += w[0] * w[0] + w[1] * w[1];
        }
        let (a, b) = (a / square, b / square);
        WindowMap::new([a, -b, p0[0] - a * w0[0] + b * w0[1], b, a, p0[1] - b * w0[0] - a * w0[1]])
    }

    fn new(to: [f32; 6]) -> Option<WindowMap> {
        let [a, b, x, c, d, y] = to;
        let det = a * d - b * c;
        let back = [d, -b, b * y - d * x, -c, a, c * x - a * y].map(|v| v / det);
        let sound = to.iter().chain(&back).all(|v| v.is_finite() && v.abs() < 1e6) && det.abs() > 1e-6;
        sound.then_some(WindowMap { to, back })
    }

    /// The same place seen in a mirror, for a window of `side` pixels.
    pub(super) fn mirrored(self, side: usize) -> WindowMap {
        let last = side as f32 - 1.0;
        let WindowMap { to: [a, b, x, c, d, y], back: [p, q, u, r, s, v] } = self;
        WindowMap { to: [-a, b, x + a * last, -c, d, y + c * last], back: [-p, -q, last - u, r, s, v] }
    }

    /// Pixels of the picture in one of the window.
    pub fn scale(&self) -> f32 {
        (self.to[0] * self.to[4] - self.to[1] * self.to[3]).abs().sqrt()
    }

    /// A place of the window in the picture.
    #[inline]
    pub fn to_picture(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let m = &self.to;
        [m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]]
    }

    /// A place of the picture in the window.
    #[inline]
    pub fn to_window(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let m = &self.back;
        [m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]]
    }

    /// The picture's columns and rows that a window of `side` pixels may touch, and `margin` more on each side: x0, y0, x1, y1.
    fn bounds(&self, side: usize, margin: f32) -> [f32; 4] {
        let end = side as f32 - 0.5;
        let corners = [[-0.5, -0.5], [end, -0.5], [-0.5, end], [end, end]].map(|p| self.to_picture(p));
        let low = |c: usize| corners.iter().map(|p| p[c]).fold(f32::INFINITY, f32::min) - margin;
        let high = |c: usize| corners.iter().map(|p| p[c]).fold(f32::NEG_INFINITY, f32::max) + margin;
        [low(0), low(1), high(0), high(1)]
    }
}

/// Part of a picture as a screen shows it.
pub struct Shown {
    frame: Frame,
    origin: [f32; 2],
}

impl Shown {
    /// What a window of `side` pixels shows of a picture, with `reach` sides of the window around it.
    pub fn new(picture: &Frame, map: &WindowMap, side: usize, reach: f32) -> Shown {
        let margin = 4.0 + reach * map.scale() * side as f32;
        let [x0, y0, x1, y1] = map.bounds(side, margin);
        // A window may lie outside.
        let span = |low: f32, high: f32, size: usize| {
            let last = size as f32 - 1.0;
            let (low, high) = (low.floor().clamp(0.0, last), high.ceil().clamp(0.0, last));
            (low as i64, (high - low) as usize + 1)
        };
        let ((x, width), (y, height)) = (span(x0, x1, picture.width), span(y0, y1, picture.height));
        let frame = picture.copy_window(x, y, width, height).to_display(Color::Srgb).into_owned();
        Shown { frame, origin: [x as f32, y as f32] }
    }

    /// The colour at a place of the picture.
    #[inline]
    pub fn at(&self, [x, y]: [f32; 2]) -> [f32; 4] {
        bicubic(&self.frame, x - self.origin[0], y - self.origin[1])
    }

    /// The window, RGB in 0..1, one plane after the other.
    pub fn cut(&self, map: &WindowMap, side: usize) -> Vec<f32> {
        let n = (map.scale().ceil() as usize).clamp(1, MOST_SAMPLES);
        let share = 1.0 / (n * n) as f32;
        let mut out = vec![0.0; 3 * side * side];
        for i in 0..side * side {
            let (x, y) = ((i % side) as f32, (i / side) as f32);
            for k in 0..n * n {
                let off = |k: usize| (k as f32 + 0.5) / n as f32 - 0.5;
                let p = map.to_picture([x + off(k % n), y + off(k / n)]);
                let colour = match n {
                    1 => self.at(p),
                    _ => self.frame.sample(p[0] - self.origin[0], p[1] - self.origin[1]),
                };
                for c in 0..3 {
                    out[c * side * side + i] += share * colour[c].clamp(0.0, 1.0);
                }
            }
        }
        out
    }
}

/// What a window of a picture shows, RGB in 0..1, one plane after the other.
pub fn cut(picture: &Frame, map: &WindowMap, side: usize) -> Vec<f32> {
    Shown::new(picture, map, side, 0.0).cut(map, side)
}

/// Planes of a window, read between pixels.
pub(super) struct Planes<'a> {
    pub side: usize,
    pub values: &'a [f32],
}

impl Planes<'_> {
    /// The first `N` planes from plane `first` on at a place; bilinear, continued by the border.
    #[inline]
    pub fn at<const N: usize>(&self, first: usize, [x, y]: [f32; 2]) -> [f32; N] {
        let last = self.side as f32 - 1.0;
        let (x, y) = (x.clamp(0.0, last), y.clamp(0.0, last));
        let (i, j) = (x as usize, y as usize);
        let (u, v) = (x - i as f32, y - j as f32);
        let (right, below) = (usize::from(i + 1 < self.side), if j + 1 < self.side { self.side } else { 0 });
        let size = self.side * self.side;
        std::array::from_fn(|k| {
            let p = &self.values[(first + k) * size + j * self.side + i..];
            let (top, bottom) = (p[0] + u * (p[right] - p[0]), p[below] + u * (p[below + right] - p[below]));
            top + v * (bottom - top)
        })
    }
}

/// How much a place of a window counts: 1 within, falling to 0 before its border.
pub fn feather(side: usize, [x, y]: [f32; 2]) -> f32 {
    let half = 0.5 * side as f32;
    let along = |v: f32| ((v + 0.5 - half) / half).powi(4);
    1.0 - crate::reenact::draft::step(0.72, 0.98, (along(x) + along(y)).sqrt().sqrt())
}

/// Changes a picture where a window lies: `colour` gives what a place of the picture shows, as a screen does, from its place in the
/// window and what is there. `weight` and [`feather`] say how much of it counts.
pub(super) fn lay(
    picture: &mut Frame,
    map: &WindowMap,
    side: usize,
    weight: f32,
    colour: impl Fn([f32; 2], [f32; 2]) -> [f32; 3],
) {
    let [x0, y0, x1, y1] = map.bounds(side, 0.0);
    if x1 < 0.0 || y1 < 0.0 || x0 > picture.width as f32 - 1.0 || y0 > picture.height as f32 - 1.0 {
        return;
    }
    let span = |low: f32, high: f32, size: usize| {
        (low.ceil().max(0.0) as usize, (high.floor().clamp(0.0, size as f32 - 1.0)) as usize)
    };
    let ((left, right), (top, bottom)) = (span(x0, x1, picture.width), span(y0, y1, picture.height));
    if right < left || bottom < top {
        return;
    }
    let width = right - left + 1;
    let mut row = Frame::new(width, 1);
    let mut shares = vec![0.0f32; width];
    for y in top..=bottom {
        let start = 4 * (y * picture.width + left);
        for (x, share) in shares.iter_mut().enumerate() {
            *share = weight * feather(side, map.to_window([(left + x) as f32, y as f32]));
        }
        if shares.iter().all(|s| *s <= 0.0) {
            continue;
        }
        row.color = picture.color;
        row.data.copy_from_slice(&picture.data[start..start + 4 * width]);
        let mut shown = row.to_display(Color::Srgb).into_owned();
        for (x, share) in shares.iter().enumerate().filter(|(_, s)| **s > 0.0) {
            let p = [(left + x) as f32, y as f32];
            let new = colour(p, map.to_window(p));
            for (v, new) in shown.data[4 * x..4 * x + 3].iter_mut().zip(new) {
                *v += share * (new - *v);
            }
        }
        shown.convert_color(picture.color);
        for (x, _) in shares.iter().enumerate().filter(|(_, s)| **s > 0.0) {
            picture.data[start + 4 * x..start + 4 * x + 3].copy_from_slice(&shown.data[4 * x..4 * x + 3]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: [f32; 2], b: [f32; 2]) -> bool {
        (a[0] - b[0]).abs() < 1e-3 && (a[1] - b[1]).abs() < 1e-3
    }

    #[test]
    fn a_similarity_is_found_and_mirrored() {
        let want = |p: [f32; 2]| [3.0 * p[0] - 2.0 * p[1] + 7.0, 2.0 * p[0] + 3.0 * p[1] - 5.0];
        let pairs = [[0.0, 0.0], [10.0, 4.0], [3.0, 9.0]].map(|p| (p, want(p)));
        let map = WindowMap::fit(&pairs).unwrap();
        assert!(near(map.to_picture([6.0, 2.0]), want([6.0, 2.0])));
        assert!(near(map.to_window(want([6.0, 2.0])), [6.0, 2.0]));
        assert!((map.scale() - 13.0f32.sqrt()).abs() < 1e-4);
        let mirror = map.mirrored(64);
        assert!(near(mirror.to_picture([57.0, 2.0]), want([6.0, 2.0])));
        assert!(near(mirror.to_window(want([6.0, 2.0])), [57.0, 2.0]));
        assert!(WindowMap::fit(&[([0.0, 0.0], [1.0, 1.0]), ([5.0, 5.0], [1.0, 1.0])]).is_none());
        assert!(WindowMap::fit(&[([0.0, 0.0], [f32::NAN, 1.0]), ([5.0, 5.0], [1.0, 1.0])]).is_none());
    }

    fn ramp(color: Color) -> Frame {
        let mut f = Frame::new(90, 70);
        for y in 0..70 {
            for x in 0..90 {
                f.set_pixel(x, y, [x as f32 / 100.0, y as f32 / 100.0, 0.25, 1.0]);
            }
        }
        f.color = color;
        f
    }

    #[test]
    fn a_window_shows_its_place() {
        for scale in [0.5, 1.0, 2.0] {
            let map =
                WindowMap::fit(&[([0.0, 0.0], [20.0, 30.0]), ([10.0, 0.0], [20.0 + 10.0 * scale, 30.0])]).unwrap();
            let window = cut(&ramp(Color::Srgb), &map, 16);
            for (x, y) in [(0, 0), (15, 3), (7, 12)] {
                let p = map.to_picture([x as f32, y as f32]);
                let got = [window[y * 16 + x], window[256 + y * 16 + x]].map(|v| 100.0 * v);
                assert!(near(got, p), "{scale}: {got:?} {p:?}");
            }
        }
    }

    /// What is laid in changes its place alone, softly; laying in what is there changes nothing that can be seen.
    #[test]
    fn laying_in() {
        for color in [Color::Srgb, Color::Linear] {
            let plate = ramp(color);
            let map = WindowMap::fit(&[([0.0, 0.0], [20.0, 30.0]), ([10.0, 0.0], [32.0, 33.0])]).unwrap();
            let shown = Shown::new(&plate, &map, 24, 0.0);
            let mut same = plate.clone();
            lay(&mut same, &map, 24, 1.0, |p, _| shown.at(p)[..3].try_into().unwrap());
            let off = same.data.iter().zip(&plate.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-3, "{color:?} {off}");
            let mut other = plate.clone();
            lay(&mut other, &map, 24, 1.0, |_, _| [1.0; 3]);
            let middle = map.to_picture([12.0, 12.0]);
            assert!(other.pixel(middle[0] as usize, middle[1] as usize)[2] > 0.99);
            let mut touched = 0;
            for y in 0..70 {
                for x in 0..90 {
                    let q = map.to_window([x as f32, y as f32]);
                    let inside = q.iter().all(|v| (-0.5..23.5).contains(v));
                    let changed = other.pixel(x, y) != plate.pixel(x, y);
                    assert!(inside || !changed, "{x} {y}");
                    touched += usize::from(changed);
                    assert_eq!(other.pixel(x, y)[3], 1.0);
                }
            }
            assert!(touched > 300, "{touched}");
            // Outside of the picture there is nothing to change.
            let away = WindowMap::fit(&[([0.0, 0.0], [900.0, 30.0]), ([10.0, 0.0], [910.0, 30.0])]).unwrap();
            let mut none = plate.clone();
            lay(&mut none, &away, 24, 1.0, |_, _| [1.0; 3]);
            assert!(none == plate);
            assert_eq!(cut(&plate, &away, 8).len(), 192);
        }
    }
}
