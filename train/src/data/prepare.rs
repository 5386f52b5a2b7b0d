//! From a folder of clips to a data set.
//!
//! A clip is analysed as the program analyses driving clips, then cut into segments through which one still window holds
//! the whole face; what is too short, too small or shows too little is left out, with the reason. A segment that is
//! finished is not made again.

use super::split::{HoldOut, Split, split};
use super::store::{self, ClipMetadata, QUALITY, SIDE, StoredClip, StoredFrame, finish, picture_path, write_text};
use crate::interrupt;
use headgan::face::choose::Choice;
use headgan::frame::{Filter, Frame, Window};
use headgan::media::{Progress, Source};
use headgan::morphable::retarget::FramePose;
use headgan::reenact::networks::Networks;
use headgan::shot::analyse::{Event, with_clip};
use headgan::shot::crop::{self, Square};
use headgan::shot::track::Mark;
use headgan::shot::{Analyser, Analysis, Cache, Head, Track, TrackSettings};
use headgan::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Fewer usable frames make no segment.
pub const SHORTEST: usize = 12;
/// A face whose larger side is shorter, in the file's pixels, would be enlarged too much.
const SMALLEST: f64 = 64.0;
/// Fits below this confidence are not used.
const MIN_CONFIDENCE: f32 = 0.3;
/// So many frames without the face end a segment.
const MAX_LOST_FRAMES: usize = 12;
/// Mean difference of two frames' brightness (0..1) in the window above which there is a cut between them.
const CUT_THRESHOLD: f32 = 0.12;
/// Side of the pictures that cuts are looked for in.
const THUMBNAIL: usize = 16;
/// Another face counts from this share of the face's size on.
const OTHER_FACE: f32 = 0.3;
/// Endings of the files that are clips.
const ENDINGS: [&str; 8] = ["mp4", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "m4v"];

/// What to prepare.
pub struct Settings<'a> {
    pub clips: &'a Path,
    /// Clips lie in folders beneath `clips`, at any depth; the uppermost says whose they are. Otherwise they lie in
    /// `clips` itself, and identities decide.
    pub persons_from_folders: bool,
    pub data: &'a Path,
    pub hold_out: HoldOut,
    pub seed: u64,
    /// A picture within the picture: files whose names contain the text show it there; x, y, width, height in their
    /// pixels.
    pub insets: Vec<(String, [usize; 4])>,
    pub threads: usize,
    pub quiet: bool,
}

/// A segment of a file, or what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    pub source: String,
    /// Name of the segment; none where the file gave none.
    pub clip: Option<String>,
    /// First frame and number of frames.
    pub frames: Option<[usize; 2]>,
    pub usable: usize,
    /// Why it was left out; none where it was not.
    pub rejected: Option<String>,
}

/// Prepares all clips of a folder, splits them by person, and writes `report.json` and `split.json`.
///
/// # Errors
/// [`Error::Input`] where the folder holds no clip or the data set cannot be written; a clip that cannot be used is
/// reported instead.
pub fn prepare(networks: &Networks, cache: Option<&Cache>, settings: &Settings) -> Result<(Vec<Entry>, Split)> {
    let files = clips_of(settings.clips, settings.persons_from_folders)?;
    std::fs::create_dir_all(settings.data.join("clips"))
        .map_err(|e| Error::input(format!("{}: cannot be made ({e})", settings.data.display())).with_source(e))?;
    let mut entries = Vec::new();
    let mut progress = Progress::new("preparing", Some(files.len() as u64), settings.quiet);
    for file in &files {
        interrupt::check()?;
        let name = &file.name;
        let noted = settings.data.join("clips").join(format!("{}.entries.json", file.flat()));
        let known = std::fs::read_to_string(&noted).ok().and_then(|t| serde_json::from_str::<Vec<Entry>>(&t).ok());
        match known {
            Some(known) => entries.extend(known),
            None => {
                let made = match prepare_file(networks, cache, settings, file) {
                    Ok(made) => made,
                    Err(Error::Interrupted) => return Err(Error::Interrupted),
                    Err(error) => vec![Entry::rejected(name, None, 0, error.to_string())],
                };
                let text =
                    serde_json::to_string(&made).map_err(|e| Error::engine(format!("{name}: {e}")).with_source(e))?;
                write_text(&noted, &text)?;
                entries.extend(made);
            }
        }
        progress.inc(1);
    }
    progress.finish();
    let report = serde_json::to_string_pretty(&entries)
        .map_err(|e| Error::engine(format!("report.json: {e}")).with_source(e))?;
    write_text(&settings.data.join("report.json"), &report)?;
    let metadata: Vec<ClipMetadata> =
        store::open_all(settings.data)?.into_iter().map(|c: StoredClip| c.metadata).collect();
    let split = split(&metadata, &settings.hold_out, settings.seed)?;
    split.save(settings.data)?;
    Ok((entries, split))
}

