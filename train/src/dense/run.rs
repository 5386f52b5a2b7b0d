//! A run of one of the dense networks: `config.json`, `log.jsonl`, `validation.jsonl` (persons held out) and `checkpoints/` in its folder.

use super::cells;
use super::faces::{self, DrawnHead, Example, Face, Light, View, see, see_nobody};
use super::label::{self, LabelledClip};
use super::measure;
use super::points;
use crate::batch_norm::Record;
use crate::checkpoint;
use crate::detector::picture::Picture;
use crate::detector::scene::Sources;
use crate::prefetch::prefetch;
use crate::run::{RunFolder, learning_rate, log_line};
use headgan::Result;
use headgan::random::Rng;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;
use tch::Device;

/// Share of drawn heads among faces, and among the pictures of the finder's scenes.
const DRAWN: f64 = 0.12;
/// Of so many pictures of a batch one shows nobody.
const NOBODY: usize = 16;
/// Steps from one validation to the next.
const VALIDATE: u64 = 500;

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The points of a face.
    Points,
    /// The faces of a picture.
    Finder,
}

/// What [`run`] needs.
#[derive(Debug, Clone, Serialize)]
pub struct Settings<'a> {
    pub network: Network,
    pub labels: &'a Path,
    pub hold_out: &'a Path,
    pub run: &'a Path,
    pub steps: u64,
    /// Pictures a step.
    pub batch: usize,
    pub rate: f64,
    pub seed: u64,
    /// Heads that are drawn.
    pub heads: usize,
    pub checkpoint_minutes: f64,
    #[serde(skip)]
    pub loaders: usize,
    #[serde(skip)]
    pub device: Device,
    #[serde(skip)]
    pub quiet: bool,
}

/// Trains until `settings.steps`, or Ctrl-C; goes on at the newest checkpoint. What a step sees follows from seed and step.
///
/// # Errors
/// [`headgan::Error::Interrupted`] after Ctrl-C, with everything saved; [`headgan::Error::Input`] where the disk is full or labels are
/// missing; [`headgan::Error::Usage`] where who is held out cannot be told.
pub fn run(settings: &Settings) -> Result<()> {
    let folder = RunFolder::create(settings.run, settings)?;
    let [train, held] = label::split(settings.labels, settings.hold_out)?;
    let load = |paths: &[std::path::PathBuf]| -> Result<Vec<LabelledClip>> {
        let mut clips = paths.iter().map(|p| LabelledClip::load(p)).collect::<Result<Vec<_>>>()?;
        clips.retain(|c| !c.faces.is_empty());
        Ok(clips)
    };
    let (train, held) = (load(&train)?, load(&held)?);
    if !settings.quiet {
        let count = |clips: &[LabelledClip]| clips.iter().map(|c| c.faces.len()).sum::<usize>();
        eprintln!(
            "headgan-train: {} faces of {} clips, {} of {} held out",
            count(&train),
            train.len(),
            count(&held),
            held.len()
        );
    }
    let heads = faces::drawn(settings.seed, settings.heads, &DrawnHead::new()?)?;
    match settings.network {
        Network::Points => train_points(settings, &folder, &train, &held, &heads),
        Network::Finder => train_finder(settings, &folder, &train, &heads),
    }
}

fn train_points(
    settings: &Settings,
    folder: &RunFolder,
    train: &[LabelledClip],
    held: &[LabelledClip],
    heads: &[Face],
) -> Result<()> {
    let mut trainer = points::Trainer::new(settings.seed, settings.device);
    match checkpoint::newest(&folder.checkpoints(), settings.device)? {
        Some(checkpoint) => trainer.net.restore(&checkpoint)?,
        None => trainer.begin_with(&points_batch(settings, train, heads, 0)?),
    }
    let first = begin(settings, folder, trainer.net.step)?;
    let begun = Instant::now();
    let maker = || |step| points_batch(settings, train, heads, step);
    prefetch(settings.loaders, first, settings.steps, maker, |next| {
        folder.train(&mut trainer, settings.steps, settings.checkpoint_minutes, |trainer| {
            let step = trainer.net.step;
            let batch = next(step)?;
            let record = trainer.train_step(&batch, learning_rate(settings.rate, step, settings.steps));
            let now = trainer.net.step;
            if now.is_multiple_of(VALIDATE) || now == settings.steps {
                let figures = measure::crops(trainer.net.averaged()?, held)?;
                folder.log("validation.jsonl", &serde_json::json!({"step": now, "held_out": figures}))?;
                if !settings.quiet {
                    eprintln!("step {now}: held out: {}", figures.text());
                }
            }
            tell(settings, &record, first, &begun, trainer.net.skipped);
            log_line(&record)
        })
    })
}

