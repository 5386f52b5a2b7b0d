//! How much memory a network takes: it is run on shapes, and what is alive at once is counted.

use super::ops::{Act, Conv, Crop, Layer, Ops, Resize, Rnn, operations};
use super::shape::ShapeOps;
use std::cell::Cell;
use std::rc::Rc;

/// The most values that `network` holds at once, its inputs and intermediate results included, weights not.
///
/// Engines add what their kernels need besides.
pub fn peak(network: impl FnOnce(&Counting)) -> usize {
    let ops = Counting { shapes: ShapeOps::without_weights(), count: Rc::default() };
    network(&ops);
    ops.count.most.get()
}

#[derive(Debug, Default)]
struct Count {
    now: Cell<usize>,
    most: Cell<usize>,
}

/// A tensor that counts as long as somebody holds it.
#[derive(Debug)]
pub struct Held {
    shape: [usize; 4],
    count: Rc<Count>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let values: usize = self.shape.iter().product();
        self.count.now.set(self.count.now.get() - values);
    }
}

/// [`Ops`] that only count. See [`peak`].
pub struct Counting {
    shapes: ShapeOps<'static>,
    count: Rc<Count>,
}

impl Counting {
    fn hold(&self, shape: [usize; 4]) -> Rc<Held> {
        let count = &self.count;
        count.now.set(count.now.get() + shape.iter().product::<usize>());
        count.most.set(count.most.get().max(count.now.get()));
        Rc::new(Held { shape, count: count.clone() })
    }
}

/// Each operation by its shape; `$t` are the tensor arguments, `$a` the others.
macro_rules! by_shape {
    ($(fn $name:ident(&self $(, $t:ident: &Self::Tensor)* ; $($a:ident: $ty:ty),*);)*) => {
        $(fn $name(&self $(, $t: &Rc<Held>)* $(, $a: $ty)*) -> Rc<Held> {
            self.hold(self.shapes.$name($(&$t.shape,)* $($a),*))
        })*
    };
}

impl Ops for Counting {
    type Tensor = Rc<Held>;

    fn shape(&self, x: &Rc<Held>) -> [usize; 4] {
        x.shape
    }
    fn tensor(&self, shape: [usize; 4], _values: &[f32]) -> Rc<Held> {
        self.hold(shape)
    }
    fn concat(&self, xs: &[&Rc<Held>]) -> Rc<Held> {
        let shapes: Vec<_> = xs.iter().map(|x| &x.shape).collect();
        self.hold(self.shapes.concat(&shapes))
    }
    fn rnn_from(&self, x: &Rc<Held>, state: &Rc<Held>, layer: Layer, rnn: Rnn) -> (Rc<Held>, Rc<Held>) {
        let (out, last) = self.shapes.rnn_from(&x.shape, &state.shape, layer, rnn);
        (self.hold(out), self.hold(last))
    }

    operations!(by_shape);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_counts_no_more() {
        let values = peak(|ops| {
            let x = ops.tensor([1, 2, 4, 4], &[]); // 32
            let y = ops.conv2d(&x, "a", Conv::same(8, 3)); // 32 + 128
            drop(x);
            let z = ops.relu(&y); // 128 + 128
            drop((y, z.clone()));
            ops.slice(&z, 0, 2); // 128 + 32
        });
        assert_eq!(values, 256);
    }
}
