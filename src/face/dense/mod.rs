//! Dense faces: BlazeFace, and the 478 points of MediaPipe's face mesh.
//!
//! This module prepares the inputs of these networks and interprets their outputs. Layers are data here ([`crate::nets::graph`]);
//! [`crate::import`] makes them from MediaPipe's files.

pub mod blaze;
pub mod landmarks;
pub mod refinement;
pub mod region;

pub use blaze::BlazeFace;
pub use landmarks::DenseFace;
pub use region::Region;

#[cfg(test)]
mod parity;
