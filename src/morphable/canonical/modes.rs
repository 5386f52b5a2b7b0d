//! What the coefficients do: 40 identity modes (one unit is about one standard deviation of adult faces) and 10
//! expression modes (0 is rest, 1 a strong expression; negative values run backwards). Each is a displacement field over
//! the mean head, so that skull, eyes, ears and hair, which are not part of the mesh, follow.

use std::sync::OnceLock;

use crate::morphable::canonical::bumps::{Bump, both, one, opposite, sum};
use crate::morphable::canonical::surface::{P3, curve, landmarks, point, smoothstep, to_map};

/// Number of identity modes.
pub const SHAPE_DIM: usize = 40;
/// Number of expression modes.
pub const EXPR_DIM: usize = 10;

/// The expression modes of the canonical head: indices into the coefficients. Left and right are the person's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum ExpressionMode {
    /// 1 is wide open, slightly negative presses the lips together.
    JawOpen,
    /// Corners of the mouth out and up.
    Smile,
    /// Corners of the mouth down.
    Frown,
    /// Lips narrow and forward.
    Pucker,
    /// Corners of the mouth apart.
    Wide,
    /// Both brows up.
    BrowRaise,
    /// Brows down and together.
    BrowLower,
    /// 1 is closed.
    BlinkLeft,
    /// 1 is closed.
    BlinkRight,
    /// Positive moves the mouth to the person's left, which is the picture's right.
    MouthSide,
}

/// Names of the expression modes, in the order of their coefficients.
pub const EXPRESSION_NAMES: [&str; EXPR_DIM] = [
    "jaw open",
    "smile",
    "frown",
    "pucker",
    "wide",
    "brow raise",
    "brow lower",
    "blink left",
    "blink right",
    "mouth sideways",
];

/// The hinge of the jaw (its height and depth), millimetres.
pub const HINGE: [f64; 2] = [8.0, 18.0];
/// Angle of the jaw at a coefficient of 1, radians.
pub const JAW_ANGLE: f64 = 0.28;

/// Modes 0 to 5 shape the whole head: displacement per millimetre from the middle.
fn whole_head(mode: usize, p: P3) -> P3 {
    let [x, y, z] = p;
    let lower = 1.0 - smoothstep(-60.0, 20.0, y);
    match mode {
        // width, height, depth
        0 => [0.045 * x, 0.0, 0.0],
        1 => [0.0, 0.045 * y, 0.0],
        2 => [0.0, 0.0, 0.04 * (z - 20.0)],
        // jaw against forehead, length of the lower face, how flat the face is
        3 => [x * (0.075 * lower - 0.03 * smoothstep(0.0, 80.0, y)), 0.0, 0.0],
        4 => [0.0, -3.6 * (1.0 - smoothstep(-85.0, 0.0, y)), 0.0],
        _ => [0.0, 0.0, 0.0007 * x * x * smoothstep(20.0, 80.0, z)],
    }
}

