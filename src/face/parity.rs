//! The detectors and the regressor against what upstream's code computed (fixtures beside the project).

use super::align::five_of_68;
use super::detector::{Detector, Kind, Limit};
use super::observe::Observer;
use super::regress::{self, Regressor};
use super::report::FaceReport;
use super::testdata::{clip, image, packs};
use super::{Detection, roi};
use crate::engine::cpu::{Cpu, Options};
use crate::face::embedder::Embedder;
use crate::frame::{Frame, Rect};
use crate::testing::shared;
use crate::weights::Weights;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// The executor that the tests run on.
fn engine(weights: Arc<Weights>) -> Cpu {
    Cpu::new(weights, &Options::default())
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn floats(v: &Value) -> Vec<f32> {
    v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// The largest difference of two boxes' sides.
fn apart(r: &Rect, want: &[f32]) -> f32 {
    [r.x0, r.y0, r.x1, r.y1].iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn rect(v: &[f32]) -> Rect {
    Rect { x0: v[0], y0: v[1], x1: v[2], y1: v[3] }
}

#[test]
fn retinaface_finds_what_upstream_finds() {
    let Some(shared) = shared() else { return };
    let weights = packs(&shared).retinaface.clone();
    let mut detector = Detector::new(engine(weights.clone()), Kind::from_weights(&weights).unwrap());
    detector.options.limit = Limit::None;
    let fixtures = json(&shared.join("fixtures/retinaface/mobilenet0.25.json"));
    let (mut worst_box, mut worst_score, mut worst_point) = (0.0f32, 0.0f32, 0.0f32);
    for (name, want) in fixtures.as_object().unwrap() {
        let faces = detector.detect(&image(&shared.join("images").join(name))).unwrap();
        let boxes = want["boxes_xyxy"].as_array().unwrap();
        assert_eq!(faces.len(), boxes.len(), "{name}: {faces:?}");
        for (i, face) in faces.iter().enumerate() {
            worst_box = worst_box.max(apart(&face.rect, &floats(&boxes[i])));
            worst_score = worst_score.max((face.score - want["scores"][i].as_f64().unwrap() as f32).abs());
            for (k, p) in face.landmarks5.unwrap().iter().enumerate() {
                let q = floats(&want["landmarks5_xy"][i][k]);
                worst_point = worst_point.max((p[0] - q[0]).abs().max((p[1] - q[1]).abs()));
            }
        }
    }
    eprintln!("retinaface: boxes {worst_box:.4} px, scores {worst_score:.6}, landmarks {worst_point:.4} px");
    assert!(worst_box < 1.5 && worst_score < 0.01 && worst_point < 1.5);
}

#[test]
fn faceboxes_finds_what_upstream_finds() {
    let Some(shared) = shared() else { return };
    let weights = packs(&shared).faceboxes.clone();
    let detector = Detector::new(engine(weights.clone()), Kind::from_weights(&weights).unwrap());
    let fixtures = json(&shared.join("fixtures/tddfa_v2/tddfa_v2.json"));
    let (mut worst_box, mut worst_score) = (0.0f32, 0.0f32);
    for (name, want) in fixtures.as_object().unwrap() {
        let faces = detector.detect(&portrait(&shared, want)).unwrap();
        let boxes = want["boxes_xyxy_score"].as_array().unwrap();
        assert_eq!(faces.len(), boxes.len(), "{name}: {faces:?}");
        for (face, want) in faces.iter().zip(boxes) {
            let want = floats(want);
            worst_box = worst_box.max(apart(&face.rect, &want[..4]));
            worst_score = worst_score.max((face.score - want[4]).abs());
        }
    }
    eprintln!("faceboxes: boxes {worst_box:.4} px, scores {worst_score:.6}");
    assert!(worst_box < 1.5 && worst_score < 0.01);
}

fn portrait(shared: &Path, fixture: &Value) -> Frame {
    image(&shared.join("images").join(fixture["image"].as_str().unwrap()))
}

#[test]
fn regression_agrees_with_upstream() {
    let Some(shared) = shared() else { return };
    let (weights, model) = (packs(&shared).regressor.clone(), &packs(&shared).model);
    let std = &model.model().param_std;
    let config = regress::check(&weights).unwrap();
    let regressor = Regressor::new(engine(weights), config, model.model()).unwrap();
    let fixtures = json(&shared.join("fixtures/tddfa_v2/tddfa_v2.json"));
    let mut worst = [0.0f32; 5];
    for (name, want) in fixtures.as_object().unwrap() {
        let picture = portrait(&shared, want);
        let seen = rect(&floats(&want["boxes_xyxy_score"][0]));
        let crop = roi::from_box(&seen);
        assert!(apart(&crop, &floats(&want["roi"][0])) < 1e-3, "{name}: {crop:?}");
        let fit = regressor.regress(&picture, &crop).unwrap();
        worst[0] = worst[0].max(params_apart(&fit, &want["params62"][0], std));
        let points = model.landmarks68(&fit).unwrap();
        worst[1] = worst[1].max(points_apart(&points, &want["landmarks68_xyz"][0]));
        let report = FaceReport::from_fit(&face(&seen), &fit, model).unwrap();
        let pose = floats(&want["pose_yaw_pitch_roll_deg"][0]);
        for (got, want) in [report.pose_deg.yaw, report.pose_deg.pitch, report.pose_deg.roll].iter().zip(pose) {
            worst[4] = worst[4].max((got - want).abs());
        }
        // Second pass, cropped by the landmarks.
        let second = &want["second_pass_from_landmarks"];
        let crop = roi::from_landmarks(&points).unwrap();
        worst[2] = worst[2].max(apart(&crop, &floats(&second["roi"])));
        let fit = regressor.regress(&picture, &rect(&floats(&second["roi"]))).unwrap();
        worst[3] = worst[3].max(params_apart(&fit, &second["params62"], std));
    }
    eprintln!(
        "3ddfa: parameters {:.5} std, landmarks {:.4} px on average, pose {:.4} degrees, second crop {:.4} px, second \
         parameters {:.5} std",
        worst[0], worst[1], worst[4], worst[2], worst[3]
    );
    // JPEG decoders differ by a level or two, which is what these allow for.
    assert!(worst[0] < 0.05 && worst[1] < 0.6 && worst[2] < 1.5 && worst[3] < 0.05 && worst[4] < 0.3);
}

/// The largest difference of parameters, in standard deviations.
fn params_apart(fit: &crate::morphable::Fit, want: &Value, std: &[f32]) -> f32 {
    let p = &fit.params;
    let got = p.camera.iter().chain(&p.shape).chain(&p.expr);
    got.zip(floats(want)).zip(std).map(|((a, b), s)| ((a - b) / s).abs()).fold(0.0, f32::max)
}

/// The mean distance of landmarks in the picture; `want` is `[3][68]`.
fn points_apart(points: &[[f32; 3]; 68], want: &Value) -> f32 {
    let [x, y] = [0, 1].map(|k| floats(&want[k]));
    points.iter().enumerate().map(|(i, p)| (p[0] - x[i]).hypot(p[1] - y[i])).sum::<f32>() / 68.0
}

fn face(rect: &Rect) -> Detection {
    Detection { rect: *rect, score: 1.0, landmarks5: None }
}

/// The file whose name ends with `name` among the clips.
fn a_clip(shared: &Path, name: &str, step: usize, count: usize) -> Vec<Frame> {
    let mut files = std::fs::read_dir(shared.join("clips")).unwrap().map(|e| e.unwrap().path());
    clip(&files.find(|p| p.to_string_lossy().ends_with(name)).unwrap(), step, count)
}

#[test]
fn identity_tells_people_apart() {
    let Some(shared) = shared() else { return };
    let packs = packs(&shared);
    let detector = Detector::new(engine(packs.retinaface.clone()), Kind::from_weights(&packs.retinaface).unwrap());
    let embedder = Embedder::new(engine(packs.mobilefacenet.clone()));
    let clips =
        ["M030_front_happy_level3_001.mp4", "W009_front_happy_level3_001.mp4", "GRID_bbaf2n.mpg", "driving_d0.mp4"];
    let people: Vec<Vec<_>> = clips
        .iter()
        .map(|name| {
            let embed = |frame: &Frame| {
                let face = detector.detect(frame).unwrap().remove(0);
                embedder.embed(frame, &face.landmarks5.unwrap()).unwrap()
            };
            a_clip(&shared, name, 25, 3).iter().map(embed).collect()
        })
        .collect();
    let (mut same, mut other) = (1.0f32, -1.0f32);
    for (i, a) in people.iter().enumerate() {
        for x in a {
            same = a.iter().map(|y| x.similarity(y)).fold(same, f32::min);
            for b in &people[..i] {
                other = b.iter().map(|y| x.similarity(y)).fold(other, f32::max);
            }
        }
    }
    eprintln!("identity: same person at least {same:.3}, two people at most {other:.3}");
    assert!(same > other + 0.1);
}

#[test]
fn observes_real_clips() {
    let Some(shared) = shared() else { return };
    let packs = packs(&shared);
    let detector = Detector::new(engine(packs.retinaface.clone()), Kind::from_weights(&packs.retinaface).unwrap());
    let config = regress::check(&packs.regressor).unwrap();
    let regressor = Regressor::new(engine(packs.regressor.clone()), config, packs.model.model()).unwrap();
    let observer =
        Observer { detector: &detector, regressor: &regressor, model: &packs.model, identity: None, points: None };
    for name in ["M030_front_angry_level3_001.mp4", "GRID_bbaf2n.mpg"] {
        let mut frames = a_clip(&shared, name, 4, 6);
        for frame in &frames {
            let seen = observer.observe(frame).unwrap();
            let [face] = &seen.faces[..] else { panic!("{name}: one face") };
            let fitted = face.fitted.as_ref().unwrap();
            // The five points of the fit against the detector's own, in distances of the eyes.
            let fit = five_of_68(&packs.model.landmarks68(&fitted.fit).unwrap());
            let points = face.detection.landmarks5.unwrap();
            let eyes = (points[1][0] - points[0][0]).hypot(points[1][1] - points[0][1]);
            let apart = |(a, b): (&[f32; 2], &[f32; 2])| (a[0] - b[0]).hypot(a[1] - b[1]);
            let apart = fit.iter().zip(&points).map(apart).sum::<f32>() / 5.0 / eyes;
            eprintln!("{name}: confidence {:.2}, landmarks {apart:.3} eye distances off", face.confidence());
            assert!(face.confidence() > 0.6 && apart < 0.15, "{name}");
        }
        // The face goes away: the background must not be taken for it.
        let crop = observer.observe(&frames[5]).unwrap().faces.remove(0).fitted.unwrap().fit.roi;
        let mut empty = frames.pop().unwrap();
        empty.data.chunks_exact_mut(4).for_each(|p| p.copy_from_slice(&[0.4, 0.5, 0.6, 1.0]));
        assert!(observer.observe(&empty).unwrap().faces.is_empty(), "{name}");
        let followed = observer.follow(&empty, &crop).unwrap();
        let confidence = followed.map_or(0.0, |f| f.confidence(0.99));
        assert!(confidence < 0.3, "{name}: background followed with confidence {confidence}");
    }
}
