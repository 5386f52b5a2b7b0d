//! The jaw and the lips: shapes that must know where a model's lips part.

use super::face::{Face, toward_left};
use crate::morphable::ArkitShape;
use crate::morphable::canonical::bumps::{Bump, both, one, sum};
use crate::morphable::canonical::modes;
use crate::morphable::canonical::surface::{P3, smoothstep};

/// Where a point lies about the lips.
struct AtLips {
    p: P3,
    /// Share of the lower lip and the jaw, 0..1; the upper lip has the rest.
    lower: f64,
    /// The inner rims of upper and lower lip at the point's x.
    rims: [P3; 2],
    /// Their shares of the jaw.
    rim_shares: [f64; 2],
    /// Height of the red of upper and lower lip there, millimetres.
    red: [f64; 2],
    /// How far above the upper and below the lower rim the point lies, millimetres.
    off: [f64; 2],
    /// 1 in the middle of the mouth, 0 at its corners.
    across: f64,
    /// 0 on the back of the head.
    front: f64,
}

/// How far above or below the line where lips part a rim lies at least, millimetres.
const APART: f64 = 0.15;

/// 1 at `x` of 0, with this standard deviation.
fn bell(x: f64, width: f64) -> f64 {
    (-0.5 * (x / width).powi(2)).exp()
}

/// 1 below `a`, 0 above `b`.
fn fade(a: f64, b: f64, x: f64) -> f64 {
    1.0 - smoothstep(a, b, x)
}

/// One half of the lips; along the middle line both halves meet.
fn half(p: P3, left: bool) -> f64 {
    smoothstep(-9.0, 9.0, toward_left(p, left)[0])
}

impl AtLips {
    fn new(p: P3, face: &Face) -> AtLips {
        let rims = face.lip_rims(p[0]);
        let borders = face.lip_borders(p[0]);
        let corner = face.lip_corner();
        // Rims that touch at rest are still of two lips.
        let middle = 0.5 * (rims[0][1] + rims[1][1]);
        let share = |side: usize, apart: f64| {
            let below = middle - rims[side][1];
            modes::jaw_share(rims[side], if side == 0 { below.min(-apart) } else { below.max(apart) })
        };
        AtLips {
            p,
            lower: modes::jaw_share(p, face.lines.below_lips(p)),
            rims,
            rim_shares: [share(0, APART), share(1, APART)],
            red: [(borders[0][1] - rims[0][1]).max(0.5), (rims[1][1] - borders[1][1]).max(0.5)],
            off: [(p[1] - rims[0][1]).max(0.0), (rims[1][1] - p[1]).max(0.0)],
            across: fade(0.45 * corner, 1.05 * corner, p[0].abs()),
            front: smoothstep(0.0, 40.0, p[2]),
        }
    }

    fn share(&self, side: usize) -> f64 {
        if side == 0 { 1.0 - self.lower } else { self.lower }
    }

    /// As [`AtLips::share`], stretched so that the rims are wholly of one lip wherever they part.
    fn side(&self, side: usize) -> f64 {
        let [upper, lower] = self.rim_shares;
        let stretched = ((self.lower - upper) / (lower - upper).max(1e-3)).clamp(0.0, 1.0);
        if side == 0 { 1.0 - stretched } else { stretched }
    }

    /// A push of a whole lip (0 upper, 1 lower), `width` wide, all of it as far as `full` millimetres from its inner rim,
    /// none beyond `none`.
    fn lip(&self, side: usize, width: f64, full: f64, none: f64, push: P3) -> P3 {
        let w = self.share(side) * bell(self.p[0], width) * fade(full, none, self.off[side]) * self.front;
        push.map(|v| v * w)
    }

    /// Brings the rims together by this share of their gap, so that they meet nearer to the upper one.
    fn together(&self, share: f64) -> P3 {
        let gap = share * (self.rims[0][1] - self.rims[1][1]) * self.front;
        let upper = -0.4 * gap * self.side(0) * fade(2.0, 14.0, self.off[0]);
        let lower = 0.6 * gap * self.side(1) * fade(2.0, 18.0, self.off[1]);
        [0.0, upper + lower, 0.0]
    }

