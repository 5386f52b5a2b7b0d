//! What all instances of the process share: networks, analyses, frames of files, messages shown. Everything is found by content, never by
//! instance. `listening.rs` keeps the extracted audio.

use super::listening::{forget_audio, stop_threads};
use super::recording;
use headgan::controls::choices::Device;
use headgan::engine::cpu;
use headgan::frame::{Color, Filter, Frame};
use headgan::key::Key;
use headgan::lru::LruCache;
use headgan::media::Source;
use headgan::models::ModelSet;
use headgan::reenact::backend::Backend;
use headgan::reenact::{ContextOptions, RenderContext};
use headgan::shot::cache::{DEFAULT_LIMIT, standard_folder};
use headgan::shot::{Cache, StoredAnalysis};
use headgan::{Error, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Analyses of shots that are kept.
const MAX_ANALYSES: usize = 32;
/// Analyses of three frames that are kept.
const MAX_SHORT_ANALYSES: usize = 128;
/// Frames of reference files that are kept.
const MAX_FILE_FRAMES: usize = 6;

/// The render context, or the error of loading it, which is kept until [`retry_failed`].
static CONTEXT: Mutex<Option<Result<Arc<RenderContext>>>> = Mutex::new(None);
/// The bundle that the plugin was found in.
static BUNDLE: Mutex<Option<PathBuf>> = Mutex::new(None);
static CACHES: Mutex<Vec<(PathBuf, Result<Arc<Cache>>)>> = Mutex::new(Vec::new());
static ANALYSES: Mutex<LruCache<Arc<StoredAnalysis>>> = Mutex::new(LruCache::new(MAX_ANALYSES));
static SHORT_ANALYSES: Mutex<LruCache<Arc<StoredAnalysis>>> = Mutex::new(LruCache::new(MAX_SHORT_ANALYSES));
static FILE_FRAMES: Mutex<LruCache<Arc<Frame>>> = Mutex::new(LruCache::new(MAX_FILE_FRAMES));
/// The lasting messages that are shown, by instance.
static MESSAGES: Mutex<Option<HashMap<usize, String>>> = Mutex::new(None);

/// Notes where the host has found the plugin; models may lie there.
pub fn note_bundle(path: Option<String>) {
    if let Some(path) = path {
        *BUNDLE.lock() = Some(path.into());
    }
}

/// The render context, loaded when it is first needed.
///
/// # Errors
/// `Model` when no pack can be used.
pub fn context(processors: usize) -> Result<Arc<RenderContext>> {
    let mut context = CONTEXT.lock();
    if let Some(context) = &*context {
        return context.clone();
    }
    let bundle = BUNDLE.lock().clone();
    let within = |folder: &str| bundle.iter().map(|b| b.join("Contents/Resources").join(folder)).collect::<Vec<_>>();
    let options = ContextOptions { engines: within("engines"), threads: processors, ..ContextOptions::default() };
    let loaded = RenderContext::load(ModelSet::discover(&within("models")), options);
    context.insert(loaded.map(Arc::new)).clone()
}

/// The render context if it has been loaded, or the error of loading it; `None` before it was needed.
pub fn loaded_context() -> Option<Result<Arc<RenderContext>>> {
    CONTEXT.lock().clone()
}

/// Forgets failures, so that loading is tried again: the user may have removed the cause.
pub fn retry_failed() {
    let mut context = CONTEXT.lock();
    if context.as_ref().is_some_and(Result::is_err) {
        *context = None;
    }
    CACHES.lock().retain(|(_, cache)| cache.is_ok());
}

/// The shot cache in a folder, or in the user's own where the name is empty.
///
/// # Errors
/// `Input` where it cannot be used.
pub fn cache(folder: &str) -> Result<Arc<Cache>> {
    let mut caches = CACHES.lock();
    let named = Path::new(folder);
    if let Some((_, cache)) = caches.iter().find(|(path, _)| path == named) {
        return cache.clone();
    }
    let open = || {
        let folder = if folder.is_empty() { standard_folder() } else { Some(named.to_owned()) };
        let folder = folder
            .ok_or_else(|| Error::Input("this system names no cache folder: choose one under Cache folder".into()))?;
        Cache::open(&folder, DEFAULT_LIMIT).map(Arc::new).map_err(|_| {
            Error::input(format!(
                "{}: cannot be written to: choose another folder under Cache folder",
                folder.display()
            ))
        })
    };
    let cache = open();
    caches.push((named.to_owned(), cache.clone()));
    cache
}

/// An analysis by its key, from memory or the cache.
pub fn analysis(key: &Key, cache: Option<&Cache>) -> Option<Arc<StoredAnalysis>> {
    if let Some(known) = ANALYSES.lock().get(key) {
        return Some(known);
    }
    let known = StoredAnalysis::get(cache?, key)?;
    Some(ANALYSES.lock().put(*key, Arc::new(known)))
}

/// Keeps an analysis in memory.
pub fn keep_analysis(key: Key, known: StoredAnalysis) {
    ANALYSES.lock().put(key, Arc::new(known));
}

/// The analysis of a few frames, made unless it is known: a frame that was rendered before opens no file.
///
/// # Errors
/// Those of `make`.
pub fn short_analysis(key: Key, make: impl FnOnce() -> Result<StoredAnalysis>) -> Result<Arc<StoredAnalysis>> {
    if let Some(known) = SHORT_ANALYSES.lock().get(&key) {
        return Ok(known);
    }
    let known = Arc::new(make()?);
    Ok(SHORT_ANALYSES.lock().put(key, known))
}

/// Frame `number` (counted from the file's first, held at its ends) of a file, encoded for `color`, as large as fits
/// into `width` x `height` pixels.
///
/// # Errors
/// `Input` where the file cannot be read.
pub fn file_frame(path: &str, number: i64, color: Color, width: usize, height: usize) -> Result<Arc<Frame>> {
    let size = [number, width as i64, height as i64];
    let numbers: Vec<u8> = size.iter().flat_map(|n| n.to_le_bytes()).collect();
    let key = Key::new("picture", &[path.as_bytes(), &numbers, format!("{color:?}").as_bytes()]);
    if let Some(frame) = FILE_FRAMES.lock().get(&key) {
        return Ok(frame);
    }
    let source = Source::open(path)?;
    let info = source.info();
    let last = info.frames.map_or(i64::MAX, |n| n as i64 - 1);
    let mut frame = source.frame(info.first + number.clamp(0, last.max(0)) as usize)?;
    frame.convert_color(color);
    let k = (width as f64 / frame.width as f64).min(height as f64 / frame.height as f64);
    let fitted = |n: usize, most: usize| ((n as f64 * k).round() as usize).clamp(1, most.max(1));
    let (w, h) = (fitted(frame.width, width), fitted(frame.height, height));
    if (w, h) != (frame.width, frame.height) {
        frame = frame.resize(w, h, Filter::Lanczos3);
    }
    Ok(FILE_FRAMES.lock().put(key, Arc::new(frame)))
}

/// Notes that an instance shows a lasting message; false where it shows the same already.
pub fn note_message(id: usize, text: &str) -> bool {
    let mut messages = MESSAGES.lock();
    messages.get_or_insert_default().insert(id, text.into()).is_none_or(|before| before != text)
}

/// Forgets an instance's message; true where there was one.
pub fn forget_message(id: usize) -> bool {
    MESSAGES.lock().as_mut().is_some_and(|m| m.remove(&id).is_some())
}

/// The action purgeCaches: what can be made again goes, except the networks.
pub fn purge() {
    retry_failed();
    if let Some(Ok(context)) = loaded_context() {
        context.purge();
    }
    ANALYSES.lock().clear();
    SHORT_ANALYSES.lock().clear();
    FILE_FRAMES.lock().clear();
    recording::forget();
    forget_audio();
}

/// Before the plugin is unloaded.
pub fn unload() {
    stop_threads();
    *CONTEXT.lock() = None;
    CACHES.lock().clear();
    ANALYSES.lock().clear();
    SHORT_ANALYSES.lock().clear();
    FILE_FRAMES.lock().clear();
    recording::forget();
    *MESSAGES.lock() = None;
}

/// Whether a generator that has been loaded takes audio.
pub fn has_audio_generator() -> bool {
    loaded_context().and_then(Result::ok).is_some_and(|context| context.some_take_audio())
}

/// What computes, for the status line.
pub fn engine_description(device: Device) -> String {
    match loaded_context().map(|context| context.and_then(|context| context.backend(device))) {
        Some(Ok(backend @ Backend::Library { .. })) => backend.to_string(),
        Some(Err(e)) => super::advice::message_with_advice(&e),
        _ => cpu::description(),
    }
}
