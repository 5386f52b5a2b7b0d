//! What is exported is what was trained, in half precision, and the program loads it.

mod common;

use common::{SIDE, batch, config, trainer};
use headgan::engine::{Executor, Ops, cpu};
use headgan::models::pack::ModelSet;
use headgan::nets::generator;
use headgan::reenact::engine::{Engine, Place};
use headgan::reenact::networks::Generator;
use headgan_train::config::Precision;
use headgan_train::export::{export, export_pack};
use tch::{Kind, Tensor};

#[test]
fn an_exported_generator_paints_what_the_averaged_one_paints() {
    let mut trainer = trainer(config(Precision::Fp32, 2));
    for step in 0..4 {
        trainer.learn(&batch(step, Kind::Float));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let bytes = export(&trainer.checkpoint().unwrap(), &path).unwrap();
    assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());

    let models = ModelSet::from_folders(&[]);
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    let loaded = Generator::load(&models, None, path.to_str(), &Place::Embedded, &options).unwrap();
    assert_eq!(loaded.config, trainer.config.generator);

    let Engine::Embedded(ops) = &loaded.engine else { panic!("another engine") };
    let batch = batch(9, Kind::Float);
    let ours = trainer.show(&batch).image;
    let values = |t: &Tensor| Vec::<f32>::try_from(t.contiguous().reshape([-1])).unwrap();
    let n = batch.reference.size()[0] as usize;
    let side = SIDE as usize;
    let input = |t: &Tensor, channels: usize| ops.tensor([n, channels, side, side], &values(t));
    let shot = generator::reference(&**ops, &loaded.config, &input(&batch.reference, 6));
    let prior = input(&batch.prior, 2);
    let out = generator::forward(&**ops, &loaded.config, &shot, &input(&batch.pncc, 9), None, Some(&prior));
    // The change of the reference under the mesh's flow goes onto Draft's picture.
    let moved = ops.values(&ops.warp(&shot.rgb, &prior));
    let changes = ops.values(&out.image).into_iter().zip(moved).map(|(image, moved)| image - moved);
    let theirs = changes.zip(values(&batch.draft)).map(|(change, draft)| draft + change);
    let off = theirs.zip(values(&ours)).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
    assert!(off < 5e-3, "{off}");

    // The same as a pack, found as packs are.
    let packs = folder.path().join("packs");
    let checkpoint = trainer.checkpoint().unwrap();
    export_pack(&checkpoint, &packs.join("mine"), "for tests").unwrap();
    let models = ModelSet::from_folders(std::slice::from_ref(&packs));
    let found = Generator::load(&models, None, None, &Place::Embedded, &options).unwrap();
    assert_eq!(found.config, loaded.config);
    let refused = export_pack(&checkpoint, &packs.join("My Pack"), "").unwrap_err().to_string();
    assert!(refused.contains("'My Pack' cannot be the name"), "{refused}");
    assert!(!packs.join("My Pack").exists());
}
