//! Trains a detector: RetinaFace over the quarter-width MobileNet ([`headgan::nets::retinaface`]), from random weights.
//!
//! It learns from frames and images that another detector has labelled once ([`labels`]), and from drawn heads, whose
//! place is known ([`heads`]). Both are [`Picture`]s with [`Face`]s; [`scene`] composes what a step sees of them: faces
//! of many sizes, several or none, tilted, mirrored, partly hidden, in any light. [`targets`] says what each prior
//! should answer.

pub mod export;
pub mod heads;
pub mod labels;
pub mod measure;
pub mod picture;
pub mod run;
pub mod scene;
pub mod targets;
pub mod trainer;

pub use picture::{Face, Picture};
