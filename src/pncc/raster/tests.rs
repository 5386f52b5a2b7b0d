use proptest::prelude::*;

use super::*;
use crate::frame::Rect;
use crate::morphable::testkit::{fixtures, synthetic, synthetic_fit, upstream_model};
use crate::testing::Rng;

/// No triangle.
const NONE: u32 = u32::MAX;

/// Upstream's arithmetic, one operation after the other.
fn weights(p: [f32; 2], [p0, p1, p2]: [[f32; 3]; 3]) -> [f32; 3] {
    let dot = |a: [f32; 2], b: [f32; 2]| a[0] * b[0] + a[1] * b[1];
    let from_first = |q: [f32; 2]| [q[0] - p0[0], q[1] - p0[1]];
    let (v0, v1, v2) = (from_first([p2[0], p2[1]]), from_first([p1[0], p1[1]]), from_first(p));
    let (d00, d01, d02, d11, d12) = (dot(v0, v0), dot(v0, v1), dot(v0, v2), dot(v1, v1), dot(v1, v2));
    let determinant = d00 * d11 - d01 * d01;
    let inverse = if determinant == 0.0 { 0.0 } else { 1.0 / determinant };
    let u = (d11 * d02 - d01 * d12) * inverse;
    let v = (d00 * d12 - d01 * d02) * inverse;
    [1.0 - u - v, v, u]
}

/// The rules in their plainest form: every triangle, every pixel of its box, no short cuts.
fn plain(vertices: &[[f32; 3]], triangles: &[[u32; 3]], width: usize, height: usize) -> Vec<(u32, f32)> {
    let mut out = vec![(NONE, FAR); width * height];
    for (i, t) in triangles.iter().enumerate() {
        let [p0, p1, p2] = t.map(|v| vertices[v as usize]);
        let reach = |c: usize, side: usize| {
            let (low, high) = (p0[c].min(p1[c].min(p2[c])).ceil(), p0[c].max(p1[c].max(p2[c])).floor());
            (low.max(0.0) as usize, high.min(side as f32 - 1.0) as i64)
        };
        let ((x0, x1), (y0, y1)) = (reach(0, width), reach(1, height));
        for y in y0 as i64..=y1 {
            for x in x0 as i64..=x1 {
                let [w0, w1, w2] = weights([x as f32, y as f32], [p0, p1, p2]);
                let z = w0 * p0[2] + w1 * p1[2] + w2 * p2[2];
                let cell = &mut out[y as usize * width + x as usize];
                if w0 > 0.0 && w1 > 0.0 && w2 > 0.0 && z > cell.1 {
                    *cell = (i as u32, z);
                }
            }
        }
    }
    out
}

fn shown(r: &Rendered<'_>) -> Vec<(u32, f32)> {
    let hit = |p: usize| r.hit(p % r.width(), p / r.width()).map_or((NONE, FAR), |h| (h.triangle, h.depth));
    (0..r.width() * r.height()).map(hit).collect()
}

fn covered(vertices: &[[f32; 3]], triangles: &[[u32; 3]]) -> Vec<(usize, usize)> {
    let mut rasterizer = Rasterizer::new();
    let r = rasterizer.render(vertices, triangles, 8, 8).unwrap();
    (0..64).filter(|p| r.hit(p % 8, p / 8).is_some()).map(|p| (p % 8, p / 8)).collect()
}

#[test]
fn pixels_on_edges_are_not_inside() {
    // Corners on pixel centres: only what lies strictly inside counts.
    let v = [[1.0, 1.0, 0.0], [5.0, 1.0, 0.0], [1.0, 5.0, 0.0]];
    assert_eq!(covered(&v, &[[0, 1, 2]]), [(2, 2), (3, 2), (2, 3)]);
    // Either winding.
    assert_eq!(covered(&v, &[[0, 2, 1]]), [(2, 2), (3, 2), (2, 3)]);
    // Without area, nothing.
    assert_eq!(covered(&v, &[[0, 1, 1]]), []);
    assert_eq!(covered(&[[0.0, 0.0, 0.0], [2.0, 2.0, 0.0], [6.0, 6.0, 0.0]], &[[0, 1, 2]]), []);
}

