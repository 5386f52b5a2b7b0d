//! Import of upstream files into model packs: one file per kind.
//!
//! This module knows the layout of upstream files. [`crate::weights`] reads arrays, [`crate::models`] finds and opens packs.
//!
//! An importer reads a user's download, renames its arrays as the network definitions do, and returns a pack that is not written yet. This module
//! checks it, writes it into a temporary folder beside the destination and renames the folder. A failed
//! import leaves nothing behind; importing again replaces the pack.

mod archive;
mod check;
mod deepspeech2;
pub mod fitting;
mod headgan;
mod lsfm;
mod mediapipe;
mod mobilefacenet;
mod retinaface;
mod tddfa;
mod tflite;

pub(crate) use check::check_finite;
pub use check::{check, check_generator, default_check};
pub use headgan::{Networks, networks};

use crate::models::{self, Architecture, Check, Component, FORMAT, MANIFEST, Manifest, ModelSet, Pack, Role};
use crate::weights::{Data, Weights, safetensors, torch};
use crate::{Error, Result};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// What [`import`] takes.
pub const KINDS: [&str; 7] =
    ["3ddfa-v2", "mediapipe", "retinaface", "headgan-official", "lsfm", "deepspeech2", "mobilefacenet"];

/// How to import.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Checks every component before anything is written.
    pub check: Check,
    /// `lsfm` only: the pack whose triangles and landmarks to take if the file has none; without it, any pack in
    /// the destination with as many vertices will do.
    pub topology: Option<&'a Pack>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { check: default_check, topology: None }
    }
}

/// Imports upstream files of a kind (one of [`KINDS`]) from a folder (or a single file, where one is enough) into
/// the pack `name` (the kind unless told) under `dest_root`.
///
/// # Errors
/// [`Error::Usage`] for an unknown kind or a bad name; [`Error::Input`] if `from` does not exist or the destination
/// cannot be written; [`Error::Model`] if a file is missing, damaged, or does not fit the architecture.
pub fn import(kind: &str, from: &Path, name: Option<&str>, dest_root: &Path, options: &Options) -> Result<Pack> {
    let read: fn(&Path, &Path, &Options) -> Result<UnwrittenPack> = match kind {
        "3ddfa-v2" => |from, _, _| tddfa::read(from),
        "retinaface" => |from, _, _| retinaface::read(from),
        "headgan-official" => |from, _, _| headgan::read(from),
        "mobilefacenet" => |from, _, _| mobilefacenet::read(from),
        "mediapipe" => |from, _, _| mediapipe::read(from),
        "lsfm" => lsfm::read,
        "deepspeech2" => |from, _, _| deepspeech2::read(from),
        other => {
            let hint = crate::text::likely(other, KINDS.into_iter());
            let hint = hint.map_or(String::new(), |k| format!("; did you mean '{k}'?"));
            return Err(Error::usage(format!(
                "unknown kind of model '{other}'{hint} (there are {})",
                KINDS.join(", ")
            )));
        }
    };
    let name = name.unwrap_or(kind);
    if !models::is_name(name) {
        let rule = "lower-case letters, digits, '.', '_' and '-', at most 64 of them";
        return Err(Error::usage(format!("'{name}' cannot be the name of a pack: {rule}")));
    }
    if !from.exists() {
        return Err(Error::input(format!(
            "{}: does not exist: give the folder with the upstream files",
            from.display()
        )));
    }
    let mut draft = read(from, dest_root, options)?;
    draft.finish(options.check).map_err(|e| match e {
        Error::Model(text) => Error::Model(text.map(|t| format!("{}: {t}; download the files again", from.display()))),
        other => other,
    })?;
    draft.write(name, dest_root)
}

/// A pack before it is written.
pub(in crate::import) struct UnwrittenPack {
    pub licence: Cow<'static, str>,
    pub source: &'static str,
    pub purpose: &'static str,
    pub parts: Vec<Part>,
}

/// One component of a [`UnwrittenPack`].
pub(in crate::import) struct Part {
    component: Component,
    weights: Weights,
}

impl Part {
    /// `config` must be a JSON object.
    pub fn new(
        role: Role,
        architecture: Architecture,
        file: &str,
        config: serde_json::Value,
        weights: Weights,
    ) -> Part {
        let config = match config {
            serde_json::Value::Object(map) => map,
            _ => serde_json::Map::new(),
        };
        let component =
            Component { role, architecture, config, file: format!("{file}.safetensors"), blake3: String::new() };
        Part { component, weights }
    }
}

