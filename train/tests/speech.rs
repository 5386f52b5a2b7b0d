//! Acoustic models: a run resumes to the bit, batch norms learn their averages, and what is exported is heard alike by the trainer and
//! by the program.

use headgan::audio::Sound;
use headgan::audio::speech::{Decoder, Speech};
use headgan::engine::cpu;
use headgan::models::{Architecture, ModelSet, Role};
use headgan::random::Rng;
use headgan::synthetic::sound::wav;
use headgan_train::checkpoint;
use headgan_train::speech::batches::Epochs;
use headgan_train::speech::data::{MANIFEST, SpeechDataSet};
use headgan_train::speech::trainer::Trainer;
use headgan_train::speech::{SpeechConfig, export, measure, run};
use std::path::Path;
use tch::Device;

/// Tones that stand for letters, and when.
const TONES: [(char, f64); 3] = [('A', 400.0), ('B', 1_100.0), ('C', 2_900.0)];
/// Seconds of a tone.
const TONE: f64 = 0.18;

fn config() -> SpeechConfig {
    SpeechConfig {
        channels: 4,
        hidden: 24,
        batch: 4,
        steps: 120,
        warm_up: 10,
        rate: 6e-3,
        timing: 1.0,
        validation_minutes: 1e4,
        ..SpeechConfig::default()
    }
}

/// Words of three tones, each another than the one before, in some noise.
fn tones(folder: &Path, count: usize) {
    let (mut manifest, mut rng) = (String::new(), Rng(5));
    for i in 0..count {
        let mut at = rng.below(3);
        let word: [(char, f64); 3] = std::array::from_fn(|_| {
            at = (at + 1 + rng.below(2)) % 3;
            TONES[at]
        });
        let mut samples = vec![0.0f32; 10_400];
        let (mut text, mut onsets) = (String::new(), Vec::new());
        for (k, (letter, hertz)) in word.iter().enumerate() {
            let first = 0.05 + TONE * k as f64;
            for n in 0..(16_000.0 * TONE) as usize {
                let t = n as f64 / 16_000.0;
                samples[(16_000.0 * first) as usize + n] = 0.4 * (std::f64::consts::TAU * hertz * t).sin() as f32;
            }
            text.push(*letter);
            onsets.push(first);
        }
        samples.iter_mut().for_each(|v| *v += 0.01 * rng.signed());
        std::fs::write(folder.join(format!("{i}.wav")), wav(&samples)).unwrap();
        let set = if i < 4 { "held" } else { "train" };
        let line = serde_json::json!({"sound": format!("{i}.wav"), "text": text, "set": set, "onsets": onsets});
        manifest += &format!("{line}\n");
    }
    std::fs::write(folder.join(MANIFEST), manifest).unwrap();
}

