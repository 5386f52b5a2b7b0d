//! Model packs: a folder with `pack.json` and one safetensors file per network.
//!
//! This module finds packs and reads their contents. [`crate::import`] makes packs, [`crate::weights`] holds the file formats of arrays.
//!
//! Packs are searched for in the folders of `$HEADGAN_MODELS`, the user's data folder, the bundle's resources and the
//! repository, in that order; the first of several packs of one name wins. Every file is verified with its blake3
//! checksum when it is loaded, and loaded once per process.

mod architecture;

pub use architecture::Architecture;

use crate::error::Advice;
use crate::text::likely;
use crate::weights::{Weights, safetensors};
use crate::{Error, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component as PathPart, Path, PathBuf};
use std::sync::{Arc, Weak};

/// The manifest's file name.
pub const MANIFEST: &str = "pack.json";
/// The manifest's format that this version reads and writes.
pub const FORMAT: u32 = 1;
/// Largest manifest that is read.
const MAX_MANIFEST: u64 = 1 << 20;

/// What a component is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Role {
    /// Finds faces.
    Detector,
    /// Fits the morphable model's parameters.
    Regressor,
    /// The morphable model.
    Morphable,
    /// Paints the result.
    Generator,
    /// Judges it, in training.
    Discriminator,
    /// Tells identities apart.
    Embedder,
    /// Turns speech into characters.
    Speech,
    /// Finds faces for a dense network.
    DenseDetector,
    /// Finds dense landmarks in a face.
    Landmarks,
    /// Finds the iris in an eye.
    Iris,
    /// Tells a person from what is around.
    Segmentation,
    /// Paints an eye or a mouth: the configuration calls the network `eye` or `mouth`.
    Window,
    /// Says what lips do while a sound is heard.
    Lips,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Role::Detector => "detector",
            Role::Regressor => "regressor",
            Role::Morphable => "morphable",
            Role::Generator => "generator",
            Role::Discriminator => "discriminator",
            Role::Embedder => "embedder",
            Role::Speech => "speech",
            Role::DenseDetector => "dense-detector",
            Role::Landmarks => "landmarks",
            Role::Iris => "iris",
            Role::Segmentation => "segmentation",
            Role::Window => "window",
            Role::Lips => "lips",
        })
    }
}

/// One network (or morphable model) of a pack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// What it is for.
    pub role: Role,
    /// What kind of network or model it is.
    pub architecture: Architecture,
    /// What the architecture needs to know, as its `Config` has it.
    #[serde(default)]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// The safetensors file, in the pack's folder.
    pub file: String,
    /// Its checksum, 64 hexadecimal digits.
    pub blake3: String,
}

impl Component {
    /// The configuration as the architecture's own type.
    ///
    /// # Errors
    /// [`Error::Model`] if a value is missing or of the wrong kind.
    pub fn config<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        let config = serde_json::Value::Object(self.config.clone());
        serde_json::from_value(config).map_err(|e| {
            Error::model(format!("the configuration of {} '{}': {e}", self.architecture, self.file)).with_source(e)
        })
    }
}

/// What `pack.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The name by which it is asked for.
    pub name: String,
    /// The version, as its author counts.
    pub version: String,
    /// The licence, as SPDX names it where it can.
    pub licence: String,
    /// Where the weights come from.
    pub source: String,
    /// What it is good for, in a sentence.
    pub purpose: String,
    /// The networks and models in it.
    pub components: Vec<Component>,
}

/// A check of a component's weights: names, shapes, values. Called on import and on every load.
pub type Check = fn(&Component, &Weights) -> Result<()>;

/// A pack in a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Pack {
    /// Where it lies.
    pub folder: PathBuf,
    /// What `pack.json` says.
    pub manifest: Manifest,
}