/// Modes 6 to 39.
const LOCAL: [&[Bump]; 34] = [
    // 6 chin forward, 7 chin width, 8 chin height
    &[one([0.0, -72.0], [20.0, 16.0], [0.0, -0.5, 3.6])],
    &[both([16.0, -74.0], [11.0, 13.0], [2.6, 0.0, 0.4])],
    &[one([0.0, -80.0], [26.0, 16.0], [0.0, -3.2, 0.0])],
    // 9 cheekbones out, 10 cheeks full, 11 cheeks forward
    &[both([60.0, 4.0], [13.0, 17.0], [2.6, 0.0, 1.6])],
    &[both([46.0, -28.0], [15.0, 18.0], [2.2, 0.0, 2.8])],
    &[both([40.0, 3.0], [14.0, 14.0], [0.0, 0.8, 2.6])],
    // 12 angle of the jaw out, 13 its height, 14 temples
    &[both([60.0, -48.0], [13.0, 17.0], [3.0, 0.0, 0.0])],
    &[both([55.0, -58.0], [15.0, 15.0], [0.6, -3.4, 0.0])],
    &[both([66.0, 45.0], [13.0, 20.0], [2.2, 0.0, 1.2])],
    // 15 forehead high, 16 forehead forward, 17 ridge of the brows
    &[one([0.0, 88.0], [60.0, 26.0], [0.0, 3.6, 0.0])],
    &[one([0.0, 74.0], [46.0, 22.0], [0.0, 0.0, 3.0])],
    &[both([28.0, 45.0], [21.0, 7.0], [0.0, -0.4, 2.2])],
    // 18 brows high, 19 their slope, 20 brows apart
    &[both([36.0, 48.0], [24.0, 8.0], [0.0, 2.3, 0.0])],
    &[both([54.0, 44.0], [13.0, 8.0], [0.0, 1.8, 0.0]), both([22.0, 46.0], [10.0, 8.0], [0.0, -1.2, 0.0])],
    &[both([30.0, 47.0], [22.0, 8.0], [1.6, 0.0, 0.0])],
    // 21 eyes apart, 22 eyes wide open, 23 eyes long, 24 their slope, 25 eyes deep, 26 eyes high
    &[both([31.0, 27.0], [19.0, 16.0], [1.7, 0.0, 0.0])],
    &[both([31.5, 31.5], [9.0, 2.8], [0.0, 1.0, 0.1]), both([31.5, 21.5], [9.0, 2.8], [0.0, -0.6, 0.0])],
    &[both([43.5, 26.0], [7.0, 8.0], [1.5, 0.0, -0.5]), both([18.5, 26.0], [6.0, 8.0], [-0.6, 0.0, 0.0])],
    &[both([44.0, 27.0], [9.0, 10.0], [0.0, 1.5, 0.0]), both([18.0, 26.0], [8.0, 8.0], [0.0, -0.7, 0.0])],
    &[both([31.0, 27.0], [15.0, 11.0], [0.0, 0.0, -2.0])],
    &[both([32.0, 27.0], [22.0, 13.0], [0.0, 1.7, 0.0])],
    // 27 nose long, 28 nostrils wide, 29 tip forward, 30 bridge high, 31 bridge wide, 32 tip up, 33 hump
    &[one([0.0, -12.0], [18.0, 14.0], [0.0, -2.7, 0.0])],
    &[both([15.0, -13.0], [6.0, 8.0], [1.9, 0.0, 0.0])],
    &[one([0.0, -8.0], [11.0, 13.0], [0.0, 0.0, 3.0])],
    &[one([0.0, 20.0], [7.5, 14.0], [0.0, 0.0, 2.3])],
    &[both([10.0, 12.0], [5.5, 18.0], [2.2, 0.0, 1.2])],
    &[one([0.0, -9.0], [10.0, 8.0], [0.0, 2.2, 0.0])],
    &[one([0.0, 13.0], [6.5, 8.0], [0.0, 0.0, 1.8])],
    // 34 mouth wide, 35 mouth high, 36 upper lip full, 37 lower lip full, 38 lips forward
    &[both([25.0, -41.0], [10.0, 12.0], [2.4, 0.0, -0.8])],
    &[one([0.0, -41.0], [32.0, 14.0], [0.0, 1.8, 0.0])],
    &[one([0.0, -32.5], [17.0, 3.2], [0.0, 1.2, 0.5])],
    &[one([0.0, -49.0], [16.0, 3.6], [0.0, -1.4, 0.6])],
    &[one([0.0, -41.0], [21.0, 11.0], [0.0, 0.0, 2.4])],
    // 39 the small asymmetry that everybody has
    &[
        one([0.0, -60.0], [50.0, 34.0], [1.2, 0.0, 0.0]),
        opposite([34.0, 36.0], [20.0, 18.0], [0.0, 0.7, 0.0]),
        one([0.0, -8.0], [12.0, 12.0], [-0.8, 0.0, 0.0]),
    ],
];

/// Displacement of one unit of identity mode `mode` (below [`SHAPE_DIM`]) at a point of the mean head.
pub fn identity(mode: usize, p: P3) -> P3 {
    if mode < 6 {
        return whole_head(mode, p);
    }
    // What shapes the nose must not dent the back of the head.
    let front = smoothstep(-10.0, 35.0, p[2]);
    sum(LOCAL[mode - 6], p).map(|v| v * front)
}

/// Displacement of all identity coefficients at a point of the mean head.
pub fn identity_sum(shape: &[f32], p: P3) -> P3 {
    weighted(shape, SHAPE_DIM, |k| identity(k, p))
}

fn weighted(coefficients: &[f32], dim: usize, mode: impl Fn(usize) -> P3) -> P3 {
    let mut sum = [0.0; 3];
    for (k, &a) in coefficients.iter().enumerate().take(dim).filter(|(_, a)| **a != 0.0) {
        let f = mode(k);
        for c in 0..3 {
            sum[c] += f64::from(a) * f[c];
        }
    }
    sum
}

/// The lids and lips of the mean head as height over x.
pub struct Edges {
    /// Upper and lower lid of the picture's right eye, from the inner to the outer corner.
    pub upper_lid: Vec<P3>,
    pub lower_lid: Vec<P3>,
    /// The inner rims of the lips' right half, from the middle to the corner.
    pub upper_lip: Vec<P3>,
    pub lower_lip: Vec<P3>,
    /// The outer rims.
    pub upper_lip_outer: Vec<P3>,
    pub lower_lip_outer: Vec<P3>,
}

