//! A run of the network that looks at lids: `config.json`, `heads.safetensors` (what it learns from), `examples.png` (some
//! of it), `log.jsonl`, `validation.jsonl` (how well heads that are kept apart are seen) and `checkpoints/` in its folder.

use super::examples::{self, Example, ExampleBuilder, HeadSampling, RECIPE};
use super::trainer::{Batch, Trainer, weights};
use crate::checkpoint;
use crate::regressor::measure::correlation;
use crate::run::{RunFolder, Trainable, learning_rate, log_line};
use headgan::engine::{Embedded, Executor, cpu};
use headgan::face::lids::{EyeCrop, Lids};
use headgan::face::regress::Regressor;
use headgan::frame::{ContactSheet, Frame};
use headgan::media::still::{self, StillOptions};
use headgan::morphable::{Morphable, PreparedMorphable};
use headgan::nets::lids::{SIZE, lids, shape};
use headgan::random::Rng;
use headgan::synthetic::head;
use headgan::{Error, Result};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tch::Device;

/// Of so many appearances the heads of one are held out.
const HELD_OUT_EVERY: usize = 12;
/// Steps from one validation to the next.
const VALIDATE: u64 = 500;

/// What [`run`] needs.
#[derive(Debug, Clone, Serialize)]
pub struct Settings<'a> {
    /// The pack whose regressor says where the eyes are.
    pub pack: &'a str,
    /// The blake3 of that regressor.
    pub regressor: &'a str,
    pub run: &'a Path,
    pub steps: u64,
    /// Faces a step.
    pub batch: usize,
    pub rate: f64,
    pub seed: u64,
    pub heads: usize,
    pub views: usize,
    pub checkpoint_minutes: f64,
    #[serde(skip)]
    pub threads: usize,
    #[serde(skip)]
    pub device: Device,
    #[serde(skip)]
    pub quiet: bool,
}

/// Trains until `settings.steps`, or Ctrl-C; goes on at the newest checkpoint. What a step sees follows from seed and step.
///
/// # Errors
/// [`Error::Interrupted`] after Ctrl-C, with all steps saved (examples are saved when all are made); [`Error::Input`] where the
/// disk is full, data are missing or the run is another regressor's.
pub fn run(settings: &Settings, regressor: &Regressor<Embedded>, model: &Morphable) -> Result<()> {
    let folder = RunFolder::create(settings.run, settings)?;
    let builder = ExampleBuilder { regressor, lids: &Lids::new(model)?, head: &PreparedMorphable::new(head())? };
    let Settings { seed, heads, views, threads, regressor: ref of, .. } = *settings;
    let from = HeadSampling { seed, heads, views };
    let about = json!({"recipe": RECIPE, "regressor": of, "seed": seed, "heads": heads, "views": views});
    let drawn = examples(settings, &folder.file("heads.safetensors"), about, |progress| {
        builder.build(&from, threads, progress)
    })?;
    let is_held_out = |example: &Example| example.portion as usize % HELD_OUT_EVERY == HELD_OUT_EVERY - 1;
    let (held_out, drawn): (Vec<&Example>, Vec<&Example>) = drawn.iter().partition(|e| is_held_out(e));
    if drawn.is_empty() {
        return Err(Error::Input(
            "no eye is seen in any drawn head: is this pack's regressor that of the own head?".into(),
        ));
    }
    still::write(&folder.file("examples.png"), &sheet(&drawn), &StillOptions::default())?;
    let mut trainer = Trainer::new(settings.seed, settings.regressor, settings.device);
    if let Some(checkpoint) = checkpoint::newest(&folder.checkpoints(), settings.device)? {
        trainer.restore(&checkpoint)?;
    }
    if !settings.quiet {
        let (n, held_out) = (drawn.len(), held_out.len());
        eprintln!("headgan-train: eyes of {n} views of heads, {held_out} kept apart; from step {}", trainer.net.step);
    }
    let (begun, first) = (Instant::now(), trainer.net.step);
    folder.truncate_log("log.jsonl", first + 1)?;
    folder.truncate_log("validation.jsonl", first + 1)?;
    folder.train(&mut trainer, settings.steps, settings.checkpoint_minutes, |trainer| {
        let step = trainer.net.step;
        let batch = batch(settings, &drawn, step);
        let record = trainer.train_step(&batch, learning_rate(settings.rate, step, settings.steps));
        let now = trainer.net.step;
        if now.is_multiple_of(VALIDATE) || now == settings.steps {
            let r = validate(trainer, &held_out)?;
            folder.log("validation.jsonl", &json!({"step": now, "correlation": r}))?;
            if !settings.quiet {
                let seconds = begun.elapsed().as_secs_f64() / (now - first) as f64;
                eprintln!(
                    "step {now}: loss {:.4}; heads kept apart: correlation {r:.4}; {seconds:.3} s a step; {} skipped",
                    record.losses["total"], trainer.net.skipped
                );
            }
        }
        log_line(&record)
    })
}

