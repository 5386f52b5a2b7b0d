//! PNCC on a session's device, with libtorch's own operations: what [`headgan::pncc`] renders on the CPU, by the same rules and in
//! the same order of operations. On a CPU the pictures are equal to the bit.
//!
//! Every pixel that a triangle's box reaches is looked at, all triangles and pixels at once; the nearest one remains by a maximum
//! over 64-bit keys, depth above, number below.

use headgan::{Error, Result};
use tch::{Device, Kind, Tensor, no_grad_guard};

/// Most pixels in the boxes of all triangles of a mesh: a bound on memory, 200 to 300 bytes each, which the session's budget does
/// not count.
const MOST: i64 = 1 << 22;
/// No pixel shows what lies behind this (upstream's background).
const FAR: f64 = -1e8;
/// The key of a pixel that shows nothing.
const NOTHING: i64 = i64::MIN;

/// What all poses of a head have in common.
#[derive(Debug)]
pub struct Topology {
    /// `[3 t]`: vertices of the triangles.
    corners: Tensor,
    /// `[v, 3]`: the vertices' coordinate codes.
    codes: Tensor,
    triangles: i64,
    vertices: i64,
}

impl Topology {
    /// Of triangles and one code (0..1) per vertex, on a device.
    ///
    /// # Errors
    /// [`Error::Model`] where there is no triangle, or one names a vertex that has no code.
    pub fn new(triangles: &[[u32; 3]], codes: &[[f32; 3]], device: Device) -> Result<Topology> {
        let corners: Vec<i64> = triangles.as_flattened().iter().map(|v| i64::from(*v)).collect();
        let Some(largest) = corners.iter().max() else {
            return Err(Error::Model("the mesh has no triangles".into()));
        };
        if *largest >= codes.len() as i64 {
            return Err(Error::model(format!(
                "a triangle names vertex {largest} of a mesh with {}: mesh and triangles are of different models",
                codes.len()
            )));
        }
        Ok(Topology {
            corners: Tensor::from_slice(&corners).to_device(device),
            codes: Tensor::from_slice(codes.as_flattened()).reshape([-1, 3]).to_device(device),
            triangles: triangles.len() as i64,
            vertices: codes.len() as i64,
        })
    }

    /// Number of vertices that a mesh must have.
    pub fn vertices(&self) -> i64 {
        self.vertices
    }

    /// PNCC of posed meshes: `[n, v, 3]` (x right, y down, pixel centres at integers, larger z nearer) to `[n, 3, h, w]`, as
    /// [`Rendered::pncc_f32_into`](headgan::pncc::Rendered::pncc_f32_into) has it.
    ///
    /// # Errors
    /// [`Error::Engine`] where a mesh's triangles reach so many pixels that memory would not do.
    ///
    /// # Panics
    /// Where libtorch fails, with its text.
    pub fn render(&self, meshes: &Tensor, (h, w): (i64, i64)) -> Result<Tensor> {
        let _guard = no_grad_guard();
        let meshes = meshes.to_device(self.codes.device()).to_kind(Kind::Float);
        let pictures =
            (0..meshes.size()[0]).map(|i| self.one(&meshes.select(0, i), h, w)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::stack(&pictures, 0))
    }

    /// One mesh, `[v, 3]` to `[3, h, w]`.
    fn one(&self, mesh: &Tensor, h: i64, w: i64) -> Result<Tensor> {
        let device = mesh.device();
        let all = mesh.index_select(0, &self.corners).reshape([-1, 3, 3]);
        // The pixels that each triangle's box reaches. What is not a number somewhere reaches none.
        let places = all.narrow(2, 0, 2).nan_to_num(-1.0, 1e9, -1e9);
        let far = Tensor::from_slice(&[(w - 1) as f32, (h - 1) as f32]).to_device(device);
        let zero = far.zeros_like();
        let low = places.amin([1i64], false).ceil().maximum(&zero);
        let high = places.amax([1i64], false).floor().minimum(&far);
        let spans = (high - &low + 1.0).clamp_min(0.0).to_kind(Kind::Int64);
        let known = all.isfinite().all_dims([1i64, 2].as_slice(), false).to_kind(Kind::Int64);
        let (columns, rows) = (spans.select(1, 0), spans.select(1, 1));
        let counts = &columns * &rows * known;
        let number = counts.sum(Kind::Int64).int64_value(&[]);
        if number > MOST {
            return Err(Error::engine(format!(
                "the mesh's triangles reach {number} pixels in a picture of {w}x{h}, at most {MOST} fit: the fit is degenerate"
            )));
        }
        // One line for each triangle and each pixel of its box.
        let triangle = Tensor::repeat_interleave(&counts, number);
        let of = |per_triangle: &Tensor| per_triangle.index_select(0, &triangle);
        let within = Tensor::arange(number, (Kind::Int64, device)) - of(&(counts.cumsum(0, Kind::Int64) - &counts));
        let width = of(&columns).clamp_min(1);
        let row = within.floor_divide(&width);
        let column = &within - &row * &width;
        let low = of(&low.to_kind(Kind::Int64));
        let (x, y) = (low.select(1, 0) + column, low.select(1, 1) + row);
        let hit = Hits::at(&all.index_select(0, &triangle), &x, &y);
        let seen = hit.inside.logical_and(&hit.depth.gt(FAR));
        // Nearer is larger; of equals the first triangle.
        let key = ordered(&hit.depth) * (1i64 << 32) + (self.triangles - 1 - &triangle);
        let key = key.where_self(&seen, &Tensor::full([1], NOTHING, (Kind::Int64, device)));
        let nearest = Tensor::full([h * w], NOTHING, (Kind::Int64, device));
        let nearest = nearest.internal_scatter_reduce(0, &(y * w + x), &key, "amax", true);
        Ok(self.colour(&all, &nearest, h, w))
    }

