use super::*;
use crate::controls::choices::{Quality, View};
use crate::engine::shape;
use crate::models::{Architecture, FORMAT, MANIFEST, Manifest};
use crate::morphable::{ArkitShape, Euler, Fit, ImageCamera, Mesh, PreparedMorphable};
use crate::reenact::draft::DraftModel;
use crate::reenact::{FrameSettings, Scratch, Shot};
use crate::shot::{Head, Motion, Track, TrackSettings};
use crate::synthetic;
use crate::testing::random_weights;
use crate::weights::{Weights, safetensors};
use std::path::Path;

const SIDE: usize = 256;

fn model() -> Arc<PreparedMorphable> {
    Arc::new(PreparedMorphable::new(synthetic::acting_head()).unwrap())
}

/// The acting head's points, turned, with a shape at full strength.
fn points(yaw: f64, shape: Option<ArkitShape>) -> Box<FacePoints> {
    let model = model();
    let mut expr = vec![0.0; model.model().expr_dim];
    if let Some(shape) = shape {
        expr[model.model().arkit[shape as usize] as usize] = 1.0;
    }
    let euler = Euler { yaw: yaw as f32, pitch: 0.0, roll: 8.0 };
    let camera = ImageCamera::new(1.6e-3, euler.rotation(), [128.0, 128.0, 0.0]);
    let mut mesh = Mesh::default();
    let identity = model.identity(&vec![0.0; model.model().shape_dim]).unwrap();
    model.mesh_into(&identity, &expr, &camera, &mut mesh).unwrap();
    PointPlaces::new(model.model()).unwrap().of(&mesh.vertices)
}

fn sum(plane: &[f32]) -> f32 {
    plane.iter().sum()
}

#[test]
fn windows_lie_on_eyes_and_mouth() {
    let points = points(0.0, None);
    for (part, outer, inner) in [(Part::RightEye, 33, 133), (Part::LeftEye, 263, 362)] {
        let placement = part.place(&points).unwrap();
        let [a, b] = [outer, inner].map(|i| placement.map.to_window(points[i]));
        // The left eye is mirrored: its outer corner is at the same place.
        for (p, want) in [(a, [14.0, 36.0]), (b, [50.0, 36.0])] {
            assert!((p[0] - want[0]).abs() < 0.01 && (p[1] - want[1]).abs() < 0.01, "{part:?} {p:?}");
        }
        assert_eq!(placement.weight, 1.0);
    }
    let mouth = Part::Mouth.place(&points).unwrap().map;
    for i in [61, 291, 0, 17, 2, 152] {
        let p = mouth.to_window(points[i]);
        assert!(p.iter().all(|v| (2.0..94.0).contains(v)), "{i} {p:?}");
    }
    let [left, right] = [61, 291].map(|i| mouth.to_window(points[i])[0]);
    assert!((left + right - 95.0).abs() < 3.0 && right - left > 45.0, "{left} {right}");
}

#[test]
fn what_a_face_does_is_drawn() {
    let drawn = |part: Part, shape: Option<ArkitShape>| {
        let points = points(0.0, shape);
        part.contours(&points, &part.place(&points).unwrap().map)
    };
    let n = 64 * 64;
    let (open, shut) = (drawn(Part::RightEye, None), drawn(Part::RightEye, Some(ArkitShape::EyeBlinkRight)));
    assert!(sum(&open[..n]) > 200.0 && sum(&shut[..n]) < 0.4 * sum(&open[..n]), "{}", sum(&shut[..n]));
    // Both eyes of a symmetric face are drawn alike.
    let other = drawn(Part::LeftEye, None);
    for c in 0..CONTOURS {
        let (a, b) = (&open[c * n..(c + 1) * n], &other[c * n..(c + 1) * n]);
        let apart: f32 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
        assert!(apart < 0.25 * sum(a), "{c}: {apart} {}", sum(a));
    }
    let middle = |plane: &[f32]| {
        let along = (0..n).map(|i| plane[i] * (i % 64) as f32).sum::<f32>();
        along / sum(plane)
    };
    // Towards the nose, which is at the right of every window.
    let inward = drawn(Part::RightEye, Some(ArkitShape::EyeLookInRight));
    assert!(middle(&inward[n..2 * n]) > middle(&open[n..2 * n]) + 2.0);
    let n = 96 * 96;
    let (closed, wide) = (drawn(Part::Mouth, None), drawn(Part::Mouth, Some(ArkitShape::JawOpen)));
    assert!(sum(&wide[n..2 * n]) > sum(&closed[n..2 * n]) + 300.0);
    for c in 0..CONTOURS {
        assert!(sum(&closed[c * n..(c + 1) * n]) > 50.0, "{c}");
    }
}

