//! A run's generator as a file of its own: averaged weights, spectral norms folded, half precision, the configuration
//! inside. Or as a model pack, which the plugin takes too.

use crate::checkpoint::Checkpoint;
use crate::config::TrainConfig;
use crate::data::store::write_text;
use half::f16;
use headgan::media::atomic;
use headgan::models::pack::{self, Component, Manifest, Role};
use headgan::models::{Array, Weights, file};
use headgan::nets::generator::{ARCHITECTURE, Config};
use headgan::reenact::networks::check_generator;
use headgan::{Error, Result};
use safetensors::tensor::{Dtype, TensorView};
use std::io::Write;
use std::path::Path;
use tch::Kind;

/// The file of a pack's generator.
const FILE: &str = "generator.safetensors";

/// Writes a pack of the name of `folder`, which is made where it is not there; `licence` as its manifest states it. Returns
/// the size of the weights in bytes.
///
/// # Errors
/// [`Error::Usage`] where the folder's name is no pack's; those of [`export`].
pub fn export_pack(checkpoint: &Checkpoint, folder: &Path, licence: &str) -> Result<u64> {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !pack::is_name(&name) {
        return Err(Error::Usage(format!(
            "'{name}' cannot be the name of a pack: lower-case letters, digits, '.', '_' and '-', at most 64 of them"
        )));
    }
    let cannot = |path: &Path, e: std::io::Error| Error::Input(format!("{}: cannot be written ({e})", path.display()));
    std::fs::create_dir_all(folder).map_err(|e| cannot(folder, e))?;
    let path = folder.join(FILE);
    let size = export(checkpoint, &path)?;
    let weights = file::load_safetensors(&path)?;
    let config = serde_json::to_value(Config::infer(&weights)?);
    let config = config.ok().and_then(|v| v.as_object().cloned()).unwrap_or_default();
    let manifest = Manifest {
        format: pack::FORMAT,
        name,
        version: "1".into(),
        licence: licence.into(),
        source: "trained with headgan-train".into(),
        purpose: "paints the reference face with the driver's pose and expression (HeadGAN)".into(),
        components: vec![Component {
            role: Role::Generator,
            architecture: ARCHITECTURE.into(),
            config,
            file: FILE.into(),
            blake3: file::blake3(&path)?,
        }],
    };
    let text = serde_json::to_string_pretty(&manifest).map_err(|e| Error::Engine(format!("the manifest: {e}")))?;
    write_text(&folder.join(pack::MANIFEST), &(text + "\n"))?;
    Ok(size)
}

/// Writes the averaged generator of a checkpoint and returns the file's size in bytes.
///
/// # Errors
/// [`Error::Input`] for a checkpoint that is none, or a file that cannot be written; [`Error::Model`] where the weights
/// would not run.
pub fn export(checkpoint: &Checkpoint, path: &Path) -> Result<u64> {
    let text = checkpoint.notes.get("config").map(String::as_str).unwrap_or_default();
    let config: TrainConfig = serde_json::from_str(text)
        .map_err(|e| Error::Input(format!("the checkpoint's configuration cannot be read ({e})")))?;
    let mut weights = Weights { metadata: config.generator.metadata(), ..Weights::default() };
    weights.metadata.insert("steps".into(), checkpoint.number("step")?.to_string());
    for (name, tensor) in checkpoint.part("average") {
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        let values = Vec::<f32>::try_from(tensor.to_kind(Kind::Float).contiguous().reshape([-1]));
        let values = values.map_err(|e| Error::Engine(format!("'{name}' cannot be read ({e})")))?;
        let halved = values.into_iter().map(|v| f16::from_f32(v).to_f32()).collect();
        weights.insert(name, Array::f32(shape, halved));
    }
    // As a program that loads it will: every layer there, every value finite in half precision.
    check_generator(&weights)?;
    let mut bytes: Vec<(&String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, array) in &weights.arrays {
        let values = array.as_f32().unwrap_or_default();
        bytes.push((name, array.shape.clone(), values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()));
    }
    let views = bytes.iter().map(|(name, shape, data)| Ok((*name, TensorView::new(Dtype::F16, shape.clone(), data)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let metadata = weights.metadata.clone().into_iter().collect();
    let file = views.and_then(|views| safetensors::serialize(views, Some(metadata)));
    let file = file.map_err(|e| Error::Engine(format!("the generator cannot be laid out ({e})")))?;
    atomic::write(path, |out| out.write_all(&file).map_err(|e| atomic::write_error(path, &e)))?;
    Ok(file.len() as u64)
}
