//! What is exported is what was trained, in half precision, and the program loads it.

mod common;

use common::{SIDE, batch, config, trainer};
use headgan::engine::{Executor, Ops, cpu};
use headgan::models::ModelSet;
use headgan::nets::generator;
use headgan::reenact::backend::{Backend, Engine};
use headgan::reenact::generator::Generator;
use headgan_train::config::{Learn, Precision, TrainConfig};
use headgan_train::export::{export, export_pack};
use headgan_train::trainer::Trainer;
use tch::{Device, Kind, Tensor};

#[test]
fn an_exported_generator_paints_what_the_averaged_one_paints() {
    let mut trainer = trainer(config(Precision::Fp32, 2));
    for step in 0..4 {
        trainer.train_step(&batch(step, Kind::Float));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let bytes = export(&trainer.checkpoint().unwrap(), &path).unwrap();
    assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());

    let models = ModelSet::from_folders(&[]);
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    let loaded = Generator::load(&models, None, path.to_str(), &Backend::Embedded, &options).unwrap();
    assert_eq!(loaded.config, trainer.config.generator);

    let Engine::Embedded(ops) = &loaded.engine else { panic!("another engine") };
    let batch = batch(9, Kind::Float);
    let ours = trainer.infer(&batch).image;
    let values = |t: &Tensor| Vec::<f32>::try_from(t.contiguous().reshape([-1])).unwrap();
    let n = batch.reference.size()[0] as usize;
    let side = SIDE as usize;
    let input = |t: &Tensor, channels: usize| ops.tensor([n, channels, side, side], &values(t));
    let shot = generator::reference(&**ops, &loaded.config, &input(&batch.reference, 6));
    let prior = input(&batch.prior, 2);
    let out = generator::forward(&**ops, &loaded.config, &shot, &input(&batch.pncc, 9), None, Some(&prior));
    // The change of the reference under the mesh's flow goes onto Draft's picture.
    let jitter_crop = ops.values(&ops.warp(&shot.rgb, &prior));
    let changes = ops.values(&out.image).into_iter().zip(jitter_crop).map(|(image, jitter_crop)| image - jitter_crop);
    let theirs = changes.zip(values(&batch.draft)).map(|(change, draft)| draft + change);
    let off = theirs.zip(values(&ours)).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
    assert!(off < 5e-3, "{off}");

    // The same as a pack, found as packs are.
    let packs = folder.path().join("packs");
    let checkpoint = trainer.checkpoint().unwrap();
    export_pack(&checkpoint, &packs.join("mine"), "for tests").unwrap();
    let models = ModelSet::from_folders(std::slice::from_ref(&packs));
    let found = Generator::load(&models, None, None, &Backend::Embedded, &options).unwrap();
    assert_eq!(found.config, loaded.config);
    let refused = export_pack(&checkpoint, &packs.join("My Pack"), "").unwrap_err().to_string();
    assert!(refused.contains("'My Pack' cannot be the name"), "{refused}");
    assert!(!packs.join("My Pack").exists());
}

/// A run that begins with an exported generator and teaches it what is heard, leaves everything else as it is.
#[test]
fn sound_alone_is_learned_by_a_finished_generator() {
    let listening = |mut config: TrainConfig| {
        config.generator.audio = 300;
        config
    };
    let mut first = trainer(listening(config(Precision::Fp32, 100)));
    first.train_step(&batch(0, Kind::Float));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("first.safetensors");
    export(&first.checkpoint().unwrap(), &path).unwrap();

    let mut config = listening(config(Precision::Fp32, 100));
    config.generator.sound_at_mouth = true;
    (config.start, config.learn) = (Some(path.clone()), Learn::Sound);
    let mut second = trainer(config.clone());
    let seen = batch(3, Kind::Float);
    let off = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    // At first it is the other one in silence.
    let mut silent = batch(3, Kind::Float);
    silent.sound = silent.sound.zeros_like();
    let before = second.infer(&seen).image;
    assert!(off(&before, &first.infer(&silent).image) < 5e-3);
    let weights = |t: &Trainer| t.weights().iter().map(|(n, w)| (n.clone(), w.detach().copy())).collect::<Vec<_>>();
    let kept = weights(&second);
    for step in 0..3 {
        assert!(!second.train_step(&batch(step, Kind::Float)).skipped);
    }
    for ((name, old), (_, new)) in kept.iter().zip(&weights(&second)) {
        let learns = name.contains("cond_dec_audio") && name.ends_with("fc.weight");
        assert_eq!(off(old, new) > 0.0, learns, "{name}");
    }
    let ago = second.checkpoint().unwrap();
    let mut third = trainer(config.clone());
    third.restore(&ago).unwrap();
    assert_eq!(off(&third.infer(&seen).image, &second.infer(&seen).image), 0.0);

    config.generator.ngf = 3;
    let refused = Trainer::new(config, None, Device::Cpu).err().unwrap().to_string();
    assert!(refused.contains("first.safetensors") && refused.contains("has shape"), "{refused}");
}