#[test]
fn an_eye_seen_from_its_side_is_left_alone() {
    let weights = |yaw: f64| Part::ALL.map(|part| part.place(&points(yaw, None)).map_or(0.0, |p| p.weight));
    let (one, other) = (weights(75.0), weights(-75.0));
    assert!(one[0].min(one[1]) == 0.0 && one[0].max(one[1]) > 0.5, "{one:?}");
    assert!((one[0] > one[1]) != (other[0] > other[1]), "{one:?} {other:?}");
    assert_eq!(weights(20.0), [1.0; 3]);
    let far = points(0.0, None).map(|p| p.map(|v| 0.02 * v));
    assert_eq!(Part::ALL.map(|part| part.place(&far)), [None; 3]);
    assert_eq!(Part::ALL.map(|part| part.place(&[[f32::NAN; 2]; 478])), [None; 3]);
}

/// A pack with windows of random weights, which `change` changes.
fn pack(folder: &Path, change: impl Fn(Part, &mut Weights)) -> ModelSet {
    let folder = folder.join("windows");
    std::fs::create_dir_all(&folder).unwrap();
    let components = [(Part::RightEye, window::EYE), (Part::Mouth, window::MOUTH)].map(|(part, full)| {
        let config = Config { width: 4, spade: 4, ..full };
        let [from, to, sound] = config.shapes(1);
        let layers = shape::layers(|ops| {
            let reference = window::reference(ops, &config, &from);
            window::forward(ops, &config, &reference, &to, (config.audio > 0).then_some(&sound));
        });
        let mut weights = random_weights(&layers, 9);
        weights.metadata = config.metadata();
        change(part, &mut weights);
        let file = format!("{}.safetensors", part.network());
        let blake3 = safetensors::save(&folder.join(&file), &weights).unwrap();
        let mut described = serde_json::to_value(&config).unwrap().as_object().cloned().unwrap();
        described.insert("network".into(), part.network().into());
        Component { role: Role::Window, architecture: Architecture::WindowGenerator, config: described, file, blake3 }
    });
    let manifest = Manifest {
        format: FORMAT,
        name: "windows".into(),
        version: "1".into(),
        licence: "MIT".into(),
        source: "test".into(),
        purpose: "test".into(),
        components: components.into(),
    };
    std::fs::write(folder.join(MANIFEST), serde_json::to_string(&manifest).unwrap()).unwrap();
    ModelSet::from_folders(&[folder])
}

fn shot() -> Shot {
    let model = model();
    let (portrait, fit) = synthetic::demo_reference(SIDE).unwrap();
    let acting = |fit: Fit, k: usize| {
        let mut expr = vec![0.0; model.model().expr_dim];
        expr[model.model().arkit[ArkitShape::JawOpen as usize] as usize] = 0.1 * k as f32;
        expr[model.model().arkit[ArkitShape::EyeBlinkLeft as usize] as usize] = 0.2 * k as f32;
        Fit { params: crate::morphable::Params { expr, ..fit.params }, ..fit }
    };
    let driving = synthetic::demo_driving(SIDE, 5).unwrap();
    let fits: Vec<Fit> = driving.enumerate().map(|(k, item)| acting(item.unwrap().1, k)).collect();
    let motion = Motion::from_fits(&fits, (SIDE, SIDE), "synthetic");
    let track = Track::new(&motion, &Head::from_model(model.model()), &TrackSettings::default()).unwrap();
    let draft = Arc::new(DraftModel::from_morphable(model.model()).unwrap());
    Shot::with_model(model.clone(), draft, portrait, &acting(fit, 0), track, None).unwrap()
}

fn settings(quality: Quality) -> FrameSettings {
    FrameSettings { quality, view: View::Result, ..FrameSettings::default() }
}

