//! Audio files that threads of the process listen to, and what they heard. What an instance asks for stands in `sound.rs`; nothing of a host
//! is known here.

use headgan::media::Rational;
use headgan::reenact::context::RenderContext;
use headgan::shot::audio::ShotAudio;
use headgan::shot::{AudioSource, Cache};
use headgan::{CancelToken, Error, Result};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// Files whose audio is kept.
const MAX_KEPT: usize = 8;
/// How often whoever waits asks whether to go on.
pub const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What was heard of each file, and the threads that listen.
static AUDIO: Mutex<Vec<(AudioRequest, Audio)>> = Mutex::new(Vec::new());

/// What is to be heard of which file.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioRequest {
    pub file: String,
    /// When the file was written and how long it is: one that is replaced is listened to again.
    pub state: Option<(SystemTime, u64)>,
    pub fps: Rational,
    pub gain: f32,
}

enum Audio {
    Ready(ShotAudio),
    Running(JoinHandle<Result<ShotAudio>>, CancelToken),
}

/// What is heard of a file, once it is; meanwhile `cancel` is asked again and again.
///
/// # Errors
/// `Interrupted`, at once; those of listening, which is tried again next time.
pub fn wait(
    request: &AudioRequest,
    stage: &Arc<RenderContext>,
    cache: Option<&Arc<Cache>>,
    cancel: &CancelToken,
) -> Result<ShotAudio> {
    loop {
        if let Some(listened) = poll(request, stage, cache)? {
            return Ok(listened);
        }
        cancel.check()?;
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// What is heard of a file where that is known; else a thread listens.
///
/// # Errors
/// Those of listening, which is tried again next time.
pub fn poll(
    request: &AudioRequest,
    stage: &Arc<RenderContext>,
    cache: Option<&Arc<Cache>>,
) -> Result<Option<ShotAudio>> {
    let mut audio = AUDIO.lock();
    let known = audio.iter().position(|(asked, _)| asked == request);
    match known.map(|at| audio.remove(at)) {
        Some((_, Audio::Ready(listened))) => {
            audio.push((request.clone(), Audio::Ready(listened.clone())));
            Ok(Some(listened))
        }
        Some((_, Audio::Running(thread, _))) if thread.is_finished() => {
            let internal = |_| Err(Error::Engine("internal error while listening: report this".into()));
            let listened = thread.join().unwrap_or_else(internal)?;
            audio.push((request.clone(), Audio::Ready(listened.clone())));
            Ok(Some(listened))
        }
        Some(listening) => {
            audio.push(listening);
            Ok(None)
        }
        None => {
            if audio.len() >= MAX_KEPT
                && let Some(oldest) = audio.iter().position(|(_, sound)| matches!(sound, Audio::Ready(_)))
            {
                audio.remove(oldest);
            }
            let (asked, stage, cache) = (request.clone(), stage.clone(), cache.cloned());
            let cancel = CancelToken::new();
            let token = cancel.clone();
            let work = move || {
                stage.audio(&AudioSource::File(Path::new(&asked.file)), asked.fps, asked.gain, cache.as_deref(), &token)
            };
            let thread = std::thread::Builder::new().name("headgan sound".into()).spawn(work);
            let thread =
                thread.map_err(|e| Error::engine(format!("no thread can be started to listen: {e}")).with_source(e))?;
            audio.push((request.clone(), Audio::Running(thread, cancel)));
            Ok(None)
        }
    }
}

/// Lets files be listened to again: they may have changed.
pub fn forget_audio() {
    AUDIO.lock().retain(|(_, sound)| matches!(sound, Audio::Running(..)));
}

/// Ends the threads that listen: their code is about to go.
pub fn stop_threads() {
    let audio = std::mem::take(&mut *AUDIO.lock());
    for (_, sound) in &audio {
        if let Audio::Running(_, cancel) = sound {
            cancel.cancel();
        }
    }
    for (_, sound) in audio {
        if let Audio::Running(thread, _) = sound {
            // What it has to say concerns nobody any more.
            let _ = thread.join();
        }
    }
}
