//! The iris of the reference: found in its picture near where the mesh has it, and completed where lids hide it.

use nalgebra::Vector2;

use crate::frame::Frame;
use crate::reenact::draft::outline::{Disc, Outline};
use crate::reenact::draft::sample::{bicubic, mix, step};
use crate::reenact::draft::texture::Texture;

/// How far the texture reaches, in radii of the iris.
pub(super) const REACH: f32 = 1.3;
/// How far from the mesh's iris the picture's is looked for, in radii, and what sizes it may have.
const SEARCH: f32 = 0.4;
const SIZES: [f32; 9] = [0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2];
/// Steps of the search on each side.
const STEPS: i32 = 8;
/// What a place costs that is as far away as the search reaches, in units of the best contrast.
const AWAY: f32 = 0.35;
/// Angles at which the rim is looked at, of each side: no lid covers those.
const ANGLES: usize = 9;
const WIDEST: f32 = 0.9;
/// Within this of a lid (in radii) a pixel belongs to lashes or shadow.
const MARGIN: f32 = 0.28;

fn luma(c: [f32; 4]) -> f32 {
    0.3 * c[0] + 0.6 * c[1] + 0.1 * c[2]
}

/// How far inside the opening a point is, pixels; below 0 outside.
pub(super) fn depth(outline: &Outline, p: [f32; 2]) -> f32 {
    let (x, y) = outline.local(p);
    let (upper, lower) = outline.lids(x);
    (y - upper).min(lower - y).min(x * outline.width).min((1.0 - x) * outline.width)
}

/// The iris' disc in the picture: where the circle's rim steps from dark to bright the most (J. Daugman, "High confidence visual
/// recognition of persons by a test of statistical independence", 1993), near the mesh's. The mesh's own where nothing is better.
pub(super) fn find(picture: &Frame, outline: &Outline, mesh: &Disc) -> Disc {
    let radius = mesh.radius();
    if radius < 2.0 {
        return *mesh;
    }
    // Contrast of one candidate; `None` where too little of the rim is in view.
    let contrast = |disc: &Disc| -> Option<f32> {
        let (mut sum, mut seen) = ([0.0f32; 2], [0usize; 2]);
        for side in 0..2 {
            for k in 0..ANGLES {
                let a = WIDEST * (2.0 * k as f32 / (ANGLES - 1) as f32 - 1.0);
                let (s, c) = a.sin_cos();
                let d = if side == 0 { [c, s] } else { [-c, s] };
                let at = |r: f32| disc.point([r * d[0], r * d[1]]);
                let (inside, outside) = (at(0.85), at(1.15));
                if depth(outline, inside).min(depth(outline, outside)) > 0.12 * radius {
                    sum[side] += luma(bicubic(picture, outside[0], outside[1]));
                    sum[side] -= luma(bicubic(picture, inside[0], inside[1]));
                    seen[side] += 1;
                }
            }
        }
        let mean = |i: usize| if seen[i] > 1 { Some(sum[i] / seen[i] as f32) } else { None };
        match (mean(0), mean(1)) {
            // Both sides must agree: a corner's shadow is dark on one.
            (Some(a), Some(b)) => Some(a.min(b) + 0.25 * a.max(b)),
            (Some(a), None) | (None, Some(a)) => Some(0.6 * a),
            (None, None) => None,
        }
    };
    let mut candidates = Vec::new();
    for size in SIZES {
        for j in -STEPS..=STEPS {
            for i in -STEPS..=STEPS {
                let q = [i, j].map(|v| SEARCH * v as f32 / STEPS as f32);
                let shift = mesh.axes * Vector2::from(q);
                let Some(disc) = Disc::new(mesh.centre + shift, mesh.axes * size) else { continue };
                let off = q[0] * q[0] + q[1] * q[1];
                let cost = (off / (SEARCH * SEARCH)).min(2.0) + ((size - 1.0) / 0.2).powi(2);
                candidates.extend(contrast(&disc).map(|c| (c, cost, disc)));
            }
        }
    }
    let best = candidates.iter().map(|c| c.0).fold(0.0, f32::max);
    let worth = |c: &(f32, f32, Disc)| c.0 - AWAY * best * c.1 * 0.5;
    let found = candidates.iter().max_by(|a, b| worth(a).total_cmp(&worth(b)));
    // A rim that can hardly be seen tells nothing.
    found.filter(|c| c.0 > 0.02).map_or(*mesh, |c| c.2)
}

/// The iris without lids, lashes and reflections.
#[derive(Debug, Clone)]
pub(super) struct Iris {
    /// Over `-REACH..REACH` of the disc.
    pub colour: Texture,
    /// What the light adds to it: reflections, which stay where the light is.
    pub light: Texture,
}