/// The edges that the modes and the mesh share.
pub fn edges() -> &'static Edges {
    static EDGES: OnceLock<Edges> = OnceLock::new();
    EDGES.get_or_init(|| {
        let l = landmarks();
        // On the skin, where the mesh will have its vertices.
        let through = |list: &[usize], steps: usize| -> Vec<P3> {
            let points: Vec<P3> = list.iter().map(|&i| l[i]).collect();
            curve(&points, steps).into_iter().map(|p| point(to_map(p))).collect()
        };
        // From the middle: the curve runs through the mirror image too, so that it is level at x = 0.
        let half = |list: &[usize], steps: usize| through(list, steps).split_off(steps);
        Edges {
            upper_lid: through(&[42, 43, 44, 45], 4),
            lower_lid: through(&[42, 47, 46, 45], 4),
            upper_lip: half(&[61, 62, 63, 64], 5),
            lower_lip: half(&[67, 66, 65, 64], 5),
            upper_lip_outer: half(&[50, 51, 52, 53, 54], 4),
            lower_lip_outer: half(&[58, 57, 56, 55, 54], 4),
        }
    })
}

/// Height of an edge at `x`, held beyond its ends.
pub fn height<const N: usize>(edge: &[[f64; N]], x: f64) -> f64 {
    let after = edge.partition_point(|p| p[0] < x);
    if after == 0 {
        return edge[0][1];
    }
    if after == edge.len() {
        return edge[after - 1][1];
    }
    let (a, b) = (edge[after - 1], edge[after]);
    a[1] + (b[1] - a[1]) * (x - a[0]) / (b[0] - a[0])
}

/// How much a point of the skin moves with the jaw: 0 the upper lip and all above, 1 the lower lip and the chin.
pub fn jaw_weight(p: P3) -> f64 {
    let e = edges();
    let x = p[0].abs();
    jaw_share(p, 0.5 * (height(&e.upper_lip, x) + height(&e.lower_lip, x)) - p[1])
}

/// As [`jaw_weight`] for a mouth whose lips part `below` millimetres above `p`.
pub fn jaw_share(p: P3, below: f64) -> f64 {
    let x = p[0].abs();
    // Sharp where the lips part, to an ellipse; soft from the corners on outwards.
    let lips = (1.0 - (x / 23.2).powi(2)).max(0.0).sqrt();
    let far = smoothstep(0.0, 18.0 + 0.8 * (x - 23.0).max(0.0), below.abs());
    let side = 0.5 + (smoothstep(-0.15, 0.15, below) - 0.5) * (lips + (1.0 - lips) * far);
    // The head behind the jaw stays.
    side * smoothstep(-5.0, 38.0, p[2] - 0.25 * (p[1] + 40.0))
}

/// Displacement of what moves rigidly with the jaw (lower teeth, tongue) at a coefficient of 1, linearised.
pub fn jaw(p: P3) -> P3 {
    let (y, z) = (p[1] - HINGE[0], p[2] - HINGE[1]);
    // The joint slides forward while it turns, which takes back some of the chin's way backwards.
    [0.0, -JAW_ANGLE * z, 0.55 * JAW_ANGLE * y]
}

