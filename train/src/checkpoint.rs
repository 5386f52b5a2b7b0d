//! Checkpoints: everything that a run needs to go on as if it had not stopped, in one safetensors file.
//!
//! A file is written beside its final name and renamed; the last [`KEPT`] stay. So whenever a run is killed, or the
//! disk is full, the checkpoint before is whole.

use headgan::media::atomic;
use headgan::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// Checkpoints that are kept.
pub const KEPT: usize = 2;
/// What the file's names begin with.
const PREFIX: &str = "step_";

/// Tensors (float32, or float64 in tests) and text by name.
#[derive(Debug, Default)]
pub struct Checkpoint {
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: HashMap<String, String>,
}

impl Checkpoint {
    /// Adds tensors under `prefix.name`.
    pub fn put<'a>(&mut self, prefix: &str, tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>) {
        self.tensors.extend(tensors.into_iter().map(|(name, t)| (format!("{prefix}.{name}"), t.detach())));
    }

    /// The tensors that were put under `prefix`.
    pub fn part(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let of = |(name, t): (&String, &Tensor)| {
            let name = name.strip_prefix(prefix)?.strip_prefix('.')?;
            Some((name.to_owned(), t.shallow_clone()))
        };
        self.tensors.iter().filter_map(of).collect()
    }

    /// A metadata value as a number.
    ///
    /// # Errors
    /// [`Error::Input`] where it is missing or no number.
    pub fn number(&self, name: &str) -> Result<u64> {
        let text = self.metadata.get(name).and_then(|t| t.parse().ok());
        text.ok_or_else(|| Error::input(format!("the checkpoint has no number '{name}': it is another program's")))
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`Error::Input`] where that fails, a full disk for instance; what lay at `path` is untouched then.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut bytes: Vec<(&String, Dtype, Vec<usize>, Vec<u8>)> = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            let shape = tensor.size().iter().map(|&n| n as usize).collect();
            let (dtype, data) = values(tensor).ok_or_else(|| {
                Error::engine(format!("checkpoint: '{name}' is of {:?}, which is not stored", tensor.kind()))
            })?;
            bytes.push((name, dtype, shape, data));
        }
        let views = bytes
            .iter()
            .map(|(name, dtype, shape, data)| Ok((*name, TensorView::new(*dtype, shape.clone(), data)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        let file = views.and_then(|views| safetensors::serialize(views, Some(self.metadata.clone())));
        let file = file.map_err(|e| Error::engine(format!("checkpoint: cannot be laid out ({e})")).with_source(e))?;
        atomic::write(path, |out| {
            out.write_all(&file).map_err(|e| atomic::write_error(path, e))?;
            out.flush().map_err(|e| atomic::write_error(path, e))?;
            // What is renamed must be on the disk, not only in memory.
            out.get_ref().sync_all().map_err(|e| atomic::write_error(path, e))
        })
    }

    /// Reads what [`Checkpoint::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read or is damaged.
    pub fn load(path: &Path, device: Device) -> Result<Checkpoint> {
        let bad = |e: &dyn std::fmt::Display| Error::input(format!("{}: is no whole checkpoint ({e})", path.display()));
        let bytes = headgan::weights::safetensors::read_bytes(path)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(&e))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(&e))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let kind = match view.dtype() {
                Dtype::F32 => Kind::Float,
                Dtype::F64 => Kind::Double,
                other => return Err(bad(&format!("'{name}' is of {other:?}"))),
            };
            let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
            let tensor = Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|e| bad(&e))?;
            tensors.insert(name, tensor.to_device(device));
        }
        Ok(Checkpoint { tensors, metadata })
    }
}

/// A tensor's type and little-endian values.
fn values(tensor: &Tensor) -> Option<(Dtype, Vec<u8>)> {
    let flat = tensor.detach().to_device(Device::Cpu).contiguous().reshape([-1]);
    match tensor.kind() {
        Kind::Float => {
            let values = Vec::<f32>::try_from(&flat).ok()?;
            Some((Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        }
        Kind::Double => {
            let values = Vec::<f64>::try_from(&flat).ok()?;
            Some((Dtype::F64, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        }
        _ => None,
    }
}

/// The checkpoints of a folder, newest first.
pub fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut found: Vec<(u64, PathBuf)> = entries
        .filter_map(|path| {
            let step = path.file_name()?.to_str()?.strip_prefix(PREFIX)?.strip_suffix(".safetensors")?;
            Some((step.parse().ok()?, path))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// The name of a step's checkpoint.
pub fn path_of(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{step:08}.safetensors"))
}

/// Writes a step's checkpoint and removes all but the last [`KEPT`].
///
/// # Errors
/// Those of [`Checkpoint::save`]; older checkpoints are all there then.
pub fn write(folder: &Path, step: u64, checkpoint: &Checkpoint) -> Result<PathBuf> {
    let path = path_of(folder, step);
    checkpoint.save(&path)?;
    for old in list(folder).into_iter().skip(KEPT) {
        // One that cannot be removed is in nobody's way.
        let _ = std::fs::remove_file(old);
    }
    Ok(path)
}

/// The newest checkpoint that is whole, with a line about each that is not; `None` in a folder without one.
///
/// # Errors
/// That of the oldest where none is whole.
pub fn newest(folder: &Path, device: Device) -> Result<Option<Checkpoint>> {
    let mut failed = None;
    for path in list(folder) {
        match Checkpoint::load(&path, device) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(error) => {
                eprintln!("headgan-train: {error}; the one before is tried");
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(None), Err)
}
