//! LSFM, the large-scale facial model: a `.mat` file with the struct `fmod`.
//!
//! Booth et al., "A 3D Morphable Model learnt from 10,000 faces", CVPR 2016. Fields: `id_basis` `[3n, k]`,
//! `exp_basis` `[3n, e]`, `mean` `[3n]`; optionally `trilist` `[t, 3]` and `landmarks` (or `ldm_idx`), 68 vertices.

use crate::error::Advice;
use crate::import::{Options, Part, UnwrittenPack, files, packs_in};
use crate::models::{Architecture, Pack, Role};
use crate::morphable::arrays;
use crate::weights::{Array, Data, Weights, mat};
use crate::{Error, Result};
use mat::Mat;
use serde_json::json;
use std::path::Path;

/// Reads the only `.mat` file of a folder, or a single file.
pub fn read(from: &Path, dest_root: &Path, options: &Options) -> Result<UnwrittenPack> {
    let candidates = files(from, |name| name.to_ascii_lowercase().ends_with(".mat"))?;
    let path = match candidates.as_slice() {
        [only] => only,
        [] => return Err(Error::model(format!("{}: there is no .mat file in this folder", from.display()))),
        _ => {
            let text = "there are several .mat files in this folder; name the one to import";
            return Err(Error::model(format!("{}: {text}", from.display())).with_advice(Advice::NameFile));
        }
    };
    let bad = |text: String| Error::model(format!("{}: {text}", path.display()));
    let mut variables = mat::load(path)?;
    let mut fields = match variables.remove("fmod") {
        Some(Mat::Struct(fields)) => fields,
        Some(_) => return Err(bad("'fmod' is not a struct".into())),
        None => {
            let names: Vec<&str> = variables.keys().map(String::as_str).collect();
            return Err(bad(format!("the struct 'fmod' is missing (there are: {})", names.join(", "))));
        }
    };
    let mut floats = |name: &str| match fields.remove(name) {
        Some(Mat::Numbers(Array { shape, data: Data::F32(v) })) => Ok((shape, v)),
        Some(_) => Err(bad(format!("'fmod.{name}' is not a matrix of floats"))),
        None => Err(bad(format!("the field 'fmod.{name}' is missing"))),
    };
    let (_, mean) = floats("mean")?;
    let rows = mean.len();
    if rows == 0 || !rows.is_multiple_of(3) {
        return Err(bad(format!("'fmod.mean' has {rows} values, which is not three per vertex")));
    }
    let n = rows / 3;
    let mut weights = Weights::default();
    let mut dims = [0; 2];
    for (i, (field, target)) in [("id_basis", "shape_basis"), ("exp_basis", "expr_basis")].into_iter().enumerate() {
        let (shape, values) = floats(field)?;
        if shape.len() != 2 || shape[0] != rows || shape[1] == 0 {
            return Err(bad(format!("'fmod.{field}' has shape {shape:?} where [{rows}, k] is needed")));
        }
        dims[i] = shape[1];
        weights.insert(target, Array { shape, data: Data::F32(values) });
    }
    let topology = topology(&fields, n, dest_root, options).map_err(|e| match e {
        Topology::Bad(text) => bad(text),
        Topology::Pack(e) => e,
    })?;
    let triangles = topology.0.len() / 3;
    weights.insert("triangles", Array { shape: vec![triangles, 3], data: Data::I32(topology.0) });
    weights.insert("landmarks", Array { shape: vec![topology.1.len()], data: Data::I32(topology.1) });
    weights.insert("ncc", Array::f32([n, 3], arrays::normalised(&mean)));
    weights.insert("mean", Array::f32([rows], mean));
    let config = json!({"vertices": n, "triangles": triangles, "shape_dim": dims[0], "expr_dim": dims[1]});
    Ok(UnwrittenPack {
        licence: "as agreed with its authors (research only, unless they say otherwise)".into(),
        source: "https://github.com/menpo/lsfm",
        purpose: "3D morphable model for dense alignment",
        parts: vec![Part::new(Role::Morphable, Architecture::LinearMorphable, "lsfm", config, weights)],
    })
}

/// Triangles (flat) and landmarks.
type Lists = (Vec<i32>, Vec<i32>);

/// Why there is no topology.
enum Topology {
    /// A field of the file.
    Bad(String),
    /// The pack that should have helped.
    Pack(Error),
}