/// It learns tones it has not heard in this order, says roughly when they begin (a tone lasts 0.18 s), and a pack of it hears the same on the embedded engine.
#[test]
fn learns_exports_and_is_heard_alike() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("run"));
    std::fs::create_dir(&data).unwrap();
    tones(&data, 24);
    let settings =
        run::Settings { config: config(), data: &data, run: &out, device: Device::Cpu, steps: None, quiet: true };
    run::run(&settings).unwrap();
    let checkpoint = checkpoint::newest(&out.join("checkpoints"), Device::Cpu).unwrap().unwrap();
    assert!(export::is_speech(&checkpoint));

    let data = SpeechDataSet::open(&data).unwrap();
    let (config, weights) = export::read(&checkpoint).unwrap();
    let trained = measure::model(&config, weights).unwrap();
    let (figures, _) = measure::measure(&trained, &data, &data.held_out["held"], false).unwrap();
    assert!(figures.error_rate < 0.2 && figures.timed > 8 && figures.onset_error < 0.12, "{figures:?}");

    let pack = folder.path().join("packs/tones");
    let size = export::export_pack(&checkpoint, &pack, "none").unwrap();
    assert_eq!(size, std::fs::metadata(pack.join("speech.safetensors")).unwrap().len());
    let models = ModelSet::from_folders(&[folder.path().join("packs")]);
    assert_eq!(models.find(Role::Speech, None, None).unwrap().1.architecture, Architecture::DeepSpeech2);
    let loaded = Speech::load(&models, None, &cpu::Options::default()).unwrap();
    for one in &data.held_out["held"] {
        let sound: Sound = data.sound(one).unwrap();
        let (here, there) = (trained.emissions(&sound).unwrap(), loaded.emissions(&sound).unwrap());
        // Half precision is all that lies between them; of what neither expects the logarithm says little.
        let apart = |(a, b): (&f32, &f32)| (a.exp() - b.exp()).abs();
        let far = here.values().iter().zip(there.values()).map(apart).fold(0.0, f32::max);
        assert!(far < 0.03, "{far}");
        assert_eq!(loaded.characters(&there, Decoder::Greedy).len(), loaded.characters(&here, Decoder::Greedy).len());
    }
    assert!(export::export_pack(&checkpoint, Path::new("/tmp/No Pack"), "none").is_err());
}

/// Weights and averages after some steps, as bytes.
fn state(run: &Path) -> Vec<u8> {
    let checkpoint = checkpoint::newest(&run.join("checkpoints"), Device::Cpu).unwrap().unwrap();
    headgan::weights::safetensors::to_bytes(&export::read(&checkpoint).unwrap().1).unwrap()
}

#[test]
fn a_run_that_is_resumed_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    tones(&data, 14);
    let go = |name: &str, steps: Option<u64>| {
        let out = folder.path().join(name);
        let config = SpeechConfig { steps: 6, ..config() };
        run::run(&run::Settings { config, data: &data, run: &out, device: Device::Cpu, steps, quiet: true }).unwrap();
        state(&out)
    };
    let whole = go("whole", None);
    let half = go("halves", Some(3));
    assert!(whole != half);
    assert!(whole == go("halves", None), "3 steps and 3 are 6");
    let log = std::fs::read_to_string(folder.path().join("halves/log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 6);
    // Another network's checkpoint is refused.
    let config = SpeechConfig { hidden: 16, ..config() };
    let out = folder.path().join("whole");
    let error =
        run::run(&run::Settings { config, data: &data, run: &out, device: Device::Cpu, steps: None, quiet: true });
    assert!(error.unwrap_err().to_string().contains("another network"));
}

/// After many looks at one batch the running averages are that batch's statistics: the network says of it, as a program runs it,
/// what it says in training.
#[test]
fn averages_become_the_statistics() {
    let folder = tempfile::tempdir().unwrap();
    tones(folder.path(), 8);
    let data = SpeechDataSet::open(folder.path()).unwrap();
    let config = SpeechConfig { rate: 1e-9, momentum: 0.5, ..config() };
    let batch = Epochs::default().batch(&data, &config, 0, Device::Cpu).unwrap();
    let mut trainer = Trainer::new(config.clone(), Device::Cpu).unwrap();
    let before = trainer.train_step(&batch).ctc;
    for _ in 0..60 {
        trainer.train_step(&batch);
    }
    let after = trainer.train_step(&batch).ctc;
    assert!((before - after).abs() < 1e-3, "a rate of nothing teaches nothing: {before} {after}");
    let as_run = trainer.loss_as_run(&batch).unwrap();
    // Statistics of a batch divide by n, running averages by n - 1.
    assert!((as_run - after).abs() < 1e-2 * after, "{as_run} {after}");
    let fresh = Trainer::new(config, Device::Cpu).unwrap().loss_as_run(&batch).unwrap();
    assert!(
        (fresh - after).abs() > 4.0 * (as_run - after).abs(),
        "averages that know nothing: {fresh} {as_run} {after}"
    );
}
