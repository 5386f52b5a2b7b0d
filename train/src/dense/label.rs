//! Clips seen by another network of dense points, once for all steps.
//!
//! A folder has `about.json` ([`LabelSettings`]) and a file for each clip ([`LabelledClip`]). Clips that have one are not looked at again.

use crate::data::store::write_text;
use crate::detector::labels::collect;
use crate::interrupt;
use headgan::face::bgr::Bgr8;
use headgan::face::dense::refinement::POINTS;
use headgan::face::dense::{DenseFace, Region};
use headgan::face::observe::Observer;
use headgan::frame::{Filter, Frame};
use headgan::media::still::{self, StillOptions};
use headgan::media::{Progress, Source, atomic};
use headgan::{Error, Result};
use image::ImageReader;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Side of a face's picture, pixels.
pub const SIDE: usize = 288;
/// That side in sides of the region that the network should see.
pub const CONTEXT: f32 = 1.5;
/// Longest side of a whole frame, pixels.
const FRAME: usize = 320;
/// JPEG quality.
const QUALITY: u8 = 92;
/// Faces of which the other network is less certain are not kept.
const LEAST_PRESENCE: f32 = 0.8;

/// What the labels were made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelSettings {
    /// blake3 of the other networks.
    pub networks: Vec<String>,
    /// One frame of so many is looked at.
    pub every: usize,
}

/// A face of a frame.
#[derive(Debug, Clone)]
pub struct LabelledFace {
    /// Which of the clip's labelled frames it is in.
    pub frame: usize,
    /// The face with its surroundings, as JPEG of [`SIDE`] x [`SIDE`] pixels, level.
    pub jpeg: Vec<u8>,
    /// x and y in pixels of that picture, z in the same unit.
    pub points: Vec<[f32; 3]>,
    /// Those in the whole frame as it is kept, x and y.
    pub in_frame: [[f32; 2]; 5],
    /// Their box: left, top, right, bottom.
    pub rect: [f32; 4],
}

/// A clip: its frames as JPEG, and the faces in them.
#[derive(Debug, Clone, Default)]
pub struct LabelledClip {
    /// The clip's name, without folders.
    pub name: String,
    pub frames: Vec<Vec<u8>>,
    pub faces: Vec<LabelledFace>,
}

/// The five points of a whole frame's face: outer corners of the eyes, tip of the nose, corners of the mouth.
pub const FIVE: [usize; 5] = [33, 263, 1, 61, 291];

fn jpeg(frame: &Frame, scratch: &Path) -> Result<Vec<u8>> {
    still::write(scratch, frame, &StillOptions { alpha: false, jpeg_quality: QUALITY, ..Default::default() })?;
    std::fs::read(scratch)
        .map_err(|e| Error::input(format!("{}: cannot be read ({e})", scratch.display())).with_source(e))
}

/// Pixels of a JPEG.
///
/// # Errors
/// [`Error::Input`] where it is none.
pub fn decode(jpeg: &[u8]) -> Result<Bgr8> {
    let bad = |e: &dyn std::fmt::Display| Error::input(format!("labels: a picture is damaged ({e}): label again"));
    let reader = ImageReader::with_format(Cursor::new(jpeg), image::ImageFormat::Jpeg);
    let picture = reader.decode().map_err(|e| bad(&e))?.to_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut data = picture.into_raw();
    data.as_chunks_mut::<3>().0.iter_mut().for_each(|p| p.swap(0, 2));
    Ok(Bgr8 { width, height, data })
}

/// A region of a picture as a picture.
fn cut(image: &Frame, region: &Region, side: usize) -> Frame {
    let planes = region.pixels(image, side, false, (1.0, 0.0));
    let mut out = Frame::new(side, side);
    for i in 0..side * side {
        let at = |c: usize| planes[c * side * side + i];
        out.set_pixel(i % side, i / side, [at(0), at(1), at(2), 1.0]);
    }
    out
}

