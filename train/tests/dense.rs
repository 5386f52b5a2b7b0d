//! The dense networks: labels come back, runs go on to the bit, and the pack that they make finds and fits with its own networks.

use headgan::engine::cpu;
use headgan::face::bgr::Bgr8;
use headgan::frame::Frame;
use headgan::media::still::{self, StillOptions};
use headgan::models::{ModelSet, Pack, Role};
use headgan::reenact::networks::{Fitting, Networks};
use headgan_train::checkpoint::{self, Checkpoint};
use headgan_train::dense::faces::{DrawnHead, drawn};
use headgan_train::dense::label::{self, FIVE, LabelSettings, LabelledClip, LabelledFace};
use headgan_train::dense::run::{self, Network};
use headgan_train::dense::{export, measure};
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};

fn starter_face() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/starter-face")
}

fn jpeg(picture: &Bgr8, folder: &Path) -> Vec<u8> {
    let mut frame = Frame::new(picture.width, picture.height);
    for (i, p) in picture.data.as_chunks::<3>().0.iter().enumerate() {
        let [b, g, r] = p.map(|v| f32::from(v) / 255.0);
        frame.set_pixel(i % picture.width, i / picture.width, [r, g, b, 1.0]);
    }
    let path = folder.join("a.jpg");
    still::write(&path, &frame, &StillOptions { alpha: false, ..Default::default() }).unwrap();
    std::fs::read(path).unwrap()
}

/// Two clips of drawn heads as if another network had labelled them; the second one's name is held out.
fn labels(folder: &Path) -> (PathBuf, PathBuf) {
    let labels = folder.join("labels");
    std::fs::create_dir_all(&labels).unwrap();
    let settings = LabelSettings { networks: vec!["a".into()], every: 1 };
    std::fs::write(labels.join("about.json"), serde_json::to_string(&settings).unwrap()).unwrap();
    let heads = drawn(3, 6, &DrawnHead::new().unwrap()).unwrap();
    for (name, heads) in ["one", "two"].into_iter().zip(heads.chunks(3)) {
        let mut clip = LabelledClip { name: name.into(), ..LabelledClip::default() };
        for (i, head) in heads.iter().enumerate() {
            let picture = jpeg(&head.picture, folder);
            let five = FIVE.map(|k| [head.points[k][0], head.points[k][1]]);
            clip.frames.push(picture.clone());
            let rect = [60.0, 60.0, 220.0, 230.0];
            clip.faces.push(LabelledFace {
                frame: i,
                jpeg: picture,
                points: head.points.clone(),
                in_frame: five,
                rect,
            });
        }
        let path = labels.join(format!("{name}.safetensors"));
        clip.save(&path).unwrap();
        let again = LabelledClip::load(&path).unwrap();
        assert_eq!((again.name.as_str(), &again.frames), (name, &clip.frames));
        for (a, b) in again.faces.iter().zip(&clip.faces) {
            assert_eq!(
                (a.frame, &a.jpeg, &a.points, a.in_frame, a.rect),
                (b.frame, &b.jpeg, &b.points, b.in_frame, b.rect)
            );
        }
    }
    let held = folder.join("held.txt");
    std::fs::write(&held, "/somewhere/two.mp4\n").unwrap();
    (labels, held)
}

fn train(network: Network, (labels, held): &(PathBuf, PathBuf), folder: &Path, steps: u64) {
    run::run(&run::Settings {
        network,
        labels,
        hold_out: held,
        run: folder,
        steps,
        batch: 4,
        rate: 1e-3,
        seed: 5,
        heads: 2,
        // After every step.
        checkpoint_minutes: 0.0,
        loaders: 0,
        device: Device::Cpu,
        quiet: true,
    })
    .unwrap();
}

#[test]
fn who_is_held_out_is_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let (labels, held) = labels(folder.path());
    let [train, out] = label::split(&labels, &held).unwrap();
    assert!(train.len() == 1 && train[0].ends_with("one.safetensors") && out[0].ends_with("two.safetensors"));
    std::fs::write(&held, "three\n").unwrap();
    assert!(label::split(&labels, &held).unwrap_err().to_string().contains("'three'"));
    std::fs::write(&held, "one\ntwo\n").unwrap();
    assert!(label::split(&labels, &held).unwrap_err().to_string().contains("no clip is left"));
    let path = labels.join("one.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(LabelledClip::load(&path).unwrap_err().to_string().contains("label again"));
}

