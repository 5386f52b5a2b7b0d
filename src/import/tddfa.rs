//! 3DDFA-V2: FaceBoxes, the MobileNetV1 regressors, and the BFM morphable model without neck.
//!
//! Files as upstream names them: <https://github.com/cleardusk/3DDFA_V2>.

use crate::import::{Part, UnwrittenPack, needed, shape, tensors};
use crate::models::{Architecture, Role};
use crate::morphable::arrays;
use crate::weights::{Array, Data, Weights, numpy};
use crate::{Error, Result};
use serde_json::json;
use std::path::Path;

/// Coefficients in use, of the 199 and 29 that the model has.
const SHAPE_DIM: usize = 40;
const EXPR_DIM: usize = 10;
/// Camera, shape, expression.
const PARAMS: usize = 12 + SHAPE_DIM + EXPR_DIM;

/// Reads the folder: `FaceBoxesProd.pth`, one or both of `mb1_120x120.pth` and `mb05_120x120.pth`,
/// `param_mean_std_62d_120x120.pkl`, `bfm_noneck_v3.pkl`, `tri.pkl`, `ncc_code.npy`.
pub fn read(from: &Path) -> Result<UnwrittenPack> {
    let detector = needed(from, "FaceBoxesProd.pth")?;
    let mut parts =
        vec![Part::new(Role::Detector, Architecture::FaceBoxes, "faceboxes", json!({}), tensors(&detector)?)];
    // The wider network is the better one, so it comes first where both are there.
    for file in ["mb1_120x120.pth", "mb05_120x120.pth"] {
        let path = from.join(file);
        if path.is_file() {
            parts.push(regressor(&path, file)?);
        }
    }
    if parts.len() == 1 {
        let text = "neither 'mb1_120x120.pth' nor 'mb05_120x120.pth' is there; download one from the same place";
        return Err(Error::model(format!("{}: {text}", from.display())));
    }
    parts.push(bfm(from)?);
    Ok(UnwrittenPack {
        licence: "networks: MIT; the morphable model is derived from the Basel Face Model: academic use only".into(),
        source: "https://github.com/cleardusk/3DDFA_V2",
        purpose: "finds faces (FaceBoxes) and fits the 3D morphable model to them (3DDFA-V2)",
        parts,
    })
}

/// MobileNetV1 at a width of 0.5 or 1.
fn regressor(path: &Path, file: &str) -> Result<Part> {
    let mut weights = tensors(path)?;
    // Upstream's training kept two heads: the parameters, which are used, and sparse landmarks, which are not.
    weights.arrays = std::mem::take(&mut weights.arrays)
        .into_iter()
        .filter(|(name, _)| !name.starts_with("fc_lm."))
        .map(|(name, a)| match name.strip_prefix("fc_param.") {
            Some(rest) => (format!("fc.{rest}"), a),
            None => (name, a),
        })
        .collect();
    // The first layer has 32 channels at a width of 1.
    let first = shape(&weights, "conv1.weight", 4, path)?[0];
    let width = first as f64 / 32.0;
    let config = json!({"width": width, "outputs": shape(&weights, "fc.weight", 2, path)?[0]});
    let name = file.trim_end_matches(".pth");
    Ok(Part::new(Role::Regressor, Architecture::MobileNetV1, name, config, weights))
}

