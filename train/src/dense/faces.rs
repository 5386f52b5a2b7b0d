//! Faces as the network sees them: people's, with another network's points, and drawn ones, with the head's own; each from a region that a
//! detector or a rough look may have given, mirrored or not, in another light, blurred, noisy, partly hidden.

use super::label::{LabelledClip, decode};
use crate::affine::{Affine, apply, inverse};
use crate::regressor::heads;
use crate::regressor::sample::Sample;
use headgan::face::bgr::Bgr8;
use headgan::face::dense::DenseFace;
use headgan::face::dense::refinement::POINTS;
use headgan::morphable::dense::{DenseHead, mirrored};
use headgan::morphable::{Fit, ImageCamera, Params, PreparedMorphable};
use headgan::nets::dense_points::SIZE;
use headgan::random::Rng;
use headgan::{Error, Result};

/// Side of the drawn heads' pictures, pixels, and how much of the surroundings they hold ([`heads::SyntheticHeads::with_framing`]).
const DRAWN: (usize, f64) = (288, 2.0);

/// A picture with the points of its face.
pub struct Face {
    pub picture: Bgr8,
    /// x, y and z in pixels of the picture; one at 3.0 lies on the middle of pixel 3.
    pub points: Vec<[f32; 3]>,
    /// Whether it is a person's: irises and depths of drawn heads are not asked for.
    pub person: bool,
}

/// Drawn heads with their points.
///
/// # Errors
/// Those of the renderer.
pub fn drawn(seed: u64, count: usize, head: &DrawnHead) -> Result<Vec<Face>> {
    let mut source = heads::SyntheticHeads::with_framing(seed, DRAWN.0, DRAWN.1);
    (0..count)
        .map(|_| {
            crate::interrupt::check()?;
            head.face(source.next()?)
        })
        .collect()
}

/// Where the 478 points lie on the drawn heads.
pub struct DrawnHead {
    head: DenseHead,
    model: PreparedMorphable,
}

impl DrawnHead {
    /// # Errors
    /// Those of the head.
    pub fn new() -> Result<DrawnHead> {
        let head = DenseHead::new(&headgan::synthetic::acting_head())?;
        Ok(DrawnHead { head, model: PreparedMorphable::new(headgan::synthetic::head())? })
    }

    /// The irises, which the drawn head does not have, are put between the lids.
    fn face(&self, sample: Sample) -> Result<Face> {
        let side = sample.picture.width as f32;
        let roi = headgan::frame::Rect { x0: 0.0, y0: 0.0, x1: side, y1: side };
        let camera = ImageCamera::from_matrix(&sample.camera)?.to_fit_camera(&roi)?;
        let fit = Fit { params: Params { camera, shape: sample.shape, expr: sample.expr }, roi };
        let mesh = self.model.mesh(&fit)?;
        let n = mesh.vertices.len();
        let mut points = vec![[0.0; 3]; POINTS];
        for (i, point) in points.iter_mut().enumerate().take(POINTS - 10) {
            let (vertices, weights) = self.head.place_of(i);
            for (v, w) in vertices.into_iter().zip(weights) {
                if v as usize >= n {
                    return Err(Error::engine(format!("point {i} lies on no skin: report this")));
                }
                let at = mesh.vertices[v as usize];
                (0..3).for_each(|c| point[c] += w * at[c]);
            }
        }
        for (first, [a, b]) in [(468, [33, 133]), (473, [362, 263])] {
            let middle = std::array::from_fn(|c| 0.5 * (points[a][c] + points[b][c]));
            points[first..first + 5].fill(middle);
        }
        Ok(Face { picture: sample.picture, points, person: false })
    }
}

/// A face of a labelled clip.
///
/// # Errors
/// [`Error::Input`] where its picture is damaged.
pub fn of_clip(clip: &LabelledClip, face: usize) -> Result<Face> {
    let face = &clip.faces[face];
    Ok(Face { picture: decode(&face.jpeg)?, points: face.points.clone(), person: true })
}

