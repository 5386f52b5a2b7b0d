//! Dense faces: the 478 points of MediaPipe's face mesh, by its networks or the project's own, and what finds faces for them.
//!
//! This module prepares the inputs of these networks and interprets their outputs. MediaPipe's layers are data ([`crate::nets::graph`]),
//! which [`crate::import`] makes from its files; the project's own are [`crate::nets::dense_finder`] and [`crate::nets::dense_points`].

pub mod blaze;
pub mod finder;
pub mod fitter;
pub mod landmarks;
pub mod person;
pub mod refinement;
pub mod region;
pub mod single_look;
pub mod tracker;

pub use blaze::BlazeFace;
pub use finder::DenseFinder;
pub use fitter::DenseFitter;
pub use landmarks::DenseFace;
pub use person::Segmentation;
pub use region::Region;
pub use single_look::SingleLook;
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
