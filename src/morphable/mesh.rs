//! Mesh evaluation: identity (cached per shot) plus expression, then the camera, in one pass.
//!
//! `vertices = M (u + W_shp a + W_exp b) + t`. A frame of a shot changes only `b` and the camera, and is bound
//! by reading the expression basis from memory once. So the basis is stored in blocks of `BLOCK` vertices:
//! block after block, within a block mode after mode, within a mode all x, then all y, then all z. One
//! sequential stream, every load a full vector, and a block's results never leave the registers before they
//! are posed.

use std::sync::{Arc, OnceLock};

use super::pose::fit_image_matrix;
use super::{Fit, ImageCamera, Mesh, Morphable, Rig};
use crate::{Error, Result};

/// Vertices per block: two vectors of sixteen floats.
const BLOCK: usize = 32;
/// Values per block and mode: x, y and z.
const VALUES: usize = 3 * BLOCK;
/// Width of the innermost loops; one AVX-512 register, two AVX2 ones.
const LANES: usize = 16;

/// The neutral face of one person: `u + W_shp a`, computed once per shot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShapeIdentity {
    /// Block-planar coordinates, padded with zeros to whole blocks.
    blocks: Vec<f32>,
    coefficients: Vec<f32>,
    vertices: usize,
}

impl ShapeIdentity {
    /// The coefficients `a` that it was computed from.
    pub fn coefficients(&self) -> &[f32] {
        &self.coefficients
    }

    /// Number of vertices.
    pub fn vertex_count(&self) -> usize {
        self.vertices
    }

    /// A vertex of the neutral face in the model's units, y up. `index` must be below the vertex count.
    pub fn vertex(&self, index: usize) -> [f32; 3] {
        let base = index / BLOCK * VALUES + index % BLOCK;
        [self.blocks[base], self.blocks[base + BLOCK], self.blocks[base + 2 * BLOCK]]
    }
}

/// A morphable model laid out for fast evaluation. Cheap to clone, made to be shared between threads.
#[derive(Debug, Clone)]
pub struct PreparedMorphable {
    model: Arc<Morphable>,
    /// The expression basis in blocks (see the module's text).
    expr: Arc<[f32]>,
    /// The 68 landmark vertices.
    landmarks: [u32; 68],
    rig: Arc<OnceLock<Result<Rig>>>,
}

impl PreparedMorphable {
    /// Validates the model and lays out its expression basis.
    ///
    /// # Errors
    /// `Model` when a part does not fit the others or there are not 68 landmarks.
    pub fn new(model: impl Into<Arc<Morphable>>) -> Result<PreparedMorphable> {
        let model = model.into();
        model.validate()?;
        let landmarks = <[u32; 68]>::try_from(&model.landmarks[..]).map_err(|_| {
            Error::model(format!(
                "morphable model: {} landmarks where 68 are due: import it again",
                model.landmarks.len()
            ))
        })?;
        let (n, dim) = (model.vertex_count(), model.expr_dim);
        let mut expr = vec![0.0; n.div_ceil(BLOCK) * VALUES * dim];
        for v in 0..n {
            let block = v / BLOCK * VALUES * dim;
            for c in 0..3 {
                let row = &model.expr_basis[(3 * v + c) * dim..][..dim];
                for (k, &value) in row.iter().enumerate() {
                    expr[block + k * VALUES + c * BLOCK + v % BLOCK] = value;
                }
            }
        }
        Ok(PreparedMorphable { model, expr: expr.into(), landmarks, rig: Arc::default() })
    }

    /// The model as it was imported.
    pub fn model(&self) -> &Morphable {
        &self.model
    }

    /// The triangles of every mesh of this model.
    pub fn triangles(&self) -> &[[u32; 3]] {
        &self.model.triangles
    }

