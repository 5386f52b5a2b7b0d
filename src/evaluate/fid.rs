//! FID: the Fréchet distance between Inception's features of results and of true pictures, taken as two Gaussians.
//!
//! Heusel et al., <https://arxiv.org/abs/1706.08500>; the distance: Dowson, Landau 1982, <https://doi.org/10.1016/0047-259X(82)90077-X>.
//! Few pictures read too high: the distance of two draws of one distribution falls to 0 only as both grow.

use super::{ClipScores, Method, picture, weights};
use crate::engine::{Embedded, Executor, Ops, cpu};
use crate::frame::Frame;
use crate::nets::inception;
use crate::{Error, Result};
use nalgebra::{DMatrix, DVector};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// FID's network with a user's weights, ready to run.
pub struct Inception {
    ops: Embedded,
    /// Of the weights file, 64 digits.
    pub blake3: String,
}

impl Inception {
    /// Loads `pt_inception-2015-12-05`: a torch checkpoint or a safetensors file.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that cannot be read, [`Error::Model`] for one that is something else.
    pub fn load(path: &Path, options: &cpu::Options) -> Result<Inception> {
        let remedy = "take the file that the Python package pytorch-fid loads, pt_inception-2015-12-05-6726825d.pth";
        let (mut weights, (), blake3) = weights::load(path, remedy, inception::check)?;
        weights.arrays.retain(|name, _| !name.starts_with("fc."));
        Ok(Inception { ops: Embedded::new(Arc::new(weights), options), blake3 })
    }

    /// The features of a picture, on what is shown (sRGB, 8-bit steps, over black).
    ///
    /// # Errors
    /// [`Error::Engine`] where they are not numbers.
    pub fn features(&self, picture: &Frame) -> Result<Vec<f32>> {
        let values: Vec<f32> = picture::planes(picture).concat().iter().map(|v| (v / 255.0) as f32).collect();
        let input = self.ops.tensor([1, 3, picture.height, picture.width], &values);
        let features = self.ops.values(&inception::features(&self.ops, &input));
        if features.iter().any(|v| !v.is_finite()) {
            return Err(Error::Engine(
                "a picture's features for FID are not numbers: its network's weights are unsuitable".into(),
            ));
        }
        Ok(features)
    }
}

/// The features of a clip's measured frames.
#[derive(Debug, Clone, Default)]
pub struct ClipFeatures {
    /// Of the true pictures, or, in cross-reenactment, of the driver's face, cut out alike.
    pub truth: Vec<Vec<f32>>,
    /// Of each method's pictures.
    pub methods: BTreeMap<Method, Vec<Vec<f32>>>,
}

/// FID over all clips.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fid {
    /// Pictures on either side.
    pub frames: usize,
    /// The distance by method; lower is better.
    pub methods: BTreeMap<Method, f64>,
}

/// FID of each method over the frames of all clips together; `None` where fewer than two have features.
pub fn summarise(clips: &[ClipScores]) -> Option<Fid> {
    let clips: Vec<&ClipFeatures> = clips.iter().filter_map(|c| c.features.as_ref()).collect();
    let truth: Vec<&[f32]> = clips.iter().flat_map(|c| &c.truth).map(Vec::as_slice).collect();
    let expected = Gaussian::fit(&truth)?;
    let mut methods = BTreeMap::new();
    for method in [Method::Copy, Method::Draft, Method::Full] {
        let rows = clips.iter().filter_map(|c| c.methods.get(&method)).flatten().map(Vec::as_slice);
        if let Some(got) = Gaussian::fit(&rows.collect::<Vec<_>>()) {
            methods.insert(method, got.distance(&expected));
        }
    }
    Some(Fid { frames: truth.len(), methods })
}

/// Mean and covariance of features.
#[derive(Debug, Clone)]
pub struct Gaussian {
    mean: DVector<f64>,
    /// A matrix whose transpose times itself is the covariance, with as few rows as that takes.
    factor: DMatrix<f64>,
}

impl Gaussian {
    /// Of at least two vectors of one length, with the unbiased covariance; otherwise `None`.
    pub fn fit(rows: &[&[f32]]) -> Option<Gaussian> {
        let (n, d) = (rows.len(), rows.first()?.len());
        if n < 2 || rows.iter().any(|r| r.len() != d) {
            return None;
        }
        let mut factor = DMatrix::from_fn(n, d, |i, k| f64::from(rows[i][k]));
        let mean = factor.row_mean().transpose();
        let scale = 1.0 / ((n - 1) as f64).sqrt();
        for (k, mut column) in factor.column_iter_mut().enumerate() {
            column.apply(|v| *v = (*v - mean[k]) * scale);
        }
        Some(Gaussian { mean, factor: if n > d { factor.qr().unpack_r() } else { factor } })
    }

