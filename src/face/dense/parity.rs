//! Comparisons with what MediaPipe's own program found on the same pictures.

use super::*;
use crate::engine::cpu::{Cpu, Options};
use crate::frame::Frame;
use crate::import::{self, check};
use crate::models::{Pack, Role};
use crate::nets::graph::Graph;
use crate::testing::shared;

struct Fixture {
    _folder: tempfile::TempDir,
    pack: Pack,
    answers: serde_json::Value,
}

impl Fixture {
    /// `None`, with a line, where the data are not at hand.
    fn new() -> Option<Fixture> {
        let shared = shared()?;
        let folder = tempfile::tempdir().unwrap();
        let options = import::Options { check, topology: None };
        let from = shared.join("face-models/mediapipe");
        let pack = import::import("mediapipe", &from, None, folder.path(), &options).unwrap();
        let answers = std::fs::read(shared.join("fixtures/mediapipe/mediapipe.json")).unwrap();
        Some(Fixture { _folder: folder, pack, answers: serde_json::from_slice(&answers).unwrap() })
    }

    fn network(&self, role: Role, name: &str) -> (Cpu, Graph) {
        let component = self.pack.network(role, name).unwrap();
        let weights = self.pack.load(component, check).unwrap();
        (
            Cpu::new(weights, &Options { threads: 1, ..Options::default() }),
            Graph::from_config(&component.config).unwrap(),
        )
    }

    fn pictures(&self) -> impl Iterator<Item = (String, Frame, &serde_json::Value)> {
        let shared = shared().unwrap();
        self.answers["images"].as_object().unwrap().iter().map(move |(name, answer)| {
            // Decoders of JPEG differ: a PNG of the pixels that MediaPipe saw is taken where somebody has put one beside it.
            let (jpeg, png) = (shared.join("images").join(name), png(name));
            let image = crate::face::testdata::image(if png.is_file() { &png } else { &jpeg });
            (name.clone(), image, answer)
        })
    }
}

/// Where the pixels of a picture may lie as MediaPipe's program decoded them.
fn png(name: &str) -> std::path::PathBuf {
    shared().unwrap().join("images").join(name).with_extension("png")
}

/// Pictures in which MediaPipe itself is at a loss: noise of one grey level moves its points by five pixels or loses the face, and two
/// decoders of JPEG differ by as much.
const UNSURE: [&str; 3] = ["s23.jpg", "s36.jpg", "s38.jpg"];

fn pair(v: &serde_json::Value) -> [f32; 2] {
    [0, 1].map(|i| v[i].as_f64().unwrap() as f32)
}

#[test]
fn detections() {
    let Some(fixture) = Fixture::new() else { return };
    for (network, key) in
        [("face_detection_short_range", "short_range"), ("face_detection_full_range_sparse", "full_range")]
    {
        let (executor, graph) = fixture.network(Role::DenseDetector, network);
        let detector = blaze::Detector::new(executor, graph).unwrap();
        let (mut worst, mut count) = (0.0f32, 0);
        for (name, image, answer) in fixture.pictures() {
            if UNSURE.contains(&name.as_str()) {
                continue;
            }
            let found = detector.find(&image).unwrap();
            let expected = answer[key].as_array().unwrap();
            assert_eq!(found.len(), expected.len(), "{name} {key}");
            for (got, want) in found.iter().zip(expected) {
                let mut off: Vec<f32> = [got.rect.x0, got.rect.y0, got.rect.x1, got.rect.y1]
                    .iter()
                    .enumerate()
                    .map(|(i, v)| (v - want["box"][i].as_f64().unwrap() as f32).abs())
                    .collect();
                for (p, q) in got.points.iter().zip(want["points6"].as_array().unwrap()) {
                    let q = pair(q);
                    off.push((p[0] - q[0]).hypot(p[1] - q[1]));
                }
                let most = off.into_iter().fold(0.0, f32::max);
                println!("{key} {name}: at most {most:.3} px apart");
                // Fed MediaPipe's own pixels 0.21 at most. This picture, decoded otherwise, has one box more in its mean.
                let decoded = key == "full_range" && name == "s5.jpg" && !png(&name).is_file();
                assert!(most <= if decoded { 4.0 } else { 1.0 }, "{key} {name}: {most} px");
                worst = worst.max(most);
                count += 1;
            }
        }
        println!("{key}: {count} faces, at most {worst} px apart");
        assert!(count >= 6, "{key}: {count} faces");
    }
}

#[test]
fn landmarks() {
    let Some(fixture) = Fixture::new() else { return };
    let (executor, graph) = fixture.network(Role::DenseDetector, "face_detection_short_range");
    let detector = blaze::Detector::new(executor, graph).unwrap();
    let (executor, graph) = fixture.network(Role::Landmarks, "face_landmark_with_attention");
    let network = landmarks::Landmarks::new(executor, graph).unwrap();
    let mut count = 0;
    for (name, image, answer) in fixture.pictures() {
        let expected = answer["faces"].as_array().unwrap();
        let Some(want) = expected.first().filter(|_| !UNSURE.contains(&name.as_str())) else { continue };
        let face = &detector.find(&image).unwrap()[0];
        let region = Region::around(&face.rect, face.points[0], face.points[1]);
        let found = network.find(&image, &region).unwrap();
        let scale = 640.0 / image.width.max(image.height) as f32;
        let off = found.points.iter().zip(want.as_array().unwrap()).map(|(p, q)| {
            let q: Vec<f32> = q.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
            ((p[0] - q[0]).hypot(p[1] - q[1]) * scale, (p[2] - q[2]).abs() * scale)
        });
        let (sum, z) = off.fold((0.0, 0.0), |s, o| (s.0 + o.0, s.1 + o.1));
        println!("{name}: {:.3} px mean, z {:.3}, presence {:.3}", sum / 478.0, z / 478.0, found.presence);
        assert!(sum / 478.0 <= 0.5, "{name}: {}", sum / 478.0);
        count += 1;
    }
    assert!(count >= 6, "{count} faces");
}

#[test]
fn persons() {
    let Some(fixture) = Fixture::new() else { return };
    let (executor, graph) = fixture.network(Role::Segmentation, "selfie_segmentation");
    let network = person::Segmentation::new(executor, graph).unwrap();
    let (mut worst, mut count) = (0.0f32, 0);
    for (name, image, _) in fixture.pictures() {
        let stem = name.trim_end_matches(".jpg");
        let path = shared().unwrap().join(format!("fixtures/mediapipe/{stem}.selfie.png"));
        let want = crate::face::testdata::image(&path);
        let matte = network.matte(&image).unwrap();
        assert_eq!((want.width, want.height), (network.size(), network.size()));
        let off: f32 = matte.iter().zip(want.data.chunks(4)).map(|(a, b)| (a - b[0]).abs()).sum();
        let off = off / matte.len() as f32;
        println!("{name}: {off:.4}");
        worst = worst.max(off);
        count += 1;
    }
    assert!(worst <= 0.02 && count >= 8, "{worst}");
}
