//! How fast frames follow each other, for files that are counted in seconds.

use super::SOURCE;
use crate::host::Effect;
use headgan::media::Rational;
use headgan::{Error, Result};

/// Frames a second of Source, else of the project; `file` is the parameter that needs to know.
///
/// # Errors
/// `Input` where the host does not say.
pub fn frame_rate(effect: &Effect, file: &str) -> Result<Rational> {
    let rate = effect.clip(SOURCE).and_then(|clip| clip.frame_rate()).or_else(|| effect.frame_rate());
    rate.and_then(Rational::nearest).ok_or_else(|| {
        Error::input(format!(
            "the host does not say how many frames a second Source has, which the {file} needs: set the project's frame \
             rate, or clear {file}"
        ))
    })
}
