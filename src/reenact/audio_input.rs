//! The sound that a shot's generator takes.

use crate::audio::AudioConditioning;
use crate::key::Key;
use crate::shot::audio::ShotAudio;
use std::sync::Arc;

/// A sound as a shot's generator hears it.
#[derive(Debug, Clone)]
pub struct AudioInput {
    /// The values of each frame.
    pub conditioning: Arc<AudioConditioning>,
    /// Stands for what is heard.
    pub key: Key,
    /// The frame of the sound that belongs to the track's first.
    pub first: f64,
}

impl AudioInput {
    /// What was listened to, whose frame `first` belongs to the track's first.
    pub fn starting_at(listened: &ShotAudio, first: f64) -> AudioInput {
        AudioInput { conditioning: listened.conditioning.clone(), key: listened.key, first }
    }
}
