//! A run's regressor, its head, and a detector with them where one was trained, as a model pack.

use super::trainer;
use crate::checkpoint::Checkpoint;
use crate::export::{self, PackComponent, halved};
use headgan::import::fitting;
use headgan::models::{Architecture, Pack, Role};
use headgan::morphable::Morphable;
use headgan::morphable::arrays::{morphable_from, morphable_weights};
use headgan::nets::mobilenet;
use headgan::synthetic::head;
use headgan::weights::Weights;
use headgan::{Error, Result};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// The files of a pack's regressor and head.
const FILES: [&str; 2] = ["regressor.safetensors", "morphable.safetensors"];

/// The averaged regressor of a checkpoint as a pack has it, in half precision, and the head that its outputs belong to.
///
/// # Errors
/// Those of [`trainer::export`].
pub fn weights(checkpoint: &Checkpoint) -> Result<(Weights, Morphable)> {
    let (weights, model) = trainer::export(checkpoint, &head())?;
    let mut weights = halved(weights);
    weights.metadata.insert("steps".into(), checkpoint.number("step")?.to_string());
    Ok((weights, model))
}

/// The regressor of a pack, its model, which must be the own head, and the regressor's blake3.
///
/// # Errors
/// [`Error::Model`] where the pack has none or is damaged, or its model is another.
pub fn of_pack(pack: &Pack) -> Result<(Arc<Weights>, Morphable, String)> {
    let part = |role: Role| {
        let part = pack.component(role, None);
        part.ok_or_else(|| Error::model(format!("{}: the pack has no {role}", pack.folder.display())))
    };
    let (net, model) = (part(Role::Regressor)?, part(Role::Morphable)?);
    let model = morphable_from(&*pack.load(model, headgan::import::check)?)?;
    let own = head();
    if (&model.mean, &model.expr_basis, &model.landmarks) != (&own.mean, &own.expr_basis, &own.landmarks) {
        return Err(Error::model(format!(
            "{}: its morphable model is not this program's own head; give the pack of a regressor that was trained here",
            pack.folder.display()
        )));
    }
    Ok((pack.load(net, headgan::import::check)?, model, net.blake3.clone()))
}

/// Writes a pack of the name of `folder`; returns the size of its weights in bytes.
///
/// # Errors
/// [`headgan::Error::Usage`] where the folder's name is no pack's; [`headgan::Error::Input`] for a file that cannot be
/// written; those of [`trainer::export`].
pub fn export_pack(
    checkpoint: &Checkpoint,
    folder: &Path,
    detector: Option<PackComponent>,
    licence: &str,
) -> Result<u64> {
    let (regressor, model) = weights(checkpoint)?;
    let network = mobilenet::Config::from_weights(&regressor)?;
    let map = |value: Value| -> Map<String, Value> { value.as_object().cloned().unwrap_or_default() };
    let head = morphable_weights(&model);
    let own = [
        PackComponent {
            role: Role::Regressor,
            architecture: Architecture::MobileNetV1,
            config: map(json!({"width": network.width, "outputs": network.outputs})),
            file: FILES[0],
            weights: &regressor,
            half: true,
        },
        // Coordinates are micrometres, which half precision does not hold.
        PackComponent {
            role: Role::Morphable,
            architecture: Architecture::LinearMorphable,
            config: map(fitting::config(&model)),
            file: FILES[1],
            weights: &head,
            half: false,
        },
    ];
    let purpose = match detector {
        Some(_) => "finds faces and fits the procedural head to them",
        None => "fits the procedural head to faces",
    };
    let components: Vec<PackComponent> = detector.into_iter().chain(own).collect();
    export::write_pack(folder, &components, purpose, licence)
}
