//! The per-frame pipeline: Draft and Full quality, paste-back into the plate.

pub mod draft;
pub mod paste;
