//! Lids: how far they open, close, and follow the eye, and how they slide over the eyeball.

use super::face::{Face, toward_left};
use crate::morphable::canonical::surface::{P3, smoothstep};

/// How far above the upper and below the lower lid the skin still moves, millimetres.
const REACH: [f64; 2] = [10.5, 9.0];
/// How far lids that close overlap each, millimetres: a gap would show the eye.
const OVERLAP: f64 = 0.12;
/// How far a lid stays before the ball at least, millimetres, unless it is nearer at rest.
const CLEAR: f64 = 0.6;

/// Over which length the corners of an eye take the lids along, millimetres.
const CORNERS: f64 = 5.0;

/// Moves the lids of an eye: the upper and the lower one up by these shares of the eye's height at each x, and the skin of the
/// inner and of the outer corner up by so many millimetres.
pub(super) fn lids(p: P3, left: bool, face: &Face, ways: [f64; 2], corners_up: [f64; 2]) -> P3 {
    let [upper_way, lower_way] = ways;
    let q = toward_left(p, left);
    let [inner, outer] = face.lines.corners(left);
    let ball = face.ball(left);
    if q[2] < ball.centre[2] - 5.0 {
        return [0.0; 3];
    }
    let (upper, lower) = face.lines.lids(left, q[0].clamp(inner, outer));
    // Both lids alike, so that they meet as they would.
    let near = |x: f64| (-0.5 * ((q[0] - x) / CORNERS).powi(2)).exp();
    let corners = (corners_up[0] * near(inner) + corners_up[1] * near(outer))
        * (1.0 - smoothstep(0.0, REACH[0], q[1] - upper))
        * (1.0 - smoothstep(0.0, REACH[1], lower - q[1]));
    if q[0] <= inner || q[0] >= outer {
        return [0.0, corners, 0.0];
    }
    let open = upper - lower;
    let overlap = if upper_way - lower_way <= -1.0 { OVERLAP * (open / 3.0).min(1.0) } else { 0.0 };
    let (up, down) = (upper_way * open - overlap, lower_way * open + overlap);
    let way = corners
        + if q[1] >= upper {
            up * (1.0 - smoothstep(0.0, REACH[0], q[1] - upper))
        } else if q[1] <= lower {
            down * (1.0 - smoothstep(0.0, REACH[1], lower - q[1]))
        } else {
            down + (up - down) * (q[1] - lower) / open.max(1e-6)
        };
    if way == 0.0 {
        return [0.0; 3];
    }
    // A lid slides over the ball all the way; what lies behind the ball, where the mesh runs through, stays behind it.
    let ahead = q[2] - ball.front(q[0], q[1]);
    let (margin, depth) = (ahead.clamp(0.0, CLEAR), (-ahead).clamp(0.0, 0.3));
    let (mut out, mut back) = (0.0f64, 0.0f64);
    for step in 1..=8 {
        let t = f64::from(step) / 8.0;
        let front = ball.front(q[0], q[1] + t * way);
        out = out.max((front + margin - q[2]) / t);
        back = back.min((front - depth - q[2]) / t);
    }
    let lid = smoothstep(-0.05, 0.05, ahead);
    [0.0, way, lid * out + (1.0 - lid) * back]
}
