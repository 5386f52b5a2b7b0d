//! The 3D morphable model: basis, parameters, pose, mesh, dense alignment, retargeting.

use crate::face::Rect;

/// The parameters of one face: what the regressor returns, de-normalised.
///
/// 62 values in 3DDFA-V2: 12 camera, 40 shape, 10 expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// 3x4 affine camera, row major: `[sR | t]`, in the 120x120 crop's coordinates, y up.
    pub camera: [f32; 12],
    /// Identity coefficients.
    pub shape: Vec<f32>,
    /// Expression coefficients.
    pub expr: Vec<f32>,
}

/// One fitted face: parameters and the square crop of the image they refer to.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    pub params: Params,
    /// The crop as the upstream code keeps it (floats, before rounding).
    pub roi: Rect,
}

/// A mesh in image coordinates: x right, y down (pixel centres at integers), larger z is nearer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mesh {
    /// One entry per vertex of the model, same order in every mesh of the model.
    pub vertices: Vec<[f32; 3]>,
}

/// A linear morphable model (3DDFA-V2's BFM without neck: 38,365 vertices, 76,073 triangles).
#[derive(Debug, Clone)]
pub struct Morphable {
    /// Mean shape, `3n` values, x y z interleaved.
    pub mean: Vec<f32>,
    /// Identity basis, row major `3n x shape_dim`.
    pub shape_basis: Vec<f32>,
    /// Expression basis, row major `3n x expr_dim`.
    pub expr_basis: Vec<f32>,
    pub shape_dim: usize,
    pub expr_dim: usize,
    /// Vertex indices, counter-clockwise or not as the source has it.
    pub triangles: Vec<[u32; 3]>,
    /// The vertices of the 68 iBUG landmarks.
    pub landmarks: Vec<u32>,
    /// Normalised coordinate code per vertex, each 0..1: x as red, y as green, z as blue.
    pub ncc: Vec<[f32; 3]>,
    /// Mean of the regressor's outputs, `12 + shape_dim + expr_dim` values.
    pub param_mean: Vec<f32>,
    /// Standard deviation of the regressor's outputs, same length.
    pub param_std: Vec<f32>,
}