    /// Rolls a lip in over the teeth: its red goes back and shrinks towards its rim.
    fn roll(&self, side: usize) -> P3 {
        let red = self.red[side];
        let t = self.off[side] / red;
        let up = 0.15 + 0.55 * smoothstep(0.0, 1.0, t);
        let back = 4.2 * fade(0.2, 2.6, t);
        let reach = fade(1.0, 1.0 + 10.0 / red, t);
        let w = self.share(side) * self.across * self.front;
        let sign = if side == 0 { -1.0 } else { 1.0 };
        [0.0, sign * up * red * reach * w, -back * w]
    }
}

/// The jaw and what hangs on it at a coefficient of 1, millimetres.
pub(super) fn jaw_open(p: P3, face: &Face) -> P3 {
    // The skin of the chin is drawn further down than the jaw goes, and beside the mouth it does not come inwards.
    const CHIN: [Bump; 5] = [
        both([23.0, -51.0], [8.0, 7.0], [3.2, 0.0, 0.0]),
        both([27.5, -50.0], [5.5, 5.5], [1.6, -1.2, 0.0]),
        both([26.0, -68.0], [12.0, 13.0], [1.4, 1.0, 0.0]),
        one([0.0, -57.0], [9.0, 5.5], [0.0, -2.6, 0.0]),
        one([0.0, -90.0], [20.0, 10.0], [0.0, -3.2, 0.0]),
    ];
    let share = modes::jaw_share(p, face.lines.below_lips(p));
    let (hangs, chin) = (hanging(p, share), sum(&CHIN, p));
    let front = smoothstep(0.0, 40.0, p[2]);
    std::array::from_fn(|c| hangs[c] + chin[c] * share * front)
}

/// How a point with this share of the jaw moves when the jaw opens.
fn hanging(p: P3, share: f64) -> P3 {
    // The corners are drawn in a little, and stay above.
    const CORNERS: [Bump; 1] = [both([24.0, -41.0], [8.0, 9.0], [-2.2, 1.8, 1.0])];
    let (jaw, corners) = (modes::jaw(p), sum(&CORNERS, p));
    let front = smoothstep(0.0, 40.0, p[2]);
    std::array::from_fn(|c| jaw[c] * share + corners[c] * front)
}

/// Brings the lips of a jaw at 1 together: the upper one comes down a little, the lower one does the rest.
fn mouth_close(p: P3, face: &Face) -> P3 {
    const UPPER: f64 = 0.27;
    let at = AtLips::new(p, face);
    let [upper, lower]: [P3; 2] = [0, 1].map(|side| {
        let (r, d) = (at.rims[side], hanging(at.rims[side], at.rim_shares[side]));
        std::array::from_fn(|c| r[c] + d[c])
    });
    let up = at.side(0) * fade(1.0, 17.0, at.off[0]) * at.front;
    let down = at.side(1) * fade(4.0, 36.0, at.off[1]) * at.front;
    std::array::from_fn(|c| {
        let gap = if c == 0 { 0.0 } else { upper[c] - lower[c] };
        (1.0 - UPPER) * gap * down - UPPER * gap * up
    })
}

