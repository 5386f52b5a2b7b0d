//! Runs' averaged networks as a pack.

use super::store::Kind;
use super::trainer::weights;
use crate::checkpoint::Checkpoint;
use crate::export::{PackComponent, halved, write_pack};
use headgan::models::Role;
use headgan::nets::window::ARCHITECTURE;
use headgan::weights::Weights;
use headgan::{Error, Result};
use std::path::Path;

/// Writes a pack of the name of `folder`, which is made where it is not there, and returns the size of the weights in bytes.
///
/// # Errors
/// [`Error::Usage`] where two runs are of the same window or the folder's name is no pack's; [`Error::Input`] for a file that cannot be
/// written; [`Error::Model`] where a network would not run.
pub fn export_pack(checkpoints: &[Checkpoint], folder: &Path, licence: &str) -> Result<u64> {
    let mut parts: Vec<(Kind, serde_json::Map<String, serde_json::Value>, Weights)> = Vec::new();
    for checkpoint in checkpoints {
        let (kind, config, weights) = weights(checkpoint)?;
        if parts.iter().any(|p| p.0 == kind) {
            return Err(Error::usage(format!("two runs are of the same window, '{}': name one of each", kind.name())));
        }
        let weights = halved(weights);
        let mut described = serde_json::to_value(&config).ok().and_then(|v| v.as_object().cloned()).unwrap_or_default();
        described.insert("network".into(), kind.name().into());
        parts.push((kind, described, weights));
    }
    let files: Vec<String> = parts.iter().map(|p| format!("{}.safetensors", p.0.name())).collect();
    let components: Vec<PackComponent> = parts
        .iter()
        .zip(&files)
        .map(|((_, config, weights), file)| PackComponent {
            role: Role::Window,
            architecture: ARCHITECTURE,
            config: config.clone(),
            file,
            weights,
            half: true,
        })
        .collect();
    let size = write_pack(folder, &components, "paints eyes and mouth over the warped reference (windows)", licence)?;
    let pack = headgan::models::Pack::open(folder)?;
    // As a program that loads it will.
    pack.components().iter().try_for_each(|c| pack.load(c, headgan::import::check).map(drop))?;
    Ok(size)
}
