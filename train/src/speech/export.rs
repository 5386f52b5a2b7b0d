//! A run's acoustic model: its weights as they were, and as a model pack.

use super::config::SpeechConfig;
use super::trainer::METADATA_KEY;
use crate::checkpoint::Checkpoint;
use crate::export;
use crate::spectral_weights::weights_of;
use headgan::audio::speech::{self, ARCHITECTURE};
use headgan::models::Role;
use headgan::weights::Weights;
use headgan::{Error, Result};
use std::path::Path;

/// The file of a pack's acoustic model.
const FILE: &str = "speech.safetensors";

/// Whether it is a checkpoint of an acoustic model.
pub fn is_speech(checkpoint: &Checkpoint) -> bool {
    checkpoint.metadata.contains_key(METADATA_KEY)
}

/// The configuration and the weights of a checkpoint.
///
/// # Errors
/// [`Error::Input`] for a checkpoint that is none of an acoustic model.
pub fn read(checkpoint: &Checkpoint) -> Result<(SpeechConfig, Weights)> {
    let text = checkpoint.metadata.get(METADATA_KEY).map(String::as_str).unwrap_or_default();
    let config: SpeechConfig = serde_json::from_str(text).map_err(|e| {
        Error::input(format!("the checkpoint is of no acoustic model, or of another version ({e})")).with_source(e)
    })?;
    let mut weights = weights_of(checkpoint.part("weights").into_iter().chain(checkpoint.part("statistics")))?;
    weights.metadata.insert("architecture".into(), ARCHITECTURE.to_string());
    weights.metadata.insert("steps".into(), checkpoint.number("step")?.to_string());
    Ok((config, weights))
}

/// Writes a pack of the name of `folder`, weights in half precision; returns their size in bytes.
///
/// # Errors
/// [`Error::Usage`] where the folder's name is no pack's; [`Error::Input`] for a file that cannot be written; [`Error::Model`] where
/// the weights would not run.
pub fn export_pack(checkpoint: &Checkpoint, folder: &Path, licence: &str) -> Result<u64> {
    let (config, weights) = read(checkpoint)?;
    let weights = export::halved(weights);
    // As a program that loads it will.
    speech::check(&config.speech(), &weights)?;
    let values = serde_json::to_value(config.speech()).ok().and_then(|v| v.as_object().cloned()).unwrap_or_default();
    let part = export::PackComponent {
        role: Role::Speech,
        architecture: ARCHITECTURE,
        config: values,
        file: FILE,
        weights: &weights,
        half: true,
    };
    let purpose = "hears which characters are spoken, and when: for a mouth's timing, not for dictation";
    export::write_pack(folder, &[part], purpose, licence)
}
