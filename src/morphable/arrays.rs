//! The arrays of a `linear-morphable` component, and the [`Morphable`] they make.
//!
//! | array | shape | |
//! |---|---|---|
//! | `mean` | `[3n]` | mean shape, x y z interleaved |
//! | `shape_basis`, `expr_basis` | `[3n, k]`, `[3n, e]` | identity and expression |
//! | `triangles` | `[t, 3]` | vertex indices |
//! | `landmarks` | `[68]` | vertex indices, iBUG order |
//! | `ncc` | `[n, 3]` | normalised coordinate code, 0..1 |
//! | `param_mean`, `param_std` | `[12 + k + e]` | of the regressor's outputs; both absent if no regressor belongs to the model |
//! | `arkit` | `[52]` | columns of `expr_basis`, in the order of [`ArkitShape::ALL`]; absent if the model has no such shapes |
//! | `eyeballs` | `[1]` | how many of the last triangles are eyeballs; absent if none |
//! | `residual_modes` | `[1]` | how many of the last columns of `shape_basis` are residual modes; absent if none |

use crate::morphable::{ArkitShape, Morphable};
use crate::weights::{Array, Data, Weights};
use crate::{Error, Result};

/// Landmarks of the iBUG scheme.
const LANDMARKS: usize = 68;

fn bad(text: String) -> Error {
    Error::model(format!("morphable model: {text}"))
}

/// Makes a [`Morphable`] of its arrays, after checking every shape and index.
///
/// `param_mean` and `param_std` are empty if the model comes without a regressor.
///
/// # Errors
/// [`Error::Model`], naming the array and what is wrong with it.
pub fn morphable_from(weights: &Weights) -> Result<Morphable> {
    let mean = floats(weights, "mean", &[None])?;
    let rows = mean.shape[0];
    if rows == 0 || !rows.is_multiple_of(3) {
        return Err(bad(format!("'mean' has {rows} values, which is not three per vertex")));
    }
    let n = rows / 3;
    let shape_basis = floats(weights, "shape_basis", &[Some(rows), None])?;
    let expr_basis = floats(weights, "expr_basis", &[Some(rows), None])?;
    let (shape_dim, expr_dim) = (shape_basis.shape[1], expr_basis.shape[1]);
    let ncc = floats(weights, "ncc", &[Some(n), Some(3)])?;
    let ncc = ncc.values.as_chunks::<3>().0;
    if ncc.iter().flatten().any(|v| !(0.0..=1.0).contains(v)) {
        return Err(bad("'ncc' has values outside of 0..1".into()));
    }
    let triangles = indices(weights, "triangles", &[None, Some(3)], n)?;
    if triangles.is_empty() {
        return Err(bad("there are no triangles".into()));
    }
    let landmarks = indices(weights, "landmarks", &[Some(LANDMARKS)], n)?;
    let (param_mean, param_std) = match (weights.get("param_mean"), weights.get("param_std")) {
        (None, None) => (Vec::new(), Vec::new()),
        _ => {
            let len = [Some(12 + shape_dim + expr_dim)];
            let values = |name| floats(weights, name, &len).map(|a| a.values.to_vec());
            (values("param_mean")?, values("param_std")?)
        }
    };
    let arkit = match weights.get("arkit") {
        None => Vec::new(),
        Some(_) => {
            let columns = integers(weights, "arkit", &[Some(ArkitShape::COUNT)])?;
            let column = |c: &i32| u32::try_from(*c).ok().filter(|c| (*c as usize) < expr_dim);
            let outside = |c: &i32| bad(format!("'arkit' refers to expression {c}; the model has {expr_dim}"));
            columns.iter().map(|c| column(c).ok_or_else(|| outside(c))).collect::<Result<_>>()?
        }
    };
    let eyeballs = match weights.get("eyeballs") {
        None => 0,
        Some(_) => {
            let count = integers(weights, "eyeballs", &[Some(1)])?[0];
            let total = triangles.len() / 3;
            let fits = usize::try_from(count).ok().filter(|c| (1..total).contains(c));
            fits.ok_or_else(|| bad(format!("'eyeballs' counts {count} triangles; the model has {total}")))?
        }
    };
    let residual_modes = match weights.get("residual_modes") {
        None => 0,
        Some(_) => {
            let count = integers(weights, "residual_modes", &[Some(1)])?[0];
            let fits = usize::try_from(count).ok().filter(|c| (1..=shape_dim).contains(c));
            fits.ok_or_else(|| bad(format!("'residual_modes' counts {count} columns; the model has {shape_dim}")))?
        }
    };
    let model = Morphable {
        mean: mean.values.to_vec(),
        shape_basis: shape_basis.values.to_vec(),
        expr_basis: expr_basis.values.to_vec(),
        shape_dim,
        expr_dim,
        triangles: triangles.as_chunks::<3>().0.to_vec(),
        landmarks,
        ncc: ncc.to_vec(),
        param_mean,
        param_std,
        arkit,
        eyeballs,
        residual_modes,
    };
    // What the arrays cannot tell one by one: whose vertices the eyeballs' are.
    if eyeballs > 0 {
        let first = model.skin_vertex_count() as u32;
        if model.skin_triangles().as_flattened().iter().chain(&model.landmarks).any(|&v| v >= first) {
            return Err(bad(format!("'eyeballs' shares vertices from {first} on with the skin")));
        }
    }
    Ok(model)
}

