//! Runs that stop: exact resume, steps that are no numbers, checkpoints that cannot be written.

mod common;

use common::{batch, config, trainer};
use headgan_train::checkpoint::{self, Checkpoint};
use headgan_train::config::Precision;
use headgan_train::trainer::Trainer;
use std::path::Path;
use tch::{Device, Kind};

/// Every bit of a run's state.
fn state(trainer: &Trainer) -> Vec<(String, Vec<f32>)> {
    let checkpoint = trainer.checkpoint().unwrap();
    let values = |t: &tch::Tensor| Vec::<f32>::try_from(t.contiguous().reshape([-1])).unwrap();
    checkpoint.tensors.iter().map(|(name, t)| (name.clone(), values(t))).collect()
}

fn run(trainer: &mut Trainer, steps: u64) {
    for _ in 0..steps {
        let record = trainer.train_step(&batch(trainer.step, Kind::Float));
        assert!(!record.skipped, "{record:?}");
    }
}

/// 20 steps are 10 steps, a checkpoint, another process's state, and 10 steps: to the bit, across the discriminators'
/// joining.
#[test]
fn twenty_steps_are_ten_and_ten() {
    let config = config(Precision::Fp32, 6);
    let mut whole = trainer(config.clone());
    run(&mut whole, 20);

    let folder = tempfile::tempdir().unwrap();
    let mut first = trainer(config.clone());
    run(&mut first, 10);
    checkpoint::write(folder.path(), first.step, &first.checkpoint().unwrap()).unwrap();
    drop(first);
    let mut second = trainer(config.clone());
    second.restore(&checkpoint::newest(folder.path(), Device::Cpu).unwrap().unwrap()).unwrap();
    assert_eq!(second.step, 10);
    run(&mut second, 10);
    assert_eq!(state(&whole), state(&second));
    // And something was learned.
    assert!(state(&whole) != state(&trainer(config)));
}

#[test]
fn a_step_that_is_no_number_is_skipped_and_counted() {
    let mut trainer = trainer(config(Precision::Fp32, 0));
    run(&mut trainer, 2);
    let before = state(&trainer);
    let mut bad = batch(2, Kind::Float);
    bad.target = &bad.target * f64::NAN;
    let record = trainer.train_step(&bad);
    assert!(record.skipped && trainer.skipped == 1 && trainer.step == 3);
    let jitter_crop = |name: &str| !name.contains("_vectors");
    let pick = |all: Vec<(String, Vec<f32>)>| all.into_iter().filter(|(n, _)| jitter_crop(n)).collect::<Vec<_>>();
    assert_eq!(pick(before), pick(state(&trainer)));
    run(&mut trainer, 1);
    assert_eq!(trainer.checkpoint().unwrap().number("skipped").unwrap(), 1);
}

#[test]
fn another_configurations_checkpoint_is_refused() {
    let small = trainer(config(Precision::Fp32, 0));
    let mut other = config(Precision::Fp32, 0);
    other.generator.spade = 8;
    let error = trainer(other).restore(&small.checkpoint().unwrap()).unwrap_err().to_string();
    assert!(error.contains("flow_network"), "{error}");
}

#[test]
fn the_last_two_stay_and_a_damaged_one_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = trainer(config(Precision::Fp32, 0));
    for step in [1, 2, 3] {
        checkpoint::write(folder.path(), step, &trainer.checkpoint().unwrap()).unwrap();
    }
    let files = checkpoint::list(folder.path());
    assert_eq!(files, [3, 2].map(|s| checkpoint::path_of(folder.path(), s)));
    let bytes = std::fs::read(&files[0]).unwrap();
    std::fs::write(&files[0], &bytes[..bytes.len() / 2]).unwrap();
    assert!(Checkpoint::load(&files[0], Device::Cpu).is_err());
    assert!(checkpoint::newest(folder.path(), Device::Cpu).unwrap().is_some());
    std::fs::write(&files[1], b"").unwrap();
    assert!(checkpoint::newest(folder.path(), Device::Cpu).is_err());
    assert!(checkpoint::newest(Path::new("/nonexistent"), Device::Cpu).unwrap().is_none());
}

/// A child that writes one checkpoint after the other is killed at random moments: what lies in its folder can always
/// be read.
#[cfg(unix)]
#[test]
fn a_killed_writer_leaves_the_checkpoint_before() {
    const FOLDER: &str = "HEADGAN_TEST_CHECKPOINTS";
    if let Ok(folder) = std::env::var(FOLDER) {
        let trainer = trainer(config(Precision::Fp32, 0));
        for step in 1.. {
            checkpoint::write(Path::new(&folder), step, &trainer.checkpoint().unwrap()).unwrap();
        }
    }
    let this = std::env::current_exe().unwrap();
    for round in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(&this)
            .args(["a_killed_writer_leaves_the_checkpoint_before", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Once it has begun to write.
        let begun = std::time::Instant::now();
        while checkpoint::list(folder.path()).is_empty() && begun.elapsed().as_secs() < 60 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::thread::sleep(std::time::Duration::from_millis(7 * round + 3));
        child.kill().unwrap();
        child.wait().unwrap();
        let newest = checkpoint::newest(folder.path(), Device::Cpu).unwrap().expect("a checkpoint");
        // The newest by name is whole: none was renamed before it was.
        Checkpoint::load(&checkpoint::list(folder.path())[0], Device::Cpu).unwrap();
        assert!(newest.number("step").is_ok());
    }
}

/// A disk that takes no more (here: a limit on the size of files) is an error with a message; the checkpoint before
/// stays.
#[cfg(unix)]
#[test]
fn a_full_disk_is_a_message_and_the_checkpoint_before_stays() {
    const FOLDER: &str = "HEADGAN_TEST_FULL_DISK";
    if let Ok(folder) = std::env::var(FOLDER) {
        let trainer = trainer(config(Precision::Fp32, 0));
        let error = checkpoint::write(Path::new(&folder), 2, &trainer.checkpoint().unwrap()).unwrap_err();
        assert!(matches!(&error, headgan::Error::Input(t) if t.contains("step_00000002")), "{error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    checkpoint::write(folder.path(), 1, &trainer(config(Precision::Fp32, 0)).checkpoint().unwrap()).unwrap();
    let this = std::env::current_exe().unwrap();
    let script = format!(
        "trap '' XFSZ; ulimit -f 16; exec '{}' a_full_disk_is_a_message_and_the_checkpoint_before_stays --exact",
        this.display()
    );
    let status = std::process::Command::new("sh").args(["-c", &script]).env(FOLDER, folder.path()).output().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
    assert_eq!(checkpoint::list(folder.path()), [checkpoint::path_of(folder.path(), 1)]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a half file is left");
    assert!(checkpoint::newest(folder.path(), Device::Cpu).unwrap().is_some());
}
