//! A pack with lids: a pack whose regressor gets a run's second look, everything else as it was.

use super::trainer::{regressor_hash, weights};
use crate::checkpoint::Checkpoint;
use crate::data::store::write_text;
use crate::export::{halved, pack_name, write_half};
use headgan::models::{self, Pack, Role};
use headgan::nets::lids::PREFIX;
use headgan::weights::{Weights, safetensors};
use headgan::{Error, Result};
use std::path::Path;

/// A pack's card, which says what its licence does not.
const CARD: &str = "README.md";
/// What an exported regressor says its second look was taught with.
const METADATA_KEY: &str = "lids_of";

/// The regressor of a pack with the averaged lids of a checkpoint, in half precision; those that it had are replaced.
///
/// # Errors
/// [`Error::Model`] where the pack has no regressor, or it does not run with them; [`Error::Usage`] where the checkpoint was
/// taught with another one.
pub fn regressor(pack: &Pack, checkpoint: &Checkpoint) -> Result<Weights> {
    let part = pack.component(Role::Regressor, None);
    let part = part.ok_or_else(|| Error::model(format!("the pack '{}' has no regressor", pack.name())))?;
    let mut out = (*pack.load(part, headgan::import::check)?).clone();
    let of = regressor_hash(checkpoint)?.to_owned();
    if of != part.blake3 && out.metadata.get(METADATA_KEY) != Some(&of) {
        return Err(Error::usage(format!(
            "the run was taught with another regressor than that of the pack '{}'; give --from the pack of the run",
            pack.name()
        )));
    }
    out.arrays.retain(|name, _| !name.starts_with(PREFIX));
    out.arrays.extend(weights(checkpoint)?.arrays);
    out.metadata.insert("lids_steps".into(), checkpoint.number("step")?.to_string());
    out.metadata.insert(METADATA_KEY.into(), of);
    let out = halved(out);
    headgan::import::check(part, &out)?;
    Ok(out)
}

/// Writes the pack of the name of `folder`, which must not be that of `pack`; returns the size of the regressor in bytes. What
/// else the pack holds, and the `README.md` beside it, is copied.
///
/// # Errors
/// [`Error::Usage`] where the folder's name is no pack's or it is the same folder; [`Error::Input`] for a file that cannot be
/// read or written; those of [`regressor`].
pub fn export_pack(pack: &Pack, checkpoint: &Checkpoint, folder: &Path) -> Result<u64> {
    let name = pack_name(folder)?;
    let new = regressor(pack, checkpoint)?;
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
    let mut size = 0;
    for part in &mut manifest.components {
        if part.role == Role::Regressor {
            let path = folder.join(&part.file);
            size = write_half(&new, &path)?;
            part.blake3 = safetensors::blake3(&path)?;
            part.config.insert("lids".into(), true.into());
        } else {
            copy(&part.file)?;
        }
    }
    if pack.folder.join(CARD).exists() {
        copy(CARD)?;
    }
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|e| Error::engine(format!("the manifest: {e}")).with_source(e))?;
    write_text(&folder.join(models::MANIFEST), &(text + "\n"))?;
    Ok(size)
}
