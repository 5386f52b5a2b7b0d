//! A drawn performance through a Live Link Face recording: the pictures that it drives are those that it drives directly.

use headgan::frame::Frame;
use headgan::media::Rational;
use headgan::morphable::arkit::ArkitShape;
use headgan::morphable::{Euler, Fit, ImageCamera, Params, PreparedMorphable};
use headgan::random::Rng;
use headgan::reenact::draft::DraftModel;
use headgan::reenact::{FrameSettings, Scratch, Shot};
use headgan::shot::live_link::{Performance, Performer};
use headgan::shot::motion::MotionFrame;
use headgan::shot::{Head, Motion, Track, TrackSettings};
use headgan::synthetic::{acting_head, demo_reference};
use std::sync::Arc;

const FRAMES: usize = 24;
const SIZE: usize = 192;

/// Somebody who talks, blinks, looks about and turns the head, in another place and size than the reference; without a face in two
/// frames.
fn performed(expr_dim: usize, identity: &[f32]) -> Motion {
    let mut rng = Rng(11);
    let waves: Vec<[f64; 2]> = (0..ArkitShape::COUNT).map(|_| [0.2 + 0.6 * rng.unit(), 6.3 * rng.unit()]).collect();
    let frames = (0..FRAMES).map(|i| {
        let at = |rate: f64, phase: f64| (rate * i as f64 + phase).sin();
        let euler = Euler {
            yaw: 12.0 * at(0.3, 0.0) as f32,
            pitch: 6.0 * at(0.4, 1.0) as f32,
            roll: 4.0 * at(0.2, 2.0) as f32,
        };
        let place = [300.0 + 30.0 * at(0.25, 0.5) as f32, 220.0 + 15.0 * at(0.35, 1.5) as f32, 0.0];
        let camera = ImageCamera::new(1.5e-3 * (1.0 + 0.1 * at(0.15, 0.0) as f32), euler.rotation(), place);
        let mut expr: Vec<f32> = waves.iter().map(|[r, p]| (0.4 * at(*r, *p)).max(0.0) as f32).collect();
        expr.resize(expr_dim, 0.0);
        let seen = ![9, 10].contains(&i);
        seen.then(|| MotionFrame { camera: camera.matrix().map(|v| v as f32), expr, confidence: 1.0 })
    });
    let (frames, identity) = (frames.collect(), Some(identity.to_vec()));
    Motion { first: 0, size: (640, 480), fps: Some(Rational::whole(25)), model: "drawn".into(), frames, identity }
}

#[test]
fn a_recording_drives_as_its_clip_does() {
    let model = Arc::new(PreparedMorphable::new((*acting_head()).clone()).unwrap());
    let (portrait, fit) = demo_reference(SIZE).unwrap();
    // The portrait's head acts.
    let params = Params { expr: vec![0.0; model.model().expr_dim], ..fit.params.clone() };
    let fit = Fit { params, roi: fit.roi };
    let plain = model.model();
    let draft = Arc::new(DraftModel::from_morphable(plain).unwrap());
    let shape = fit.params.shape.clone();
    let who = Performer { model: plain, hash: "drawn", shape: &shape, lids: [1.1, 0.9] };
    let motion = performed(plain.expr_dim, &shape);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("take.csv");
    Performance::of_motion(&motion, Rational::whole(25), &who).unwrap().save(&path).unwrap();
    let took = Performance::load(&path).unwrap();
    assert_eq!(took.rate(), Rational::whole(25));
    let recorded = took.motion(took.rate(), &who).unwrap();

    let render = |motion: &Motion| -> Vec<Frame> {
        let track = Track::new(motion, &Head::from_model(plain), &TrackSettings::default()).unwrap();
        let shot = Shot::with_model(model.clone(), draft.clone(), portrait.clone(), &fit, track, None).unwrap();
        let settings = FrameSettings::default();
        let mut scratch = Scratch::default();
        (0..shot.len()).map(|i| shot.render(i, &|_| settings.clone(), &mut scratch).unwrap().clone()).collect()
    };
    let (direct, through) = (render(&motion), render(&recorded));
    assert_eq!((direct.len(), through.len()), (FRAMES, FRAMES));
    let apart = |a: &Frame, b: &Frame| {
        let sum: f64 = a.data.iter().zip(&b.data).map(|(a, b)| f64::from(a - b).abs()).sum();
        sum / a.data.len() as f64
    };
    let worst = direct.iter().zip(&through).map(|(a, b)| apart(a, b)).fold(0.0, f64::max);
    let moves = (1..FRAMES).map(|i| apart(&direct[i], &direct[i - 1])).fold(0.0, f64::max);
    eprintln!("the worst frame differs by {:.4} of 255, the performance moves by {:.2}", 255.0 * worst, 255.0 * moves);
    assert!(worst < 1.0 / 255.0 && moves > 4.0 * worst, "{worst} {moves}");
}
