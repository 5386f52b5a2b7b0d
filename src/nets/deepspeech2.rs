//! Deep Speech 2: from a spectrogram to the characters spoken, a moment at a time.
//!
//! Amodei et al., "Deep Speech 2: End-to-End Speech Recognition in English and Mandarin", <https://arxiv.org/abs/1512.02595>; the
//! look-ahead convolution of Wang et al., "Lookahead Convolution Layer for Unidirectional Recurrent Neural Networks", 2016. Layout and
//! layer names of SeanNaren/deepspeech.pytorch (`deepspeech_pytorch/model.py`). Two layers are stored as what they are here,
//! convolutions: the last one's weights are `[labels, hidden, 1, 1]`.

mod stream;

pub use stream::Stream;

use crate::engine::{Cell, Conv, Layer, Ops, Rnn};
use crate::weights::Weights;
use crate::{Error, Result};

/// Epsilon of every batch norm of the network.
const EPS: f32 = 1e-5;
/// What both convolutions' results are clamped to, and a look-ahead's.
const TOP: f32 = 20.0;
/// Most of everything that a configuration counts, so that damaged weights cannot ask for all memory.
const MOST: usize = 1 << 16;

/// Spectra for each moment that comes out.
pub const STRIDE: usize = 2;

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Of the recurrent layers.
    pub cell: Cell,
    /// Channels of both convolutions; 32 in deepspeech.pytorch.
    pub channels: usize,
    /// Values of a recurrent layer's state.
    pub hidden: usize,
    /// Recurrent layers.
    pub layers: usize,
    /// Moments of the look-ahead; 0 for a network that runs in both directions and has none.
    pub context: usize,
    /// Characters, the blank among them.
    pub labels: usize,
    /// Values of a spectrum.
    pub bins: usize,
}

impl Config {
    /// Whether recurrent layers run in both directions.
    pub fn bidirectional(&self) -> bool {
        self.context == 0
    }

    /// How many spectra behind its own a moment depends on; `None` where the network runs in both directions.
    pub fn reach(&self) -> Option<usize> {
        let [first, second] = convolutions(self);
        let ahead = self.context.checked_sub(1)?;
        Some((ahead + second.pad.1) * STRIDE + first.pad.1)
    }

    fn rnn(&self) -> Rnn {
        Rnn { cell: self.cell, hidden: self.hidden, bidirectional: self.bidirectional() }
    }

    /// The configuration that weights with the names of this module belong to. Several numbers of bins give the same shapes; it is the
    /// least, which is that of windows of 20 ms at 8 and 16 kHz.
    ///
    /// # Errors
    /// [`Error::Model`] naming the layer that is missing or of a shape that no such network has.
    pub fn infer(weights: &Weights) -> Result<Config> {
        let shape = |name: &str, rank: usize| match weights.get(name) {
            Some(a) if a.shape.len() == rank && a.shape.iter().all(|d| (1..=MOST).contains(d)) => Ok(a.shape.clone()),
            Some(a) => {
                Err(Error::model(format!("layer '{name}' has shape {:?}, which Deep Speech 2 does not have", a.shape)))
            }
            None => Err(Error::model(format!("layer '{name}' is missing; this is another network than Deep Speech 2"))),
        };
        let first = shape("rnns.0.rnn.weight_ih_l0", 2)?;
        let state = shape("rnns.0.rnn.weight_hh_l0", 2)?;
        let hidden = state[1];
        let cells = [Cell::Tanh, Cell::Gru, Cell::Lstm];
        let cell = cells.into_iter().find(|cell| cell.gates() * hidden == state[0]).ok_or_else(|| {
            Error::model(format!(
                "layer 'rnns.0.rnn.weight_hh_l0' has shape {state:?}, which no GRU, LSTM or tanh RNN has"
            ))
        })?;
        let channels = shape("conv.seq_module.0.weight", 4)?[0];
        let rows = first[1] / channels;
        if !first[1].is_multiple_of(channels) || rows == 0 {
            return Err(Error::model(format!(
                "layer 'rnns.0.rnn.weight_ih_l0' has {} inputs, no multiple of the convolutions' {channels} channels",
                first[1]
            )));
        }
        let layers = (0..).take_while(|i| weights.get(&format!("rnns.{i}.rnn.weight_ih_l0")).is_some()).count();
        let context = match weights.get("rnns.0.rnn.weight_ih_l0_reverse") {
            Some(_) => 0,
            None => shape("lookahead.0.conv.weight", 3)?[2],
        };
        let labels = shape("fc.0.module.1.weight", 4)?[0];
        Ok(Config { cell, channels, hidden, layers, context, labels, bins: 4 * rows - 3 })
    }
}