/// Where a point of the picture lies in a region, in pixels of `side`.
fn in_region(region: &Region, p: [f32; 3], side: usize) -> [f32; 3] {
    let (sin, cos) = region.turn.sin_cos();
    let [x, y] = [p[0] - region.centre[0], p[1] - region.centre[1]];
    let k = side as f32 / region.side;
    let half = 0.5 * side as f32;
    [k * (cos * x + sin * y) + half, k * (cos * y - sin * x) + half, k * p[2]]
}

fn face_of(image: &Frame, dense: &DenseFace, frame: usize, scale: f32, scratch: &Path) -> Result<LabelledFace> {
    let mut region = dense.region();
    region.side *= CONTEXT;
    let r = dense.bounds();
    Ok(LabelledFace {
        frame,
        jpeg: jpeg(&cut(image, &region, SIDE), scratch)?,
        points: dense.points.iter().map(|p| in_region(&region, *p, SIDE)).collect(),
        in_frame: FIVE.map(|i| [scale * dense.points[i][0], scale * dense.points[i][1]]),
        rect: [r.x0, r.y0, r.x1, r.y1].map(|v| scale * v),
    })
}

/// One clip, every so many frames.
fn label_clip(name: &str, path: &Path, every: usize, observer: &Observer, scratch: &Path) -> Result<LabelledClip> {
    let source = Source::open_with(path, Default::default(), None)?;
    let mut out = LabelledClip { name: name.to_owned(), ..LabelledClip::default() };
    for (i, frame) in source.frames(None)?.enumerate() {
        let (_, frame) = frame?;
        interrupt::check()?;
        if !i.is_multiple_of(every) {
            continue;
        }
        let scale = (FRAME as f64 / frame.width.max(frame.height) as f64).min(1.0);
        let side = |v: usize| ((scale * v as f64).round() as usize).max(1);
        let small = frame.resize(side(frame.width), side(frame.height), Filter::Area);
        let mut found = false;
        for seen in observer.observe(&frame)?.faces {
            let dense = seen.fitted.and_then(|f| f.dense).filter(|d| d.presence >= LEAST_PRESENCE);
            if let Some(dense) = dense {
                out.faces.push(face_of(&frame, &dense, out.frames.len(), scale as f32, scratch)?);
                found = true;
            }
        }
        if found {
            out.frames.push(jpeg(&small, scratch)?);
        }
    }
    Ok(out)
}

/// Looks at every clip beneath `clips` and writes what the other network says into `folder`. A clip that cannot be read is told and
/// left out. Returns the numbers of clips, frames and faces that are new.
///
/// # Errors
/// [`Error::Usage`] where the folder was made otherwise; [`Error::Input`] where it cannot be written, or there is nothing to look at;
/// [`Error::Interrupted`], with everything kept that was finished.
pub fn label(
    clips: &Path,
    folder: &Path,
    settings: &LabelSettings,
    observer: &Observer,
    threads: usize,
    quiet: bool,
) -> Result<[usize; 3]> {
    let mut files = Vec::new();
    collect(clips, "", &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(Error::input(format!("{}: there is no clip in it", clips.display())));
    }
    std::fs::create_dir_all(folder)
        .map_err(|e| Error::input(format!("{}: cannot be made ({e})", folder.display())).with_source(e))?;
    let about = folder.join("about.json");
    if about.exists() && read_settings(folder)? != *settings {
        return Err(Error::usage(format!(
            "{}: was labelled with other networks or another --every: name another folder",
            folder.display()
        )));
    }
    let text =
        serde_json::to_string_pretty(settings).map_err(|e| Error::engine(format!("about.json: {e}")).with_source(e))?;
    write_text(&about, &text)?;
    let progress = Mutex::new((Progress::new("label", Some(files.len() as u64), quiet), [0; 3]));
    let next = AtomicUsize::new(0);
    let work = |lane: usize| -> Result<()> {
        let scratch = folder.join(format!("scratch-{lane}.jpg"));
        while let Some((name, path)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            interrupt::check()?;
            let name = stem(name);
            let file = folder.join(format!("{name}.safetensors"));
            let mut new = [0; 3];
            if !file.exists() {
                match label_clip(&name, path, settings.every, observer, &scratch) {
                    Ok(clip) => {
                        clip.save(&file)?;
                        new = [1, clip.frames.len(), clip.faces.len()];
                    }
                    Err(stop @ Error::Interrupted) => return Err(stop),
                    Err(error) => eprintln!("headgan-train: {error}; the clip is left out"),
                }
            }
            if let Ok(mut progress) = progress.lock() {
                progress.0.inc(1);
                progress.1.iter_mut().zip(new).for_each(|(sum, n)| *sum += n);
            }
        }
        let _ = std::fs::remove_file(scratch);
        Ok(())
    };
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..threads.max(1)).map(|lane| scope.spawn(move || work(lane))).collect();
        let gone = || Err(Error::engine("a thread that labels has ended: report this"));
        lanes.into_iter().try_for_each(|lane| lane.join().unwrap_or_else(|_| gone()))
    })?;
    let (mut bar, new) = progress.into_inner().map_err(|_| Error::engine("a thread that labels has ended"))?;
    bar.finish();
    Ok(new)
}

