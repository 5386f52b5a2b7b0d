//! Lashes and lined lids, painted on drawn heads, which have none: without them a network takes the dark row of lashes
//! of closed eyes for what an eye that is half open shows.

use headgan::face::bgr::Bgr8;
use headgan::random::Rng;

/// How long lashes are at most, in the eye's lengths.
const LENGTH: f64 = 0.17;
/// How thick a lid's line is at most, in the same.
const LINE: f64 = 0.06;
/// How many lashes a lid has at most.
const MOST: usize = 40;

/// An eye's upper lid in a picture.
pub struct Lid {
    /// From the outer to the inner corner, pixels: landmarks 36 to 39.
    pub points: [[f64; 2]; 4],
    /// The head's way down in the picture, of length 1.
    pub down: [f64; 2],
    /// 0 open, 1 closed.
    pub closed: f64,
}

/// How somebody's lashes are, alike on both eyes.
#[derive(Debug, Clone, Copy)]
pub struct Lashes {
    length: f64,
    line: f64,
    number: usize,
    /// How dark, 0..1.
    opacity: f64,
    colour: [f64; 3],
    /// How far outer ones lean outwards, radians.
    fan: f64,
}

impl Lashes {
    /// Anybody's: often hardly any, now and then much.
    pub fn draw(rng: &mut Rng) -> Lashes {
        let much = rng.unit();
        let brown = 40.0 * rng.unit();
        Lashes {
            length: LENGTH * much * (0.4 + 0.6 * rng.unit()),
            line: LINE * rng.unit() * rng.unit(),
            number: 10 + rng.below(MOST - 10),
            opacity: 0.3 + 0.7 * rng.unit(),
            colour: [0.3 * brown, 0.5 * brown, brown],
            fan: 0.7 * rng.unit(),
        }
    }

    /// Paints them. Those of an open eye point up, of a closed one down, and in between towards whoever looks.
    pub fn paint(&self, picture: &mut Bgr8, lid: &Lid, rng: &mut Rng) {
        let [a, _, _, d] = lid.points;
        let length = (a[0] - d[0]).hypot(a[1] - d[1]);
        let way = 2.0 * lid.closed - 1.0;
        let outwards = [(a[0] - d[0]) / length.max(1e-6), (a[1] - d[1]) / length.max(1e-6)];
        // The line, as a row of points closer than a pixel.
        let steps = (3.0 * length).ceil() as usize + 1;
        for i in 0..steps {
            let at = along(&lid.points, i as f64 / steps as f64);
            let thick = (self.line * length).max(0.0);
            self.stroke(picture, at, lid.down.map(|v| -v * thick), self.opacity);
        }
        for i in 0..self.number {
            let t = (i as f64 + rng.unit()) / self.number as f64;
            let lean = self.fan * (1.0 - t) * if rng.unit() < 0.9 { 1.0 } else { -0.5 };
            let (sin, cos) = lean.sin_cos();
            let long = self.length * length * (0.7 + 0.5 * rng.unit()) * (1.15 - 0.5 * t);
            let tip = [0, 1].map(|c| long * (way * cos * lid.down[c] + sin * outwards[c] * (0.4 + 0.6 * way.abs())));
            self.stroke(picture, along(&lid.points, t), tip, self.opacity * (0.5 + 0.5 * rng.unit()));
        }
    }

    /// A hair from a point, thinner towards its tip.
    fn stroke(&self, picture: &mut Bgr8, from: [f64; 2], tip: [f64; 2], opacity: f64) {
        let n = (2.0 * tip[0].hypot(tip[1])).ceil().max(1.0) as usize;
        for k in 0..n {
            let t = k as f64 / n as f64;
            self.dab(picture, [from[0] + t * tip[0], from[1] + t * tip[1]], 0.5 * opacity * (1.0 - 0.7 * t));
        }
    }

