//! Executors of [`Ops`]: the embedded CPU engine, the plain executor it is checked against, the shape
//! checker, and the ONNX recorder.

pub mod cpu;
pub mod onnx;
pub mod ops;
pub mod plain;
pub mod shape;

pub use ops::{Act, Conv, Layer, Ops, Pad, Resize};
