//! The skin of the mean head as a function of direction: `centre + direction * radius(direction)`.
//!
//! The skull is a superellipsoid. What the face adds to it (sockets, nose, lips, chin) is a thin-plate spline through
//! the residuals at some 170 points: the 68 landmarks at human proportions, and points between them that were set
//! by eye. A direction is written as its azimuthal equidistant map around the forward axis, scaled so that lengths
//! near the front are about millimetres; the mesh is triangulated in that plane.

use nalgebra::{DMatrix, DVector};
use std::sync::OnceLock;

/// A point or vector: x to the picture's right, y up, z towards the viewer, millimetres.
pub type P3 = [f64; 3];
/// A direction's map.
pub type P2 = [f64; 2];

/// The point that the head is star-shaped around: the middle of the skull.
pub const CENTRE: P3 = [0.0, 0.0, 20.0];
/// Map units per radian.
const PER_RADIAN: f64 = 100.0;

/// The landmarks on the picture's left and on the middle line, iBUG index and mean position. These 39 points are the mean
/// landmarks of 3DDFA-V2's model, made symmetric and rounded to half a millimetre, so that coordinate codes agree; the
/// extents of [`OUTLINE`] follow that model's too. Nothing else of it is used.
const LANDMARKS: [(usize, P3); 39] = [
    (0, [-73.0, 18.5, 18.0]),
    (1, [-71.0, -1.5, 20.0]),
    (2, [-67.5, -19.5, 22.0]),
    (3, [-63.5, -36.0, 26.0]),
    (4, [-58.0, -53.0, 35.0]),
    (5, [-48.5, -67.0, 51.0]),
    (6, [-37.0, -75.5, 71.0]),
    (7, [-22.0, -82.0, 89.0]),
    (8, [0.0, -86.5, 96.5]),
    (17, [-57.0, 40.5, 80.5]),
    (18, [-49.0, 47.0, 92.5]),
    (19, [-38.0, 49.0, 100.5]),
    (20, [-28.0, 48.0, 106.0]),
    (21, [-19.0, 45.5, 108.5]),
    (27, [0.0, 26.5, 111.5]),
    (28, [0.0, 14.5, 120.5]),
    (29, [0.0, 2.5, 129.5]),
    (30, [0.0, -8.0, 132.0]),
    (31, [-12.0, -17.0, 110.0]),
    (32, [-7.0, -18.0, 114.5]),
    (33, [0.0, -19.5, 116.5]),
    (36, [-43.0, 26.0, 87.5]),
    (37, [-36.5, 30.0, 95.0]),
    (38, [-27.5, 30.0, 95.5]),
    (39, [-19.0, 25.5, 93.0]),
    (40, [-26.5, 23.5, 95.5]),
    (41, [-36.0, 23.0, 93.0]),
    (48, [-25.0, -41.0, 99.0]),
    (49, [-16.5, -35.5, 110.5]),
    (50, [-5.5, -31.5, 116.5]),
    (51, [0.0, -32.5, 117.0]),
    (57, [0.0, -49.0, 114.0]),
    (58, [-8.0, -48.5, 113.0]),
    (59, [-15.5, -45.5, 108.5]),
    (60, [-23.0, -40.5, 100.0]),
    (61, [-7.5, -38.0, 111.5]),
    (62, [0.0, -38.0, 113.0]),
    (66, [0.0, -41.0, 112.5]),
    (67, [-7.5, -40.5, 111.5]),
];

/// The outline of the mesh, from the top of the forehead down the picture's right side to below the chin.
pub const OUTLINE: [P3; 15] = [
    [0.0, 89.0, 91.0],
    [30.0, 86.5, 83.0],
    [52.0, 76.0, 62.0],
    [66.0, 62.0, 38.0],
    [72.0, 45.0, 20.0],
    [75.0, 28.0, 12.5],
    [77.0, 12.0, 12.5],
    [75.0, -6.0, 12.5],
    [71.5, -24.0, 14.0],
    [66.5, -42.0, 19.0],
    [60.0, -59.0, 28.0],
    [50.0, -72.0, 44.0],
    [38.0, -80.5, 65.0],
    [22.5, -87.5, 81.5],
    [0.0, -90.5, 86.0],
];

