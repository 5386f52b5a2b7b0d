//! The detector: it learns faces of a toy kind, a pack of it is found and finds them, and a run goes on to the bit.

use headgan::engine::{Embedded, cpu};
use headgan::face::bgr::Bgr8;
use headgan::face::detector::{Detector, DetectorOverrides, Kind};
use headgan::frame::{Color, Frame, Rect};
use headgan::media::still::{self, StillOptions};
use headgan::models::{Architecture, ModelSet, Role};
use headgan::random::Rng;
use headgan_train::checkpoint;
use headgan_train::detector::measure::{EvaluatedDetector, Tally};
use headgan_train::detector::scene::Scene;
use headgan_train::detector::trainer::{self, Batch, Trainer};
use headgan_train::detector::{Face, export, labels, run};
use std::path::Path;
use tch::Device;

const SIDE: usize = 96;

/// Pictures of plain colours with a "face" each: a bright square with dark eyes, nose and corners of the mouth.
fn scenes(n: usize, rng: &mut Rng) -> Vec<Scene> {
    let one = |rng: &mut Rng| {
        let side = 24 + rng.below(36);
        let (x, y) = (rng.below(SIDE - side) as f32, rng.below(SIDE - side) as f32);
        let ground: [u8; 3] = std::array::from_fn(|_| 60 + rng.below(60) as u8);
        let mut data: Vec<u8> = std::iter::repeat_n(ground, SIDE * SIDE).flatten().collect();
        let mut fill = |x0: f32, y0: f32, side: f32, ink: [u8; 3]| {
            for y in y0 as usize..(y0 + side) as usize {
                for x in x0 as usize..(x0 + side) as usize {
                    data[3 * (SIDE * y + x)..][..3].copy_from_slice(&ink);
                }
            }
        };
        let s = side as f32;
        fill(x, y, s, [150, 180, 230]);
        let places = [[0.3, 0.35], [0.7, 0.35], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]];
        let landmarks = places.map(|[u, v]: [f32; 2]| [x + u * s, y + v * s]);
        for [u, v] in landmarks {
            fill(u - 0.06 * s, v - 0.06 * s, 0.12 * s, [20, 20, 40]);
        }
        let rect = Rect { x0: x, y0: y, x1: x + s, y1: y + s };
        let picture = Bgr8 { width: SIDE, height: SIDE, data };
        Scene { picture, faces: vec![Face { rect, landmarks, required: true }] }
    };
    (0..n).map(|_| one(rng)).collect()
}

#[test]
fn it_learns_faces_and_a_pack_of_it_finds_them() {
    let mut trainer = Trainer::new(1, Device::Cpu);
    let mut rng = Rng(3);
    let first = trainer.train_step(&Batch::collate(&scenes(12, &mut rng), Device::Cpu), 1e-3).losses["total"];
    let mut last = first;
    for step in 0..160 {
        let rate = if step < 110 { 4e-3 } else { 1e-3 };
        last = trainer.train_step(&Batch::collate(&scenes(12, &mut rng), Device::Cpu), rate).losses["total"];
    }
    assert!(last < 0.2 * first && trainer.net.skipped == 0, "{first} {last}");

    // Faces that it has not seen, by the averaged weights.
    let subject = EvaluatedDetector::new(trainer::export(&trainer.checkpoint()).unwrap()).unwrap();
    let new = scenes(40, &mut Rng(99));
    let mut tally = Tally::default();
    new.iter().for_each(|s| tally.add(&subject.find(&s.picture).unwrap(), &s.faces));
    assert!(tally.recall() > 0.9 && tally.alarm_rate() < 0.1 && tally.landmarks < 0.2, "{}", tally.text());

    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("own-finder");
    let look = DetectorOverrides { longer_side: Some(400), score: Some(0.65) };
    let size = export::export_pack(&trainer.checkpoint(), &pack, &look, "MIT OR Apache-2.0").unwrap();
    assert!(size > 100_000 && size < 1_500_000, "{size}");
    let models = ModelSet::from_folders(&[folder.path().to_owned()]);
    let (pack, part) = models.find(Role::Detector, Some(&Architecture::RetinaFace), None).unwrap();
    assert_eq!((pack.name(), pack.manifest.licence.as_str()), ("own-finder", "MIT OR Apache-2.0"));
    assert_eq!(part.config["backbone"], "mobilenet0.25");
    assert_eq!(part.config::<DetectorOverrides>().unwrap(), look);
    assert_eq!(part.config["score"], 0.65);
    let weights = pack.load(part, headgan::import::check).unwrap();
    let kind = Kind::from_weights(&weights).unwrap();
    let detector = Detector::new(Embedded::new(weights, &cpu::Options::default()), kind);
    for scene in &new {
        let (a, b) = (detector.detect(&scene.picture).unwrap(), subject.find(&scene.picture).unwrap());
        assert_eq!(a, b, "the pack is what was measured");
    }
    assert!(
        export::export_pack(
            &trainer.checkpoint(),
            &folder.path().join("Own Finder"),
            &DetectorOverrides::default(),
            "MIT"
        )
        .is_err()
    );
}

