//! The generator of a pack or a file, loaded and checked.

use super::backend::{Backend, Engine};
use crate::engine::cpu;
use crate::engine::library::Source;
use crate::error::Advice;
use crate::import::{check, check_generator};
use crate::models::{Component, ModelSet, Pack, Role};
use crate::nets::generator;
use crate::{Error, Result};
use std::sync::Arc;

/// The generator of a pack, ready to run. Clones share one copy of the weights.
#[derive(Clone)]
pub struct Generator {
    /// Where it runs.
    pub engine: Engine,
    /// What it is built like.
    pub config: generator::Config,
    /// Pack or file that it comes from.
    pub name: String,
    /// Of the weights file, 64 digits.
    pub blake3: String,
    /// Of the pack; not known of a file.
    pub licence: String,
}

impl Generator {
    /// Loads the generator `name` for `backend`. The name is a pack's or a safetensors file; `None` means the generator of `pack`, or of
    /// the first pack that has one.
    ///
    /// # Errors
    /// [`Error::Model`] when there is none, or it is damaged; those of [`Engine::open`].
    pub fn load(
        models: &ModelSet,
        pack: Option<&str>,
        name: Option<&str>,
        backend: &Backend,
        options: &cpu::Options,
    ) -> Result<Generator> {
        let file = name.map(std::path::Path::new).filter(|p| p.extension().is_some_and(|e| e == "safetensors"));
        let (weights, name, blake3, licence, path) = match file {
            Some(path) => {
                let (weights, blake3) = crate::weights::safetensors::load_hashed(path)?;
                let weights = if weights.arrays.keys().any(|k| k.starts_with("state.")) {
                    weights.strip_prefix("state.")
                } else {
                    weights
                };
                (
                    Arc::new(crate::weights::spectral::fold(&weights)?),
                    path.display().to_string(),
                    blake3,
                    String::new(),
                    path.to_owned(),
                )
            }
            None => {
                let (pack, component): (&Pack, &Component) = match name {
                    Some(name) => {
                        let pack = models.pack(name)?;
                        let component = pack.component(Role::Generator, None);
                        let none = || {
                            Error::model(format!("the pack '{name}' has no generator: choose another"))
                                .with_advice(Advice::ChooseGenerator)
                        };
                        (pack, component.ok_or_else(none)?)
                    }
                    None => models.find(Role::Generator, None, pack)?,
                };
                let licence = pack.manifest.licence.clone();
                (
                    pack.load(component, check)?,
                    pack.name().to_owned(),
                    component.blake3.clone(),
                    licence,
                    pack.path(component),
                )
            }
        };
        let config = check_generator(&weights).map_err(|e| match e {
            Error::Model(text) => Error::Model(text.map(|t| format!("{name}: {t}"))),
            other => other,
        })?;
        let engine = Engine::open(weights, &Source::File(path, Some(blake3.clone())), backend, options)?;
        Ok(Generator { engine, config, name, blake3, licence })
    }
}
