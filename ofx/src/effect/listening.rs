//! Audio extracted from files by threads of the process. `sound.rs` says what an instance asks for; this file knows nothing of a host.

use headgan::media::Rational;
use headgan::reenact::context::RenderContext;
use headgan::shot::audio::{ShotAudio, ShotLips};
use headgan::shot::{AudioSource, Cache};
use headgan::{CancelToken, Error, Result};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// Files whose audio is kept.
const MAX_KEPT: usize = 8;
/// How often a waiting caller checks whether to go on.
pub const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The audio extracted from each file, and the threads that still extract it.
static AUDIO: Mutex<Vec<(AudioRequest, Audio)>> = Mutex::new(Vec::new());

/// Which audio to extract from which file.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioRequest {
    pub file: String,
    /// When the file was written and how long it is: a file that is replaced is decoded again.
    pub state: Option<(SystemTime, u64)>,
    pub fps: Rational,
    pub gain: f32,
    /// Whether a generator listens.
    pub audio: bool,
    /// Whether the mouth follows it.
    pub lips: bool,
}

/// What was extracted from a file.
#[derive(Clone)]
pub struct Extracted {
    pub audio: Option<ShotAudio>,
    pub lips: Option<ShotLips>,
}

enum Audio {
    Ready(Extracted),
    Running(JoinHandle<Result<Extracted>>, CancelToken),
}

/// Waits for the audio of a file and checks `cancel` meanwhile.
///
/// # Errors
/// `Interrupted`, at once; those of the extraction, which is tried again next time.
pub fn wait(
    request: &AudioRequest,
    context: &Arc<RenderContext>,
    cache: Option<&Arc<Cache>>,
    cancel: &CancelToken,
) -> Result<Extracted> {
    loop {
        if let Some(extracted) = poll(request, context, cache)? {
            return Ok(extracted);
        }
        cancel.check()?;
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// The audio of a file where it is known; else a thread extracts it.
///
/// # Errors
/// Those of the extraction, which is tried again next time.
pub fn poll(
    request: &AudioRequest,
    context: &Arc<RenderContext>,
    cache: Option<&Arc<Cache>>,
) -> Result<Option<Extracted>> {
    let mut audio = AUDIO.lock();
    let known = audio.iter().position(|(asked, _)| asked == request);
    match known.map(|at| audio.remove(at)) {
        Some((_, Audio::Ready(extracted))) => {
            audio.push((request.clone(), Audio::Ready(extracted.clone())));
            Ok(Some(extracted))
        }
        Some((_, Audio::Running(thread, _))) if thread.is_finished() => {
            let internal = |_| Err(Error::Engine("internal error while listening: report this".into()));
            let extracted = thread.join().unwrap_or_else(internal)?;
            audio.push((request.clone(), Audio::Ready(extracted.clone())));
            Ok(Some(extracted))
        }
        Some(running) => {
            audio.push(running);
            Ok(None)
        }
        None => {
            if audio.len() >= MAX_KEPT
                && let Some(oldest) = audio.iter().position(|(_, sound)| matches!(sound, Audio::Ready(_)))
            {
                audio.remove(oldest);
            }
            let (asked, context, cache) = (request.clone(), context.clone(), cache.cloned());
            let cancel = CancelToken::new();
            let token = cancel.clone();
            let work = move || {
                let (from, cache) = (AudioSource::File(Path::new(&asked.file)), cache.as_deref());
                let audio = || context.audio(&from, asked.fps, asked.gain, cache, &token);
                let lips = || context.lips(&from, cache, &token);
                let audio = asked.audio.then(audio).transpose()?;
                Ok(Extracted { audio, lips: asked.lips.then(lips).transpose()? })
            };
            let thread = std::thread::Builder::new().name("headgan sound".into()).spawn(work);
            let thread =
                thread.map_err(|e| Error::engine(format!("no thread can be started to listen: {e}")).with_source(e))?;
            audio.push((request.clone(), Audio::Running(thread, cancel)));
            Ok(None)
        }
    }
}

/// Forgets the audio of all files, which may have changed.
pub fn forget_audio() {
    AUDIO.lock().retain(|(_, sound)| matches!(sound, Audio::Running(..)));
}

/// Ends the threads: their code is about to be unloaded.
pub fn stop_threads() {
    let audio = std::mem::take(&mut *AUDIO.lock());
    for (_, sound) in &audio {
        if let Audio::Running(_, cancel) = sound {
            cancel.cancel();
        }
    }
    for (_, sound) in audio {
        if let Audio::Running(thread, _) = sound {
            // Nobody needs its result any more.
            let _ = thread.join();
        }
    }
}
