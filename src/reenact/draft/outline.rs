//! The opening of an eye in a picture: where its lids are, and the disc of its iris.

use nalgebra::{Matrix2, Vector2};

/// Columns at which the lids' heights are kept.
pub(super) const COLUMNS: usize = 49;

/// The opening between the lids, in a frame of its own: x from the corner on the picture's left of an upright face to the other
/// one, y down the face, both in pixels.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    origin: Vector2<f32>,
    along: Vector2<f32>,
    down: Vector2<f32>,
    /// Distance of the corners, pixels.
    pub width: f32,
    /// Heights of both lids at equally spaced x, pixels.
    upper: [f32; COLUMNS],
    lower: [f32; COLUMNS],
    /// Height of the end of the upper lid's skin.
    fold: [f32; COLUMNS],
}

impl Outline {
    /// The rims of the lids run from one corner to the other. `None` for an eye that is seen from its side.
    pub fn new(upper: &[[f32; 2]], lower: &[[f32; 2]], fold: &[[f32; 2]]) -> Option<Outline> {
        let at = |p: Option<&[f32; 2]>| p.map(|p| Vector2::new(p[0], p[1]));
        let (origin, end) = (at(upper.first())?, at(upper.last())?);
        let width = (end - origin).norm();
        let along = (end - origin).try_normalize(1e-3)?;
        let down = Vector2::new(-along.y, along.x);
        let heights = |rim: &[[f32; 2]]| -> [f32; COLUMNS] {
            let local = |p: &[f32; 2]| {
                let d = Vector2::new(p[0], p[1]) - origin;
                [d.dot(&along), d.dot(&down)]
            };
            let mut i = 0;
            std::array::from_fn(|k| {
                let x = width * k as f32 / (COLUMNS - 1) as f32;
                // The first crossing; a rim that turns back there is as good as seen from its side.
                while i + 2 < rim.len() && local(&rim[i + 1])[0] < x {
                    i += 1;
                }
                let (a, b) = (local(&rim[i]), local(&rim[(i + 1).min(rim.len() - 1)]));
                let t = ((x - a[0]) / (b[0] - a[0]).max(1e-3)).clamp(0.0, 1.0);
                a[1] + t * (b[1] - a[1])
            })
        };
        let (upper, lower, fold) = (heights(upper), heights(lower), heights(fold));
        Some(Outline { origin, along, down, width, upper, lower, fold })
    }

    /// A point of the picture in the opening's frame: how far it is from corner to corner, 0..1 between them, and its height.
    #[inline]
    pub fn local(&self, p: [f32; 2]) -> (f32, f32) {
        let d = Vector2::new(p[0], p[1]) - self.origin;
        (d.dot(&self.along) / self.width, d.dot(&self.down))
    }

    /// The point of the picture at a place of the frame.
    pub fn point(&self, x: f32, y: f32) -> [f32; 2] {
        (self.origin + self.along * (x * self.width) + self.down * y).into()
    }

    /// Heights of the upper and of the lower lid at x.
    #[inline]
    pub fn lids(&self, x: f32) -> (f32, f32) {
        let g = x.clamp(0.0, 1.0) * (COLUMNS - 1) as f32;
        let k = (g as usize).min(COLUMNS - 2);
        let f = g - k as f32;
        let at = |v: &[f32; COLUMNS]| v[k] + f * (v[k + 1] - v[k]);
        (at(&self.upper), at(&self.lower))
    }

    /// Height of the end of the upper lid's skin at x.
    #[inline]
    pub fn fold(&self, x: f32) -> f32 {
        let g = x.clamp(0.0, 1.0) * (COLUMNS - 1) as f32;
        let k = (g as usize).min(COLUMNS - 2);
        self.fold[k] + (g - k as f32) * (self.fold[k + 1] - self.fold[k])
    }

    /// Distance of the lids at each column, not below 0.
    pub fn gaps(&self) -> [f32; COLUMNS] {
        std::array::from_fn(|k| (self.lower[k] - self.upper[k]).max(0.0))
    }
}

/// The disc of an iris in a picture: an ellipse.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disc {
    pub centre: Vector2<f32>,
    /// From the unit disc to pixels around the centre.
    pub axes: Matrix2<f32>,
    inverse: Matrix2<f32>,
}