impl Entry {
    fn rejected(source: &str, frames: Option<[usize; 2]>, usable: usize, why: String) -> Entry {
        Entry { source: source.into(), clip: None, frames, usable, rejected: Some(why) }
    }
}

/// A file with a clip.
#[derive(Debug, Clone, PartialEq)]
struct ClipFile {
    path: PathBuf,
    /// Path from the clips' folder on, with slashes.
    name: String,
    person: Option<String>,
}

impl ClipFile {
    /// The name as one of a file.
    fn flat(&self) -> String {
        self.name.replace('/', "+")
    }
}

/// The clips of a folder, by name; with `deep`, those of the folders beneath it.
fn clips_of(folder: &Path, deep: bool) -> Result<Vec<ClipFile>> {
    let mut files = Vec::new();
    collect(folder, "", deep, &mut files)?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    if files.is_empty() {
        let place = if deep { "the folders in it" } else { "it" };
        let text = format!("{}: there is no clip in {place} (.{})", folder.display(), ENDINGS.join(", ."));
        return Err(Error::input(text));
    }
    let mut names: Vec<String> = files.iter().map(ClipFile::flat).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(Error::input(format!("{}: two clips would be called '{}': rename one", folder.display(), pair[0])))
        }
        None => Ok(files),
    }
}

/// Adds the clips of a folder whose path from the clips' folder on is `within`, empty or with a slash at its end.
/// Links to folders are not followed.
fn collect(folder: &Path, within: &str, deep: bool, files: &mut Vec<ClipFile>) -> Result<()> {
    interrupt::check()?;
    let entries = std::fs::read_dir(folder).map_err(|e| {
        Error::input(format!("{}: cannot be read ({e}): name a folder of clips", folder.display())).with_source(e)
    })?;
    for entry in entries.flatten() {
        let name = format!("{within}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        if deep && entry.file_type().is_ok_and(|t| t.is_dir()) {
            collect(&path, &format!("{name}/"), deep, files)?;
        } else if ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
            match name.split_once('/') {
                Some((person, _)) => files.push(ClipFile { path, person: Some(person.into()), name }),
                // Without a folder it is nobody's.
                None if deep => {}
                None => files.push(ClipFile { path, name, person: None }),
            }
        }
    }
    Ok(())
}

/// A run of frames with one window.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Segment {
    first: usize,
    /// One behind the last.
    end: usize,
    window: Square,
}

/// Cuts a clip where its face leaves the one window that would hold it so far, or is lost for long.
fn segments(squares: &[Square], seen: &[bool]) -> Vec<Segment> {
    let mut out = Vec::new();
    let mut first = 0;
    while first < squares.len() {
        if !seen[first] {
            first += 1;
            continue;
        }
        let mut best = (first + 1, squares[first]);
        let mut lost = 0;
        for end in first + 1..=squares.len() {
            if !seen[end - 1] {
                lost += 1;
                if lost >= MAX_LOST_FRAMES {
                    break;
                }
                continue;
            }
            lost = 0;
            let shown: Vec<Square> = (first..end).filter(|&i| seen[i]).map(|i| squares[i]).collect();
            let Some(window) = crop::fixed(&shown) else { break };
            if !shown.iter().all(|s| window.holds(s)) {
                break;
            }
            best = (end, window);
        }
        out.push(Segment { first, end: best.0, window: best.1 });
        first = best.0;
    }
    out
}

