//! A run's detector as a model pack: the component that an import of upstream's RetinaFace writes.

use super::trainer;
use crate::checkpoint::Checkpoint;
use crate::export::{self, PackComponent, halved};
use headgan::Result;
use headgan::face::detector::DetectorOverrides;
use headgan::models::{Architecture, Role};
use headgan::nets::retinaface::Backbone;
use headgan::weights::Weights;
use serde_json::{Map, Value};
use std::path::Path;

/// The file of a pack's detector.
const FILE: &str = "retinaface-mobilenet0.25.safetensors";

/// The averaged detector of a checkpoint as a pack has it: in half precision.
///
/// # Errors
/// Those of [`trainer::export`].
pub fn weights(checkpoint: &Checkpoint) -> Result<Weights> {
    let mut weights = halved(trainer::export(checkpoint)?);
    weights.metadata.insert("architecture".into(), Architecture::RetinaFace.to_string());
    weights.metadata.insert("steps".into(), checkpoint.number("step")?.to_string());
    Ok(weights)
}

/// A pack's component that looks as told.
pub fn component<'a>(weights: &'a Weights, look: &DetectorOverrides) -> PackComponent<'a> {
    let mut config = Map::new();
    config.insert("backbone".into(), Value::from("mobilenet0.25"));
    config.insert("channels".into(), Value::from(Backbone::MobileNet025.width()));
    config.extend(look.longer_side.map(|n| ("longer_side".into(), Value::from(n))));
    // 0.65, not the binary fraction next to it.
    let score = look.score.and_then(|n| n.to_string().parse::<f64>().ok());
    config.extend(score.map(|n| ("score".into(), Value::from(n))));
    PackComponent {
        role: Role::Detector,
        architecture: Architecture::RetinaFace,
        config,
        file: FILE,
        weights,
        half: true,
    }
}

/// Writes a pack of the name of `folder`; returns the size of its weights in bytes.
///
/// # Errors
/// [`headgan::Error::Usage`] where the folder's name is no pack's; [`headgan::Error::Input`] for a file that cannot be
/// written; those of [`trainer::export`].
pub fn export_pack(checkpoint: &Checkpoint, folder: &Path, look: &DetectorOverrides, licence: &str) -> Result<u64> {
    let weights = weights(checkpoint)?;
    export::write_pack(folder, &[component(&weights, look)], "finds faces and their five landmarks", licence)
}