fn train_finder(settings: &Settings, folder: &RunFolder, train: &[LabelledClip], heads: &[Face]) -> Result<()> {
    let photos = train.iter().map(cells::pictures).collect::<Result<Vec<_>>>()?;
    let heads: Vec<Picture> = heads.iter().map(cells::drawn).collect();
    let mut trainer = cells::Trainer::new(settings.seed, settings.device);
    if let Some(checkpoint) = checkpoint::newest(&folder.checkpoints(), settings.device)? {
        trainer.net.restore(&checkpoint)?;
    }
    let first = begin(settings, folder, trainer.net.step)?;
    let begun = Instant::now();
    let maker = || {
        |step| {
            let sources = Sources { photos: &photos, heads: &heads, drawn: DRAWN };
            let scene = |i| cells::scene(&sources, &mut Rng::from_parts(&[settings.seed, 22, step, i]));
            Ok(cells::Batch::collate(&(0..settings.batch as u64).map(scene).collect::<Vec<_>>(), settings.device))
        }
    };
    prefetch(settings.loaders, first, settings.steps, maker, |next| {
        folder.train(&mut trainer, settings.steps, settings.checkpoint_minutes, |trainer| {
            let step = trainer.net.step;
            let batch = next(step)?;
            let record = trainer.train_step(&batch, learning_rate(settings.rate, step, settings.steps));
            tell(settings, &record, first, &begun, trainer.net.skipped);
            log_line(&record)
        })
    })
}

fn begin(settings: &Settings, folder: &RunFolder, step: u64) -> Result<u64> {
    if !settings.quiet {
        eprintln!("headgan-train: from step {step}");
    }
    folder.truncate_log("log.jsonl", step + 1)?;
    folder.truncate_log("validation.jsonl", step + 1)?;
    Ok(step)
}

fn tell(settings: &Settings, record: &Record, first: u64, begun: &Instant, skipped: u64) {
    if !settings.quiet && (record.step.is_multiple_of(50) || record.step == first + 1) {
        let losses: Vec<String> = record.losses.iter().map(|(name, v)| format!("{name} {v:.3}")).collect();
        let seconds = begun.elapsed().as_secs_f64() / (record.step - first) as f64;
        eprintln!("step {}: {}; {seconds:.3} s a step; {skipped} skipped", record.step, losses.join(", "));
    }
}

/// Faces in pairs, and some pictures of nobody. It follows from seed and step.
fn points_batch(settings: &Settings, clips: &[LabelledClip], heads: &[Face], step: u64) -> Result<points::Batch> {
    let nobody = settings.batch.div_ceil(NOBODY);
    let pairs = (settings.batch - nobody).div_ceil(2).max(1);
    let (mut seen, mut empty): (Vec<Example>, Vec<Example>) = Default::default();
    for i in 0..pairs as u64 {
        let mut rng = Rng::from_parts(&[settings.seed, 20, step, i]);
        let (view, light) = (View::draw(&mut rng), Light::draw(&mut rng));
        if !heads.is_empty() && rng.unit() < DRAWN {
            for _ in 0..2 {
                seen.push(see(&heads[rng.below(heads.len())], &view, &light, &mut rng));
            }
            continue;
        }
        let clip = &clips[rng.below(clips.len())];
        for _ in 0..2 {
            let face = faces::of_clip(clip, rng.below(clip.faces.len()))?;
            seen.push(see(&face, &view, &light, &mut rng));
        }
    }
    let mut rng = Rng::from_parts(&[settings.seed, 21, step]);
    while empty.len() < nobody {
        let clip = &clips[rng.below(clips.len())];
        let frame = rng.below(clip.frames.len());
        let boxes: Vec<[f32; 4]> = clip.faces.iter().filter(|f| f.frame == frame).map(|f| f.rect).collect();
        empty.extend(see_nobody(&label::decode(&clip.frames[frame])?, &boxes, &mut rng));
    }
    Ok(points::Batch::collate(&seen, &empty, &mut rng, settings.device))
}
