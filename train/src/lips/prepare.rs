//! From clips of people who speak to spectra and the shapes of their mouths.
//!
//! A clip is analysed as the program analyses driving clips. One whose lips do not go with its sound, as with music or a voice from elsewhere, is
//! rejected. A clip that is finished is not looked at again.

use super::store::{self, ClipNote, SHAPES, SpokenClip};
use crate::data::clip_files::{ClipFile, clip_files};
use crate::data::store::write_text;
use crate::interrupt;
use crate::regressor::measure::correlation;
use headgan::audio::Sound;
use headgan::audio::mel::{MelSpectra, PER_SECOND};
use headgan::face::choose::Choice;
use headgan::media::{Progress, Source};
use headgan::morphable::arkit::LipOpening;
use headgan::morphable::arkit::spoken::{at_rest, spoken};
use headgan::nets::sound_lips::BANDS;
use headgan::reenact::RenderContext;
use headgan::shot::track::Mark;
use headgan::shot::{Cache, TrackSettings};
use headgan::{Error, Result};
use std::path::{Path, PathBuf};

/// Clips with fewer frames in which the face is seen are too short.
const SHORTEST: usize = 40;
/// The least agreement of loudness and lips.
const LEAST_AGREEMENT: f64 = 0.1;
/// Lags at which it is looked for, seconds.
const LAG: f64 = 0.2;
/// Of a clip's gaps so many lie below that of lips that touch: some fits are off.
const TOUCHING: usize = 33;
/// Bands that tell how loud speech is: about 200 to 3,500 Hz.
const VOICE: std::ops::Range<usize> = 3..28;

/// What to prepare.
pub struct Settings<'a> {
    /// Folders with clips; a `people.csv` in one says who is who and who is held.
    pub clips: &'a [PathBuf],
    pub data: &'a Path,
    /// Files with the names of clips, a name in each line, that are held too.
    pub hold_out: &'a [PathBuf],
    pub quiet: bool,
}

