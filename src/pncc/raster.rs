//! Z-buffer rasterisation by the rules of 3DDFA-V2's Sim3DR (`rasterize_kernel.cpp`), to the bit. What is read from a
//! rendering afterwards belongs to [`rendered`](super::rendered).
//!
//! Larger z is nearer; pixel centres lie at integers; a pixel belongs to a triangle when all three of its
//! barycentric weights are above zero; of two triangles at the same depth the first stays; nothing is culled.
//! All arithmetic is f32 in upstream's order, because pixels on edges depend on the last bit.
//!
//! A face has 76,000 triangles for some 30,000 pixels, so what counts is the price of a triangle that shows
//! nowhere. Every vertex is rounded once to the pixels that can lie beyond it; a triangle's pixel box is the
//! minimum of its vertices' rounded values, and most triangles are done with one comparison.

use rayon::prelude::*;
use wide::f32x4;

use super::lanes::{self, positive};
use super::rendered::{Cell, FAR, PixelRect, Rendered};
use crate::{Error, Result};

/// Largest width and height of a picture (pixel boxes are 16-bit).
pub const MAX_SIDE: usize = 32_000;

/// Triangles whose boxes are tested before the survivors are drawn.
const CHUNK: usize = 256;
/// Below this many triangles plus pixels a second thread costs more than it saves.
const PARALLEL_FROM: usize = 60_000;

/// Renders meshes; keeps its memory between frames.
#[derive(Debug, Default)]
pub struct Rasterizer {
    /// Per vertex `ceil x, ceil y, -floor x, -floor y`, clamped to the picture.
    boxes: Vec<[i16; 4]>,
    /// The pixels of the mesh's bounding box: their depths, and what they show.
    depth: Vec<f32>,
    cells: Vec<Cell>,
    single_thread: bool,
}

impl Rasterizer {
    /// A rasteriser that uses rayon's threads where it pays.
    pub fn new() -> Rasterizer {
        Rasterizer::default()
    }

    /// A rasteriser that stays on the calling thread. The pictures are the same to the bit.
    pub fn single_thread() -> Rasterizer {
        Rasterizer { single_thread: true, ..Rasterizer::default() }
    }

    /// Renders a mesh (image coordinates: x right, y down, pixel centres at integers) into a picture of
    /// `width x height`. Vertices that are not finite hide their triangles. Memory: 16 bytes per pixel of the
    /// mesh's bounding box within the picture; nothing is allocated once that has been large enough.
    ///
    /// # Errors
    /// `Usage` when a side exceeds [`MAX_SIDE`]; `Model` when a triangle names a vertex that is not there.
    pub fn render<'a>(
        &'a mut self,
        vertices: &'a [[f32; 3]],
        triangles: &'a [[u32; 3]],
        width: usize,
        height: usize,
    ) -> Result<Rendered<'a>> {
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(Error::usage(format!(
                "a picture of {width}x{height} is too large for the rasteriser: at most {MAX_SIDE} pixels a side"
            )));
        }
        let largest = triangles.as_flattened().iter().fold(0, |m, &i| m.max(i));
        if !triangles.is_empty() && largest as usize >= vertices.len() {
            return Err(Error::model(format!(
                "a triangle names vertex {largest} of a mesh with {}: mesh and triangles are of different models",
                vertices.len()
            )));
        }
        let rect = vertex_boxes(vertices, width, height, &mut self.boxes);
        let pixels = rect.width() * rect.height();
        if self.cells.len() < pixels {
            self.depth.resize(pixels, FAR);
            self.cells.resize(pixels, Cell::default());
        }
        let (depth, cells) = (&mut self.depth[..pixels], &mut self.cells[..pixels]);
        if pixels > 0 {
            let scene = Scene { vertices, triangles, boxes: &self.boxes, rect };
            let threads = rayon::current_num_threads().min(rect.height());
            if self.single_thread || threads < 2 || triangles.len() + pixels < PARALLEL_FROM {
                scene.draw(rect.y0, depth, cells);
            } else {
                // Horizontal bands: a pixel sees its triangles in the same order as on one thread.
                let rows = rect.height().div_ceil(threads);
                let band = rows * rect.width();
                (depth.par_chunks_mut(band), cells.par_chunks_mut(band))
                    .into_par_iter()
                    .enumerate()
                    .for_each(|(i, (depth, cells))| scene.draw(rect.y0 + i * rows, depth, cells));
            }
        }
        Ok(Rendered { vertices, triangles, depth, cells, rect, width, height })
    }
}

