//! The audio that a shot's generator takes.

use crate::audio::AudioConditioning;
use crate::key::Key;
use crate::shot::audio::ShotAudio;
use std::sync::Arc;

/// The audio that conditions a shot's generator.
#[derive(Debug, Clone)]
pub struct AudioInput {
    /// The values of each frame.
    pub conditioning: Arc<AudioConditioning>,
    /// The key of the audio.
    pub key: Key,
    /// The frame of the sound that belongs to the track's first.
    pub first: f64,
}

impl AudioInput {
    /// The extracted audio, whose frame `first` belongs to the track's first.
    pub fn starting_at(audio: &ShotAudio, first: f64) -> AudioInput {
        AudioInput { conditioning: audio.conditioning.clone(), key: audio.key, first }
    }
}
