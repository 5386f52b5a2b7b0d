//! ONNX files of this project's networks: named inputs and outputs, a doc string with their units, metadata.

use super::{Header, record_with};
use crate::engine::shape;
use crate::models::Weights;
use crate::nets::{discriminator, generator};
use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What [`export`] knows.
pub const ARCHITECTURES: &[&str] = &["headgan-generator", "headgan-discriminator"];

/// The ONNX file of a network with its weights inside, for pictures of `size x size` pixels.
///
/// `architecture` is one of [`ARCHITECTURES`]; `config` is its configuration as the pack stores it, or null to read it off the
/// weights; `weights` are folded (see [`crate::models::spectral`]). The metadata of the weights goes into the file,
/// with `architecture`, `configuration` (JSON) and `size`.
///
/// # Errors
/// [`Error::Usage`] for an architecture or a size that does not exist, [`Error::Model`] for weights that do not fit.
pub fn export(architecture: &str, config: &Value, weights: &Weights, size: usize) -> Result<Vec<u8>> {
    let header = |doc: &str, config: String| Header {
        name: architecture.to_owned(),
        doc: doc.to_owned(),
        metadata: [("architecture", architecture.to_owned()), ("configuration", config), ("size", size.to_string())]
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect(),
    };
    match architecture {
        "headgan-generator" => {
            let config = configuration(config, generator::Config::infer(weights)?)?;
            sides(size, config.stride(), 16)?;
            let (reference, pncc) = ([1, 6, size, size], [1, 3 * config.frames, size, size]);
            let audio = [1, config.audio];
            shape::check(weights, |ops| {
                let shot = generator::reference(ops, &config, &reference);
                generator::forward(ops, &config, &shot, &pncc, Some(&[1, config.audio, 1, 1]));
            })?;
            let mut inputs: Vec<(&str, &[usize])> = vec![("reference", &reference), ("pncc", &pncc)];
            if config.audio > 0 {
                inputs.push(("audio", &audio));
            }
            let doc = format!(
                "HeadGAN generator, {size}x{size}. Inputs: 'reference', PNCC (0..1) then RGB (-1..1) of the reference; 'pncc', \
                 {} driving PNCC frames, oldest first (0..1){}. Outputs: 'image', RGB (-1..1); 'flow', relative, in \
                 pixels, times the mask; 'mask', 0..1; 'warped', the reference RGB under the flow.",
                config.frames,
                if config.audio > 0 { "; 'audio', the frame's audio features" } else { "" }
            );
            record_with(&header(&doc, json(&config)), &inputs, weights, |ops, xs| {
                let shot = generator::reference(ops, &config, &xs[0]);
                let y = generator::forward(ops, &config, &shot, &xs[1], xs.get(2));
                let named = [("image", y.image), ("flow", y.flow), ("mask", y.mask), ("warped", y.warped)];
                named.map(|(name, t)| (name.to_owned(), t)).to_vec()
            })
        }
        "headgan-discriminator" => {
            let config = configuration(config, discriminator::Config::infer(weights)?)?;
            sides(size, 1, 8 << config.scales)?;
            let picture = [1, config.input, size, size];
            shape::check(weights, |ops| {
                discriminator::forward(ops, &config, &picture);
            })?;
            let doc = format!(
                "HeadGAN discriminator, {size}x{size}. Input: 'picture', the condition then RGB (-1..1). Outputs: 'scale_S.layer_L', \
                 the features of every layer; the last layer of a scale is its judgement, unbounded."
            );
            record_with(&header(&doc, json(&config)), &[("picture", &picture)], weights, |ops, xs| {
                let scales = discriminator::forward(ops, &config, &xs[0]);
                let layers = scales.iter().enumerate().flat_map(|(s, layers)| {
                    layers.iter().enumerate().map(move |(l, t)| (format!("scale_{s}.layer_{l}"), *t))
                });
                layers.collect()
            })
        }
        other => Err(Error::Usage(format!(
            "architecture '{other}' cannot be exported to ONNX; known are {}",
            ARCHITECTURES.join(", ")
        ))),
    }
}

/// The configuration, which must be what the weights were made for.
fn configuration<C: DeserializeOwned + Serialize + PartialEq>(given: &Value, found: C) -> Result<C> {
    if given.is_null() {
        return Ok(found);
    }
    let given: C = serde_json::from_value(given.clone())
        .map_err(|e| Error::Model(format!("the configuration {given} cannot be read: {e}")))?;
    if given != found {
        let text = format!("the configuration says {} where the weights were made for {}", json(&given), json(&found));
        return Err(Error::Model(text));
    }
    Ok(found)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Checks the side of a picture, in pixels.
fn sides(size: usize, multiple: usize, least: usize) -> Result<()> {
    if !size.is_multiple_of(multiple) || !(least..=4096).contains(&size) {
        let text = format!("size {size} does not work here: give a multiple of {multiple} between {least} and 4096");
        return Err(Error::Usage(text));
    }
    Ok(())
}
