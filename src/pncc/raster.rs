//! Z-buffer rasterisation by the rules of 3DDFA-V2's Sim3DR (`rasterize_kernel.cpp`), to the bit.
//!
//! Larger z is nearer; pixel centres lie at integers; a pixel belongs to a triangle when all three of its
//! barycentric weights are above zero; of two triangles at the same depth the first stays; nothing is culled.
//! All arithmetic is f32 in upstream's order, because pixels on edges depend on the last bit.
//!
//! A face has 76,000 triangles for some 30,000 pixels, so what counts is the price of a triangle that shows
//! nowhere. Every vertex is rounded once to the pixels that can lie beyond it; a triangle's pixel box is the
//! minimum of its vertices' rounded values, and most triangles are done with one comparison.

use lanes::F4;
use rayon::prelude::*;

use crate::{Error, Result};

/// Largest width and height of a picture (pixel boxes are 16-bit).
pub const MAX_SIDE: usize = 32_000;

/// Upstream's depth of a pixel that shows nothing.
const FAR: f32 = -1e8;
/// Triangles whose boxes are looked at before the survivors are drawn.
const CHUNK: usize = 256;
/// Below this many triangles plus pixels a second thread costs more than it saves.
const PARALLEL_FROM: usize = 60_000;

/// Where on which triangle a pixel lies. Kept apart from the depths: those are read for every candidate and
/// should stay in the cache, these are only written, and mean nothing where the depth is [`FAR`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Cell {
    triangle: u32,
    /// Weights of the triangle's second and third vertex; the first has what is left to 1.
    w1: f32,
    w2: f32,
}

impl Cell {
    #[inline(always)]
    fn hit(&self, depth: f32) -> Hit {
        // upstream's order: 1 - u - v, where u belongs to the third vertex
        Hit { triangle: self.triangle, weights: [1.0 - self.w2 - self.w1, self.w1, self.w2], depth }
    }
}

/// A rectangle of pixels; `x1` and `y1` lie just outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PixelRect {
    pub x0: usize,
    pub y0: usize,
    pub x1: usize,
    pub y1: usize,
}

impl PixelRect {
    pub fn width(&self) -> usize {
        self.x1 - self.x0
    }
    pub fn height(&self) -> usize {
        self.y1 - self.y0
    }
    pub fn is_empty(&self) -> bool {
        self.x1 == self.x0 || self.y1 == self.y0
    }
    pub fn contains(&self, x: usize, y: usize) -> bool {
        (self.x0..self.x1).contains(&x) && (self.y0..self.y1).contains(&y)
    }
}