/// Rounds the vertices; returns the part of the picture that the mesh can reach.
fn vertex_boxes(vertices: &[[f32; 3]], width: usize, height: usize, boxes: &mut Vec<[i16; 4]>) -> PixelRect {
    // Sides are at most MAX_SIDE, so all of this is exact in f32 and fits 16 bits. A vertex outside is moved to
    // the nearest position outside that no pixel centre separates from it.
    let (w, h) = (width as f32, height as f32);
    let (low, high) = (f32x4::new([0.0, 0.0, 1.0 - w, 1.0 - h]), f32x4::new([w, h, 1.0, 1.0]));
    let mut all = [i16::MAX; 4];
    boxes.clear();
    boxes.extend(vertices.iter().map(|v| {
        let rounded = lanes::ceil_within([v[0], v[1], -v[0], -v[1]], low, high);
        all = lanes::min(all, rounded);
        rounded
    }));
    let [x0, y0, x1, y1] = [i32::from(all[0]), i32::from(all[1]), 1 - i32::from(all[2]), 1 - i32::from(all[3])];
    if vertices.is_empty() || x0 >= x1 || y0 >= y1 {
        return PixelRect::default();
    }
    PixelRect { x0: x0 as usize, y0: y0 as usize, x1: x1 as usize, y1: y1 as usize }
}

struct Scene<'a> {
    vertices: &'a [[f32; 3]],
    triangles: &'a [[u32; 3]],
    boxes: &'a [[i16; 4]],
    rect: PixelRect,
}

impl Scene<'_> {
    /// Draws all triangles into the rows from `top` on that `depth` and `cells` hold.
    fn draw(&self, top: usize, depth: &mut [f32], cells: &mut [Cell]) {
        depth.fill(FAR);
        let stride = self.rect.width();
        let bottom = top + cells.len() / stride;
        let limit = [i16::MIN, top as i16, i16::MIN, 1 - bottom as i16];
        let mut batch = Batch::new();
        for (c, chunk) in self.triangles.chunks(CHUNK).enumerate() {
            let mut count = 0;
            for (i, t) in chunk.iter().enumerate() {
                // SAFETY: render has checked every index against the vertices, and boxes has as many.
                let [a, b, c3] = t.map(|v| unsafe { *self.boxes.get_unchecked(v as usize) });
                let r = lanes::max(lanes::min(lanes::min(a, b), c3), limit);
                // Without a branch: whether a triangle survives cannot be predicted.
                batch.triangle[count] = (c * CHUNK + i) as u32;
                batch.pixels[count] = r;
                count += usize::from(lanes::spans_pixels(r));
            }
            self.gather(count, &mut batch);
            batch.set_up(count);
            let drawn = batch.select(count);
            for k in 0..drawn {
                let j = batch.order[k] as usize;
                self.pixels(j, &batch, top, stride, depth, cells);
            }
        }
    }

    /// Fetches the corners of the batch's triangles.
    #[inline(always)]
    fn gather(&self, count: usize, batch: &mut Batch) {
        for j in 0..count {
            // SAFETY: the batch holds indices of triangles, and render has checked the triangles'.
            let [p0, p1, p2] = unsafe {
                self.triangles
                    .get_unchecked(batch.triangle[j] as usize)
                    .map(|v| *self.vertices.get_unchecked(v as usize))
            };
            let pixels = batch.pixels[j];
            (batch.x[j], batch.y[j]) = (f32::from(pixels[0]), f32::from(pixels[1]));
            (batch.x0[j], batch.y0[j]) = (p0[0], p0[1]);
            (batch.v1x[j], batch.v1y[j]) = (p1[0], p1[1]);
            (batch.v0x[j], batch.v0y[j]) = (p2[0], p2[1]);
            (batch.z0[j], batch.z1[j], batch.z2[j]) = (p0[2], p1[2], p2[2]);
        }
    }

    /// Draws the batch's triangle `j`.
    #[inline(always)]
    fn pixels(&self, j: usize, batch: &Batch, top: usize, stride: usize, depth: &mut [f32], cells: &mut [Cell]) {
        let r = batch.pixels[j];
        let (x0, x1) = (r[0] as usize, (-r[2]) as usize);
        let (y0, y1) = (r[1] as usize, (-r[3]) as usize);
        let triangle = batch.triangle[j];
        let first = (y0 - top) * stride + x0 - self.rect.x0;
        if x0 == x1 && y0 == y1 {
            // Its only pixel has been found inside.
            if let (Some(seen), Some(cell)) = (depth.get_mut(first), cells.get_mut(first))
                && batch.z[j] > *seen
            {
                *seen = batch.z[j];
                *cell = Cell { triangle, w1: batch.w1[j], w2: batch.w2[j] };
            }
            return;
        }
        let bary = batch.barycentric(j);
        let [z0, z1, z2] = [batch.z0[j], batch.z1[j], batch.z2[j]].map(f32x4::splat);
        for y in y0..=y1 {
            let start = first + (y - y0) * stride;
            let row = start..=start + x1 - x0;
            let (depth, cells) = (&mut depth[row.clone()], &mut cells[row]);
            let y = f32x4::splat(y as f32);
            for ((x, depth), cells) in (x0..).step_by(4).zip(depth.chunks_mut(4)).zip(cells.chunks_mut(4)) {
                let (w1, w2) = bary.at(f32x4::splat(x as f32) + f32x4::new([0.0, 1.0, 2.0, 3.0]), y);
                let w0 = f32x4::splat(1.0) - w2 - w1;
                let mut inside = positive(w0) & positive(w1) & positive(w2) & ((1 << depth.len()) - 1);
                if inside == 0 {
                    continue;
                }
                let z = (w0 * z0 + w1 * z1 + w2 * z2).to_array();
                let (w1, w2) = (w1.to_array(), w2.to_array());
                while inside != 0 {
                    let l = inside.trailing_zeros() as usize;
                    inside &= inside - 1;
                    if z[l] > depth[l] {
                        depth[l] = z[l];
                        cells[l] = Cell { triangle, w1: w1[l], w2: w2[l] };
                    }
                }
            }
        }
    }
}

