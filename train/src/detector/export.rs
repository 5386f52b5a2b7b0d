//! A run's detector as a model pack: the component that an import of upstream's RetinaFace writes.

use super::trainer;
use crate::checkpoint::Checkpoint;
use crate::export;
use headgan::Result;
use headgan::models::pack::Role;
use headgan::nets::retinaface::Backbone;
use serde_json::{Map, Value};
use std::path::Path;

/// The file of a pack's detector.
const FILE: &str = "retinaface-mobilenet0.25.safetensors";

/// Writes a pack of the name of `folder`, weights in half precision; returns their size in bytes.
///
/// # Errors
/// [`headgan::Error::Usage`] where the folder's name is no pack's; [`headgan::Error::Input`] for a file that cannot be
/// written; those of [`trainer::export`].
pub fn export_pack(checkpoint: &Checkpoint, folder: &Path, licence: &str) -> Result<u64> {
    let mut weights = trainer::export(checkpoint)?;
    let mut config = Map::new();
    config.insert("backbone".into(), Value::from("mobilenet0.25"));
    config.insert("channels".into(), Value::from(Backbone::MobileNet025.width()));
    weights.metadata.insert("architecture".into(), "retinaface".into());
    weights.metadata.insert("config".into(), Value::Object(config.clone()).to_string());
    weights.metadata.insert("steps".into(), checkpoint.number("step")?.to_string());
    let about = export::About {
        role: Role::Detector,
        architecture: "retinaface",
        config,
        file: FILE,
        purpose: "finds faces and their five landmarks",
        licence,
    };
    export::write_pack(folder, &weights, about)
}
