//! Pictures of clips and images, and the faces that another detector finds in them, once for all steps.
//!
//! A folder has `pictures/` (JPEGs), `about.json` ([`LabelSettings`]) and `labels.jsonl`, a line for each file that was looked
//! at ([`LabelledFile`]). Files that have a line are not looked at again.

use super::picture::{Face, Picture};
use crate::affine::to_bgr8;
use crate::data::split::Split;
use crate::data::store::{self, write_text};
use crate::interrupt;
use headgan::engine::Embedded;
use headgan::face::Detection;
use headgan::face::detector::Detector;
use headgan::frame::{Filter, Rect};
use headgan::media::still::{self, StillOptions};
use headgan::media::{Progress, Source};
use headgan::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// From this score on the program reports a face, and training must find it.
pub const REQUIRED_SCORE: f32 = 0.5;
/// Faces below are not kept. Those between are neither asked for nor forbidden.
const MIN_SCORE: f32 = 0.15;
/// JPEG quality of the pictures.
const QUALITY: u8 = 94;
/// Endings of the files that are looked at.
const ENDINGS: [&str; 12] = ["mp4", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "m4v", "jpg", "jpeg", "png", "tif"];

/// What the labels were made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelSettings {
    /// blake3 of the detector.
    pub detector: String,
    /// Longest side of a picture in pixels.
    pub side: usize,
    /// Frames of a clip, at most.
    pub frames: usize,
}

/// A file and its pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelledFile {
    /// From the folder on that was searched.
    pub source: String,
    pub pictures: Vec<LabelledPicture>,
}

/// A picture and its faces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelledPicture {
    /// In `pictures/`.
    pub file: String,
    pub faces: Vec<Label>,
}

/// A face in a picture's pixels: left, top, right, bottom; score 0..1; landmarks as [`Detection::landmarks5`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Label {
    pub rect: [f32; 4],
    pub score: f32,
    pub landmarks: [[f32; 2]; 5],
}

impl Label {
    fn from_detection(found: &Detection) -> Option<Label> {
        let short = |v: f32| (100.0 * v).round() / 100.0;
        let r = found.rect;
        Some(Label {
            rect: [r.x0, r.y0, r.x1, r.y1].map(short),
            score: (1000.0 * found.score).round() / 1000.0,
            landmarks: found.landmarks5?.map(|p| p.map(short)),
        })
    }

    fn face(&self) -> Face {
        let [x0, y0, x1, y1] = self.rect;
        Face { rect: Rect { x0, y0, x1, y1 }, landmarks: self.landmarks, required: self.score > REQUIRED_SCORE }
    }
}

impl LabelledFile {
    /// Its pictures, decoded.
    ///
    /// # Errors
    /// [`Error::Input`] where one cannot be read.
    pub fn load(&self, folder: &Path) -> Result<Vec<Picture>> {
        let load = |labels: &LabelledPicture| {
            interrupt::check()?;
            let pixels = to_bgr8(&still::read(&folder.join("pictures").join(&labels.file))?.frame);
            Ok(Picture::new(pixels, labels.faces.iter().map(Label::face).collect()))
        };
        self.pictures.iter().map(load).collect()
    }
}

