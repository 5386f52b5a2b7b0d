//! The 3D morphable model: basis, parameters, pose, mesh, dense alignment, retargeting, named expressions.
//!
//! This module describes a head's shape and pose. [`crate::face`] finds the parameters in a picture, [`crate::pncc`] draws the mesh.

pub mod align;
pub mod arkit;
pub mod arrays;
pub mod canonical;
pub mod dense;
pub mod mesh;
pub mod pose;
pub mod retarget;
pub mod rig;
#[cfg(test)]
pub(crate) mod testkit;
pub(crate) mod topology;

pub use arkit::ArkitShape;
pub use mesh::{PreparedMorphable, ShapeIdentity};
pub use pose::{Euler, ImageCamera};
pub use retarget::{RetargetSettings, ShotStats, retarget};
pub use rig::{Expression, Region, Rig, RigSettings};

use crate::frame::Rect;
use crate::{Error, Result};

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
    /// Camera, identity and expression.
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
    /// Number of identity coefficients.
    pub shape_dim: usize,
    /// Number of expression coefficients.
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
    /// Columns of the expression basis that are ARKit's shapes, in the order of [`ArkitShape::ALL`]; empty where the model
    /// has none.
    pub arkit: Vec<u32>,
    /// How many of the last triangles are eyeballs. Their vertices are the last ones, and no other triangle's.
    pub eyeballs: usize,
    /// How many of the last identity coefficients are residual modes: local displacements, in millimetres, for what the
    /// others cannot express; see [`dense::with_residual_modes`].
    pub residual_modes: usize,
}

impl Params {
    /// Splits the values of one face, already de-normalised: 12 camera, then identity, then expression.
    ///
    /// # Errors
    /// `Model` when the count is not `12 + shape_dim + expr_dim`.
    pub fn from_slice(values: &[f32], shape_dim: usize, expr_dim: usize) -> Result<Params> {
        let expected = 12 + shape_dim + expr_dim;
        let Some((camera, rest)) = values.split_first_chunk::<12>().filter(|_| values.len() == expected) else {
            return Err(Error::model(format!(
                "the regressor returns {} values where the morphable model has {expected} (12 camera, {shape_dim} \
                 identity, {expr_dim} expression): use a pack whose parts belong together",
                values.len()
            )));
        };
        let (shape, expr) = rest.split_at(shape_dim);
        Ok(Params { camera: *camera, shape: shape.to_vec(), expr: expr.to_vec() })
    }

    /// The values in the regressor's order.
    pub fn to_vec(&self) -> Vec<f32> {
        [&self.camera[..], &self.shape, &self.expr].concat()
    }
}

impl Morphable {
    /// Number of vertices.
    pub fn vertex_count(&self) -> usize {
        self.mean.len() / 3
    }

    /// The triangles without those of the eyeballs.
    pub fn skin_triangles(&self) -> &[[u32; 3]] {
        &self.triangles[..self.triangles.len().saturating_sub(self.eyeballs)]
    }

    /// The triangles to draw, with or without the eyeballs.
    pub fn drawn_triangles(&self, eyeballs: bool) -> &[[u32; 3]] {
        if eyeballs { &self.triangles } else { self.skin_triangles() }
    }

    /// Number of vertices without those of the eyeballs, which are the last ones.
    pub fn skin_vertex_count(&self) -> usize {
        let eyeballs = &self.triangles[self.skin_triangles().len()..];
        eyeballs.as_flattened().iter().min().map_or(self.vertex_count(), |&v| v as usize)
    }

    /// How far the coordinate codes of two models lie apart at each landmark, per axis. A generator reads poses from
    /// these codes, so it serves two models as far as they agree.
    pub fn code_differences(&self, other: &Morphable) -> Vec<[f32; 3]> {
        let code = |model: &Morphable, v: &u32| model.ncc[*v as usize];
        let difference = |(a, b): (&u32, &u32)| {
            let (a, b) = (code(self, a), code(other, b));
            std::array::from_fn(|c| a[c] - b[c])
        };
        self.landmarks.iter().zip(&other.landmarks).map(difference).collect()
    }

