//! What a context is loaded with.

use crate::controls::choices::Device;
use crate::engine::library::Precision;
use std::path::PathBuf;

/// What a context is loaded with; by default the first pack that can be used, on all cores.
#[derive(Debug, Clone, Default)]
pub struct ContextOptions {
    /// The pack to fit faces with; `None`: the first that can be used.
    pub pack: Option<String>,
    /// The pack whose dense points the model of `pack` is fitted to ([`Networks::load_with_points`]); `None`: what `pack` fits with.
    ///
    /// [`Networks::load_with_points`]: super::networks::Networks::load_with_points
    pub points: Option<String>,
    /// The detector's architecture (`retinaface`, `faceboxes`); `None`: the pack's own.
    pub detector: Option<crate::models::Architecture>,
    /// The generator: a pack's name or a safetensors file; `None`: that of `pack`, or of the first pack that has one.
    pub generator: Option<String>,
    /// Whether [`Quality::Full`](crate::controls::choices::Quality) paints the whole face with a generator even where a pack has windows. One that
    /// is named in `generator` always does.
    pub whole_face: bool,
    /// What the generator computes in; `None`: fp32.
    pub precision: Option<Precision>,
    /// Bytes that the generator's weights and frames may take together on an engine library; 0: no limit.
    pub memory: u64,
    /// Folders where an engine library may lie, besides those that are always searched.
    pub engines: Vec<PathBuf>,
    /// Threads of the analysis, the acoustic model and the generator; 0: all cores.
    pub threads: usize,
    /// A device that must exist; it is checked before anything is loaded. Other devices are checked when they are first needed.
    pub device: Option<Device>,
}