/// Moments that come out of `spectra`.
pub fn moments(spectra: usize) -> usize {
    spectra.div_ceil(STRIDE)
}

/// The network on `x`, `[n, 1, bins, t]`: spectrograms as [`audio::spectrogram`](crate::audio::spectrogram) makes them. Returns
/// `[n, labels, 1, ceil(t / 2)]`, logits. [`Stream`] is the same on a spectrogram that comes in pieces.
pub fn deepspeech2<O: Ops>(ops: &O, config: &Config, x: &O::Tensor) -> O::Tensor {
    let [first, second] = convolutions(config);
    let x = convolved(ops, x, 0, first); // [n, channels, bins/2, t/2]
    let x = convolved(ops, &x, 1, second); // [n, channels, bins/4, t/2]
    let x = recurrent(ops, config, x, |_, x, layer, rnn| ops.rnn(x, layer, rnn)); // [n, hidden, 1, t/2]
    labelled(ops, config, &x)
}

/// Both convolutions. Along time they see zeros before the first moment and behind the last one.
fn convolutions(config: &Config) -> [Conv; 2] {
    let first = Conv { kernel: (41, 11), stride: (2, STRIDE), pad: (20, 5), ..Conv::same(config.channels, 1) };
    let second = Conv { kernel: (21, 11), stride: (2, 1), pad: (10, 5), ..Conv::same(config.channels, 1) };
    [first, second]
}

/// The convolution of this number with what follows it.
fn convolved<O: Ops>(ops: &O, x: &O::Tensor, number: usize, conv: Conv) -> O::Tensor {
    let [layer, bn] = [3 * number, 3 * number + 1].map(|i| format!("conv.seq_module.{i}"));
    ops.clamp(&ops.conv_bn(x, &layer, conv, &bn, EPS), 0.0, TOP)
}

/// The recurrent layers; each is run by `run(number, x, name, layer)`.
fn recurrent<O: Ops>(
    ops: &O,
    config: &Config,
    mut x: O::Tensor,
    mut run: impl FnMut(usize, &O::Tensor, Layer, Rnn) -> O::Tensor,
) -> O::Tensor {
    for i in 0..config.layers {
        if i > 0 {
            x = ops.batch_norm(&x, &format!("rnns.{i}.batch_norm.module"), EPS);
        }
        x = run(i, &x, &format!("rnns.{i}.rnn"), config.rnn());
        if config.bidirectional() {
            x = ops.add(&ops.slice(&x, 0, config.hidden), &ops.slice(&x, config.hidden, config.hidden));
        }
    }
    x
}

