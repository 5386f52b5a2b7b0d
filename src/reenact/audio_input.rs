//! The sound that a shot's generator takes.

use crate::audio::AudioConditioning;
use crate::key::Key;
use std::sync::Arc;

/// A sound as a shot's generator hears it.
#[derive(Debug, Clone)]
pub struct AudioInput {
    /// What is heard in each frame.
    pub heard: Arc<AudioConditioning>,
    /// Stands for what is heard.
    pub key: Key,
    /// The frame of the sound that belongs to the track's first.
    pub first: f64,
}