#[test]
fn runs_that_were_stopped_go_on_to_the_bit_and_make_a_pack() {
    let folder = tempfile::tempdir().unwrap();
    let made = labels(folder.path());
    tch::set_num_threads(1);
    let runs = [(Network::Points, "points"), (Network::Finder, "finder")].map(|(network, name)| {
        let run = folder.path().join(name);
        train(network, &made, &run, 4);
        let place = |step: u64| run.join(format!("checkpoints/step_{step:08}.safetensors"));
        let log = || std::fs::read_to_string(run.join("log.jsonl")).unwrap();
        let state = || {
            let Checkpoint { tensors, .. } = Checkpoint::load(&place(4), Device::Cpu).unwrap();
            let bits =
                |t: &Tensor| Vec::<f32>::try_from(t.reshape([-1])).unwrap().into_iter().map(f32::to_bits).collect();
            tensors.iter().map(|(name, t)| (name.clone(), bits(t))).collect::<Vec<(String, Vec<u32>)>>()
        };
        let (whole, lines) = (state(), log());
        // As if it had been killed after the third step.
        std::fs::remove_file(place(4)).unwrap();
        train(network, &made, &run, 4);
        assert!(state() == whole, "{name}");
        assert_eq!(log(), lines, "{name}");
        checkpoint::newest(&run.join("checkpoints"), Device::Cpu).unwrap().unwrap()
    });

    let source = Pack::open(&starter_face()).unwrap();
    let target = folder.path().join("with-dense");
    let [points, finder] = &runs;
    let size = export::export_pack(&source, points, finder, &target).unwrap();
    assert!(size < 6 << 20, "{size} bytes");
    assert!(export::export_pack(&source, finder, points, &folder.path().join("wrong")).is_err());
    let refused = export::export_pack(&source, points, finder, &source.folder).unwrap_err().to_string();
    assert!(refused.contains("another folder") || refused.contains("the pack itself"), "{refused}");
    let models = ModelSet::from_folders(&[folder.path().to_owned()]);
    let pack = models.pack("with-dense").unwrap();
    let kept = |role| (source.component(role, None).unwrap(), pack.component(role, None).unwrap());
    for (a, b) in [kept(Role::Detector), kept(Role::Regressor), kept(Role::Morphable)] {
        assert_eq!((&a.blake3, &a.config), (&b.blake3, &b.config));
    }
    let networks = Networks::load(&models, Some("with-dense"), None, &cpu::Options::default()).unwrap();
    assert!(matches!(networks.fitting, Fitting::Dense { .. }));
    assert!(networks.observer().observe(&Frame::new(96, 64)).is_ok());
}

#[test]
fn a_network_is_nearest_to_itself() {
    let points = drawn(4, 9, &DrawnHead::new().unwrap()).unwrap();
    let pairs: Vec<_> = points.iter().map(|f| (f.points.clone(), Some(f.points.clone()))).collect();
    let mut same = measure::Comparison::default();
    same.add(&pairs);
    let figures = same.figures();
    assert_eq!((figures.clips, figures.faces, figures.distance), (1, 9, 0.0));
    assert!(figures.signals["eyeL"][0] > 0.999, "{figures:?}");
    // A tenth of the eyes' distance to the side, and a face that was not found.
    let moved = |f: &headgan_train::dense::faces::Face| {
        let eyes = (f.points[33][0] - f.points[263][0]).hypot(f.points[33][1] - f.points[263][1]);
        f.points.iter().map(|p| [p[0] + 0.1 * eyes, p[1], p[2]]).collect::<Vec<_>>()
    };
    let mut pairs: Vec<_> = points.iter().map(|f| (f.points.clone(), Some(moved(f)))).collect();
    pairs[0].1 = None;
    let mut off = measure::Comparison::default();
    off.add(&pairs);
    let figures = off.figures();
    assert!(figures.faces == 8 && (figures.distance - 0.1).abs() < 1e-5, "{figures:?}");
}
