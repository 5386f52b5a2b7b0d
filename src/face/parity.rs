//! The detectors and the regressor against what upstream's code computed (fixtures beside the project).

use super::detector::{Detector, Kind, Limit};
use super::regress::{self, Regressor};
use super::testdata::{image, model, weights};
use super::track::FaceModel;
use super::{Rect, roi};
use crate::engine::cpu::{Cpu, Options};
use crate::frame::Frame;
use crate::models::Weights;
use crate::testing::shared;
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
    let weights = weights(&shared, "retinaface");
    let mut detector = Detector::new(engine(weights.clone()), Kind::of(&weights).unwrap());
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
    let weights = weights(&shared, "faceboxes");
    let detector = Detector::new(engine(weights.clone()), Kind::of(&weights).unwrap());
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
    let weights = weights(&shared, "mb05");
    let model = model(&shared);
    let config = regress::check(&weights).unwrap();
    let regressor = Regressor::new(engine(weights), config, &model.0).unwrap();
    let fixtures = json(&shared.join("fixtures/tddfa_v2/tddfa_v2.json"));
    let mut worst = [0.0f32; 4];
    for (name, want) in fixtures.as_object().unwrap() {
        let picture = portrait(&shared, want);
        let seen = rect(&floats(&want["boxes_xyxy_score"][0]));
        let crop = roi::from_box(&seen);
        assert!(apart(&crop, &floats(&want["roi"][0])) < 1e-3, "{name}: {crop:?}");
        let fit = regressor.regress(&picture, &crop).unwrap();
        worst[0] = worst[0].max(params_apart(&fit, &want["params62"][0], &model.0.param_std));
        let points = model.landmarks68(&fit).unwrap();
        worst[1] = worst[1].max(points_apart(&points, &want["landmarks68_xyz"][0]));
        // Second pass, cropped by the landmarks.
        let second = &want["second_pass_from_landmarks"];
        let crop = roi::from_landmarks(&points).unwrap();
        worst[2] = worst[2].max(apart(&crop, &floats(&second["roi"])));
        let fit = regressor.regress(&picture, &rect(&floats(&second["roi"]))).unwrap();
        worst[3] = worst[3].max(params_apart(&fit, &second["params62"], &model.0.param_std));
    }
    eprintln!(
        "3ddfa: parameters {:.5} std, landmarks {:.4} px on average, second crop {:.4} px, second parameters {:.5} std",
        worst[0], worst[1], worst[2], worst[3]
    );
    // JPEG decoders differ by a level or two, which is what these allow for.
    assert!(worst[0] < 0.05 && worst[1] < 0.6 && worst[2] < 1.5 && worst[3] < 0.05);
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