/// What the landmarks leave open, on the middle line and the picture's right.
const BETWEEN: [P3; 52] = [
    // forehead and temples
    [0.0, 60.0, 110.0],
    [0.0, 75.0, 103.0],
    [25.0, 62.0, 106.5],
    [25.0, 76.0, 98.0],
    [48.0, 58.0, 89.0],
    [46.0, 72.0, 81.0],
    [62.0, 50.0, 64.0],
    [65.5, 36.0, 58.0],
    [72.0, 30.0, 33.0],
    // between the brows, root of the nose, ridge of the brows
    [0.0, 46.0, 109.0],
    [0.0, 34.0, 108.5],
    [38.0, 41.0, 99.5],
    [20.0, 38.5, 102.5],
    [50.0, 37.5, 88.0],
    // lids
    [31.5, 35.0, 96.0],
    [42.0, 32.5, 90.0],
    [21.0, 33.0, 98.0],
    [31.0, 18.0, 94.5],
    [43.0, 17.0, 87.5],
    [19.0, 18.0, 97.0],
    [53.0, 25.0, 78.0],
    // cheeks
    [45.0, 4.0, 90.0],
    [58.0, 8.0, 71.0],
    [67.0, 5.0, 46.0],
    [33.0, -4.0, 99.0],
    [45.0, -18.0, 88.5],
    [57.0, -15.0, 66.0],
    [65.0, -12.0, 42.0],
    // nose
    [14.0, 14.5, 101.5],
    [17.5, 2.0, 101.5],
    [8.5, 3.0, 119.5],
    [6.5, 14.5, 114.0],
    [10.0, 27.0, 104.0],
    [7.0, -5.0, 127.5],
    [12.0, -7.0, 118.0],
    [15.5, -12.0, 111.0],
    [20.5, -13.0, 102.5],
    [6.0, -13.5, 122.5],
    [16.5, -20.0, 106.5],
    // mouth and chin
    [0.0, -26.0, 114.0],
    [7.0, -26.0, 113.8],
    [25.0, -26.0, 102.0],
    [34.0, -38.0, 95.0],
    [29.5, -41.5, 96.5],
    [0.0, -35.5, 117.8],
    [8.5, -35.0, 116.5],
    [0.0, -45.2, 116.0],
    [8.5, -44.8, 115.0],
    [0.0, -56.0, 108.5],
    [14.0, -70.0, 106.0],
    [0.0, -70.0, 110.0],
    [31.0, -60.0, 93.0],
];

/// Jaw and lower cheek.
const LOWER_CHEEK: [P3; 4] = [[44.0, -48.0, 80.0], [53.0, -38.0, 64.0], [0.0, -79.0, 106.0], [20.0, -52.0, 103.0]];

/// The iBUG index that `index` has in a mirror.
pub fn mirrored(index: usize) -> usize {
    match index {
        0..=16 => 16 - index,
        17..=26 => 43 - index,
        27..=30 => index,
        31..=35 => 66 - index,
        36..=39 => 81 - index,
        40..=41 => 87 - index,
        42..=45 => 81 - index,
        46..=47 => 87 - index,
        48..=54 => 102 - index,
        55..=59 => 114 - index,
        60..=64 => 124 - index,
        _ => 132 - index,
    }
}

/// Mean positions of the 68 landmarks.
pub fn landmarks() -> [P3; 68] {
    let mut all = [[0.0; 3]; 68];
    for (i, p) in LANDMARKS {
        all[i] = p;
        all[mirrored(i)] = [-p[0] + 0.0, p[1], p[2]];
    }
    all
}

/// The map of the direction from the centre to `p`.
pub fn to_map(p: P3) -> P2 {
    let [x, y, z] = [p[0] - CENTRE[0], p[1] - CENTRE[1], p[2] - CENTRE[2]];
    let side = x.hypot(y);
    let k = PER_RADIAN * side.atan2(z) / side.max(1e-12);
    [k * x, k * y]
}

/// The unit vector of a map point.
pub fn direction(q: P2) -> P3 {
    let length = q[0].hypot(q[1]);
    let (sin, cos) = (length / PER_RADIAN).sin_cos();
    let k = if length < 1e-9 { 1.0 / PER_RADIAN } else { sin / length };
    [k * q[0], k * q[1], cos]
}

/// Radius of the plain skull.
fn skull(d: P3) -> f64 {
    let axes = [76.0, if d[1] > 0.0 { 122.0 } else { 92.0 }, if d[2] > 0.0 { 90.0 } else { 104.0 }];
    // The crown is broader than an ellipsoid's.
    const POWER: f64 = 2.55;
    (0..3).map(|c| (d[c].abs() / axes[c]).powf(POWER)).sum::<f64>().powf(-1.0 / POWER)
}

/// The thin-plate spline: knots, their weights, and an affine part.
struct Spline {
    knots: Vec<P2>,
    weights: Vec<f64>,
}

