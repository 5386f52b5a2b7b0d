//! The render context keeps networks, prepared references, shots and buffers between frames and between callers. The plugin and all
//! commands build their shots here.
//! Everything is found by content, so ten instances of an effect that show the same picture share one copy, and an instance that a
//! host creates anew for every frame starts warm.

use super::context_options::ContextOptions;
use super::generators::Generators;
use super::shot_spec::{Driver, ReferenceFit, ShotSpec};
use crate::controls::choices::{Device, Quality};
use crate::engine::cpu;
use crate::face::choose::Choice;
use crate::frame::Frame;
use crate::lru::LruCache;
use crate::media::{Rational, Source};
use crate::models::ModelSet;
use crate::morphable::Fit;
use crate::reenact::FrameSettings;
use crate::reenact::backend::Backend;
use crate::reenact::generator::Generator;
use crate::reenact::networks::{Fitting, Networks};
use crate::reenact::shot::{Scratch, Shot};
use crate::reenact::windows::WindowNetworks;
use crate::shot::analyse::{Analysis, Clip, with_clip};
use crate::shot::audio::{ShotAudio, ShotLips};
use crate::shot::{Analyser, AudioExtractor, AudioSource, Cache, Head, Motion, Track, TrackSettings};
use crate::{CancelToken, Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;

/// Prepared references that are kept; each holds its picture about twice.
const REFERENCES: usize = 3;
/// Shots that are kept; of one reference they share all but the track.
const SHOTS: usize = 24;
/// Buffers that are kept: one for each thread that renders at a time.
const SCRATCHES: usize = 16;

/// Networks and what was made with them. Shared by all threads.
pub struct RenderContext {
    models: ModelSet,
    networks: Networks,
    options: ContextOptions,
    generators: Generators,
    /// Looked for once.
    windows: Mutex<Option<Option<Arc<WindowNetworks>>>>,
    references: Mutex<LruCache<Arc<Shot>>>,
    shots: Mutex<LruCache<Arc<Shot>>>,
    scratches: Mutex<Vec<Scratch>>,
}

impl RenderContext {
    /// Loads the networks; generators are loaded when they are first asked for.
    ///
    /// # Errors
    /// Those of [`Backend::choose`] for the device that must be there; [`Error::Model`] when no pack can be used.
    pub fn load(models: ModelSet, options: ContextOptions) -> Result<RenderContext> {
        let generators = Generators::default();
        options.device.map(|device| generators.backend(device, &options)).transpose()?;
        // On this program's own engine whatever the device is. Small networks: one thread each is fastest.
        let small = cpu::Options { threads: 1, ..cpu::Options::default() };
        let networks = match (&options.pack, &options.points) {
            (Some(pack), Some(points)) => Networks::load_with_points(&models, pack, points, &small)?,
            (None, Some(points)) => {
                return Err(Error::usage(format!(
                    "the points of '{points}' are given to no pack's model: name that pack too"
                )));
            }
            (pack, None) => Networks::load(&models, pack.as_deref(), options.detector.as_ref(), &small)?,
        };
        Ok(RenderContext {
            models,
            networks,
            options,
            generators,
            windows: Mutex::default(),
            references: Mutex::new(LruCache::new(REFERENCES)),
            shots: Mutex::new(LruCache::new(SHOTS)),
            scratches: Mutex::default(),
        })
    }

    /// The networks.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Analyses a clip; `progress` is called after every frame, by any thread.
    ///
    /// # Errors
    /// As [`Analyser::run`].
    pub fn analyse(
        &self,
        clip: &Clip,
        choice: impl Fn(usize, usize) -> Choice,
        cache: Option<&Cache>,
        progress: &(dyn Fn() + Sync),
        cancel: &CancelToken,
    ) -> Result<Analysis> {
        self.analyser(cache, progress, cancel).run(clip, choice)
    }

    /// Analyses a clip that is a file, as [`RenderContext::analyse`] does; a cache that got frames by it is brought back under its limit.
    ///
    /// # Errors
    /// As [`Analyser::run`].
    pub fn analyse_source(
        &self,
        source: &Source,
        choice: impl Fn(usize, usize) -> Choice,
        cache: Option<&Cache>,
        progress: &(dyn Fn() + Sync),
        cancel: &CancelToken,
    ) -> Result<Analysis> {
        let analysis = with_clip(source, |clip| self.analyse(clip, choice, cache, progress, cancel))?;
        if let Some(cache) = cache
            && analysis.work.observed > 0
        {
            cache.trim();
        }
        Ok(analysis)
    }

    /// A motion that was fitted with this context's morphable model as a track.
    ///
    /// # Errors
    /// As [`Track::new`].
    pub fn track(&self, motion: &Motion, settings: &TrackSettings) -> Result<Track> {
        Track::new(motion, &Head::from_model(self.networks.morphable.model()), settings)
    }

    /// The fit of a picture's largest face; messages call the picture `name`.
    ///
    /// # Errors
    /// [`Error::NoFace`] where it shows none that is large enough; those of the networks.
    pub fn reference_fit(&self, picture: &Frame, name: &str, cache: Option<&Cache>) -> Result<Fit> {
        let seen = self.analyser(cache, &|| (), &CancelToken::default()).observe(picture)?;
        let fitted = seen.choose(Choice::Largest).and_then(|fitted| self.networks.observer().complete(fitted));
        fitted.map(|fitted| fitted.fit).ok_or_else(|| no_face(name))
    }

    /// The audio values of a sound for the frames of a shot of `fps` frames a second, with a gain of `gain` decibels.
    ///
    /// # Errors
    /// As [`AudioExtractor::extract`].
    pub fn audio(
        &self,
        from: &AudioSource,
        fps: Rational,
        gain: f32,
        cache: Option<&Cache>,
        cancel: &CancelToken,
    ) -> Result<ShotAudio> {
        AudioExtractor { models: &self.models, threads: self.options.threads, cache, cancel }.extract(from, fps, gain)
    }

    /// What lips do while a sound is heard, for a mouth that follows it.
    ///
    /// # Errors
    /// As [`AudioExtractor::lips`].
    pub fn lips(&self, from: &AudioSource, cache: Option<&Cache>, cancel: &CancelToken) -> Result<ShotLips> {
        AudioExtractor { models: &self.models, threads: self.options.threads, cache, cancel }.lips(from)
    }

    /// The backend of a generator for `device`.
    ///
    /// # Errors
    /// Those of [`Backend::choose`].
    pub fn backend(&self, device: Device) -> Result<Backend> {
        self.generators.backend(device, &self.options)
    }

    /// The networks that paint eyes and mouth in quality full; `None` where a generator is named or wanted, no pack has any, or faces are not
    /// fitted to dense points, as these networks' windows are placed by.
    ///
    /// # Errors
    /// As [`WindowNetworks::load`].
    pub fn windows(&self) -> Result<Option<Arc<WindowNetworks>>> {
        let dense = matches!(self.networks.fitting, Fitting::Dense { .. });
        if !dense || self.options.whole_face || self.options.generator.is_some() {
            return Ok(None);
        }
        let mut windows = self.windows.lock();
        if windows.is_none() {
            *windows = Some(WindowNetworks::load(&self.models)?.map(Arc::new));
        }
        Ok(windows.clone().flatten())
    }

    /// What paints quality full: windows where there are any, else the generator on `device`.
    ///
    /// # Errors
    /// Those of [`RenderContext::windows`] and [`RenderContext::generator`].
    pub fn painter(&self, device: Device) -> Result<FullPainter> {
        Ok(match self.windows()? {
            Some(windows) => FullPainter::Windows(windows),
            None => FullPainter::Generator(self.generator(device)?),
        })
    }

    /// The generator that runs on `device`, loaded when it is first asked for.
    ///
    /// # Errors
    /// Those of [`Backend::choose`] and [`Generator::load`].
    pub fn generator(&self, device: Device) -> Result<Generator> {
        self.generator_at(&self.backend(device)?)
    }

    fn generator_at(&self, backend: &Backend) -> Result<Generator> {
        self.generators.at(backend, &self.models, &self.options)
    }

    /// Whether what paints quality full, windows or the generator on a backend that [`RenderContext::backend`] returned, takes audio.
    ///
    /// # Errors
    /// [`Error::Model`] where there is none, or it is damaged.
    pub fn takes_audio(&self, backend: &Backend) -> Result<bool> {
        if let Some(windows) = self.windows()? {
            return Ok(windows.takes_audio());
        }
        Ok(self.generator_at(backend)?.config.audio > 0)
    }

    /// Whether any generator or window that has been loaded takes audio.
    pub fn some_take_audio(&self) -> bool {
        let windows = self.windows.lock().as_ref().is_some_and(|w| w.as_ref().is_some_and(|w| w.takes_audio()));
        windows || self.generators.some_take_audio()
    }

    fn analyser<'a>(
        &'a self,
        cache: Option<&'a Cache>,
        progress: &'a (dyn Fn() + Sync),
        cancel: &'a CancelToken,
    ) -> Analyser<'a> {
        let networks = self.networks.fingerprint();
        Analyser {
            observer: self.networks.observer(),
            networks,
            cache,
            threads: self.options.threads,
            progress,
            cancel,
        }
    }

    /// The shot of a reference and what drives it, made unless it is known. `cache` may know the reference's face.
    ///
    /// # Errors
    /// [`Error::NoFace`] where the reference or the motion has none, [`Error::Usage`] for a neutral frame outside,
    /// [`Error::Model`] where quality full has no generator or the motion is another model's; those of [`RenderContext::backend`].
    pub fn shot(&self, spec: ShotSpec, cache: Option<&Cache>) -> Result<Arc<Shot>> {
        if let Driver::Motion { motion, .. } = &spec.driver {
            motion.check_model(self.networks.model_hash(), &self.networks.pack, "the analysed shot")?;
        }
        let full = spec.quality == Quality::Full;
        let windows = if full { self.windows()? } else { None };
        let backend = self.generator_backend(&spec, full && windows.is_none())?;
        let runner = match (&windows, &backend) {
            (Some(windows), _) => format!("windows {}", windows.blake3.join(" ")),
            (None, Some(backend)) => backend.to_string(),
            (None, None) => String::new(),
        };
        let reference = spec.reference_key(&runner);
        let key = spec.key(&reference);
        if let Some(shot) = key.and_then(|key| self.shots.lock().get(&key)) {
            return Ok(shot);
        }
        let track = match spec.driver {
            Driver::Motion { motion, track, .. } => self.track(motion, &track)?,
            Driver::Track(track) => track,
        };
        // Held while a reference is prepared: threads that want the same one wait for it.
        let mut references = self.references.lock();
        let shot = match references.get(&reference) {
            Some(shot) => Arc::new(shot.with_track(track).with_audio(spec.audio).with_lips(spec.lips)?),
            None => {
                let generator = backend.map(|backend| self.generator_at(&backend)).transpose()?;
                let found;
                let fit = match spec.fit {
                    ReferenceFit::Given(fit) => fit,
                    ReferenceFit::Detect(name) => {
                        found = self.reference_fit(spec.reference, name, cache)?;
                        &found
                    }
                };
                let uses = &spec.uses;
                let picture = spec.reference.clone();
                let shot = Shot::new(&self.networks, picture, fit, track, generator, uses)?;
                let shot = match windows {
                    Some(windows) => shot.with_windows(windows)?,
                    None => shot,
                };
                references.put(reference, Arc::new(shot.with_audio(spec.audio).with_lips(spec.lips)?))
            }
        };
        drop(references);
        Ok(match key {
            Some(key) => self.shots.lock().put(key, shot),
            None => shot,
        })
    }

    /// The backend of a shot's generator; `None` where it needs no generator.
    fn generator_backend(&self, spec: &ShotSpec, needed: bool) -> Result<Option<Backend>> {
        // A device that is asked for must be there, whether this frame needs it or not. An automatic one always is: without a generator
        // no engine library is loaded to find it.
        if !needed && spec.device == Device::Auto {
            return Ok(None);
        }
        let backend = self.backend(spec.device)?;
        Ok(needed.then_some(backend))
    }

    /// Renders frame `index` of a shot and hands it to `deliver`; `cancel` as in [`Shot::render_cancellable`].
    ///
    /// # Errors
    /// As [`Shot::render_cancellable`]; those of `deliver`.
    pub fn render<T>(
        &self,
        shot: &Shot,
        index: usize,
        settings: &dyn Fn(usize) -> FrameSettings,
        cancel: &CancelToken,
        deliver: impl FnOnce(&Frame) -> Result<T>,
    ) -> Result<T> {
        let mut scratch = self.scratches.lock().pop().unwrap_or_default();
        let out = shot.render_cancellable(index, settings, cancel, &mut scratch).and_then(deliver);
        let mut kept = self.scratches.lock();
        if kept.len() < SCRATCHES {
            kept.push(scratch);
        }
        out
    }

    /// Forgets prepared references, shots and buffers; the networks' weights stay.
    pub fn purge(&self) {
        self.references.lock().clear();
        self.shots.lock().clear();
        self.scratches.lock().clear();
        // Last: what a reference holds goes back to its engine's buffers.
        self.networks.release();
        self.generators.release();
        if let Some(Some(windows)) = &*self.windows.lock() {
            windows.release();
        }
    }
}