/// How a face is looked at.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Turn of the region against a level one, radians.
    pub turn: f64,
    /// Its side, in sides of the one that the points ask for.
    pub size: f64,
    /// How far its middle is off, in the same sides.
    pub shift: [f64; 2],
    pub mirror: bool,
}

impl View {
    /// The region that the points ask for.
    pub fn plain() -> View {
        View { turn: 0.0, size: 1.0, shift: [0.0; 2], mirror: false }
    }

    /// As far off as a finder's regions are; now and then much farther.
    pub fn draw(rng: &mut Rng) -> View {
        let far = rng.unit() < 0.25;
        let [turn, size, shift] = if far { [0.52, 0.3, 0.1] } else { [0.1, 0.12, 0.035] };
        View {
            turn: rng.within(turn),
            size: rng.within(size).exp(),
            shift: [0, 1].map(|_| rng.within(shift)),
            mirror: rng.unit() < 0.5,
        }
    }

    /// From the network's pixels to the picture's.
    fn map(&self, points: &[[f32; 3]]) -> Affine {
        let mut all = Box::new([[0.0; 3]; POINTS]);
        all.iter_mut().zip(points).for_each(|(a, p)| *a = *p);
        let region = DenseFace { points: all, presence: 1.0 }.region();
        let (sin, cos) = (f64::from(region.turn) + self.turn).sin_cos();
        let k = self.size * f64::from(region.side) / SIZE as f64;
        let side = if self.mirror { -1.0 } else { 1.0 };
        let [cx, cy] = [0, 1].map(|i| f64::from(region.centre[i]) + self.shift[i] * f64::from(region.side));
        let half = 0.5 * SIZE as f64;
        let [a, b, d, e] = [k * cos * side, -k * sin, k * sin * side, k * cos];
        [a, b, cx - (a + b) * half, d, e, cy - (d + e) * half]
    }
}

/// Middle and reach of an ellipse, and its colour or the place of another part of the picture.
type Patch = ([f32; 4], [f32; 3], Option<[usize; 2]>);

/// Light and camera of a picture.
#[derive(Debug, Clone)]
pub struct Light {
    /// What becomes of each value of red, green and blue, 0..1.
    curves: [Vec<f32>; 3],
    /// How light falls off across the picture.
    slope: [f32; 2],
    grey: bool,
    noise: f32,
    /// Side of the picture before it was enlarged, pixels.
    side: usize,
    blur: usize,
    /// Ellipses in front.
    patches: Vec<Patch>,
}

impl Light {
    /// The picture as it is.
    pub fn plain() -> Light {
        let curve: Vec<f32> = (0..256).map(|v| v as f32 / 255.0).collect();
        let curves = [0, 1, 2].map(|_| curve.clone());
        Light { curves, slope: [0.0; 2], grey: false, noise: 0.0, side: SIZE, blur: 0, patches: Vec::new() }
    }

    /// Any.
    pub fn draw(rng: &mut Rng) -> Light {
        let light = rng.within(0.3).exp();
        let gamma = rng.within(0.35).exp();
        let lift = rng.within(0.06);
        let curves = [0, 1, 2].map(|_| {
            let gain = light * rng.within(0.1).exp();
            (0..256).map(|v| (gain * (f64::from(v) / 255.0).powf(gamma) + lift) as f32).collect()
        });
        let slope = [rng.within(0.25) as f32, rng.within(0.25) as f32];
        let side = if rng.unit() < 0.3 { 48 + rng.below(SIZE - 48) } else { SIZE };
        let blur = if rng.unit() < 0.15 { 1 + rng.below(2) } else { 0 };
        let noise = if rng.unit() < 0.35 { 0.05 * rng.unit() as f32 } else { 0.0 };
        let n = SIZE as f64;
        let count = if rng.unit() < 0.2 { 1 + rng.below(2) } else { 0 };
        let patch = |rng: &mut Rng| {
            let mut reach = || (0.04 + 0.16 * rng.unit()) * n;
            let [rx, ry] = [reach(), reach()];
            let [x, y] = [rng.unit() * n, rng.unit() * n];
            let colour = std::array::from_fn(|_| rng.unit() as f32);
            let from = (rng.unit() < 0.5).then(|| [rng.below(SIZE), rng.below(SIZE)]);
            ([x, y, rx, ry].map(|v| v as f32), colour, from)
        };
        let patches = (0..count).map(|_| patch(rng)).collect();
        Light { curves, slope, grey: rng.unit() < 0.08, noise, side, blur, patches }
    }
}

