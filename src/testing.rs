//! Helpers of the tests, of this library and of the engines that are crates of their own.

pub use crate::random::Rng;
use crate::weights::{Array, Weights};
use std::path::{Path, PathBuf};

/// The folder with data beside the project, or `None` (with one line on stderr) where it is absent.
pub fn shared() -> Option<PathBuf> {
    let path = match std::env::var_os("HEADGAN_SHARED") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
    };
    if !path.join("fixtures").is_dir() {
        eprintln!("skipped: ../shared is not here (set HEADGAN_SHARED to use it from elsewhere)");
        return None;
    }
    Some(path)
}

/// The float arrays of a safetensors file.
pub fn load_f32(path: &Path) -> Weights {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut out = Weights::default();
    for (name, view) in file.tensors() {
        assert_eq!(view.dtype(), safetensors::Dtype::F32, "{name}");
        let data = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        out.insert(name, Array::f32(view.shape(), data));
    }
    out
}

/// Random weights for the given layers (see [`layers`](crate::engine::shape::layers)), scaled so that values keep their size
/// from layer to layer.
pub fn random_weights(layers: &[(String, Vec<usize>)], seed: u64) -> Weights {
    let mut rng = Rng(seed);
    let mut out = Weights::default();
    for (name, shape) in layers {
        let len = shape.iter().product::<usize>();
        let values = rng.vec(len).into_iter();
        let fan_in = (len / shape[0].max(1)) as f32;
        let data = match name.rsplit('.').next().unwrap_or_default() {
            "running_var" => values.map(|v| 1.0 + 0.5 * v).collect(),
            "weight" if shape.len() == 1 => values.map(|v| 1.0 + 0.5 * v).collect(),
            name if name.starts_with("weight") => values.map(|v| v * (3.0 / fan_in).sqrt()).collect(),
            _ => values.map(|v| 0.2 * v).collect(),
        };
        out.insert(name.clone(), Array::f32(shape.clone(), data));
    }
    out
}
