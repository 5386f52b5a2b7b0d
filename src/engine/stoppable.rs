//! Any executor, made to stop between two operations: a frame of a large generator takes seconds on a CPU, and whoever waits
//! for it may not want it any more.

use super::ops::{Act, Conv, Crop, Layer, Ops, Resize, Rnn, operations};
use super::shape::ShapeOps;
use std::cell::Cell;

/// [`Ops`] that computes as `ops` does until `stop` says so; from then on tensors are shapes without values, and the rest
/// of the network takes no time.
pub struct Stoppable<'a, O: Ops> {
    ops: &'a O,
    stop: &'a dyn Fn() -> bool,
    stopped: Cell<bool>,
    shapes: ShapeOps<'static>,
}

/// A tensor of the executor, or what is left of one.
#[derive(Debug, Clone)]
pub enum Tensor<T> {
    /// Computed.
    There(T),
    /// Not computed since the work was stopped; its shape (n, c, h, w).
    Gone([usize; 4]),
}

impl<T> Tensor<T> {
    /// The executor's tensor, unless it was never computed.
    pub fn there(&self) -> Option<&T> {
        match self {
            Tensor::There(x) => Some(x),
            Tensor::Gone(_) => None,
        }
    }
}

impl<'a, O: Ops> Stoppable<'a, O> {
    /// `stop` is asked before every operation, by the thread that runs the network.
    pub fn new(ops: &'a O, stop: &'a dyn Fn() -> bool) -> Stoppable<'a, O> {
        Stoppable { ops, stop, stopped: Cell::new(false), shapes: ShapeOps::without_weights() }
    }

    fn goes_on(&self) -> bool {
        if !self.stopped.get() && (self.stop)() {
            self.stopped.set(true);
        }
        !self.stopped.get()
    }
}

/// Each operation on the executor, or on shapes; `$t` are the tensor arguments, `$a` the others.
macro_rules! unless_stopped {
    ($(fn $name:ident(&self $(, $t:ident: &Self::Tensor)* ; $($a:ident: $ty:ty),*);)*) => {
        $(fn $name(&self $(, $t: &Self::Tensor)* $(, $a: $ty)*) -> Self::Tensor {
            if self.goes_on() && let ($(Tensor::There($t),)*) = ($($t,)*) {
                return Tensor::There(self.ops.$name($($t,)* $($a),*));
            }
            Tensor::Gone(self.shapes.$name($(&self.shape($t),)* $($a),*))
        })*
    };
}

impl<O: Ops> Ops for Stoppable<'_, O> {
    type Tensor = Tensor<O::Tensor>;

    fn shape(&self, x: &Self::Tensor) -> [usize; 4] {
        match x {
            Tensor::There(x) => self.ops.shape(x),
            Tensor::Gone(shape) => *shape,
        }
    }
    fn tensor(&self, shape: [usize; 4], values: &[f32]) -> Self::Tensor {
        Tensor::There(self.ops.tensor(shape, values))
    }
    fn concat(&self, xs: &[&Self::Tensor]) -> Self::Tensor {
        let there: Option<Vec<&O::Tensor>> = xs.iter().map(|x| x.there()).collect();
        match there.filter(|_| self.goes_on()) {
            Some(there) => Tensor::There(self.ops.concat(&there)),
            None => {
                let shapes: Vec<[usize; 4]> = xs.iter().map(|x| self.shape(x)).collect();
                Tensor::Gone(self.shapes.concat(&shapes.iter().collect::<Vec<_>>()))
            }
        }
    }
    fn rnn_from(&self, x: &Self::Tensor, state: &Self::Tensor, layer: Layer, rnn: Rnn) -> (Self::Tensor, Self::Tensor) {
        if self.goes_on()
            && let (Tensor::There(x), Tensor::There(state)) = (x, state)
        {
            let (out, last) = self.ops.rnn_from(x, state, layer, rnn);
            return (Tensor::There(out), Tensor::There(last));
        }
        let (out, last) = self.shapes.rnn_from(&self.shape(x), &self.shape(state), layer, rnn);
        (Tensor::Gone(out), Tensor::Gone(last))
    }
    fn name(&self, x: &Self::Tensor, name: &str) {
        if let Some(x) = x.there() {
            self.ops.name(x, name);
        }
    }

    operations!(unless_stopped);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plain::Plain;
    use crate::nets::generator::{self, Config};
    use crate::testing::Rng;
    use std::sync::Arc;

    /// Stopped at any operation the network runs to its end without computing; not stopped it is the executor's own.
    #[test]
    fn a_network_stops_where_it_is_told() {
        let config = Config { ngf: 2, levels: 1, spade: 3, frames: 1, audio: 4, ..Config::default() };
        let mut rng = Rng(3);
        let mut weights = crate::weights::Weights::default();
        for (name, shape) in crate::engine::shape::layers(|ops| {
            let reference = generator::reference(ops, &config, &[1, 6, 8, 8]);
            generator::forward(ops, &config, &reference, &[1, 3, 8, 8], None, None);
        }) {
            let values = rng.vec(shape.iter().product());
            weights.insert(name, crate::weights::Array::f32(shape, values));
        }
        let plain = Plain::new(Arc::new(weights));
        let (input, pncc) = (rng.vec(6 * 64), rng.vec(3 * 64));
        let run = |limit: usize| {
            let asked = Cell::new(0);
            let stop = || asked.replace(asked.get() + 1) >= limit;
            let ops = Stoppable::new(&plain, &stop);
            let reference = generator::reference(&ops, &config, &ops.tensor([1, 6, 8, 8], &input));
            let out = generator::forward(&ops, &config, &reference, &ops.tensor([1, 3, 8, 8], &pncc), None, None);
            assert_eq!(ops.shape(&out.image), [1, 3, 8, 8]);
            (out.image.there().map(|x| x.data.to_vec()), asked.get())
        };
        let (whole, operations) = run(usize::MAX);
        let reference = generator::reference(&plain, &config, &plain.tensor([1, 6, 8, 8], &input));
        let out = generator::forward(&plain, &config, &reference, &plain.tensor([1, 3, 8, 8], &pncc), None, None);
        assert_eq!(whole.as_deref(), Some(&out.image.data[..]));
        for limit in 0..operations {
            let (image, asked) = run(limit);
            assert!(image.is_none(), "stopped after {limit} of {operations}");
            assert_eq!(asked, limit + 1, "nobody is asked again");
        }
    }
}