    /// The neutral face with identity coefficients `shape`.
    ///
    /// # Errors
    /// `Model` when the number of coefficients is not the model's.
    pub fn identity(&self, shape: &[f32]) -> Result<ShapeIdentity> {
        let mut identity = ShapeIdentity::default();
        self.identity_into(shape, &mut identity)?;
        Ok(identity)
    }

    /// Like [`PreparedMorphable::identity`], into memory that is reused.
    ///
    /// # Errors
    /// `Model` when the number of coefficients is not the model's.
    pub fn identity_into(&self, shape: &[f32], out: &mut ShapeIdentity) -> Result<()> {
        let dim = self.model.shape_dim;
        check_count("identity", shape.len(), dim)?;
        let n = self.model.vertex_count();
        // Most frames of a shot ask for the same person again.
        if out.vertices == n && out.coefficients == shape && !out.blocks.is_empty() {
            return Ok(());
        }
        out.coefficients.clear();
        out.coefficients.extend_from_slice(shape);
        out.vertices = n;
        out.blocks.clear();
        out.blocks.resize(n.div_ceil(BLOCK) * VALUES, 0.0);
        identity_blocks(&self.model.mean, &self.model.shape_basis, shape, &mut out.blocks);
        Ok(())
    }

    /// The mesh of a fit, with the fit's own identity (one-off use; in a shot keep the [`ShapeIdentity`]).
    ///
    /// # Errors
    /// `Model` when the parameters do not fit the model.
    pub fn mesh(&self, fit: &Fit) -> Result<Mesh> {
        let mut mesh = Mesh::default();
        let identity = self.identity(&fit.params.shape)?;
        self.fit_mesh_into(&identity, fit, &mut mesh)?;
        Ok(mesh)
    }

    /// The mesh of a fit in pixels of the fit's image; the identity is given, the fit's own is ignored.
    /// Allocates only when `out` is too small.
    ///
    /// # Errors
    /// `Model` when the parameters do not fit the model.
    pub fn fit_mesh_into(&self, identity: &ShapeIdentity, fit: &Fit, out: &mut Mesh) -> Result<()> {
        self.affine_mesh_into(identity, &fit.params.expr, &fit_image_matrix(fit), out)
    }

    /// The mesh of an identity with expression `expr` seen by `camera`, in pixels of the camera's image,
    /// y down, smallest z 0. Allocates only when `out` is too small.
    ///
    /// # Errors
    /// `Model` when identity or expression do not fit the model.
    pub fn mesh_into(
        &self,
        identity: &ShapeIdentity,
        expr: &[f32],
        camera: &ImageCamera,
        out: &mut Mesh,
    ) -> Result<()> {
        self.affine_mesh_into(identity, expr, &camera.matrix(), out)
    }

    /// Like [`PreparedMorphable::mesh_into`] with any affine map (3x4, row major) from the model's units to pixels.
    ///
    /// # Errors
    /// `Model` when identity or expression do not fit the model.
    pub fn affine_mesh_into(
        &self,
        identity: &ShapeIdentity,
        expr: &[f32],
        matrix: &[f64; 12],
        out: &mut Mesh,
    ) -> Result<()> {
        let nearest_zero = self.unshifted_into(identity, expr, matrix, out)?;
        shift(out, nearest_zero);
        Ok(())
    }

    /// Like [`PreparedMorphable::affine_mesh_into`], but z stays as the map without its offset in depth gives it, so that two
    /// meshes of one map can be blended. Returns the smallest z.
    ///
    /// # Errors
    /// As [`PreparedMorphable::affine_mesh_into`].
    pub(super) fn unshifted_into(
        &self,
        identity: &ShapeIdentity,
        expr: &[f32],
        matrix: &[f64; 12],
        out: &mut Mesh,
    ) -> Result<f32> {
        let n = self.model.vertex_count();
        check_count("expression", expr.len(), self.model.expr_dim)?;
        if identity.vertices != n {
            return Err(Error::model(format!(
                "the identity has {} vertices, the morphable model {n}: use the model it was made with",
                identity.vertices
            )));
        }
        let mut matrix = matrix.map(|v| v as f32);
        // The depth is relative; leaving its offset out keeps all its bits for what counts.
        matrix[11] = 0.0;
        out.vertices.resize(n, [0.0; 3]);
        Ok(evaluate(&identity.blocks, &self.expr, expr, &matrix, &mut out.vertices))
    }

