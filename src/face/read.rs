//! Reading results back from an executor.

use crate::engine::Ops;
use crate::engine::check::Check;
use crate::engine::cpu::Cpu;
use crate::engine::plain::Plain;

/// An executor whose tensors can be read.
pub trait Read: Ops {
    /// The values of `x` in n, c, h, w order.
    fn read(&self, x: &Self::Tensor) -> Vec<f32>;
}

impl Read for Plain {
    fn read(&self, x: &Self::Tensor) -> Vec<f32> {
        x.data.to_vec()
    }
}

impl Read for Cpu {
    fn read(&self, x: &Self::Tensor) -> Vec<f32> {
        self.values(x)
    }
}

impl Read for Check {
    fn read(&self, x: &Self::Tensor) -> Vec<f32> {
        self.values(x)
    }
}
