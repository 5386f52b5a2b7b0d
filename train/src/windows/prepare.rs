//! From clips to windows: Draft's picture, the reference's and the true one around eyes and mouth.
//!
//! A clip is analysed as the program analyses driving clips. Some of its frames become references, unlike each other; each performs pairs of
//! frames that follow each other, by the program's own code. A clip that is finished is not looked at again.

use super::select::{look, unlike, varied};
use super::store::{ClipNote, Kind, WindowClip};
use crate::data::clip_files::{ClipFile, clip_files, stem};
use crate::data::store::write_text;
use crate::interrupt;
use headgan::audio::layout::ALL;
use headgan::controls::Values;
use headgan::face::choose::Choice;
use headgan::frame::Frame;
use headgan::media::{FrameRange, Progress, Rational, Source};
use headgan::morphable::dense::DenseRegion;
use headgan::reenact::windows::{Part, PointPlaces, SeenWindow, cut};
use headgan::reenact::{AudioInput, FrameSettings, ReferenceUse, RenderContext, Scratch, Shot};
use headgan::shot::analyse::{Analysis, Clip, ClipFrames, Event, with_clip};
use headgan::shot::track::Mark;
use headgan::shot::{AudioSource, Cache, TrackSettings};
use headgan::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much is made of a clip.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    pub references: usize,
    /// Pairs of driving frames.
    pub pairs: usize,
    /// Longer clips are looked at so far, frames.
    pub longest: usize,
}

/// Of each of many clips.
const MANY: Amount = Amount { references: 3, pairs: 12, longest: 240 };
/// Of the one clip that a network is adapted to.
pub const ONE: Amount = Amount { references: 4, pairs: 80, longest: 1000 };
/// Fewer frames with a face make no clip.
const SHORTEST: usize = 16;
/// Faces of which the networks are less certain are not used.
const LEAST_CONFIDENCE: f32 = 0.3;
const LEAST_PRESENCE: f32 = 0.8;
/// A region is hidden where its points keep less of their weight.
const LEAST_REGION: f32 = 0.3;
/// Windows of fewer of the picture's pixels to their own are too blurred to learn from.
const LEAST_SCALE: f32 = 0.4;

/// What to prepare.
pub struct Settings<'a> {
    /// Folders with clips; a `people.csv` in one says who is who and who is held.
    pub clips: &'a [PathBuf],
    pub data: &'a Path,
    /// Files with the names of clips, a name in each line, that are held too.
    pub hold_out: &'a [PathBuf],
    pub threads: usize,
    pub quiet: bool,
}

/// A clip and what is known of it.
struct Job {
    path: PathBuf,
    note: ClipNote,
}

fn jobs(settings: &Settings) -> Result<Vec<Job>> {
    let job = |clip: ClipFile| Job {
        path: clip.path,
        note: ClipNote {
            name: clip.name,
            person: clip.person,
            held: clip.held,
            clean: clip.clean,
            references: Vec::new(),
            targets: Vec::new(),
            has_sound: false,
            rejected: None,
        },
    };
    Ok(clip_files(settings.clips, settings.hold_out)?.into_iter().map(job).collect())
}

