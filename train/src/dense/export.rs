//! A pack with dense networks: a pack with a head, and the two runs' networks beside what it has.

use super::{cells, points};
use crate::checkpoint::Checkpoint;
use crate::export::{pack_name, write_half};
use crate::pack_copy::PackCopy;
use headgan::Result;
use headgan::models::{Architecture, Component, Pack, Role};
use headgan::weights::safetensors;
use std::path::Path;

/// Writes the pack of the name of `folder`, which must not be that of `pack`: all that `pack` holds and the averaged networks of two
/// checkpoints, in half precision; those that it had are replaced. Returns the size of the two in bytes.
///
/// # Errors
/// [`Error::Usage`] where the folder's name is no pack's or it is the same folder; [`Error::Input`] for a file that cannot be read or
/// written, or a checkpoint of another network.
pub fn export_pack(pack: &Pack, of_points: &Checkpoint, of_finder: &Checkpoint, folder: &Path) -> Result<u64> {
    let name = pack_name(folder)?;
    let new = [
        (Role::DenseDetector, Architecture::DenseFinder, "dense-finder.safetensors", cells::export(of_finder)?),
        (Role::Landmarks, Architecture::DensePoints, "dense-points.safetensors", points::export(of_points)?),
    ];
    let mut copy = PackCopy::begin(pack, folder, name)?;
    copy.manifest.components.retain(|c| !matches!(c.role, Role::DenseDetector | Role::Landmarks));
    for part in &copy.manifest.components {
        copy.copy(&part.file)?;
    }
    let mut size = 0;
    for (role, architecture, file, weights) in new {
        let path = folder.join(file);
        size += write_half(&weights, &path)?;
        let blake3 = safetensors::blake3(&path)?;
        let config = serde_json::Map::new();
        copy.manifest.components.push(Component { role, architecture, config, file: file.into(), blake3 });
    }
    copy.finish()?;
    Ok(size)
}