/// Triangles on their way to the pixels: arrays of each value, so that what is done to all of them is done to
/// four at a time. Most triangles that get here can reach one pixel only, and are decided here.
struct Batch {
    triangle: [u32; CHUNK],
    /// First column and row, last column and row negated.
    pixels: [[i16; 4]; CHUNK],
    /// The first pixel.
    x: [f32; CHUNK],
    y: [f32; CHUNK],
    /// The first corner.
    x0: [f32; CHUNK],
    y0: [f32; CHUNK],
    /// Third minus first corner, and second minus first (before `set_up`: the corners themselves).
    v0x: [f32; CHUNK],
    v0y: [f32; CHUNK],
    v1x: [f32; CHUNK],
    v1y: [f32; CHUNK],
    z0: [f32; CHUNK],
    z1: [f32; CHUNK],
    z2: [f32; CHUNK],
    dot00: [f32; CHUNK],
    dot01: [f32; CHUNK],
    dot11: [f32; CHUNK],
    inverse: [f32; CHUNK],
    /// Depth and weights at the first pixel, and whether it lies inside (a bit for each of four).
    z: [f32; CHUNK],
    w1: [f32; CHUNK],
    w2: [f32; CHUNK],
    inside: [u32; CHUNK / 4],
    /// The triangles that are left to draw, in order.
    order: [u32; CHUNK],
}

impl Batch {
    fn new() -> Batch {
        let f = [0.0; CHUNK];
        Batch {
            triangle: [0; CHUNK],
            pixels: [[0; 4]; CHUNK],
            x: f,
            y: f,
            x0: f,
            y0: f,
            v0x: f,
            v0y: f,
            v1x: f,
            v1y: f,
            z0: f,
            z1: f,
            z2: f,
            dot00: f,
            dot01: f,
            dot11: f,
            inverse: f,
            z: f,
            w1: f,
            w2: f,
            inside: [0; CHUNK / 4],
            order: [0; CHUNK],
        }
    }

