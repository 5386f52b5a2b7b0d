//! A run's averaged network as a pack.

use super::trainer::weights;
use crate::checkpoint::Checkpoint;
use crate::export::{PackComponent, halved, write_pack};
use headgan::audio::lips::{ARCHITECTURE, check};
use headgan::models::Role;
use headgan::nets::sound_lips::LAST;
use headgan::weights::{Data, Weights};
use headgan::{Error, Result};
use std::path::Path;

/// The averaged network of a checkpoint, whose answers are `gain` times as large, in half precision. A network that cannot know all opens mouths
/// less than people do; what it lacks is the same everywhere.
///
/// # Errors
/// [`Error::Model`] where it would not run.
pub fn network(checkpoint: &Checkpoint, gain: f64) -> Result<Weights> {
    let mut out = weights(checkpoint)?;
    for part in ["weight", "bias"] {
        let name = format!("{LAST}.{part}");
        let array = out.arrays.get_mut(&name).ok_or_else(|| Error::model(format!("there is no layer '{name}'")))?;
        if let Data::F32(values) = &mut array.data {
            values.iter_mut().for_each(|v| *v *= gain as f32);
        }
    }
    out.metadata.insert("architecture".into(), ARCHITECTURE.to_string());
    out.metadata.insert("steps".into(), checkpoint.number("step")?.to_string());
    let out = halved(out);
    check(&out)?;
    Ok(out)
}

/// Writes a pack of the name of `folder`, which is made where it is not there; returns the size of the weights in bytes.
///
/// # Errors
/// [`Error::Usage`] where the folder's name is no pack's; [`Error::Input`] for a file that cannot be written; those of [`network`].
pub fn export_pack(checkpoint: &Checkpoint, gain: f64, folder: &Path, licence: &str) -> Result<u64> {
    let component = PackComponent {
        role: Role::Lips,
        architecture: ARCHITECTURE,
        config: serde_json::Map::new(),
        file: "lips.safetensors",
        weights: &network(checkpoint, gain)?,
        half: true,
    };
    write_pack(folder, &[component], "says what lips do while speech is heard", licence)
}