/// What goes into the network and what should come out.
pub struct Example {
    /// Red, green, blue planes of [`SIZE`] x [`SIZE`], 0..1.
    pub pixels: Vec<f32>,
    /// In the network's pixels; empty where there is no face.
    pub points: Vec<[f32; 3]>,
    pub person: bool,
}

/// A face under a view.
pub fn see(face: &Face, view: &View, light: &Light, rng: &mut Rng) -> Example {
    let map = view.map(&face.points);
    let back = inverse(&map);
    let scale = (back[0] * back[4] - back[1] * back[3]).abs().sqrt() as f32;
    let place = |p: &[f32; 3]| {
        let (x, y) = apply(&back, [f64::from(p[0]), f64::from(p[1])]);
        [x as f32, y as f32, scale * p[2]]
    };
    let mut points: Vec<[f32; 3]> = face.points.iter().map(place).collect();
    if view.mirror {
        let order = mirrored();
        points = (0..POINTS).map(|i| points[order[i]]).collect();
    }
    Example { pixels: pixels(&face.picture, &map, light, rng), points, person: face.person }
}

/// A part of a frame in which no face is, as the network may be shown it; `None` where there is no room for one. `faces` are boxes.
pub fn see_nobody(frame: &Bgr8, faces: &[[f32; 4]], rng: &mut Rng) -> Option<Example> {
    let (w, h) = (frame.width as f64, frame.height as f64);
    for _ in 0..12 {
        let side = w.min(h) * (0.12 + 0.6 * rng.unit());
        let [cx, cy] = [w * rng.unit(), h * rng.unit()];
        let half = 0.5 * side;
        let clear = |r: &[f32; 4]| {
            let [x0, y0, x1, y1] = r.map(f64::from);
            let over = |a: f64, b: f64, c: f64, d: f64| (b.min(d) - a.max(c)).max(0.0);
            let shared = over(x0, x1, cx - half, cx + half) * over(y0, y1, cy - half, cy + half);
            shared < 0.12 * ((x1 - x0) * (y1 - y0)).min(side * side)
        };
        if !faces.iter().all(clear) {
            continue;
        }
        let (sin, cos) = rng.within(0.5).sin_cos();
        let k = side / SIZE as f64;
        let [a, b, d, e] = [k * cos, -k * sin, k * sin, k * cos];
        let map = [a, b, cx - (a + b) * 0.5 * SIZE as f64, d, e, cy - (d + e) * 0.5 * SIZE as f64];
        let pixels = pixels(frame, &map, &Light::draw(rng), rng);
        return Some(Example { pixels, points: Vec::new(), person: false });
    }
    None
}