#[test]
fn full_is_draft_with_windows_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let networks = Arc::new(WindowNetworks::load(&pack(folder.path(), |_, _| ())).unwrap().unwrap());
    assert_eq!((networks.name.as_str(), networks.blake3.len(), networks.takes_audio()), ("windows", 2, true));
    let plain = shot();
    let shot = shot().with_windows(networks).unwrap();
    assert!(shot.takes_audio() && !plain.takes_audio() && shot.input_frames(3) == (3..=3));
    let render = |shot: &Shot, k: usize, quality: Quality, scratch: &mut Scratch| {
        shot.render(k, &|_| settings(quality), scratch).unwrap().clone()
    };
    let mut scratch = Scratch::default();
    let full = render(&shot, 3, Quality::Full, &mut scratch);
    let draft = render(&shot, 3, Quality::Draft, &mut scratch);
    assert!(draft == render(&plain, 3, Quality::Draft, &mut Scratch::default()));
    assert!(plain.render(3, &|_| settings(Quality::Full), &mut Scratch::default()).is_err());
    // In any order, with other buffers, the same.
    render(&shot, 1, Quality::Full, &mut scratch);
    assert!(full == render(&shot, 3, Quality::Full, &mut scratch));
    assert!(full == render(&shot, 3, Quality::Full, &mut Scratch::default()));
    let places = PointPlaces::new(model().model()).unwrap();
    let seen = shot.see_windows(3, &settings(Quality::Full), &places, &mut scratch).unwrap();
    let mut changed = 0;
    for y in 0..SIDE {
        for x in 0..SIDE {
            let inside = Part::ALL.iter().zip(&seen).any(|(part, seen)| {
                let side = part.side();
                seen.as_ref().is_some_and(|s| feather(side, s.placement.map.to_window([x as f32, y as f32])) > 0.0)
            });
            let differs = full.pixel(x, y) != draft.pixel(x, y);
            assert!(inside || !differs, "{x} {y}");
            changed += usize::from(differs);
        }
    }
    assert!(changed > 800, "{changed}");
}

/// A network that takes Draft's window as it is changes nothing that can be seen.
#[test]
fn draft_can_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let models = pack(folder.path(), |_, weights| {
        let mut set = |name: &str, of: &dyn Fn(usize) -> f32| {
            let array = weights.arrays.get_mut(name).unwrap();
            let n = array.shape.iter().product();
            *array = crate::weights::Array::f32(array.shape.clone(), (0..n).map(of).collect());
        };
        set("paint.shares.weight", &|_| 0.0);
        set("paint.shares.bias", &|k| if k == 0 { 40.0 } else { 0.0 });
        set("flow.out.weight", &|_| 0.0);
        set("flow.out.bias", &|_| 0.0);
    });
    let shot = shot().with_windows(Arc::new(WindowNetworks::load(&models).unwrap().unwrap())).unwrap();
    let mut scratch = Scratch::default();
    let full = shot.render(4, &|_| settings(Quality::Full), &mut scratch).unwrap().clone();
    let draft = shot.render(4, &|_| settings(Quality::Draft), &mut scratch).unwrap();
    let off = full.data.iter().zip(&draft.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 0.5 / 255.0, "{off}");
}

#[test]
fn packs_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(WindowNetworks::load(&ModelSet::from_folders(&[folder.path().to_owned()])).unwrap().is_none());
    let models = pack(folder.path(), |part, weights| {
        if part == Part::Mouth {
            weights.metadata = Config { width: 4, spade: 4, side: 64, ..window::MOUTH }.metadata();
        }
    });
    let error = WindowNetworks::load(&models).err().unwrap().to_string();
    assert!(error.contains("mouth") && error.contains("64"), "{error}");
    let models = pack(folder.path(), |_, weights| {
        weights.arrays.remove("paint.out.weight");
    });
    let error = WindowNetworks::load(&models).err().unwrap().to_string();
    assert!(error.contains("paint.out"), "{error}");
    // Numbers that are none are noticed.
    let models = pack(folder.path(), |_, weights| {
        let bias = weights.arrays.get_mut("paint.out.bias").unwrap();
        *bias = crate::weights::Array::f32([3], vec![f32::NAN; 3]);
    });
    assert!(WindowNetworks::load(&models).is_err());
}
