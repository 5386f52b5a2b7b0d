//! Windows' networks: what a run exports paints in the program what the trainer painted.

use headgan::engine::{Embedded, Executor, Ops, cpu};
use headgan::models::ModelSet;
use headgan::nets::window;
use headgan::reenact::windows::WindowNetworks;
use headgan_train::run::Trainable;
use headgan_train::windows::export;
use headgan_train::windows::store::{ClipNote, Kind, WindowClip};
use headgan_train::windows::trainer::{Augmentation, Batch, Item, Trainer, config};
use std::sync::Arc;
use tch::{Device, Kind as Number};

/// Two driving frames of slopes.
fn clip(kind: Kind) -> WindowClip {
    let note = ClipNote {
        name: "clip".into(),
        person: "p".into(),
        held: false,
        clean: true,
        references: vec![0],
        targets: vec![4, 5],
        has_sound: true,
        rejected: None,
    };
    let mut clip = WindowClip::empty(kind, note);
    let fill = |values: &mut [u8], k: usize| {
        values.iter_mut().enumerate().for_each(|(i, v)| *v = ((i * k / 7) % 251) as u8 / 2 + 40);
    };
    fill(&mut clip.reference, 1);
    fill(&mut clip.target, 2);
    fill(&mut clip.draft, 3);
    clip.reference_seen.fill(1);
    clip.target_seen.fill(1);
    clip.sound.iter_mut().enumerate().for_each(|(i, v)| *v = (i % 5) as f32 * 0.2);
    clip
}

#[test]
fn what_is_exported_paints_what_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = Vec::new();
    let mut checkpoints = Vec::new();
    for kind in Kind::ALL {
        let mut trainer = Trainer::new(kind, config(kind), None, 1, 3, (Device::Cpu, Number::Float));
        let clip = clip(kind);
        let items = [0, 1].map(|target| (Item { clip: &clip, window: 0, reference: 0, target }, Augmentation::NONE));
        let batch = Batch::collate(kind, &items, Device::Cpu);
        for _ in 0..3 {
            let record = trainer.train_step(&batch, 1e-3);
            assert!(record.losses["total"].is_finite() && record.gradient.is_finite());
        }
        assert_eq!(trainer.skipped, 0);
        let made = trainer.infer(&batch).image.narrow(0, 0, 1);
        let wanted = Vec::<f32>::try_from(made.contiguous().reshape([-1])).unwrap();
        let weights = trainer.averaged().unwrap();
        let ops = Embedded::new(Arc::new(weights.clone()), &cpu::Options { threads: 1, ..cpu::Options::default() });
        let config = window::Config::infer(&weights).unwrap();
        let [from, to, sound] = config.shapes(1);
        let values = |t: &tch::Tensor| Vec::<f32>::try_from(t.narrow(0, 0, 1).contiguous().reshape([-1])).unwrap();
        let reference = window::reference(&ops, &config, &ops.tensor(from, &values(&batch.reference)));
        let sound = batch.sound.as_ref().map(|s| ops.tensor(sound, &values(s)));
        assert_eq!(sound.is_some(), kind == Kind::Mouth);
        let target = ops.tensor(to, &values(&batch.target));
        let got = ops.values(&window::forward(&ops, &config, &reference, &target, sound.as_ref()).image);
        let apart = wanted.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 2e-3, "{kind:?}: {apart}");
        checkpoints.push(trainer.checkpoint().unwrap());
        parts.push((kind, weights));
    }
    // By a checkpoint or by weights, the same pack.
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name).join("windows"));
    let size = export::export_pack(&checkpoints, &one, "MIT").unwrap();
    assert_eq!(export::write(parts, &two, "MIT").unwrap(), size);
    for pack in [one, two] {
        let networks = WindowNetworks::load(&ModelSet::from_folders(&[pack])).unwrap().unwrap();
        assert_eq!((networks.blake3.len(), networks.licence.as_str()), (2, "MIT"));
        assert!(networks.takes_audio());
    }
    assert!(
        export::export_pack(&[checkpoints.remove(0), checkpoints.remove(0)], &folder.path().join("No"), "").is_err()
    );
}
