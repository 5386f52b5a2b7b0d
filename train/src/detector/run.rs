//! A run of the detector: `config.json`, `log.jsonl`, `validation.jsonl` (persons held out), `batch.png` (what a step
//! saw, with the boxes that it wants) and `checkpoints/` in its folder.

use super::heads::SyntheticHeads;
use super::labels::{self, LabelledFile};
use super::measure::{EvaluatedDetector, Tally};
use super::picture::{Picture, draw_faces};
use super::scene::{Scene, Sources, compose};
use super::trainer::{Batch, Trainer};
use crate::checkpoint::{self, Checkpoint};
use crate::interrupt;
use crate::run::{RunFolder, Trainable, learning_rate, log_line};
use headgan::Result;
use headgan::frame::{ContactSheet, Frame};
use headgan::media::still::{self, StillOptions};
use headgan::random::Rng;
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};
use tch::Device;

/// Heads that are there before the first step; one more is drawn with every second step.
const FIRST_HEADS: usize = 60;
/// Share of drawn heads among the pictures.
const DRAWN: f64 = 0.3;
/// The side of the square scene that `batch` counts, in pixels.
const SIDE: f64 = 320.0;
/// Sides of square scenes, one of them a step; others have as many pixels. Small ones are many and show many faces, large
/// ones are few and for the faces that only they have room for, whose parts must not pass for faces: they come more often.
const SIDES: [f64; 8] = [160.0, 224.0, 320.0, 320.0, 448.0, 448.0, 608.0, 608.0];
/// Pictures of persons held out that a validation looks at.
const VALIDATED: usize = 80;

/// What [`run`] needs.
#[derive(Debug, Clone, Serialize)]
pub struct Settings<'a> {
    pub labels: &'a Path,
    pub hold_out: Option<&'a Path>,
    pub run: &'a Path,
    pub steps: u64,
    /// Scenes of 320 x 320 pixels a step, or others of as many pixels together.
    pub batch: usize,
    pub rate: f64,
    pub seed: u64,
    /// Heads that are drawn in all.
    pub heads: usize,
    pub checkpoint_minutes: f64,
    pub validation_minutes: f64,
    #[serde(skip)]
    pub device: Device,
    #[serde(skip)]
    pub quiet: bool,
}

/// Trains until `settings.steps`, or Ctrl-C; goes on at the newest checkpoint. What a step sees follows from seed and
/// step.
///
/// # Errors
/// [`headgan::Error::Interrupted`] after Ctrl-C, with everything saved; [`headgan::Error::Input`] where the disk is full or labels are
/// missing; [`headgan::Error::Usage`] where who is held out cannot be told.
pub fn run(settings: &Settings) -> Result<()> {
    let folder = RunFolder::create(settings.run, settings)?;
    let [train, held] = labels::split(settings.labels, settings.hold_out)?;
    let load = |of: &[LabelledFile]| of.iter().map(|l| l.load(settings.labels)).collect::<Result<Vec<_>>>();
    let (photos, held) = (load(&train)?, validation_subset(load(&held)?));
    let mut heads = RenderedHeads { source: SyntheticHeads::new(settings.seed)?, heads: Vec::new() };
    let mut trainer = Trainer::new(settings.seed, settings.device);
    if let Some(checkpoint) = checkpoint::newest(&folder.checkpoints(), settings.device)? {
        trainer.restore(&checkpoint)?;
    }
    if !settings.quiet {
        let n: usize = photos.iter().map(Vec::len).sum();
        eprintln!("headgan-train: {n} pictures of {} files; from step {}", photos.len(), trainer.net.step);
    }
    let first = trainer.net.step;
    folder.truncate_log("log.jsonl", first + 1)?;
    folder.truncate_log("validation.jsonl", first + 1)?;
    let (mut validated, mut spent) = (Instant::now(), [Duration::ZERO; 2]);
    let often = Duration::from_secs_f64(60.0 * settings.validation_minutes.clamp(0.0, 1e6));
    folder.train(&mut trainer, settings.steps, settings.checkpoint_minutes, |trainer| {
        if trainer.net.step > first && validated.elapsed() >= often {
            folder.log("validation.jsonl", &validate(trainer, &held, settings.quiet)?)?;
            validated = Instant::now();
        }
        let step = trainer.net.step;
        let begun = Instant::now();
        heads.grow(settings.heads.min(FIRST_HEADS + step as usize / 2))?;
        let scenes = scenes(settings, &photos, &heads.heads, step);
        if step == first {
            still::write(&folder.file("batch.png"), &sheet(&scenes), &StillOptions::default())?;
        }
        let batch = Batch::collate(&scenes, settings.device);
        spent[0] += begun.elapsed();
        let begun = Instant::now();
        let record = trainer.train_step(&batch, learning_rate(settings.rate, step, settings.steps));
        spent[1] += begun.elapsed();
        if !settings.quiet && (trainer.net.step.is_multiple_of(50) || trainer.net.step == first + 1) {
            let losses: Vec<String> = record.losses.iter().map(|(name, v)| format!("{name} {v:.3}")).collect();
            let [data, net] = spent.map(|s| s.as_secs_f64() / (trainer.net.step - first) as f64);
            let (losses, heads) = (losses.join(", "), heads.heads.len());
            eprintln!(
                "step {}: {losses}; a step: scenes {data:.2} s, network {net:.2} s; {heads} heads; {} skipped",
                trainer.net.step, trainer.net.skipped
            );
        }
        log_line(&record)
    })?;
    folder.log("validation.jsonl", &validate(&trainer, &held, settings.quiet)?)
}