    /// The named expressions and regions of this model, made at the first call (about a tenth of a second for
    /// 3DDFA-V2's) and shared by all clones.
    ///
    /// # Errors
    /// `Model` when the model's landmarks do not lie like those of a face.
    pub fn rig(&self) -> Result<&Rig> {
        let made = match self.rig.get() {
            Some(made) => made,
            // Made before the lock is taken: a thread pool's thread that waits for its own work might be handed a task
            // that asks for the rig again.
            None => {
                let new = Rig::new(&self.model);
                self.rig.get_or_init(|| new)
            }
        };
        made.as_ref().map_err(Clone::clone)
    }

    /// The 68 iBUG landmarks of a fit in pixels of its image (x right, y down). Evaluates these vertices only.
    /// As upstream does, z is shifted so that the smallest of the 68 is 0: it is NOT the mesh's z.
    ///
    /// # Errors
    /// `Model` when the parameters do not fit the model.
    pub fn landmarks68(&self, fit: &Fit) -> Result<[[f32; 3]; 68]> {
        self.affine_landmarks(&fit.params.shape, &fit.params.expr, &fit_image_matrix(fit))
    }

    /// As [`PreparedMorphable::landmarks68`], of an identity and an expression seen by a camera.
    ///
    /// # Errors
    /// `Model` when the parameters do not fit the model.
    pub fn posed_landmarks(&self, shape: &[f32], expr: &[f32], camera: &ImageCamera) -> Result<[[f32; 3]; 68]> {
        self.affine_landmarks(shape, expr, &camera.matrix())
    }

    fn affine_landmarks(&self, shape: &[f32], expr: &[f32], matrix: &[f64; 12]) -> Result<[[f32; 3]; 68]> {
        let m = &*self.model;
        check_count("identity", shape.len(), m.shape_dim)?;
        check_count("expression", expr.len(), m.expr_dim)?;
        let matrix = matrix.map(|v| v as f32);
        let mut out = [[0.0f32; 3]; 68];
        for (point, &vertex) in out.iter_mut().zip(&self.landmarks) {
            let v: [f32; 3] = std::array::from_fn(|c| {
                let row = 3 * vertex as usize + c;
                m.mean[row]
                    + dot(&m.shape_basis[row * m.shape_dim..][..m.shape_dim], shape)
                    + dot(&m.expr_basis[row * m.expr_dim..][..m.expr_dim], expr)
            });
            *point = pose(&matrix, v);
        }
        let nearest_zero = out.iter().fold(f32::INFINITY, |m, p| m.min(p[2]));
        for p in &mut out {
            p[2] -= nearest_zero;
        }
        Ok(out)
    }
}

/// Moves a mesh in depth so that its smallest z, which is `z`, becomes 0.
pub(super) fn shift(mesh: &mut Mesh, z: f32) {
    for v in &mut mesh.vertices {
        v[2] -= z;
    }
}

fn check_count(what: &str, got: usize, expected: usize) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::model(format!(
        "{got} {what} coefficients where the morphable model has {expected}: use the pack that the fit was made with"
    )))
}

