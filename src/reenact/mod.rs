//! The per-frame pipeline: Draft and Full quality, paste-back into the plate.
//!
//! [`networks::Networks`] finds and fits faces, [`analysis::analyse`] runs them over a driving shot, and a
//! [`shot::Shot`] makes a reference perform the resulting [`analysis::Track`].

pub mod analysis;
pub mod draft;
pub mod networks;
pub mod painter;
pub mod shot;
pub mod view;
