//! The generators of a render context and their backends. Each generator is loaded once.

use super::backend::Backend;
use super::context_options::ContextOptions;
use super::generator::Generator;
use crate::Result;
use crate::controls::choices::Device;
use crate::engine::cpu;
use crate::models::ModelSet;
use parking_lot::Mutex;

/// Generators by the backend that they run on.
#[derive(Default)]
pub struct Generators {
    /// Backends by the requested device, each chosen once.
    places: Mutex<Vec<(Device, Backend)>>,
    loaded: Mutex<Vec<(String, Generator)>>,
}

impl Generators {
    /// The backend of a generator for `device`.
    pub fn backend(&self, device: Device, options: &ContextOptions) -> Result<Backend> {
        let mut places = self.places.lock();
        if let Some((_, backend)) = places.iter().find(|(asked, _)| *asked == device) {
            return Ok(backend.clone());
        }
        let backend = Backend::choose(device, options.precision, options.memory, &options.engines)?;
        places.push((device, backend.clone()));
        Ok(backend)
    }

    /// The generator on a backend.
    pub fn at(&self, backend: &Backend, models: &ModelSet, options: &ContextOptions) -> Result<Generator> {
        let name = backend.to_string();
        let mut loaded = self.loaded.lock();
        if let Some((_, generator)) = loaded.iter().find(|(there, _)| *there == name) {
            return Ok(generator.clone());
        }
        let (pack, file) = (options.pack.as_deref(), options.generator.as_deref());
        let cpu = cpu::Options { threads: options.threads, ..cpu::Options::default() };
        let generator = Generator::load(models, pack, file, backend, &cpu)?;
        loaded.push((name, generator.clone()));
        Ok(generator)
    }

    /// Whether any generator that has been loaded takes audio.
    pub fn some_take_audio(&self) -> bool {
        self.loaded.lock().iter().any(|(_, generator)| generator.config.audio > 0)
    }

    /// Returns unused buffers to the system.
    pub fn release(&self) {
        self.loaded.lock().iter().for_each(|(_, generator)| generator.engine.release());
    }
}