/// What paints quality full.
#[derive(Clone)]
pub enum FullPainter {
    /// Eyes and mouth, over Draft.
    Windows(Arc<WindowNetworks>),
    /// The whole face.
    Generator(Generator),
}

impl FullPainter {
    /// Whether it takes audio.
    pub fn takes_audio(&self) -> bool {
        match self {
            FullPainter::Windows(windows) => windows.takes_audio(),
            FullPainter::Generator(generator) => generator.config.audio > 0,
        }
    }

    /// The pack or file that it comes from.
    pub fn name(&self) -> &str {
        match self {
            FullPainter::Windows(windows) => &windows.name,
            FullPainter::Generator(generator) => &generator.name,
        }
    }

    /// Its weights' blake3; of several, joined by `+`.
    pub fn blake3(&self) -> String {
        match self {
            FullPainter::Windows(windows) => windows.blake3.join("+"),
            FullPainter::Generator(generator) => generator.blake3.clone(),
        }
    }

    /// Of the pack; empty where it is not known.
    pub fn licence(&self) -> &str {
        match self {
            FullPainter::Windows(windows) => &windows.licence,
            FullPainter::Generator(generator) => &generator.licence,
        }
    }
}

/// What is said of a picture without a face; `name` is the picture as messages call it.
pub fn no_face(name: &str) -> Error {
    Error::no_face(format!("{name}: no face was found; use a picture that shows one, at least 24 pixels large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_shared_by_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<RenderContext>();
    }
}
