//! Every network, defined once over [`Ops`](crate::engine::Ops). Layer names are the upstream checkpoint's keys.
//!
//! This module defines layers, their names and their shapes. [`crate::face`], [`crate::audio`] and [`crate::reenact`] prepare the
//! inputs and interpret the outputs; [`crate::engine`] does the arithmetic.

pub mod deepspeech2;
pub mod dense_finder;
pub mod dense_points;
pub mod discriminator;
mod export;
pub mod faceboxes;
pub mod generator;
pub mod graph;
pub mod inception;
pub mod lids;
pub mod lpips;
pub mod mobilefacenet;
pub mod mobilenet;
#[allow(missing_docs, reason = "the variants are architectures by their names")]
pub mod named;
pub mod retinaface;
pub mod sound_lips;
#[doc(hidden)]
pub mod suite;
pub mod verify;
pub mod window;

pub use export::export_onnx;

#[cfg(test)]
mod faces_tests;