impl Pack {
    /// Reads and checks the manifest of a pack's folder; weights are loaded when they are needed.
    ///
    /// # Errors
    /// [`Error::Model`] if there is no manifest, or one that is damaged or of a newer format.
    pub fn open(folder: &Path) -> Result<Pack> {
        let path = folder.join(MANIFEST);
        let bad = |text: String| Error::model(format!("{}: {text}", path.display()));
        let meta = path.metadata().map_err(|e| bad(format!("cannot be read ({e})")).with_source(e))?;
        if meta.len() > MAX_MANIFEST {
            return Err(bad("is too large for a manifest".into()));
        }
        let text = std::fs::read_to_string(&path).map_err(|e| bad(format!("cannot be read ({e})")).with_source(e))?;
        // The format comes first: a newer manifest may have other fields.
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| bad(format!("is not a JSON document ({e})")).with_source(e))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(f) if f == u64::from(FORMAT) => {}
            Some(f) => return Err(bad(format!("has format {f}; this version reads {FORMAT}: update the program"))),
            None => return Err(bad("has no 'format'; it is not a model pack".into())),
        }
        let manifest: Manifest =
            serde_json::from_value(value).map_err(|e| bad(format!("is not a valid manifest ({e})")).with_source(e))?;
        if !is_name(&manifest.name) {
            return Err(bad(format!("has the name '{}', which is not a pack name", manifest.name)));
        }
        for c in &manifest.components {
            let mut parts = Path::new(&c.file).components();
            if !matches!((parts.next(), parts.next()), (Some(PathPart::Normal(_)), None)) {
                return Err(bad(format!("refers to the file '{}', which is not a file name", c.file)));
            }
            if c.blake3.len() != 64 || !c.blake3.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(bad(format!("has a malformed checksum for '{}'", c.file)));
            }
        }
        Ok(Pack { folder: folder.to_owned(), manifest })
    }

    /// The pack's name.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// The networks and models in it.
    pub fn components(&self) -> &[Component] {
        &self.manifest.components
    }

    /// The component of this role whose configuration calls its network by this name.
    pub fn network(&self, role: Role, name: &str) -> Option<&Component> {
        self.components().iter().find(|c| c.role == role && c.config.get("network").is_some_and(|n| n == name))
    }

    /// The first component of this role (and architecture).
    pub fn component(&self, role: Role, architecture: Option<&Architecture>) -> Option<&Component> {
        self.components().iter().find(|c| c.role == role && architecture.is_none_or(|a| *a == c.architecture))
    }

    /// Where a component's weights are.
    pub fn path(&self, component: &Component) -> PathBuf {
        self.folder.join(&component.file)
    }

    /// The weights of a component, verified by checksum and by `check`.
    ///
    /// Weights are shared by the whole process, keyed by checksum, for as long as somebody holds them.
    ///
    /// # Errors
    /// [`Error::Model`] if the file is missing, damaged or another one than the manifest states, or if `check` fails.
    pub fn load(&self, component: &Component, check: Check) -> Result<Arc<Weights>> {
        let weights = self.load_cached(component)?;
        check(component, &weights).map_err(|e| match e {
            Error::Model(text) => Error::Model(text.map(|t| format!("{}: {t}", self.path(component).display()))),
            other => other,
        })?;
        Ok(weights)
    }

    fn load_cached(&self, component: &Component) -> Result<Arc<Weights>> {
        /// Weights that somebody holds, by checksum.
        static CACHE: Mutex<BTreeMap<String, Weak<Weights>>> = Mutex::new(BTreeMap::new());
        // Held while loading: two threads that need the same weights load them once.
        let mut cache = CACHE.lock();
        if let Some(weights) = cache.get(&component.blake3).and_then(Weak::upgrade) {
            return Ok(weights);
        }
        let path = self.path(component);
        let (weights, hash) = safetensors::load_hashed(&path).map_err(|e| match e {
            Error::Input(text) => Error::Model(text.map(|t| format!("{t}; import the pack '{}' again", self.name()))),
            other => other,
        })?;
        if hash != component.blake3 {
            return Err(Error::model(format!(
                "{}: the checksum is {}... where {MANIFEST} states {}...; the file is damaged or was exchanged: import the pack '{}' again",
                path.display(),
                &hash[..12],
                &component.blake3[..12],
                self.name()
            )));
        }
        let weights = Arc::new(weights);
        cache.retain(|_, weak| weak.strong_count() > 0);
        cache.insert(component.blake3.clone(), Arc::downgrade(&weights));
        Ok(weights)
    }
}