#[test]
fn a_picture_without_faces_teaches_too() {
    let mut empty = scenes(2, &mut Rng(1));
    empty.iter_mut().for_each(|s| s.faces.clear());
    let mut trainer = Trainer::new(1, Device::Cpu);
    let record = trainer.train_step(&Batch::collate(&empty, Device::Cpu), 1e-3);
    assert!(record.losses["class"] > 1.0 && record.losses["boxes"] == 0.0, "{record:?}");
    assert_eq!((trainer.net.skipped, trainer.net.step), (0, 1));
}

#[test]
fn a_trainer_goes_on_where_it_stopped() {
    let batch = Batch::collate(&scenes(4, &mut Rng(2)), Device::Cpu);
    let mut one = Trainer::new(1, Device::Cpu);
    (0..4).for_each(|_| drop(one.train_step(&batch, 2e-3)));
    let mut two = Trainer::new(7, Device::Cpu);
    two.restore(&one.checkpoint()).unwrap();
    let (a, b) = (one.train_step(&batch, 2e-3), two.train_step(&batch, 2e-3));
    assert_eq!((a.step, &a.losses), (b.step, &b.losses));
    assert_eq!(one.net.averaged().unwrap().arrays, two.net.averaged().unwrap().arrays);
    let other = checkpoint::Checkpoint::default();
    assert!(two.restore(&other).is_err() && trainer::export(&other).is_err());
}

/// A folder as `detector-label` writes it: one picture each of four files.
fn label(folder: &Path) {
    std::fs::create_dir(folder.join("pictures")).unwrap();
    let mut lines = String::new();
    for (i, scene) in scenes(4, &mut Rng(8)).iter().enumerate() {
        let rgb: Vec<u8> = scene.picture.data.as_chunks::<3>().0.iter().flat_map(|[b, g, r]| [*r, *g, *b]).collect();
        let file = format!("{i}.png");
        let frame = Frame::from_rgb8(SIDE, SIDE, &rgb, Color::Srgb);
        still::write(&folder.join("pictures").join(&file), &frame, &StillOptions::default()).unwrap();
        let Face { rect: r, landmarks, .. } = scene.faces[0];
        let faces = vec![labels::Label { rect: [r.x0, r.y0, r.x1, r.y1], score: 0.9, landmarks }];
        let labelled = labels::LabelledFile {
            source: format!("{i}.mp4"),
            pictures: vec![labels::LabelledPicture { file, faces }],
        };
        lines += &format!("{}\n", serde_json::to_string(&labelled).unwrap());
    }
    std::fs::write(folder.join("labels.jsonl"), lines).unwrap();
    let settings = labels::LabelSettings { detector: "none".into(), side: SIDE, frames: 1 };
    std::fs::write(folder.join("about.json"), serde_json::to_string(&settings).unwrap()).unwrap();
    std::fs::write(folder.join("held.txt"), "3.mp4\n").unwrap();
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    label(folder.path());
    let held = folder.path().join("held.txt");
    let train = |out: &Path| {
        let settings = run::Settings {
            labels: folder.path(),
            hold_out: Some(&held),
            run: out,
            steps: 4,
            batch: 1,
            rate: 1e-3,
            seed: 5,
            heads: 1,
            checkpoint_minutes: 0.0,
            validation_minutes: 1e3,
            device: Device::Cpu,
            quiet: true,
        };
        run::run(&settings).unwrap();
        let log = std::fs::read_to_string(out.join("log.jsonl")).unwrap();
        log.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    let log = train(&whole);
    assert_eq!(log.len(), 4);
    // What a run leaves that was killed after its third step.
    let checkpoints = |run: &Path| run.join("checkpoints");
    std::fs::create_dir_all(checkpoints(&stopped)).unwrap();
    let third = checkpoint::path_of(&checkpoints(&whole), 3);
    std::fs::copy(&third, checkpoint::path_of(&checkpoints(&stopped), 3)).unwrap();
    assert_eq!(train(&stopped), log[3..]);
    let last = |run: &Path| {
        let checkpoint = checkpoint::newest(&checkpoints(run), Device::Cpu).unwrap().unwrap();
        trainer::export(&checkpoint).unwrap().arrays
    };
    assert_eq!(last(&whole), last(&stopped));
    for file in ["batch.png", "validation.jsonl", "config.json"] {
        assert!(stopped.join(file).exists(), "{file}");
    }
}