/// Prepares all clips and writes `report.json`; the notes of all of them, those that were rejected too.
///
/// # Errors
/// [`Error::Input`] where there is no clip or the folder cannot be written; [`Error::Interrupted`], with all kept that was finished. A clip
/// that cannot be used is noted instead.
pub fn prepare(context: &RenderContext, cache: Option<&Cache>, settings: &Settings) -> Result<Vec<ClipNote>> {
    let jobs = jobs(settings)?;
    let cannot =
        |e: std::io::Error| Error::input(format!("{}: cannot be made ({e})", settings.data.display())).with_source(e);
    std::fs::create_dir_all(settings.data).map_err(cannot)?;
    let places = PointPlaces::new(context.networks().morphable.model())?;
    let progress = Mutex::new(Progress::new("windows", Some(jobs.len() as u64), settings.quiet));
    let notes = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            interrupt::check()?;
            let file = settings.data.join(format!("{}.json", job.note.name));
            let known = std::fs::read_to_string(&file).ok().and_then(|t| serde_json::from_str::<ClipNote>(&t).ok());
            let note = match known {
                // Who is held may have changed; what was rejected stays so.
                Some(known) => ClipNote { held: job.note.held, ..known },
                None => {
                    let made = prepare_clip(context, cache, &places, job, &MANY).and_then(|(note, clips)| {
                        clips.iter().try_for_each(|clip| clip.save(&path(settings.data, &note.name, clip.kind)))?;
                        Ok(note)
                    });
                    let note = match made {
                        Ok(note) => note,
                        Err(Error::Interrupted) => return Err(Error::Interrupted),
                        Err(error) => ClipNote { rejected: Some(error.to_string()), ..job.note.clone() },
                    };
                    let text = serde_json::to_string(&note)
                        .map_err(|e| Error::engine(format!("a note: {e}")).with_source(e))?;
                    write_text(&file, &text)?;
                    note
                }
            };
            if let (Ok(mut notes), Ok(mut progress)) = (notes.lock(), progress.lock()) {
                notes.push(note);
                progress.inc(1);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..settings.threads.max(1)).map(|_| scope.spawn(work)).collect();
        let gone = || Err(Error::engine("a thread that prepares has ended: report this"));
        lanes.into_iter().try_for_each(|lane| lane.join().unwrap_or_else(|_| gone()))
    })?;
    let mut notes = notes.into_inner().map_err(|_| Error::engine("a thread that prepares has ended"))?;
    notes.sort_by(|a, b| a.name.cmp(&b.name));
    let report =
        serde_json::to_string_pretty(&notes).map_err(|e| Error::engine(format!("report.json: {e}")).with_source(e))?;
    write_text(&settings.data.join("report.json"), &report)?;
    Ok(notes)
}

/// Analyses the beginning of a clip.
fn analyse(context: &RenderContext, cache: Option<&Cache>, source: &Source, longest: usize) -> Result<Analysis> {
    with_clip(source, |clip| {
        let frames = |asked: Option<FrameRange>| match asked {
            Some(range) => (clip.frames)(Some(range)),
            None => Ok(Box::new((clip.frames)(None)?.take(longest)) as ClipFrames),
        };
        // A part of a file is not that file: its frames are kept by themselves.
        let part = Clip { identity: None, frames: &frames, ..*clip };
        context.analyse(&part, |_, _| Choice::Largest, cache, &|| (), interrupt::token())
    })
}

/// Whether a face's region is in view.
fn seen_in(analysis: &Analysis, i: usize, part: Part) -> bool {
    let region = match part {
        Part::RightEye => DenseRegion::EyeRight,
        Part::LeftEye => DenseRegion::EyeLeft,
        Part::Mouth => DenseRegion::Mouth,
    };
    let regions = analysis.faces[i].as_ref().and_then(|f| f.regions.as_ref());
    regions.is_none_or(|r| r[region as usize] >= LEAST_REGION)
}

/// What a window's contours show in numbers: of an eye where the iris is, sideways, and how far it is open; of the mouth its gap and width.
/// Pixels of the window.
fn signal(part: Part, seen: &SeenWindow, points: &[[f32; 3]]) -> [f32; 2] {
    let map = &seen.placement.map;
    let at = |i: usize| map.to_window([points[i][0], points[i][1]]);
    let away = |a: usize, b: usize| {
        let (a, b) = (at(a), at(b));
        (a[0] - b[0]).hypot(a[1] - b[1])
    };
    match part {
        Part::RightEye => [at(468)[0], away(159, 145)],
        Part::LeftEye => [at(473)[0], away(386, 374)],
        Part::Mouth => [away(13, 14), 0.5 * away(61, 291)],
    }
}

fn to_bytes(from: &[f32], to: &mut [u8]) {
    to.iter_mut().zip(from).for_each(|(to, v)| *to = (255.0 * v.clamp(0.0, 1.0) + 0.5) as u8);
}

