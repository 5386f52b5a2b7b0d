//! ONNX files of this project's networks: named inputs and outputs, a doc string with their units, metadata.

use crate::engine::onnx::{Header, record_with};
use crate::models::Architecture;
use crate::nets::graph::Graph;
use crate::nets::named::Network;
use crate::weights::Weights;
use crate::{Error, Result};
use serde_json::Value;

/// The ONNX file of a network with its weights inside, for pictures of `size x size` pixels.
///
/// `architecture` is one of [`ARCHITECTURES`](crate::nets::named::ARCHITECTURES); `config` is its configuration as the pack
/// stores it (null: whatever the weights are); `weights` are folded (see [`crate::weights::spectral`]); a `size` of 0 is the
/// architecture's usual one. The metadata of the weights, such as the licence, goes into the file, with `architecture`,
/// `config` (JSON) and `size`.
///
/// # Errors
/// [`Error::Usage`] for an architecture or a size that does not exist, [`Error::Model`] for weights that do not fit and for a
/// configuration that is not theirs.
pub fn export_onnx(architecture: &Architecture, config: &Value, weights: &Weights, size: usize) -> Result<Vec<u8>> {
    if let (Architecture::Graph, Some(config)) = (architecture, config.as_object()) {
        return export_graph(&Graph::from_config(config)?, weights, size);
    }
    let network = Network::from_weights(architecture, weights)?;
    let found = network.config();
    if let (Some(given), Some(found)) = (config.as_object(), found.as_object()) {
        for (key, value) in found {
            if let Some(given) = given.get(key).filter(|given| *given != value) {
                let text =
                    format!("the configuration says {key} {given} where the {architecture}'s weights say {value}");
                return Err(Error::model(text));
            }
        }
    } else if !config.is_null() {
        return Err(Error::model(format!("the configuration of {architecture} is {config}; an object is needed")));
    }
    network.check(weights, size)?;
    let inputs = network.inputs(size)?;
    let height = inputs.first().and_then(|(_, dims)| dims.get(2)).copied().unwrap_or_default();
    let metadata = [
        ("architecture", architecture.to_string()),
        ("config", if config.is_null() { found.to_string() } else { config.to_string() }),
        ("size", height.to_string()),
    ];
    let header = Header {
        name: architecture.to_string(),
        doc: network.doc(),
        metadata: metadata.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
    };
    let inputs: Vec<(&str, &[usize])> = inputs.iter().map(|(name, dims)| (*name, dims.as_slice())).collect();
    record_with(&header, &inputs, weights, |ops, xs| network.run(ops, xs))
}

/// A network that is data: its input is `picture` (as the importer's documents say) and its outputs have its own names.
fn export_graph(graph: &Graph, weights: &Weights, size: usize) -> Result<Vec<u8>> {
    graph.check(weights)?;
    let [c, h, w] = graph.input;
    if size != 0 && size != h {
        return Err(Error::usage(format!("this network cannot take size {size}; give {h}")));
    }
    let header = Header {
        name: Architecture::Graph.to_string(),
        doc: format!("A network as it was imported. Input: 'picture', {c} x {h} x {w}, red, green, blue."),
        metadata: [("architecture".to_owned(), Architecture::Graph.to_string())].into(),
    };
    let dims = [1, c, h, w];
    record_with(&header, &[("picture", &dims)], weights, |ops, xs| graph.run(ops, &xs[0]))
}