/// What a folder's labels were made with.
///
/// # Errors
/// [`Error::Input`] where there are none, or the file is damaged.
pub fn read_settings(folder: &Path) -> Result<LabelSettings> {
    let path = folder.join("about.json");
    let bad = |e: &dyn std::fmt::Display| {
        Error::input(format!("{}: cannot be used ({e}): run headgan-train dense-label first", path.display()))
    };
    let text = std::fs::read_to_string(&path).map_err(|e| bad(&e))?;
    serde_json::from_str(&text).map_err(|e| bad(&e))
}

/// The labelled clips to train on, and those that a file names that holds a name in each line (folders and endings do not count).
///
/// # Errors
/// [`Error::Input`] where nothing was labelled; [`Error::Usage`] for names that are not there, or where nothing is left to train on.
pub fn split(folder: &Path, hold_out: &Path) -> Result<[Vec<PathBuf>; 2]> {
    read_settings(folder)?;
    let cannot = |path: &Path, e: std::io::Error| {
        Error::input(format!("{}: cannot be read ({e})", path.display())).with_source(e)
    };
    let text = std::fs::read_to_string(hold_out)
        .map_err(|e| Error::usage(format!("--hold-out {}: cannot be read ({e})", hold_out.display())).with_source(e))?;
    let mut names: std::collections::BTreeSet<String> =
        text.lines().map(str::trim).filter(|l| !l.is_empty()).map(stem).collect();
    let [mut train, mut held] = [Vec::new(), Vec::new()];
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).map_err(|e| cannot(folder, e))?.flatten().map(|e| e.path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "safetensors"));
    files.sort();
    for path in files {
        let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        if names.remove(&name) { held.push(path) } else { train.push(path) }
    }
    if let Some(name) = names.first() {
        return Err(Error::usage(format!(
            "--hold-out names '{name}', which was not labelled: nobody would hold it out"
        )));
    }
    if train.is_empty() {
        return Err(Error::usage(format!("{}: no clip is left to train on", folder.display())));
    }
    Ok([train, held])
}