impl Disc {
    /// From points at equal angles around the rim. `None` where they have no area.
    pub fn from_rim(rim: &[[f32; 3]]) -> Option<Disc> {
        let n = rim.len();
        if n < 4 {
            return None;
        }
        let at = |p: &[f32; 3]| Vector2::new(p[0], p[1]);
        let centre = rim.iter().map(at).sum::<Vector2<f32>>() / n as f32;
        // The first harmonic of the rim.
        let mut axes = Matrix2::zeros();
        for (k, p) in rim.iter().enumerate() {
            let (sin, cos) = (std::f32::consts::TAU * k as f32 / n as f32).sin_cos();
            axes += (at(p) - centre) * Vector2::new(cos, sin).transpose() * (2.0 / n as f32);
        }
        Disc::new(centre, axes)
    }

    pub fn new(centre: Vector2<f32>, axes: Matrix2<f32>) -> Option<Disc> {
        // A disc seen from its side has no inverse worth the name.
        let inverse = axes.try_inverse().filter(|_| axes.determinant().abs() > 0.02)?;
        Some(Disc { centre, axes, inverse })
    }

    /// A point of the picture in the disc's coordinates: 1 from the centre on the rim.
    #[inline]
    pub fn local(&self, p: [f32; 2]) -> [f32; 2] {
        (self.inverse * (Vector2::from(p) - self.centre)).into()
    }

    /// The point of the picture at disc coordinates.
    #[inline]
    pub fn point(&self, q: [f32; 2]) -> [f32; 2] {
        (self.centre + self.axes * Vector2::from(q)).into()
    }

    /// Geometric mean of the half axes, pixels.
    pub fn radius(&self) -> f32 {
        self.axes.determinant().abs().sqrt()
    }

    /// What carries the disc of one picture to that of another.
    pub fn linear_to(&self, other: &Disc) -> Matrix2<f32> {
        other.axes * self.inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An eye 40 px wide whose lids are parabolas, turned and shifted.
    fn rims(turn: f32, open: f32) -> [Vec<[f32; 2]>; 2] {
        let (s, c) = turn.sin_cos();
        [-1.0f32, 0.5].map(|side| {
            (0..33)
                .map(|k| {
                    let x = k as f32 / 32.0;
                    let (a, b) = (40.0 * x, side * open * 4.0 * x * (1.0 - x));
                    [100.0 + c * a - s * b, 50.0 + s * a + c * b]
                })
                .collect()
        })
    }

    #[test]
    fn an_opening_knows_its_lids_however_it_is_turned() {
        for turn in [0.0, 0.4, -2.5] {
            let [upper, lower] = rims(turn, 8.0);
            let outline = Outline::new(&upper, &lower, &upper).unwrap();
            assert!((outline.width - 40.0).abs() < 1e-3);
            let (u, l) = outline.lids(0.5);
            assert!((u + 8.0).abs() < 0.05 && (l - 4.0).abs() < 0.05, "{u} {l}");
            let p = outline.point(0.25, 3.0);
            let (x, y) = outline.local(p);
            assert!((x - 0.25).abs() < 1e-4 && (y - 3.0).abs() < 1e-3);
            assert!((outline.gaps()[COLUMNS / 2] - 12.0).abs() < 0.05);
        }
        let [upper, _] = rims(0.0, 8.0);
        assert!(Outline::new(&[upper[0]; 5], &[upper[0]; 5], &upper).is_none());
    }

    #[test]
    fn a_disc_is_found_from_its_rim() {
        let rim: Vec<[f32; 3]> = (0..32)
            .map(|k| {
                let (s, c) = (std::f32::consts::TAU * k as f32 / 32.0).sin_cos();
                [20.0 + 6.0 * c - 1.0 * s, 30.0 + 2.0 * c + 7.0 * s, 5.0 * s]
            })
            .collect();
        let disc = Disc::from_rim(&rim).unwrap();
        assert!((disc.centre - Vector2::new(20.0, 30.0)).norm() < 1e-3);
        assert!((disc.radius() - 44.0f32.sqrt()).abs() < 1e-3);
        let q = disc.local([26.0, 32.0]);
        assert!((q[0] - 1.0).abs() < 1e-3 && q[1].abs() < 1e-3, "{q:?}");
        let p = disc.point(disc.local([17.0, 33.0]));
        assert!((p[0] - 17.0).abs() < 1e-3 && (p[1] - 33.0).abs() < 1e-3);
        assert!(Disc::from_rim(&[[1.0, 2.0, 3.0]; 8]).is_none());
    }
}
