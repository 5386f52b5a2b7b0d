//! The per-frame pipeline: Draft and Full quality, paste-back into the plate.
//!
//! [`networks::Networks`] finds and fits faces, [`crate::shot`] runs them over a driving clip, and a [`shot::Shot`] makes a
//! reference perform the resulting [`Track`](crate::shot::Track). A [`stage::Stage`] keeps all of it for many callers.

pub mod draft;
pub mod engine;
pub mod networks;
pub mod painter;
pub mod shot;
pub mod stage;
pub mod view;
