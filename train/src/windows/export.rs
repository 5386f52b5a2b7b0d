//! Runs' averaged networks as a pack.

use super::store::Kind;
use super::trainer::weights;
use crate::checkpoint::Checkpoint;
use crate::export::{PackComponent, halved, write_pack};
use headgan::models::Role;
use headgan::nets::window;
use headgan::weights::Weights;
use headgan::{Error, Result};
use std::path::Path;

/// Writes a pack of runs' averaged networks of the name of `folder`, and returns the size of the weights in bytes.
///
/// # Errors
/// [`Error::Usage`] where two runs are of the same window; those of [`write`].
pub fn export_pack(checkpoints: &[Checkpoint], folder: &Path, licence: &str) -> Result<u64> {
    let mut parts: Vec<(Kind, Weights)> = Vec::new();
    for checkpoint in checkpoints {
        let (kind, _, weights) = weights(checkpoint)?;
        if parts.iter().any(|p| p.0 == kind) {
            return Err(Error::usage(format!("two runs are of the same window, '{}': name one of each", kind.name())));
        }
        parts.push((kind, weights));
    }
    write(parts, folder, licence)
}

/// Writes a pack of networks of the name of `folder`, which is made where it is not there, and returns the size of the weights in bytes.
///
/// # Errors
/// [`Error::Usage`] where the folder's name is no pack's; [`Error::Input`] for a file that cannot be written; [`Error::Model`] where a
/// network would not run.
pub fn write(parts: Vec<(Kind, Weights)>, folder: &Path, licence: &str) -> Result<u64> {
    let parts = parts.into_iter().map(|(kind, weights)| {
        let config = serde_json::to_value(window::Config::infer(&weights)?);
        let mut described = config.ok().and_then(|v| v.as_object().cloned()).unwrap_or_default();
        described.insert("network".into(), kind.name().into());
        Ok((format!("{}.safetensors", kind.name()), described, halved(weights)))
    });
    let parts: Vec<_> = parts.collect::<Result<_>>()?;
    let components: Vec<PackComponent> = parts
        .iter()
        .map(|(file, config, weights)| PackComponent {
            role: Role::Window,
            architecture: window::ARCHITECTURE,
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