/// Analyses a file and writes its segments.
fn prepare_file(
    networks: &Networks,
    cache: Option<&Cache>,
    settings: &Settings,
    file: &ClipFile,
) -> Result<Vec<Entry>> {
    let name = file.name.as_str();
    let source = Source::open(&file.path.to_string_lossy())?.cancelled_by(interrupt::token()).tolerant(true);
    let analyser = Analyser {
        observer: networks.observer(),
        networks: networks.fingerprint(),
        cache,
        threads: settings.threads,
        progress: &|| (),
        cancel: interrupt::token(),
    };
    let analysis = with_clip(&source, |clip| analyser.run(clip, |_, _| Choice::Largest))?;
    let head = Head::from_model(networks.morphable.model());
    let track = Track::new(&analysis.motion(networks.model_hash()), &head, &TrackSettings::default())?;
    let squares: Vec<Square> = track.poses.iter().map(|p| Square::around(&p.camera, &head)).collect();
    let seen: Vec<bool> = analysis
        .faces
        .iter()
        .zip(&track.marks)
        .map(|(face, mark)| {
            let well = face.as_ref().is_some_and(|f| f.confidence >= MIN_CONFIDENCE && f.event != Event::Followed);
            well && *mark == Mark::Seen
        })
        .collect();
    let mut entries = Vec::new();
    let mut kept = Vec::new();
    for segment in segments(&squares, &seen) {
        let usable = (segment.first..segment.end).filter(|&i| seen[i]).count();
        let frames = Some([analysis.first + segment.first, segment.end - segment.first]);
        let face = segment.window.side / crop::SIDE;
        if usable < SHORTEST {
            let why = format!("the face stays in one window for {usable} frames only ({SHORTEST} are needed)");
            entries.push(Entry::rejected(name, frames, usable, why));
        } else if face < SMALLEST {
            let why = format!("the face is {face:.0} pixels large ({SMALLEST} are needed)");
            entries.push(Entry::rejected(name, frames, usable, why));
        } else {
            kept.push(segment);
        }
    }
    let inset = settings.insets.iter().find(|(text, _)| name.contains(text)).map(|(_, rect)| *rect);
    let file_analysis = FileAnalysis {
        networks,
        analyser: &analyser,
        source: &source,
        analysis: &analysis,
        track: &track,
        seen: &seen,
    };
    let flat = file.flat();
    let stem = flat.rsplit_once('.').map_or(flat.as_str(), |(stem, _)| stem);
    for (i, segment) in kept.iter().enumerate() {
        let clip = if kept.len() == 1 { stem.to_owned() } else { format!("{stem}.{}", i + 1) };
        entries.extend(file_analysis.write(segment, settings.data, file, &clip, inset)?);
    }
    Ok(entries)
}

/// A file and its analysis.
struct FileAnalysis<'a> {
    networks: &'a Networks,
    analyser: &'a Analyser<'a>,
    source: &'a Source,
    analysis: &'a Analysis,
    track: &'a Track,
    seen: &'a [bool],
}

