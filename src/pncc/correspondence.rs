//! Which pixel of the reference shows the surface point that a driving pixel shows, and how well. What needs one mesh
//! only belongs to [`rendered`](super::rendered).

use super::raster::Rasterizer;
use super::rendered::{DepthMap, Rendered, cross};
use crate::Result;

/// The reference's side of the correspondence: its mesh in its picture and what hides what there. Made once per shot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reference {
    /// The reference's mesh in pixels of the reference's picture.
    pub vertices: Vec<[f32; 3]>,
    depth: DepthMap,
    /// Depth over which visibility fades, pixels.
    tolerance: f32,
}

impl Reference {
    /// Renders the reference's mesh into its picture of `width x height`.
    ///
    /// # Errors
    /// Those of [`Rasterizer::render`].
    pub fn new(
        rasterizer: &mut Rasterizer,
        vertices: Vec<[f32; 3]>,
        triangles: &[[u32; 3]],
        width: usize,
        height: usize,
    ) -> Result<Reference> {
        let depth = rasterizer.render(&vertices, triangles, width, height)?.depth_map();
        let range = vertices.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(v[2]), b.max(v[2])));
        // The surfaces that hide one another in a face (nose and cheek, ear and temple) lie farther apart than a
        // fiftieth of its depth; a pixel's own slope rarely does.
        let tolerance = ((range.1 - range.0) / 50.0).max(1.0);
        Ok(Reference { vertices, depth, tolerance: if tolerance.is_finite() { tolerance } else { 1.0 } })
    }

    /// How well the reference's picture shows a point of its surface: 1 visible, 0 hidden by another part or
    /// outside the picture, in between near the edge of what hides it.
    pub fn visibility(&self, point: [f32; 3]) -> f32 {
        let [x, y, z] = point;
        let (w, h) = (self.depth.width() as f32, self.depth.height() as f32);
        if !(x >= -0.5 && y >= -0.5 && x <= w - 0.5 && y <= h - 0.5 && z.is_finite()) {
            return 0.0;
        }
        // The farthest of the four pixels around: a point beside an edge is not hidden by it. Where none shows the
        // mesh (the outermost rim) nothing hides the point.
        // (Both are above -1: truncating one above is rounding down, without a call.)
        let (x0, y0) = ((x + 1.0) as isize - 1, (y + 1.0) as isize - 1);
        let behind = [(0, 0), (1, 0), (0, 1), (1, 1)]
            .iter()
            .filter_map(|(dx, dy)| self.depth.get(x0 + dx, y0 + dy))
            .fold(f32::INFINITY, f32::min);
        if behind == f32::INFINITY {
            return 1.0;
        }
        // 1 up to one tolerance below the visible surface, 0 from two on.
        (2.0 - (behind - z) / self.tolerance).clamp(0.0, 1.0)
    }
}

/// For each pixel of a driving picture: where the reference's picture shows the same surface point.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceMap {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Position in the reference's picture (x, y; pixel centres at integers), 0 where the mesh does not show.
    pub position: Vec<[f32; 2]>,
    /// How well the reference shows it: 0 hidden, turned away or no mesh here, 1 visible.
    pub visibility: Vec<f32>,
    /// 1 where the driving picture shows the mesh, 0 elsewhere.
    pub mask: Vec<f32>,
}

