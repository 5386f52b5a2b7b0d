//! `headgan models verify`: runs a generator (and a discriminator) on the inputs that a file carries and compares
//! with the outputs it carries.
//!
//! The file holds `state.*`, `input.{reference,pncc,audio,prior}`, `output.*` and, if it likes, `disc.*`, `disc_input`,
//! `disc_output.<scale>.<layer>`.

use crate::engine::{Executor, shape};
use crate::nets::{discriminator, generator};
use crate::weights::{Array, Weights, spectral};
use crate::{Error, Result};
use std::sync::Arc;

/// One compared output.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Difference {
    /// Its name in the file, without `output.`.
    pub name: String,
    /// Largest absolute difference; NaN where either side is not a number.
    pub max_abs: f32,
}

/// Compares every output of `file`; `engine` makes an executor of given weights.
///
/// # Errors
/// [`Error::Model`] when the file lacks a part, or a layer does not fit.
pub fn verify<E: Executor>(file: &Weights, engine: impl Fn(Arc<Weights>) -> E) -> Result<Vec<Difference>> {
    let mut out = Vec::new();
    let state = spectral::fold(&file.strip_prefix("state."))?;
    let config = generator::Config::infer(&state)?;
    let reference = input(file, "input.reference")?;
    let pncc = input(file, "input.pncc")?;
    let audio = (config.audio > 0).then(|| input(file, "input.audio")).transpose()?;
    let prior = config.prior.then(|| input(file, "input.prior")).transpose()?;
    shape::check(&state, |ops| {
        let reference = generator::reference(ops, &config, &reference.0);
        generator::forward(
            ops,
            &config,
            &reference,
            &pncc.0,
            audio.as_ref().map(|a| &a.0),
            prior.as_ref().map(|p| &p.0),
        );
    })?;
    let ops = engine(Arc::new(state));
    let upload = |(shape, values): &([usize; 4], &[f32])| ops.tensor(*shape, values);
    let shot = generator::reference(&ops, &config, &upload(&reference));
    let (audio, prior) = (audio.as_ref().map(upload), prior.as_ref().map(upload));
    let result = generator::forward(&ops, &config, &shot, &upload(&pncc), audio.as_ref(), prior.as_ref());
    let named = [("image", &result.image), ("flow", &result.flow), ("mask", &result.mask), ("warped", &result.warped)];
    let mut named: Vec<(String, &E::Tensor)> = named.into_iter().map(|(n, t)| (n.to_owned(), t)).collect();
    named.extend(result.warped_features.iter().enumerate().map(|(i, t)| (format!("warped_features.{i}"), t)));
    for (name, tensor) in named {
        out.extend(compare(file, &format!("output.{name}"), &name, &ops.values(tensor))?);
    }
    let known: Vec<String> = out.iter().map(|d: &Difference| format!("output.{}", d.name)).collect();
    if let Some(left) = file.arrays.keys().find(|k| k.starts_with("output.") && !known.contains(k)) {
        return Err(Error::model(format!("'{left}' is not an output of this generator that could be compared")));
    }
    if out.is_empty() {
        return Err(Error::Model("the file has no 'output.*' arrays: there is nothing to compare with".into()));
    }

    let disc = file.strip_prefix("disc.");
    if !disc.arrays.is_empty() {
        let disc = spectral::fold(&disc)?;
        let config = discriminator::Config::infer(&disc)?;
        let x = input(file, "disc_input")?;
        shape::check(&disc, |ops| {
            discriminator::forward(ops, &config, &x.0);
        })?;
        let ops = engine(Arc::new(disc));
        let before = out.len();
        for (scale, layers) in discriminator::forward(&ops, &config, &ops.tensor(x.0, x.1)).iter().enumerate() {
            for (layer, tensor) in layers.iter().enumerate() {
                let name = format!("disc_output.{scale}.{layer}");
                out.extend(compare(file, &name, &name, &ops.values(tensor))?);
            }
        }
        let there = file.arrays.keys().filter(|k| k.starts_with("disc_output.")).count();
        if there == 0 || there != out.len() - before {
            let compared = out.len() - before;
            let text = format!(
                "the file has a discriminator and {there} 'disc_output.*' arrays, of which {compared} can be compared"
            );
            return Err(Error::model(text));
        }
    }
    Ok(out)
}

/// An input as an `[n, c, h, w]` shape and its values; vectors get 1x1 pixels.
fn input<'a>(file: &'a Weights, name: &str) -> Result<([usize; 4], &'a [f32])> {
    let array = file.get(name).ok_or_else(|| Error::model(format!("the file has no '{name}'")))?;
    let values = array.as_f32().ok_or_else(|| Error::model(format!("'{name}' holds integers; floats are needed")))?;
    match *array.shape.as_slice() {
        [n, c] => Ok(([n, c, 1, 1], values)),
        [n, c, h, w] => Ok(([n, c, h, w], values)),
        _ => Err(Error::model(format!("'{name}' has shape {:?}; two or four dimensions are needed", array.shape))),
    }
}

fn compare(file: &Weights, key: &str, name: &str, ours: &[f32]) -> Result<Option<Difference>> {
    let Some(theirs) = file.get(key).and_then(Array::as_f32) else { return Ok(None) };
    if theirs.len() != ours.len() {
        let text = format!("'{key}' has {} values where the network gives {}", theirs.len(), ours.len());
        return Err(Error::model(text));
    }
    let mut max_abs = 0.0f32;
    for (a, b) in ours.iter().zip(theirs) {
        let d = (a - b).abs();
        max_abs = if d.is_nan() { f32::NAN } else { max_abs.max(d) };
        if max_abs.is_nan() {
            break;
        }
    }
    Ok(Some(Difference { name: name.to_owned(), max_abs }))
}