    /// The Fréchet distance, squared as FID has it: `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)`.
    ///
    /// With `S1 = A'A` and `S2 = B'B`, the trace of the root is the sum of the singular values of `AB'`: no root of a singular matrix is
    /// taken, and the matrix is as small as the pictures are few.
    pub fn distance(&self, other: &Gaussian) -> f64 {
        let spread = self.factor.norm_squared() + other.factor.norm_squared();
        let common = (&self.factor * other.factor.transpose()).singular_values_unordered().sum();
        // Rounding may take equal ones below.
        ((&self.mean - &other.mean).norm_squared() + spread - 2.0 * common).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    /// Vectors whose mean is `mean` and whose covariance is `(n - 1)`-normalised `root' root`, exactly: the points of a cross.
    fn cross(mean: &[f64], root: &DMatrix<f64>) -> Gaussian {
        let k = root.nrows();
        let n = 2 * k;
        let scale = ((n - 1) as f64 / 2.0).sqrt();
        let rows: Vec<Vec<f32>> = (0..n)
            .map(|i| {
                let sign = if i % 2 == 0 { scale } else { -scale };
                mean.iter().enumerate().map(|(c, m)| (m + sign * root[(i / 2, c)]) as f32).collect()
            })
            .collect();
        Gaussian::fit(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
    }

    fn near(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-5 * expected.abs().max(1.0), "{got} {expected}");
    }

    /// On the line: the difference of means and that of deviations.
    #[test]
    fn on_the_line() {
        let at = |mean: f64, deviation: f64| cross(&[mean], &DMatrix::from_element(1, 1, deviation));
        near(at(1.0, 2.0).distance(&at(4.0, 0.5)), 9.0 + 2.25);
        near(at(3.0, 0.0).distance(&at(3.0, 0.25)), 0.0625);
        near(at(3.0, 2.0).distance(&at(3.0, 2.0)), 0.0);
    }

    /// In the plane, covariances that do not commute: the root's trace is `sqrt(tr M + 2 sqrt(det M))` of their product `M`.
    #[test]
    fn in_the_plane() {
        let a = DMatrix::<f64>::from_row_slice(2, 2, &[2.0, 0.5, 0.0, 1.0]);
        let b = DMatrix::<f64>::from_row_slice(2, 2, &[0.5, -1.0, 1.5, 0.25]);
        let (sa, sb) = (a.transpose() * &a, b.transpose() * &b);
        assert!((&sa * &sb - &sb * &sa).norm() > 0.1);
        let m = &sa * &sb;
        let root = (m.trace() + 2.0 * m.determinant().sqrt()).sqrt();
        let (ga, gb) = (cross(&[0.0, 1.0], &a), cross(&[2.0, 0.0], &b));
        near(ga.distance(&gb), 5.0 + sa.trace() + sb.trace() - 2.0 * root);
        near(gb.distance(&ga), ga.distance(&gb));
    }

    /// Fewer pictures than features: covariances have no full rank. Directions that nothing moves in change nothing.
    #[test]
    fn few_pictures() {
        let mut rng = Rng(4);
        let (few, many): (Vec<Vec<f32>>, Vec<Vec<f32>>) =
            ((0..9).map(|_| rng.vec(4)).collect(), (0..7).map(|_| rng.vec(4)).collect());
        let of = |rows: &[Vec<f32>], padding: usize| {
            let rows: Vec<Vec<f32>> = rows.iter().map(|r| [r.clone(), vec![0.5; padding]].concat()).collect();
            Gaussian::fit(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!((of(&few, 0).factor.nrows(), of(&few, 30).factor.nrows()), (4, 9));
        near(of(&few, 30).distance(&of(&many, 30)), of(&few, 0).distance(&of(&many, 0)));
        // A symmetric eigendecomposition of sqrt(S1) S2 sqrt(S1) says the same.
        let (a, b) = (of(&few, 0), of(&many, 0));
        let (sa, sb) = (a.factor.transpose() * &a.factor, b.factor.transpose() * &b.factor);
        let eigen = sa.clone().symmetric_eigen();
        let half = &eigen.eigenvectors
            * DMatrix::from_diagonal(&eigen.eigenvalues.map(f64::sqrt))
            * eigen.eigenvectors.transpose();
        let root: f64 = (&half * &sb * &half).symmetric_eigenvalues().iter().map(|v| v.max(0.0).sqrt()).sum();
        let expected = (&a.mean - &b.mean).norm_squared() + sa.trace() + sb.trace() - 2.0 * root;
        near(a.distance(&b), expected);
        assert!(of(&few, 30).distance(&of(&few, 30)) < 1e-12);
    }

    #[test]
    fn one_picture_has_no_spread() {
        assert!(Gaussian::fit(&[]).is_none() && Gaussian::fit(&[&[1.0, 2.0]]).is_none());
        assert!(Gaussian::fit(&[&[1.0, 2.0], &[1.0]]).is_none());
        assert!(Gaussian::fit(&[&[1.0, 2.0], &[1.0, 2.0]]).is_some());
    }
}