/// Displacement of a shape of the jaw or the mouth at a coefficient of 1, millimetres; nothing for others.
pub(super) fn mouth(shape: ArkitShape, p: P3, face: &Face) -> P3 {
    use ArkitShape as S;
    // What is on one side is written for the left.
    // The skin below the corner of the mouth goes less far than the corner, here and below.
    const SMILE: [Bump; 6] = [
        one([26.0, -39.8], [8.5, 8.5], [8.2, 10.0, -4.8]),
        one([12.0, -40.0], [9.0, 9.0], [1.5, 0.8, -1.5]),
        one([41.0, -8.0], [14.0, 13.0], [2.0, 4.5, 3.2]),
        one([16.0, -14.0], [5.5, 6.0], [1.2, 0.6, -0.4]),
        one([48.0, -28.0], [10.0, 12.0], [1.5, 0.8, 0.0]),
        one([28.5, -49.5], [5.0, 5.0], [-1.0, -1.0, 0.2]),
    ];
    const FROWN: [Bump; 4] = [
        one([25.0, -41.5], [7.0, 6.5], [1.0, -8.3, -1.0]),
        one([18.0, -57.0], [10.0, 9.0], [0.0, -0.8, 1.0]),
        one([12.0, -44.0], [8.0, 7.0], [0.0, -0.8, 0.0]),
        one([28.5, -49.5], [5.0, 5.0], [-0.3, 2.0, 0.2]),
    ];
    const DIMPLE: [Bump; 3] = [
        one([25.5, -41.0], [6.0, 6.5], [5.6, 1.0, -5.5]),
        one([34.0, -40.0], [6.0, 11.0], [-1.8, 0.0, 2.0]),
        one([29.0, -49.0], [4.5, 4.5], [-1.5, -0.4, 0.4]),
    ];
    const STRETCH: [Bump; 4] = [
        one([25.0, -41.5], [7.0, 7.5], [9.0, -3.8, -4.5]),
        one([46.0, -36.0], [11.0, 14.0], [2.6, -1.5, 0.8]),
        one([14.0, -50.0], [9.0, 8.0], [1.0, -2.0, -0.5]),
        one([28.5, -49.5], [5.0, 5.0], [-2.0, 0.6, 0.5]),
    ];
    const TIGHT: [Bump; 2] =
        [one([26.0, -41.0], [6.0, 8.0], [-0.9, 0.6, -1.4]), one([31.0, -40.0], [7.0, 11.0], [1.2, 0.4, 0.4])];
    const FUNNEL: [Bump; 3] = [
        both([25.0, -41.0], [7.5, 7.5], [-6.2, 0.0, 5.0]),
        both([37.0, -36.0], [12.0, 16.0], [-1.0, 0.0, -0.6]),
        both([30.0, -48.5], [5.0, 5.0], [1.6, 0.0, 0.0]),
    ];
    const PUCKER: [Bump; 5] = [
        both([25.0, -41.0], [8.0, 8.5], [-10.8, 0.0, 4.5]),
        both([14.0, -41.0], [7.0, 6.5], [-2.6, 0.0, 0.0]),
        both([29.0, -49.5], [5.0, 5.0], [2.6, -0.6, 0.0]),
        one([0.0, -41.0], [15.0, 12.0], [0.0, 0.0, 7.0]),
        both([44.0, -25.0], [13.0, 16.0], [-2.0, 0.0, -1.0]),
    ];
    const SIDEWAYS: [Bump; 3] = [
        one([25.0, -41.0], [9.0, 10.0], [1.0, 1.2, -3.5]),
        one([-25.0, -41.0], [9.0, 10.0], [0.0, 0.0, 2.0]),
        one([0.0, -62.0], [28.0, 14.0], [0.6, 0.0, 0.0]),
    ];
    const CHIN_UP: [Bump; 1] = [one([0.0, -69.0], [18.0, 12.0], [0.0, 4.0, 1.8])];

    let front = smoothstep(0.0, 40.0, p[2]);
    let bumps = |list: &[Bump], left: bool| toward_left(sum(list, toward_left(p, left)).map(|v| v * front), left);
    let add = |parts: &[P3]| -> P3 { std::array::from_fn(|c| parts.iter().map(|d| d[c]).sum()) };
    let at = || AtLips::new(p, face);
    match shape {
        S::JawOpen => jaw_open(p, face),
        S::JawForward => {
            let w = at().lower;
            [0.0, -0.8 * w, 6.5 * w]
        }
        S::JawLeft | S::JawRight => {
            // Turns about the joints.
            let (w, angle) = (at().lower, if shape == S::JawLeft { 0.09 } else { -0.09 });
            [angle * (p[2] - 10.0) * w, 0.0, -angle * p[0] * w]
        }
        S::MouthClose => mouth_close(p, face),
        S::MouthFunnel => {
            let at = at();
            let upper = at.lip(0, 15.0, 5.0, 18.0, [0.0, 4.2, 6.0]);
            let lower = at.lip(1, 15.0, 5.0, 20.0, [0.0, -4.8, 6.0]);
            add(&[bumps(&FUNNEL, true), upper, lower])
        }
        S::MouthPucker => add(&[bumps(&PUCKER, true), at().together(0.95)]),
        S::MouthLeft | S::MouthRight => {
            let (at, left) = (at(), shape == S::MouthLeft);
            // The lips, and hardly what is above and below them.
            let w = bell(p[0], 22.0) * fade(5.0, 17.0, at.off[0]) * fade(6.5, 15.5, at.off[1]) * front;
            add(&[[if left { 8.2 * w } else { -8.2 * w }, 0.0, 0.0], bumps(&SIDEWAYS, left)])
        }
        S::MouthSmileLeft => bumps(&SMILE, true),
        S::MouthSmileRight => bumps(&SMILE, false),
        S::MouthFrownLeft => bumps(&FROWN, true),
        S::MouthFrownRight => bumps(&FROWN, false),
        S::MouthDimpleLeft => bumps(&DIMPLE, true),
        S::MouthDimpleRight => bumps(&DIMPLE, false),
        S::MouthStretchLeft => bumps(&STRETCH, true),
        S::MouthStretchRight => bumps(&STRETCH, false),
        S::MouthRollLower => at().roll(1),
        S::MouthRollUpper => at().roll(0),
        S::MouthShrugLower => {
            let at = at();
            let lower = at.lip(1, 17.0, 5.0, 18.0, [0.0, 4.5, 2.5]);
            let upper = at.lip(0, 14.0, 4.0, 16.0, [0.0, 1.6, 0.6]);
            let chin = bumps(&CHIN_UP, true).map(|v| v * at.lower);
            add(&[lower, upper, chin])
        }
        S::MouthShrugUpper => at().lip(0, 16.0, 6.0, 21.0, [0.0, 3.2, 3.0]),
        S::MouthPressLeft | S::MouthPressRight => {
            let left = shape == S::MouthPressLeft;
            let at = at();
            let w = half(p, left) * bell(p[0], 17.0) * front;
            // The red thins towards the line where the lips part.
            let thin = |off: f64| smoothstep(0.5, 4.5, off) * fade(5.5, 17.0, off);
            let dy = 2.6 * w * (at.share(1) * thin(at.off[1]) - at.share(0) * thin(at.off[0]));
            let dz = -2.4 * w * bell(at.off[0].max(at.off[1]), 5.5);
            let closed = at.together(1.0).map(|v| v * half(p, left));
            add(&[[0.0, dy, dz], closed, bumps(&TIGHT, left)])
        }
        S::MouthLowerDownLeft | S::MouthLowerDownRight => {
            let left = shape == S::MouthLowerDownLeft;
            let (at, q) = (at(), toward_left(p, left));
            let w = half(p, left) * bell(q[0] - 10.0, 10.0) * at.lower * fade(4.5, 16.0, at.off[1]) * front;
            toward_left([0.4 * w, -7.0 * w, 0.8 * w], left)
        }
        S::MouthUpperUpLeft | S::MouthUpperUpRight => {
            let left = shape == S::MouthUpperUpLeft;
            let (at, q) = (at(), toward_left(p, left));
            let w = half(p, left) * bell(q[0] - 10.5, 10.0) * at.share(0) * fade(5.0, 19.0, at.off[0]) * front;
            toward_left([0.6 * w, 7.0 * w, 0.8 * w], left)
        }
        _ => [0.0; 3],
    }
}