impl FileAnalysis<'_> {
    /// Writes a segment, unless the picture cuts in it.
    fn write(
        &self,
        segment: &Segment,
        data: &Path,
        file: &ClipFile,
        clip: &str,
        inset: Option<[usize; 4]>,
    ) -> Result<Vec<Entry>> {
        let source = file.name.as_str();
        let side = segment.window.side * SIDE as f64 / headgan::reenact::window::CROP as f64;
        let square = [segment.window.x - 0.5 * side, segment.window.y - 0.5 * side, side];
        let window = Window::square(square[0], square[1], side);
        let (first, last) = (self.analysis.first + segment.first, self.analysis.first + segment.end - 1);
        let folder = data.join("clips").join(clip);
        let cannot =
            |e: std::io::Error| Error::input(format!("{}: cannot be written ({e})", folder.display())).with_source(e);
        std::fs::create_dir_all(folder.join("frames")).map_err(cannot)?;

        let mut usable: Vec<bool> = self.seen[segment.first..segment.end].to_vec();
        let mut identities: Vec<Vec<f32>> = Vec::new();
        let mut cuts = Vec::new();
        let mut others = 0;
        let mut before: Option<Vec<f32>> = None;
        let range = headgan::media::FrameRange::new(first, last);
        for item in self.source.frames(Some(range))? {
            interrupt::check()?;
            let (number, mut frame) = item?;
            let Some(i) = number.checked_sub(first).filter(|i| *i < usable.len()) else { continue };
            let face = self.analysis.faces[segment.first + i].as_ref();
            for seen in self.analyser.observe(&frame)?.faces {
                let rect = &seen.detection.rect;
                if face.is_some_and(|f| f.rect == *rect) {
                    identities.extend(seen.fitted.and_then(|f| f.identity).map(|id| id.0));
                } else if let Some(own) = face {
                    let [x, y] = rect.center().map(f64::from);
                    let inside = |v: f64, start: f64| v >= start && v < start + side;
                    let large = rect.width() > OTHER_FACE * own.rect.width();
                    let overlaps = own.rect.iou(rect) > 0.3;
                    if large && !overlaps && inside(x, square[0]) && inside(y, square[1]) {
                        usable[i] = false;
                        others += 1;
                    }
                }
            }
            if let Some(rect) = inset {
                paint_over(&mut frame, rect);
            }
            let stored = frame.crop(window, SIDE, SIDE, Filter::Area);
            let small = stored.resize(THUMBNAIL, THUMBNAIL, Filter::Area);
            let small: Vec<f32> = small.data.chunks_exact(4).map(|p| (p[0] + p[1] + p[2]) / 3.0).collect();
            let change = before
                .as_ref()
                .map_or(0.0, |b| b.iter().zip(&small).map(|(a, b)| (a - b).abs()).sum::<f32>() / small.len() as f32);
            if change > CUT_THRESHOLD {
                cuts.push(i);
            }
            before = Some(small);
            write_jpeg(&picture_path(&folder, i), &stored)?;
        }
        if !cuts.is_empty() {
            let why =
                format!("the picture cuts at frame {} of the part: give the shots as clips of their own", cuts[0]);
            let _ = std::fs::remove_dir_all(&folder);
            let n = usable.len();
            return Ok(vec![Entry::rejected(source, Some([first, n]), usable.iter().filter(|u| **u).count(), why)]);
        }
        let count = usable.iter().filter(|u| **u).count();
        let frames = Some([first, usable.len()]);
        if count < SHORTEST {
            let _ = std::fs::remove_dir_all(&folder);
            let why = format!("other faces are in the window in {others} frames; {count} are left");
            return Ok(vec![Entry::rejected(source, frames, count, why)]);
        }
        let k = SIDE as f64 / side;
        let offset = [square[0], square[1]].map(|start| ((0.5 - start) * k - 0.5) as f32);
        let mut stored = Vec::with_capacity(usable.len());
        for (i, usable) in usable.iter().enumerate() {
            let driving = self.track.poses[segment.first + i].mapped(k as f32, offset);
            let fit = self.analysis.faces[segment.first + i].as_ref().map(|f| &f.fit).filter(|_| *usable);
            let reference = match fit {
                Some(fit) => FramePose::from_fit(fit)?.mapped(k as f32, offset),
                None => driving.clone(),
            };
            let shape = fit.map_or_else(|| self.track.shape.clone(), |f| f.params.shape.clone());
            stored.push(StoredFrame { reference, shape, driving, usable: *usable });
        }
        let place = |v: f64, start: f64| (v - start) * k;
        let edges = |[x, y, w, h]: [f64; 4]| {
            [place(x, square[0]), place(y, square[1]), place(x + w, square[0]), place(y + h, square[1])]
        };
        let (w, h) = self.analysis.size;
        let metadata = ClipMetadata {
            name: clip.into(),
            source: source.into(),
            person: file.person.clone(),
            first,
            frames: stored.len(),
            usable: count,
            square,
            visible: edges([0.0, 0.0, w as f64, h as f64]),
            inset: inset.map(|rect| edges(rect.map(|v| v as f64))),
            identity: mean_direction(&identities),
            model: self.networks.model_hash().into(),
            sound: None,
        };
        finish(&folder, &metadata, &stored)?;
        Ok(vec![Entry { source: source.into(), clip: Some(clip.into()), frames, usable: count, rejected: None }])
    }
}

/// The mean of unit vectors, at length one; empty for none.
fn mean_direction(vectors: &[Vec<f32>]) -> Vec<f32> {
    let Some(first) = vectors.first() else { return Vec::new() };
    let mut sum = vec![0.0f32; first.len()];
    for v in vectors {
        sum.iter_mut().zip(v).for_each(|(s, v)| *s += v);
    }
    let length = sum.iter().map(|v| v * v).sum::<f32>().sqrt();
    if length > 0.0 { sum.iter().map(|v| v / length).collect() } else { Vec::new() }
}

/// Covers a rectangle with what lies beside it, mirrored, so that no picture within the picture is learned.
fn paint_over(frame: &mut Frame, [x, y, w, h]: [usize; 4]) {
    let (x1, y1) = ((x + w).min(frame.width), (y + h).min(frame.height));
    let right = x1 + (x1 - x.min(x1)) <= frame.width;
    for row in y..y1 {
        for column in x..x1 {
            let from = if right { 2 * x1 - 1 - column } else { (2 * x).saturating_sub(column + 1) };
            let rgba = frame.pixel(from.min(frame.width - 1), row);
            frame.set_pixel(column, row, rgba);
        }
    }
}