/// Looks at every clip and image beneath `images` and writes what `detector` finds into `folder`. A file that cannot be
/// read is told and left out. Returns the number of files, pictures and faces that the folder has then.
///
/// # Errors
/// [`Error::Usage`] where the folder was made otherwise; [`Error::Input`] where it cannot be written, or there is
/// nothing to look at; [`Error::Interrupted`], with everything kept that was finished.
pub fn label_files(
    images: &Path,
    folder: &Path,
    settings: &LabelSettings,
    detector: &mut Detector<Embedded>,
    quiet: bool,
) -> Result<[usize; 3]> {
    let mut files = Vec::new();
    collect(images, "", &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(Error::input(format!("{}: there is no clip and no image in it", images.display())));
    }
    let pictures = folder.join("pictures");
    std::fs::create_dir_all(&pictures)
        .map_err(|e| Error::input(format!("{}: cannot be made ({e})", pictures.display())).with_source(e))?;
    let path = folder.join("about.json");
    if path.exists() && read_settings(folder)? != *settings {
        return Err(Error::usage(format!(
            "{}: was labelled with another detector, --side or --frames: name another folder",
            folder.display()
        )));
    }
    let text =
        serde_json::to_string_pretty(settings).map_err(|e| Error::engine(format!("about.json: {e}")).with_source(e))?;
    write_text(&path, &text)?;
    let done: BTreeSet<String> = read(folder)?.into_iter().map(|l| l.source).collect();
    let lines = folder.join("labels.jsonl");
    let fail = |e: std::io::Error| Error::input(format!("{}: cannot be written ({e})", lines.display())).with_source(e);
    let mut out = File::options().create(true).append(true).open(&lines).map_err(fail)?;
    detector.options.visible = MIN_SCORE;
    let mut progress = Progress::new("label", Some(files.len() as u64), quiet);
    for (name, file) in &files {
        interrupt::check()?;
        if !done.contains(name) {
            match label_file(name, file, &pictures, settings, detector) {
                Ok(labelled) => {
                    let line = serde_json::to_string(&labelled)
                        .map_err(|e| Error::engine(format!("labels: {e}")).with_source(e))?;
                    // In one piece: a line is whole or was never begun, unless the machine stops.
                    out.write_all(format!("{line}\n").as_bytes()).map_err(fail)?;
                }
                Err(stop @ Error::Interrupted) => return Err(stop),
                Err(error) => eprintln!("headgan-train: {error}; the file is left out"),
            }
        }
        progress.inc(1);
    }
    progress.finish();
    let all = read(folder)?;
    let pictures = all.iter().flat_map(|l| &l.pictures);
    let faces = pictures.clone().map(|p| p.faces.iter().filter(|f| f.score > REQUIRED_SCORE).count()).sum();
    Ok([all.len(), pictures.count(), faces])
}

fn label_file(
    name: &str,
    file: &Path,
    pictures: &Path,
    settings: &LabelSettings,
    detector: &Detector<Embedded>,
) -> Result<LabelledFile> {
    let source = Source::open_with(file, Default::default(), None)?;
    let n = source.info().frames.unwrap_or(1).max(1);
    let count = settings.frames.clamp(1, n);
    let mut labelled = LabelledFile { source: name.to_owned(), pictures: Vec::new() };
    for k in 0..count {
        interrupt::check()?;
        // In the middle of each of `count` parts; decoders number frames from the first.
        let frame = source.frame(source.info().first + (2 * k + 1) * n / (2 * count))?;
        let scale = (settings.side as f64 / frame.width.max(frame.height) as f64).min(1.0);
        let side = |v: usize| ((scale * v as f64).round() as usize).max(1);
        let small = frame.resize(side(frame.width), side(frame.height), Filter::Area);
        let file = format!("{}-{k:03}.jpg", name.replace(['/', '\\'], "__"));
        let path = pictures.join(&file);
        still::write(&path, &small, &StillOptions { alpha: false, jpeg_quality: QUALITY, ..Default::default() })?;
        // What training will see, not what was compressed.
        let found = detector.detect(&still::read(&path)?.frame)?;
        labelled
            .pictures
            .push(LabelledPicture { file, faces: found.iter().filter_map(Label::from_detection).collect() });
    }
    Ok(labelled)
}

/// Clips and images beneath a folder, with their names from it on.
pub(crate) fn collect(folder: &Path, within: &str, files: &mut Vec<(String, PathBuf)>) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| {
        Error::input(format!("{}: cannot be read ({e}): name a folder of images", folder.display())).with_source(e)
    })?;
    for entry in entries.flatten() {
        let (name, path) = (format!("{within}{}", entry.file_name().to_string_lossy()), entry.path());
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            collect(&path, &format!("{name}/"), files)?;
        } else if ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
            files.push((name, path));
        }
    }
    Ok(())
}

/// What a folder's labels were made with.
///
/// # Errors
/// [`Error::Input`] where there are none, or the file is damaged.
pub fn read_settings(folder: &Path) -> Result<LabelSettings> {
    let path = folder.join("about.json");
    let bad = |e: &dyn std::fmt::Display| {
        Error::input(format!("{}: cannot be used ({e}): run headgan-train detector-label first", path.display()))
    };
    let text = std::fs::read_to_string(&path).map_err(|e| bad(&e))?;
    serde_json::from_str(&text).map_err(|e| bad(&e))
}

/// All lines of a folder; none where nothing was labelled yet. A last line that breaks off is not there.
///
/// # Errors
/// [`Error::Input`] where one is damaged.
pub fn read(folder: &Path) -> Result<Vec<LabelledFile>> {
    let path = folder.join("labels.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Vec::new()) };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |(i, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| {
            Error::input(format!("{}: line {} is damaged ({e}): remove it", path.display(), i + 1)).with_source(e)
        })
    };
    whole.lines().enumerate().map(line).collect()
}