    /// Barycentric set-up of the first `count` triangles, and their weights at their first pixel.
    #[inline(always)]
    fn set_up(&mut self, count: usize) {
        fn four(values: &[f32; CHUNK], k: usize) -> f32x4 {
            f32x4::new(values.as_chunks::<4>().0[k])
        }
        fn put(values: &mut [f32; CHUNK], k: usize, v: f32x4) {
            values.as_chunks_mut::<4>().0[k] = v.to_array();
        }
        // Lanes beyond `count` hold what an earlier batch left; their results are ignored.
        for k in 0..count.div_ceil(4).min(CHUNK / 4) {
            let origin = [four(&self.x0, k), four(&self.y0, k)];
            let v0 = [four(&self.v0x, k) - origin[0], four(&self.v0y, k) - origin[1]];
            let v1 = [four(&self.v1x, k) - origin[0], four(&self.v1y, k) - origin[1]];
            let bary = Barycentric::new(origin, v0, v1);
            let (w1, w2) = bary.at(four(&self.x, k), four(&self.y, k));
            let w0 = f32x4::splat(1.0) - w2 - w1;
            let z = w0 * four(&self.z0, k) + w1 * four(&self.z1, k) + w2 * four(&self.z2, k);
            self.inside[k] = positive(w0) & positive(w1) & positive(w2);
            for (values, v) in [
                (&mut self.v0x, v0[0]),
                (&mut self.v0y, v0[1]),
                (&mut self.v1x, v1[0]),
                (&mut self.v1y, v1[1]),
                (&mut self.dot00, bary.dot00),
                (&mut self.dot01, bary.dot01),
                (&mut self.dot11, bary.dot11),
                (&mut self.inverse, bary.inverse),
                (&mut self.z, z),
                (&mut self.w1, w1),
                (&mut self.w2, w2),
            ] {
                put(values, k, v);
            }
        }
    }

    /// Lists the triangles that are left: those that can reach several pixels, and those whose only pixel is inside.
    #[inline(always)]
    fn select(&mut self, count: usize) -> usize {
        let mut left = 0;
        for j in 0..count.min(CHUNK) {
            let [x0, y0, x1, y1] = self.pixels[j];
            let inside = self.inside[j / 4] >> (j % 4) & 1;
            self.order[left] = j as u32;
            left += usize::from((x0 + x1 != 0) | (y0 + y1 != 0) | (inside != 0));
        }
        left
    }

    #[inline(always)]
    fn barycentric(&self, j: usize) -> Barycentric {
        // The pairs one by one: with `map` they go through memory.
        Barycentric {
            origin: [f32x4::splat(self.x0[j]), f32x4::splat(self.y0[j])],
            v0: [f32x4::splat(self.v0x[j]), f32x4::splat(self.v0y[j])],
            v1: [f32x4::splat(self.v1x[j]), f32x4::splat(self.v1y[j])],
            dot00: f32x4::splat(self.dot00[j]),
            dot01: f32x4::splat(self.dot01[j]),
            dot11: f32x4::splat(self.dot11[j]),
            inverse: f32x4::splat(self.inverse[j]),
        }
    }
}

/// Barycentric weights by dot products, in upstream's order of operations: four triangles at once, or one
/// triangle four times.
struct Barycentric {
    origin: [f32x4; 2],
    v0: [f32x4; 2],
    v1: [f32x4; 2],
    dot00: f32x4,
    dot01: f32x4,
    dot11: f32x4,
    inverse: f32x4,
}

impl Barycentric {
    /// `origin` is the first corner, `v0` the third and `v1` the second minus the first.
    #[inline(always)]
    fn new(origin: [f32x4; 2], v0: [f32x4; 2], v1: [f32x4; 2]) -> Barycentric {
        let dot00 = v0[0] * v0[0] + v0[1] * v0[1];
        let dot01 = v0[0] * v1[0] + v0[1] * v1[1];
        let dot11 = v1[0] * v1[0] + v1[1] * v1[1];
        // A triangle without area gets the weights 1, 0, 0: no pixel lies strictly inside.
        let inverse = lanes::inverse_or_zero(dot00 * dot11 - dot01 * dot01);
        Barycentric { origin, v0, v1, dot00, dot01, dot11, inverse }
    }

    /// Weights of the second and the third vertex at a point.
    #[inline(always)]
    fn at(&self, x: f32x4, y: f32x4) -> (f32x4, f32x4) {
        let v2 = [x - self.origin[0], y - self.origin[1]];
        let dot02 = self.v0[0] * v2[0] + self.v0[1] * v2[1];
        let dot12 = self.v1[0] * v2[0] + self.v1[1] * v2[1];
        let u = (self.dot11 * dot02 - self.dot01 * dot12) * self.inverse;
        let v = (self.dot00 * dot12 - self.dot01 * dot02) * self.inverse;
        (v, u)
    }
}

#[cfg(test)]
mod tests;