fn write_jpeg(path: &Path, frame: &Frame) -> Result<()> {
    let mut bytes = Vec::new();
    let pixels = frame.to_rgb8();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    image::ImageEncoder::write_image(
        encoder,
        &pixels,
        frame.width as u32,
        frame.height as u32,
        image::ExtendedColorType::Rgb8,
    )
    .map_err(|e| Error::engine(format!("{}: cannot be encoded ({e})", path.display())).with_source(e))?;
    std::fs::write(path, bytes)
        .map_err(|e| Error::input(format!("{}: cannot be written ({e})", path.display())).with_source(e))
}

/// The lines of the report that people read.
pub fn text(entries: &[Entry], split: &Split) -> String {
    let kept = entries.iter().filter(|e| e.rejected.is_none());
    let (mut clips, mut frames) = (0, 0);
    for entry in kept {
        clips += 1;
        frames += entry.usable;
    }
    let mut lines = vec![format!("{clips} clips, {frames} usable frames")];
    for entry in entries {
        if let Some(why) = &entry.rejected {
            let [first, n] = entry.frames.unwrap_or([0, 0]);
            let range = if n > 0 { format!(", frames {first} to {}", first + n - 1) } else { String::new() };
            lines.push(format!("left out: {}{range}: {why}", entry.source));
        }
    }
    let held = split.persons.iter().filter(|p| p.held_out).count();
    let names = split.clips(true);
    lines.push(format!(
        "{} persons, {held} held out ({} clips); the nearest pair across the split has a similarity of {:.2}",
        split.persons.len(),
        names.len(),
        split.nearest
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Square = Square { x: 100.0, y: 100.0, side: 100.0 };

    #[test]
    fn a_clip_is_cut_where_its_face_leaves_the_window() {
        let still = vec![HOME; 40];
        let all = |n| vec![true; n];
        assert_eq!(segments(&still, &all(40)), [Segment { first: 0, end: 40, window: HOME }]);
        // A walk of ten sides: several segments, none of which loses the face, and no frame is in two.
        let walk: Vec<Square> = (0..200).map(|i| Square { x: 100.0 + 5.0 * f64::from(i), ..HOME }).collect();
        let cut = segments(&walk, &all(200));
        assert!(cut.len() > 3, "{cut:?}");
        assert_eq!(cut.iter().map(|p| p.end - p.first).sum::<usize>(), 200);
        for segment in &cut {
            assert!(walk[segment.first..segment.end].iter().all(|s| segment.window.holds(s)), "{segment:?}");
        }
        // A face that is away for long is two segments, for a blink one.
        let mut seen = all(40);
        seen[10..12].fill(false);
        assert_eq!(segments(&still, &seen).len(), 1);
        seen[10..30].fill(false);
        assert_eq!(segments(&still, &seen).iter().map(|p| (p.first, p.end)).collect::<Vec<_>>(), [(0, 10), (30, 40)]);
    }

    #[test]
    fn clips_lie_in_a_folder_or_in_persons_folders() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["loose.mp4", "id1/x/00001.mp4", "id1/y/00001.MP4", "id2/a.mov", "id2/notes.txt"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let names = |deep| clips_of(folder.path(), deep).unwrap().into_iter().map(|c| (c.name, c.person));
        assert_eq!(names(false).collect::<Vec<_>>(), [("loose.mp4".into(), None)]);
        let expected = [("id1/x/00001.mp4", "id1"), ("id1/y/00001.MP4", "id1"), ("id2/a.mov", "id2")];
        assert_eq!(names(true).collect::<Vec<_>>(), expected.map(|(n, p)| (n.to_owned(), Some(p.to_owned()))));
        std::fs::write(folder.path().join("id1/x+00001.mp4"), b"").unwrap();
        assert!(clips_of(folder.path(), true).unwrap_err().to_string().contains("'id1+x+00001.mp4'"));
    }

    #[test]
    fn a_picture_within_the_picture_is_covered() {
        let mut frame = Frame::new(8, 4);
        for x in 0..8 {
            for y in 0..4 {
                frame.set_pixel(x, y, [x as f32, y as f32, 0.0, 1.0]);
            }
        }
        let before = frame.clone();
        paint_over(&mut frame, [0, 2, 3, 2]);
        assert_eq!(frame.pixel(0, 3)[0], 5.0);
        assert_eq!(frame.pixel(2, 2)[0], 3.0);
        assert_eq!(frame.pixel(3, 3), before.pixel(3, 3));
        assert_eq!(frame.pixel(0, 1), before.pixel(0, 1));
    }
}
