//! What a rendering holds: which triangle each pixel shows and where on it, and everything read from that (PNCC, mask,
//! depth, normals, interpolated attributes). How pixels are decided belongs to [`raster`](super::raster).

use crate::{Error, Result};

/// Upstream's depth of a pixel that shows nothing.
pub(super) const FAR: f32 = -1e8;

/// Where on which triangle a pixel lies. Kept apart from the depths: those are read for every candidate and
/// should stay in the cache, these are only written, and mean nothing where the depth is [`FAR`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Cell {
    pub(super) triangle: u32,
    /// Weights of the triangle's second and third vertex; the first has what is left to 1.
    pub(super) w1: f32,
    pub(super) w2: f32,
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
    /// First column.
    pub x0: usize,
    /// First row.
    pub y0: usize,
    /// The column after the last.
    pub x1: usize,
    /// The row after the last.
    pub y1: usize,
}

impl PixelRect {
    /// In pixels.
    pub fn width(&self) -> usize {
        self.x1 - self.x0
    }
    /// In pixels.
    pub fn height(&self) -> usize {
        self.y1 - self.y0
    }
    /// Whether no pixel lies in it.
    pub fn is_empty(&self) -> bool {
        self.x1 == self.x0 || self.y1 == self.y0
    }
    /// Whether a pixel lies in it.
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

/// A rendered mesh: what each pixel shows.
#[derive(Debug, Clone, Copy)]
pub struct Rendered<'a> {
    pub(super) vertices: &'a [[f32; 3]],
    pub(super) triangles: &'a [[u32; 3]],
    pub(super) depth: &'a [f32],
    pub(super) cells: &'a [Cell],
    pub(super) rect: PixelRect,
    pub(super) width: usize,
    pub(super) height: usize,
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
        Err(Error::model(format!("{count} {what} for a mesh of {} vertices: use one model's", self.vertices.len())))
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