fn pose(m: &[f32; 12], v: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|r| m[4 * r] * v[0] + m[4 * r + 1] * v[1] + m[4 * r + 2] * v[2] + m[4 * r + 3])
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `a * b + c`, fused where the caller has been compiled for it.
#[inline(always)]
fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Expression and camera over all blocks; returns the smallest z.
#[inline(always)]
fn evaluate_blocks<const FUSED: bool>(
    identity: &[f32],
    basis: &[f32],
    expr: &[f32],
    m: &[f32; 12],
    out: &mut [[f32; 3]],
) -> f32 {
    let mut z_min = [f32::INFINITY; LANES];
    let blocks = identity.as_chunks::<VALUES>().0;
    for (b, (base, out)) in blocks.iter().zip(out.chunks_mut(BLOCK)).enumerate() {
        let modes = basis[b * VALUES * expr.len()..][..VALUES * expr.len()].as_chunks::<VALUES>().0;
        let mut posed = [[0.0f32; 3]; BLOCK];
        for half in 0..BLOCK / LANES {
            let lane = |row: &[f32; VALUES], c: usize| -> [f32; LANES] {
                std::array::from_fn(|l| row[c * BLOCK + half * LANES + l])
            };
            let mut v = [lane(base, 0), lane(base, 1), lane(base, 2)];
            for (mode, &e) in modes.iter().zip(expr) {
                for (c, acc) in v.iter_mut().enumerate() {
                    let values = lane(mode, c);
                    for l in 0..LANES {
                        acc[l] = fma::<FUSED>(e, values[l], acc[l]);
                    }
                }
            }
            let mut p = [[0.0f32; LANES]; 3];
            for (r, p) in p.iter_mut().enumerate() {
                for l in 0..LANES {
                    let sum = fma::<FUSED>(m[4 * r], v[0][l], m[4 * r + 3]);
                    p[l] = fma::<FUSED>(m[4 * r + 2], v[2][l], fma::<FUSED>(m[4 * r + 1], v[1][l], sum));
                }
            }
            for l in 0..LANES {
                posed[half * LANES + l] = [p[0][l], p[1][l], p[2][l]];
            }
            let valid = out.len().saturating_sub(half * LANES).min(LANES);
            if valid == LANES {
                for l in 0..LANES {
                    z_min[l] = if p[2][l] < z_min[l] { p[2][l] } else { z_min[l] };
                }
            } else {
                // The padding of the last block is no vertex.
                for l in 0..valid {
                    z_min[l] = z_min[l].min(p[2][l]);
                }
            }
        }
        out.copy_from_slice(&posed[..out.len()]);
    }
    z_min.iter().fold(f32::INFINITY, |a, &b| a.min(b))
}

