//! The network from sound to lips: a run goes on to the bit, learns, and its pack says on the embedded engine what the trainer computed.

use headgan::audio::Sound;
use headgan::audio::lips::SoundLips;
use headgan::audio::mel::MelSpectra;
use headgan::engine::cpu;
use headgan::models::ModelSet;
use headgan::random::Rng;
use headgan_train::checkpoint::{self, Checkpoint};
use headgan_train::lips::export::export_pack;
use headgan_train::lips::measure::measure;
use headgan_train::lips::run::{Settings, run};
use headgan_train::lips::store::{ClipNote, SHAPES, SpokenClip, path};
use std::path::Path;
use tch::{Device, Tensor};

/// Somebody whose lips are as far apart as a tone is loud.
fn clip(person: usize, held: bool) -> SpokenClip {
    let mut rng = Rng(person as u64 + 5);
    let frames = 75;
    let open: Vec<f32> = (0..frames).map(|_| rng.unit() as f32).collect();
    let open: Vec<f32> = (0..frames).map(|i| 0.12 * open[i / 4 * 4] * f32::from(u8::from(i % 8 < 5))).collect();
    let samples = (0..frames * 640).map(|i| {
        let loud = f64::from(open[i / 640]);
        4.0 * loud * (0.2 * i as f64).sin()
    });
    let sound = Sound::new(16_000, samples.collect()).unwrap();
    let note = ClipNote {
        name: format!("c{person}"),
        person: format!("p{person}"),
        held,
        clean: true,
        fps: 25.0,
        agreement: 1.0,
        rejected: None,
    };
    SpokenClip {
        note,
        spectra: MelSpectra::of(&sound).unwrap(),
        shapes: open.iter().map(|o| [2.0 * o; SHAPES]).collect(),
        gap: open,
        confidence: vec![1.0; frames],
    }
}

fn train(data: &Path, folder: &Path, steps: u64) {
    let settings = Settings {
        data,
        run: folder,
        steps,
        batch: 8,
        rate: 3e-3,
        seed: 2,
        width: 12,
        keep_apart: 0,
        part: 0,
        clean: true,
        // After every step.
        checkpoint_minutes: 0.0,
        device: Device::Cpu,
        quiet: true,
    };
    run(&settings).unwrap();
}

#[test]
fn a_run_goes_on_to_the_bit_and_its_pack_follows() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    let (data, one) = (dir.path().join("data"), dir.path().join("one"));
    std::fs::create_dir_all(&data).unwrap();
    for person in 0..5 {
        let clip = clip(person, person == 4);
        clip.save(&path(&data, &clip.note.name)).unwrap();
    }
    train(&data, &one, 4);
    let place = |step: u64| checkpoint::path_of(&one.join("checkpoints"), step);
    let state = || {
        let Checkpoint { tensors, metadata } = Checkpoint::load(&place(4), Device::Cpu).unwrap();
        let bits = |t: &Tensor| Vec::<f32>::try_from(t.reshape([-1])).unwrap().into_iter().map(f32::to_bits).collect();
        (tensors.iter().map(|(name, t)| (name.clone(), bits(t))).collect::<Vec<(String, Vec<u32>)>>(), metadata)
    };
    let whole = state();
    // As if it had been killed after the third step.
    std::fs::remove_file(place(4)).unwrap();
    train(&data, &one, 4);
    assert!(state() == whole);

    let long = dir.path().join("long");
    train(&data, &long, 160);
    let newest = checkpoint::newest(&long.join("checkpoints"), Device::Cpu).unwrap().unwrap();
    let pack = dir.path().join("own-lips");
    assert!(export_pack(&newest, 1.0, &pack, "MIT").unwrap() > 1000);
    let models = ModelSet::discover(std::slice::from_ref(&pack));
    let lips = SoundLips::load(&models, &cpu::Options::default()).unwrap();
    let held = clip(4, true);
    let figures = measure(&lips, &[&held]).unwrap();
    assert!(figures[0].by_sound > 0.6 && figures[0].in_silence.abs() < 0.3, "{figures:?}");
    let refused = export_pack(&newest, 1.0, &dir.path().join("Not A Name"), "MIT").unwrap_err().to_string();
    assert!(refused.contains("cannot be the name"), "{refused}");
}