/// Whether a window is large enough to learn from.
fn sharp(seen: &SeenWindow) -> bool {
    seen.placement.map.scale() >= LEAST_SCALE && seen.placement.weight > 0.5
}

fn prepare_clip(
    context: &RenderContext,
    cache: Option<&Cache>,
    places: &PointPlaces,
    job: &Job,
    amount: &Amount,
) -> Result<(ClipNote, Vec<WindowClip>)> {
    let source = Source::open(&job.path.to_string_lossy())?.cancelled_by(interrupt::token()).tolerant(true);
    let analysis = analyse(context, cache, &source, amount.longest)?;
    let networks = context.networks();
    let track = context.track(&analysis.motion(networks.model_hash()), &TrackSettings::default())?;
    let usable = |i: usize| {
        let face = analysis.faces.get(i).and_then(Option::as_ref);
        let well = face.filter(|f| f.confidence >= LEAST_CONFIDENCE && f.event != Event::Followed);
        let dense = well.and_then(|f| f.dense.as_ref()).filter(|d| d.presence >= LEAST_PRESENCE);
        dense.filter(|_| track.marks[i] == Mark::Seen)
    };
    let looks: Vec<_> = (0..track.poses.len()).filter_map(|i| Some((i, look(&*usable(i)?.points)))).collect();
    let rejected = |why: String| Ok((ClipNote { rejected: Some(why), ..job.note.clone() }, Vec::new()));
    if looks.len() < SHORTEST {
        return rejected(format!("a face is well seen in {} frames only ({SHORTEST} are needed)", looks.len()));
    }
    let references = unlike(&looks, amount.references);
    let pairs: Vec<_> = looks.iter().filter(|(i, _)| usable(i + 1).is_some()).copied().collect();
    let seed = job.note.name.bytes().fold(7u64, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(b)));
    let targets: Vec<usize> = varied(&pairs, amount.pairs, seed).into_iter().flat_map(|i| [i, i + 1]).collect();

    // The shots of the references.
    let mut pictures: BTreeMap<usize, Frame> = BTreeMap::new();
    for_frames(&source, &analysis, &references, |i, frame| {
        pictures.insert(i, frame);
        Ok(())
    })?;
    let mut shots = Vec::new();
    for i in &references {
        let face = analysis.faces[*i].as_ref();
        let (Some(picture), Some(face)) = (pictures.remove(i), face) else {
            return rejected(format!("frame {i} is not what it was"));
        };
        shots.push(Shot::new(networks, picture, &face.fit, track.clone(), None, &ReferenceUse::default())?);
    }
    let fps = source.info().fps.unwrap_or(Rational::whole(25));
    let audio = match AudioSource::from_clip(&source) {
        Some(sound) => match context.audio(&sound, fps, 0.0, cache, interrupt::token()) {
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            // A sound that cannot be decoded is none.
            other => other.ok().map(|a| AudioInput::starting_at(&a, 0.0)),
        },
        None => None,
    };
    let note = ClipNote { references, targets, has_sound: audio.is_some(), ..job.note.clone() };
    let mut clips = Kind::ALL.map(|kind| WindowClip::empty(kind, note.clone()));
    for (k, (shot, i)) in shots.iter().zip(&note.references).enumerate() {
        let Some(face) = usable(*i) else { continue };
        for (part, seen) in Part::ALL.into_iter().zip(shot.reference_windows(places)?) {
            let Some(seen) = seen else { continue };
            let (clip, s) = of(&mut clips, part);
            let to = clip.reference_at_mut(s, k);
            let pixels = seen.picture.len();
            to_bytes(&seen.picture, &mut to[..pixels]);
            to_bytes(&seen.contours, &mut to[pixels..]);
            let at = s * note.references.len() + k;
            clip.reference_seen[at] = u8::from(sharp(&seen) && seen_in(&analysis, *i, part));
            clip.reference_signal[2 * at..2 * at + 2].copy_from_slice(&signal(part, &seen, &*face.points));
        }
    }
    let controls = Values::new().resolve(0.0);
    let frame_settings = FrameSettings::from_controls(&controls, true);
    let mut scratch = Scratch::default();
    for_frames(&source, &analysis, &note.targets, |i, frame| {
        let Some(face) = usable(i) else { return Ok(()) };
        for t in (0..note.targets.len()).filter(|&t| note.targets[t] == i) {
            for (k, shot) in shots.iter().enumerate() {
                for (part, seen) in
                    Part::ALL.into_iter().zip(shot.see_windows(i, &frame_settings, places, &mut scratch)?)
                {
                    let Some(seen) = seen else { continue };
                    let (clip, s) = of(&mut clips, part);
                    to_bytes(&seen.picture, clip.draft_at_mut(s, k, t));
                    if k > 0 {
                        continue;
                    }
                    // Its own performance: every reference's mesh is the same.
                    let to = clip.target_at_mut(s, t);
                    let pixels = seen.picture.len();
                    to_bytes(&cut(&frame, &seen.placement.map, part.side()), &mut to[..pixels]);
                    to_bytes(&seen.contours, &mut to[pixels..]);
                    let at = s * note.targets.len() + t;
                    clip.target_seen[at] = u8::from(sharp(&seen) && seen_in(&analysis, i, part));
                    clip.target_signal[2 * at..2 * at + 2].copy_from_slice(&signal(part, &seen, &*face.points));
                }
            }
            if let Some(audio) = &audio {
                clips[1].sound[ALL * t..ALL * (t + 1)].copy_from_slice(&audio.conditioning.at(audio.first + i as f64));
            }
        }
        Ok(())
    })?;
    let enough = |clip: &WindowClip| {
        (0..clip.kind.parts().len()).any(|s| !clip.pairs(s).is_empty() && !clip.references(s).is_empty())
    };
    if !clips.iter().any(enough) {
        return rejected("eyes and mouth are too small, hidden or turned away in all chosen frames".into());
    }
    Ok((note, clips.into_iter().filter(enough).collect()))
}

