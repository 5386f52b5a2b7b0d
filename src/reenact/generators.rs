//! The generators of a context: where they run, and each loaded once.

use super::backend::Backend;
use super::context_options::ContextOptions;
use super::generator::Generator;
use crate::Result;
use crate::controls::choices::Device;
use crate::engine::cpu;
use crate::models::ModelSet;
use parking_lot::Mutex;

/// Generators, by the place that they run at.
#[derive(Default)]
pub struct Generators {
    /// Where generators run, by what was asked for: chosen once.
    places: Mutex<Vec<(Device, Backend)>>,
    loaded: Mutex<Vec<(String, Generator)>>,
}

impl Generators {
    /// Where a generator runs that is asked to run on `device`.
    pub fn place(&self, device: Device, options: &ContextOptions) -> Result<Backend> {
        let mut places = self.places.lock();
        if let Some((_, place)) = places.iter().find(|(asked, _)| *asked == device) {
            return Ok(place.clone());
        }
        let place = Backend::choose(device, options.precision, options.memory, &options.engines)?;
        places.push((device, place.clone()));
        Ok(place)
    }

    /// The generator at a place.
    pub fn at(&self, place: &Backend, models: &ModelSet, options: &ContextOptions) -> Result<Generator> {
        let name = place.to_string();
        let mut loaded = self.loaded.lock();
        if let Some((_, generator)) = loaded.iter().find(|(there, _)| *there == name) {
            return Ok(generator.clone());
        }
        let (pack, file) = (options.pack.as_deref(), options.generator.as_deref());
        let cpu = cpu::Options { threads: options.threads, ..cpu::Options::default() };
        let generator = Generator::load(models, pack, file, place, &cpu)?;
        loaded.push((name, generator.clone()));
        Ok(generator)
    }

    /// Whether one that was loaded so far listens to sound.
    pub fn some_take_audio(&self) -> bool {
        self.loaded.lock().iter().any(|(_, generator)| generator.config.audio > 0)
    }

    /// Gives buffers that are not in use back to the system.
    pub fn release(&self) {
        self.loaded.lock().iter().for_each(|(_, generator)| generator.engine.release());
    }
}