impl UnwrittenPack {
    /// Checks all components and writes into each what it is, so that a file can also be used without its pack.
    pub fn finish(&mut self, check: Check) -> Result<()> {
        for Part { component, weights } in &mut self.parts {
            let what = &component.architecture;
            for (name, array) in &weights.arrays {
                if matches!(&array.data, Data::F32(v) if v.iter().any(|v| !v.is_finite())) {
                    return Err(Error::model(format!("{what}: array '{name}' has values that are not finite")));
                }
            }
            check(component, weights).map_err(|e| match e {
                Error::Model(text) => Error::Model(text.map(|t| format!("{what}: {t}"))),
                other => other,
            })?;
            let config = serde_json::Value::Object(component.config.clone()).to_string();
            weights.metadata =
                [("architecture", what.to_string()), ("config", config), ("source", self.source.to_owned())]
                    .map(|(k, v)| (k.to_owned(), v))
                    .into();
        }
        Ok(())
    }

    pub fn write(mut self, name: &str, dest_root: &Path) -> Result<Pack> {
        let fail = |path: &Path, e: std::io::Error| {
            Error::input(format!("{}: cannot be written ({e})", path.display())).with_source(e)
        };
        std::fs::create_dir_all(dest_root).map_err(|e| fail(dest_root, e))?;
        // Dot folders are invisible to the search; this one removes itself unless it was renamed.
        let temporary =
            tempfile::Builder::new().prefix(".import-").tempdir_in(dest_root).map_err(|e| fail(dest_root, e))?;
        let staged = temporary.path().join(name);
        std::fs::create_dir(&staged).map_err(|e| fail(&staged, e))?;
        for part in &mut self.parts {
            part.component.blake3 = safetensors::save(&staged.join(&part.component.file), &part.weights)?;
        }
        let manifest = Manifest {
            format: FORMAT,
            name: name.to_owned(),
            version: "1".to_owned(),
            licence: self.licence.into_owned(),
            source: self.source.to_owned(),
            purpose: self.purpose.to_owned(),
            components: self.parts.into_iter().map(|p| p.component).collect(),
        };
        let text = serde_json::to_string_pretty(&manifest)
            .map_err(|e| Error::engine(format!("{MANIFEST}: {e}")).with_source(e))?;
        safetensors::write_atomic(&staged.join(MANIFEST), |out| out.write_all(format!("{text}\n").as_bytes()))?;
        let target = dest_root.join(name);
        let old = temporary.path().join(".replaced");
        let replaces = target.exists();
        if replaces {
            std::fs::rename(&target, &old).map_err(|e| fail(&target, e))?;
        }
        if let Err(e) = std::fs::rename(&staged, &target) {
            if replaces {
                // Puts the earlier pack back; if even that fails there is nothing left to try.
                let _ = std::fs::rename(&old, &target);
            }
            return Err(fail(&target, e));
        }
        Pack::open(&target)
    }
}

/// The files under `from` whose name satisfies `wanted`, sorted; `from` itself if it is a file.
fn files(from: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    if from.is_file() {
        return Ok(vec![from.to_owned()]);
    }
    let entries = std::fs::read_dir(from)
        .map_err(|e| Error::input(format!("{}: the folder cannot be read ({e})", from.display())).with_source(e))?;
    let is_wanted = |p: &PathBuf| p.is_file() && p.file_name().is_some_and(|n| wanted(&n.to_string_lossy()));
    let mut out: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_wanted).collect();
    out.sort();
    Ok(out)
}

/// A file that must be in the folder.
fn needed(from: &Path, name: &str) -> Result<PathBuf> {
    let path = from.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::model(format!("{}: the file '{name}' is missing; download it from the same place", from.display())))
}

/// The tensors of a torch checkpoint or safetensors file, without `module.` prefixes.
fn tensors(path: &Path) -> Result<Weights> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        let mut weights = safetensors::load(path)?;
        weights.arrays = std::mem::take(&mut weights.arrays)
            .into_iter()
            .map(|(name, a)| (name.strip_prefix("module.").map(str::to_owned).unwrap_or(name), a))
            .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
            .collect();
        return Ok(weights);
    }
    torch::load(path, &torch::Options { strip: "module." })
}

/// The shape of a layer that tells architectures apart.
fn shape<'a>(weights: &'a Weights, name: &str, rank: usize, path: &Path) -> Result<&'a [usize]> {
    let text = match weights.get(name) {
        Some(a) if a.shape.len() == rank => return Ok(&a.shape),
        Some(a) => format!("layer '{name}' has shape {:?} where {rank} dimensions are needed", a.shape),
        None => format!("layer '{name}' is missing; this is another network"),
    };
    Err(Error::model(format!("{}: {text}", path.display())))
}

/// The packs under a destination, for importers that build on one.
fn packs_in(dest_root: &Path) -> ModelSet {
    ModelSet::from_folders(&[dest_root.to_owned()])
}

#[cfg(test)]
mod tests;