/// The windows of one clip, whoever it shows.
///
/// # Errors
/// [`Error::Input`] where it cannot be read, or shows too little; [`Error::Interrupted`].
pub fn prepare_one(context: &RenderContext, cache: Option<&Cache>, clip: &Path) -> Result<Vec<WindowClip>> {
    let name = stem(&clip.to_string_lossy());
    let note = ClipNote {
        person: name.clone(),
        name,
        held: false,
        clean: false,
        references: Vec::new(),
        targets: Vec::new(),
        has_sound: false,
        rejected: None,
    };
    let places = PointPlaces::new(context.networks().morphable.model())?;
    let (note, clips) = prepare_clip(context, cache, &places, &Job { path: clip.to_owned(), note }, &ONE)?;
    match note.rejected {
        Some(why) => Err(Error::input(format!("{}: {why}", clip.display()))),
        None => Ok(clips),
    }
}

/// The file of a clip's windows.
pub fn path(data: &Path, name: &str, kind: Kind) -> PathBuf {
    data.join(format!("{name}.{}.safetensors", kind.name()))
}

/// The clip that a part belongs to, and its place there.
fn of(clips: &mut [WindowClip; 2], part: Part) -> (&mut WindowClip, usize) {
    match part {
        Part::RightEye => (&mut clips[0], 0),
        Part::LeftEye => (&mut clips[0], 1),
        Part::Mouth => (&mut clips[1], 0),
    }
}

/// Calls `work` with these frames of a clip, by their places in its analysis.
fn for_frames(
    source: &Source,
    analysis: &Analysis,
    wanted: &[usize],
    mut work: impl FnMut(usize, Frame) -> Result<()>,
) -> Result<()> {
    let (Some(low), Some(high)) = (wanted.iter().min(), wanted.iter().max()) else { return Ok(()) };
    let range = FrameRange { first: analysis.first + low, last: Some(analysis.first + high) };
    for item in source.frames(Some(range))? {
        interrupt::check()?;
        let (number, frame) = item?;
        if let Some(i) = number.checked_sub(analysis.first).filter(|i| wanted.contains(i)) {
            work(i, frame)?;
        }
    }
    Ok(())
}
