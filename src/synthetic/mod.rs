//! A head without a person: a procedural morphable head, its renderer, and a performance with sound.
//!
//! This module draws a person and makes it perform. The formulas of the head are in [`crate::morphable::canonical`]; nothing here
//! reads a file or runs a network.
//!
//! A fresh clone has no model of faces and no footage. This module makes both from formulas: [`head()`] is a
//! [`Morphable`](crate::morphable::Morphable) with the 68 iBUG landmarks, 40 identity and 10 semantic expression
//! modes; [`render`] draws a stylised person from it, and [`performance`] gives a reference portrait and a driving
//! performance with their true fits. Everything repeats to the bit on one machine. Lengths within this module are
//! millimetres; a [`Morphable`](crate::morphable::Morphable) and its cameras count micrometres, as 3DDFA-V2's does.

pub mod appearance;
mod delaunay;
pub mod head;
mod noise;
pub mod performance;
pub mod render;
mod scene;
mod shade;
pub mod sound;
mod vec3;

pub use appearance::Appearance;
pub use head::{acting_head, head};
pub use performance::{DEMO_FPS, demo_driving, demo_matte, demo_portrait, demo_reference};
pub use render::Renderer;
pub use sound::demo_sound;
