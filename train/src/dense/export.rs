//! A pack with dense networks: a pack with a head, and the two runs' networks beside what it has.

use super::{cells, points};
use crate::checkpoint::Checkpoint;
use crate::data::store::write_text;
use crate::export::{pack_name, write_half};
use headgan::models::{self, Architecture, Component, Pack, Role};
use headgan::weights::safetensors;
use headgan::{Error, Result};
use std::path::Path;

/// A pack's card, which says what its licence does not.
const CARD: &str = "README.md";

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
    let cannot = |path: &Path, e: std::io::Error| {
        Error::input(format!("{}: cannot be written ({e})", path.display())).with_source(e)
    };
    std::fs::create_dir_all(folder).map_err(|e| cannot(folder, e))?;
    let same = |a: &Path, b: &Path| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
    if same(folder, &pack.folder) {
        return Err(Error::usage(format!("{}: is the pack itself; choose another folder", folder.display())));
    }
    let copy = |file: &str| {
        let path = folder.join(file);
        std::fs::copy(pack.folder.join(file), &path).map_err(|e| cannot(&path, e))
    };
    let mut manifest = pack.manifest.clone();
    manifest.name = name;
    manifest.components.retain(|c| !matches!(c.role, Role::DenseDetector | Role::Landmarks));
    for part in &manifest.components {
        copy(&part.file)?;
    }
    let mut size = 0;
    for (role, architecture, file, weights) in new {
        let path = folder.join(file);
        size += write_half(&weights, &path)?;
        let blake3 = safetensors::blake3(&path)?;
        let config = serde_json::Map::new();
        manifest.components.push(Component { role, architecture, config, file: file.into(), blake3 });
    }
    if pack.folder.join(CARD).exists() {
        copy(CARD)?;
    }
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|e| Error::engine(format!("the manifest: {e}")).with_source(e))?;
    write_text(&folder.join(models::MANIFEST), &(text + "\n"))?;
    Ok(size)
}