    /// The codes of the triangles that pixels show, `[3, h, w]`; `nearest` has their keys.
    fn colour(&self, all: &Tensor, nearest: &Tensor, h: i64, w: i64) -> Tensor {
        let shown = nearest.not_equal(NOTHING);
        let triangle = self.triangles - 1 - nearest.bitwise_and(0xffff_ffffi64);
        // What shows nothing looks at the first triangle, and is black.
        let triangle = &triangle * shown.to_kind(Kind::Int64);
        let pixel = Tensor::arange(h * w, (Kind::Int64, nearest.device()));
        let y = pixel.floor_divide_scalar(w);
        let x = &pixel - &y * w;
        let [w0, w1, w2] = Hits::at(&all.index_select(0, &triangle), &x, &y).weights.map(|v| v.unsqueeze(1));
        let corner = |k: i64| {
            let vertex = self.corners.reshape([-1, 3]).select(1, k).index_select(0, &triangle);
            self.codes.index_select(0, &vertex)
        };
        let code = w0 * corner(0) + w1 * corner(1) + w2 * corner(2);
        // A byte a value, as pictures of codes have.
        let code = (code * 255.0).nan_to_num(0.0, 0.0, 0.0).clamp(0.0, 255.0).floor() / 255.0;
        let code = code * shown.to_kind(Kind::Float).unsqueeze(1);
        code.transpose(0, 1).reshape([3, h, w])
    }
}

/// Where points lie on triangles.
struct Hits {
    /// Of the three corners.
    weights: [Tensor; 3],
    depth: Tensor,
    /// Whether all weights are above zero.
    inside: Tensor,
}

impl Hits {
    /// Of the triangles `corners`, `[n, 3, 3]`, at the pixels `x`, `y`, `[n]`.
    fn at(corners: &Tensor, x: &Tensor, y: &Tensor) -> Hits {
        let value = |corner: i64, axis: i64| corners.select(1, corner).select(1, axis);
        let from_first = |corner: i64| [0, 1].map(|axis| value(corner, axis) - value(0, axis));
        let (v0, v1) = (from_first(2), from_first(1));
        let v2 = [x.to_kind(Kind::Float) - value(0, 0), y.to_kind(Kind::Float) - value(0, 1)];
        let dot = |a: &[Tensor; 2], b: &[Tensor; 2]| &a[0] * &b[0] + &a[1] * &b[1];
        let (dot00, dot01, dot02) = (dot(&v0, &v0), dot(&v0, &v1), dot(&v0, &v2));
        let (dot11, dot12) = (dot(&v1, &v1), dot(&v1, &v2));
        let area = &dot00 * &dot11 - &dot01 * &dot01;
        // A triangle without area has no pixel strictly inside.
        let inverse = area.reciprocal().where_self(&area.not_equal(0.0), &area.zeros_like());
        let w2 = (&dot11 * &dot02 - &dot01 * &dot12) * &inverse;
        let w1 = (&dot00 * &dot12 - &dot01 * &dot02) * &inverse;
        let w0 = w2.ones_like() - &w2 - &w1;
        let depth = &w0 * value(0, 2) + &w1 * value(1, 2) + &w2 * value(2, 2);
        let inside = w0.gt(0.0).logical_and(&w1.gt(0.0)).logical_and(&w2.gt(0.0));
        Hits { weights: [w0, w1, w2], depth, inside }
    }
}

