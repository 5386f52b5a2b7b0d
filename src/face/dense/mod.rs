//! Dense faces: BlazeFace, and the 478 points of MediaPipe's face mesh.
//!
//! This module prepares the inputs of these networks and interprets their outputs. Layers are data here ([`crate::nets::graph`]);
//! [`crate::import`] makes them from MediaPipe's files.

pub mod blaze;
pub mod finder;
pub mod fitter;
pub mod landmarks;
pub mod person;
pub mod refinement;
pub mod region;
pub mod tracker;

pub use blaze::BlazeFace;
pub use finder::DenseFinder;
pub use fitter::DenseFitter;
pub use landmarks::DenseFace;
pub use region::Region;
pub use tracker::DenseTracker;

/// The networks of the pack `mediapipe`, as their components' configurations name them: BlazeFace of short range,
pub const SHORT_RANGE: &str = "face_detection_short_range";
/// of full range,
pub const FULL_RANGE: &str = "face_detection_full_range_sparse";
/// and the mesh with refined lips, eyes and irises.
pub const FACE_MESH: &str = "face_landmark_with_attention";
/// The mesh alone, which takes less time and is less exact.
pub const ROUGH_MESH: &str = "face_landmark";

#[cfg(test)]
mod parity;
