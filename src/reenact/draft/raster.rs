//! Which triangle is in front at each pixel.
//!
//! Unlike the exact PNCC raster, pixel centres on an edge count as inside, so that a surface shows no
//! pinholes, and triangles that face away are left out.

use rayon::prelude::*;

/// No triangle covers the pixel.
pub(super) const NONE: u32 = u32::MAX;

/// Rows per band: the unit of work of the raster, fixed, so that no result depends on the thread count.
const BAND: usize = 32;
/// Triangles per binning task.
const CHUNK: usize = 16_384;

/// Front-most triangle and depth per pixel; buffers are kept between frames.
#[derive(Debug, Clone, Default)]
pub(super) struct Raster {
    pub width: usize,
    pub height: usize,
    /// Triangle index per pixel, or [`NONE`].
    pub tri: Vec<u32>,
    /// Depth per pixel (larger is nearer), negative infinity where nothing is.
    pub z: Vec<f32>,
    /// Per chunk of triangles, per band: triangles that may touch a pixel centre of the band.
    bins: Vec<Vec<Vec<u32>>>,
}

/// Twice the signed area of a triangle in the picture plane.
#[inline]
pub(super) fn area2(a: [f32; 3], b: [f32; 3], c: [f32; 3]) -> f32 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// Barycentric weights of pixel `(x, y)`, clamped to the triangle.
#[inline]
pub(super) fn weights(a: [f32; 3], b: [f32; 3], c: [f32; 3], x: f32, y: f32) -> [f32; 3] {
    let p = [x, y, 0.0];
    let w = [area2(b, c, p), area2(c, a, p), area2(a, b, p)];
    let total = w[0] + w[1] + w[2];
    if total == 0.0 {
        return [1.0 / 3.0; 3];
    }
    let w = w.map(|v| (v / total).clamp(0.0, 1.0));
    let total = w[0] + w[1] + w[2];
    w.map(|v| v / total)
}

impl Raster {
    /// Draws the triangles whose [`area2`] has the sign of `front`. Corners must be finite.
    pub fn draw(&mut self, width: usize, height: usize, vertices: &[[f32; 3]], triangles: &[[u32; 3]], front: f32) {
        (self.width, self.height) = (width, height);
        self.tri.clear();
        self.tri.resize(width * height, NONE);
        self.z.clear();
        self.z.resize(width * height, f32::NEG_INFINITY);
        let bands = height.div_ceil(BAND);
        self.bins.resize_with(triangles.len().div_ceil(CHUNK), Vec::new);
        let (max_x, max_y) = ((width - 1) as f32, (height - 1) as f32);
        self.bins.par_iter_mut().zip(triangles.par_chunks(CHUNK)).enumerate().for_each(|(chunk, (bins, triangles))| {
            bins.resize_with(bands, Vec::new);
            bins.iter_mut().for_each(Vec::clear);
            for (i, t) in triangles.iter().enumerate() {
                let [a, b, c] = t.map(|v| vertices[v as usize]);
                if area2(a, b, c) * front <= 0.0 {
                    continue;
                }
                let x0 = a[0].min(b[0]).min(c[0]).ceil().max(0.0);
                let x1 = a[0].max(b[0]).max(c[0]).floor().min(max_x);
                let y0 = a[1].min(b[1]).min(c[1]).ceil().max(0.0);
                let y1 = a[1].max(b[1]).max(c[1]).floor().min(max_y);
                if x0 > x1 || y0 > y1 {
                    continue;
                }
                for bin in &mut bins[y0 as usize / BAND..=y1 as usize / BAND] {
                    bin.push((chunk * CHUNK + i) as u32);
                }
            }
        });
        let bins = &self.bins;
        self.tri.par_chunks_mut(BAND * width).zip(self.z.par_chunks_mut(BAND * width)).enumerate().for_each(
            |(band, (tri, z))| {
                let rows = tri.len() / width;
                for &t in bins.iter().flat_map(|chunk| &chunk[band]) {
                    let [a, b, c] = triangles[t as usize].map(|v| vertices[v as usize]);
                    fill(tri, z, width, band * BAND, rows, t, [a, b, c]);
                }
            },
        );
    }

    /// Whether anything covers the pixel nearest to the point; false outside of the picture.
    pub fn covered(&self, x: f32, y: f32) -> bool {
        let (x, y) = (x.round(), y.round());
        x >= 0.0
            && y >= 0.0
            && x < self.width as f32
            && y < self.height as f32
            && self.tri[y as usize * self.width + x as usize] != NONE
    }
}

/// Draws one triangle into the rows `top..top + rows`.
fn fill(tri: &mut [u32], z: &mut [f32], width: usize, top: usize, rows: usize, id: u32, [a, b, c]: [[f32; 3]; 3]) {
    let area = area2(a, b, c);
    let inv = 1.0 / area;
    let y0 = a[1].min(b[1]).min(c[1]).ceil().max(top as f32) as usize;
    let y1 = a[1].max(b[1]).max(c[1]).floor().min((top + rows - 1) as f32);
    let x0 = a[0].min(b[0]).min(c[0]).ceil().max(0.0) as usize;
    let x1 = a[0].max(b[0]).max(c[0]).floor().min((width - 1) as f32);
    if y1 < y0 as f32 || x1 < x0 as f32 {
        return;
    }
    let (x1, y1) = (x1 as usize, y1 as usize);
    // Weights of b and c are linear in x along a row.
    let db = (c[1] - a[1]) * inv;
    let dc = (a[1] - b[1]) * inv;
    for y in y0..=y1 {
        let py = y as f32 - a[1];
        let row = (y - top) * width;
        for x in x0..=x1 {
            let px = x as f32 - a[0];
            let wb = px * db - py * (c[0] - a[0]) * inv;
            let wc = px * dc + py * (b[0] - a[0]) * inv;
            let wa = 1.0 - wb - wc;
            const EDGE: f32 = -1e-4;
            if wa < EDGE || wb < EDGE || wc < EDGE {
                continue;
            }
            let depth = wa * a[2] + wb * b[2] + wc * c[2];
            if depth > z[row + x] {
                z[row + x] = depth;
                tri[row + x] = id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_of_two_triangles_has_no_gap_and_the_nearer_wins() {
        let v = [
            [1.0, 1.0, 0.0],
            [6.0, 1.0, 0.0],
            [6.0, 6.0, 0.0],
            [1.0, 6.0, 0.0],
            [2.0, 2.0, 5.0],
            [4.0, 2.0, 5.0],
            [2.0, 4.0, 5.0],
        ];
        let t = [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 5]];
        let mut r = Raster::default();
        r.draw(8, 8, &v, &t, 1.0);
        let count = r.tri.iter().filter(|&&t| t != NONE).count();
        assert_eq!(count, 36);
        assert_eq!(r.tri[3 * 8 + 3], 2, "the nearer triangle, and only its front");
        assert!(r.covered(1.2, 5.9) && !r.covered(0.4, 3.0) && !r.covered(-3.0, 2.0));
        let w = weights(v[0], v[1], v[2], 4.0, 2.0);
        let x: f32 = (0..3).map(|i| w[i] * v[i][0]).sum();
        let y: f32 = (0..3).map(|i| w[i] * v[i][1]).sum();
        assert!((x - 4.0).abs() < 1e-5 && (y - 2.0).abs() < 1e-5);
    }
}