/// Whole numbers in the order of the floats: their bits, turned around below zero. The two zeros are one.
fn ordered(x: &Tensor) -> Tensor {
    let bits = (x + 0.0).view_dtype(Kind::Int);
    let turned = bits.bitwise_xor(0x7fff_ffffi64);
    turned.where_self(&bits.lt(0), &bits).to_kind(Kind::Int64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgan::morphable::{Euler, ImageCamera, Mesh, PreparedMorphable};
    use headgan::pncc::Rasterizer;
    use headgan::random::Rng;
    use headgan::synthetic::head;

    fn rendered(topology: &Topology, vertices: &[[f32; 3]], size: (i64, i64)) -> Vec<f32> {
        let meshes = Tensor::from_slice(vertices.as_flattened()).reshape([1, -1, 3]);
        let picture = topology.render(&meshes, size).unwrap();
        Vec::try_from(picture.permute([0, 2, 3, 1]).contiguous().reshape([-1])).unwrap()
    }

    fn expected(vertices: &[[f32; 3]], triangles: &[[u32; 3]], codes: &[[f32; 3]], (h, w): (i64, i64)) -> Vec<f32> {
        let mut raster = Rasterizer::single_thread();
        let mut out = Vec::new();
        let picture = raster.render(vertices, triangles, w as usize, h as usize).unwrap();
        picture.pncc_f32_into(codes, &mut out).unwrap();
        out
    }

    /// Heads of any pose and size, also beyond the picture: equal to the CPU's pictures to the bit.
    #[test]
    fn heads_equal_the_cpus() {
        let model = PreparedMorphable::new(head()).unwrap();
        let (triangles, codes) = (&model.model().triangles, &model.model().ncc);
        let topology = Topology::new(triangles, codes, Device::Cpu).unwrap();
        let mut rng = Rng(7);
        let mut shown = 0;
        for size in [(64, 64), (96, 80), (33, 70), (128, 128)] {
            let scale = (0.2 + 0.8 * rng.unit()) * size.0 as f64 * 5e-6;
            let (x, y) = (0.5 * size.1 as f64, 0.5 * size.0 as f64);
            let ahead = [scale, 0.0, 0.0, x, 0.0, -scale, 0.0, y, 0.0, 0.0, scale, 0.0];
            let turn = Euler { yaw: 50.0 * rng.signed(), pitch: 30.0 * rng.signed(), roll: 40.0 * rng.signed() };
            let camera = ImageCamera::from_matrix(&ahead).unwrap().turned(turn);
            let shape: Vec<f32> = (0..40).map(|_| rng.within(1.0) as f32).collect();
            let expr: Vec<f32> = (0..10).map(|_| rng.unit() as f32).collect();
            let mut mesh = Mesh::default();
            model.mesh_into(&model.identity(&shape).unwrap(), &expr, &camera, &mut mesh).unwrap();
            let want = expected(&mesh.vertices, triangles, codes, size);
            shown += want.iter().filter(|v| **v > 0.0).count();
            assert_eq!(rendered(&topology, &mesh.vertices, size), want, "{size:?}");
        }
        assert!(shown > 10_000, "{shown}");
    }

    /// Triangles that nobody would model: equal depths, no area, far outside, behind everything, not finite.
    #[test]
    fn odd_triangles_equal_the_cpus() {
        let mut rng = Rng(3);
        for round in 0..20 {
            let coarse = |v: f64| (4.0 * v).round() / 4.0;
            let mut vertices: Vec<[f32; 3]> = (0..60)
                .map(|_| {
                    [coarse(rng.within(40.0)) as f32, coarse(rng.within(40.0)) as f32, rng.within(2.0).round() as f32]
                })
                .collect();
            vertices[0][0] = f32::NAN;
            vertices[1][1] = f32::INFINITY;
            vertices[2][2] = f32::NAN;
            vertices[3][2] = -1e9;
            vertices[4] = [1e7, -1e7, -0.0];
            let codes: Vec<[f32; 3]> =
                (0..60).map(|_| [rng.unit() as f32, rng.unit() as f32, rng.unit() as f32]).collect();
            let triangles: Vec<[u32; 3]> = (0..80).map(|_| std::array::from_fn(|_| rng.below(60) as u32)).collect();
            let topology = Topology::new(&triangles, &codes, Device::Cpu).unwrap();
            let size = (24, 30);
            assert_eq!(rendered(&topology, &vertices, size), expected(&vertices, &triangles, &codes, size), "{round}");
        }
    }

    #[test]
    fn nothing_to_show_and_too_much() {
        let topology = Topology::new(&[[0, 1, 2]], &[[0.5; 3]; 3], Device::Cpu).unwrap();
        let outside = [[-9.0, -9.0, 0.0], [-8.0, -9.0, 0.0], [-9.0, -8.0, 0.0]];
        assert_eq!(rendered(&topology, &outside, (4, 4)), [0.0; 48]);
        let wrong = Topology::new(&[[0, 1, 3]], &[[0.5; 3]; 3], Device::Cpu).unwrap_err();
        assert!(wrong.to_string().contains("vertex 3"), "{wrong}");
        assert!(Topology::new(&[], &[[0.5; 3]; 3], Device::Cpu).is_err());
        let many = Topology::new(&vec![[0, 1, 2]; 300], &[[0.5; 3]; 3], Device::Cpu).unwrap();
        let large = Tensor::from_slice(&[-9f32, -9.0, 0.0, 999.0, -9.0, 0.0, -9.0, 999.0, 0.0]).reshape([1, 3, 3]);
        let wrong = many.render(&large, (256, 256)).unwrap_err();
        assert!(wrong.to_string().contains("19660800 pixels"), "{wrong}");
    }
}