/// Whether a text may name a pack: lower-case letters, digits, `.`, `_`, `-`, at most 64, not starting with a dot.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

/// All packs that can be found.
#[derive(Debug, Clone, Default)]
pub struct ModelSet {
    packs: Vec<Pack>,
    folders: Vec<PathBuf>,
    problems: Vec<String>,
}

impl ModelSet {
    /// Looks for packs in `$HEADGAN_MODELS`, [`user_folder`], the `extra` folders (a bundle's `Resources/models`)
    /// and the repository's `models`. Folders that do not exist are skipped.
    pub fn discover(extra: &[PathBuf]) -> ModelSet {
        let mut folders: Vec<PathBuf> = match std::env::var_os("HEADGAN_MODELS") {
            Some(list) => std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).collect(),
            None => Vec::new(),
        };
        folders.extend(user_folder());
        folders.extend_from_slice(extra);
        folders.extend(repository_folder());
        ModelSet::from_folders(&folders)
    }

    /// Looks for packs in these folders only; a folder may also be a pack itself.
    pub fn from_folders(folders: &[PathBuf]) -> ModelSet {
        let mut set = ModelSet::default();
        for folder in folders {
            if set.folders.contains(folder) {
                continue;
            }
            set.folders.push(folder.clone());
            for path in pack_folders(folder) {
                match Pack::open(&path) {
                    Ok(pack) if set.packs.iter().any(|p| p.name() == pack.name()) => {}
                    Ok(pack) => set.packs.push(pack),
                    Err(e) => set.problems.push(e.to_string()),
                }
            }
        }
        set
    }

    /// In the order of the search path, by name within a folder.
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// The folders that were searched, whether they exist or not.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Folders that look like packs but cannot be used, one line each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The pack of this name.
    ///
    /// # Errors
    /// [`Error::Model`] naming the nearest pack, those that are there, and the folders that were searched.
    pub fn pack(&self, name: &str) -> Result<&Pack> {
        if let Some(pack) = self.packs.iter().find(|p| p.name() == name) {
            return Ok(pack);
        }
        let names = self.packs.iter().map(Pack::name);
        let hint = likely(name, names).map_or(String::new(), |n| format!("; did you mean '{n}'?"));
        Err(Error::model(format!("there is no model pack '{name}'{hint} {}", self.there()))
            .with_advice(Advice::ImportModel("KIND".into())))
    }

    /// A component by role (and architecture): from `prefer_pack` if it has one, else from the first pack that does.
    ///
    /// # Errors
    /// [`Error::Model`] if `prefer_pack` does not exist, or no pack has such a component.
    pub fn find(
        &self,
        role: Role,
        architecture: Option<&Architecture>,
        prefer_pack: Option<&str>,
    ) -> Result<(&Pack, &Component)> {
        let preferred = prefer_pack.map(|name| self.pack(name)).transpose()?;
        let packs = preferred.into_iter().chain(&self.packs);
        if let Some(found) = packs.filter_map(|p| Some((p, p.component(role, architecture)?))).next() {
            return Ok(found);
        }
        let kind = match (role, architecture) {
            (_, Some(Architecture::RetinaFace)) => "retinaface",
            (Role::Detector | Role::Regressor | Role::Morphable, _) => "3ddfa-v2",
            (Role::Generator | Role::Discriminator, _) => "headgan-official",
            (Role::Embedder, _) => "mobilefacenet",
            (Role::Speech, _) => "deepspeech2",
            (Role::DenseDetector | Role::Landmarks | Role::Iris | Role::Segmentation, _) => "mediapipe",
            (Role::Window, _) => {
                return Err(Error::model(format!(
                    "no model pack has a {role} (headgan-train windows makes one) {}",
                    self.there()
                )));
            }
            (Role::Lips, _) => {
                return Err(Error::model(format!(
                    "no model pack says what lips do while a sound is heard (starter-lips does, headgan-train lips makes one) {}",
                    self.there()
                )));
            }
        };
        let which = architecture.map_or(String::new(), |a| format!(" of the architecture '{a}'"));
        Err(Error::model(format!("no model pack has a {role}{which} {}", self.there()))
            .with_advice(Advice::ImportModel(kind.into())))
    }

    /// What is there, and where it was searched for.
    fn there(&self) -> String {
        let names: Vec<&str> = self.packs.iter().map(Pack::name).collect();
        let there = if names.is_empty() { "none".into() } else { names.join(", ") };
        let folders: Vec<String> = self.folders.iter().map(|f| f.display().to_string()).collect();
        let searched = if folders.is_empty() { "no folder".into() } else { folders.join(", ") };
        let problems = match self.problems.as_slice() {
            [] => String::new(),
            [one] => format!("; not usable: {one}"),
            [one, rest @ ..] => format!("; not usable: {one} (and {} more)", rest.len()),
        };
        format!("(there: {there}; searched: {searched}{problems}); import one")
    }
}