/// A file's name without folders and ending.
pub fn stem(name: &str) -> String {
    Path::new(name).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Numbers of a face besides its points: its frame, five points, the box.
const NUMBERS: usize = 1 + 10 + 4;

impl LabelledClip {
    /// Writes it.
    ///
    /// # Errors
    /// [`Error::Input`] where that fails.
    pub fn save(&self, path: &Path) -> Result<()> {
        let joined = |all: &mut dyn Iterator<Item = &Vec<u8>>| -> (Vec<u8>, Vec<u8>) {
            let (mut bytes, mut ends) = (Vec::new(), Vec::new());
            for one in all {
                bytes.extend_from_slice(one);
                ends.extend((bytes.len() as u64).to_le_bytes());
            }
            (bytes, ends)
        };
        let (frames, frame_ends) = joined(&mut self.frames.iter());
        let (crops, crop_ends) = joined(&mut self.faces.iter().map(|f| &f.jpeg));
        let floats = |v: Vec<f32>| -> Vec<u8> { v.into_iter().flat_map(f32::to_le_bytes).collect() };
        let points = floats(self.faces.iter().flat_map(|f| f.points.as_flattened().iter().copied()).collect());
        let numbers = self.faces.iter().flat_map(|f| {
            let five = f.in_frame.as_flattened().to_vec();
            [vec![f.frame as f32], five, f.rect.to_vec()].concat()
        });
        let numbers = floats(numbers.collect());
        let (n, m) = (self.faces.len(), self.frames.len());
        let parts = [
            ("frames", Dtype::U8, vec![frames.len()], &frames),
            ("frame_ends", Dtype::U64, vec![m], &frame_ends),
            ("crops", Dtype::U8, vec![crops.len()], &crops),
            ("crop_ends", Dtype::U64, vec![n], &crop_ends),
            ("points", Dtype::F32, vec![n, POINTS, 3], &points),
            ("numbers", Dtype::F32, vec![n, NUMBERS], &numbers),
        ];
        let views = parts.into_iter().map(|(name, kind, shape, data)| Ok((name, TensorView::new(kind, shape, data)?)));
        let views = views.collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
        let file = views.and_then(|views| safetensors::serialize(views, None));
        let file = file.map_err(|e| Error::engine(format!("the labels cannot be laid out ({e})")).with_source(e))?;
        atomic::write(path, |out| out.write_all(&file).map_err(|e| atomic::write_error(path, e)))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Input`] where the file is damaged.
    pub fn load(path: &Path) -> Result<LabelledClip> {
        let bad = |what: &dyn std::fmt::Display| {
            Error::input(format!("{}: holds no labels ({what}): remove it and label again", path.display()))
        };
        let bytes = headgan::weights::safetensors::read_bytes(path)?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(&e))?;
        let part = |name: &str| file.tensor(name).map(|t| t.data().to_vec()).map_err(|e| bad(&e));
        let pieces = |bytes: &str, ends: &str| -> Result<Vec<Vec<u8>>> {
            let (bytes, ends) = (part(bytes)?, part(ends)?);
            let mut from = 0;
            let ends = ends.as_chunks::<8>().0.iter().map(|e| u64::from_le_bytes(*e) as usize);
            ends.map(|end| {
                let piece = bytes.get(from..end).map(<[u8]>::to_vec);
                from = end;
                piece.ok_or_else(|| bad(&"a picture is cut off"))
            })
            .collect()
        };
        let floats = |name: &str| -> Result<Vec<f32>> {
            Ok(part(name)?.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
        };
        let (frames, crops) = (pieces("frames", "frame_ends")?, pieces("crops", "crop_ends")?);
        let (points, numbers) = (floats("points")?, floats("numbers")?);
        if points.len() != 3 * POINTS * crops.len() || numbers.len() != NUMBERS * crops.len() {
            return Err(bad(&"parts of different lengths"));
        }
        let points = points.as_chunks::<3>().0.chunks(POINTS);
        let faces = crops.into_iter().zip(points).zip(numbers.as_chunks::<NUMBERS>().0);
        let face = |jpeg: Vec<u8>, points: &[[f32; 3]], numbers: &[f32; NUMBERS]| LabelledFace {
            frame: numbers[0] as usize,
            jpeg,
            points: points.to_vec(),
            in_frame: std::array::from_fn(|i| [numbers[1 + 2 * i], numbers[2 + 2 * i]]),
            rect: std::array::from_fn(|i| numbers[11 + i]),
        };
        let faces: Vec<LabelledFace> = faces.map(|((jpeg, points), numbers)| face(jpeg, points, numbers)).collect();
        if faces.iter().any(|f| f.frame >= frames.len()) {
            return Err(bad(&"a face is in no frame"));
        }
        Ok(LabelledClip { name: stem(&path.to_string_lossy()), frames, faces })
    }
}
