//! A prepared clip: a folder with JPEGs of its square window and what is known of each frame.
//!
//! `frames/000000.jpg` and on are [`SIDE`] pixels square: the window that a generator sees ([`CROP`] pixels) and a
//! margin, which augmentation moves into. `fits.safetensors`, cameras in the pixels of these pictures:
//! `reference_camera` [n, 12], `reference_expression` [n, e] and `shape` [n, s] as the frame alone is fitted, `camera`
//! [n, 12] and `expression` [n, e] as the clip's track drives, `usable` \[n\] 1 or 0. `clip.json` ([`ClipMetadata`]) is written
//! last: a folder that has it is finished. [`SOUND`], where the clip has sound, is what is heard in each frame
//! ([`AudioConditioning::to_arrays`]).

use headgan::audio::AudioConditioning;
use headgan::media::{atomic, still};
use headgan::models::{ModelSet, Pack, Role};
use headgan::morphable::arrays::morphable_from;
use headgan::morphable::retarget::FramePose;
use headgan::morphable::{ImageCamera, Morphable};
use headgan::reenact::window::CROP;
use headgan::weights::{Array, Weights, safetensors};
use headgan::{Error, Result};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Side of the stored pictures in pixels.
pub const SIDE: usize = CROP * 5 / 4;
/// JPEG quality of the stored pictures.
pub const QUALITY: u8 = 95;

/// The file with what is heard in a clip.
pub const SOUND: &str = "sound.safetensors";

/// A rectangle in the stored pictures' pixels: edges, x0 y0 x1 y1.
pub type Edges = [f64; 4];

/// What is known of a clip as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipMetadata {
    pub name: String,
    /// The file that it was cut out of, from the clips' folder on.
    pub source: String,
    /// The folder beneath the clips' folder that it comes from, where that says whose clip it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Number of its first frame in that file.
    pub first: usize,
    pub frames: usize,
    /// Frames that show the face well.
    pub usable: usize,
    /// Upper left corner and side of the stored square in the file's pixels.
    pub square: [f64; 3],
    /// Where the file's own picture lies.
    pub visible: Edges,
    /// What was painted over, where something was.
    pub inset: Option<Edges>,
    /// Mean of the frames' identities, a unit vector; empty without an identity network.
    pub identity: Vec<f32>,
    /// blake3 of the morphable model.
    pub model: String,
    /// None where nobody has looked for it yet: data sets of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<Sound>,
}

/// A clip's sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sound {
    /// Whether there is any, and [`SOUND`] holds it.
    pub heard: bool,
    /// blake3 of the acoustic model that listened, where one did.
    pub acoustic: Option<String>,
}

/// A clip that can be read.
#[derive(Debug, Clone)]
pub struct StoredClip {
    pub metadata: ClipMetadata,
    pub folder: PathBuf,
    pub frames: Vec<StoredFrame>,
    /// What is heard in them; none where the clip has no sound, or nobody has looked for it.
    pub heard: Option<AudioConditioning>,
}

/// A frame's fits, in the pixels of the stored pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFrame {
    /// As the frame alone is fitted.
    pub reference: FramePose,
    pub shape: Vec<f32>,
    /// As the track drives.
    pub driving: FramePose,
    pub usable: bool,
}

/// The picture of frame `i` of a clip's folder.
pub fn picture_path(folder: &Path, i: usize) -> PathBuf {
    folder.join(format!("frames/{i:06}.jpg"))
}

/// Writes `fits.safetensors` and then `clip.json`.
///
/// # Errors
/// [`Error::Input`] where that fails.
pub fn finish(folder: &Path, metadata: &ClipMetadata, frames: &[StoredFrame]) -> Result<()> {
    let n = frames.len();
    let mut out = Weights::default();
    let mut put = |name: &str, values: Vec<f32>| {
        out.insert(name, Array::f32([n, values.len().checked_div(n).unwrap_or(0)], values));
    };
    let camera = |pose: &FramePose| pose.camera.matrix().map(|v| v as f32);
    put("reference_camera", frames.iter().flat_map(|f| camera(&f.reference)).collect());
    put("reference_expression", frames.iter().flat_map(|f| f.reference.expr.clone()).collect());
    put("shape", frames.iter().flat_map(|f| f.shape.clone()).collect());
    put("camera", frames.iter().flat_map(|f| camera(&f.driving)).collect());
    put("expression", frames.iter().flat_map(|f| f.driving.expr.clone()).collect());
    put("usable", frames.iter().map(|f| f32::from(u8::from(f.usable))).collect());
    safetensors::save(&folder.join("fits.safetensors"), &out)?;
    write_metadata(folder, metadata)
}

/// Writes `clip.json`.
///
/// # Errors
/// [`Error::Input`] where that fails.
pub fn write_metadata(folder: &Path, metadata: &ClipMetadata) -> Result<()> {
    let text =
        serde_json::to_string_pretty(metadata).map_err(|e| Error::engine(format!("clip.json: {e}")).with_source(e))?;
    write_text(&folder.join("clip.json"), &text)
}

/// Writes a text file beside its name and renames it.
///
/// # Errors
/// [`Error::Input`] where that fails.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    atomic::write(path, |out| out.write_all(text.as_bytes()).map_err(|e| atomic::write_error(path, e)))
}