/// Those of a file of the run's folder, where they are made of the same, or made now.
fn examples(
    settings: &Settings,
    path: &Path,
    made_of: Value,
    make: impl Fn(&(dyn Fn(usize, usize) + Sync)) -> Result<Vec<Example>>,
) -> Result<Vec<Example>> {
    let made_of = made_of.to_string();
    if let Some(examples) = examples::load(path, &made_of)? {
        return Ok(examples);
    }
    let begun = Instant::now();
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let progress = |done: usize, all: usize| {
        if !settings.quiet && (done.is_multiple_of(100) || done == all) {
            eprintln!("eyes of {name}: {done} of {all} portions, {:.0} s", begun.elapsed().as_secs_f64());
        }
    };
    let made = make(&progress)?;
    examples::save(path, &made, &made_of)?;
    Ok(made)
}

fn batch(settings: &Settings, drawn: &[&Example], step: u64) -> Batch {
    let mut rng = Rng::from_parts(&[settings.seed, 13, step]);
    let chosen: Vec<&Example> = (0..settings.batch).map(|_| drawn[rng.below(drawn.len())]).collect();
    Batch::collate(&chosen, Some(&mut rng), settings.device)
}

/// A network's predictions for examples, in their order.
pub fn predict<O: Executor>(ops: &O, eyes: &[&EyeCrop]) -> Vec<[f32; 2]> {
    let mut out = Vec::with_capacity(eyes.len());
    for some in eyes.chunks(64) {
        let input: Vec<f32> = some.iter().flat_map(|crop| crop.input()).collect();
        let x = ops.tensor(shape(2 * some.len()), &input);
        out.extend_from_slice(ops.values(&lids(ops, &x)).as_chunks::<2>().0);
    }
    out
}

/// Correlation of the averaged network's answers with the truth, on the embedded engine.
fn validate(trainer: &Trainer, held_out: &[&Example]) -> Result<f64> {
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    let ops = Embedded::new(Arc::new(weights(&trainer.checkpoint()?)?), &options);
    let eyes: Vec<&EyeCrop> = held_out.iter().map(|e| &e.crop).collect();
    let predicted = predict(&ops, &eyes);
    let pairs =
        predicted.iter().zip(held_out).flat_map(|(s, e)| [0, 1].map(|i| (f64::from(s[i]), f64::from(e.closed[i]))));
    Ok(correlation(&pairs.collect::<Vec<_>>()))
}

/// Some eyes with how far they are closed.
fn sheet(drawn: &[&Example]) -> Frame {
    let [height, width] = SIZE;
    let mut sheet = ContactSheet::new(16, (3 * width, 3 * height));
    for example in drawn.iter().step_by(drawn.len().div_ceil(96).max(1)) {
        for (pixels, closed) in example.crop.pixels.iter().zip(example.closed) {
            let mut frame = Frame::new(3 * width, 3 * height);
            for i in 0..9 * width * height {
                let (x, y) = (i % (3 * width), i / (3 * width));
                let at = |c: usize| f32::from(pixels[(c * height + y / 3) * width + x / 3]) / 255.0;
                frame.set_pixel(x, y, [at(2), at(1), at(0), 1.0]);
            }
            sheet.push(&frame, &format!("{closed:.2}"));
        }
    }
    sheet.render()
}