/// Which triangle a pixel shows, and where on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Index into the triangles that were rendered.
    pub triangle: u32,
    /// Weights of its three vertices, all above 0, of sum 1.
    pub weights: [f32; 3],
    /// Interpolated z of the mesh; larger is nearer.
    pub depth: f32,
}

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
            return Err(Error::Usage(format!(
                "a picture of {width}x{height} is too large for the rasteriser: at most {MAX_SIDE} pixels a side"
            )));
        }
        let largest = triangles.as_flattened().iter().fold(0, |m, &i| m.max(i));
        if !triangles.is_empty() && largest as usize >= vertices.len() {
            return Err(Error::Model(format!(
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
    let (low, high) = ([0.0, 0.0, 1.0 - w, 1.0 - h], [w, h, 1.0, 1.0]);
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

/// Four floats, and pixel boxes of four 16-bit lanes: `first x, first y, -last x, -last y`. The compiler does not find these by
/// itself, and the rasteriser does little else for most triangles.
#[cfg(target_arch = "x86_64")]
mod lanes {
    use core::arch::x86_64::*;

    // All of this is SSE2, which every x86-64 processor has.
    #[inline(always)]
    fn load(v: [i16; 4]) -> __m128i {
        // SAFETY: SSE2 is always there.
        unsafe { _mm_cvtsi64_si128(bytemuck::cast(v)) }
    }

    #[inline(always)]
    fn store(v: __m128i) -> [i16; 4] {
        // SAFETY: SSE2 is always there.
        bytemuck::cast(unsafe { _mm_cvtsi128_si64(v) })
    }

    #[inline(always)]
    pub fn min(a: [i16; 4], b: [i16; 4]) -> [i16; 4] {
        // SAFETY: SSE2 is always there.
        store(unsafe { _mm_min_epi16(load(a), load(b)) })
    }

    #[inline(always)]
    pub fn max(a: [i16; 4], b: [i16; 4]) -> [i16; 4] {
        // SAFETY: SSE2 is always there.
        store(unsafe { _mm_max_epi16(load(a), load(b)) })
    }

    /// Four floats.
    #[derive(Clone, Copy)]
    pub struct F4(__m128);

    impl F4 {
        #[inline(always)]
        pub fn new(v: [f32; 4]) -> F4 {
            // SAFETY: SSE2 is always there; the array holds the four floats that are read.
            F4(unsafe { _mm_loadu_ps(v.as_ptr()) })
        }

        #[inline(always)]
        pub fn splat(v: f32) -> F4 {
            // SAFETY: SSE2 is always there.
            F4(unsafe { _mm_set1_ps(v) })
        }

        #[inline(always)]
        pub fn array(self) -> [f32; 4] {
            let mut out = [0.0; 4];
            // SAFETY: SSE2 is always there; the array holds the four floats that are written.
            unsafe { _mm_storeu_ps(out.as_mut_ptr(), self.0) };
            out
        }

        /// A bit for each lane that is above 0.
        #[inline(always)]
        pub fn positive(self) -> u32 {
            // SAFETY: SSE2 is always there.
            unsafe { _mm_movemask_ps(_mm_cmpgt_ps(self.0, _mm_setzero_ps())) as u32 }
        }

        /// `1 / v`, and 0 for 0.
        #[inline(always)]
        pub fn inverse_or_zero(self) -> F4 {
            // SAFETY: SSE2 is always there.
            unsafe {
                let some = _mm_cmpneq_ps(self.0, _mm_setzero_ps());
                F4(_mm_and_ps(some, _mm_div_ps(_mm_set1_ps(1.0), self.0)))
            }
        }
    }

    macro_rules! operators {
        ($($name:ident $method:ident $instruction:ident),*) => { $(
            impl std::ops::$name for F4 {
                type Output = F4;
                #[inline(always)]
                fn $method(self, o: F4) -> F4 {
                    // SAFETY: SSE2 is always there.
                    F4(unsafe { $instruction(self.0, o.0) })
                }
            }
        )* };
    }
    operators!(Add add _mm_add_ps, Sub sub _mm_sub_ps, Mul mul _mm_mul_ps);

    /// Whether first <= last in both directions.
    #[inline(always)]
    pub fn spans_pixels(r: [i16; 4]) -> bool {
        let r = load(r);
        // SAFETY: SSE2 is always there.
        unsafe {
            let sums = _mm_add_epi16(r, _mm_shuffle_epi32::<0b11_10_00_01>(r));
            _mm_movemask_epi8(_mm_cmpgt_epi16(sums, _mm_setzero_si128())) == 0
        }
    }

    /// `ceil(v)` clamped to `low..=high` (within 16 bits); NaN becomes `low`.
    #[inline(always)]
    pub fn ceil_within(v: [f32; 4], low: [f32; 4], high: [f32; 4]) -> [i16; 4] {
        // SAFETY: SSE2 is always there; the arrays hold the four floats that are read.
        unsafe {
            // Of a NaN and another operand the second is taken.
            let v = _mm_max_ps(_mm_loadu_ps(v.as_ptr()), _mm_loadu_ps(low.as_ptr()));
            let v = _mm_min_ps(v, _mm_loadu_ps(high.as_ptr()));
            let truncated = _mm_cvttps_epi32(v);
            // A comparison that holds is -1.
            let up = _mm_castps_si128(_mm_cmplt_ps(_mm_cvtepi32_ps(truncated), v));
            let rounded = _mm_sub_epi32(truncated, up);
            store(_mm_packs_epi32(rounded, rounded))
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[path = "lanes.rs"]
mod lanes;

#[cfg(all(test, target_arch = "x86_64"))]
#[path = "lanes.rs"]
mod plain_lanes;

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
        let [z0, z1, z2] = [batch.z0[j], batch.z1[j], batch.z2[j]].map(F4::splat);
        for y in y0..=y1 {
            let start = first + (y - y0) * stride;
            let row = start..=start + x1 - x0;
            let (depth, cells) = (&mut depth[row.clone()], &mut cells[row]);
            let y = F4::splat(y as f32);
            for ((x, depth), cells) in (x0..).step_by(4).zip(depth.chunks_mut(4)).zip(cells.chunks_mut(4)) {
                let (w1, w2) = bary.at(F4::splat(x as f32) + F4::new([0.0, 1.0, 2.0, 3.0]), y);
                let w0 = F4::splat(1.0) - w2 - w1;
                let mut inside = w0.positive() & w1.positive() & w2.positive() & ((1 << depth.len()) - 1);
                if inside == 0 {
                    continue;
                }
                let z = (w0 * z0 + w1 * z1 + w2 * z2).array();
                let (w1, w2) = (w1.array(), w2.array());
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
        fn four(values: &[f32; CHUNK], k: usize) -> F4 {
            F4::new(values.as_chunks::<4>().0[k])
        }
        fn put(values: &mut [f32; CHUNK], k: usize, v: F4) {
            values.as_chunks_mut::<4>().0[k] = v.array();
        }
        // Lanes beyond `count` hold what an earlier batch left; nobody looks at their results.
        for k in 0..count.div_ceil(4).min(CHUNK / 4) {
            let origin = [four(&self.x0, k), four(&self.y0, k)];
            let v0 = [four(&self.v0x, k) - origin[0], four(&self.v0y, k) - origin[1]];
            let v1 = [four(&self.v1x, k) - origin[0], four(&self.v1y, k) - origin[1]];
            let bary = Barycentric::new(origin, v0, v1);
            let (w1, w2) = bary.at(four(&self.x, k), four(&self.y, k));
            let w0 = F4::splat(1.0) - w2 - w1;
            let z = w0 * four(&self.z0, k) + w1 * four(&self.z1, k) + w2 * four(&self.z2, k);
            self.inside[k] = w0.positive() & w1.positive() & w2.positive();
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
        Barycentric {
            origin: [self.x0[j], self.y0[j]].map(F4::splat),
            v0: [self.v0x[j], self.v0y[j]].map(F4::splat),
            v1: [self.v1x[j], self.v1y[j]].map(F4::splat),
            dot00: F4::splat(self.dot00[j]),
            dot01: F4::splat(self.dot01[j]),
            dot11: F4::splat(self.dot11[j]),
            inverse: F4::splat(self.inverse[j]),
        }
    }
}

/// Barycentric weights by dot products, in upstream's order of operations: four triangles at once, or one
/// triangle four times.
struct Barycentric {
    origin: [F4; 2],
    v0: [F4; 2],
    v1: [F4; 2],
    dot00: F4,
    dot01: F4,
    dot11: F4,
    inverse: F4,
}

impl Barycentric {
    /// `origin` is the first corner, `v0` the third and `v1` the second minus the first.
    #[inline(always)]
    fn new(origin: [F4; 2], v0: [F4; 2], v1: [F4; 2]) -> Barycentric {
        let dot00 = v0[0] * v0[0] + v0[1] * v0[1];
        let dot01 = v0[0] * v1[0] + v0[1] * v1[1];
        let dot11 = v1[0] * v1[0] + v1[1] * v1[1];
        // A triangle without area gets the weights 1, 0, 0: no pixel lies strictly inside.
        let inverse = (dot00 * dot11 - dot01 * dot01).inverse_or_zero();
        Barycentric { origin, v0, v1, dot00, dot01, dot11, inverse }
    }

    /// Weights of the second and the third vertex at a point.
    #[inline(always)]
    fn at(&self, x: F4, y: F4) -> (F4, F4) {
        let v2 = [x - self.origin[0], y - self.origin[1]];
        let dot02 = self.v0[0] * v2[0] + self.v0[1] * v2[1];
        let dot12 = self.v1[0] * v2[0] + self.v1[1] * v2[1];
        let u = (self.dot11 * dot02 - self.dot01 * dot12) * self.inverse;
        let v = (self.dot00 * dot12 - self.dot01 * dot02) * self.inverse;
        (v, u)
    }
}

/// A rendered mesh: what each pixel shows.
#[derive(Debug, Clone, Copy)]
pub struct Rendered<'a> {
    vertices: &'a [[f32; 3]],
    triangles: &'a [[u32; 3]],
    depth: &'a [f32],
    cells: &'a [Cell],
    rect: PixelRect,
    width: usize,
    height: usize,
}

impl<'a> Rendered<'a> {
    /// Width of the picture.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height of the picture.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The part of the picture that the mesh can reach; no pixel outside shows it.
    pub fn rect(&self) -> PixelRect {
        self.rect
    }

    /// The vertices that were rendered.
    pub fn vertices(&self) -> &'a [[f32; 3]] {
        self.vertices
    }

    /// The triangles that were rendered.
    pub fn triangles(&self) -> &'a [[u32; 3]] {
        self.triangles
    }

    /// What the pixel shows, if it lies inside the picture and shows the mesh.
    pub fn hit(&self, x: usize, y: usize) -> Option<Hit> {
        if !self.rect.contains(x, y) {
            return None;
        }
        let i = (y - self.rect.y0) * self.rect.width() + x - self.rect.x0;
        (self.depth[i] > FAR).then(|| self.cells[i].hit(self.depth[i]))
    }

    /// Calls `f(pixel, hit)` for every pixel that shows the mesh, row by row; `pixel` is `y * width + x`.
    #[inline]
    pub fn for_each_hit(&self, mut f: impl FnMut(usize, Hit)) {
        if self.rect.is_empty() {
            return;
        }
        let stride = self.rect.width();
        for ((depth, cells), y) in
            self.depth.chunks_exact(stride).zip(self.cells.chunks_exact(stride)).zip(self.rect.y0..)
        {
            let start = y * self.width + self.rect.x0;
            for ((pixel, &z), cell) in (start..).zip(depth).zip(cells) {
                if z > FAR {
                    f(pixel, cell.hit(z));
                }
            }
        }
    }

    /// The vertex attribute `values` interpolated at a hit of this rendering.
    #[inline(always)]
    pub fn interpolate<const C: usize>(&self, hit: &Hit, values: &[[f32; C]]) -> [f32; C] {
        let [a, b, c] = self.triangles[hit.triangle as usize].map(|v| values[v as usize]);
        let [w0, w1, w2] = hit.weights;
        std::array::from_fn(|k| w0 * a[k] + w1 * b[k] + w2 * c[k])
    }

    /// PNCC as bytes, three per pixel: x of the code as red, y as green, z as blue, `255 * code` truncated, black
    /// where the mesh does not show. `ncc` has one code per vertex.
    ///
    /// # Errors
    /// `Model` when the number of codes is not that of the vertices.
    pub fn pncc_into(&self, ncc: &[[f32; 3]], out: &mut Vec<u8>) -> Result<()> {
        self.check_attribute("coordinate codes", ncc.len())?;
        out.clear();
        out.resize(3 * self.width * self.height, 0);
        self.for_each_hit(|pixel, hit| {
            let code = self.interpolate(&hit, ncc);
            out[3 * pixel..3 * pixel + 3].copy_from_slice(&code.map(|c| (255.0 * c) as u8));
        });
        Ok(())
    }

    /// PNCC for networks: the bytes of [`Rendered::pncc_into`] divided by 255, three floats per pixel.
    ///
    /// # Errors
    /// `Model` when the number of codes is not that of the vertices.
    pub fn pncc_f32_into(&self, ncc: &[[f32; 3]], out: &mut Vec<f32>) -> Result<()> {
        self.check_attribute("coordinate codes", ncc.len())?;
        out.clear();
        out.resize(3 * self.width * self.height, 0.0);
        self.for_each_hit(|pixel, hit| {
            let code = self.interpolate(&hit, ncc);
            out[3 * pixel..3 * pixel + 3].copy_from_slice(&code.map(|c| f32::from((255.0 * c) as u8) / 255.0));
        });
        Ok(())
    }

    /// 1 where the mesh shows, 0 elsewhere; one value per pixel.
    pub fn mask_into(&self, out: &mut Vec<f32>) {
        out.clear();
        out.resize(self.width * self.height, 0.0);
        self.for_each_hit(|pixel, _| out[pixel] = 1.0);
    }

    /// The mesh's z per pixel (larger is nearer), `background` where it does not show.
    pub fn depth_into(&self, background: f32, out: &mut Vec<f32>) {
        out.clear();
        out.resize(self.width * self.height, background);
        self.for_each_hit(|pixel, hit| out[pixel] = hit.depth);
    }

    /// The depth of the mesh's part of the picture, to keep.
    pub fn depth_map(&self) -> DepthMap {
        DepthMap {
            rect: self.rect,
            width: self.width,
            height: self.height,
            z: self.depth.iter().map(|&z| if z > FAR { z } else { f32::NEG_INFINITY }).collect(),
        }
    }

    /// Unit normals per pixel, smooth over the mesh, pointing out of the face (x right, y down, z towards the
    /// viewer); zero where the mesh does not show. `vertex_normals` is memory to reuse. The outside is the side
    /// of which more pixels show.
    pub fn normals_into(&self, vertex_normals: &mut Vec<[f32; 3]>, out: &mut Vec<[f32; 3]>) {
        vertex_normals.clear();
        vertex_normals.resize(self.vertices.len(), [0.0; 3]);
        for t in self.triangles {
            // The cross product's length is twice the area: large triangles count more.
            let normal = cross(t.map(|v| self.vertices[v as usize]));
            for &v in t {
                for (sum, n) in vertex_normals[v as usize].iter_mut().zip(normal) {
                    *sum += n;
                }
            }
        }
        let mut towards = 0i64;
        self.for_each_hit(|_, hit| {
            let z = cross(self.triangles[hit.triangle as usize].map(|v| self.vertices[v as usize]))[2];
            towards += if z > 0.0 { 1 } else { -1 };
        });
        let sign = if towards >= 0 { 1.0 } else { -1.0 };
        out.clear();
        out.resize(self.width * self.height, [0.0; 3]);
        self.for_each_hit(|pixel, hit| {
            let n = self.interpolate(&hit, vertex_normals);
            let length = (n[0] * n[0] + n[1] * n[1] + n[2] * n[2]).sqrt();
            if length > 0.0 {
                out[pixel] = n.map(|c| sign * c / length);
            }
        });
    }

    fn check_attribute(&self, what: &str, count: usize) -> Result<()> {
        if count == self.vertices.len() {
            return Ok(());
        }
        Err(Error::Model(format!("{count} {what} for a mesh of {} vertices: use one model's", self.vertices.len())))
    }
}

/// The normal of a triangle, twice its area long.
pub(super) fn cross([a, b, c]: [[f32; 3]; 3]) -> [f32; 3] {
    let u: [f32; 3] = std::array::from_fn(|k| b[k] - a[k]);
    let v: [f32; 3] = std::array::from_fn(|k| c[k] - a[k]);
    [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
}

/// Depth of a rendered mesh.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DepthMap {
    rect: PixelRect,
    width: usize,
    height: usize,
    /// Minus infinity where the mesh does not show.
    z: Vec<f32>,
}

impl DepthMap {
    /// Width of the picture.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height of the picture.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The z that the pixel shows; `None` outside the picture and where the mesh does not show.
    #[inline]
    pub fn get(&self, x: isize, y: isize) -> Option<f32> {
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        if !self.rect.contains(x, y) {
            return None;
        }
        let z = self.z[(y - self.rect.y0) * self.rect.width() + x - self.rect.x0];
        (z > f32::NEG_INFINITY).then_some(z)
    }
}

#[cfg(test)]
mod tests {
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

    #[cfg(target_arch = "x86_64")]
    proptest! {
        #[test]
        fn lanes_equal_plain_ones(a: [i16; 4], b: [i16; 4], v in proptest::array::uniform4(proptest::num::f32::ANY), w in 0.0f32..32_000.0) {
            prop_assert_eq!(lanes::min(a, b), plain_lanes::min(a, b));
            prop_assert_eq!(lanes::max(a, b), plain_lanes::max(a, b));
            let w4 = v.map(|x| x % 3.0).map(f32::round);
            let (f, g) = (lanes::F4::new(w4), plain_lanes::F4::new(w4));
            let same = |a: lanes::F4, b: plain_lanes::F4| a.array().map(f32::to_bits) == b.array().map(f32::to_bits);
            if w4.iter().all(|v| !v.is_nan()) {
                prop_assert_eq!(f.positive(), g.positive());
                prop_assert!(same(f.inverse_or_zero(), g.inverse_or_zero()));
                let (two, also_two) = (lanes::F4::splat(2.0), plain_lanes::F4::splat(2.0));
                prop_assert!(same((f + two) * f - two, (g + also_two) * g - also_two));
            }
            let small = a.map(|v| v / 2);
            prop_assert_eq!(lanes::spans_pixels(small), plain_lanes::spans_pixels(small));
            let w = w.round();
            for v in [v, v.map(|x| x % 300.0), v.map(|x| (x % 300.0).round())] {
                let (low, high) = ([0.0, 0.0, 1.0 - w, 1.0 - w], [w, w, 1.0, 1.0]);
                prop_assert_eq!(lanes::ceil_within(v, low, high), plain_lanes::ceil_within(v, low, high));
            }
        }
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
            let off =
                |limit: u8| pixels().filter(|(a, b)| a.iter().zip(*b).any(|(a, b)| a.abs_diff(*b) > limit)).count();
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
}
