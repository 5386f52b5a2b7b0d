//! The network on a spectrogram that comes in pieces: each moment as soon as all is there that it depends on.
//!
//! A layer that processes several columns at once has a queue in front of it, which keeps the columns of its next window. Zeros pad only
//! the beginning and the end of the sound, as many as the layer pads. Recurrent layers go on from their last state.

use super::{Config, convolutions, convolved, labelled, recurrent};
use crate::engine::{Conv, Executor};
use crate::{Error, Result};

/// What a network in one direction remembers of a spectrogram: as much after an hour as after a second.
pub struct Stream<'a, E: Executor> {
    ops: &'a E,
    config: Config,
    /// In front of the first convolution.
    spectra: Queue,
    /// In front of the second one.
    convolved: Queue,
    /// Of each recurrent layer.
    states: Vec<E::Tensor>,
    /// In front of the look-ahead.
    heard: Queue,
}

impl<'a, E: Executor> Stream<'a, E> {
    /// A stream without spectra yet.
    ///
    /// # Errors
    /// [`Error::Model`] for a network that runs in both directions.
    pub fn new(ops: &'a E, config: &Config) -> Result<Stream<'a, E>> {
        if config.bidirectional() {
            return Err(Error::Model(
                "the acoustic model also runs from the end of a sound to its beginning, so it cannot hear one as it comes: use a \
                 model with a look-ahead, or give it the whole sound"
                    .into(),
            ));
        }
        let [first, second] = convolutions(config);
        let rows = first.out_size(config.bins, first.kernel.1).0;
        let along_time = |shape, conv: Conv| Queue::new(shape, conv.kernel.1, conv.stride.1, [conv.pad.1; 2]);
        let zeros = vec![0.0; config.rnn().state()];
        Ok(Stream {
            ops,
            config: *config,
            spectra: along_time([1, config.bins], first),
            convolved: along_time([config.channels, rows], second),
            states: (0..config.layers).map(|_| ops.tensor([1, zeros.len(), 1, 1], &zeros)).collect(),
            heard: Queue::new([config.hidden, 1], config.context, 1, [0, config.context - 1]),
        })
    }

    /// Takes the next spectra, `[spectra, bins]`; returns the logits of the moments that they settle, `[moments, labels]`.
    pub fn push(&mut self, spectra: &[f32]) -> Vec<f32> {
        self.spectra.columns.extend_from_slice(spectra);
        self.advance(false)
    }

    /// There are no more spectra: the logits of the other moments.
    pub fn finish(mut self) -> Vec<f32> {
        self.advance(true)
    }

    fn advance(&mut self, last: bool) -> Vec<f32> {
        let (ops, config, states) = (self.ops, &self.config, &mut self.states);
        // The queues pad along time.
        let [first, second] = convolutions(config).map(|conv| Conv { pad: (conv.pad.0, 0), ..conv });
        if let Some(x) = self.spectra.take(ops, last) {
            self.convolved.put(&ops.values(&convolved(ops, &x, 0, first)));
        }
        if let Some(x) = self.convolved.take(ops, last) {
            let x = convolved(ops, &x, 1, second);
            let x = recurrent(ops, config, x, |i, x, layer, rnn| {
                let (x, state) = ops.rnn_from(x, &states[i], layer, rnn);
                states[i] = state;
                x
            });
            self.heard.put(&ops.values(&x));
        }
        let Some(x) = self.heard.take(ops, last) else { return Vec::new() };
        let mut logits = transposed(&ops.values(&labelled(ops, config, &x)), config.labels);
        // The last columns serve only as look-ahead: their own is incomplete.
        logits.truncate(logits.len() - (config.context - 1) * config.labels);
        logits
    }
}

/// Columns that wait until a layer's window over them is whole.
struct Queue {
    /// Channels and rows.
    shape: [usize; 2],
    /// Columns of a window.
    kernel: usize,
    /// Columns from one window to the next; no more than `kernel`.
    stride: usize,
    /// Columns of zeros behind the last one.
    after: usize,
    /// Column by column.
    columns: Vec<f32>,
}

impl Queue {
    /// With `pad` columns of zeros before the first column and behind the last one.
    fn new(shape: [usize; 2], kernel: usize, stride: usize, pad: [usize; 2]) -> Queue {
        let columns = vec![0.0; pad[0] * shape[0] * shape[1]];
        Queue { shape, kernel, stride, after: pad[1], columns }
    }