#[test]
fn a_quad_is_tight_except_on_the_diagonal() {
    // Its corners lie between the pixels; the diagonal y = x runs through centres, and the strict rule leaves
    // those to nobody. Moved by a quarter pixel, the same quad has no gap.
    let quad = |dx: f32| [[0.5 + dx, 0.5, 0.0], [6.5 + dx, 0.5, 0.0], [6.5 + dx, 6.5, 0.0], [0.5 + dx, 6.5, 0.0]];
    let triangles = [[0, 1, 2], [0, 2, 3]];
    let off = covered(&quad(0.0), &triangles);
    assert_eq!(off.len(), 30);
    assert!(off.iter().all(|(x, y)| x != y));
    assert_eq!(covered(&quad(0.25), &triangles).len(), 36);
}

#[test]
fn nearer_wins_and_the_first_of_equals_stays() {
    let v = [
        [-9.0, -9.0, 1.0],
        [30.0, -9.0, 1.0],
        [-9.0, 30.0, 1.0], //
        [-9.0, -9.0, 2.0],
        [30.0, -9.0, 2.0],
        [-9.0, 30.0, 2.0],
    ];
    let mut rasterizer = Rasterizer::new();
    for triangles in [[[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]] {
        let r = rasterizer.render(&v, &triangles, 8, 8).unwrap();
        let hit = r.hit(3, 3).unwrap();
        assert_eq!((triangles[hit.triangle as usize][0], hit.depth), (3, 2.0));
    }
    let r = rasterizer.render(&v, &[[0, 1, 2], [0, 1, 2]], 8, 8).unwrap();
    assert_eq!(r.hit(3, 3).unwrap().triangle, 0);
    assert_eq!(r.hit(8, 3), None);
}

#[test]
fn outputs_of_one_triangle() {
    let v = [[-9.0, -9.0, 5.0], [30.0, -9.0, 5.0], [-9.0, 30.0, 5.0]];
    let ncc = [[0.25, 0.5, 1.0]; 3];
    let mut rasterizer = Rasterizer::new();
    let r = rasterizer.render(&v, &[[0, 1, 2]], 4, 3).unwrap();
    let (mut bytes, mut floats, mut scratch, mut normals) = (vec![9; 99], vec![], vec![], vec![]);
    r.pncc_into(&ncc, &mut bytes).unwrap();
    assert_eq!(bytes.len(), 36);
    assert!(bytes.as_chunks::<3>().0.iter().all(|p| p[0] == 63 && p[1] == 127 && p[2] >= 254));
    r.pncc_f32_into(&ncc, &mut floats).unwrap();
    assert_eq!(floats[0], 63.0 / 255.0);
    r.mask_into(&mut floats);
    assert_eq!(floats, [1.0; 12]);
    r.depth_into(-1.0, &mut floats);
    assert!(floats.iter().all(|z| (z - 5.0).abs() < 1e-5));
    r.normals_into(&mut scratch, &mut normals);
    assert!(normals.iter().all(|n| (n[2] - 1.0).abs() < 1e-6));
    assert_eq!(r.depth_map().get(4, 0), None);
    assert_eq!(r.depth_map().get(-1, 0), None);
    assert!(r.pncc_into(&ncc[..2], &mut bytes).is_err());
}

#[test]
fn nothing_to_see() {
    let mut rasterizer = Rasterizer::new();
    let v = [[-9.0, -9.0, 5.0], [-3.0, -9.0, 5.0], [-9.0, -3.0, 5.0]];
    let nan = [[f32::NAN, 1.0, 0.0], [5.0, f32::INFINITY, 0.0], [1.0, 5.0, 0.0]];
    let mut mask = Vec::new();
    for vertices in [&v[..], &nan[..], &[]] {
        let triangles: &[[u32; 3]] = if vertices.is_empty() { &[] } else { &[[0, 1, 2]] };
        for (w, h) in [(8, 8), (0, 0), (1, 1), (0, 5)] {
            rasterizer.render(vertices, triangles, w, h).unwrap().mask_into(&mut mask);
            assert_eq!(mask, vec![0.0; w * h]);
        }
    }
    assert!(matches!(rasterizer.render(&v, &[[0, 1, 3]], 8, 8), Err(Error::Model(_))));
    assert!(matches!(rasterizer.render(&v, &[[0, 1, 2]], MAX_SIDE + 1, 8), Err(Error::Usage(_))));
    // far outside what 16 bits hold
    let huge = [[-1e9, -1e9, 0.0], [1e9, -1e9, 0.0], [0.0, 1e9, 0.0]];
    rasterizer.render(&huge, &[[0, 1, 2]], 4, 4).unwrap().mask_into(&mut mask);
    assert_eq!(mask, [1.0; 16]);
}

#[test]
fn threads_change_no_bit() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for (side, size) in [(200, 256), (150, 400)] {
        let roi = Rect { x0: 0.0, y0: 0.0, x1: size as f32, y1: size as f32 };
        let model = synthetic(side, 4, 3, 4).prepare().unwrap();
        let vertices = model.mesh(&synthetic_fit(model.model(), roi, 4)).unwrap().vertices;
        let (triangles, ncc) = (model.triangles(), &model.model().ncc);
        assert!(triangles.len() + size * size / 4 > PARALLEL_FROM);
        let (mut one, mut many) = (Rasterizer::single_thread(), Rasterizer::new());
        let (mut a, mut b, mut normals, mut scratch) = (vec![], vec![], vec![], vec![]);
        let alone = one.render(&vertices, triangles, size, size).unwrap();
        alone.pncc_into(ncc, &mut a).unwrap();
        pool.install(|| {
            let r = many.render(&vertices, triangles, size, size).unwrap();
            assert_eq!(shown(&r), shown(&alone));
            r.pncc_into(ncc, &mut b).unwrap();
            r.normals_into(&mut scratch, &mut normals);
        });
        assert_eq!(a, b);
        assert!(a.iter().filter(|v| **v > 0).count() > size * size / 4);
        // The dome bulges towards the viewer.
        assert!(normals.iter().map(|n| n[2]).sum::<f32>() > 0.5 * (size * size / 8) as f32);
    }
}

