//! The layers' weights: how they are found, and the form that each kernel wants them in, made at a layer's first use.
//! What runs a layer does not belong here.

use super::aligned::Aligned;
use super::{Cpu, gemm, winograd};
use crate::engine::ops::{Conv, Layer, Pad};
use std::collections::HashMap;
use std::sync::Arc;

/// A layer, ready for its kernel.
#[derive(Debug)]
pub(super) enum PackedLayer {
    Winograd(winograd::Weights),
    /// Packed panels `[kh kw c][out]` and the packed bias.
    Dense(Aligned, Aligned),
    /// `[out][kh kw c]` for at most four outputs.
    Few(Vec<f32>, Vec<f32>),
    /// `[kh kw][c]` and the bias; 3x3 or 5x5.
    Depthwise(Aligned, Aligned),
    /// A recurrent layer in one direction: the input's part as `Dense`, and the bias of the state's part.
    Recurrent(Vec<f32>, Vec<f32>, Vec<f32>),
    /// Grouped convolutions that no network here uses much: `[out][kh kw c/g]`.
    Grouped(Vec<f32>, Vec<f32>),
}

/// Which parts a convolution is made of.
#[derive(Clone, Copy)]
pub(super) enum Parts<'a> {
    One(Layer<'a>),
    Pair(Layer<'a>, Layer<'a>),
    Bn(Layer<'a>, Layer<'a>, f32),
}

/// The layers that are ready, and the bytes of transformed weights that they keep.
#[derive(Debug, Default)]
pub(super) struct PackedLayers {
    pub(super) layers: HashMap<String, Arc<PackedLayer>>,
    kept: usize,
}

/// Winograd's weights are four times as many as the layer's: for fewer pixels they take longer to read than they save.
const LEAST_PIXELS: usize = 100;

impl Cpu {
    /// A layer's values. A layer that is not there is a programming error: the shape checker ran before.
    pub(super) fn layer(&self, layer: &str, part: &str) -> &[f32] {
        self.weights
            .get(&format!("{layer}.{part}"))
            .and_then(|a| a.as_f32())
            .unwrap_or_else(|| panic!("layer '{layer}.{part}' is missing: weights must pass shape::check first"))
    }

    /// The layer in the form its kernel wants, made at its first use, for pictures of about so many pixels.
    pub(super) fn prepare(&self, parts: Parts, conv: &Conv, cin: usize, pixels: usize) -> Arc<PackedLayer> {
        let pair;
        let key = match parts {
            Parts::One(layer) | Parts::Bn(layer, _, _) => layer,
            Parts::Pair(first, second) => {
                pair = format!("{first}|{second}");
                &pair
            }
        };
        let mut state = self.prepared.lock();
        if let Some(found) = state.layers.get(key) {
            return found.clone();
        }
        let cg = cin / conv.groups;
        let (kh, kw) = conv.kernel;
        let taps = kh * kw;
        let (out, halves) = match parts {
            Parts::Pair(first, second) => (2 * conv.out, [self.kernel(first), self.kernel(second)]),
            Parts::One(layer) | Parts::Bn(layer, _, _) => (conv.out, [self.kernel(layer), Vec::new()]),
        };
        let mut bias = Vec::new();
        if conv.bias {
            match parts {
                Parts::One(layer) | Parts::Bn(layer, _, _) => bias.extend_from_slice(self.layer(layer, "bias")),
                Parts::Pair(first, second) => {
                    bias.extend_from_slice(self.layer(first, "bias"));
                    bias.extend_from_slice(self.layer(second, "bias"));
                }
            }
        }
        let mut factor = vec![1.0f32; out];
        if let Parts::Bn(_, bn, eps) = parts {
            let (g, b) = (self.layer(bn, "weight"), self.layer(bn, "bias"));
            let (mean, var) = (self.layer(bn, "running_mean"), self.layer(bn, "running_var"));
            bias.resize(out, 0.0);
            for o in 0..out {
                factor[o] = (f64::from(g[o]) / (f64::from(var[o]) + f64::from(eps)).sqrt()) as f32;
                bias[o] = (bias[o] - mean[o]) * factor[o] + b[o];
            }
        }
        let at =
            |o: usize, i: usize, tap: usize| halves[o / conv.out][(o % conv.out * cg + i) * taps + tap] * factor[o];
        let dense = conv.groups == 1;
        let stride_one =
            conv.stride == (1, 1) && conv.pad == (1, 1) && conv.pad_after == (0, 0) && conv.pad_mode == Pad::Zero;
        let wide = self.level.for_channels(cin);
        let prepared = if conv.groups == cin
            && out == cin
            && conv.pad_mode == Pad::Zero
            && (conv.kernel == (3, 3) || conv.kernel == (5, 5))
            && conv.stride.0 == conv.stride.1
            && cin >= wide.lanes()
        {
            let mut w = vec![0.0; taps * cin];
            for tap in 0..taps {
                for c in 0..cin {
                    w[tap * cin + c] = at(c, 0, tap);
                }
            }
            bias.resize(cin, 0.0);
            PackedLayer::Depthwise(Aligned::from(&w[..]), Aligned::from(&bias[..]))
        } else if dense
            && conv.kernel == (3, 3)
            && stride_one
            && pixels >= LEAST_PIXELS
            && winograd::suits(wide, cin, out)
        {
            let mut weights = winograd::Weights::new(wide, cin, out, at, &bias);
            if state.kept + weights.transformed_bytes() <= self.keep {
                state.kept += weights.transformed_bytes();
                weights.keep_transformed();
            }
            PackedLayer::Winograd(weights)
        } else if dense && out <= 4 && kw * cin >= self.level.lanes() {
            let w = (0..out * taps * cin).map(|i| at(i / (taps * cin), i % cin, i / cin % taps)).collect();
            PackedLayer::Few(w, bias)
        } else if dense {
            let level = self.level.for_channels(out);
            let w = gemm::pack(level, taps * cin, out, |k, n| at(n, k % cin, k / cin));
            let bias = if bias.is_empty() { bias } else { gemm::pack(level, 1, out, |_, n| bias[n]) };
            PackedLayer::Dense(Aligned::from(&w[..]), Aligned::from(&bias[..]))
        } else {
            let w = (0..out * taps * cg).map(|i| at(i / (taps * cg), i % cg, i / cg % taps)).collect();
            bias.resize(out, 0.0);
            PackedLayer::Grouped(w, bias)
        };
        let prepared = Arc::new(prepared);
        state.layers.insert(key.to_owned(), prepared.clone());
        prepared
    }

    /// Takes a convolution's kernel out of the store (see [`Cpu::layer`] for one that is not there).
    fn kernel(&self, layer: &str) -> Vec<f32> {
        let name = format!("{layer}.weight");
        let found = self.kernels.lock().remove(&name);
        found.unwrap_or_else(|| panic!("layer '{name}' is missing: weights must pass shape::check first"))
    }
}
