//! Folding of spectral normalisation: what training keeps as `weight_orig`, `weight_u`, `weight_v` becomes `weight`.
//!
//! Miyato et al., <https://arxiv.org/abs/1802.05957>; storage as in `torch.nn.utils.spectral_norm`.

use crate::weights::{Array, Weights};
use crate::{Error, Result};

/// `weights` with every `X.weight_orig` replaced by `X.weight = weight_orig / sigma`, `sigma = u^T W v`.
///
/// # Errors
/// [`Error::Model`] naming a layer without its vectors, with vectors of the wrong length, or with a sigma of zero.
pub fn fold(weights: &Weights) -> Result<Weights> {
    let mut out = Weights { metadata: weights.metadata.clone(), ..Weights::default() };
    for (name, array) in &weights.arrays {
        if name.ends_with(".weight_u") || name.ends_with(".weight_v") {
            continue;
        }
        let Some(layer) = name.strip_suffix(".weight_orig") else {
            out.insert(name.clone(), array.clone());
            continue;
        };
        let part = |suffix: &str| {
            let name = format!("{layer}.{suffix}");
            let values = weights.get(&name).and_then(Array::as_f32);
            values.ok_or_else(|| Error::model(format!("layer '{name}' is missing; '{layer}.weight_orig' needs it")))
        };
        let (w, u, v) = (part("weight_orig")?, part("weight_u")?, part("weight_v")?);
        let rows = array.shape.first().copied().unwrap_or(0);
        let columns = array.len().checked_div(rows).unwrap_or(0);
        if u.len() != rows || v.len() != columns || rows == 0 || columns == 0 {
            let text = format!(
                "layer '{layer}': weight_orig {:?} does not go with weight_u [{}] and weight_v [{}]",
                array.shape,
                u.len(),
                v.len()
            );
            return Err(Error::model(text));
        }
        let sigma: f64 = w
            .chunks_exact(columns)
            .zip(u)
            .map(|(row, &u)| f64::from(u) * row.iter().zip(v).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>())
            .sum();
        if !sigma.is_finite() || sigma == 0.0 {
            return Err(Error::model(format!(
                "layer '{layer}': its spectral norm is {sigma}, which cannot be divided by"
            )));
        }
        let folded = w.iter().map(|&x| (f64::from(x) / sigma) as f32).collect();
        out.insert(format!("{layer}.weight"), Array::f32(array.shape.clone(), folded));
    }
    Ok(out)
}
