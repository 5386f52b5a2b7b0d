//! A prepared clip: a safetensors file with `log` [t, 40], the logarithms of the mel energies of its sound, 50 a second; `gap` \[n\], the gap of the lips
//! in each frame as a share of the distance of the eyes, 0 where they touch; `shapes` [n, 15], the spoken shapes from what they are at rest; `confidence`
//! \[n\], 0 where no face was seen. The metadata `clip` is a [`ClipNote`].

use headgan::audio::mel::MelSpectra;
use headgan::morphable::arkit::spoken::SPOKEN;
use headgan::weights::{Array, Weights, safetensors};
use headgan::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Values of the spoken shapes.
pub const SHAPES: usize = SPOKEN.len();

/// What is known of a clip, or why it is not used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipNote {
    pub name: String,
    pub person: String,
    /// Not to be trained on.
    pub held: bool,
    /// Whether the clip's licence allows commercial use.
    pub clean: bool,
    /// Frames a second.
    pub fps: f64,
    /// How well loudness and the gap of the lips go together: the largest correlation at any lag within 0.2 s.
    pub agreement: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
}

/// A clip of somebody who speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct SpokenClip {
    pub note: ClipNote,
    pub spectra: MelSpectra,
    pub gap: Vec<f32>,
    pub shapes: Vec<[f32; SHAPES]>,
    pub confidence: Vec<f32>,
}

impl SpokenClip {
    /// Writes the clip.
    ///
    /// # Errors
    /// [`Error::Input`] where that fails.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut out = Weights::default();
        let log = self.spectra.log().to_vec();
        out.insert("log", Array::f32([self.spectra.frames(), log.len() / self.spectra.frames()], log));
        out.insert("gap", Array::f32([self.gap.len()], self.gap.clone()));
        out.insert("shapes", Array::f32([self.shapes.len(), SHAPES], self.shapes.as_flattened().to_vec()));
        out.insert("confidence", Array::f32([self.confidence.len()], self.confidence.clone()));
        let note =
            serde_json::to_string(&self.note).map_err(|e| Error::engine(format!("a note: {e}")).with_source(e))?;
        out.metadata.insert("clip".into(), note);
        safetensors::save(path, &out).map(drop)
    }

    /// Reads a clip.
    ///
    /// # Errors
    /// [`Error::Input`] where it is damaged.
    pub fn load(path: &Path) -> Result<SpokenClip> {
        let bad = || Error::input(format!("{}: is no prepared clip: remove it to make it again", path.display()));
        let file = safetensors::load(path).map_err(|e| bad().with_source(e))?;
        let values = |name: &str| file.get(name).and_then(Array::as_f32).map(<[f32]>::to_vec).ok_or_else(bad);
        let note = file.metadata.get("clip").and_then(|t| serde_json::from_str(t).ok()).ok_or_else(bad)?;
        let clip = SpokenClip {
            note,
            spectra: MelSpectra::from_log(values("log")?).ok_or_else(bad)?,
            gap: values("gap")?,
            shapes: values("shapes")?.as_chunks::<SHAPES>().0.to_vec(),
            confidence: values("confidence")?,
        };
        let n = clip.gap.len();
        if n == 0 || clip.shapes.len() != n || clip.confidence.len() != n {
            return Err(bad());
        }
        Ok(clip)
    }
}

/// The file of a clip.
pub fn path(data: &Path, name: &str) -> PathBuf {
    data.join(format!("{name}.safetensors"))
}

/// All clips of a folder by name; those that were rejected only where `rejected` asks for them.
///
/// # Errors
/// [`Error::Input`] where there is none, or one is damaged.
pub fn load_all(data: &Path, rejected: bool) -> Result<Vec<SpokenClip>> {
    let cannot = |e: std::io::Error| Error::input(format!("{}: cannot be read ({e})", data.display())).with_source(e);
    let entries = std::fs::read_dir(data).map_err(cannot)?.collect::<std::io::Result<Vec<_>>>().map_err(cannot)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|e| e.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "safetensors"));
    paths.sort();
    if paths.is_empty() {
        return Err(Error::input(format!("{}: holds no prepared clip: `headgan-train lips-prepare`", data.display())));
    }
    let mut clips = paths.iter().map(|p| SpokenClip::load(p)).collect::<Result<Vec<_>>>()?;
    clips.retain(|c| rejected || c.note.rejected.is_none());
    Ok(clips)
}