/// Triangles and landmarks from the file or from a pack with as many vertices.
fn topology(
    fields: &std::collections::BTreeMap<String, Mat>,
    n: usize,
    dest_root: &Path,
    options: &Options,
) -> std::result::Result<Lists, Topology> {
    let trilist = fields.get("trilist").map(|m| indices(m, "trilist", n)).transpose()?;
    let ldm = ["landmarks", "ldm_idx"].into_iter().find_map(|name| Some((name, fields.get(name)?)));
    let ldm = ldm.map(|(name, m)| indices(m, name, n)).transpose()?;
    if let Some(list) = &ldm
        && list.values.len() != 68
    {
        return Err(Topology::Bad(format!("there are {} landmarks in 'fmod' where 68 are needed", list.values.len())));
    }
    if let (Some(t), Some(l)) = (&trilist, &ldm) {
        // One file counts in one way; the triangles touch the first and the last vertex and so tell which.
        let base = t.base.or(l.base).unwrap_or(1);
        return Ok((t.zero_based(base, n)?, l.zero_based(base, n)?));
    }
    let donor = donor(n, dest_root, options)?;
    let (triangles, landmarks) = donor.unwrap_or_default();
    let pick = |own: Option<Indices>, other: Vec<i32>, what: &str| match own {
        Some(list) => list.zero_based(list.base.unwrap_or(1), n),
        None if other.is_empty() => Err(Topology::Bad(format!(
            "'fmod' has no {what} and no pack has a model of {n} vertices to take them from; add the field to the file, \
             or import 3ddfa-v2 first if this model has its vertices"
        ))),
        None => Ok(other),
    };
    Ok((pick(trilist, triangles, "triangles ('trilist')")?, pick(ldm, landmarks, "landmarks ('landmarks')")?))
}

/// Triangles and landmarks of the pack that was named, or of any morphable model of `n` vertices in the destination.
fn donor(n: usize, dest_root: &Path, options: &Options) -> std::result::Result<Option<Lists>, Topology> {
    let set = packs_in(dest_root);
    let packs: Vec<&Pack> = match options.topology {
        Some(pack) => vec![pack],
        None => set.packs().iter().collect(),
    };
    for pack in packs {
        let Some(component) = pack.component(Role::Morphable, Some(&Architecture::LinearMorphable)) else { continue };
        let weights = pack.load(component, crate::import::default_check).map_err(Topology::Pack)?;
        if weights.get("mean").is_some_and(|m| m.len() == 3 * n) {
            let values = |name: &str| weights.get(name).and_then(Array::as_i32).unwrap_or_default().to_vec();
            return Ok(Some((values("triangles"), values("landmarks"))));
        }
    }
    Ok(None)
}

/// Vertex indices of a file that counts from 0 (Python) or from 1 (MATLAB).
struct Indices {
    name: &'static str,
    values: Vec<i32>,
    /// How the file counts, if the values tell.
    base: Option<i32>,
}

impl Indices {
    /// The indices of a file that counts from `base`, counted from 0.
    fn zero_based(&self, base: i32, n: usize) -> std::result::Result<Vec<i32>, Topology> {
        let sound = |v: i32| usize::try_from(v).is_ok_and(|v| v < n);
        let shifted = self.values.iter().map(|v| v - base);
        shifted
            .map(|v| if sound(v) { Ok(v) } else { Err(v) })
            .collect::<std::result::Result<_, i32>>()
            .map_err(|v| Topology::Bad(format!("'fmod.{}' refers to vertex {v} of {n}", self.name)))
    }
}

fn indices(field: &Mat, name: &'static str, n: usize) -> std::result::Result<Indices, Topology> {
    let bad = |text: String| Topology::Bad(format!("'fmod.{name}' {text}"));
    let array = field.numbers().ok_or_else(|| bad("is not a matrix".into()))?;
    if name == "trilist" && (array.shape.len() != 2 || array.shape[1] != 3) {
        return Err(bad(format!("has shape {:?} where [t, 3] is needed", array.shape)));
    }
    let limit = n as f32;
    let whole = |v: &f32| if v.fract() == 0.0 && (0.0..=limit).contains(v) { Some(*v as i32) } else { None };
    let values: Option<Vec<i32>> = match &array.data {
        Data::I32(v) => v.iter().map(|v| (0..=n as i64).contains(&i64::from(*v)).then_some(*v)).collect(),
        // MATLAB keeps indices as doubles; f32 is exact up to 16 million.
        Data::F32(v) => v.iter().map(whole).collect(),
    };
    let values = values.ok_or_else(|| bad(format!("holds values that are not vertices of {n}")))?;
    let has = |wanted: i64| values.iter().any(|v| i64::from(*v) == wanted);
    let base = match (has(0), has(n as i64)) {
        (true, true) => return Err(bad("counts both from 0 and from 1".into())),
        (true, false) => Some(0),
        (false, true) => Some(1),
        (false, false) => None,
    };
    Ok(Indices { name, values, base })
}
