//! What a process keeps between frames and between its callers: networks, prepared references, shots, buffers.
//! Everything is found by content, so that ten instances of an effect that show the same share one copy, and one that a
//! host makes anew for every frame starts warm.

use crate::controls::choices::{Device, Quality};
use crate::engine::cpu;
use crate::face::choose::Choice;
use crate::frame::Frame;
use crate::key::Key;
use crate::lru::LruCache;
use crate::models::ModelSet;
use crate::reenact::backend::Backend;
use crate::reenact::generator::Generator;
use crate::reenact::networks::Networks;
use crate::reenact::shot::{Scratch, Shot};
use crate::reenact::{AudioInput, FrameSettings};
use crate::shot::analyse::{Analysis, Clip, pixels};
use crate::shot::{Analyser, AudioExtractor, Cache, Head, Motion, Track, TrackSettings};
use crate::{CancelToken, Error, Result};
use parking_lot::Mutex;
use std::path::PathBuf;
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
    threads: usize,
    /// Folders where an engine library may lie, besides those that are always searched.
    engines: Vec<PathBuf>,
    /// Where generators run, by what was asked for: chosen once.
    places: Mutex<Vec<(Device, Backend)>>,
    /// By the place that they run at.
    generators: Mutex<Vec<(String, Generator)>>,
    references: Mutex<LruCache<Arc<Shot>>>,
    shots: Mutex<LruCache<Arc<Shot>>>,
    scratches: Mutex<Vec<Scratch>>,
}

/// A reference picture and what drives it.
#[derive(Clone, Copy)]
pub struct ShotSpec<'a> {
    pub reference: &'a Frame,
    /// As messages call it.
    pub name: &'a str,
    pub motion: &'a Motion,
    /// Stands for the motion.
    pub motion_key: Key,
    pub track: TrackSettings,
    /// What a generator that listens hears.
    pub hearing: Option<&'a AudioInput>,
    pub quality: Quality,
    /// Where the generator runs.
    pub device: Device,
}

impl RenderContext {
    /// Loads the networks of the first pack that has them; `threads` for analysis and the generator, 0: all. Engine libraries
    /// are looked for in `engines` too.
    ///
    /// # Errors
    /// [`Error::Model`] when no pack can be used.
    pub fn load(models: ModelSet, engines: Vec<PathBuf>, threads: usize) -> Result<RenderContext> {
        // Small networks: one thread each is fastest.
        let networks = Networks::load(&models, None, None, &cpu::Options { threads: 1, ..cpu::Options::default() })?;
        Ok(RenderContext {
            models,
            networks,
            threads,
            engines,
            places: Mutex::default(),
            generators: Mutex::default(),
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

    /// What listens to the sounds of shots.
    pub fn audio_extractor<'a>(&'a self, cache: Option<&'a Cache>, cancel: &'a CancelToken) -> AudioExtractor<'a> {
        AudioExtractor { models: &self.models, threads: self.threads, cache, cancel }
    }

    /// Whether the generator of a place that [`RenderContext::place`] found listens to sound.
    ///
    /// # Errors
    /// [`Error::Model`] where there is none, or it is damaged.
    pub fn takes_audio(&self, place: &Backend) -> Result<bool> {
        Ok(self.generator(place.to_string(), place)?.config.audio > 0)
    }

    /// Whether a generator that was loaded so far listens to sound.
    pub fn some_take_audio(&self) -> bool {
        self.generators.lock().iter().any(|(_, generator)| generator.config.audio > 0)
    }

    fn analyser<'a>(
        &'a self,
        cache: Option<&'a Cache>,
        progress: &'a (dyn Fn() + Sync),
        cancel: &'a CancelToken,
    ) -> Analyser<'a> {
        let networks = self.networks.fingerprint();
        Analyser { observer: self.networks.observer(), networks, cache, threads: self.threads, progress, cancel }
    }

    /// The shot of a reference and a motion, made unless it is known. Its face is the reference's largest.
    ///
    /// # Errors
    /// [`Error::NoFace`] where the reference or the motion has none, [`Error::Usage`] for a neutral frame outside,
    /// [`Error::Model`] where quality full has no generator or the motion is another model's; those of [`RenderContext::place`].
    pub fn shot(&self, cast: &ShotSpec, cache: Option<&Cache>) -> Result<Arc<Shot>> {
        cast.motion.check_model(self.networks.model_hash(), &self.networks.pack, "the analysed shot")?;
        // A device that is asked for must be there, whether this frame needs it or not.
        let place = self.place(cast.device)?;
        let place = (cast.quality == Quality::Full).then_some(place);
        let painter = place.as_ref().map_or(String::new(), Backend::to_string);
        let reference = Key::of("reference", &[pixels(cast.reference).bytes(), painter.as_bytes()]);
        let (width, height) = cast.motion.size;
        let sound = cast.hearing.map_or(String::new(), |h| format!("{} {}", h.key.hex(), h.first));
        let settings = format!("{:?} {width}x{height} {sound}", cast.track);
        let key = Key::of("performance", &[reference.bytes(), cast.motion_key.bytes(), settings.as_bytes()]);
        if let Some(shot) = self.shots.lock().get(&key) {
            return Ok(shot);
        }
        let track = Track::new(cast.motion, &Head::of(self.networks.morphable.model()), &cast.track)?;
        // Held while a reference is prepared: threads that want the same one wait for it.
        let mut references = self.references.lock();
        let shot = match references.get(&reference) {
            Some(shot) => Arc::new(shot.driven_by(track).hearing(cast.hearing.cloned())),
            None => {
                let generator = place.map(|place| self.generator(painter, &place)).transpose()?;
                let seen = self.analyser(cache, &|| (), &CancelToken::default()).observe(cast.reference)?;
                let fit = seen.choose(Choice::Largest).ok_or_else(|| {
                    Error::no_face(format!(
                        "{}: no face was found; use a picture that shows one, at least 24 pixels large",
                        cast.name
                    ))
                })?;
                let shot = Shot::new(&self.networks, cast.reference.clone(), &fit.fit, track, generator)?;
                references.put(reference, Arc::new(shot.hearing(cast.hearing.cloned())))
            }
        };
        drop(references);
        Ok(self.shots.lock().put(key, shot))
    }

    /// Where a generator runs that is asked to run on `device`.
    ///
    /// # Errors
    /// Those of [`Backend::choose`].
    pub fn place(&self, device: Device) -> Result<Backend> {
        let mut places = self.places.lock();
        if let Some((_, place)) = places.iter().find(|(asked, _)| *asked == device) {
            return Ok(place.clone());
        }
        let place = Backend::choose(device, None, 0, &self.engines)?;
        places.push((device, place.clone()));
        Ok(place)
    }

    /// The generator at a place, which `name` stands for.
    fn generator(&self, name: String, place: &Backend) -> Result<Generator> {
        let mut loaded = self.generators.lock();
        if let Some((_, generator)) = loaded.iter().find(|(there, _)| *there == name) {
            return Ok(generator.clone());
        }
        let options = cpu::Options { threads: self.threads, ..cpu::Options::default() };
        let generator = Generator::load(&self.models, None, None, place, &options)?;
        loaded.push((name, generator.clone()));
        Ok(generator)
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
        self.generators.lock().iter().for_each(|(_, generator)| generator.engine.release());
    }
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
