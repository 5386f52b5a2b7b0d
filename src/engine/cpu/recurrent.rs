//! Recurrent layers: the input's part of all moments is one product of matrices; what the state adds is a product of a matrix and a
//! vector a moment. Directions and batches are independent and run side by side. A layer's state has the form of [`Rnn::state`].

use super::gemm::{self, Rows};
use super::layers::PackedLayer;
use super::pool::Buffer;
use super::threads::SendPtr;
use super::{Act, Cpu, Layer, Tensor, direct};
use crate::engine::ops::{Cell, Rnn};
use std::sync::Arc;

impl Cpu {
    pub(super) fn recurrent(&self, x: &Tensor, start: &Tensor, layer: Layer, rnn: Rnn) -> (Tensor, Tensor) {
        let ([n, c, h, t], hidden) = (x.shape, rnn.hidden);
        let directions = rnn.directions();
        let gates = rnn.cell.gates() * hidden;
        let prepared: Vec<_> =
            directions.iter().map(|d| self.prepare_recurrent(layer, d, rnn.cell, [c, h, hidden])).collect();
        // By image, direction and moment.
        let mut inputs = self.pool.take(n * directions.len() * t * gates);
        for (i, out) in inputs.chunks_exact_mut((t * gates).max(1)).enumerate() {
            let PackedLayer::Recurrent(weights, bias, _) = &*prepared[i % directions.len()] else { continue };
            let x = &x.data[i / directions.len() * c * h * t..][..c * h * t];
            // A moment's values are a column of the picture: h pieces of c.
            let rows = Rows { runs: h, len: c, run_step: t * c, row_step: c };
            let part = t.div_ceil(4 * self.threads.count()).max(48).next_multiple_of(12);
            let (first, out) = (x.as_ptr() as usize, SendPtr(out.as_mut_ptr()));
            self.threads.run(t.div_ceil(part), |i| {
                let (from, count) = (i * part, part.min(t - i * part));
                // SAFETY: columns from .. from + count, whose results no other task has.
                unsafe {
                    let (a, y) = ((first as *const f32).add(from * c), out.get().add(from * gates));
                    let level = self.level.for_channels(gates);
                    gemm::multiply(level, a, rows, count, weights, bias, gates, Act::None, y, gates);
                }
            });
        }
        let width = directions.len() * hidden;
        let (mut out, mut last) = (self.pool.take(n * t * width), self.pool.take(n * rnn.state()));
        let (target, target_state) = (SendPtr(out.as_mut_ptr()), SendPtr(last.as_mut_ptr()));
        self.threads.run(n * directions.len(), |i| {
            let (image, d) = (i / directions.len(), i % directions.len());
            let PackedLayer::Recurrent(_, _, bias) = &*prepared[d] else { return };
            let weights = self.layer(layer, &format!("weight_hh_{}", directions[d]));
            let inputs = &inputs[i * t * gates..][..t * gates];
            // Each direction's hidden values, then each one's cell, where there is one.
            let parts = (0..rnn.state() / width).map(|part| image * rnn.state() + part * width + d * hidden);
            let mut state = State::new(self, rnn.cell, hidden);
            for (to, from) in [&mut state.h, &mut state.c].into_iter().zip(parts.clone()) {
                to.copy_from_slice(&start.data[from..from + hidden]);
            }
            for step in 0..t {
                let at = if d == 0 { step } else { t - 1 - step };
                state.step(self, weights, bias, &inputs[at * gates..][..gates]);
                // SAFETY: this image's moment, this direction's channels: no other task writes them.
                let out = unsafe {
                    std::slice::from_raw_parts_mut(target.get().add((image * t + at) * width + d * hidden), hidden)
                };
                out.copy_from_slice(&state.h);
            }
            for (from, to) in [&state.h, &state.c].into_iter().zip(parts) {
                // SAFETY: this image's and this direction's part of the state: no other task writes it.
                let to = unsafe { std::slice::from_raw_parts_mut(target_state.get().add(to), hidden) };
                to.copy_from_slice(from);
            }
        });
        (self.done([n, width, 1, t], out), self.done(start.shape, last))
    }

    /// The layer in one direction, packed at its first use.
    fn prepare_recurrent(
        &self,
        layer: Layer,
        direction: &str,
        cell: Cell,
        [c, h, hidden]: [usize; 3],
    ) -> Arc<PackedLayer> {
        let key = format!("{layer}.{direction}");
        let mut state = self.prepared.lock();
        if let Some(found) = state.layers.get(&key) {
            return found.clone();
        }
        let part = |name: &str| self.layer(layer, &format!("{name}_{direction}"));
        let (weights, bias, state_bias) = (part("weight_ih"), part("bias_ih"), part("bias_hh"));
        let gates = bias.len();
        let level = self.level.for_channels(gates);
        // A column's values come row by row, the layer's channel by channel.
        let packed = gemm::pack(level, h * c, gates, |k, n| weights[n * c * h + k % c * h + k / c]);
        let bias = gemm::pack(level, 1, gates, |_, n| bias[n]);
        let prepared = Arc::new(PackedLayer::Recurrent(packed, bias, state_bias.to_vec()));
        debug_assert_eq!(gates, cell.gates() * hidden);
        state.layers.insert(key, prepared.clone());
        prepared
    }
}

/// What a layer remembers in one direction.
struct State {
    cell: Cell,
    /// `[hidden]`: the layer's result.
    h: Buffer,
    /// `[hidden]`: the LSTM's cell.
    c: Buffer,
    /// `[gates hidden]`: what the state adds.
    gates: Buffer,
}

impl State {
    fn new(cpu: &Cpu, cell: Cell, hidden: usize) -> State {
        let zeros = |n: usize| {
            let mut out = cpu.pool.take(n);
            out.fill(0.0);
            out
        };
        State { cell, h: zeros(hidden), c: zeros(hidden), gates: zeros(cell.gates() * hidden) }
    }

    /// One moment whose input adds `x`.
    fn step(&mut self, cpu: &Cpu, weights: &[f32], bias: &[f32], x: &[f32]) {
        let hidden = self.h.len();
        let rows = Rows { runs: 1, len: hidden, run_step: 0, row_step: hidden };
        let count = self.gates.len();
        // The rows of the matrix are the "pixels", the state the one column.
        // SAFETY: `count` rows of `hidden` values, as many results.
        unsafe {
            direct::few(cpu.level, weights.as_ptr(), rows, count, &self.h, &[], 1, Act::None, self.gates.as_mut_ptr());
        };
        for (g, b) in self.gates.iter_mut().zip(bias) {
            *g += b;
        }
        let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
        let g = &self.gates;
        match self.cell {
            Cell::Tanh => {
                for i in 0..hidden {
                    self.h[i] = (x[i] + g[i]).tanh();
                }
            }
            Cell::Gru => {
                for i in 0..hidden {
                    let (u, n) = (hidden + i, 2 * hidden + i);
                    let (reset, update) = (sigmoid(x[i] + g[i]), sigmoid(x[u] + g[u]));
                    let new = (x[n] + reset * g[n]).tanh();
                    self.h[i] = new + update * (self.h[i] - new);
                }
            }
            Cell::Lstm => {
                for i in 0..hidden {
                    let gate = |k: usize| x[k * hidden + i] + g[k * hidden + i];
                    self.c[i] = sigmoid(gate(1)) * self.c[i] + sigmoid(gate(0)) * gate(2).tanh();
                    self.h[i] = sigmoid(gate(3)) * self.c[i].tanh();
                }
            }
        }
    }
}
