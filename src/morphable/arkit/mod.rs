//! ARKit's 52 blend shapes and eyeballs on any morphable model with the 68 iBUG landmarks.
//!
//! Each shape is described once, as a displacement of the skin in millimetres ([`ArkitShape`]), and transferred to a
//! model's mean face by its landmarks and its own lids and lips, as [`rig`](super::rig) does with its expressions. Left
//! and right are the face's own. [`acting`](acting()) makes the model that has them.

mod acting;
mod curves;
mod displacement;
mod eyeballs;
mod face;
mod lids;
mod lips;
mod opening;
mod shape;
#[cfg(test)]
mod sheet;
pub mod spoken;
#[cfg(test)]
mod tests;

pub use acting::{Own, acting};
pub use curves::{ArkitCurves, Gaze};
pub(in crate::morphable) use eyeballs::ball_vertices;
pub use eyeballs::{IrisVertices, iris_vertices};
pub use opening::{LidOpening, LipOpening};
pub use shape::ArkitShape;