/// The morphable model and the statistics of the regressor's outputs.
fn bfm(from: &Path) -> Result<Part> {
    let path = needed(from, "bfm_noneck_v3.pkl")?;
    let bad = |path: &Path, text: String| Error::model(format!("{}: {text}", path.display()));
    let mut arrays = numpy::load_pickle(&path)?;
    let mut take = |name: &str| {
        arrays.remove(name).ok_or_else(|| bad(&path, format!("array '{name}' is missing; this is another model")))
    };
    let (mean, shape_basis, expr_basis, keypoints) = (take("u")?, take("w_shp")?, take("w_exp")?, take("keypoints")?);
    let rows = mean.len();
    if mean.shape.iter().any(|d| *d != 1 && *d != rows) || rows == 0 || !rows.is_multiple_of(3) {
        return Err(bad(&path, format!("'u' has shape {:?} where [3 n, 1] is needed", mean.shape)));
    }
    let mut weights = Weights::default();
    weights.insert(
        "shape_basis",
        first_columns(&shape_basis, rows, SHAPE_DIM).map_err(|t| bad(&path, format!("'w_shp' {t}")))?,
    );
    weights.insert(
        "expr_basis",
        first_columns(&expr_basis, rows, EXPR_DIM).map_err(|t| bad(&path, format!("'w_exp' {t}")))?,
    );
    weights.insert("landmarks", landmarks(&keypoints).map_err(|t| bad(&path, t))?);
    weights.insert("mean", Array { shape: vec![rows], data: mean.data });

    let path = needed(from, "tri.pkl")?;
    let triangles = numpy::load_pickle(&path)?.remove("").ok_or_else(|| bad(&path, "holds no array".into()))?;
    weights.insert("triangles", by_vertex(triangles).map_err(|t| bad(&path, t))?);

    let path = needed(from, "ncc_code.npy")?;
    let ncc = by_vertex(numpy::load_npy(&path)?).map_err(|t| bad(&path, t))?;
    if ncc.shape[0] * 3 != rows {
        return Err(bad(&path, format!("has {} vertices where the model has {}", ncc.shape[0], rows / 3)));
    }
    weights.insert("ncc", ncc);

    let path = needed(from, "param_mean_std_62d_120x120.pkl")?;
    let mut statistics = numpy::load_pickle(&path)?;
    for (name, target) in [("mean", "param_mean"), ("std", "param_std")] {
        let array = statistics.remove(name).ok_or_else(|| bad(&path, format!("array '{name}' is missing")))?;
        if array.len() != PARAMS {
            return Err(bad(&path, format!("'{name}' has shape {:?} where [{PARAMS}] is needed", array.shape)));
        }
        weights.insert(target, Array { shape: vec![PARAMS], data: array.data });
    }
    // Everything is there; whether values and indices are sound is checked once, in one place.
    let model = arrays::morphable_from(&weights)
        .map_err(|e| bad(from, format!("{e}; one of the files is damaged: download them again")))?;
    let config = json!({
        "vertices": rows / 3,
        "triangles": model.triangles.len(),
        "shape_dim": SHAPE_DIM,
        "expr_dim": EXPR_DIM,
    });
    Ok(Part::new(Role::Morphable, Architecture::LinearMorphable, "bfm_noneck_v3", config, weights))
}

/// The first `k` columns of a basis of `rows` rows.
fn first_columns(basis: &Array, rows: usize, k: usize) -> std::result::Result<Array, String> {
    let (values, columns) = match (basis.as_f32(), basis.shape.as_slice()) {
        (Some(values), [r, columns]) if *r == rows && *columns >= k => (values, *columns),
        _ => return Err(format!("has shape {:?} where [{rows}, {k} or more] is needed", basis.shape)),
    };
    let values = values.chunks_exact(columns).flat_map(|row| &row[..k]).copied().collect();
    Ok(Array::f32([rows, k], values))
}

/// Vertices of landmarks that are given as indices of coordinates in the interleaved mean shape.
fn landmarks(keypoints: &Array) -> std::result::Result<Array, String> {
    let flat = keypoints.as_i32().ok_or("'keypoints' holds floats")?;
    let (points, rest) = flat.as_chunks::<3>();
    let sound = |p: &[i32; 3]| p[0] >= 0 && p[0] % 3 == 0 && p[1] == p[0] + 1 && p[2] == p[0] + 2;
    if !rest.is_empty() || points.len() != 68 || !points.iter().all(sound) {
        return Err("'keypoints' are not 68 triples of coordinates".into());
    }
    Ok(Array { shape: vec![68], data: Data::I32(points.iter().map(|p| p[0] / 3).collect()) })
}

/// `[3, n]` turned into `[n, 3]`, which is also accepted as it is.
fn by_vertex(array: Array) -> std::result::Result<Array, String> {
    fn turn<T: Copy>(v: &[T], n: usize) -> Vec<T> {
        (0..n).flat_map(|i| [v[i], v[n + i], v[2 * n + i]]).collect()
    }
    match array.shape.as_slice() {
        &[3, n] => {
            let data = match &array.data {
                Data::F32(v) => Data::F32(turn(v, n)),
                Data::I32(v) => Data::I32(turn(v, n)),
            };
            Ok(Array { shape: vec![n, 3], data })
        }
        &[_, 3] => Ok(array),
        other => Err(format!("the array has shape {other:?} where [3, n] is needed")),
    }
}
