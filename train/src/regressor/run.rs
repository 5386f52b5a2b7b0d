//! A run of the regressor: `config.json`, `log.jsonl`, `batch.png` (what a step saw, with the landmarks that it wants) and
//! `checkpoints/` in its folder.

use super::heads::SyntheticHeadCache;
use super::labels::FitConverter;
use super::sample::{self, Sample};
use super::trainer::{Batch, Trainer};
use super::view::{self, View};
use crate::checkpoint::{self, Checkpoint};
use crate::interrupt;
use crate::prefetch::prefetch;
use crate::run::{DataSet, RunFolder, Trainable, learning_rate, log_line};
use headgan::frame::{ContactSheet, Frame};
use headgan::media::still::{self, StillOptions};
use headgan::morphable::{Morphable, PreparedMorphable};
use headgan::nets::mobilenet::SIZE;
use headgan::random::Rng;
use headgan::synthetic::head;
use headgan::{Error, Result};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;
use tch::{Device, Tensor};

/// Heads that are there before the first step.
const FIRST_HEADS: usize = 240;
/// Deviations are at least this for identity and expression, so that rare modes do not count for much.
const MIN_DEVIATION: [f32; 2] = [0.3, 0.15];

/// What [`run`] needs.
#[derive(Debug, Clone, Serialize)]
pub struct Settings<'a> {
    pub data: &'a Path,
    pub run: &'a Path,
    pub steps: u64,
    /// Samples a step; each is seen twice.
    pub batch: usize,
    pub width: f32,
    pub rate: f64,
    pub seed: u64,
    /// Heads that are drawn in all; one is added each step.
    pub heads: usize,
    /// Every so many frames of a clip are used: neighbours are alike.
    pub every: usize,
    /// Share of drawn heads in a batch.
    pub drawn: f64,
    /// The first layer that learns; all where nothing is said.
    pub learn_from: Option<&'a str>,
    pub checkpoint_minutes: f64,
    /// Threads that make batches ahead of the steps; 0: none.
    #[serde(skip)]
    pub loaders: usize,
    #[serde(skip)]
    pub device: Device,
    #[serde(skip)]
    pub quiet: bool,
}

/// Frames of the data set, clip by clip.
struct Frames {
    clips: Vec<Vec<Sample>>,
    /// How often each clip is drawn.
    weights: Vec<f64>,
}

impl Frames {
    fn load(
        settings: &Settings,
        data: &DataSet,
        model: &PreparedMorphable,
        converter: &FitConverter,
    ) -> Result<Frames> {
        let mut clips = Vec::new();
        for clip in &data.train {
            interrupt::check()?;
            let frames = clip.usable().into_iter().step_by(settings.every.max(1));
            clips.push(frames.map(|i| sample::from_frame(clip, i, model, converter)).collect::<Result<Vec<_>>>()?);
        }
        // By the root of their length: many frames of one face are not many faces.
        let weights = clips.iter().map(|c| (c.len() as f64).sqrt()).collect();
        Ok(Frames { clips, weights })
    }

    fn draw(&self, rng: &mut Rng) -> &Sample {
        let mut at = rng.unit() * self.weights.iter().sum::<f64>();
        let clip = self.weights.iter().position(|w| {
            at -= w;
            at < 0.0
        });
        let clip = &self.clips[clip.unwrap_or(self.clips.len() - 1)];
        &clip[rng.below(clip.len())]
    }
}

/// Trains until `settings.steps`, or Ctrl-C; goes on at the newest checkpoint. `fitted` is the model that `data` was fitted
/// with. What a step sees follows from seed and step.
///
/// # Errors
/// [`Error::Interrupted`] after Ctrl-C, with everything saved; [`Error::Input`] where the disk is full or data are
/// missing.
pub fn run(settings: &Settings, data: &DataSet, fitted: &Morphable) -> Result<()> {
    let folder = RunFolder::create(settings.run, settings)?;
    let model = PreparedMorphable::new(head())?;
    let frames = Frames::load(settings, data, &model, &FitConverter::new(model.model(), fitted)?)?;
    let heads = SyntheticHeadCache::new(settings.seed, settings.heads);
    heads.render(FIRST_HEADS.min(settings.heads), settings.loaders);
    let statistics = statistics(&frames, &heads, FIRST_HEADS.min(settings.heads), settings.seed)?;
    let mut trainer = Trainer::new(model.model(), settings.width, settings.seed, statistics, settings.device);
    if let Some(first) = settings.learn_from {
        trainer.net.freeze_before(first)?;
    }
    if let Some(checkpoint) = checkpoint::newest(&folder.checkpoints(), settings.device)? {
        trainer.restore(&checkpoint)?;
    }
    if !settings.quiet {
        let n: usize = frames.clips.iter().map(Vec::len).sum();
        eprintln!("headgan-train: {n} frames of {} clips; from step {}", frames.clips.len(), trainer.net.step);
    }
    let (begun, first) = (Instant::now(), trainer.net.step);
    folder.truncate_log("log.jsonl", first + 1)?;
    let maker = || |step| batch(settings, &frames, &heads, step);
    prefetch(settings.loaders, first, settings.steps, maker, |next| {
        folder.train(&mut trainer, settings.steps, settings.checkpoint_minutes, |trainer| {
            let step = trainer.net.step;
            let batch = next(step)?.to_device(settings.device);
            if step == first {
                still::write(&folder.file("batch.png"), &sheet(&batch, trainer)?, &StillOptions::default())?;
            }
            let record = trainer.train_step(&batch, learning_rate(settings.rate, step, settings.steps));
            if !settings.quiet && (trainer.net.step.is_multiple_of(50) || trainer.net.step == first + 1) {
                let losses: Vec<String> = record.losses.iter().map(|(name, v)| format!("{name} {v:.3}")).collect();
                let seconds = begun.elapsed().as_secs_f64() / (trainer.net.step - first) as f64;
                eprintln!(
                    "step {}: {}; {seconds:.3} s a step; {} heads; {} skipped",
                    trainer.net.step,
                    losses.join(", "),
                    heads.rendered(),
                    trainer.net.skipped
                );
            }
            log_line(&record)
        })
    })
}