impl Iris {
    pub fn new(picture: &Frame, outline: &Outline, disc: &Disc) -> Iris {
        let radius = disc.radius();
        let side = ((2.6 * REACH * radius).ceil() as usize).clamp(17, 257) | 1;
        let half = (side / 2) as f32;
        let place =
            |i: usize| -> [f32; 2] { [(i % side) as f32 - half, (i / side) as f32 - half].map(|v| v * REACH / half) };
        let read = |q: [f32; 2]| {
            let p = disc.point(q);
            bicubic(picture, p[0], p[1])
        };
        let seen = |q: [f32; 2]| step(0.4 * MARGIN, 1.2 * MARGIN, depth(outline, disc.point(q)) / radius);
        let n = side * side;
        let shown: Vec<[f32; 4]> = (0..n).map(|i| read(place(i))).collect();
        let weight: Vec<f32> = (0..n).map(|i| seen(place(i))).collect();
        let flip = |i: usize, x: bool, y: bool| {
            let (c, r) = (i % side, i / side);
            let c = if x { side - 1 - c } else { c };
            let r = if y { side - 1 - r } else { r };
            r * side + c
        };
        // Colour at each distance from the middle, from what is seen.
        const RINGS: usize = 24;
        let ring = |i: usize| {
            let [x, y] = place(i);
            ((x * x + y * y).sqrt() / REACH * (RINGS - 1) as f32).min((RINGS - 1) as f32)
        };
        let mut sums = [[0.0f32; 5]; RINGS];
        for i in 0..n {
            let r = ring(i).round() as usize;
            // Reflections and lashes apart: the second pass below takes the median's place.
            let w = weight[i] + 1e-4;
            for k in 0..4 {
                sums[r][k] += w * shown[i][k];
            }
            sums[r][4] += w;
        }
        let mut profile: Vec<Option<[f32; 4]>> =
            sums.iter().map(|s| (s[4] > 0.05).then(|| std::array::from_fn(|k| s[k] / s[4]))).collect();
        for r in 1..RINGS {
            profile[r] = profile[r].or(profile[r - 1]);
        }
        for r in (0..RINGS - 1).rev() {
            profile[r] = profile[r].or(profile[r + 1]);
        }
        let skin = profile.iter().flatten().next().copied().unwrap_or([0.2, 0.2, 0.2, 1.0]);
        let profile: Vec<[f32; 4]> = profile.into_iter().map(|p| p.unwrap_or(skin)).collect();
        let radial = |i: usize| {
            let g = ring(i);
            let k = (g as usize).min(RINGS - 2);
            mix(profile[k], profile[k + 1], g - k as f32)
        };
        // Reflections: far brighter than the ring they lie on, or than the iris as a whole.
        let limit = {
            let mut inner: Vec<f32> =
                (0..n).filter(|&i| ring(i) < RINGS as f32 * 0.75 && weight[i] > 0.5).map(|i| luma(shown[i])).collect();
            inner.sort_by(f32::total_cmp);
            let at = |q: f32| inner.get((q * inner.len() as f32) as usize).copied();
            match (at(0.5), at(0.75)) {
                (Some(a), Some(b)) => a + 2.0 * (b - a) + 0.06,
                _ => f32::INFINITY,
            }
        };
        let bright: Vec<f32> = (0..n)
            .map(|i| {
                let [x, y] = place(i);
                let inside = 1.0 - step(0.82, 0.98, (x * x + y * y).sqrt());
                inside * step(limit, limit + 0.08, luma(shown[i]))
            })
            .collect();
        let bright = spread(&bright, side, 1 + side / 40);
        let known = |i: usize| weight[i] * (1.0 - bright[i]);
        let colour: Vec<[f32; 4]> = (0..n)
            .map(|i| {
                // Its own; else the same ring's other places; else the ring's mean.
                let mut left = 1.0;
                let mut sum = [0.0f32; 4];
                for j in [i, flip(i, true, false), flip(i, false, true), flip(i, true, true)] {
                    let w = left * known(j);
                    left -= w;
                    for k in 0..4 {
                        sum[k] += w * shown[j][k];
                    }
                }
                let rest = radial(i);
                std::array::from_fn(|k| sum[k] + left * rest[k])
            })
            .collect();
        let light: Vec<[f32; 4]> = (0..n)
            .map(|i| {
                let w = weight[i] * bright[i];
                std::array::from_fn(|k| if k < 3 { w * (shown[i][k] - colour[i][k]).max(0.0) } else { 0.0 })
            })
            .collect();
        Iris { colour: Texture::new(side, side, colour), light: Texture::new(side, side, light) }
    }

    /// A place of the disc as a place of the textures.
    #[inline]
    pub fn place(q: [f32; 2]) -> [f32; 2] {
        q.map(|v| 0.5 + 0.5 * v / REACH)
    }
}

/// Grows and softens a mask by some pixels.
fn spread(mask: &[f32], side: usize, by: usize) -> Vec<f32> {
    let mut out = mask.to_vec();
    for round in 0..2 {
        for vertical in [false, true] {
            let before = out.clone();
            let step = if vertical { side } else { 1 };
            for i in 0..side * side {
                let along = if vertical { i / side } else { i % side };
                let (mut best, mut sum, mut count) = (0.0f32, 0.0f32, 0.0f32);
                for d in -(by as isize)..=by as isize {
                    let a = along as isize + d;
                    if a >= 0 && a < side as isize {
                        let v = before[(i as isize + d * step as isize) as usize];
                        best = best.max(v);
                        sum += v;
                        count += 1.0;
                    }
                }
                out[i] = if round == 0 { best } else { sum / count };
            }
        }
    }
    out
}
