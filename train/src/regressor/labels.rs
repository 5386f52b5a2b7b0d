//! The fits of another morphable model as parameters of ours.
//!
//! Both models have the 68 landmarks in the same axes and units, so the camera stays as it is, and identity and expression
//! are those whose landmarks come nearest to the other's: least squares with the prior that identities have a standard
//! deviation of 1 and expressions of one half. The map is linear and made once.

use headgan::morphable::Morphable;
use headgan::morphable::canonical::ExpressionMode;
use headgan::{Error, Result};
use tch::{Kind, Tensor};

/// How exactly the other's landmarks are taken to be known, in micrometres.
const EXACTNESS: f64 = 550.0;
/// Standard deviation that expressions are expected to have.
const EXPRESSION: f64 = 0.5;
/// What the other model cannot tell: 3DDFA-V2's has no lids.
pub const UNKNOWN: [ExpressionMode; 2] = [ExpressionMode::BlinkLeft, ExpressionMode::BlinkRight];

/// Brings fits of one model onto another.
pub struct FitConverter {
    /// The other's landmarks: mean [204] and basis [204, its coefficients].
    mean: Tensor,
    basis: Tensor,
    ours: Tensor,
    /// [our coefficients, 204].
    solve: Tensor,
    shape_dim: usize,
}

/// Mean landmarks \[204\] and what each coefficient does to them [204, coefficients], micrometres.
pub fn landmark_basis(model: &Morphable, kind: Kind) -> (Tensor, Tensor) {
    let (s, e) = (model.shape_dim, model.expr_dim);
    let (mut mean, mut basis) = (Vec::new(), Vec::new());
    for row in model.landmarks.iter().flat_map(|&v| (0..3).map(move |c| 3 * v as usize + c)) {
        mean.push(model.mean[row]);
        basis.extend_from_slice(&model.shape_basis[row * s..][..s]);
        basis.extend_from_slice(&model.expr_basis[row * e..][..e]);
    }
    let rows = mean.len() as i64;
    let basis = Tensor::from_slice(&basis).reshape([rows, (s + e) as i64]);
    (Tensor::from_slice(&mean).to_kind(kind), basis.to_kind(kind))
}

impl FitConverter {
    /// From fits of `other` to parameters of `own`, which is the procedural head.
    ///
    /// # Errors
    /// [`Error::Model`] where the models have no landmarks in common or the head's cannot be solved for.
    pub fn new(own: &Morphable, other: &Morphable) -> Result<FitConverter> {
        if own.landmarks.len() != 68 || other.landmarks.len() != 68 {
            return Err(Error::Model("labels: both models need the 68 landmarks: use another pack".into()));
        }
        let (mean, basis) = landmark_basis(other, Kind::Double);
        let (ours, own_basis) = landmark_basis(own, Kind::Double);
        for e in UNKNOWN {
            let _ = own_basis.select(1, (own.shape_dim + e as usize) as i64).zero_();
        }
        let priors: Vec<f64> = (0..own.shape_dim + own.expr_dim)
            .map(|k| (EXACTNESS / if k < own.shape_dim { 1.0 } else { EXPRESSION }).powi(2))
            .collect();
        let normal = own_basis.tr().matmul(&own_basis) + Tensor::from_slice(&priors).diag(0);
        let solve = Tensor::f_linalg_solve(&normal, &own_basis.tr(), true).map_err(|e| {
            Error::model(format!("labels: the head's landmarks cannot be solved for ({e})")).with_source(e)
        })?;
        Ok(FitConverter { mean, basis, ours, solve, shape_dim: own.shape_dim })
    }

    /// Our identity and expression for the other's.
    ///
    /// # Errors
    /// [`Error::Model`] where the coefficients are not the other model's.
    pub fn convert(&self, shape: &[f32], expr: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let theirs = Tensor::from_slice(&[shape, expr].concat()).to_kind(Kind::Double);
        if theirs.size() != self.basis.size()[1..] {
            return Err(Error::model(format!(
                "labels: {} and {} coefficients are not those of the model that the data set was fitted with: name its \
                 pack",
                shape.len(),
                expr.len()
            )));
        }
        let landmarks = &self.mean + self.basis.mv(&theirs);
        let own = self.solve.mv(&(landmarks - &self.ours)).to_kind(Kind::Float);
        let own = Vec::<f32>::try_from(own).map_err(|e| Error::engine(format!("labels: {e}")).with_source(e))?;
        let (shape, expr) = own.split_at(self.shape_dim);
        Ok((shape.to_vec(), expr.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgan::synthetic::head;

    #[test]
    fn the_heads_own_landmarks_come_back() {
        let model = head();
        let converter = FitConverter::new(&model, &model).unwrap();
        let mut shape = vec![0.0; model.shape_dim];
        (shape[0], shape[27], shape[3]) = (1.2, -0.8, 0.5);
        let mut expr = vec![0.0; model.expr_dim];
        (expr[ExpressionMode::JawOpen as usize], expr[ExpressionMode::Smile as usize]) = (0.6, 0.3);
        let (a, b) = converter.convert(&shape, &expr).unwrap();
        assert!((b[ExpressionMode::JawOpen as usize] - 0.6).abs() < 0.08, "{b:?}");
        assert!(UNKNOWN.iter().all(|e| b[*e as usize].abs() < 1e-6), "{b:?}");
        // Coefficients may stand in for each other; landmarks must not move.
        let (mean, basis) = landmark_basis(&model, Kind::Float);
        let at = |a: &[f32], b: &[f32]| &mean + basis.mv(&Tensor::from_slice(&[a, b].concat()));
        let off = (at(&a, &b) - at(&shape, &expr)).abs().max().double_value(&[]);
        assert!(off < 900.0, "{off} um");
        assert!(converter.convert(&shape[1..], &expr).is_err());
    }
}