    /// Adds a tensor's values, `[1, c, h, t]`.
    fn put(&mut self, values: &[f32]) {
        let [c, h] = self.shape;
        self.columns.extend(transposed(values, c * h));
    }

    /// The columns that whole windows see, `[1, c, h, t]`; keeps what the next window sees too. `None` where no window is whole.
    /// With `last` no more columns come.
    fn take<E: Executor>(&mut self, ops: &E, last: bool) -> Option<E::Tensor> {
        let [c, h] = self.shape;
        let size = c * h;
        if last {
            self.columns.resize(self.columns.len() + self.after * size, 0.0);
        }
        let more = (self.columns.len() / size).checked_sub(self.kernel)? / self.stride;
        let seen = more * self.stride + self.kernel;
        let x = ops.tensor([1, c, h, seen], &transposed(&self.columns[..seen * size], seen));
        self.columns.drain(..(more + 1) * self.stride * size);
        Some(x)
    }
}

/// `rows` rows, column by column.
fn transposed(values: &[f32], rows: usize) -> Vec<f32> {
    let columns = values.len() / rows;
    (0..columns).flat_map(|column| values[column..].iter().step_by(columns)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Cell, cpu, plain::Plain, shape};
    use crate::nets::deepspeech2::{deepspeech2, moments};
    use crate::testing::{Rng, random_weights};
    use crate::weights::Weights;
    use std::sync::Arc;

    const BINS: usize = 33;

    fn config(cell: Cell, context: usize) -> Config {
        Config { cell, channels: 8, hidden: 12, layers: 3, context, labels: 5, bins: BINS }
    }

    fn weights(config: &Config) -> Arc<Weights> {
        let layers = shape::layers(|ops| {
            deepspeech2(ops, config, &[1, 1, BINS, 9]);
        });
        Arc::new(random_weights(&layers, 5))
    }

    /// In pieces of any size every moment is what it is in the whole, and comes as soon as it can.
    fn pieces<E: Executor>(config: &Config, ops: &E) {
        for t in [1, 2, 5, 11, 12, 61] {
            let spectra = Rng(t as u64).vec(BINS * t);
            let x = ops.tensor([1, 1, BINS, t], &transposed(&spectra, t));
            let whole = transposed(&ops.values(&deepspeech2(ops, config, &x)), 5);
            let mut rng = Rng(77);
            for most in [1, 2, 3, 7, 30, 100] {
                let (mut stream, mut heard, mut got) = (Stream::new(ops, config).unwrap(), 0, Vec::new());
                while heard < t {
                    let to = t.min(heard + 1 + rng.below(most));
                    got.extend(stream.push(&spectra[BINS * heard..BINS * to]));
                    heard = to;
                    let settled = (heard.saturating_sub(config.reach().unwrap())).div_ceil(2);
                    assert_eq!(got.len(), 5 * settled, "{config:?}: {heard} of {t} spectra");
                }
                got.extend(stream.finish());
                assert_eq!(got.len(), 5 * moments(t));
                let apart = got.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 1e-5, "{config:?}, {t} spectra, up to {most} a piece: {apart}");
            }
        }
        assert!(Stream::new(ops, config).unwrap().finish().is_empty());
    }

    #[test]
    fn pieces_make_the_whole() {
        for cell in [Cell::Tanh, Cell::Gru, Cell::Lstm] {
            for context in [1, 4] {
                let config = config(cell, context);
                pieces(&config, &Plain::new(weights(&config)));
                for threads in [1, 2] {
                    pieces(&config, &cpu::Cpu::new(weights(&config), &cpu::Options { threads, ..Default::default() }));
                }
            }
        }
    }

    #[test]
    fn both_directions_are_refused() {
        let config = config(Cell::Gru, 0);
        let error = Stream::new(&Plain::new(weights(&config)), &config).err().unwrap().to_string();
        assert!(error.contains("look-ahead") && config.reach().is_none(), "{error}");
    }
}