/// Displacement of expression mode `mode` (in the order of [`crate::morphable::canonical::ExpressionMode`]) at a point of the mean head's
/// skin at a coefficient of 1.
pub fn expression(mode: usize, p: P3) -> P3 {
    const SMILE: [Bump; 5] = [
        both([25.0, -41.0], [10.0, 10.0], [6.0, 6.5, -4.5]),
        both([12.0, -40.0], [9.0, 9.0], [1.5, 0.0, -1.5]),
        both([41.0, -8.0], [14.0, 13.0], [1.5, 3.6, 2.8]),
        both([31.0, 20.0], [13.0, 4.5], [0.0, 1.3, 0.4]),
        both([16.0, -14.0], [5.5, 6.0], [1.2, 0.6, -0.4]),
    ];
    const FROWN: [Bump; 3] = [
        both([25.0, -43.0], [9.0, 10.0], [1.0, -6.0, -0.5]),
        one([0.0, -46.0], [13.0, 9.0], [0.0, 2.0, 1.0]),
        both([17.0, -58.0], [11.0, 9.0], [0.0, -1.5, 0.8]),
    ];
    const PUCKER: [Bump; 3] = [
        both([24.0, -41.0], [9.0, 11.0], [-9.5, 0.0, 3.0]),
        one([0.0, -41.0], [16.0, 12.0], [0.0, 0.0, 6.0]),
        both([36.0, -34.0], [12.0, 16.0], [-2.5, 0.0, -1.0]),
    ];
    const WIDE: [Bump; 3] = [
        both([25.0, -41.0], [10.0, 11.0], [7.5, 0.0, -5.0]),
        one([0.0, -41.0], [18.0, 9.0], [0.0, 0.0, -2.0]),
        both([38.0, -40.0], [10.0, 15.0], [2.0, 0.0, 1.0]),
    ];
    const BROWS_UP: [Bump; 3] = [
        both([36.0, 48.0], [22.0, 9.0], [0.0, 7.5, 0.8]),
        both([30.0, 66.0], [26.0, 12.0], [0.0, 3.0, 0.4]),
        both([31.0, 33.0], [10.0, 3.0], [0.0, 0.9, 0.0]),
    ];
    const BROWS_DOWN: [Bump; 2] =
        [both([19.0, 46.0], [12.0, 8.0], [-3.2, -5.0, 1.6]), both([40.0, 47.0], [18.0, 8.0], [-1.0, -3.2, 0.4])];
    const SIDEWAYS: [Bump; 2] =
        [one([0.0, -42.0], [28.0, 13.0], [7.0, 0.0, 0.0]), one([0.0, -72.0], [40.0, 20.0], [2.5, 0.0, 0.0])];
    let front = smoothstep(0.0, 40.0, p[2]);
    let bumps = |list: &[Bump]| sum(list, p).map(|v| v * front);
    match mode {
        0 => jaw(p).map(|v| v * jaw_weight(p)),
        1 => bumps(&SMILE),
        2 => bumps(&FROWN),
        3 => bumps(&PUCKER),
        4 => bumps(&WIDE),
        5 => bumps(&BROWS_UP),
        6 => bumps(&BROWS_DOWN),
        // "Left" and "right" are the person's own: the left eye is on the picture's right.
        7 => blink(p),
        8 => {
            let [x, y, z] = blink([-p[0], p[1], p[2]]);
            [-x, y, z]
        }
        _ => bumps(&SIDEWAYS),
    }
}

/// Closes the eye at positive x.
fn blink(p: P3) -> P3 {
    let e = edges();
    close_lids(p, height(&e.upper_lid, p[0]), height(&e.lower_lid, p[0]))
}

/// Closes the eye at positive x whose lids have these heights at the point's x: both meet a little above the lower
/// one's position, and what lies between them (nothing, where the eye is an opening of the mesh) goes to where they meet.
pub fn close_lids(p: P3, upper: f64, lower: f64) -> P3 {
    if p[0] < 5.0 || p[2] < 40.0 {
        return [0.0; 3];
    }
    let meet = lower + 0.14 * (upper - lower);
    let (way, fade) = if p[1] >= 0.5 * (upper + lower) {
        (meet - p[1].min(upper), 1.0 - smoothstep(0.0, 13.0, p[1] - upper))
    } else {
        (meet - p[1].max(lower), 1.0 - smoothstep(0.0, 9.0, lower - p[1]))
    };
    // The lid slides over the ball of the eye.
    [0.0, way * fade, 0.10 * way.abs() * fade]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_have_rising_x() {
        let e = edges();
        for edge in [&e.upper_lid, &e.lower_lid, &e.upper_lip, &e.lower_lip, &e.upper_lip_outer, &e.lower_lip_outer] {
            assert!(edge.windows(2).all(|w| w[1][0] > w[0][0]), "{edge:?}");
        }
        assert_eq!(e.upper_lip[0][0], 0.0);
    }

    #[test]
    fn the_jaw_takes_the_lower_lip_only() {
        let e = edges();
        for x in [0.0, 4.0, 8.0] {
            assert!(jaw_weight([x, height(&e.upper_lip, x), 112.0]) < 0.09);
            assert!(jaw_weight([x, height(&e.lower_lip, x), 112.0]) > 0.9);
        }
        assert!(jaw_weight([0.0, -86.0, 96.0]) > 0.98 && jaw_weight([0.0, 0.0, 125.0]) == 0.0);
    }

    #[test]
    fn modes_of_identity_are_symmetric_but_the_last() {
        for k in 0..SHAPE_DIM {
            let mut size = 0.0f64;
            for p in landmarks() {
                let (a, b) = (identity(k, p), identity(k, [-p[0], p[1], p[2]]));
                size = size.max(a.iter().fold(0.0, |m, v| m.max(v.abs())));
                if k < SHAPE_DIM - 1 {
                    assert!((a[0] + b[0]).abs() < 1e-9 && (a[1] - b[1]).abs() < 1e-9 && (a[2] - b[2]).abs() < 1e-9);
                }
            }
            assert!(size > 0.4 && size < 9.0, "mode {k}: {size} mm");
        }
    }
}