/// The arrays of a [`Morphable`], the inverse of [`morphable_from`].
pub fn morphable_weights(model: &Morphable) -> Weights {
    let mut weights = Weights::default();
    let rows = model.mean.len();
    let ints = |shape: Vec<usize>, v: Vec<i32>| Array { shape, data: Data::I32(v) };
    weights.insert("mean", Array::f32([rows], model.mean.clone()));
    weights.insert("shape_basis", Array::f32([rows, model.shape_dim], model.shape_basis.clone()));
    weights.insert("expr_basis", Array::f32([rows, model.expr_dim], model.expr_basis.clone()));
    weights.insert("ncc", Array::f32([model.ncc.len(), 3], model.ncc.concat()));
    // Vertex indices came from i32 or are below the number of vertices in memory.
    let triangles: Vec<i32> = model.triangles.iter().flatten().map(|i| *i as i32).collect();
    weights.insert("triangles", ints(vec![model.triangles.len(), 3], triangles));
    let landmarks: Vec<i32> = model.landmarks.iter().map(|i| *i as i32).collect();
    weights.insert("landmarks", ints(vec![landmarks.len()], landmarks));
    if !model.param_mean.is_empty() {
        weights.insert("param_mean", Array::f32([model.param_mean.len()], model.param_mean.clone()));
        weights.insert("param_std", Array::f32([model.param_std.len()], model.param_std.clone()));
    }
    if !model.arkit.is_empty() {
        let columns: Vec<i32> = model.arkit.iter().map(|i| *i as i32).collect();
        weights.insert("arkit", ints(vec![columns.len()], columns));
    }
    if model.eyeballs > 0 {
        weights.insert("eyeballs", ints(vec![1], vec![model.eyeballs as i32]));
    }
    if model.residual_modes > 0 {
        weights.insert("residual_modes", ints(vec![1], vec![model.residual_modes as i32]));
    }
    weights
}

/// The normalised coordinate code of a mean shape: every axis stretched to 0..1. `[n][3]`, flat.
pub(crate) fn normalised(mean: &[f32]) -> Vec<f32> {
    let vertices = mean.as_chunks::<3>().0;
    let mut low = [f32::INFINITY; 3];
    let mut high = [f32::NEG_INFINITY; 3];
    for v in vertices {
        for axis in 0..3 {
            low[axis] = low[axis].min(v[axis]);
            high[axis] = high[axis].max(v[axis]);
        }
    }
    let code = |v: &[f32; 3], axis: usize| {
        let span = high[axis] - low[axis];
        if span > 0.0 { ((v[axis] - low[axis]) / span).clamp(0.0, 1.0) } else { 0.0 }
    };
    vertices.iter().flat_map(|v| [code(v, 0), code(v, 1), code(v, 2)]).collect()
}

struct Floats<'a> {
    shape: &'a [usize],
    values: &'a [f32],
}