impl StoredClip {
    /// Opens a finished clip.
    ///
    /// # Errors
    /// [`Error::Input`] where it is not one.
    pub fn open(folder: &Path) -> Result<StoredClip> {
        let bad =
            |what: &str| Error::input(format!("{}: is no prepared clip ({what}): prepare it again", folder.display()));
        let text = std::fs::read_to_string(folder.join("clip.json")).map_err(|e| bad(&e.to_string()))?;
        let metadata: ClipMetadata = serde_json::from_str(&text).map_err(|e| bad(&e.to_string()))?;
        let fits = safetensors::load(&folder.join("fits.safetensors"))?;
        let rows = |name: &str| -> Result<Vec<Vec<f32>>> {
            let array = fits.get(name).ok_or_else(|| bad(&format!("no '{name}'")))?;
            let values = array.as_f32().filter(|_| array.shape.first() == Some(&metadata.frames));
            let values = values.ok_or_else(|| bad(&format!("'{name}' is of another length")))?;
            let width = values.len().checked_div(metadata.frames).unwrap_or(0).max(1);
            Ok(values.chunks_exact(width).map(<[f32]>::to_vec).collect())
        };
        let poses = |cameras: Vec<Vec<f32>>, exprs: Vec<Vec<f32>>| -> Result<Vec<FramePose>> {
            let pose = |(camera, expr): (Vec<f32>, Vec<f32>)| {
                let matrix = <[f32; 12]>::try_from(camera).map_err(|_| bad("a camera is not of 12 numbers"))?;
                Ok(FramePose { camera: ImageCamera::from_matrix(&matrix.map(f64::from))?, expr })
            };
            cameras.into_iter().zip(exprs).map(pose).collect()
        };
        let reference = poses(rows("reference_camera")?, rows("reference_expression")?)?;
        let driving = poses(rows("camera")?, rows("expression")?)?;
        let (shapes, usable) = (rows("shape")?, rows("usable")?);
        let frames: Vec<StoredFrame> = reference
            .into_iter()
            .zip(driving)
            .zip(shapes)
            .zip(usable)
            .map(|(((reference, driving), shape), usable)| StoredFrame {
                reference,
                driving,
                shape,
                usable: usable[0] > 0.0,
            })
            .collect();
        if frames.len() != metadata.frames {
            return Err(bad("its parts are of different lengths"));
        }
        let heard = match metadata.sound.as_ref().is_some_and(|s| s.heard) {
            true => Some(AudioConditioning::from_arrays(&safetensors::load(&folder.join(SOUND))?)?),
            false => None,
        };
        if heard.as_ref().is_some_and(|h| h.frames() != metadata.frames) {
            return Err(bad("its sound is of another length"));
        }
        Ok(StoredClip { metadata, folder: folder.to_owned(), frames, heard })
    }

    /// The frames that pairs may be made of.
    pub fn usable(&self) -> Vec<usize> {
        (0..self.frames.len()).filter(|&i| self.frames[i].usable).collect()
    }

    /// The picture of a frame.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read.
    pub fn picture(&self, i: usize) -> Result<headgan::frame::Frame> {
        let path = picture_path(&self.folder, i);
        let picture = still::read(&path)?.frame;
        if (picture.width, picture.height) != (SIDE, SIDE) {
            let text =
                format!("{}: is {} x {} pixels, not {SIDE} x {SIDE}", path.display(), picture.width, picture.height);
            return Err(Error::input(text));
        }
        Ok(picture)
    }
}

/// The morphable model that clips were fitted with, from whichever pack has it.
///
/// # Errors
/// [`Error::Input`] where the clips were fitted with several; [`Error::Model`] where no pack has it.
pub fn model_of<'a>(clips: impl IntoIterator<Item = &'a StoredClip>, models: &ModelSet) -> Result<Morphable> {
    let mut hashes: Vec<&str> = clips.into_iter().map(|c| c.metadata.model.as_str()).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let [hash] = hashes[..] else {
        let text = format!("the clips were fitted with {} models: prepare them with one", hashes.len());
        return Err(Error::input(text));
    };
    let of = |pack: &Pack| -> Option<Result<Morphable>> {
        let part = pack.components().iter().find(|c| c.role == Role::Morphable && c.blake3 == hash)?;
        Some(pack.load(part, headgan::import::check).and_then(|weights| morphable_from(&weights)))
    };
    models.packs().iter().find_map(of).unwrap_or_else(|| {
        Err(Error::model(format!("no pack has the model that the clips were fitted with ({hash}): import it again")))
    })
}

/// The finished clips of a data set, by name.
///
/// # Errors
/// [`Error::Input`] where there is none, or one cannot be read.
pub fn open_all(data: &Path) -> Result<Vec<StoredClip>> {
    let clips = data.join("clips");
    let entries = std::fs::read_dir(&clips).map_err(|e| {
        Error::input(format!("{}: cannot be read ({e}): prepare clips first", clips.display())).with_source(e)
    })?;
    let mut folders: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.join("clip.json").exists()).collect();
    folders.sort();
    if folders.is_empty() {
        return Err(Error::input(format!("{}: there is no prepared clip", clips.display())));
    }
    folders.iter().map(|f| StoredClip::open(f)).collect()
}