    /// Parameters from the regressor's normalised outputs: `output * std + mean`.
    ///
    /// # Errors
    /// `Model` when the count of values does not fit the model.
    pub fn denormalise(&self, output: &[f32]) -> Result<Params> {
        let expected = 12 + self.shape_dim + self.expr_dim;
        if self.param_mean.len() != expected || self.param_std.len() != expected {
            return Err(Error::model(format!(
                "the morphable model has {} means and {} deviations for {expected} parameters: import it again",
                self.param_mean.len(),
                self.param_std.len()
            )));
        }
        let values: Vec<f32> =
            output.iter().zip(&self.param_std).zip(&self.param_mean).map(|((o, s), m)| o * s + m).collect();
        let count = if output.len() == expected { values.len() } else { output.len() };
        if count != expected {
            return Err(Error::model(format!("the regressor returns {count} values where {expected} are expected")));
        }
        Params::from_slice(&values, self.shape_dim, self.expr_dim)
    }

    /// Checks that all parts of the model belong together: lengths, indices, finite values.
    ///
    /// # Errors
    /// `Model`, naming the first part that does not fit.
    pub fn validate(&self) -> Result<()> {
        let n = self.vertex_count();
        let bad = |what: String| Err(Error::model(format!("morphable model: {what}: import it again")));
        if n == 0 || self.mean.len() != 3 * n {
            return bad(format!("the mean shape has {} values, not a positive multiple of 3", self.mean.len()));
        }
        for (name, basis, dim) in
            [("identity", &self.shape_basis, self.shape_dim), ("expression", &self.expr_basis, self.expr_dim)]
        {
            if dim.checked_mul(3 * n) != Some(basis.len()) {
                return bad(format!("the {name} basis has {} values where {} x {dim} are due", basis.len(), 3 * n));
            }
        }
        if let Some(i) = self.triangles.iter().flatten().find(|&&i| i as usize >= n) {
            return bad(format!("a triangle names vertex {i} of {n}"));
        }
        if let Some(i) = self.landmarks.iter().find(|&&i| i as usize >= n) {
            return bad(format!("a landmark names vertex {i} of {n}"));
        }
        if !(self.arkit.is_empty() || self.arkit.len() == ArkitShape::COUNT) {
            return bad(format!("{} columns of ARKit's {} shapes", self.arkit.len(), ArkitShape::COUNT));
        }
        if let Some(i) = self.arkit.iter().find(|&&i| i as usize >= self.expr_dim) {
            return bad(format!("an ARKit shape names column {i} of {} of the expression basis", self.expr_dim));
        }
        if self.eyeballs > 0 && self.eyeballs >= self.triangles.len() {
            return bad(format!("{} triangles of eyeballs among {}", self.eyeballs, self.triangles.len()));
        }
        if self.residual_modes > self.shape_dim {
            return bad(format!("{} residual modes among {} identity coefficients", self.residual_modes, self.shape_dim));
        }
        let first = self.skin_vertex_count() as u32;
        if self.skin_triangles().as_flattened().iter().chain(&self.landmarks).any(|&v| v >= first) {
            return bad(format!("skin and eyeballs share vertices from {first} on"));
        }
        if self.ncc.len() != n {
            return bad(format!("{} coordinate codes for {n} vertices", self.ncc.len()));
        }
        let finite = |v: &[f32]| v.iter().all(|x| x.is_finite());
        if !(finite(&self.mean)
            && finite(&self.shape_basis)
            && finite(&self.expr_basis)
            && finite(self.ncc.as_flattened())
            && finite(&self.param_mean)
            && finite(&self.param_std))
        {
            return bad("a value is not finite".into());
        }
        Ok(())
    }

    /// Lays the model out for fast evaluation; see [`PreparedMorphable`].
    ///
    /// # Errors
    /// `Model` when [`Morphable::validate`] fails or there are not 68 landmarks.
    pub fn prepare(self) -> Result<PreparedMorphable> {
        PreparedMorphable::new(self)
    }
}
