//! The official HeadGAN: generator and discriminators, with spectral normalisation folded into the weights.
//!
//! <https://github.com/michaildoukas/headGAN>

use crate::import::{Part, UnwrittenPack, files, tensors};
use crate::models::{Architecture, Role};
use crate::nets::{discriminator, generator};
use crate::weights::{Weights, spectral};
use crate::{Error, Result};
use std::path::Path;

/// The networks in a file, with the names of the network definitions and spectral normalisation folded.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    /// The generator, where the checkpoint has it.
    pub generator: Option<(generator::Config, Weights)>,
    /// The discriminator, where the checkpoint has it.
    pub discriminator: Option<(discriminator::Config, Weights)>,
}

/// Finds a generator and a discriminator among the arrays of a checkpoint. Names may have the prefix `state.`
/// (generator) or `disc.` (discriminator), as the files for `models verify` have.
///
/// # Errors
/// [`Error::Model`] if a network is there but incomplete, or its spectral normalisation cannot be folded.
pub fn networks(weights: &Weights) -> Result<Networks> {
    let part = |prefixes: [&str; 2], first: &[&str]| -> Result<Option<Weights>> {
        for prefix in prefixes {
            let arrays: Vec<_> = weights
                .arrays
                .iter()
                .filter_map(|(k, v)| Some((k.strip_prefix(prefix)?, v)))
                .filter(|(k, _)| first.iter().any(|f| k.starts_with(f)))
                .collect();
            if !arrays.is_empty() {
                let arrays = arrays.into_iter().map(|(k, v)| (k.to_owned(), v.clone())).collect();
                // What shapes do not tell stands in the metadata of files that this project wrote.
                return spectral::fold(&Weights { arrays, metadata: weights.metadata.clone() }).map(Some);
            }
        }
        Ok(None)
    };
    let generator = match part(["", "state."], &["flow_network.", "rendering_network."])? {
        Some(w) => Some((generator::Config::infer(&w)?, w)),
        None => None,
    };
    let discriminator = match part(["", "disc."], &["discriminator_"])? {
        Some(w) => Some((discriminator::Config::infer(&w)?, w)),
        None => None,
    };
    Ok(Networks { generator, discriminator })
}

/// Reads the checkpoints of a training folder (`latest_net_G.pth`, and `latest_net_D.pth`, `latest_net_Dm.pth` if
/// they are there), its safetensors files, or a single file.
pub fn read(from: &Path) -> Result<UnwrittenPack> {
    let is_network = |name: &str| {
        let (torch, safe) = (name.ends_with(".pth"), name.ends_with(".safetensors"));
        safe || torch && (name.contains("net_G") || name.contains("net_D"))
    };
    let mut candidates = files(from, is_network)?;
    // Of several checkpoints of a training the latest is meant.
    candidates.sort_by_key(|p| !p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("latest")));
    let mut parts: Vec<Part> = Vec::new();
    for path in &candidates {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let mouth = name.contains("net_Dm");
        let within = |e: Error| match e {
            Error::Model(text) => Error::Model(text.map(|t| format!("{}: {t}", path.display()))),
            other => other,
        };
        let found = networks(&tensors(path)?).map_err(within)?;
        let json = |e: serde_json::Error| Error::engine(format!("configuration: {e}")).with_source(e);
        let mut add = |part: Part| {
            if !parts.iter().any(|p| p.component.file == part.component.file) {
                parts.push(part);
            }
        };
        if let Some((config, weights)) = found.generator {
            let config = serde_json::to_value(config).map_err(json)?;
            add(Part::new(Role::Generator, Architecture::HeadganGenerator, "generator", config, weights));
        }
        if let Some((config, weights)) = found.discriminator {
            let config = serde_json::to_value(config).map_err(json)?;
            let file = if mouth { "discriminator-mouth" } else { "discriminator" };
            add(Part::new(Role::Discriminator, Architecture::HeadganDiscriminator, file, config, weights));
        }
    }
    if !parts.iter().any(|p| p.component.role == Role::Generator) {
        let text = "there is no generator (layers 'flow_network...' and 'rendering_network...') in the files here";
        return Err(Error::model(format!("{}: {text}; latest_net_G.pth is needed", from.display())));
    }
    // The generator is what the pack is for, whatever the file names are.
    parts.sort_by_key(|p| (p.component.role != Role::Generator, p.component.file.len()));
    Ok(UnwrittenPack {
        licence: "as stated by its authors".into(),
        source: "https://github.com/michaildoukas/headGAN",
        purpose: "paints the reference face with the driver's pose, expression and speech (HeadGAN)",
        parts,
    })
}