/// `mean + basis a` into blocks. The basis is row major, `3n x a.len()`.
#[inline(always)]
fn identity_rows<const FUSED: bool>(mean: &[f32], basis: &[f32], a: &[f32], blocks: &mut [f32]) {
    let dim = a.len();
    for (i, &u) in mean.iter().enumerate() {
        let row = &basis[i * dim..][..dim];
        let mut acc = [0.0f32; 8];
        let (rows, row_tail) = row.as_chunks::<8>();
        let (coefficients, tail) = a.as_chunks::<8>();
        for (r, c) in rows.iter().zip(coefficients) {
            for l in 0..8 {
                acc[l] = fma::<FUSED>(r[l], c[l], acc[l]);
            }
        }
        let mut sum = ((acc[0] + acc[4]) + (acc[1] + acc[5])) + ((acc[2] + acc[6]) + (acc[3] + acc[7]));
        for (r, c) in row_tail.iter().zip(tail) {
            sum += r * c;
        }
        let v = i / 3;
        blocks[v / BLOCK * VALUES + i % 3 * BLOCK + v % BLOCK] = u + sum;
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[target_feature(enable = "avx512f")]
    pub fn evaluate512(identity: &[f32], basis: &[f32], expr: &[f32], m: &[f32; 12], out: &mut [[f32; 3]]) -> f32 {
        super::evaluate_blocks::<true>(identity, basis, expr, m, out)
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn evaluate256(identity: &[f32], basis: &[f32], expr: &[f32], m: &[f32; 12], out: &mut [[f32; 3]]) -> f32 {
        super::evaluate_blocks::<true>(identity, basis, expr, m, out)
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn identity256(mean: &[f32], basis: &[f32], a: &[f32], blocks: &mut [f32]) {
        super::identity_rows::<true>(mean, basis, a, blocks);
    }
}

fn evaluate(identity: &[f32], basis: &[f32], expr: &[f32], m: &[f32; 12], out: &mut [[f32; 3]]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the feature.
            return unsafe { x86::evaluate512(identity, basis, expr, m, out) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has the features.
            return unsafe { x86::evaluate256(identity, basis, expr, m, out) };
        }
    }
    evaluate_blocks::<false>(identity, basis, expr, m, out)
}

fn identity_blocks(mean: &[f32], basis: &[f32], a: &[f32], blocks: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has the features.
        return unsafe { x86::identity256(mean, basis, a, blocks) };
    }
    identity_rows::<false>(mean, basis, a, blocks);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::Rect;
    use crate::morphable::Params;
    use crate::morphable::testkit::{fixtures, synthetic, synthetic_fit, upstream_model};

    /// Upstream's steps one after the other, in f64.
    fn plain(model: &Morphable, fit: &Fit) -> Vec<[f64; 3]> {
        let p = &fit.params;
        let roi = &fit.roi;
        let kx = f64::from(roi.x1 - roi.x0) / 120.0;
        let ky = f64::from(roi.y1 - roi.y0) / 120.0;
        let mut out: Vec<[f64; 3]> = (0..model.vertex_count())
            .map(|v| {
                let local: [f64; 3] = std::array::from_fn(|c| {
                    let r = 3 * v + c;
                    let part = |basis: &[f32], a: &[f32]| -> f64 {
                        basis[r * a.len()..].iter().zip(a).map(|(b, a)| f64::from(*b) * f64::from(*a)).sum()
                    };
                    f64::from(model.mean[r]) + part(&model.shape_basis, &p.shape) + part(&model.expr_basis, &p.expr)
                });
                let crop: [f64; 3] = std::array::from_fn(|r| {
                    (0..3).map(|c| f64::from(p.camera[4 * r + c]) * local[c]).sum::<f64>()
                        + f64::from(p.camera[4 * r + 3])
                });
                [
                    (crop[0] - 1.0) * kx + f64::from(roi.x0),
                    (120.0 - crop[1]) * ky + f64::from(roi.y0),
                    (crop[2] - 1.0) * 0.5 * (kx + ky),
                ]
            })
            .collect();
        let z = out.iter().map(|v| v[2]).fold(f64::INFINITY, f64::min);
        out.iter_mut().for_each(|v| v[2] -= z);
        out
    }

    fn furthest(a: &[[f32; 3]], b: &[[f64; 3]]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
    }

    const ROI: Rect = Rect { x0: 31.25, y0: -12.5, x1: 331.25, y1: 287.0 };

    #[test]
    fn equals_the_plain_steps() {
        // Vertex counts below, at and above whole blocks and half blocks; dimensions beside the vector widths.
        for (side, shape_dim, expr_dim) in [(9, 40, 10), (8, 3, 1), (16, 17, 0), (7, 0, 4), (23, 8, 29)] {
            let model = synthetic(side, shape_dim, expr_dim, 7);
            let fit = synthetic_fit(&model, ROI, 3);
            let expected = plain(&model, &fit);
            let prepared = model.clone().prepare().unwrap();
            let mesh = prepared.mesh(&fit).unwrap();
            assert!(furthest(&mesh.vertices, &expected) < 1e-3, "{side}: {}", furthest(&mesh.vertices, &expected));
            assert_eq!(mesh.vertices.iter().map(|v| v[2]).fold(f32::INFINITY, f32::min), 0.0);
            // every variant of the kernel
            let identity = prepared.identity(&fit.params.shape).unwrap();
            let mut m = fit_image_matrix(&fit).map(|v| v as f32);
            m[11] = 0.0;
            let mut generic = vec![[0.0; 3]; model.vertex_count()];
            let z = evaluate_blocks::<false>(&identity.blocks, &prepared.expr, &fit.params.expr, &m, &mut generic);
            generic.iter_mut().for_each(|v| v[2] -= z);
            assert!(furthest(&generic, &expected) < 1e-3);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: the processor has the features.
                let z =
                    unsafe { x86::evaluate256(&identity.blocks, &prepared.expr, &fit.params.expr, &m, &mut generic) };
                generic.iter_mut().for_each(|v| v[2] -= z);
                assert!(furthest(&generic, &expected) < 1e-3);
            }
        }
    }

    #[test]
    fn an_image_camera_shows_the_same_mesh() {
        let model = synthetic(20, 6, 4, 2);
        let fit = synthetic_fit(&model, ROI, 5);
        let prepared = model.prepare().unwrap();
        let mesh = prepared.mesh(&fit).unwrap();
        let identity = prepared.identity(&fit.params.shape).unwrap();
        let camera = ImageCamera::from_fit(&fit).unwrap();
        let mut other = Mesh::default();
        prepared.mesh_into(&identity, &fit.params.expr, &camera, &mut other).unwrap();
        for (a, b) in mesh.vertices.iter().flatten().zip(other.vertices.iter().flatten()) {
            assert!((a - b).abs() < 2e-3);
        }
        // And a camera that is put into a crop: another crop of the same image changes nothing.
        let roi = Rect { x0: 5.0, y0: 9.0, x1: 405.0, y1: 409.0 };
        let mut moved = fit.clone();
        moved.params.camera = camera.to_fit_camera(&roi).unwrap();
        moved.roi = roi;
        prepared.fit_mesh_into(&identity, &moved, &mut other).unwrap();
        for (a, b) in mesh.vertices.iter().flatten().zip(other.vertices.iter().flatten()) {
            assert!((a - b).abs() < 2e-3);
        }
    }

    #[test]
    fn landmarks_are_vertices_of_the_mesh() {
        let model = synthetic(20, 6, 4, 2);
        let fit = synthetic_fit(&model, ROI, 6);
        let prepared = model.prepare().unwrap();
        let mesh = prepared.mesh(&fit).unwrap();
        let landmarks = prepared.landmarks68(&fit).unwrap();
        let z = prepared.landmarks.iter().map(|&v| mesh.vertices[v as usize][2]).fold(f32::INFINITY, f32::min);
        for (l, &v) in landmarks.iter().zip(&prepared.landmarks) {
            let v = mesh.vertices[v as usize];
            assert!((l[0] - v[0]).abs() < 1e-3 && (l[1] - v[1]).abs() < 1e-3 && (l[2] - (v[2] - z)).abs() < 1e-3);
        }
    }

    #[test]
    fn an_identity_is_reused() {
        let model = synthetic(12, 6, 4, 2);
        let prepared = model.clone().prepare().unwrap();
        let mut identity = prepared.identity(&[1.0; 6]).unwrap();
        let first = identity.clone();
        prepared.identity_into(&[1.0; 6], &mut identity).unwrap();
        assert_eq!(identity, first);
        prepared.identity_into(&[0.0; 6], &mut identity).unwrap();
        assert_eq!(identity.vertex(5), [model.mean[15], model.mean[16], model.mean[17]]);
        assert_eq!(identity.coefficients(), [0.0; 6]);
    }

    #[test]
    fn parts_that_do_not_fit_are_errors() {
        let good = synthetic(12, 6, 4, 2);
        let fit = synthetic_fit(&good, ROI, 1);
        let prepared = good.clone().prepare().unwrap();
        assert!(prepared.identity(&[0.0; 5]).is_err());
        let mut short = fit.clone();
        short.params.expr.pop();
        assert!(matches!(prepared.mesh(&short), Err(Error::Model(_))));
        assert!(prepared.landmarks68(&short).is_err());
        let other = synthetic(13, 6, 4, 2).prepare().unwrap().identity(&[0.0; 6]).unwrap();
        assert!(prepared.fit_mesh_into(&other, &fit, &mut Mesh::default()).is_err());
        let broken: [fn(&mut Morphable); 8] = [
            |m| m.mean.truncate(5),
            |m| m.shape_basis.truncate(7),
            |m| m.expr_dim = usize::MAX,
            |m| m.triangles[3][1] = 999_999,
            |m| m.landmarks[2] = 999_999,
            |m| m.landmarks.truncate(5),
            |m| m.ncc.truncate(5),
            |m| m.mean[4] = f32::NAN,
        ];
        for change in broken {
            let mut model = good.clone();
            change(&mut model);
            assert!(matches!(model.prepare(), Err(Error::Model(_))));
        }
    }

    #[test]
    fn parameters_split_and_join() {
        let model = synthetic(12, 6, 4, 2);
        let output: Vec<f32> = (0..22).map(|i| i as f32 * 0.1).collect();
        let params = model.denormalise(&output).unwrap();
        assert_eq!((params.shape.len(), params.expr.len()), (6, 4));
        assert_eq!(params.to_vec()[20], output[20] * model.param_std[20] + model.param_mean[20]);
        assert!(model.denormalise(&output[1..]).is_err());
        assert!(model.denormalise(&[0.0; 23]).is_err());
        assert!(Params::from_slice(&[0.0; 5], 0, 0).is_err());
    }

    #[test]
    fn upstream_meshes_landmarks_and_poses() {
        let Some(model) = upstream_model() else { return };
        let prepared = model.prepare().unwrap();
        for f in fixtures() {
            let mesh = prepared.mesh(&f.fit).unwrap();
            for (v, expected) in mesh.vertices.iter().step_by(1000).zip(&f.sampled) {
                assert!(v.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{}: {v:?} {expected:?}", f.name);
            }
            for c in 0..3 {
                let column = || mesh.vertices.iter().map(|v| v[c]);
                assert!((column().fold(f32::INFINITY, f32::min) - f.minimum[c]).abs() < 1e-3);
                assert!((column().fold(f32::NEG_INFINITY, f32::max) - f.maximum[c]).abs() < 1e-3);
            }
            let landmarks = prepared.landmarks68(&f.fit).unwrap();
            for (l, expected) in landmarks.iter().zip(&f.landmarks) {
                assert!(l.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{}: {l:?} {expected:?}", f.name);
            }
            let pose = super::super::Euler::from_camera(&f.fit.params.camera);
            let image = ImageCamera::from_fit(&f.fit).unwrap();
            for (name, e) in [("camera", pose), ("rotation", image.euler())] {
                let limit = if name == "camera" { 1e-3 } else { 1.0 };
                for (a, b) in [(e.yaw, f.pose.yaw), (e.pitch, f.pose.pitch), (e.roll, f.pose.roll)] {
                    assert!((a - b).abs() < limit, "{} {name}: {e:?} {:?}", f.name, f.pose);
                }
            }
            eprintln!("{}: {pose:?}, nearest rotation {:?}", f.name, image.euler());
        }
    }

    proptest! {
        #[test]
        fn any_fit_gives_the_plain_mesh(seed in 0u64..1000, x0 in -100.0f32..100.0, side in 20.0f32..600.0) {
            let model = synthetic(11, 5, 3, seed);
            let roi = Rect { x0, y0: -x0, x1: x0 + side, y1: side - x0 };
            let fit = synthetic_fit(&model, roi, seed);
            let mesh = model.clone().prepare().unwrap().mesh(&fit).unwrap();
            prop_assert!(furthest(&mesh.vertices, &plain(&model, &fit)) < 2e-3);
        }
    }
}
