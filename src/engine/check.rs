//! The embedded engine with every operation repeated by the plain executor and compared.
//!
//! Slow. Tests use it, and the feature `check` puts it in the place of the embedded engine
//! ([`Embedded`](super::Embedded)).

use super::cpu::{Cpu, Options, Tensor};
use super::ops::{Act, Conv, Crop, Executor, Layer, Ops, Resize, Rnn, operations};
use super::plain::{self, Plain};
use crate::weights::Weights;
use parking_lot::Mutex;
use std::ops::Deref;
use std::sync::Arc;

/// Largest difference allowed, relative to the largest value of the plain result (at least 1).
pub const TOLERANCE: f32 = 2e-4;

/// [`Cpu`] beside [`Plain`]: every operation runs on both, from the same input.
#[derive(Debug)]
pub struct Check {
    cpu: Cpu,
    plain: Plain,
    worst: Mutex<(f32, String)>,
}

impl Deref for Check {
    type Target = Cpu;
    fn deref(&self) -> &Cpu {
        &self.cpu
    }
}

impl Check {
    /// As [`Cpu::new`].
    pub fn new(weights: Arc<Weights>, options: &Options) -> Check {
        Check { cpu: Cpu::new(weights.clone(), options), plain: Plain::new(weights), worst: Mutex::default() }
    }

    /// The largest relative difference so far and the operation that made it.
    pub fn worst(&self) -> (f32, String) {
        self.worst.lock().clone()
    }

    fn up(&self, x: &Tensor) -> plain::Tensor {
        plain::Tensor::new(self.cpu.shape(x), self.cpu.values(x))
    }

    /// Compares and hands the fast result on.
    ///
    /// # Panics
    /// Where they differ by more than [`TOLERANCE`]: that is what this executor is for.
    fn same(&self, fast: Tensor, plain: plain::Tensor, operation: &str) -> Tensor {
        assert_eq!(self.cpu.shape(&fast), plain.shape, "{operation}: shapes");
        let scale = plain.data.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        let values = self.cpu.values(&fast);
        let mut difference = 0.0f32;
        for (a, b) in values.iter().zip(plain.data.iter()) {
            let d = (a - b).abs() / scale;
            difference = if d.is_nan() { f32::INFINITY } else { difference.max(d) };
        }
        let mut worst = self.worst.lock();
        if difference > worst.0 {
            *worst = (difference, operation.to_owned());
        }
        assert!(difference <= TOLERANCE, "{operation}: the fast engine differs by {difference} of the largest value");
        fast
    }
}

/// Each operation on both executors; `$t` are the tensor arguments, `$a` the others.
macro_rules! both {
    ($(fn $name:ident(&self $(, $t:ident: &Self::Tensor)* ; $($a:ident: $ty:ty),*);)*) => {
        $(fn $name(&self $(, $t: &Tensor)* $(, $a: $ty)*) -> Tensor {
            let operation = format!("{} {:?}", stringify!($name), ($($a.clone(),)*));
            self.same(self.cpu.$name($($t,)* $($a),*), self.plain.$name($(&self.up($t),)* $($a),*), &operation)
        })*
    };
}

impl Executor for Check {
    fn values(&self, x: &Tensor) -> Vec<f32> {
        self.cpu.values(x)
    }
}

impl Ops for Check {
    type Tensor = Tensor;

    fn shape(&self, x: &Tensor) -> [usize; 4] {
        self.cpu.shape(x)
    }
    fn tensor(&self, shape: [usize; 4], values: &[f32]) -> Tensor {
        self.cpu.tensor(shape, values)
    }
    fn concat(&self, xs: &[&Tensor]) -> Tensor {
        let plain: Vec<_> = xs.iter().map(|x| self.up(x)).collect();
        self.same(self.cpu.concat(xs), self.plain.concat(&plain.iter().collect::<Vec<_>>()), "concat")
    }
    fn rnn_from(&self, x: &Tensor, state: &Tensor, layer: Layer, rnn: Rnn) -> (Tensor, Tensor) {
        let fast = self.cpu.rnn_from(x, state, layer, rnn);
        let plain = self.plain.rnn_from(&self.up(x), &self.up(state), layer, rnn);
        let operation = format!("rnn_from {layer:?} {rnn:?}");
        (self.same(fast.0, plain.0, &operation), self.same(fast.1, plain.1, &format!("{operation}, its state")))
    }

    operations!(both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::suite;

    /// On one thread and two, with transformed weights computed for each frame and kept.
    const OPTIONS: [Options; 2] = [Options { threads: 1, keep: 0 }, Options { threads: 2, keep: usize::MAX }];

    #[test]
    fn operations() {
        for options in OPTIONS {
            suite::operations(|weights| Check::new(weights, &options));
        }
    }

    #[test]
    fn networks() {
        let expected = suite::networks(Plain::new);
        for options in OPTIONS {
            suite::compare(&expected, &suite::networks(|weights| Cpu::new(weights, &options)), 1e-4);
        }
    }

    #[test]
    fn official() {
        suite::official(Plain::new);
        for options in OPTIONS {
            suite::official(|weights| Cpu::new(weights, &options));
        }
    }
}