/// The picture whose pixel p shows `source` at `map` of p, in a light. Beyond its border the border goes on.
fn pixels(source: &Bgr8, map: &Affine, light: &Light, rng: &mut Rng) -> Vec<f32> {
    let n = light.side;
    let mut small = vec![0.0f32; 3 * n * n];
    let k = SIZE as f64 / n as f64;
    // Pixel middles of the smaller picture in pixels of the larger one.
    let [a, b, d, e] = [map[0] * k, map[1] * k, map[3] * k, map[4] * k].map(|v| v as f32);
    let (x0, y0) = apply(map, [0.5 * k - 0.5; 2]);
    let (x0, y0) = (x0 as f32, y0 as f32);
    let (w, h) = (source.width as i32, source.height as i32);
    let (last_x, last_y) = ((w - 1) as f32, (h - 1) as f32);
    for j in 0..n {
        for i in 0..n {
            let x = (x0 + a * i as f32 + b * j as f32).clamp(0.0, last_x);
            let y = (y0 + d * i as f32 + e * j as f32).clamp(0.0, last_y);
            let (ix, iy) = (x as usize, y as usize);
            let (tx, ty) = (x - ix as f32, y - iy as f32);
            let (jx, jy) = ((ix + 1).min(w as usize - 1), (iy + 1).min(h as usize - 1));
            let at = |x: usize, y: usize| &source.data[3 * (y * w as usize + x)..][..3];
            let (p, q, r, s) = (at(ix, iy), at(jx, iy), at(ix, jy), at(jx, jy));
            for c in 0..3 {
                let [p, q, r, s] = [p[2 - c], q[2 - c], r[2 - c], s[2 - c]].map(f32::from);
                let (top, low) = (p + (q - p) * tx, r + (s - r) * tx);
                small[c * n * n + j * n + i] = top + (low - top) * ty;
            }
        }
    }
    let mut out = if n == SIZE { small } else { enlarge(&small, n) };
    for _ in 0..light.blur {
        out.chunks_exact_mut(SIZE * SIZE).for_each(blur);
    }
    let area = SIZE * SIZE;
    if light.grey {
        for i in 0..area {
            let mean = (out[i] + out[area + i] + out[2 * area + i]) / 3.0;
            (0..3).for_each(|c| out[c * area + i] = mean);
        }
    }
    let mut state = rng.next_u64() | 1;
    for c in 0..3 {
        let curve = &light.curves[c];
        for j in 0..SIZE {
            let row = 1.0 + light.slope[1] * (2.0 * j as f32 / SIZE as f32 - 1.0);
            for i in 0..SIZE {
                let v = &mut out[c * area + j * SIZE + i];
                let lit = row + light.slope[0] * (2.0 * i as f32 / SIZE as f32 - 1.0);
                let mut value = curve[(*v + 0.5) as usize & 255] * lit;
                if light.noise > 0.0 {
                    // Xorshift: noise need not be good, and there is much of it.
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    value += light.noise * ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0);
                }
                *v = value.clamp(0.0, 1.0);
            }
        }
    }
    if !light.patches.is_empty() {
        let before = out.clone();
        for ([cx, cy, rx, ry], colour, from) in &light.patches {
            for i in 0..area {
                let (x, y) = ((i % SIZE) as f32, (i / SIZE) as f32);
                if ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2) > 1.0 {
                    continue;
                }
                for c in 0..3 {
                    out[c * area + i] = match from {
                        None => colour[c],
                        Some([dx, dy]) => before[c * area + (i / SIZE + dy) % SIZE * SIZE + (i % SIZE + dx) % SIZE],
                    };
                }
            }
        }
    }
    out
}

/// Planes of `n` x `n` pixels in [`SIZE`] x [`SIZE`], bilinear.
fn enlarge(planes: &[f32], n: usize) -> Vec<f32> {
    let taps: Vec<(usize, usize, f32)> = (0..SIZE)
        .map(|i| {
            let at = ((i as f32 + 0.5) * n as f32 / SIZE as f32 - 0.5).clamp(0.0, (n - 1) as f32);
            (at as usize, (at as usize + 1).min(n - 1), at.fract())
        })
        .collect();
    let mut out = Vec::with_capacity(3 * SIZE * SIZE);
    for plane in planes.chunks_exact(n * n) {
        for &(y0, y1, ty) in &taps {
            for &(x0, x1, tx) in &taps {
                let top = plane[y0 * n + x0] + (plane[y0 * n + x1] - plane[y0 * n + x0]) * tx;
                let low = plane[y1 * n + x0] + (plane[y1 * n + x1] - plane[y1 * n + x0]) * tx;
                out.push(top + (low - top) * ty);
            }
        }
    }
    out
}

