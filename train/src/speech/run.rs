//! A training run: a folder with `config.json`, `log.jsonl` (a line a step), `validation.jsonl` and `checkpoints/`.

use super::batches::Epochs;
use super::config::SpeechConfig;
use super::data::{LONGEST, SpeechDataSet};
use super::measure;
use super::trainer::Trainer;
use crate::checkpoint::{self, Checkpoint};
use crate::run::{RunFolder, Trainable, log_line};
use headgan::{Error, Result};
use serde_json::json;
use std::path::Path;
use std::time::Instant;
use tch::Device;

/// What [`run`] needs.
pub struct Settings<'a> {
    pub config: SpeechConfig,
    pub data: &'a Path,
    pub run: &'a Path,
    pub device: Device,
    /// Stops after so many steps of this call.
    pub steps: Option<u64>,
    pub quiet: bool,
}

/// Trains until the configuration's steps are done, or `settings.steps`, or Ctrl-C; goes on where the folder's newest checkpoint was
/// written.
///
/// # Errors
/// [`Error::Interrupted`] after Ctrl-C, with everything saved; [`Error::Input`] where the disk is full or data are missing.
pub fn run(settings: &Settings) -> Result<()> {
    let Settings { config, device, .. } = settings;
    let folder = RunFolder::create(settings.run, config)?;
    let data = SpeechDataSet::open(settings.data)?;
    if !settings.quiet {
        let held: Vec<String> = data.held_out.iter().map(|(set, of)| format!("{set} {}", of.len())).collect();
        let seconds: f64 = data.train.iter().filter_map(|one| one.seconds).sum();
        eprintln!(
            "headgan-train: {} sounds to train on, {:.1} hours, of at most {LONGEST} s; held out: {}",
            data.train.len(),
            seconds / 3600.0,
            if held.is_empty() { "nothing".into() } else { held.join(", ") }
        );
    }
    let mut trainer = Trainer::new(config.clone(), *device)?;
    if let Some(checkpoint) = checkpoint::newest(&folder.checkpoints(), *device)? {
        trainer.restore(&checkpoint)?;
    }
    let begun = trainer.step;
    for name in ["log.jsonl", "validation.jsonl"] {
        folder.truncate_log(name, begun + 1)?;
    }
    let end = config.steps.min(settings.steps.map_or(u64::MAX, |n| begun + n));
    let (mut epochs, mut validated) = (Epochs::default(), Instant::now());
    folder.train(&mut trainer, end, config.checkpoint_minutes, |trainer| {
        if validated.elapsed().as_secs_f64() >= 60.0 * config.validation_minutes {
            validate(trainer, &data, &folder)?;
            validated = Instant::now();
        }
        let started = Instant::now();
        let batch = epochs.batch(&data, config, trainer.step, *device)?;
        let loading = started.elapsed().as_secs_f64();
        let record = trainer.train_step(&batch);
        let mut line = log_line(&record)?;
        line["loading"] = loading.into();
        if !settings.quiet && (trainer.step.is_multiple_of(25) || trainer.step == begun + 1) {
            eprintln!(
                "step {}: ctc {:.3}, timing {:.3}; {:.2} s + {loading:.2} s loading for {:.0} s of sound; {} skipped",
                record.step, record.ctc, record.timing, record.seconds, record.sound, trainer.skipped
            );
        }
        Ok(line)
    })?;
    validate(&trainer, &data, &folder)
}

impl Trainable for Trainer {
    fn step(&self) -> u64 {
        self.step
    }
    fn checkpoint(&self) -> Result<Checkpoint> {
        Trainer::checkpoint(self)
    }
}

/// Figures of some sounds of each held-out set.
fn validate(trainer: &Trainer, data: &SpeechDataSet, folder: &RunFolder) -> Result<()> {
    if data.held_out.is_empty() {
        return Ok(());
    }
    let model = measure::model(&trainer.config, trainer.weights()?)?;
    let mut line = json!({"step": trainer.step});
    let mut says = Vec::new();
    for (set, utterances) in &data.held_out {
        let some = &utterances[..utterances.len().min(trainer.config.validation_sounds)];
        if some.is_empty() {
            continue;
        }
        let figures = measure::measure(&model, data, some, false)?.0;
        says.push(format!(
            "{set} {:.1} % wrong, {:.0} ms from the letters' times",
            100.0 * figures.error_rate,
            1000.0 * figures.onset_error
        ));
        line[set] =
            serde_json::to_value(&figures).map_err(|e| Error::engine(format!("validation: {e}")).with_source(e))?;
    }
    folder.log("validation.jsonl", &line)?;
    eprintln!("step {}: held out: {}", trainer.step, says.join("; "));
    Ok(())
}