/// The folders under `folder` (or `folder` itself) that have a manifest, by name.
fn pack_folders(folder: &Path) -> Vec<PathBuf> {
    if folder.join(MANIFEST).is_file() {
        return vec![folder.to_owned()];
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    // Folders that start with a dot are imports under way.
    let hidden = |p: &PathBuf| p.file_name().is_none_or(|n| n.to_string_lossy().starts_with('.'));
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| !hidden(p) && p.join(MANIFEST).is_file()).collect();
    paths.sort();
    paths
}

/// Where imported packs go: `headgan/models` in the user's data folder, or `None` if the system names none.
pub fn user_folder() -> Option<PathBuf> {
    crate::paths::user_data().map(|data| data.join("models"))
}

/// The repository's `models`: the first folder of that name with a pack in it, upwards from the executable, then
/// from the current folder.
fn repository_folder() -> Option<PathBuf> {
    let starts = [std::env::current_exe().ok(), std::env::current_dir().ok()];
    let mut candidates = starts.iter().flatten().flat_map(|start| start.ancestors()).map(|a| a.join("models"));
    candidates.find(|models| !pack_folders(models).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Array;

    fn unchecked(_: &Component, _: &Weights) -> Result<()> {
        Ok(())
    }

    /// Writes a pack with one component of a given value; returns its folder.
    fn write_pack(root: &Path, name: &str, role: Role, architecture: &str, value: f32) -> PathBuf {
        let folder = root.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut w = Weights::default();
        w.insert("w", Array::f32([1], vec![value]));
        let blake3 = safetensors::save(&folder.join("net.safetensors"), &w).unwrap();
        let manifest = Manifest {
            format: FORMAT,
            name: name.into(),
            version: "1".into(),
            licence: "MIT".into(),
            source: "test".into(),
            purpose: "test".into(),
            components: vec![Component {
                role,
                architecture: architecture.into(),
                config: serde_json::Map::from_iter([("width".to_owned(), serde_json::json!(0.5))]),
                file: "net.safetensors".into(),
                blake3,
            }],
        };
        std::fs::write(folder.join(MANIFEST), serde_json::to_string_pretty(&manifest).unwrap()).unwrap();
        folder
    }

    #[test]
    fn found_preferred_and_shadowed() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_pack(a.path(), "one", Role::Detector, "faceboxes", 101.0);
        write_pack(b.path(), "one", Role::Detector, "faceboxes", 102.0);
        write_pack(b.path(), "two", Role::Detector, "retinaface", 103.0);
        write_pack(b.path(), ".half", Role::Detector, "retinaface", 103.0);
        let set = ModelSet::from_folders(&[a.path().into(), b.path().into(), a.path().join("none")]);
        assert_eq!(set.packs().iter().map(Pack::name).collect::<Vec<_>>(), ["one", "two"]);
        let value = |found: (&Pack, &Component)| found.0.load(found.1, unchecked).unwrap().get("w").cloned();
        assert_eq!(value(set.find(Role::Detector, None, None).unwrap()), Some(Array::f32([1], vec![101.0])));
        assert_eq!(value(set.find(Role::Detector, None, Some("two")).unwrap()), Some(Array::f32([1], vec![103.0])));
        // A pack without what is needed does not hide the others.
        let (pack, component) = set.find(Role::Detector, Some(&Architecture::RetinaFace), Some("one")).unwrap();
        assert_eq!(pack.name(), "two");
        #[derive(Deserialize)]
        struct Config {
            width: f32,
        }
        assert_eq!(component.config::<Config>().unwrap().width, 0.5);

        let text = set.pack("tow").unwrap_err().to_string();
        assert!(text.contains("did you mean 'two'") && text.contains("one, two") && text.contains("import"), "{text}");
        assert!(text.contains(&a.path().display().to_string()) && !text.contains('\n'), "{text}");
        let error = set.find(Role::Generator, None, None).unwrap_err();
        assert!(error.to_string().contains("generator"), "{error}");
        assert_eq!(error.advice(), Some(&Advice::ImportModel("headgan-official".into())));
        assert_eq!(set.find(Role::Embedder, None, Some("three")).unwrap_err().exit_code(), 4);
        // The folder of one pack.
        assert_eq!(ModelSet::from_folders(&[b.path().join("two")]).packs().len(), 1);
    }

    #[test]
    fn a_changed_file_is_an_error_wherever_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = write_pack(dir.path(), "pack", Role::Detector, "faceboxes", 7.5);
        let pack = Pack::open(&folder).unwrap();
        let path = folder.join("net.safetensors");
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            match pack.load(&pack.components()[0], unchecked) {
                Err(Error::Model(text)) => assert!(text.contains("net.safetensors"), "{text}"),
                other => panic!("byte {at}: {other:?}"),
            }
        }
        std::fs::write(&path, &good).unwrap();
        let first = pack.load(&pack.components()[0], unchecked).unwrap();
        let second = pack.load(&pack.components()[0], unchecked).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        std::fs::remove_file(&path).unwrap();
        let gone = pack.load(&pack.components()[0], unchecked).unwrap_err();
        assert!(gone.exit_code() == 4 && gone.to_string().contains("import"), "{gone}");
        // The error of the file system stays below the text that two functions have told anew.
        let source = std::error::Error::source(&gone).and_then(|e| e.downcast_ref::<std::io::Error>());
        assert_eq!(source.map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound));
        let check: Check = |_, _| Err(Error::Model("layer 'x'".into()));
        std::fs::write(&path, &good).unwrap();
        let text = pack.load(&pack.components()[0], check).unwrap_err().to_string();
        assert!(text.contains("net.safetensors: layer 'x'"), "{text}");
    }

    #[test]
    fn manifests_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let folder = write_pack(dir.path(), "pack", Role::Detector, "faceboxes", 1.0);
        let good = std::fs::read_to_string(folder.join(MANIFEST)).unwrap();
        for (from, to, says) in [
            ("\"format\": 1", "\"format\": 2", "format 2"),
            ("\"format\": 1", "\"formt\": 1", "no 'format'"),
            ("\"detector\"", "\"wizard\"", "wizard"),
            ("net.safetensors", "../net.safetensors", "file name"),
            ("net.safetensors", "/etc/passwd", "file name"),
            ("\"name\": \"pack\"", "\"name\": \"../pack\"", "pack name"),
            ("\"blake3\": \"", "\"blake3\": \"Z", "checksum"),
            ("{", "[", "JSON"),
        ] {
            assert!(good.contains(from), "{from}");
            std::fs::write(folder.join(MANIFEST), good.replacen(from, to, 1)).unwrap();
            let set = ModelSet::from_folders(&[dir.path().into()]);
            assert_eq!(set.packs().len(), 0, "{to}");
            assert!(set.problems()[0].contains(says), "{to}: {}", set.problems()[0]);
            assert!(set.pack("pack").unwrap_err().to_string().contains("not usable"));
        }
    }

    #[test]
    fn names_of_packs() {
        assert!(is_name("3ddfa-v2") && !is_name("") && !is_name("a/b") && !is_name("..") && !is_name("A"));
    }
}
