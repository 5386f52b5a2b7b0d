//! The procedural head as a morphable model: face and forehead to the ears, open eyes and mouth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::delaunay::{distance, inside, triangulate};
use super::noise;
use crate::morphable::Morphable;
use crate::morphable::arkit::{Own, acting};
use crate::morphable::canonical::modes::{self, EXPR_DIM, SHAPE_DIM, edges, height};
use crate::morphable::canonical::surface::{OUTLINE, P2, P3, curve, landmarks, point, smoothstep, to_map};

/// Micrometres per millimetre: a [`Morphable`] counts micrometres.
pub(super) const UNIT: f64 = 1000.0;

/// The procedural head, made at the first call (well under a second). Coefficients: identity about -2..2 (one is a
/// standard deviation), expression 0..1 in the order of
/// [`ExpressionMode`](crate::morphable::canonical::ExpressionMode).
pub fn head() -> Arc<Morphable> {
    static HEAD: OnceLock<Arc<Morphable>> = OnceLock::new();
    HEAD.get_or_init(|| Arc::new(build())).clone()
}

/// The procedural head that acts: ARKit's 52 shapes in place of its own expressions, and eyeballs. Made at the first call.
/// Coefficients of expression: 0..1 in the order of [`ArkitShape`](crate::morphable::ArkitShape).
pub fn acting_head() -> Arc<Morphable> {
    static HEAD: OnceLock<Arc<Morphable>> = OnceLock::new();
    // The head is a constant that a test makes act.
    HEAD.get_or_init(|| Arc::new(acting(&head(), Own::Replaced).expect("the procedural head acts"))).clone()
}

/// The outline in the map: closed, both sides, `steps` points per given segment.
pub(super) fn outline(steps: usize) -> Vec<P2> {
    let half: Vec<P2> = half_outline(steps);
    let mut all = half.clone();
    all.extend(half[1..half.len() - 1].iter().rev().map(|q| [-q[0], q[1]]));
    all
}

/// The right half of the outline, from the top to the bottom.
fn half_outline(steps: usize) -> Vec<P2> {
    let mut knots: Vec<P2> = OUTLINE.iter().map(|p| to_map(*p)).collect();
    // Level at both ends: run through the mirror images of the neighbours.
    knots.insert(0, [-knots[1][0], knots[1][1]]);
    let n = knots.len();
    knots.push([-knots[n - 2][0], knots[n - 2][1]]);
    let mut all = curve(&knots, steps);
    all.drain(..steps);
    all.truncate(all.len() - steps);
    // Exactly on the middle line.
    for end in [0, all.len() - 1] {
        all[end][0] = 0.0;
    }
    all
}

/// Wanted distance of neighbouring vertices in the map.
fn spacing(q: P2) -> f64 {
    let near = |c: P2, r: [f64; 2]| {
        let d = ((q[0] - c[0]) / r[0]).hypot((q[1] - c[1]) / r[1]);
        1.0 - smoothstep(0.8, 2.0, d)
    };
    let eye = near(to_map([31.0, 27.0, 95.0]), [20.0, 13.0]);
    let mouth = near(to_map([0.0, -41.0, 113.0]), [36.0, 16.0]);
    let nose = near(to_map([0.0, -5.0, 125.0]), [20.0, 24.0]);
    5.2 - 2.7 * eye.max(mouth).max(nose)
}

/// Points of the right half and what is known of them.
struct Half {
    points: Vec<P2>,
    /// Whether smoothing must leave the point alone.
    fixed: Vec<bool>,
}

impl Half {
    fn clear(&self, q: P2, gap: f64) -> bool {
        self.points.iter().all(|p| (p[0] - q[0]).hypot(p[1] - q[1]) >= gap)
    }

    fn fix(&mut self, q: P2) -> usize {
        // The same point again (corners, landmarks on rings) keeps its index.
        if let Some(i) = self.points.iter().position(|p| (p[0] - q[0]).hypot(p[1] - q[1]) < 1e-6) {
            return i;
        }
        self.points.push(q);
        self.fixed.push(true);
        self.points.len() - 1
    }

    fn offer(&mut self, q: P2, gap: f64, fixed: bool) {
        if self.clear(q, gap) {
            self.points.push(q);
            self.fixed.push(fixed);
        }
    }
}

