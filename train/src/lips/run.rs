//! A run of the network from sound to lips: `config.json`, `log.jsonl`, `validation.jsonl` (how far lips of persons that are kept apart follow) and
//! `checkpoints/` in its folder.

use super::measure::{measure, median};
use super::sample::Batch;
use super::store::{SpokenClip, load_all};
use super::trainer::{Trainer, weights};
use crate::checkpoint;
use crate::run::{RunFolder, Trainable, learning_rate, log_line};
use headgan::audio::lips::SoundLips;
use headgan::engine::{Embedded, cpu};
use headgan::random::Rng;
use headgan::{Error, Result};
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tch::Device;

/// Steps from one validation to the next.
const VALIDATE: u64 = 500;

/// What [`run`] needs.
#[derive(Debug, Clone, Serialize)]
pub struct Settings<'a> {
    pub data: &'a Path,
    pub run: &'a Path,
    pub steps: u64,
    /// Samples of two seconds a step.
    pub batch: usize,
    pub rate: f64,
    pub seed: u64,
    /// Channels of the layers.
    pub width: usize,
    /// Of so many persons one is kept apart to validate on; 0 trains on all that are not held.
    pub keep_apart: usize,
    /// Which one of them.
    pub part: usize,
    /// Only clips whose licence allows commercial use.
    pub clean: bool,
    pub checkpoint_minutes: f64,
    #[serde(skip)]
    pub device: Device,
    #[serde(skip)]
    pub quiet: bool,
}

/// Whether a clip's person is kept apart.
fn apart(clip: &SpokenClip, settings: &Settings) -> bool {
    let number = clip.note.person.bytes().fold(7u64, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(b)));
    settings.keep_apart > 0 && (number % settings.keep_apart as u64) as usize == settings.part
}

/// Trains until `settings.steps`, or Ctrl-C; goes on at the newest checkpoint. What a step sees follows from seed and step.
///
/// # Errors
/// [`Error::Interrupted`] after Ctrl-C, with all steps saved; [`Error::Input`] where the disk is full, data are missing or the run is another
/// network's.
pub fn run(settings: &Settings) -> Result<()> {
    let clips = load_all(settings.data, false)?;
    let usable = clips.iter().filter(|c| !c.note.held && (c.note.clean || !settings.clean));
    let (kept, learned): (Vec<&SpokenClip>, Vec<&SpokenClip>) = usable.partition(|c| apart(c, settings));
    if learned.is_empty() {
        return Err(Error::input(format!("{}: holds no clip to learn from", settings.data.display())));
    }
    let folder = RunFolder::create(settings.run, settings)?;
    let mut trainer = Trainer::new(settings.width, settings.seed, settings.device);
    if let Some(checkpoint) = checkpoint::newest(&folder.checkpoints(), settings.device)? {
        trainer.restore(&checkpoint)?;
    }
    if !settings.quiet {
        let seconds: f64 = learned.iter().map(|c| c.gap.len() as f64 / c.note.fps).sum();
        eprintln!(
            "headgan-train: {} clips, {:.1} minutes; {} kept apart; from step {}",
            learned.len(),
            seconds / 60.0,
            kept.len(),
            trainer.net.step
        );
    }
    let (begun, first) = (Instant::now(), trainer.net.step);
    folder.truncate_log("log.jsonl", first + 1)?;
    folder.truncate_log("validation.jsonl", first + 1)?;
    folder.train(&mut trainer, settings.steps, settings.checkpoint_minutes, |trainer| {
        let step = trainer.net.step;
        let mut rng = Rng::from_parts(&[settings.seed, 17, step]);
        let batch = Batch::draw(&learned, settings.batch, &mut rng, settings.device);
        let record = trainer.train_step(&batch, learning_rate(settings.rate, step, settings.steps));
        let now = trainer.net.step;
        if !kept.is_empty() && (now.is_multiple_of(VALIDATE) || now == settings.steps) {
            let options = cpu::Options { threads: 1, ..cpu::Options::default() };
            let ops = Embedded::new(Arc::new(weights(&trainer.checkpoint()?)?), &options);
            let figures = measure(&SoundLips::new(ops, settings.width), &kept)?;
            let of = |value: &dyn Fn(&super::measure::ClipFigures) -> f64| median(figures.iter().map(value).collect());
            let (r, size) = (of(&|f| f.by_sound), of(&|f| f.size));
            folder.log("validation.jsonl", &json!({"step": now, "correlation": r, "size": size}))?;
            if !settings.quiet {
                let seconds = begun.elapsed().as_secs_f64() / (now - first) as f64;
                eprintln!(
                    "step {now}: loss {:.4}; kept apart: correlation {r:.3}, size {size:.2}; {seconds:.3} s a step; {} skipped",
                    record.losses["total"], trainer.net.skipped
                );
            }
        }
        log_line(&record)
    })
}