impl SourceMap {
    /// Fills the map from the rendering of a driving mesh. Both meshes must be of the same model; allocates only
    /// when the picture has grown.
    ///
    /// # Errors
    /// `Model` when the meshes differ in their number of vertices.
    pub fn fill(&mut self, driving: &Rendered<'_>, reference: &Reference) -> Result<()> {
        if reference.vertices.len() != driving.vertices().len() {
            return Err(crate::Error::model(format!(
                "the reference's mesh has {} vertices, the driving one {}: fit both with the same pack",
                reference.vertices.len(),
                driving.vertices().len()
            )));
        }
        (self.width, self.height) = (driving.width(), driving.height());
        let n = self.width * self.height;
        self.position.clear();
        self.position.resize(n, [0.0; 2]);
        for plane in [&mut self.visibility, &mut self.mask] {
            plane.clear();
            plane.resize(n, 0.0);
        }
        driving.for_each_hit(|pixel, hit| {
            let p = driving.interpolate(&hit, &reference.vertices);
            self.position[pixel] = [p[0], p[1]];
            self.mask[pixel] = 1.0;
            // A triangle that shows its other side in the reference has been turned away there.
            let triangle = driving.triangles()[hit.triangle as usize];
            let here = cross(triangle.map(|v| driving.vertices()[v as usize]))[2];
            let there = cross(triangle.map(|v| reference.vertices[v as usize]))[2];
            if here * there > 0.0 {
                self.visibility[pixel] = reference.visibility(p);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Rect;
    use crate::morphable::testkit::{synthetic, synthetic_fit};
    use crate::morphable::{Euler, ImageCamera, Mesh};

    #[test]
    fn the_same_mesh_is_its_own_source() {
        let model = synthetic(60, 4, 3, 8);
        let fit = synthetic_fit(&model, Rect { x0: 0.0, y0: 0.0, x1: 160.0, y1: 160.0 }, 2);
        let prepared = model.prepare().unwrap();
        let mesh = prepared.mesh(&fit).unwrap();
        let mut rasterizer = Rasterizer::new();
        let reference = Reference::new(&mut rasterizer, mesh.vertices.clone(), prepared.triangles(), 160, 160).unwrap();
        let driving = rasterizer.render(&mesh.vertices, prepared.triangles(), 160, 160).unwrap();
        let mut map = SourceMap::default();
        map.fill(&driving, &reference).unwrap();
        let mut shown = 0;
        for (i, p) in map.position.iter().enumerate().filter(|(i, _)| map.mask[*i] > 0.0) {
            shown += 1;
            assert!((p[0] - (i % 160) as f32).abs() < 1e-2 && (p[1] - (i / 160) as f32).abs() < 1e-2);
            assert_eq!(map.visibility[i], 1.0, "pixel {i}");
        }
        assert!(shown > 5000);
        let other = Reference::new(&mut Rasterizer::new(), vec![[0.0; 3]; 5], &[], 4, 4).unwrap();
        assert!(map.fill(&driving, &other).is_err());
    }

    #[test]
    fn a_shifted_reference_shifts_the_source() {
        let model = synthetic(60, 4, 3, 8);
        let prepared = model.prepare().unwrap();
        let identity = prepared.identity(&[0.3; 4]).unwrap();
        let (mut a, mut b) = (Mesh::default(), Mesh::default());
        let camera = ImageCamera::new(7e-4, Euler::default().rotation(), [80.0, 80.0, 0.0]);
        prepared.mesh_into(&identity, &[0.0; 3], &camera, &mut a).unwrap();
        prepared.mesh_into(&identity, &[0.0; 3], &camera.mapped(1.0, [50.0, 0.0]), &mut b).unwrap();
        let mut rasterizer = Rasterizer::new();
        let reference = Reference::new(&mut rasterizer, b.vertices, prepared.triangles(), 160, 160).unwrap();
        let driving = rasterizer.render(&a.vertices, prepared.triangles(), 160, 160).unwrap();
        let mut map = SourceMap::default();
        map.fill(&driving, &reference).unwrap();
        let i = 80 * 160 + 70;
        assert!((map.position[i][0] - 120.0).abs() < 1e-2 && (map.position[i][1] - 80.0).abs() < 1e-2);
        assert_eq!(map.visibility[i], 1.0);
        // What the reference's picture cuts off is not visible there.
        let cut = 80 * 160 + 118;
        assert!(map.mask[cut] > 0.0 && map.position[cut][0] > 160.0 && map.visibility[cut] == 0.0);
    }

    #[test]
    fn hidden_and_turned_away_parts_are_not_visible() {
        // Two squares; in the reference the second lies behind the first, and the third is turned over.
        let square = |x: f32, z: f32, w: f32| [[x, 2.5, z], [x + w, 2.5, z], [x + w, 22.5, z], [x, 22.5, z]];
        let triangles = [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7], [8, 9, 10], [8, 10, 11]];
        let driving = [square(2.25, 50.0, 20.0), square(32.25, 50.0, 20.0), square(62.25, 50.0, 20.0)].concat();
        let behind = [square(2.25, 50.0, 20.0), square(2.75, 10.0, 20.0), square(82.25, 50.0, -20.0)].concat();
        let mut rasterizer = Rasterizer::new();
        let reference = Reference::new(&mut rasterizer, behind, &triangles, 100, 30).unwrap();
        let rendered = rasterizer.render(&driving, &triangles, 100, 30).unwrap();
        let mut map = SourceMap::default();
        map.fill(&rendered, &reference).unwrap();
        let at = |x: usize| (map.mask[12 * 100 + x], map.visibility[12 * 100 + x]);
        assert_eq!([at(9), at(39), at(69), at(28)], [(1.0, 1.0), (1.0, 0.0), (1.0, 0.0), (0.0, 0.0)]);
    }
}
