//! The embedded engine with every operation repeated by the plain executor and compared.
//!
//! Slow. Tests use it, and the feature `check` puts it in the place of the embedded engine
//! ([`Embedded`](super::Embedded)).

use super::cpu::{Cpu, Options, Tensor};
use super::ops::{Act, Conv, Layer, Ops, Resize};
use super::plain::{self, Plain};
use crate::models::Weights;
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

    both! {
        fn conv2d(&self, x: &Self::Tensor; layer: Layer, conv: Conv);
        fn linear(&self, x: &Self::Tensor; layer: Layer, out: usize);
        fn batch_norm(&self, x: &Self::Tensor; layer: Layer, eps: f32);
        fn instance_norm(&self, x: &Self::Tensor; affine: Option<Layer>, act: Act);
        fn relu(&self, x: &Self::Tensor;);
        fn leaky_relu(&self, x: &Self::Tensor; slope: f32);
        fn prelu(&self, x: &Self::Tensor; layer: Layer);
        fn tanh(&self, x: &Self::Tensor;);
        fn sigmoid(&self, x: &Self::Tensor;);
        fn softmax(&self, x: &Self::Tensor;);
        fn max_pool(&self, x: &Self::Tensor; kernel: usize, stride: usize, pad: usize, ceil: bool);
        fn avg_pool(&self, x: &Self::Tensor; kernel: usize, stride: usize, pad: usize, count_pad: bool);
        fn pixel_shuffle(&self, x: &Self::Tensor; r: usize);
        fn resize(&self, x: &Self::Tensor; h: usize, w: usize, mode: Resize);
        fn slice(&self, x: &Self::Tensor; start: usize, len: usize);
        fn add(&self, a: &Self::Tensor, b: &Self::Tensor;);
        fn mul(&self, a: &Self::Tensor, b: &Self::Tensor;);
        fn affine(&self, x: &Self::Tensor; a: f32, b: f32);
        fn warp(&self, image: &Self::Tensor, flow: &Self::Tensor;);
        fn conv_bn(&self, x: &Self::Tensor; layer: Layer, conv: Conv, bn: Layer, eps: f32);
        fn conv2d_pair(&self, x: &Self::Tensor; first: Layer, second: Layer, conv: Conv);
        fn norm_modulate(&self, x: &Self::Tensor, gamma_beta: &Self::Tensor; act: Act);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Pad;
    use crate::models::Array;
    use crate::testing::Rng;

    fn conv_weights(rng: &mut Rng, names: &[&str], conv: &Conv, cin: usize) -> Weights {
        let mut w = Weights::default();
        for name in names {
            let shape = [conv.out, cin / conv.groups, conv.kernel.0, conv.kernel.1];
            w.insert(format!("{name}.weight"), Array::f32(shape, rng.vec(shape.iter().product())));
            w.insert(format!("{name}.bias"), Array::f32([conv.out], rng.vec(conv.out)));
        }
        for part in ["weight", "bias", "running_mean"] {
            w.insert(format!("bn.{part}"), Array::f32([conv.out], rng.vec(conv.out)));
        }
        let var = rng.vec(conv.out).iter().map(|v| v.abs() + 0.1).collect();
        w.insert("bn.running_var", Array::f32([conv.out], var));
        w
    }

    /// Every kernel (Winograd, dense, few, depthwise, grouped), odd sizes, borders, batches.
    #[test]
    fn convolutions() {
        let mut rng = Rng(7);
        let same = Conv::same;
        let cases: &[(usize, [usize; 2], Conv)] = &[
            (16, [9, 7], same(20, 3)),
            (32, [5, 18], same(64, 3).act(Act::Leaky(0.2))),
            (48, [17, 33], same(33, 3).act(Act::Relu)),
            (8, [12, 13], same(8, 3)),
            (256, [6, 6], same(7, 3)),
            (3, [31, 17], same(8, 3).stride(2)),
            (5, [16, 9], same(24, 7).reflect()),
            (32, [12, 10], same(3, 7).reflect()),
            (6, [11, 9], same(1, 7).reflect().act(Act::Relu)),
            (64, [8, 9], same(40, 1).act(Act::Leaky(0.1))),
            (64, [9, 8], same(40, 1).stride(2)),
            (24, [10, 11], same(24, 3).groups(24).stride(2).act(Act::Relu)),
            (8, [7, 3], same(8, 3).groups(8)),
            (5, [6, 4], same(5, 3).groups(5)),
            (12, [7, 6], Conv { kernel: (7, 6), pad: (0, 0), groups: 12, ..same(12, 7) }),
            (6, [33, 9], same(8, 4).stride(2).pad(2)),
            (4, [2, 2], Conv { pad_mode: Pad::Reflect, ..same(4, 3) }),
        ];
        for &(cin, [h, w], conv) in cases {
            let weights = Arc::new(conv_weights(&mut rng, &["a", "b"], &conv, cin));
            for (threads, keep) in [(1, 0), (2, usize::MAX)] {
                let ops = Check::new(weights.clone(), &Options { threads, keep });
                let x = ops.tensor([2, cin, h, w], &rng.vec(2 * cin * h * w));
                ops.conv2d(&x, "a", conv);
                let ops = Check::new(weights.clone(), &Options { threads, keep });
                ops.conv_bn(&x, "a", conv, "bn", 1e-5);
                if conv.act == Act::None {
                    let ops = Check::new(weights.clone(), &Options { threads, keep });
                    ops.conv2d_pair(&x, "a", "b", conv);
                }
            }
        }
    }

    #[test]
    fn everything_else() {
        let mut rng = Rng(8);
        for c in [3, 8, 21, 40] {
            let mut w = Weights::default();
            for part in ["weight", "bias", "running_mean"] {
                w.insert(format!("n.{part}"), Array::f32([c], rng.vec(c)));
            }
            w.insert("n.running_var", Array::f32([c], vec![0.7; c]));
            w.insert("fc.weight", Array::f32([11, c], rng.vec(11 * c)));
            w.insert("fc.bias", Array::f32([11], rng.vec(11)));
            let weights = Arc::new(w);
            for threads in [1, 2] {
                let ops = Check::new(weights.clone(), &Options { threads, keep: 0 });
                let (h, w) = (37, 23);
                let large: Vec<f32> = rng.vec(2 * c * h * w).iter().map(|v| 3.0 * v + 50.0).collect();
                let x = ops.tensor([2, c, h, w], &large);
                let y = ops.tensor([2, c, h, w], &rng.vec(2 * c * h * w));
                ops.instance_norm(&x, Some("n"), Act::Leaky(0.2));
                ops.instance_norm(&y, None, Act::Relu);
                ops.norm_modulate(&x, &ops.tensor([2, 2 * c, h, w], &rng.vec(4 * c * h * w)), Act::Leaky(0.2));
                ops.norm_modulate(&y, &ops.tensor([2, 2 * c, 1, 1], &rng.vec(4 * c)), Act::None);
                ops.batch_norm(&y, "n", 1e-5);
                ops.prelu(&y, "n");
                ops.sigmoid(&ops.tanh(&ops.softmax(&ops.leaky_relu(&ops.relu(&y), 0.3))));
                for ceil in [false, true] {
                    ops.max_pool(&y, 3, 2, 1, ceil);
                    ops.max_pool(&y, 2, 2, 0, ceil);
                }
                ops.avg_pool(&y, 3, 2, 1, true);
                ops.avg_pool(&y, 3, 2, 1, false);
                ops.resize(&y, 50, 11, Resize::Nearest);
                ops.resize(&y, 50, 11, Resize::Bilinear);
                ops.slice(&ops.concat(&[&x, &y, &x]), c - 1, c + 2);
                ops.mul(&ops.add(&x, &y), &ops.slice(&y, 0, 1));
                ops.mul(&y, &ops.tensor([2, c, 1, 1], &rng.vec(2 * c)));
                ops.affine(&y, -2.0, 0.25);
                let flow: Vec<f32> = rng.vec(2 * 2 * h * w).iter().map(|v| 20.0 * v).collect();
                ops.warp(&y, &ops.tensor([2, 2, h, w], &flow));
                ops.linear(&ops.tensor([2, c, 1, 1], &rng.vec(2 * c)), "fc", 11);
                if c == 8 {
                    ops.pixel_shuffle(&y, 2);
                }
            }
        }
    }
}
