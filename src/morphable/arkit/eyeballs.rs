//! The eyeballs: where they lie behind a model's lids, their mesh, their coordinate codes, how they turn.

use super::face::toward_left;
use crate::morphable::canonical::surface::P3;
use crate::morphable::rig::lines::{Lines, Place, vertex};
use crate::morphable::{ArkitShape, Morphable};
use nalgebra::{Rotation3, Vector3};
use std::ops::Range;

/// Radius of an eyeball, millimetres.
pub(super) const RADIUS: f64 = 12.0;
/// Radius of the iris, millimetres on the sphere.
pub(super) const IRIS: f64 = 5.9;
/// Where the eye is an opening of the mesh, how far behind the rims of the lids the ball stays at least, and how far the best
/// ball lies behind them, millimetres.
const BEHIND: [f64; 2] = [0.7, 1.1];
/// Where the surface runs through under the lids, how far the ball stands before it, millimetres.
const BEFORE: f64 = 0.5;
/// Where people's eyeballs are: this share of the way from the inner to the outer corner, and so far above the middle of the lids,
/// millimetres. From the irises of 75 clips' faces.
const ACROSS: f64 = 0.52;
const ABOVE: f64 = 0.75;
/// How far the eyes turn at a coefficient of 1, degrees: to the sides, up and down.
const TURN: [f64; 2] = [25.0, 20.0];

/// An eyeball in the synthetic head's millimetres; the right one is seen mirrored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ball {
    pub centre: P3,
}

impl Ball {
    /// Behind the lids of an eye, so that the open eye shows it and the lids do not touch it.
    pub fn new(model: &Morphable, place: &Place, lines: &Lines, left: bool) -> Ball {
        let own = |v: u32| toward_left(place.at(vertex(model, v)), left);
        let landmark = |i: usize| own(model.landmarks[i]);
        let eye: [P3; 6] = if left { [42, 43, 44, 45, 46, 47] } else { [39, 38, 37, 36, 41, 40] }.map(landmark);
        let middle: P3 = std::array::from_fn(|c| {
            let corners = 0.5 * (eye[0][c] + eye[3][c]);
            let lids = 0.25 * (eye[1][c] + eye[2][c] + eye[4][c] + eye[5][c]);
            if c == 0 { corners } else { lids }
        });
        let opening = lines.opening(left).is_some();
        // What the ball is laid against: the rims of the lids, or the surface between them.
        let mut against = eye.to_vec();
        if !opening {
            let inside = |p: &P3| {
                let (upper, lower) = lines.lids(left, p[0]);
                let [inner, outer] = lines.corners(left);
                (inner..outer).contains(&p[0])
                    && (lower + 0.25 * (upper - lower)..upper - 0.2 * (upper - lower)).contains(&p[1])
                    && p[2] > middle[2] - 12.0
            };
            let found: Vec<P3> = (0..model.skin_vertex_count() as u32)
                .map(own)
                .filter(|p| upper_gap(lines, left, p) && inside(p))
                .collect();
            if found.len() >= 12 {
                against = found;
            }
        }
        let wanted = RADIUS + if opening { BEHIND[1] } else { -BEFORE };
        let across = eye[0][0] + ACROSS * (eye[3][0] - eye[0][0]);
        let mut centre = [across, middle[1] + ABOVE, middle[2] - wanted];
        // Least squares in depth; how the lids lie says little about the other two.
        for _ in 0..8 {
            let (mut h, mut g) = (0.0f64, 0.0f64);
            for p in &against {
                let d: P3 = std::array::from_fn(|c| p[c] - centre[c]);
                let r = d.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-6);
                let jz = -d[2] / r;
                h += jz * jz;
                g += jz * (r - wanted);
            }
            centre[2] -= g / h.max(1e-9);
        }
        if opening {
            // No rim may come too near.
            let near = |centre: P3| {
                let distance = |p: &P3| (0..3).map(|c| (p[c] - centre[c]).powi(2)).sum::<f64>().sqrt();
                against.iter().map(distance).fold(f64::INFINITY, f64::min)
            };
            while near(centre) < RADIUS + BEHIND[0] && centre[2] > middle[2] - 2.0 * RADIUS {
                centre[2] -= 0.1;
            }
        }
        Ball { centre }
    }

    /// Depth of the front of the ball at a place, its middle's beside it.
    pub fn front(&self, x: f64, y: f64) -> f64 {
        let [cx, cy, cz] = self.centre;
        cz + (RADIUS * RADIUS - (x - cx).powi(2) - (y - cy).powi(2)).max(0.0).sqrt()
    }
}

fn upper_gap(lines: &Lines, left: bool, p: &P3) -> bool {
    let (upper, lower) = lines.lids(left, p[0]);
    upper > lower
}

/// Coordinate code of what closes the gap between lids and ball: without blue, which the skin near the eyes has much of.
pub(super) fn socket_code(left: bool) -> [f32; 3] {
    [if left { 0.75 } else { 0.25 }, 1.0, 0.0]
}

/// The vertices of one eyeball that tell where the eye looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IrisVertices {
    /// The middle of the iris, the foremost point of the ball.
    pub middle: u32,
    /// The iris' rim, starting on the picture's right for the left eye and on its left for the right eye, then upwards.
    pub rim: Range<u32>,
}

/// Where a model that acts has its irises; `None` for one without eyeballs.
pub fn iris_vertices(model: &Morphable, left: bool) -> Option<IrisVertices> {
    let first = ball_vertices(model, left)?.start;
    let rim = first + (1 + IRIS_RINGS.len() * AROUND) as u32;
    Some(IrisVertices { middle: first, rim: rim..rim + AROUND as u32 })
}

