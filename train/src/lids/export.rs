//! A pack with lids: a pack whose regressor gets a run's second look, everything else as it was.

use super::trainer::{regressor_hash, weights};
use crate::checkpoint::Checkpoint;
use crate::export::{halved, pack_name, write_half};
use crate::pack_copy::PackCopy;
use headgan::models::{Pack, Role};
use headgan::nets::lids::PREFIX;
use headgan::weights::{Weights, safetensors};
use headgan::{Error, Result};
use std::path::Path;

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
    let mut copy = PackCopy::begin(pack, folder, name)?;
    let mut size = 0;
    for k in 0..copy.manifest.components.len() {
        let part = &mut copy.manifest.components[k];
        if part.role == Role::Regressor {
            let path = folder.join(&part.file);
            size = write_half(&new, &path)?;
            part.blake3 = safetensors::blake3(&path)?;
            part.config.insert("lids".into(), true.into());
        } else {
            copy.copy(&copy.manifest.components[k].file)?;
        }
    }
    copy.finish()?;
    Ok(size)
}