fn build() -> Morphable {
    let map_all = |list: &[P3]| -> Vec<P2> { list.iter().map(|p| to_map(*p)).collect() };
    let e = edges();
    // The holes. The mouth's half is closed along the middle line.
    let (upper_lid, lower_lid) = (map_all(&e.upper_lid), map_all(&e.lower_lid));
    let mut eye = upper_lid.clone();
    eye.extend(lower_lid[1..lower_lid.len() - 1].iter().rev());
    let (upper_lip, lower_lip) = (map_all(&e.upper_lip), map_all(&e.lower_lip));
    let mut mouth = upper_lip.clone();
    mouth.extend(lower_lip[..lower_lip.len() - 1].iter().rev());
    let edge = half_outline(4);
    // Closed far to the left, so that the middle line is well inside.
    let mut hull = edge.clone();
    hull.push([-50.0, edge[edge.len() - 1][1]]);
    hull.push([-50.0, edge[0][1]]);

    let mut half = Half { points: Vec::new(), fixed: Vec::new() };
    let targets = landmarks();
    for p in targets.iter().filter(|p| p[0] >= 0.0) {
        half.fix(to_map(*p));
    }
    for q in eye.iter().chain(&mouth).chain(&edge) {
        half.fix(*q);
    }
    for q in map_all(&e.upper_lip_outer).iter().chain(&map_all(&e.lower_lip_outer)) {
        half.offer(*q, 1.3, true);
    }
    // The red of the lips, between its rims.
    for (inner, outer) in [(&e.upper_lip, &e.upper_lip_outer), (&e.lower_lip, &e.lower_lip_outer)] {
        for k in 0..=10 {
            let at = |edge: &[P3]| {
                let f = f64::from(k) / 10.0 * (edge.len() - 1) as f64;
                let i = (f as usize).min(edge.len() - 2);
                let t = f - i as f64;
                let (a, b) = (to_map(edge[i]), to_map(edge[i + 1]));
                [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t]
            };
            let (a, b) = (at(inner), at(outer));
            for t in [0.33, 0.67] {
                half.offer([a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t], 1.2, true);
            }
        }
    }
    // Rims of the lids: they fold there when the eye closes.
    let middle = to_map([31.0, 26.5, 95.0]);
    for out in [1.4, 3.2, 5.6] {
        for q in &eye {
            let d = [q[0] - middle[0], q[1] - middle[1]];
            let k = 1.0 + out / d[0].hypot(d[1]);
            half.offer([middle[0] + d[0] * k, middle[1] + d[1] * k], 1.1, true);
        }
    }
    // The middle line, above and below the mouth.
    let (top, bottom) = (edge[0][1], edge[edge.len() - 1][1]);
    let mut y = top;
    while y > bottom {
        let gap = 0.7 * spacing([0.0, y]);
        if !(lower_lip[0][1]..upper_lip[0][1]).contains(&y) {
            half.offer([0.0, y], gap, true);
        }
        y -= 0.1;
    }
    let allowed = |q: P2| inside(&hull, q) && !inside(&eye, q) && !inside(&mouth, q);
    // Everything else as dense as wanted: a fine grid, thinned.
    let mut row = 0;
    let mut y = bottom;
    while y < top + 40.0 {
        let mut x = if row % 2 == 0 { 0.5 } else { 1.0 };
        while x < 180.0 {
            // Off the grid by a hair, or whole rows would lie on common circles.
            let jitter = |s: f32| 0.3 * f64::from(noise::noise([x as f32 * 9.7, y as f32 * 9.1, s]) - 0.5);
            let q = [x + jitter(0.5), y + jitter(7.5)];
            let gap = spacing(q);
            if q[0] > 0.5 * gap && allowed(q) && distance(&edge, q) > 0.45 * gap && half.clear(q, 0.84 * gap) {
                half.points.push(q);
                half.fixed.push(false);
            }
            x += 1.0;
        }
        y += 0.9;
        row += 1;
    }
    // The slit of the mouth is too narrow for its rims to find each other in a triangulation, so that is done with
    // parted lips.
    let corner = upper_lip[upper_lip.len() - 1][0];
    let part = |q: P2| -> P2 {
        if q[0] >= corner {
            return q;
        }
        let off = q[1] - 0.5 * (height(&upper_lip, q[0]) + height(&lower_lip, q[0]));
        let open = 5.0 * (1.0 - (q[0] / corner).powi(2)).sqrt() * (-(off / 15.0).powi(2)).exp();
        [q[0], q[1] + open.copysign(off)]
    };
    let parted: Vec<P2> = mouth.iter().map(|q| part(*q)).collect();
    let mesh = |points: &[P2]| -> Vec<[usize; 3]> {
        let points: Vec<P2> = points.iter().map(|q| part(*q)).collect();
        let mut t = triangulate(&points);
        t.retain(|t| {
            let c: P2 = std::array::from_fn(|k| t.iter().map(|&v| points[v][k]).sum::<f64>() / 3.0);
            inside(&hull, c) && !inside(&eye, c) && !inside(&parted, c)
        });
        t
    };
    // Even out: every free point goes to the middle of its neighbours.
    let mut triangles = mesh(&half.points);
    for _ in 0..3 {
        for _ in 0..3 {
            let mut sums = vec![[0.0f64; 3]; half.points.len()];
            for t in &triangles {
                for k in 0..3 {
                    let (a, b) = (t[k], half.points[t[(k + 1) % 3]]);
                    sums[a] = [sums[a][0] + b[0], sums[a][1] + b[1], sums[a][2] + 1.0];
                }
            }
            for (i, s) in sums.iter().enumerate() {
                if !half.fixed[i] && s[2] > 0.0 {
                    half.points[i] = [s[0] / s[2], s[1] / s[2]];
                }
            }
        }
        triangles = mesh(&half.points);
    }

    // Both halves, only what a triangle uses.
    let mut used = vec![false; half.points.len()];
    triangles.iter().flatten().for_each(|&v| used[v] = true);
    let mut right = vec![u32::MAX; used.len()];
    let mut left = right.clone();
    let mut positions: Vec<P3> = Vec::new();
    for (i, q) in half.points.iter().enumerate().filter(|(i, _)| used[*i]) {
        let p = point(*q);
        right[i] = positions.len() as u32;
        if q[0] == 0.0 {
            left[i] = right[i];
            positions.push([0.0, p[1], p[2]]);
        } else {
            left[i] = right[i] + 1;
            positions.push(p);
            positions.push([-p[0], p[1], p[2]]);
        }
    }
    // As in 3DDFA-V2's model: clockwise with y up, so counter-clockwise in the picture.
    let all: Vec<[u32; 3]> =
        triangles.iter().flat_map(|&[a, b, c]| [[right[a], right[c], right[b]], [left[a], left[b], left[c]]]).collect();
    let landmark = |target: &P3| -> u32 {
        let off = |p: &P3| (0..3).map(|c| (p[c] - target[c]).powi(2)).sum::<f64>();
        (0..positions.len()).min_by(|&a, &b| off(&positions[a]).total_cmp(&off(&positions[b]))).unwrap_or(0) as u32
    };
    let landmarks: Vec<u32> = targets.iter().map(landmark).collect();

    let extent =
        |c: usize| positions.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), p| (a.min(p[c]), b.max(p[c])));
    let extents = [extent(0), extent(1), extent(2)];
    let ncc = positions
        .iter()
        .map(|p| std::array::from_fn(|c| ((p[c] - extents[c].0) / (extents[c].1 - extents[c].0)) as f32))
        .collect();
    let basis = |dim: usize, field: &dyn Fn(usize, P3) -> P3| -> Vec<f32> {
        let mut out = vec![0.0; 3 * dim * positions.len()];
        for (v, p) in positions.iter().enumerate() {
            for k in 0..dim {
                for (c, d) in field(k, *p).into_iter().enumerate() {
                    out[(3 * v + c) * dim + k] = (UNIT * d) as f32;
                }
            }
        }
        out
    };
    // The camera of a head in the middle of its crop, turned by nothing; deviations of ordinary footage.
    let mut param_mean = vec![4.4e-4, 0.0, 0.0, 60.0, 0.0, 4.4e-4, 0.0, 62.0, 0.0, 0.0, 4.4e-4, -60.0];
    let mut param_std = vec![1e-4, 1e-4, 2e-4, 10.0, 1e-4, 1e-4, 1e-4, 10.0, 2e-4, 1e-4, 1e-4, 20.0];
    param_mean.extend([0.0; SHAPE_DIM + EXPR_DIM]);
    param_std.extend([1.0; SHAPE_DIM]);
    param_std.extend([0.3; EXPR_DIM]);
    Morphable {
        mean: positions.iter().flatten().map(|v| (UNIT * v) as f32).collect(),
        shape_basis: basis(SHAPE_DIM, &modes::identity),
        expr_basis: basis(EXPR_DIM, &modes::expression),
        shape_dim: SHAPE_DIM,
        expr_dim: EXPR_DIM,
        triangles: all,
        landmarks,
        ncc,
        param_mean,
        param_std,
        arkit: Vec::new(),
        eyeballs: 0,
        residual_modes: 0,
    }
}