/// Prepares all clips that have sound and writes `report.json`; the notes of all of them, those that were rejected too.
///
/// # Errors
/// [`Error::Input`] where there is no clip or the folder cannot be written; [`Error::Usage`] where faces are fitted without ARKit's shapes;
/// [`Error::Interrupted`], with all kept that was finished. A clip that cannot be used is noted instead.
pub fn prepare(context: &RenderContext, cache: Option<&Cache>, settings: &Settings) -> Result<Vec<ClipNote>> {
    let clips = clip_files(settings.clips, settings.hold_out)?;
    let cannot =
        |e: std::io::Error| Error::input(format!("{}: cannot be made ({e})", settings.data.display())).with_source(e);
    std::fs::create_dir_all(settings.data).map_err(cannot)?;
    let opening = LipOpening::new(context.networks().morphable.model()).ok_or_else(|| {
        Error::usage(
            "lips are learned from faces with ARKit's shapes: fit them with the pack mediapipe or starter-face",
        )
    })?;
    let mut progress = Progress::new("lips", Some(clips.len() as u64), settings.quiet);
    let mut notes = Vec::new();
    for clip in clips {
        interrupt::check()?;
        progress.inc(1);
        let file = settings.data.join(format!("{}.json", clip.name));
        let known = std::fs::read_to_string(&file).ok().and_then(|t| serde_json::from_str::<ClipNote>(&t).ok());
        if let Some(known) = known {
            // Who is held may have changed.
            notes.push(ClipNote { held: clip.held, ..known });
            continue;
        }
        let note = match prepare_clip(context, cache, &opening, &clip) {
            // One that is rejected can still be measured on.
            Ok(made) => {
                made.save(&store::path(settings.data, &clip.name))?;
                made.note
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => ClipNote { rejected: Some(error.to_string()), ..note(&clip) },
        };
        let text = serde_json::to_string(&note).map_err(|e| Error::engine(format!("a note: {e}")).with_source(e))?;
        write_text(&file, &text)?;
        notes.push(note);
    }
    progress.finish();
    let report =
        serde_json::to_string_pretty(&notes).map_err(|e| Error::engine(format!("report.json: {e}")).with_source(e))?;
    write_text(&settings.data.join("report.json"), &report)?;
    Ok(notes)
}

fn note(clip: &ClipFile) -> ClipNote {
    ClipNote {
        name: clip.name.clone(),
        person: clip.person.clone(),
        held: clip.held,
        clean: clip.clean,
        fps: 0.0,
        agreement: 0.0,
        rejected: None,
    }
}

fn prepare_clip(
    context: &RenderContext,
    cache: Option<&Cache>,
    opening: &LipOpening,
    clip: &ClipFile,
) -> Result<SpokenClip> {
    let source = Source::open(&clip.path.to_string_lossy())?.cancelled_by(interrupt::token()).tolerant(true);
    let video = source.video().filter(|v| v.has_audio).ok_or_else(|| Error::input("it has no sound"))?;
    let fps = source.info().fps.ok_or_else(|| Error::input("it has no frame rate"))?;
    let sound = Sound::from_video(&clip.path, video, interrupt::token())?;
    let spectra = MelSpectra::of(&sound)?;
    let analysis = context.analyse_source(&source, |_, _| Choice::Largest, cache, &|| (), interrupt::token())?;
    let networks = context.networks();
    let model = networks.morphable.model();
    let track = context.track(&analysis.motion(networks.model_hash()), &TrackSettings::default())?;
    let unknown = || Error::engine("a fit of another model than its pack's: report this");
    let mut shapes: Vec<[f32; SHAPES]> = Vec::new();
    let mut gap: Vec<f32> = Vec::new();
    let eyes = opening.eye_distance(&track.shape);
    for pose in &track.raw {
        shapes.push(spoken(&model.arkit_curves(&pose.expr).ok_or_else(unknown)?));
        gap.push(opening.height(&track.shape, &pose.expr) / eyes);
    }
    let confidence: Vec<f32> =
        track.marks.iter().zip(&track.confidence).map(|(m, c)| if *m == Mark::Seen { *c } else { 0.0 }).collect();
    let rest = at_rest(&shapes);
    shapes.iter_mut().for_each(|s| s.iter_mut().zip(&rest).for_each(|(v, r)| *v -= r));
    let mut sorted = gap.clone();
    sorted.sort_by(f32::total_cmp);
    let touching = sorted[sorted.len() / TOUCHING];
    gap.iter_mut().for_each(|g| *g -= touching);
    let mut made = SpokenClip { note: note(clip), spectra, gap, shapes, confidence };
    made.note.fps = fps.as_f64();
    made.note.agreement = agreement(&made);
    let seen = made.confidence.iter().filter(|c| **c > 0.0).count();
    if seen < SHORTEST {
        made.note.rejected = Some(format!("a face is seen in {seen} frames only ({SHORTEST} are needed)"));
    } else if made.note.agreement < LEAST_AGREEMENT {
        made.note.rejected = Some(format!("its lips do not go with its sound (agreement {:.2})", made.note.agreement));
    }
    Ok(made)
}

/// The largest correlation of loudness and gap at any lag within [`LAG`].
fn agreement(clip: &SpokenClip) -> f64 {
    let level = clip.spectra.level();
    let loud: Vec<f64> = clip
        .spectra
        .log()
        .chunks_exact(BANDS)
        .map(|s| {
            let sum: f64 = s[VOICE].iter().map(|v| f64::from(*v).exp()).sum();
            (sum.ln() - f64::from(level)).max(-6.0)
        })
        .collect();
    let steps = (LAG * PER_SECOND as f64) as i64;
    let at = |frame: usize, lag: i64| {
        let moment = (frame as f64 / clip.note.fps * PER_SECOND as f64).round() as i64 + lag;
        // A lip is slower than a sound: the mean of 100 ms.
        let near = (moment - 2..=moment + 2).filter_map(|m| loud.get(usize::try_from(m).ok()?));
        let (sum, n) = near.fold((0.0, 0), |(s, n), v| (s + v, n + 1));
        (n > 0).then(|| sum / f64::from(n))
    };
    let of = |lag: i64| {
        let pairs = clip.gap.iter().enumerate().filter(|(i, _)| clip.confidence[*i] > 0.0);
        let pairs: Vec<_> = pairs.filter_map(|(i, gap)| Some((at(i, lag)?, f64::from(*gap)))).collect();
        correlation(&pairs)
    };
    (-steps..=steps).map(of).fold(-1.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgan::random::Rng;

    /// Loud while the lips are apart, `late` moments late.
    fn clip(late: usize, follows: bool) -> SpokenClip {
        let mut rng = Rng(3);
        let n = 100;
        let gap: Vec<f32> = (0..n).map(|i| if (i / 7) % 2 == 0 { 0.0 } else { 0.1 + 0.02 * rng.signed() }).collect();
        let loud = |t: usize| {
            let frame = (t.saturating_sub(late) / 2).min(n - 1);
            let value = if follows { gap[frame] } else { rng.signed().abs() * 0.1 };
            [20.0 * value - 3.0; BANDS]
        };
        let log: Vec<f32> = (0..2 * n).flat_map(loud).collect();
        let file = ClipFile { name: "a".into(), path: "a.mp4".into(), person: "p".into(), held: false, clean: true };
        let note = ClipNote { fps: 25.0, ..note(&file) };
        let spectra = MelSpectra::from_log(log).unwrap();
        SpokenClip { note, spectra, gap, shapes: vec![[0.0; SHAPES]; n], confidence: vec![1.0; n] }
    }

    #[test]
    fn lips_that_follow_are_told_from_those_that_do_not() {
        assert!(agreement(&clip(0, true)) > 0.8);
        assert!(agreement(&clip(6, true)) > 0.8, "0.12 s late");
        assert!(agreement(&clip(0, false)) < 0.5);
        let folder = tempfile::tempdir().unwrap();
        let (path, one) = (store::path(folder.path(), "a"), clip(0, true));
        one.save(&path).unwrap();
        assert_eq!(store::load_all(folder.path(), false).unwrap(), [one]);
        std::fs::write(&path, "no").unwrap();
        assert!(store::load_all(folder.path(), false).unwrap_err().to_string().contains("remove it"));
    }
}