/// The labelled files to train on and those that are held out: those that `hold_out` names, a file with a name of a
/// clip or image in each line (folders and endings do not count), or a data set's folder, whose persons held out it
/// means.
///
/// # Errors
/// [`Error::Input`] where nothing was labelled; [`Error::Usage`] for names that are not there, or where nothing is left
/// to train on.
pub fn split(folder: &Path, hold_out: Option<&Path>) -> Result<[Vec<LabelledFile>; 2]> {
    read_settings(folder)?;
    let all = read(folder)?;
    let names = hold_out.map(names).transpose()?.unwrap_or_default();
    let have: BTreeSet<String> = all.iter().map(|l| stem(&l.source)).collect();
    if let Some(name) = names.iter().find(|n| !have.contains(*n)) {
        return Err(Error::usage(format!(
            "--hold-out names '{name}', which was not labelled: nobody would hold it out"
        )));
    }
    let (held, train): (Vec<LabelledFile>, Vec<LabelledFile>) =
        all.into_iter().partition(|l| names.contains(&stem(&l.source)));
    let faces = train.iter().flat_map(|l| &l.pictures).any(|p| p.faces.iter().any(|f| f.score > REQUIRED_SCORE));
    if !faces {
        return Err(Error::usage(format!("{}: no face is left to train on", folder.display())));
    }
    Ok([train, held])
}

fn names(hold_out: &Path) -> Result<BTreeSet<String>> {
    if hold_out.is_dir() {
        let split = Split::load(hold_out)?;
        let held = split.clips(true);
        let clips = store::open_all(hold_out)?;
        return Ok(clips
            .iter()
            .filter(|c| held.contains(&&*c.metadata.name))
            .map(|c| stem(&c.metadata.source))
            .collect());
    }
    let text = std::fs::read_to_string(hold_out)
        .map_err(|e| Error::usage(format!("--hold-out {}: cannot be read ({e})", hold_out.display())).with_source(e))?;
    Ok(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(stem).collect())
}

/// A file's name without folders and ending.
fn stem(name: &str) -> String {
    Path::new(name).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(source: &str, score: f32) -> LabelledFile {
        let label = Label { rect: [1.0, 2.0, 3.25, 4.5], score, landmarks: [[2.0, 3.0]; 5] };
        LabelledFile {
            source: source.into(),
            pictures: vec![LabelledPicture { file: "a.jpg".into(), faces: vec![label] }],
        }
    }

    fn folder(all: &[LabelledFile]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = all.iter().map(|l| serde_json::to_string(l).unwrap() + "\n").collect();
        std::fs::write(folder.path().join("labels.jsonl"), lines + "{\"source\": \"brok").unwrap();
        let settings = LabelSettings { detector: "d".into(), side: 640, frames: 3 };
        std::fs::write(folder.path().join("about.json"), serde_json::to_string(&settings).unwrap()).unwrap();
        folder
    }

    #[test]
    fn labels_come_back_and_a_broken_end_does_not() {
        let all = [labelled("x/a.mp4", 0.9), labelled("b.jpg", 0.3)];
        let folder = folder(&all);
        assert_eq!(read(folder.path()).unwrap(), all);
        assert!(all[0].pictures[0].faces[0].face().required && !all[1].pictures[0].faces[0].face().required);
        assert!(read(Path::new("/nowhere")).unwrap().is_empty());
    }

    #[test]
    fn who_is_held_out_is_not_trained_on() {
        let folder = folder(&[labelled("x/a.mp4", 0.9), labelled("b.jpg", 0.9), labelled("c.mp4", 0.2)]);
        let list = folder.path().join("held.txt");
        std::fs::write(&list, "/somewhere/a.mp4\n\nc\n").unwrap();
        let [train, held] = split(folder.path(), Some(&list)).unwrap();
        let names = |of: &[LabelledFile]| of.iter().map(|l| l.source.clone()).collect::<Vec<_>>();
        assert_eq!((names(&train), names(&held)), (vec!["b.jpg".into()], vec!["x/a.mp4".into(), "c.mp4".into()]));
        std::fs::write(&list, "a.mp4\nelse.mp4\n").unwrap();
        assert!(split(folder.path(), Some(&list)).unwrap_err().to_string().contains("'else'"));
        std::fs::write(&list, "a\nb\n").unwrap();
        assert!(split(folder.path(), Some(&list)).unwrap_err().to_string().contains("no face"));
    }
}