/// The borders of a mesh: closed loops of vertices, the one with the smallest vertex first. `None` where it is not
/// a manifold (an edge used twice in one direction, or borders that touch).
pub(super) fn borders(triangles: &[[u32; 3]]) -> Option<Vec<Vec<u32>>> {
    let mut edges = BTreeSet::new();
    for t in triangles {
        for k in 0..3 {
            if !edges.insert((t[k], t[(k + 1) % 3])) {
                return None;
            }
        }
    }
    let mut next = BTreeMap::new();
    for &(a, b) in edges.iter().filter(|(a, b)| !edges.contains(&(*b, *a))) {
        if next.insert(a, b).is_some() {
            return None;
        }
    }
    let mut loops = Vec::new();
    while let Some((&start, _)) = next.first_key_value() {
        let mut vertices = Vec::new();
        let mut v = start;
        while let Some(n) = next.remove(&v) {
            vertices.push(v);
            v = n;
        }
        loops.push(vertices);
    }
    Some(loops)
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::morphable::canonical::ExpressionMode;
    use crate::morphable::canonical::surface::mirrored;

    fn at(m: &Morphable, v: u32) -> P3 {
        std::array::from_fn(|c| f64::from(m.mean[3 * v as usize + c]) / UNIT)
    }

    /// Landmarks with one expression coefficient.
    fn with(mode: ExpressionMode, value: f32) -> Vec<P3> {
        let m = head();
        (0..68)
            .map(|i| {
                let v = m.landmarks[i] as usize;
                let p = at(&m, v as u32);
                std::array::from_fn(|c| {
                    p[c] + f64::from(value * m.expr_basis[(3 * v + c) * EXPR_DIM + mode as usize]) / UNIT
                })
            })
            .collect()
    }

    #[test]
    fn the_model_is_valid_and_of_the_right_size() {
        let m = head();
        m.validate().unwrap();
        eprintln!("{} vertices, {} triangles", m.vertex_count(), m.triangles.len());
        assert!((2000..=6000).contains(&m.vertex_count()));
        assert_eq!((m.shape_dim, m.expr_dim, m.landmarks.len()), (40, 10, 68));
    }

    #[test]
    fn landmarks_lie_where_they_are_due_and_mirror_each_other() {
        let m = head();
        for (i, target) in landmarks().iter().enumerate() {
            let p = at(&m, m.landmarks[i]);
            assert!((0..3).all(|c| (p[c] - target[c]).abs() < 0.01), "landmark {i}: {p:?} for {target:?}");
            let q = at(&m, m.landmarks[mirrored(i)]);
            assert!(p[0] + q[0] == 0.0 && p[1] == q[1] && p[2] == q[2], "landmark {i}");
        }
        let mut unique = m.landmarks.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 68);
    }

    #[test]
    fn triangles_have_area_and_face_outwards() {
        let m = head();
        for t in &m.triangles {
            let [a, b, c] = t.map(|v| at(&m, v));
            let (u, v): (P3, P3) = (std::array::from_fn(|k| b[k] - a[k]), std::array::from_fn(|k| c[k] - a[k]));
            let n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
            let area = 0.5 * n.iter().map(|x| x * x).sum::<f64>().sqrt();
            assert!(area > 0.05, "{t:?}: {area} mm2 at {a:?}");
            let out: f64 = (0..3).map(|k| n[k] * (a[k] - crate::morphable::canonical::surface::CENTRE[k])).sum();
            assert!(out < 0.0, "{t:?} is turned over");
        }
    }

    #[test]
    fn a_manifold_with_four_borders() {
        let m = head();
        let loops = borders(&m.triangles).unwrap();
        assert_eq!(loops.len(), 4, "{:?}", loops.iter().map(|l| at(&m, l[0])).collect::<Vec<_>>());
        let on = |l: &Vec<u32>, list: std::ops::Range<usize>| list.clone().all(|i| l.contains(&m.landmarks[i]));
        for ring in [36..42, 42..48, 60..68] {
            assert_eq!(loops.iter().filter(|l| on(l, ring.clone())).count(), 1, "no border through {ring:?}");
        }
        // One piece: the Euler characteristic of a disc with three holes.
        let border: usize = loops.iter().map(Vec::len).sum();
        let edges = (3 * m.triangles.len() + border) / 2;
        assert_eq!(m.vertex_count() as i64 - edges as i64 + m.triangles.len() as i64, -2);
    }

    #[test]
    fn expressions_do_what_their_names_say() {
        let rest = landmarks();
        let gap = |l: &[P3], a: usize, b: usize| (l[a][1] - l[b][1]).abs();
        let open = with(ExpressionMode::JawOpen, 1.0);
        assert!(gap(&open, 62, 66) > gap(&rest, 62, 66) + 18.0 && open[8][1] < rest[8][1] - 15.0);
        assert!(gap(&open, 33, 51) - gap(&rest, 33, 51) < 0.5 && (open[27][1] - rest[27][1]).abs() < 0.1);
        let closed = with(ExpressionMode::JawOpen, -0.12);
        assert!(gap(&closed, 62, 66) < 1.2);
        let smile = with(ExpressionMode::Smile, 1.0);
        assert!(
            smile[54][1] > rest[54][1] + 4.0 && smile[54][0] > rest[54][0] + 4.0 && smile[48][0] < rest[48][0] - 4.0
        );
        assert!(with(ExpressionMode::Frown, 1.0)[48][1] < rest[48][1] - 4.0);
        let width = |l: &[P3]| l[54][0] - l[48][0];
        let pucker = with(ExpressionMode::Pucker, 1.0);
        assert!(width(&pucker) < width(&rest) - 12.0 && pucker[51][2] > rest[51][2] + 3.0);
        assert!(width(&with(ExpressionMode::Wide, 1.0)) > width(&rest) + 10.0);
        let up = with(ExpressionMode::BrowRaise, 1.0);
        let down = with(ExpressionMode::BrowLower, 1.0);
        for i in 17..27 {
            assert!(up[i][1] > rest[i][1] + 3.0, "brow {i} up");
        }
        for i in 18..26 {
            assert!(down[i][1] < rest[i][1] - 2.0, "brow {i} down");
        }
        assert!(down[22][0] - down[21][0] < rest[22][0] - rest[21][0] - 3.0);
        let (left, right) = (with(ExpressionMode::BlinkLeft, 1.0), with(ExpressionMode::BlinkRight, 1.0));
        for (a, b) in [(43, 47), (44, 46)] {
            assert!(gap(&left, a, b) < 0.8 && gap(&right, a, b) == gap(&rest, a, b));
        }
        for (a, b) in [(37, 41), (38, 40)] {
            assert!(gap(&right, a, b) < 0.8 && gap(&left, a, b) == gap(&rest, a, b));
        }
        let side = with(ExpressionMode::MouthSide, 1.0);
        assert!(side[51][0] > 4.0 && side[66][0] > 4.0 && side[30][0].abs() < 1.0);
    }

    #[test]
    fn codes_agree_with_3ddfa_v2s() {
        // NCC of 3DDFA-V2 at landmarks 0, 8, 16, 30, 36, 45, 48, 54, 57.
        let published = [
            (0, [0.030, 0.608, 0.044]),
            (8, [0.505, 0.023, 0.697]),
            (16, [0.975, 0.608, 0.045]),
            (30, [0.505, 0.460, 0.994]),
            (36, [0.224, 0.649, 0.622]),
            (45, [0.782, 0.649, 0.622]),
            (48, [0.339, 0.275, 0.722]),
            (54, [0.665, 0.275, 0.720]),
            (57, [0.504, 0.233, 0.843]),
        ];
        let m = head();
        for (i, code) in published {
            let own = m.ncc[m.landmarks[i] as usize];
            assert!((0..3).all(|c| (own[c] - code[c]).abs() < 0.02), "landmark {i}: {own:?} for {code:?}");
        }
    }
}
