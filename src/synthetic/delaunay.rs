//! Delaunay triangulation of a few thousand points in the plane (Bowyer 1981, Watson 1981).

/// The triangles, counter-clockwise (y up), of the Delaunay triangulation of `points`. Points must differ from one
/// another. Quadratic in their number, which is enough for a mesh that is made once.
pub fn triangulate(points: &[[f64; 2]]) -> Vec<[usize; 3]> {
    let n = points.len();
    let size = points.iter().flatten().fold(1.0f64, |m, v| m.max(v.abs()));
    // The corners of a triangle around everything, so far out that it does not bend the hull.
    let far = 1e4 * size;
    let mut all = points.to_vec();
    all.extend([[-far, -far], [far, -far], [0.0, far]]);
    let mut triangles = vec![[n, n + 1, n + 2]];
    let mut edges: Vec<(usize, usize)> = Vec::new();
    for i in 0..n {
        edges.clear();
        let mut t = 0;
        while t < triangles.len() {
            let [a, b, c] = triangles[t];
            if in_circle(all[a], all[b], all[c], all[i]) {
                edges.extend([(a, b), (b, c), (c, a)]);
                triangles.swap_remove(t);
            } else {
                t += 1;
            }
        }
        // What is left after inner edges have met their opposites is the outline of the hole.
        for k in 0..edges.len() {
            let (a, b) = edges[k];
            if !edges.contains(&(b, a)) {
                triangles.push([a, b, i]);
            }
        }
    }
    triangles.retain(|t| t.iter().all(|&v| v < n));
    // In the order of their vertices, so that a change of the algorithm's order changes no model.
    for t in &mut triangles {
        let first = (0..3).min_by_key(|&k| t[k]).unwrap_or(0);
        t.rotate_left(first);
    }
    triangles.sort_unstable();
    triangles
}

/// Whether `p` lies inside the circle through `a`, `b`, `c` (counter-clockwise).
fn in_circle(a: [f64; 2], b: [f64; 2], c: [f64; 2], p: [f64; 2]) -> bool {
    let row = |q: [f64; 2]| {
        let (x, y) = (q[0] - p[0], q[1] - p[1]);
        [x, y, x * x + y * y]
    };
    let (a, b, c) = (row(a), row(b), row(c));
    a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0]) > 0.0
}

/// Whether `p` lies inside a closed polygon.
pub fn inside(polygon: &[[f64; 2]], p: [f64; 2]) -> bool {
    let mut odd = false;
    for (i, a) in polygon.iter().enumerate() {
        let b = polygon[(i + 1) % polygon.len()];
        if (a[1] > p[1]) != (b[1] > p[1]) && p[0] < (b[0] - a[0]) * (p[1] - a[1]) / (b[1] - a[1]) + a[0] {
            odd = !odd;
        }
    }
    odd
}

/// Distance from `p` to the outline of a closed polygon.
pub fn distance(polygon: &[[f64; 2]], p: [f64; 2]) -> f64 {
    let mut best = f64::INFINITY;
    for (i, a) in polygon.iter().enumerate() {
        let b = polygon[(i + 1) % polygon.len()];
        let (d, q) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
        let t = ((d[0] * q[0] + d[1] * q[1]) / (d[0] * d[0] + d[1] * d[1]).max(1e-12)).clamp(0.0, 1.0);
        best = best.min((q[0] - t * d[0]).hypot(q[1] - t * d[1]));
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_with_its_middle() {
        let t = triangulate(&[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.5, 0.4]]);
        assert_eq!(t, vec![[0, 1, 4], [0, 4, 3], [1, 2, 4], [2, 3, 4]]);
    }

    #[test]
    fn no_point_lies_inside_a_circle() {
        let mut r = crate::testing::Rng(7);
        let points: Vec<[f64; 2]> = (0..200).map(|_| [r.signed().into(), r.signed().into()]).collect();
        let t = triangulate(&points);
        for &[a, b, c] in &t {
            for (i, p) in points.iter().enumerate() {
                assert!([a, b, c].contains(&i) || !in_circle(points[a], points[b], points[c], *p));
            }
        }
        // The triangles fill the convex hull: twice their area is that of the hull.
        let area: f64 = t
            .iter()
            .map(|&[a, b, c]| {
                let [a, b, c] = [points[a], points[b], points[c]];
                0.5 * ((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
            })
            .sum();
        assert!(area > 3.0 && area < 4.0, "{area}");
    }

    #[test]
    fn polygons() {
        let square = [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]];
        assert!(inside(&square, [1.0, 0.5]) && !inside(&square, [3.0, 1.0]));
        assert!(
            (distance(&square, [1.0, 0.5]) - 0.5).abs() < 1e-12 && (distance(&square, [3.0, 1.0]) - 1.0).abs() < 1e-12
        );
    }
}