impl Trainable for Trainer {
    fn step(&self) -> u64 {
        self.net.step
    }
    fn checkpoint(&self) -> Result<Checkpoint> {
        Ok(Trainer::checkpoint(self))
    }
}

/// Heads drawn so far.
struct RenderedHeads {
    source: SyntheticHeads,
    heads: Vec<Picture>,
}

impl RenderedHeads {
    fn grow(&mut self, n: usize) -> Result<()> {
        while self.heads.len() < n {
            interrupt::check()?;
            self.heads.push(self.source.next()?);
        }
        Ok(())
    }
}

/// What a step sees: scenes of one size, about as many pixels each time.
fn scenes(settings: &Settings, photos: &[Vec<Picture>], heads: &[Picture], step: u64) -> Vec<Scene> {
    let mut rng = Rng::from_parts(&[settings.seed, 4, step]);
    let side = SIDES[rng.below(SIDES.len())];
    let stretch = rng.within(0.25).exp();
    // Any size, not multiples of the strides: the program's pictures are not either.
    let size = ((side * stretch).round() as usize, (side / stretch).round() as usize);
    let count = (settings.batch as f64 * (SIDE / side).powi(2)).round().max(1.0) as u64;
    let sources = Sources { photos, heads, drawn: DRAWN };
    let one = |i| compose(&sources, size, &mut Rng::from_parts(&[settings.seed, 5, step, i]));
    (0..count).map(one).collect()
}

/// The scenes with the faces that are wanted.
fn sheet(scenes: &[Scene]) -> Frame {
    let (w, h) = scenes.first().map_or((1, 1), |s| (s.picture.width, s.picture.height));
    let mut sheet = ContactSheet::new(4, (w, h));
    scenes.iter().for_each(|s| sheet.push(&draw_faces(&s.picture, &s.faces), ""));
    sheet.render()
}

/// Pictures of persons held out, evenly over the files.
fn validation_subset(held: Vec<Vec<Picture>>) -> Vec<Picture> {
    let each = VALIDATED.div_ceil(held.len().max(1));
    held.into_iter()
        .flat_map(|file| {
            let every = file.len().div_ceil(each).max(1);
            file.into_iter().step_by(every)
        })
        .collect()
}

/// A line of `validation.jsonl`.
#[derive(Debug, Serialize)]
struct ValidationRecord {
    step: u64,
    #[serde(flatten)]
    tally: Tally,
}

fn validate(trainer: &Trainer, held: &[Picture], quiet: bool) -> Result<ValidationRecord> {
    let subject = EvaluatedDetector::new(trainer.net.averaged()?)?;
    let mut tally = Tally::default();
    for picture in held {
        interrupt::check()?;
        tally.add(&subject.find(picture.pixels())?, &picture.faces);
    }
    if !quiet && tally.pictures > 0 {
        eprintln!("step {}: held out: {}", trainer.net.step, tally.text());
    }
    Ok(ValidationRecord { step: trainer.net.step, tally })
}
