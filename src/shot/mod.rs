//! Shots: analysed once, then rendered in any order, by any process.
//!
//! This module handles a driving clip as a whole. [`crate::face`] processes single pictures, [`crate::reenact`] makes pictures.
//!
//! [`analyse`] observes every frame of a clip by itself (parallel, resumable, each frame only once: [`cache`]), follows one face
//! through them ([`link`]) and returns a [`motion::Motion`]: pose and expression per frame, which can be shipped as a file without any
//! pixel of the actor. The cache keeps a [`stored_analysis::StoredAnalysis`] of a whole clip. A [`track::Track`] is the motion made ready
//! to drive a reference: gaps bridged, outliers repaired, smoothed ([`smooth`]), with the shot-wide statistics that retargeting needs.
//! [`crop`] computes the face's square window. An [`audio::AudioExtractor`] extracts the audio values that a generator takes.

pub mod analyse;
pub mod audio;
pub mod cache;
pub mod crop;
pub mod jitter;
pub mod link;
pub mod live_link;
pub mod motion;
pub mod record;
pub mod smooth;
pub mod steadiness;
pub mod stored_analysis;
pub mod track;

pub use analyse::{Analyser, Analysis, Clip, FrameFace};
pub use audio::{AudioExtractor, AudioSource};
pub use cache::Cache;
pub use live_link::Performance;
pub use motion::Motion;
pub use stored_analysis::StoredAnalysis;
pub use track::{Track, TrackSettings};

use crate::morphable::Morphable;

/// Where the head lies in a morphable model, in the model's units, y up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Head {
    /// The middle of the mean face's bounding box.
    pub centre: [f32; 3],
    /// The larger of its width and height.
    pub extent: f32,
}

impl Head {
    /// The head of a model with at least one vertex.
    pub fn from_model(model: &Morphable) -> Head {
        let (mut lo, mut hi) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
        for v in model.mean.chunks_exact(3) {
            for c in 0..3 {
                lo[c] = lo[c].min(v[c]);
                hi[c] = hi[c].max(v[c]);
            }
        }
        Head {
            centre: std::array::from_fn(|c| 0.5 * (lo[c] + hi[c])),
            extent: (hi[0] - lo[0]).max(hi[1] - lo[1]).max(1e-6),
        }
    }
}