/// The mean of three pixels along both axes; the border stays.
fn blur(plane: &mut [f32]) {
    let before = plane.to_vec();
    for j in 0..SIZE {
        for i in 1..SIZE - 1 {
            let at = j * SIZE + i;
            plane[at] = (before[at - 1] + before[at] + before[at + 1]) / 3.0;
        }
    }
    let before = plane.to_vec();
    for j in 1..SIZE - 1 {
        for i in 0..SIZE {
            let at = j * SIZE + i;
            plane[at] = (before[at - SIZE] + before[at] + before[at + SIZE]) / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture whose green counts columns and whose red counts rows, with points of a face.
    fn face() -> Face {
        let side = 240;
        let data = (0..side * side).flat_map(|i| [0, (i % side) as u8, (i / side) as u8]).collect();
        let mut rng = Rng(3);
        let mut points: Vec<[f32; 3]> = (0..POINTS)
            .map(|_| [120.0 + 50.0 * rng.signed(), 120.0 + 50.0 * rng.signed(), 10.0 * rng.signed()])
            .collect();
        points[33] = [90.0, 110.0, 0.0];
        points[263] = [150.0, 112.0, 0.0];
        Face { picture: Bgr8 { width: side, height: side, data }, points, person: true }
    }

    #[test]
    fn points_lie_where_the_pixels_do() {
        let face = face();
        let mut rng = Rng(7);
        for _ in 0..6 {
            let view = View::draw(&mut rng);
            let seen = see(&face, &view, &Light::plain(), &mut rng);
            let order = mirrored();
            for i in [0usize, 100, 300, 470] {
                let from = face.points[if view.mirror { order[i] } else { i }];
                let [x, y, _] = seen.points[i];
                if !(1.0..190.0).contains(&x) || !(1.0..190.0).contains(&y) {
                    continue;
                }
                let at = y.round() as usize * SIZE + x.round() as usize;
                let got = [1, 0].map(|c| 255.0 * seen.pixels[c * SIZE * SIZE + at]);
                // Half a pixel of the network is off by rounding.
                assert!((got[0] - from[0]).abs() < 1.6 && (got[1] - from[1]).abs() < 1.6, "{got:?} {from:?} {view:?}");
            }
        }
    }

    #[test]
    fn a_drawn_head_has_its_points_where_it_is_drawn() {
        let head = DrawnHead::new().unwrap();
        for face in drawn(5, 2, &head).unwrap() {
            let seen = see(&face, &View::plain(), &Light::plain(), &mut Rng(1));
            let [right, left, chin, top] = [33, 263, 152, 10].map(|i| seen.points[i]);
            assert!(
                right[0] < 90.0 && left[0] > 100.0 && chin[1] > 130.0 && top[1] < 70.0,
                "{right:?} {left:?} {chin:?}"
            );
            assert!(seen.points.iter().all(|p| (10.0..182.0).contains(&p[0]) && (10.0..182.0).contains(&p[1])));
        }
    }

    #[test]
    fn any_light_stays_a_picture() {
        let face = face();
        let mut rng = Rng(9);
        for _ in 0..20 {
            let light = Light::draw(&mut rng);
            let seen = see(&face, &View::draw(&mut rng), &light, &mut rng);
            assert!(seen.pixels.len() == 3 * SIZE * SIZE && seen.pixels.iter().all(|v| (0.0..=1.0).contains(v)));
        }
        let nobody = see_nobody(&face.picture, &[[70.0, 70.0, 170.0, 170.0]], &mut rng).unwrap();
        assert!(nobody.points.is_empty());
        assert!(see_nobody(&face.picture, &[[-500.0, -500.0, 700.0, 700.0]], &mut rng).is_none());
    }
}
