//! Weights of networks that only measure: the user's own files.

use crate::import::check_finite;
use crate::weights::{Weights, safetensors, torch};
use crate::{Error, Result};
use std::path::Path;

/// Reads a `.safetensors` file or a torch checkpoint and checks it with `check`; also returns the file's blake3. `remedy`
/// says how to get a file that fits.
///
/// # Errors
/// [`Error::Input`] for a file that cannot be read, [`Error::Model`] for one that is damaged or does not fit.
pub(super) fn load<T>(
    path: &Path,
    remedy: &str,
    check: impl FnOnce(&Weights) -> Result<T>,
) -> Result<(Weights, T, String)> {
    let (weights, blake3) = if path.extension().is_some_and(|e| e == "safetensors") {
        safetensors::load_hashed(path)?
    } else {
        (torch::load(path, &torch::Options::default())?, safetensors::blake3(path)?)
    };
    let checked = check_finite(&weights).and_then(|()| check(&weights)).map_err(|e| match e {
        Error::Model(text) => Error::Model(text.map(|t| format!("{}: {t}: {remedy}", path.display()))),
        other => other,
    })?;
    Ok((weights, checked, blake3))
}
