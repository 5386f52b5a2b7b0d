//! Presets of released versions keep their look: frozen copies of them render what they rendered then.
//!
//! `presets_0.1.0` holds the presets that version 0.1.0 came with and what it rendered with them. Neither is ever
//! changed. A version that brings further presets gets a folder of its own when it is released, made by copying the new
//! files and running this test with `WRITE_GOLDENS=1`, which writes the pictures that are not there yet.

use headgan::controls::{Preset, Values};
use headgan::frame::Frame;
use headgan::media::still::{self, StillOptions};
use headgan::morphable::{Fit, PreparedMorphable};
use headgan::reenact::draft::DraftModel;
use headgan::reenact::frame_settings::FrameSettings;
use headgan::reenact::shot::{Scratch, Shot};
use headgan::shot::{Head, Motion, Track, TrackSettings};
use headgan::synthetic::{demo_driving, demo_reference, head};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SIDE: usize = 128;
const FRAMES: usize = 48;
/// Late enough that the head turns, the brows are up and the mouth talks.
const FRAME: usize = 41;

/// The demo's reference and driving performance, whose fits are known.
struct Demo {
    model: Arc<PreparedMorphable>,
    draft: Arc<DraftModel>,
    portrait: Frame,
    fit: Fit,
    motion: Motion,
}

impl Demo {
    fn new() -> Demo {
        let model = Arc::new(PreparedMorphable::new(head()).unwrap());
        let m = model.model();
        let draft = Arc::new(DraftModel::new(&m.triangles, &m.ncc, &m.landmarks).unwrap());
        let (portrait, fit) = demo_reference(SIDE).unwrap();
        let fits: Vec<Fit> = demo_driving(SIDE, FRAMES).unwrap().map(|item| item.unwrap().1).collect();
        Demo { model, draft, portrait, fit, motion: Motion::from_fits(&fits, (SIDE, SIDE), "drawn") }
    }

    fn shot(&self, settings: &TrackSettings) -> Shot {
        let track = Track::new(&self.motion, &Head::from_model(self.model.model()), settings).unwrap();
        let portrait = self.portrait.clone();
        Shot::with_model(self.model.clone(), self.draft.clone(), portrait, &self.fit, track, None).unwrap()
    }
}

/// The preset files of a folder, sorted by name.
fn presets(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    files
}

/// What is wrong with a picture, by OpenImageIO's rule for goldens: a pixel fails when a channel is off by more than
/// 0.004; 0.02 % of the pixels may fail, none by more than 0.012. The golden was rounded to 8 bits, which is half a
/// step.
fn compare(picture: &Frame, golden: &Frame) -> Result<(), String> {
    const ROUNDING: f32 = 0.5 / 255.0;
    if (picture.width, picture.height) != (golden.width, golden.height) {
        return Err(format!("{}x{} for {}x{}", picture.width, picture.height, golden.width, golden.height));
    }
    let off = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let worst: Vec<f32> = picture.data.chunks_exact(4).zip(golden.data.chunks_exact(4)).map(off).collect();
    let failed = worst.iter().filter(|w| **w > 0.004 + ROUNDING).count();
    let most = worst.iter().copied().fold(0.0, f32::max);
    if failed as f64 > 2e-4 * worst.len() as f64 || most > 0.012 + ROUNDING {
        return Err(format!("{failed} of {} pixels differ, by up to {most:.4}", worst.len()));
    }
    Ok(())
}

#[test]
fn presets_of_0_1_0() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/presets_0.1.0");
    let files = presets(&folder);
    assert_eq!(files.len(), 10);
    let demo = Demo::new();
    let mut scratch = Scratch::default();
    let mut wrong = Vec::new();
    let mut goldens: Vec<Frame> = Vec::new();
    for file in files {
        let mut values = Values::new();
        Preset::read(&file).unwrap().apply(&mut values);
        let shot = demo.shot(&values.resolve(0.0).track());
        let settings = |frame: usize| FrameSettings::from_controls(&values.resolve(frame as f64), false);
        let picture = shot.render(FRAME, &settings, &mut scratch).unwrap();
        let golden = file.with_extension("png");
        if std::env::var_os("WRITE_GOLDENS").is_some() && !golden.exists() {
            still::write(&golden, picture, &StillOptions::default()).unwrap();
        }
        let golden = still::read(&golden).unwrap().frame;
        if let Err(text) = compare(picture, &golden) {
            wrong.push(format!("{}: {text}", file.file_name().unwrap().to_string_lossy()));
        }
        goldens.push(golden);
    }
    assert!(wrong.is_empty(), "these presets changed their look:\n{}", wrong.join("\n"));
    // Pictures that were alike would not tell whether a preset works; only `expression-only` and `freeze-pose` are,
    // where nothing else is set.
    let differing = goldens.iter().enumerate().filter(|(i, g)| goldens[..*i].iter().all(|h| compare(g, h).is_err()));
    assert!(differing.count() >= 9, "presets cannot be told apart");
}
