//! HeadGAN Reenact's networks on libtorch (`tch`): CUDA and CPU.

pub mod ops;

pub use ops::{Shared, Torch};