fn kernel(a: P2, b: P2) -> f64 {
    let r2 = (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
    if r2 < 1e-18 { 0.0 } else { 1e-3 * r2 * r2.ln() }
}

fn spline() -> &'static Spline {
    static SPLINE: OnceLock<Spline> = OnceLock::new();
    SPLINE.get_or_init(|| {
        let mut points: Vec<P3> = landmarks().to_vec();
        for p in OUTLINE.iter().chain(&BETWEEN).chain(&LOWER_CHEEK) {
            points.push(*p);
            if p[0] > 0.0 {
                points.push([-p[0], p[1], p[2]]);
            }
        }
        let mut knots: Vec<P2> = points.iter().map(|p| to_map(*p)).collect();
        let mut values: Vec<f64> = points
            .iter()
            .map(|p| {
                let d = [p[0] - CENTRE[0], p[1] - CENTRE[1], p[2] - CENTRE[2]];
                d.iter().map(|v| v * v).sum::<f64>().sqrt() - skull(direction(to_map(*p)))
            })
            .collect();
        // Behind the ears the skull is plain.
        for ring in [230.0, 270.0] {
            for k in 0..16 {
                let (sin, cos) = (std::f64::consts::TAU * (k as f64 + 0.5) / 16.0).sin_cos();
                knots.push([ring * sin, ring * cos]);
                values.push(0.0);
            }
        }
        let n = knots.len();
        let a = DMatrix::from_fn(n + 3, n + 3, |i, j| match (i < n, j < n) {
            (true, true) => kernel(knots[i], knots[j]),
            (true, false) => affine(knots[i])[j - n],
            (false, true) => affine(knots[j])[i - n],
            (false, false) => 0.0,
        });
        let b = DVector::from_fn(n + 3, |i, _| if i < n { values[i] } else { 0.0 });
        // The knots are constants and all differ, so the system has a solution; a test checks what comes out.
        let weights = a.lu().solve(&b).map_or_else(|| vec![0.0; n + 3], |w| w.iter().copied().collect());
        Spline { knots, weights }
    })
}

fn affine(q: P2) -> P3 {
    [1.0, 0.01 * q[0], 0.01 * q[1]]
}

/// Distance of the mean head's skin from the centre in the direction of map point `q`.
pub fn radius(q: P2) -> f64 {
    let s = spline();
    let n = s.knots.len();
    let bent: f64 = s.knots.iter().zip(&s.weights).map(|(k, w)| w * kernel(*k, q)).sum();
    let flat: f64 = affine(q).iter().zip(&s.weights[n..]).map(|(a, w)| a * w).sum();
    let length = q[0].hypot(q[1]);
    skull(direction(q)) + (bent + flat) * (1.0 - smoothstep(230.0, 270.0, length))
}

/// The mean head's skin at map point `q`.
pub fn point(q: P2) -> P3 {
    let (d, r) = (direction(q), radius(q));
    std::array::from_fn(|c| CENTRE[c] + r * d[c])
}

/// 0 below `a`, 1 above `b`, smooth between.
pub fn smoothstep(a: f64, b: f64, x: f64) -> f64 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A smooth curve through points (Catmull-Rom; the ends are straight), `steps` points per segment, both ends included.
pub fn curve<const N: usize>(points: &[[f64; N]], steps: usize) -> Vec<[f64; N]> {
    let last = points.len() - 1;
    let mut out = Vec::with_capacity(last * steps + 1);
    for i in 0..last {
        let (b, c) = (points[i], points[i + 1]);
        let a = if i == 0 { std::array::from_fn(|k| 2.0 * b[k] - c[k]) } else { points[i - 1] };
        let d = if i + 1 == last { std::array::from_fn(|k| 2.0 * c[k] - b[k]) } else { points[i + 2] };
        for s in 0..steps {
            let t = s as f64 / steps as f64;
            out.push(std::array::from_fn(|k| {
                let (m0, m1) = (0.5 * (c[k] - a[k]), 0.5 * (d[k] - b[k]));
                let (t2, t3) = (t * t, t * t * t);
                (2.0 * t3 - 3.0 * t2 + 1.0) * b[k]
                    + (t3 - 2.0 * t2 + t) * m0
                    + (3.0 * t2 - 2.0 * t3) * c[k]
                    + (t3 - t2) * m1
            }));
        }
    }
    out.push(points[last]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surface_goes_through_its_knots() {
        for p in landmarks().iter().chain(&OUTLINE).chain(&BETWEEN) {
            let s = point(to_map(*p));
            assert!((0..3).all(|c| (s[c] - p[c]).abs() < 1e-6), "{p:?} {s:?}");
        }
    }

    #[test]
    fn the_surface_is_symmetric_and_closed_behind() {
        for q in [[30.0, 20.0], [5.0, -7.0], [120.0, -40.0], [10.0, 300.0]] {
            let (a, b) = (point(q), point([-q[0], q[1]]));
            assert!((a[0] + b[0]).abs() < 1e-6 && (a[1] - b[1]).abs() < 1e-6 && (a[2] - b[2]).abs() < 1e-6);
            assert!(radius(q) > 60.0 && radius(q) < 160.0);
        }
    }

    #[test]
    fn mirroring_twice_is_nothing() {
        assert!((0..68).all(|i| mirrored(mirrored(i)) == i));
        assert_eq!(mirrored(36), 45);
        assert_eq!(mirrored(41), 46);
        assert_eq!(mirrored(59), 55);
        assert_eq!(mirrored(67), 65);
    }
}
