//! The performance file: a Live Link Face recording as the motion of the reference's face. What was read is kept.

use super::clip_image::ConvertedImage;
use super::frame_rate::frame_rate;
use crate::host::Effect;
use headgan::key::Key;
use headgan::lru::LruCache;
use headgan::media::Rational;
use headgan::morphable::Fit;
use headgan::reenact::context::RenderContext;
use headgan::shot::analyse::pixels;
use headgan::shot::{Cache, Motion, Performance};
use headgan::{Error, Result};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;

/// Files that are kept, and references that perform them.
const MAX_FILES: usize = 4;
const MAX_PERFORMED: usize = 16;

static FILES: Mutex<LruCache<Arc<Performance>>> = Mutex::new(LruCache::new(MAX_FILES));
static PERFORMED: Mutex<LruCache<Arc<Recording>>> = Mutex::new(LruCache::new(MAX_PERFORMED));

/// A recording, performed by a reference's face.
pub struct Recording {
    /// The reference's.
    pub fit: Fit,
    pub motion: Motion,
    /// Stands for the motion.
    pub key: Key,
}

/// Stands for a file as it is now.
fn key(file: &str) -> Key {
    let state = std::fs::metadata(file).ok().and_then(|m| Some((m.modified().ok()?, m.len())));
    Key::new("performance file", &[file.as_bytes(), format!("{state:?}").as_bytes()])
}

/// The recording in a file, read when it is first needed.
///
/// # Errors
/// Those of [`Performance::load`].
pub fn load(file: &str) -> Result<Arc<Performance>> {
    let key = key(file);
    if let Some(known) = FILES.lock().get(&key) {
        return Ok(known);
    }
    let performance = Arc::new(Performance::load(Path::new(file))?);
    Ok(FILES.lock().put(key, performance))
}

/// What the face in `plate` performs.
///
/// # Errors
/// Those of [`load`], of the reference's fit, and of [`Performance::motion`]; `Input` where the host tells no frame rate.
pub fn performed(
    effect: &Effect,
    context: &RenderContext,
    file: &str,
    plate: &ConvertedImage,
    cache: Option<&Cache>,
) -> Result<Arc<Recording>> {
    let fps: Rational = frame_rate(effect, "Performance file")?;
    let performance = load(file)?;
    let networks = context.networks();
    let picture = pixels(&plate.frame);
    let (now, rate, weights) = (key(file), fps.to_string(), networks.fingerprint());
    let key = Key::new("recording", &[now.bytes(), rate.as_bytes(), weights.bytes(), picture.bytes()]);
    if let Some(known) = PERFORMED.lock().get(&key) {
        return Ok(known);
    }
    let fit = context.reference_fit(&plate.frame, "Reference", cache)?;
    let named = |e: Error| e.map_text(|text| format!("Performance file: {text}"));
    let motion = performance.motion(fps, &networks.performer(&fit.params.shape)).map_err(named)?;
    Ok(PERFORMED.lock().put(key, Arc::new(Recording { fit, motion, key })))
}

/// Forgets what can be read again.
pub fn forget() {
    FILES.lock().clear();
    PERFORMED.lock().clear();
}
