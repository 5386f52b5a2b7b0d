//! The second look of the regressor: a run of the repository's own pack goes on to the bit, and the pack that it makes
//! changes blinks and nothing else.

use headgan::engine::{Embedded, cpu};
use headgan::face::lids::Lids;
use headgan::face::regress::{self, Regressor};
use headgan::frame::Rect;
use headgan::models::{ModelSet, Pack, Role};
use headgan::morphable::arrays::morphable_from;
use headgan::morphable::{Fit, Morphable};
use headgan::nets::mobilenet::Config;
use headgan_train::checkpoint::{self, Checkpoint};
use headgan_train::lids::{export, run};
use headgan_train::regressor::export::of_pack;
use headgan_train::regressor::heads::SyntheticHeads;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};

fn starter_face() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/starter-face")
}

fn fitting(pack: &Pack) -> (Regressor<Embedded>, Morphable) {
    let load = |role| pack.load(pack.component(role, None).unwrap(), headgan::import::check).unwrap();
    let (weights, model) = (load(Role::Regressor), morphable_from(&load(Role::Morphable)).unwrap());
    let config = regress::check(&weights).unwrap();
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    (Regressor::new(Embedded::new(weights, &options), config, &model).unwrap(), model)
}

fn train(pack: &Pack, folder: &Path, steps: u64) {
    let (weights, model, blake3) = of_pack(pack).unwrap();
    let config = Config { lids: false, ..regress::check(&weights).unwrap() };
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    let regressor = Regressor::new(Embedded::new(weights, &options), config, &model).unwrap();
    let settings = run::Settings {
        pack: "starter-face",
        regressor: &blake3,
        run: folder,
        steps,
        batch: 6,
        rate: 1e-3,
        seed: 5,
        heads: 72,
        views: 1,
        // After every step.
        checkpoint_minutes: 0.0,
        threads: 2,
        device: Device::Cpu,
        quiet: true,
    };
    run::run(&settings, &regressor, &model).unwrap();
}

#[test]
fn a_run_goes_on_and_its_pack_closes_eyes() {
    let source = Pack::open(&starter_face()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    tch::set_num_threads(1);
    train(&source, &one, 3);
    let made = || std::fs::metadata(one.join("heads.safetensors")).unwrap().modified().unwrap();
    let first = made();
    train(&source, &one, 6);
    assert_eq!(made(), first, "examples are made once");
    let newest = |run: &Path| checkpoint::newest(&run.join("checkpoints"), Device::Cpu).unwrap().unwrap();
    assert_eq!(newest(&one).number("step").unwrap(), 6);
    for file in ["config.json", "log.jsonl", "validation.jsonl", "examples.png"] {
        assert!(one.join(file).exists(), "{file}");
    }

    let target = folder.path().join("with-lids");
    let size = export::export_pack(&source, &newest(&one), &target).unwrap();
    assert_eq!(size, std::fs::metadata(target.join("regressor.safetensors")).unwrap().len());
    let models = ModelSet::discover(std::slice::from_ref(&target));
    let pack = models.pack("with-lids").unwrap();
    assert_eq!(pack.component(Role::Regressor, None).unwrap().config["lids"], true);
    let kept = |role| (source.component(role, None).unwrap(), pack.component(role, None).unwrap());
    for (a, b) in [kept(Role::Detector), kept(Role::Morphable)] {
        assert_eq!((&a.blake3, &a.config), (&b.blake3, &b.config));
    }
    let ((before, model), (after, _)) = (fitting(&source), fitting(pack));
    let sample = SyntheticHeads::new(77).next().unwrap();
    let (near, far) = (23.0, 137.0);
    let roi = Rect { x0: near, y0: near, x1: far, y1: far };
    let fit = |regressor: &Regressor<Embedded>| -> Fit { regressor.regress(&sample.picture, &roi).unwrap() };
    let (first, mut second) = (fit(&before), fit(&after));
    let lids = Lids::new(&model).unwrap();
    assert_ne!(lids.closed(&first.params.expr), lids.closed(&second.params.expr));
    lids.set(&mut second.params.expr, lids.closed(&first.params.expr));
    assert_eq!(first, second);

    // Lids that another regressor taught are refused.
    let mut stranger = newest(&one);
    stranger.metadata.insert("regressor".into(), "another".into());
    let refused = export::export_pack(&source, &stranger, &folder.path().join("wrong")).unwrap_err().to_string();
    assert!(refused.contains("another regressor"), "{refused}");

    // Once more from the pack that has lids: they are replaced. Onto itself it is refused.
    let again = folder.path().join("again");
    export::export_pack(pack, &newest(&one), &again).unwrap();
    let weights = |pack: &Pack| of_pack(pack).unwrap().0;
    let (first, second) = (weights(pack), weights(&Pack::open(&again).unwrap()));
    assert!(first.arrays == second.arrays && first.metadata == second.metadata);
    let refused = export::export_pack(pack, &newest(&one), &target).unwrap_err().to_string();
    assert!(refused.contains("another folder"), "{refused}");
    let refused = export::export_pack(pack, &newest(&one), &folder.path().join("Not A Name")).unwrap_err().to_string();
    assert!(refused.contains("cannot be the name"), "{refused}");
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_bit() {
    let source = Pack::open(&starter_face()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    tch::set_num_threads(1);
    train(&source, folder.path(), 4);
    let place = |step: u64| folder.path().join(format!("checkpoints/step_{step:08}.safetensors"));
    let log = || std::fs::read_to_string(folder.path().join("log.jsonl")).unwrap();
    let state = || {
        let Checkpoint { tensors, metadata } = Checkpoint::load(&place(4), Device::Cpu).unwrap();
        let bits = |t: &Tensor| Vec::<f32>::try_from(t.reshape([-1])).unwrap().into_iter().map(f32::to_bits).collect();
        (tensors.iter().map(|(name, t)| (name.clone(), bits(t))).collect::<Vec<(String, Vec<u32>)>>(), metadata)
    };
    let (whole, lines) = (state(), log());
    // As if it had been killed after the third step.
    std::fs::remove_file(place(4)).unwrap();
    train(&source, folder.path(), 4);
    assert!(state() == whole);
    assert_eq!(log(), lines);
}
