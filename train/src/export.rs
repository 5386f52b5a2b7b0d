//! A run's generator as a file of its own: averaged weights, spectral norms folded, half precision, the configuration
//! inside. Or as a model pack, which the plugin takes too.

use crate::checkpoint::Checkpoint;
use crate::config::TrainConfig;
use crate::data::store::write_text;
use crate::spectral_weights::weights_of;
use ::safetensors::tensor::{Dtype, TensorView};
use half::f16;
use headgan::import::check_generator;
use headgan::media::atomic;
use headgan::models::{self, Architecture, Component, Manifest, Role};
use headgan::nets::generator::{ARCHITECTURE, Config};
use headgan::weights::{Data, Weights, safetensors};
use headgan::{Error, Result};
use std::io::Write;
use std::path::Path;

/// The file of a pack's generator.
const FILE: &str = "generator.safetensors";

/// A component that a pack is made of.
pub struct PackComponent<'a> {
    pub role: Role,
    pub architecture: Architecture,
    pub config: serde_json::Map<String, serde_json::Value>,
    /// The name of the weights' file.
    pub file: &'a str,
    pub weights: &'a Weights,
    /// Written in half precision; else as it is.
    pub half: bool,
}

/// Writes a pack of the name of `folder`, which is made where it is not there; `licence` as its manifest states it. Returns
/// the size of the weights in bytes.
///
/// # Errors
/// [`Error::Usage`] where the folder's name is no pack's; those of [`export`].
pub fn export_pack(checkpoint: &Checkpoint, folder: &Path, licence: &str) -> Result<u64> {
    let weights = generator(checkpoint)?;
    let config = serde_json::to_value(Config::infer(&weights)?);
    let component = PackComponent {
        role: Role::Generator,
        architecture: ARCHITECTURE,
        config: config.ok().and_then(|v| v.as_object().cloned()).unwrap_or_default(),
        file: FILE,
        weights: &weights,
        half: true,
    };
    write_pack(
        folder,
        &[component],
        "paints the reference face with the driver's pose and expression (HeadGAN)",
        licence,
    )
}

/// The name of the pack that a folder is to hold: the folder's.
///
/// # Errors
/// [`Error::Usage`] where it is no pack's.
pub fn pack_name(folder: &Path) -> Result<String> {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if models::is_name(&name) {
        return Ok(name);
    }
    Err(Error::usage(format!(
        "'{name}' cannot be the name of a pack: lower-case letters, digits, '.', '_' and '-', at most 64 of them"
    )))
}

/// Writes a pack of components, and returns the size of the weights in bytes.
///
/// # Errors
/// [`Error::Usage`] where the folder's name is no pack's; [`Error::Input`] for a file that cannot be written.
pub fn write_pack(folder: &Path, parts: &[PackComponent], purpose: &str, licence: &str) -> Result<u64> {
    let name = pack_name(folder)?;
    let cannot = |path: &Path, e: std::io::Error| {
        Error::input(format!("{}: cannot be written ({e})", path.display())).with_source(e)
    };
    std::fs::create_dir_all(folder).map_err(|e| cannot(folder, e))?;
    let (mut size, mut components) = (0, Vec::new());
    for part in parts {
        let path = folder.join(part.file);
        if part.half {
            write_half(part.weights, &path)?;
        } else {
            safetensors::save(&path, part.weights)?;
        }
        size += std::fs::metadata(&path).map_err(|e| cannot(&path, e))?.len();
        components.push(Component {
            role: part.role,
            architecture: part.architecture.clone(),
            config: part.config.clone(),
            file: part.file.into(),
            blake3: safetensors::blake3(&path)?,
        });
    }
    let manifest = Manifest {
        format: models::FORMAT,
        name,
        version: "1".into(),
        licence: licence.into(),
        source: "trained with headgan-train".into(),
        purpose: purpose.into(),
        components,
    };
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|e| Error::engine(format!("the manifest: {e}")).with_source(e))?;
    write_text(&folder.join(models::MANIFEST), &(text + "\n"))?;
    Ok(size)
}

/// Writes the averaged generator of a checkpoint and returns the file's size in bytes.
///
/// # Errors
/// [`Error::Input`] for a checkpoint that is none, or a file that cannot be written; [`Error::Model`] where the weights
/// would not run.
pub fn export(checkpoint: &Checkpoint, path: &Path) -> Result<u64> {
    write_half(&generator(checkpoint)?, path)
}

/// The averaged generator of a checkpoint, in half precision.
fn generator(checkpoint: &Checkpoint) -> Result<Weights> {
    let text = checkpoint.metadata.get("config").map(String::as_str).unwrap_or_default();
    let config: TrainConfig = serde_json::from_str(text)
        .map_err(|e| Error::input(format!("the checkpoint's configuration cannot be read ({e})")).with_source(e))?;
    let mut weights = weights_of(checkpoint.part("average"))?;
    weights.metadata = config.generator.metadata();
    weights.metadata.insert("steps".into(), checkpoint.number("step")?.to_string());
    let weights = halved(weights);
    // As a program that loads it will: every layer there, every value finite in half precision.
    check_generator(&weights)?;
    Ok(weights)
}

/// Weights rounded to half precision.
pub fn halved(mut weights: Weights) -> Weights {
    for array in weights.arrays.values_mut() {
        if let Data::F32(values) = &mut array.data {
            values.iter_mut().for_each(|v| *v = f16::from_f32(*v).to_f32());
        }
    }
    weights
}

/// Writes weights in half precision and returns the file's size in bytes.
///
/// # Errors
/// [`Error::Input`] where the file cannot be written.
pub fn write_half(weights: &Weights, path: &Path) -> Result<u64> {
    let mut bytes: Vec<(&String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, array) in &weights.arrays {
        let values = array.as_f32().unwrap_or_default();
        bytes.push((name, array.shape.clone(), values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()));
    }
    let views = bytes.iter().map(|(name, shape, data)| Ok((*name, TensorView::new(Dtype::F16, shape.clone(), data)?)));
    let views = views.collect::<Result<Vec<_>, ::safetensors::SafeTensorError>>();
    let metadata = weights.metadata.clone().into_iter().collect();
    let file = views.and_then(|views| ::safetensors::serialize(views, Some(metadata)));
    let file = file.map_err(|e| Error::engine(format!("the weights cannot be laid out ({e})")).with_source(e))?;
    atomic::write(path, |out| out.write_all(&file).map_err(|e| atomic::write_error(path, e)))?;
    Ok(file.len() as u64)
}
