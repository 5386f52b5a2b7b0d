//! The per-frame pipeline: a reference, a track and settings in, a frame out, in Draft and Full quality.
//!
//! [`networks::Networks`] finds and fits faces, [`crate::shot`] runs them over a driving clip, and a [`shot::Shot`] makes a
//! reference perform the resulting [`Track`](crate::shot::Track). A [`context::RenderContext`] keeps networks, references and shots for
//! many callers.
//!
//! [`crate::nets`] defines the networks, [`crate::controls`] the meaning of the controls.

pub mod acting;
pub mod audio_input;
#[allow(missing_docs, reason = "the variants have the names of the engines that they stand for")]
pub mod backend;
pub mod bank;
#[allow(missing_docs, reason = "the fields are those of the types that they have")]
pub mod context;
pub mod context_options;
pub mod draft;
pub mod frame_settings;
pub mod generator;
mod generators;
mod glances;
pub mod judge;
mod lids;
mod lips;
pub mod matte;
pub mod networks;
mod paste;
pub mod runner;
pub mod shot;
pub mod shot_spec;
pub mod spoken;
pub mod view;
pub mod window;
pub mod windows;

pub use audio_input::AudioInput;
pub use context::{FullPainter, RenderContext};
pub use context_options::ContextOptions;
pub use frame_settings::FrameSettings;
pub use generator::Generator;
pub use matte::MatteSettings;
pub use networks::Networks;
pub use shot::{Scratch, Shot};
pub use shot_spec::{Driver, ReferenceFit, ReferenceUse, ShotSpec};
pub use spoken::LipInput;
pub use window::CROP;
pub use windows::{WindowNetworks, WindowPainter};