#[test]
fn pncc_equals_upstream() {
    let Some(model) = upstream_model() else { return };
    let ncc = model.ncc.clone();
    let prepared = model.prepare().unwrap();
    let mut rasterizer = Rasterizer::new();
    let mut bytes = Vec::new();
    for f in fixtures() {
        let mesh = prepared.mesh(&f.fit).unwrap();
        let (width, height, expected) = &f.pncc;
        let r = rasterizer.render(&mesh.vertices, prepared.triangles(), *width, *height).unwrap();
        r.pncc_into(&ncc, &mut bytes).unwrap();
        let pixels = || bytes.as_chunks::<3>().0.iter().zip(expected.as_chunks::<3>().0);
        let off = |limit: u8| pixels().filter(|(a, b)| a.iter().zip(*b).any(|(a, b)| a.abs_diff(*b) > limit)).count();
        let face = expected.as_chunks::<3>().0.iter().filter(|p| **p != [0; 3]).count();
        eprintln!("{}: {} of {face} face pixels differ, {} by more than 1/255", f.name, off(0), off(1));
        assert!(off(1) * 1000 <= width * height, "{}", f.name);
        // Far below the bar: a thousandth of the face alone.
        assert!(off(1) * 1000 <= face, "{}", f.name);
    }
}

proptest! {
    #[test]
    fn equals_the_plain_rules(seed in 0u64..5000, width in 1usize..40, height in 1usize..40, grid in 0usize..2) {
        let mut random = Rng(seed);
        let n = 3 + (seed % 30) as usize;
        let vertices: Vec<[f32; 3]> = (0..n)
            .map(|_| {
                let p: [f32; 3] = std::array::from_fn(|_| 20.0 + 30.0 * random.signed());
                // half of the cases on pixel centres, where the rules are tightest
                if grid == 1 { p.map(f32::round) } else { p }
            })
            .collect();
        let triangles: Vec<[u32; 3]> =
            (0..3 * n).map(|_| std::array::from_fn(|_| (random.next_u64() % n as u64) as u32)).collect();
        let mut rasterizer = Rasterizer::new();
        // twice: what an earlier frame left must not show
        rasterizer.render(&[[-5.0, -5.0, 1e6], [99.0, -5.0, 1e6], [-5.0, 99.0, 1e6]], &[[0, 1, 2]], 45, 45).unwrap();
        let r = rasterizer.render(&vertices, &triangles, width, height).unwrap();
        prop_assert_eq!(shown(&r), plain(&vertices, &triangles, width, height));
        r.for_each_hit(|pixel, hit| {
            assert_eq!(r.hit(pixel % width, pixel / width), Some(hit));
            assert!(hit.weights.iter().all(|w| *w > 0.0));
        });
    }
}
