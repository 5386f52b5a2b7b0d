//! TensorFlow Lite files: a network becomes a [`Graph`] over the project's operations and its weights.
//!
//! [`model`] reads the file, [`translate`] says what its operators are here, [`flat`] reads the two formats that it is made of.

mod flat;
mod model;
mod translate;

use crate::nets::graph::Graph;
use crate::weights::Weights;
use crate::{Error, Result};

/// What a TensorFlow Lite file begins with, after four bytes.
const MAGIC: &[u8] = b"TFL3";

/// The graph and the weights in a file's bytes; `what` is the file's name in messages.
///
/// # Errors
/// [`Error::Model`] for a file that is damaged, is none, or asks for an operator that is not known.
pub fn read(bytes: &[u8], what: &str) -> Result<(Graph, Weights)> {
    if bytes.get(4..8) != Some(MAGIC) {
        return Err(Error::model(format!(
            "{what}: this is not a TensorFlow Lite file: give one as MediaPipe publishes it"
        )));
    }
    let damaged = || Error::model(format!("{what}: the file is damaged: download it again"));
    let model = model::Model::read(bytes).ok_or_else(damaged)?;
    let (graph, weights) = translate::translate(&model).map_err(|e| match e {
        translate::Problem::Damaged => damaged(),
        translate::Problem::Unknown(text) => {
            Error::model(format!("{what}: {text}: this version cannot run such a network"))
        }
    })?;
    graph.check(&weights).map_err(|e| match e {
        Error::Model(text) => Error::Model(text.map(|t| format!("{what}: {t}"))),
        other => other,
    })?;
    Ok((graph, weights))
}

#[cfg(test)]
mod tests;