/// The vertices of an eyeball, without the socket around it; `None` for a model without eyeballs.
pub(in crate::morphable) fn ball_vertices(model: &Morphable, left: bool) -> Option<Range<u32>> {
    let (skin, per_ball) = (model.skin_vertex_count(), BallMesh::vertex_count());
    let first = skin + if left { 0 } else { per_ball };
    let there = model.eyeballs > 0 && model.vertex_count() >= skin + 2 * per_ball;
    there.then(|| first as u32..(first + per_ball) as u32)
}

/// A ball as a mesh around its centre, for the left eye: directions, triangles, and coordinate codes.
pub(super) struct BallMesh {
    pub directions: Vec<P3>,
    pub triangles: Vec<[u32; 3]>,
    /// Of the left and of the right eye.
    pub codes: [Vec<[f32; 3]>; 2],
}

/// Angles of the rings from the front, degrees; the iris' rim lies between those before and after [`rim`].
const IRIS_RINGS: [f64; 2] = [10.0, 20.0];
const WHITE_RINGS: [f64; 9] = [35.0, 42.0, 50.0, 59.0, 70.0, 84.0, 105.0, 130.0, 155.0];
/// Vertices of a ring.
const AROUND: usize = 32;

/// Angle of the iris' rim from the front, degrees.
fn rim() -> f64 {
    (IRIS / RADIUS).asin().to_degrees()
}

/// Coordinate code of a direction of a ball. Blue is 1 on both, which the skin is at the tip of the nose alone; iris and
/// white differ in green, left and right in red; what is left of each range tells the direction.
fn code(d: P3, iris: bool, left: bool) -> [f32; 3] {
    const RANGE: f64 = 0.06;
    let red = RANGE * (1.0 - d[0]);
    let green = RANGE * (1.0 - d[1]);
    [if left { 1.0 - red } else { red }, if iris { green } else { 1.0 - green }, 1.0].map(|c| c as f32)
}

impl BallMesh {
    /// Both poles, the rings, and the iris' rim twice.
    const fn vertex_count() -> usize {
        2 + (IRIS_RINGS.len() + 2 + WHITE_RINGS.len()) * AROUND
    }

    pub fn new() -> BallMesh {
        let mut rings: Vec<(f64, bool)> = IRIS_RINGS.iter().map(|&a| (a, true)).collect();
        // The rim twice, in the colours of both sides, so that the edge is sharp.
        rings.extend([(rim(), true), (rim(), false)]);
        rings.extend(WHITE_RINGS.iter().map(|&a| (a, false)));
        let mut directions = vec![[0.0, 0.0, 1.0]];
        let mut irises = vec![true];
        for &(angle, iris) in &rings {
            let (sin, cos) = angle.to_radians().sin_cos();
            for k in 0..AROUND {
                let (s, c) = (std::f64::consts::TAU * k as f64 / AROUND as f64).sin_cos();
                directions.push([sin * c, sin * s, cos]);
                irises.push(iris);
            }
        }
        let back = directions.len() as u32;
        directions.push([0.0, 0.0, -1.0]);
        irises.push(false);
        let at = |ring: usize, k: usize| (1 + ring * AROUND + k % AROUND) as u32;
        let mut triangles = Vec::new();
        // Counter-clockwise seen from outside with y up.
        for k in 0..AROUND {
            triangles.push([0, at(0, k), at(0, k + 1)]);
        }
        for ring in 0..rings.len() - 1 {
            if rings[ring].0 == rings[ring + 1].0 {
                continue;
            }
            for k in 0..AROUND {
                let (a, b, c, d) = (at(ring, k), at(ring, k + 1), at(ring + 1, k), at(ring + 1, k + 1));
                triangles.extend([[a, c, b], [b, c, d]]);
            }
        }
        for k in 0..AROUND {
            triangles.push([back, at(rings.len() - 1, k + 1), at(rings.len() - 1, k)]);
        }
        let codes = [true, false].map(|left| {
            // The right ball is the left one's mirror image.
            let seen = |d: &P3| toward_left(*d, left);
            directions.iter().zip(&irises).map(|(d, &iris)| code(seen(d), iris, left)).collect()
        });
        BallMesh { directions, triangles, codes }
    }
}

/// How far a direction of the ball of an eye moves at a coefficient of 1 of a shape, as the chord of its turn, in
/// radii; 0 for shapes that turn nothing. The right eye is seen mirrored.
pub(super) fn turned(shape: ArkitShape, left: bool, d: P3) -> P3 {
    use ArkitShape as S;
    let (inward, outward, up, down) = if left {
        (S::EyeLookInLeft, S::EyeLookOutLeft, S::EyeLookUpLeft, S::EyeLookDownLeft)
    } else {
        (S::EyeLookInRight, S::EyeLookOutRight, S::EyeLookUpRight, S::EyeLookDownRight)
    };
    let [sideways, height] = TURN.map(f64::to_radians);
    // At positive x the nose is towards negative x.
    let rotation = if shape == inward {
        Rotation3::from_axis_angle(&Vector3::y_axis(), -sideways)
    } else if shape == outward {
        Rotation3::from_axis_angle(&Vector3::y_axis(), sideways)
    } else if shape == up {
        Rotation3::from_axis_angle(&Vector3::x_axis(), -height)
    } else if shape == down {
        Rotation3::from_axis_angle(&Vector3::x_axis(), height)
    } else {
        return [0.0; 3];
    };
    let d = Vector3::from(d);
    (rotation * d - d).into()
}