/// The look-ahead, where there is one, and the labels' logits.
fn labelled<O: Ops>(ops: &O, config: &Config, x: &O::Tensor) -> O::Tensor {
    let mut x = x.clone();
    if config.context > 0 {
        x = ops.clamp(&ops.lookahead(&x, "lookahead.0.conv", config.context), 0.0, TOP);
    }
    let x = ops.batch_norm(&x, "fc.0.module.0", EPS);
    ops.conv2d(&x, "fc.0.module.1", Conv::same(config.labels, 1).no_bias())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Executor, cpu, plain::Plain, shape};
    use crate::testing::{Rng, random_weights};
    use crate::weights::Array;
    use std::sync::Arc;

    fn config(cell: Cell, context: usize) -> Config {
        Config { cell, channels: 8, hidden: 12, layers: 3, context, labels: 5, bins: 33 }
    }

    fn weights(config: &Config) -> Weights {
        let layers = shape::layers(|ops| {
            deepspeech2(ops, config, &[1, 1, config.bins, 9]);
        });
        random_weights(&layers, 5)
    }

    #[test]
    fn the_configuration_is_read_off_the_shapes() {
        for cell in [Cell::Tanh, Cell::Gru, Cell::Lstm] {
            for context in [0, 4] {
                let config = config(cell, context);
                let weights = weights(&config);
                assert_eq!(Config::infer(&weights).unwrap(), config);
                let shapes = shape::check(&weights, |ops| {
                    for t in 1..40 {
                        assert_eq!(deepspeech2(ops, &config, &[2, 1, 33, t]), [2, 5, 1, moments(t)]);
                    }
                });
                assert_eq!(shapes.unwrap().unused, Vec::<String>::new());
            }
        }
    }

    #[test]
    fn other_networks_are_named() {
        let good = weights(&config(Cell::Gru, 4));
        let text = |change: &dyn Fn(&mut Weights)| {
            let mut weights = good.clone();
            change(&mut weights);
            Config::infer(&weights).unwrap_err().to_string()
        };
        let zeros = |shape: &[usize]| Array::f32(shape.to_vec(), vec![0.0; shape.iter().product()]);
        assert!(text(&|w| w.arrays.clear()).contains("weight_ih_l0' is missing"));
        assert!(text(&|w| w.insert("rnns.0.rnn.weight_hh_l0", zeros(&[24, 12]))).contains("[24, 12]"));
        assert!(text(&|w| w.insert("rnns.0.rnn.weight_ih_l0", zeros(&[36, 50]))).contains("50 inputs"));
        assert!(text(&|w| drop(w.arrays.remove("lookahead.0.conv.weight"))).contains("lookahead"));
        assert!(text(&|w| w.insert("fc.0.module.1.weight", zeros(&[5, 12]))).contains("[5, 12]"));
    }

    /// What comes later changes nothing before it but within the convolutions' and the look-ahead's reach, unless layers run
    /// backwards.
    #[test]
    fn one_direction_looks_ahead_as_far_as_stated() {
        let config = config(Cell::Lstm, 4);
        let cpu = cpu::Cpu::new(Arc::new(weights(&config)), &cpu::Options::default());
        let run = |values: &[f32]| cpu.values(&deepspeech2(&cpu, &config, &cpu.tensor([1, 1, 33, 80], values)));
        let mut values = Rng(3).vec(33 * 80);
        let before = run(&values);
        // From spectrum 60 on: 5 spectra back through the first convolution, 5 moments through the second, 3 through the look-ahead.
        values.chunks_exact_mut(80).for_each(|row| row[60..].fill(1.0));
        let after = run(&values);
        let first = (0..40).find(|t| (0..5).any(|c| before[c * 40 + t] != after[c * 40 + t])).unwrap();
        assert!((60 - 5usize).div_ceil(2) - 5 - 3 == first, "{first}");
    }

    /// Against a step written out by hand: hidden 1, one input, all weights different.
    #[test]
    fn cells_by_hand() {
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        for cell in [Cell::Tanh, Cell::Gru, Cell::Lstm] {
            let g = cell.gates();
            let list = |from: f32| (0..g).map(|i| from + 0.1 * i as f32).collect::<Vec<_>>();
            let (wx, wh, bx, bh) = (list(0.5), list(-0.7), list(0.05), list(-0.02));
            let mut w = Weights::default();
            w.insert("r.weight_ih_l0", Array::f32([g, 1], wx.clone()));
            w.insert("r.weight_hh_l0", Array::f32([g, 1], wh.clone()));
            w.insert("r.bias_ih_l0", Array::f32([g], bx.clone()));
            w.insert("r.bias_hh_l0", Array::f32([g], bh.clone()));
            let inputs = [0.3f32, -1.2, 2.0];
            let (mut h, mut c) = (0.0f64, 0.0f64);
            let mut expected = Vec::new();
            for x in inputs {
                let from_x = |k: usize| f64::from(wx[k]) * f64::from(x) + f64::from(bx[k]);
                let from_h = |k: usize| f64::from(wh[k]) * h + f64::from(bh[k]);
                h = match cell {
                    Cell::Tanh => (from_x(0) + from_h(0)).tanh(),
                    Cell::Gru => {
                        let (r, z) = (sigmoid(from_x(0) + from_h(0)), sigmoid(from_x(1) + from_h(1)));
                        (1.0 - z) * (from_x(2) + r * from_h(2)).tanh() + z * h
                    }
                    Cell::Lstm => {
                        let gate = |k: usize| from_x(k) + from_h(k);
                        c = sigmoid(gate(1)) * c + sigmoid(gate(0)) * gate(2).tanh();
                        sigmoid(gate(3)) * c.tanh()
                    }
                };
                expected.push(h as f32);
            }
            let rnn = Rnn { cell, hidden: 1, bidirectional: false };
            let near = |got: Vec<f32>| {
                assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{cell:?}: {got:?} {expected:?}");
            };
            let plain = Plain::new(Arc::new(w.clone()));
            near(plain.values(&plain.rnn(&plain.tensor([1, 1, 1, 3], &inputs), "r", rnn)));
            let cpu = cpu::Cpu::new(Arc::new(w), &cpu::Options::default());
            near(cpu.values(&cpu.rnn(&cpu.tensor([1, 1, 1, 3], &inputs), "r", rnn)));
        }
    }
}
