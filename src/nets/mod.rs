//! Every network, defined once over [`Ops`](crate::engine::Ops). Layer names are the upstream checkpoint's keys.
//!
//! Here belong layers, their names and their shapes. What goes in and what comes out means something elsewhere
//! ([`crate::face`], [`crate::audio`], [`crate::reenact`]); arithmetic belongs into [`crate::engine`].

pub mod deepspeech2;
pub mod discriminator;
mod export;
pub mod faceboxes;
pub mod generator;
pub mod inception;
pub mod lids;
pub mod lpips;
pub mod mobilefacenet;
pub mod mobilenet;
#[allow(missing_docs, reason = "the variants are architectures by their names")]
pub mod named;
pub mod retinaface;
#[doc(hidden)]
pub mod suite;
pub mod verify;

pub use export::export_onnx;

#[cfg(test)]
mod faces_tests;