    /// A dot as large as a pixel, over the four that it touches.
    fn dab(&self, picture: &mut Bgr8, [x, y]: [f64; 2], opacity: f64) {
        let (fx, fy) = (x.floor(), y.floor());
        for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
            let (px, py) = (fx + dx, fy + dy);
            if px < 0.0 || py < 0.0 || px >= picture.width as f64 || py >= picture.height as f64 {
                continue;
            }
            let share = opacity * (1.0 - (x - px).abs()) * (1.0 - (y - py).abs());
            let pixel = &mut picture.data[3 * (py as usize * picture.width + px as usize)..][..3];
            for (v, ink) in pixel.iter_mut().zip(self.colour) {
                // Never lighter than the skin.
                let ink = ink.min(f64::from(*v));
                *v = (f64::from(*v) + share * (ink - f64::from(*v)) + 0.5) as u8;
            }
        }
    }
}

/// A point on the curve through a lid's landmarks: Catmull-Rom, its ends doubled.
fn along(points: &[[f64; 2]; 4], t: f64) -> [f64; 2] {
    let at = (3.0 * t).clamp(0.0, 3.0);
    let i = (at as usize).min(2);
    let u = at - i as f64;
    let p = |k: usize| points[k.saturating_sub(1).min(3)];
    let [a, b, c, d] = [p(i), p(i + 1), p(i + 2), p(i + 3)];
    [0, 1].map(|k| {
        let (m, n) = (0.5 * (c[k] - a[k]), 0.5 * (d[k] - b[k]));
        let (u2, u3) = (u * u, u * u * u);
        (2.0 * u3 - 3.0 * u2 + 1.0) * b[k] + (u3 - 2.0 * u2 + u) * m + (3.0 * u2 - 2.0 * u3) * c[k] + (u3 - u2) * n
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(closed: f64) -> Bgr8 {
        let mut picture = Bgr8 { width: 60, height: 60, data: vec![180; 3 * 3600] };
        let lid = Lid { points: [[15.0, 30.0], [25.0, 27.0], [35.0, 27.0], [45.0, 30.0]], down: [0.0, 1.0], closed };
        let lashes = Lashes { length: 0.2, line: 0.0, number: 40, opacity: 1.0, colour: [0.0, 5.0, 10.0], fan: 0.0 };
        lashes.paint(&mut picture, &lid, &mut Rng(1));
        picture
    }

    #[test]
    fn lashes_point_up_when_open_and_down_when_closed() {
        let darkness = |picture: &Bgr8, rows: std::ops::Range<usize>| -> u32 {
            picture.data[180 * rows.start..180 * rows.end].iter().map(|v| 180 - u32::from(*v)).sum()
        };
        for (closed, dark, bright) in [(0.0, 18..26, 31..40), (1.0, 31..40, 18..26)] {
            let picture = painted(closed);
            let (dark, bright) = (darkness(&picture, dark), darkness(&picture, bright));
            assert!(dark > 1000 && bright < dark / 8, "{closed}: {dark} {bright}");
            // Nothing outside the eye's columns but what leans there.
            assert_eq!(darkness(&picture, 0..10) + darkness(&picture, 50..60), 0);
        }
    }

    #[test]
    fn the_curve_goes_through_the_landmarks() {
        let points = [[0.0, 5.0], [3.0, 1.0], [7.0, 2.0], [10.0, 6.0]];
        for (i, p) in points.iter().enumerate() {
            let [x, y] = along(&points, i as f64 / 3.0);
            assert!((x - p[0]).abs() < 1e-9 && (y - p[1]).abs() < 1e-9, "{i}");
        }
    }

    #[test]
    fn what_leaves_the_picture_is_cut_off() {
        let mut picture = Bgr8 { width: 8, height: 8, data: vec![90; 192] };
        let lid = Lid { points: [[-9.0, 2.0], [0.0, -3.0], [7.5, 3.0], [30.0, 9.0]], down: [0.0, 1.0], closed: 0.7 };
        for seed in 0..20 {
            let mut rng = Rng(seed);
            Lashes::draw(&mut rng).paint(&mut picture, &lid, &mut rng);
        }
        assert!(picture.data.iter().all(|v| *v <= 90));
    }
}
