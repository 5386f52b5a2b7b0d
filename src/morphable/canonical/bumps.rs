//! Displacement fields made of Gaussian bumps: what identity and expression modes are written in.

use crate::morphable::canonical::surface::P3;

/// How a bump behaves on the other side of the face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Side {
    /// Only here.
    One,
    /// Here and mirrored there.
    Both,
    /// Here, and the opposite there: what is asymmetric.
    Opposite,
}

/// A push of `push` millimetres at `at` that fades with distance: `exp(-sum(((p - at) / width)^2) / 2)`.
#[derive(Debug, Clone, Copy)]
pub struct Bump {
    pub at: [f64; 2],
    pub width: [f64; 2],
    pub push: P3,
    pub side: Side,
}

/// A bump on both sides.
pub const fn both(at: [f64; 2], width: [f64; 2], push: P3) -> Bump {
    Bump { at, width, push, side: Side::Both }
}

/// A bump at one position.
pub const fn one(at: [f64; 2], width: [f64; 2], push: P3) -> Bump {
    Bump { at, width, push, side: Side::One }
}

/// A bump whose mirror image pushes the other way.
pub const fn opposite(at: [f64; 2], width: [f64; 2], push: P3) -> Bump {
    Bump { at, width, push, side: Side::Opposite }
}

impl Bump {
    /// The displacement at `p` (without the fading towards the back of the head).
    pub fn field(&self, p: P3) -> P3 {
        let weight = |x: f64| {
            let (a, b) = ((p[0] - x) / self.width[0], (p[1] - self.at[1]) / self.width[1]);
            (-0.5 * (a * a + b * b)).exp()
        };
        let here = weight(self.at[0]);
        let [x, y, z] = self.push;
        match self.side {
            Side::One => [x * here, y * here, z * here],
            Side::Both => {
                let there = weight(-self.at[0]);
                [x * (here - there), y * (here + there), z * (here + there)]
            }
            Side::Opposite => {
                let there = weight(-self.at[0]);
                [x * (here + there), y * (here - there), z * (here - there)]
            }
        }
    }
}

/// The sum of bumps at `p`.
pub fn sum(bumps: &[Bump], p: P3) -> P3 {
    bumps.iter().fold([0.0; 3], |sum, b| {
        let f = b.field(p);
        std::array::from_fn(|c| sum[c] + f[c])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides() {
        let p = [30.0, 5.0, 90.0];
        let m = [-30.0, 5.0, 90.0];
        let (a, b) = ([20.0, 0.0], [10.0, 10.0]);
        let (l, r) = (both(a, b, [1.0, 2.0, 3.0]).field(p), both(a, b, [1.0, 2.0, 3.0]).field(m));
        assert!((l[0] + r[0]).abs() < 1e-12 && (l[1] - r[1]).abs() < 1e-12 && l[0] > 0.0);
        let (l, r) = (opposite(a, b, [1.0, 2.0, 3.0]).field(p), opposite(a, b, [1.0, 2.0, 3.0]).field(m));
        assert!((l[0] - r[0]).abs() < 1e-12 && (l[2] + r[2]).abs() < 1e-12);
        assert_eq!(one([30.0, 5.0], b, [1.0, 2.0, 3.0]).field(p), [1.0, 2.0, 3.0]);
    }
}
