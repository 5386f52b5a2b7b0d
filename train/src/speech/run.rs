//! A training run: a folder with `config.json`, `log.jsonl` (a line a step), `validation.jsonl` and `checkpoints/`.

use super::batches::Rounds;
use super::config::SpeechConfig;
use super::data::{LONGEST, Speech};
use super::measure;
use super::trainer::Trainer;
use crate::checkpoint;
use crate::data::store::write_text;
use crate::run::append;
use headgan::media::interrupt;
use headgan::{Error, Result};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
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
    let Settings { config, run, device, .. } = settings;
    let checkpoints = run.join("checkpoints");
    std::fs::create_dir_all(&checkpoints)
        .map_err(|e| Error::Input(format!("{}: cannot be made ({e})", checkpoints.display())))?;
    let data = Speech::open(settings.data)?;
    let text = serde_json::to_string_pretty(config).map_err(|e| Error::Engine(format!("config.json: {e}")))?;
    write_text(&run.join("config.json"), &text)?;
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
    if let Some(checkpoint) = checkpoint::newest(&checkpoints, *device)? {
        trainer.restore(&checkpoint)?;
    }
    let begun = trainer.step;
    for name in ["log.jsonl", "validation.jsonl"] {
        cut(&run.join(name), begun)?;
    }
    let mut log = append(&run.join("log.jsonl"))?;
    let minutes = |m: f64| Duration::from_secs_f64(60.0 * m);
    let (mut saved, mut validated) = (Instant::now(), Instant::now());
    let save = |trainer: &Trainer| -> Result<()> {
        checkpoint::write(&checkpoints, trainer.step, &trainer.checkpoint()?).map(drop)
    };
    let end = config.steps.min(settings.steps.map_or(u64::MAX, |n| begun + n));
    let mut rounds = Rounds::default();
    let mut outcome = Ok(());
    while trainer.step < end {
        if let Err(stop) = interrupt::check() {
            outcome = Err(stop);
            break;
        }
        let started = Instant::now();
        let batch = rounds.batch(&data, config, trainer.step, *device)?;
        let loading = started.elapsed().as_secs_f64();
        let record = trainer.learn(&batch);
        let mut line = serde_json::to_value(&record).map_err(|e| Error::Engine(format!("log: {e}")))?;
        line["loading"] = loading.into();
        writeln!(log, "{line}").map_err(|e| Error::Input(format!("log.jsonl: cannot be written ({e})")))?;
        if !settings.quiet && (trainer.step.is_multiple_of(25) || trainer.step == begun + 1) {
            eprintln!(
                "step {}: ctc {:.3}, timing {:.3}; {:.2} s + {loading:.2} s loading for {:.0} s of sound; {} skipped",
                record.step, record.ctc, record.timing, record.seconds, record.sound, trainer.skipped
            );
        }
        if saved.elapsed() >= minutes(config.checkpoint_minutes) {
            save(&trainer)?;
            saved = Instant::now();
        }
        if validated.elapsed() >= minutes(config.validation_minutes) {
            validate(&trainer, &data, run)?;
            validated = Instant::now();
        }
    }
    save(&trainer)?;
    outcome?;
    validate(&trainer, &data, run)
}

/// Figures of some sounds of each held-out set.
fn validate(trainer: &Trainer, data: &Speech, run: &Path) -> Result<()> {
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
        let figures = measure::measure(&model, data, some)?.0;
        says.push(format!(
            "{set} {:.1} % wrong, {:.0} ms from the letters' times",
            100.0 * figures.error_rate,
            1000.0 * figures.onset_error
        ));
        line[set] = serde_json::to_value(&figures).map_err(|e| Error::Engine(format!("validation: {e}")))?;
    }
    let mut file = append(&run.join("validation.jsonl"))?;
    writeln!(file, "{line}").map_err(|e| Error::Input(format!("validation.jsonl: cannot be written ({e})")))?;
    eprintln!("step {}: held out: {}", trainer.step, says.join("; "));
    Ok(())
}

/// Leaves out of a log what comes behind a step: it is done again.
fn cut(path: &Path, until: u64) -> Result<()> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(()) };
    let before = |line: &&str| {
        let value: Option<Value> = serde_json::from_str(line).ok();
        value.and_then(|v| v["step"].as_u64()).is_some_and(|step| step <= until)
    };
    let kept: String = text.lines().filter(before).flat_map(|line| [line, "\n"]).collect();
    write_text(path, &kept)
}
