//! Executors of [`Ops`]: the embedded CPU engine, the plain executor it is checked against, the shape
//! checker, and the ONNX recorder; `stoppable` stops any of them.
//!
//! This module does arithmetic on tensors. [`crate::nets`] defines the layers of a network, [`crate::reenact::backend`] chooses where a
//! generator runs.

pub mod check;
pub mod cpu;
pub mod library;
pub mod memory;
pub mod onnx;
pub mod ops;
pub mod plain;
pub mod shape;
pub mod stoppable;

pub use ops::{Act, Cell, Conv, Crop, Executor, Layer, Ops, Pad, Resize, Rnn};

/// The embedded engine: what runs where nothing else is installed. With the feature `check`, its every operation
/// is compared with the plain executor.
#[cfg(not(feature = "check"))]
pub type Embedded = cpu::Cpu;
/// The embedded engine, checked.
#[cfg(feature = "check")]
pub type Embedded = check::Check;