impl Trainable for Trainer {
    fn step(&self) -> u64 {
        self.net.step
    }
    fn checkpoint(&self) -> Result<Checkpoint> {
        Ok(Trainer::checkpoint(self))
    }
}

fn batch(settings: &Settings, frames: &Frames, heads: &SyntheticHeadCache, step: u64) -> Result<Batch> {
    let known = settings.heads.min(FIRST_HEADS + step as usize);
    let mut crops = Vec::with_capacity(2 * settings.batch);
    for i in 0..settings.batch {
        let mut rng = Rng::from_parts(&[settings.seed, 4, step, i as u64]);
        // Alternately, so that a batch's statistics are those of both.
        let drawn = (i as f64 + 0.5) * settings.drawn % 1.0 < settings.drawn;
        let sample = if drawn { heads.get(rng.below(known))? } else { frames.draw(&mut rng) };
        let turned;
        let sample = if rng.unit() < 0.5 {
            turned = view::mirrored(sample);
            &turned
        } else {
            sample
        };
        for _ in 0..2 {
            let view = View::draw(&mut rng);
            crops.push((view::crop(sample, &view, Some(&mut rng))?, sample.truth));
        }
    }
    Ok(Batch::collate(&crops, Device::Cpu))
}

/// The crops of a batch with the landmarks that are wanted.
fn sheet(batch: &Batch, trainer: &Trainer) -> Result<Frame> {
    let values = |t: &Tensor| {
        let flat = Vec::<f32>::try_from(t.to_device(Device::Cpu).contiguous().reshape([-1]));
        flat.map_err(|e| Error::engine(format!("batch.png: {e}")).with_source(e))
    };
    let (pixels, places) = (values(&batch.pixels)?, values(&trainer.landmark_positions(&batch.params))?);
    let area = SIZE * SIZE;
    let mut sheet = ContactSheet::new(12, (SIZE, SIZE));
    for (planes, points) in pixels.chunks_exact(3 * area).zip(places.chunks_exact(3 * 68)) {
        let mut frame = Frame::new(SIZE, SIZE);
        for i in 0..area {
            let [b, g, r] = [0, 1, 2].map(|c| (planes[c * area + i] * 128.0 + 127.5) / 255.0);
            frame.set_pixel(i % SIZE, i / SIZE, [r, g, b, 1.0]);
        }
        for point in points.chunks_exact(3) {
            let (x, y) = ((point[0] - 1.0).round(), (SIZE as f32 - point[1]).round());
            if x >= 0.0 && y >= 0.0 && x < SIZE as f32 && y < SIZE as f32 {
                frame.set_pixel(x as usize, y as usize, [0.1, 1.0, 0.2, 1.0]);
            }
        }
        sheet.push(&frame, "");
    }
    Ok(sheet.render())
}

/// Mean and deviation of the parameters of what will be seen.
fn statistics(frames: &Frames, heads: &SyntheticHeadCache, count: usize, seed: u64) -> Result<[Vec<f32>; 2]> {
    let mut rng = Rng::from_parts(&[seed, 5]);
    let mut rows: Vec<Vec<f32>> = Vec::new();
    let mut shape_dim = 0;
    for i in 0..count {
        let head = heads.get(i)?;
        shape_dim = head.shape.len();
        for sample in [head, frames.draw(&mut rng)] {
            rows.push(view::crop(sample, &View::draw(&mut rng), None)?.params);
        }
    }
    let n = rows.len().max(1) as f64;
    let column = |k: usize| rows.iter().map(move |r| f64::from(r[k]));
    let (mut mean, mut deviation) = (Vec::new(), Vec::new());
    for k in 0..rows.first().map_or(0, Vec::len) {
        let m = column(k).sum::<f64>() / n;
        let d = (column(k).map(|v| (v - m).powi(2)).sum::<f64>() / n).sqrt() as f32;
        // The depth's offset never varies.
        let d = if k == 11 { 1.0 } else { d };
        let least = if k < 12 { 0.0 } else { MIN_DEVIATION[usize::from(k >= 12 + shape_dim)] };
        mean.push(m as f32);
        deviation.push(d.max(least));
    }
    Ok([mean, deviation])
}