fn get<'a>(weights: &'a Weights, name: &str, shape: &[Option<usize>]) -> Result<&'a Array> {
    let array = weights.get(name).ok_or_else(|| bad(format!("array '{name}' is missing")))?;
    let values = match &array.data {
        Data::F32(v) => v.len(),
        Data::I32(v) => v.len(),
    };
    let fits = array.shape.len() == shape.len()
        && array.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)) == Some(values)
        && array.shape.iter().zip(shape).all(|(have, want)| want.is_none_or(|want| *have == want));
    if !fits {
        let want: Vec<String> = shape.iter().map(|d| d.map_or("any".into(), |d| d.to_string())).collect();
        return Err(bad(format!("array '{name}' has shape {:?} where [{}] is needed", array.shape, want.join(", "))));
    }
    Ok(array)
}

fn floats<'a>(weights: &'a Weights, name: &str, shape: &[Option<usize>]) -> Result<Floats<'a>> {
    let array = get(weights, name, shape)?;
    let values = array.as_f32().ok_or_else(|| bad(format!("array '{name}' holds integers where floats are needed")))?;
    if values.iter().any(|v| !v.is_finite()) {
        return Err(bad(format!("array '{name}' has values that are not finite")));
    }
    Ok(Floats { shape: &array.shape, values })
}

fn integers<'a>(weights: &'a Weights, name: &str, shape: &[Option<usize>]) -> Result<&'a [i32]> {
    let array = get(weights, name, shape)?;
    array.as_i32().ok_or_else(|| bad(format!("array '{name}' holds floats where integers are needed")))
}

fn indices(weights: &Weights, name: &str, shape: &[Option<usize>], n: usize) -> Result<Vec<u32>> {
    let values = integers(weights, name, shape)?;
    let index = |v: &i32| u32::try_from(*v).ok().filter(|v| (*v as usize) < n);
    let outside = |v: &i32| bad(format!("'{name}' refers to vertex {v}; the model has {n}"));
    values.iter().map(|v| index(v).ok_or_else(|| outside(v))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A model of 68 vertices on a helix.
    pub fn sample() -> Morphable {
        let n = 68;
        let mean: Vec<f32> = (0..n).flat_map(|i| [(i as f32).cos(), (i as f32).sin(), i as f32]).collect();
        let basis = |k: usize| (0..3 * n * k).map(|i| (i % 7) as f32 * 0.1).collect();
        Morphable {
            ncc: normalised(&mean).as_chunks::<3>().0.to_vec(),
            mean,
            shape_basis: basis(4),
            expr_basis: basis(2),
            shape_dim: 4,
            expr_dim: 2,
            triangles: (0..n as u32 - 2).map(|i| [i, i + 1, i + 2]).collect(),
            landmarks: (0..68).collect(),
            param_mean: vec![0.5; 18],
            param_std: vec![1.0; 18],
            arkit: Vec::new(),
            eyeballs: 0,
            residual_modes: 0,
        }
    }

    #[test]
    fn there_and_back() {
        let weights = morphable_weights(&sample());
        let back = morphable_from(&weights).unwrap();
        assert_eq!(morphable_weights(&back), weights);
        assert_eq!(back.ncc[67][2], 1.0);
        let mut bare = sample();
        bare.param_mean.clear();
        bare.param_std.clear();
        assert!(morphable_from(&morphable_weights(&bare)).unwrap().param_std.is_empty());
    }

    #[test]
    fn every_array_is_checked() {
        let good = morphable_weights(&sample());
        let fails = |name: &str, change: fn(&mut Array)| {
            let mut weights = good.clone();
            change(weights.arrays.get_mut(name).unwrap());
            match morphable_from(&weights) {
                Err(Error::Model(text)) => assert!(text.contains(name), "{text}"),
                other => panic!("{name}: {}", other.is_ok()),
            }
        };
        for name in ["mean", "shape_basis", "expr_basis", "ncc", "triangles", "landmarks", "param_mean"] {
            fails(name, |a| a.shape.push(1));
            fails(name, |a| a.shape[0] += 1);
        }
        for name in ["mean", "shape_basis", "expr_basis", "ncc", "param_std"] {
            fails(name, |a| a.data = Data::F32(vec![f32::NAN; a.len()]));
            fails(name, |a| a.data = Data::I32(vec![0; a.len()]));
        }
        for name in ["triangles", "landmarks"] {
            fails(name, |a| a.data = Data::I32(vec![68; a.len()]));
            fails(name, |a| a.data = Data::I32(vec![-1; a.len()]));
        }
        for name in good.arrays.keys() {
            let mut weights = good.clone();
            weights.arrays.remove(name);
            assert!(morphable_from(&weights).is_err(), "{name}");
        }
    }
}
