//! A training run: a folder with its configuration, log, checkpoints and report.
//!
//! `config.json`, `log.jsonl` (a line a step), `validation.jsonl`, `checkpoints/`, `validation/` (pictures),
//! `index.html`. [`RunFolder`] is what the runs of all trainers share.

use crate::checkpoint::{self, Checkpoint};
use crate::config::{Learn, TrainConfig};
use crate::data::Batch;
use crate::data::prepare::SHORTEST;
use crate::data::sample::{Augmentation, Sampler};
use crate::data::split::Split;
use crate::data::store::{self, StoredClip, write_text};
use crate::html_report::HtmlReport;
use crate::interrupt;
use crate::perceptual::Perceptual;
use crate::prefetch::prefetch;
use crate::trainer::{Record, Trainer};
use crate::validate::{self, Pair, Validation};
use headgan::audio::AudioConditioning;
use headgan::media::{StillOptions, still};
use headgan::models::ModelSet;
use headgan::morphable::PreparedMorphable;
use headgan::random::Rng;
use headgan::reenact::draft::DraftModel;
use headgan::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tch::Device;

/// The clips of a data set, by side.
pub struct DataSet {
    pub train: Vec<StoredClip>,
    /// Usable frames of each training clip.
    usable: Vec<Vec<usize>>,
    /// Clips of each person who is trained on.
    persons: Vec<Vec<usize>>,
    pub held_out: Vec<StoredClip>,
}

impl DataSet {
    /// Opens it.
    ///
    /// # Errors
    /// [`Error::Input`] where it is not whole.
    pub fn open(data: &Path) -> Result<DataSet> {
        let split = Split::load(data)?;
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        let out = split.clips(true);
        for clip in store::open_all(data)? {
            let side = if out.contains(&clip.metadata.name.as_str()) { &mut held_out } else { &mut train };
            side.push(clip);
        }
        if let Some(clip) = train.iter().find(|c: &&StoredClip| c.usable().len() < SHORTEST) {
            return Err(Error::input(format!(
                "{}: clip {} has fewer than {SHORTEST} usable frames: prepare the data set again",
                data.display(),
                clip.metadata.name
            )));
        }
        if train.is_empty() {
            return Err(Error::input(format!("{}: there is no clip to train on", data.display())));
        }
        let place = |name: &String| train.iter().position(|c: &StoredClip| c.metadata.name == *name);
        let persons: Vec<Vec<usize>> = split
            .persons
            .iter()
            .filter(|p| !p.held_out)
            .map(|p| p.clips.iter().filter_map(place).collect())
            .filter(|clips: &Vec<usize>| !clips.is_empty())
            .collect();
        Ok(DataSet { usable: train.iter().map(StoredClip::usable).collect(), persons, train, held_out })
    }

    /// Whether a generator that listens can learn from it.
    ///
    /// # Errors
    /// [`Error::Input`] where nobody has looked for the sound of a clip, none has any, or different acoustic models listened.
    pub fn check_sound(&self, data: &Path) -> Result<()> {
        let wrong = |what: &str| {
            Err(Error::input(format!(
                "{}: {what}: run headgan-train prepare again with the same --clips and --out (what is finished stays), or set \
                 generator.audio to 0",
                data.display()
            )))
        };
        let mut heard = Vec::new();
        for clip in self.train.iter().chain(&self.held_out) {
            match &clip.metadata.sound {
                None => return wrong(&format!("clip {} was prepared before sound was kept", clip.metadata.name)),
                Some(sound) if sound.heard => heard.push(&sound.acoustic),
                Some(_) => {}
            }
        }
        match heard.first() {
            None => wrong("no clip has sound"),
            Some(first) if heard.iter().any(|model| model != first) => {
                wrong("different acoustic models listened to its clips")
            }
            Some(_) => Ok(()),
        }
    }

    /// With the training clips alone whose sound says something: what is always the same would be learned as the mark of
    /// a clip.
    ///
    /// # Errors
    /// [`Error::Input`] where there is none.
    pub fn retain_clips_with_audio(self, data: &Path) -> Result<DataSet> {
        let DataSet { train, usable, persons, held_out } = self;
        let heard: Vec<usize> =
            (0..train.len()).filter(|&i| train[i].heard.as_ref().is_some_and(AudioConditioning::changes)).collect();
        if heard.is_empty() {
            return Err(Error::input(format!("{}: no clip to train on has sound that changes", data.display())));
        }
        let place = |old: usize| heard.iter().position(|&i| i == old);
        let persons = persons.into_iter().map(|clips| clips.into_iter().filter_map(place).collect::<Vec<_>>());
        let persons = persons.filter(|clips| !clips.is_empty()).collect();
        let kept = |i: usize| heard.contains(&i);
        let usable = usable.into_iter().enumerate().filter(|(i, _)| kept(*i)).map(|(_, u)| u).collect();
        let train = train.into_iter().enumerate().filter(|(i, _)| kept(*i)).map(|(_, c)| c).collect();
        Ok(DataSet { train, usable, persons, held_out })
    }

    /// The pairs of a step. They follow from seed and step alone. Persons are drawn alike, however many clips they
    /// have.
    ///
    /// # Errors
    /// Those of the clips.
    pub fn batch(&self, sampler: &mut Sampler, config: &TrainConfig, step: u64, device: Device) -> Result<Batch> {
        let sequence_length = config.sequence_length(step);
        let mut samples = Vec::with_capacity(config.batch * sequence_length);
        for i in 0..config.batch {
            let mut rng = Rng::from_parts(&[config.seed, 4, step, i as u64]);
            let person = &self.persons[rng.below(self.persons.len())];
            let clip = person[rng.below(person.len())];
            let usable = &self.usable[clip];
            let reference = usable[rng.below(usable.len())];
            // A part has at least as many usable frames as the longest sequence.
            let first = rng.below(usable.len() + 1 - sequence_length);
            let augmentation = Augmentation::draw(&config.augment, &mut rng);
            for &target in &usable[first..first + sequence_length] {
                samples.push(sampler.pair(&self.train[clip], reference, target, &augmentation)?);
            }
        }
        Ok(Batch::collate(&samples, sequence_length, config.precision.master(), device))
    }
}

/// What [`run`] needs.
pub struct Settings<'a> {
    pub config: TrainConfig,
    pub data: &'a Path,
    pub run: &'a Path,
    pub device: Device,
    /// Stops after so many steps of this call.
    pub steps: Option<u64>,
    /// Threads that make batches ahead of the steps; 0: none.
    pub loaders: usize,
    pub model: Arc<PreparedMorphable>,
    pub draft: Arc<DraftModel>,
    pub models: &'a ModelSet,
    pub quiet: bool,
}

/// What a run trains.
pub trait Trainable {
    /// Steps taken.
    fn step(&self) -> u64;

    /// Everything that the run needs to go on.
    ///
    /// # Errors
    /// [`Error::Engine`] where it cannot be written down.
    fn checkpoint(&self) -> Result<Checkpoint>;
}

/// A run's folder.
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// Makes it, with `config.json`: what the run is.
    ///
    /// # Errors
    /// [`Error::Input`] where that fails.
    pub fn create(path: &Path, config: &impl Serialize) -> Result<RunFolder> {
        let folder = RunFolder(path.to_owned());
        let checkpoints = folder.checkpoints();
        std::fs::create_dir_all(&checkpoints)
            .map_err(|e| Error::input(format!("{}: cannot be made ({e})", checkpoints.display())).with_source(e))?;
        let text = serde_json::to_string_pretty(config)
            .map_err(|e| Error::engine(format!("config.json: {e}")).with_source(e))?;
        write_text(&folder.file("config.json"), &text)?;
        Ok(folder)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.file("checkpoints")
    }

    /// Leaves out of a log what it says of the step `from` and later ones: they are done again.
    ///
    /// # Errors
    /// [`Error::Input`] where the log cannot be written.
    pub fn truncate_log(&self, log: &str, from: u64) -> Result<()> {
        let path = self.file(log);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
        let before = |line: &&str| {
            let value: Option<Value> = serde_json::from_str(line).ok();
            value.and_then(|v| v["step"].as_u64()).is_some_and(|step| step < from)
        };
        let kept: String = text.lines().filter(before).flat_map(|line| [line, "\n"]).collect();
        write_text(&path, &kept)
    }

    /// Adds a line to a log.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be written.
    pub fn log(&self, log: &str, line: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(line).map_err(|e| Error::engine(format!("{log}: {e}")).with_source(e))?;
        let path = self.file(log);
        let file = File::options().create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{line}"))
            .map_err(|e| Error::input(format!("{}: cannot be written ({e})", path.display())).with_source(e))
    }

    /// Takes steps until `end` or Ctrl-C. Each `step` takes one, or is interrupted before, and returns its line of `log.jsonl`; a
    /// checkpoint is written every so many minutes, and at the end.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after Ctrl-C, with everything saved; those of the steps and of the disk.
    pub fn train<T: Trainable>(
        &self,
        trainer: &mut T,
        end: u64,
        minutes: f64,
        mut step: impl FnMut(&mut T) -> Result<Value>,
    ) -> Result<()> {
        let save =
            |trainer: &T| checkpoint::write(&self.checkpoints(), trainer.step(), &trainer.checkpoint()?).map(drop);
        let (mut saved, mut outcome) = (Instant::now(), Ok(()));
        while trainer.step() < end {
            match interrupt::check().and_then(|()| step(trainer)) {
                Ok(line) => self.log("log.jsonl", &line)?,
                Err(Error::Interrupted) => {
                    outcome = Err(Error::Interrupted);
                    break;
                }
                Err(error) => return Err(error),
            }
            if saved.elapsed().as_secs_f64() >= 60.0 * minutes {
                save(trainer)?;
                saved = Instant::now();
            }
        }
        save(trainer)?;
        outcome
    }
}

/// Steps until the full rate.
const WARM_UP: f64 = 100.0;

/// A step's rate where a run has an end: up to the `full` one, then down along half a cosine.
pub fn learning_rate(full: f64, step: u64, steps: u64) -> f64 {
    let way = step as f64 / steps.max(1) as f64;
    let fall = 0.5 * (1.0 + (std::f64::consts::PI * way).cos());
    full * ((step as f64 + 1.0) / WARM_UP).min(1.0) * fall.max(0.01)
}

/// A step's record as a line of the log.
///
/// # Errors
/// [`Error::Engine`] where it cannot be written down.
pub fn log_line(record: &impl Serialize) -> Result<Value> {
    serde_json::to_value(record).map_err(|e| Error::engine(format!("log.jsonl: {e}")).with_source(e))
}

impl Trainable for Trainer {
    fn step(&self) -> u64 {
        self.step
    }
    fn checkpoint(&self) -> Result<Checkpoint> {
        Trainer::checkpoint(self)
    }
}

/// Trains until the configuration's steps are done, or `settings.steps`, or Ctrl-C; goes on where the folder's newest
/// checkpoint was written.
///
/// # Errors
/// [`Error::Interrupted`] after Ctrl-C, with everything saved; [`Error::Input`] where the disk is full or data are
/// missing.
pub fn run(settings: Settings) -> Result<()> {
    let Settings { config, device, .. } = &settings;
    let mut data = DataSet::open(settings.data)?;
    if config.generator.audio > 0 {
        data.check_sound(settings.data)?;
    }
    if config.learn == Learn::Sound {
        data = data.retain_clips_with_audio(settings.data)?;
    }
    let perceptual = Perceptual::load(config, settings.models, *device)?;
    let folder = RunFolder::create(settings.run, config)?;
    let pictures = folder.file("validation");
    std::fs::create_dir_all(&pictures)
        .map_err(|e| Error::input(format!("{}: cannot be made ({e})", pictures.display())).with_source(e))?;
    if !settings.quiet {
        eprintln!(
            "headgan-train: {} clips of {} persons to train on, {} clips held out; perceptual loss on {}",
            data.train.len(),
            data.persons.len(),
            data.held_out.len(),
            perceptual.name()
        );
    }
    let mut trainer = Trainer::new(config.clone(), Some(perceptual), *device)?;
    if let Some(checkpoint) = checkpoint::newest(&folder.checkpoints(), *device)? {
        trainer.restore(&checkpoint)?;
    }
    let begun = trainer.step;
    let sampler = || Sampler::new(settings.model.clone(), settings.draft.clone(), config.generator.frames);
    let maker = || {
        let mut sampler = sampler();
        let data = &data;
        move |step| data.batch(&mut sampler, config, step, Device::Cpu)
    };
    let mut sampler = sampler();
    let pairs = validate::pairs(&data.held_out, config.validation_pairs, config.seed);
    folder.truncate_log("log.jsonl", begun)?;
    let mut curves = Curves::read(&folder.file("log.jsonl"));
    let mut validations = read_validations(&folder.file("validation.jsonl"), begun);
    let mut validated = None::<Instant>;
    let end = config.steps.min(settings.steps.map_or(u64::MAX, |n| begun + n));
    prefetch(settings.loaders, begun, end, maker, |next| {
        folder.train(&mut trainer, end, config.checkpoint_minutes, |trainer| {
            let due = validated.is_none_or(|at| at.elapsed().as_secs_f64() >= 60.0 * config.validation_minutes);
            if due && !pairs.is_empty() {
                validate_and_report(trainer, &mut sampler, &data.held_out, &pairs, &folder, &mut validations, &curves)?;
                validated = Some(Instant::now());
            }
            let started = Instant::now();
            let batch = next(trainer.step)?.to_device(*device);
            let loading = started.elapsed().as_secs_f64();
            let record = trainer.train_step(&batch);
            let mut line = log_line(&record)?;
            line["loading"] = loading.into();
            if !settings.quiet && (trainer.step.is_multiple_of(50) || trainer.step == begun + 1) {
                eprintln!("{}", summary(&record, loading, trainer.skipped));
            }
            curves.push(&record);
            Ok(line)
        })
    })?;
    if !pairs.is_empty() {
        validate_and_report(&trainer, &mut sampler, &data.held_out, &pairs, &folder, &mut validations, &curves)?;
    }
    Ok(())
}

/// Validates, and writes pictures, figures and report.
fn validate_and_report(
    trainer: &Trainer,
    sampler: &mut Sampler,
    clips: &[StoredClip],
    pairs: &[Pair],
    folder: &RunFolder,
    validations: &mut Vec<Validation>,
    curves: &Curves,
) -> Result<()> {
    let (validation, sheet) = validate::validate(trainer, sampler, clips, pairs)?;
    let picture = folder.file("validation").join(format!("step_{:08}.png", trainer.step));
    still::write(&picture, &sheet, &StillOptions::default())?;
    folder.log("validation.jsonl", &validation)?;
    let Validation { draft, result, .. } = &validation;
    eprintln!(
        "step {}: held out L1 {:.2} (Draft {:.2}), PSNR {:.2} ({:.2}), SSIM {:.3} ({:.3})",
        trainer.step, result.l1, draft.l1, result.psnr, draft.psnr, result.ssim, draft.ssim
    );
    validations.push(validation);
    let report = HtmlReport {
        title: "HeadGAN training".into(),
        state: format!("step {} of {}, {} steps skipped", trainer.step, trainer.config.steps, trainer.skipped),
        curves: curves.0.clone(),
        validations: validations.clone(),
        sheet: Some(sheet),
        config: serde_json::to_string_pretty(&trainer.config).unwrap_or_default(),
    };
    report.write(&folder.file("index.html"))
}

fn summary(record: &Record, loading: f64, skipped: u64) -> String {
    let losses: Vec<String> = record.losses.iter().map(|(name, v)| format!("{name} {v:.4}")).collect();
    format!(
        "step {}: {}; {:.2} s + {loading:.2} s loading; {skipped} skipped",
        record.step,
        losses.join(", "),
        record.seconds
    )
}

/// The losses of a run so far, a curve a name.
struct Curves(Vec<(String, Vec<(f64, f64)>)>);

impl Curves {
    /// From a log.
    fn read(path: &Path) -> Curves {
        let mut out = Curves(Vec::new());
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
            let Some(step) = value["step"].as_u64() else { continue };
            for (name, loss) in value["losses"].as_object().into_iter().flatten() {
                if let Some(loss) = loss.as_f64() {
                    out.add(name, step, loss);
                }
            }
        }
        out
    }

    fn push(&mut self, record: &Record) {
        for (name, loss) in &record.losses {
            self.add(name, record.step, *loss);
        }
    }

    fn add(&mut self, name: &str, step: u64, loss: f64) {
        let point = (step as f64, loss);
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, points)) => points.push(point),
            None => self.0.push((name.to_owned(), vec![point])),
        }
    }
}

fn read_validations(path: &Path, until: u64) -> Vec<Validation> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|l| serde_json::from_str(l).ok()).filter(|v: &Validation| v.step < until).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sample::tests::clip;
    use crate::data::store::Sound;

    struct Counter(u64);

    impl Trainable for Counter {
        fn step(&self) -> u64 {
            self.0
        }
        fn checkpoint(&self) -> Result<Checkpoint> {
            let mut out = Checkpoint::default();
            out.metadata.insert("step".into(), self.0.to_string());
            Ok(out)
        }
    }

    /// What is logged behind the last checkpoint is cut and done again; a line a step, a checkpoint at the end.
    #[test]
    fn a_log_goes_on_where_its_checkpoint_is() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&dir.path().join("run"), &serde_json::json!({"seed": 3})).unwrap();
        let mut step = |counter: &mut Counter| {
            counter.0 += 1;
            log_line(&serde_json::json!({"step": counter.0}))
        };
        folder.train(&mut Counter(0), 3, 1e9, &mut step).unwrap();
        let newest =
            || checkpoint::newest(&folder.checkpoints(), Device::Cpu).unwrap().unwrap().number("step").unwrap();
        assert_eq!(newest(), 3);
        // Two steps whose checkpoint was never written, and half a line.
        folder.log("log.jsonl", &serde_json::json!({"step": 4})).unwrap();
        folder.log("log.jsonl", &serde_json::json!({"step": 5})).unwrap();
        std::fs::write(
            folder.file("log.jsonl"),
            std::fs::read(folder.file("log.jsonl")).unwrap().split_last().unwrap().1,
        )
        .unwrap();
        folder.truncate_log("log.jsonl", newest() + 1).unwrap();
        folder.train(&mut Counter(newest()), 6, 1e9, &mut step).unwrap();
        let log = std::fs::read_to_string(folder.file("log.jsonl")).unwrap();
        assert_eq!(log, (1..=6).map(|n| format!("{{\"step\":{n}}}\n")).collect::<String>());
        folder.truncate_log("none.jsonl", 1).unwrap();
        assert!(!folder.file("none.jsonl").exists());
        // A step that fails ends the run; nothing is saved that it may have spoilt.
        let failed = folder.train(&mut Counter(6), 9, 1e9, |_| Err(Error::Engine("no".into())));
        assert!(failed.is_err() && newest() == 6);
    }

    #[test]
    fn a_generator_that_listens_needs_sound() {
        let folder = tempfile::tempdir().unwrap();
        let stored = clip(folder.path());
        let with = |sound: Option<(bool, Option<&str>)>| {
            let sound = sound.map(|(heard, model)| Sound { heard, acoustic: model.map(str::to_owned) });
            StoredClip { metadata: store::ClipMetadata { sound, ..stored.metadata.clone() }, ..stored.clone() }
        };
        let check = |train: Vec<StoredClip>, held_out: Vec<StoredClip>| {
            let data = DataSet { train, usable: Vec::new(), persons: Vec::new(), held_out };
            data.check_sound(Path::new("set")).map_err(|e| e.to_string())
        };
        let (loud, silent) = (with(Some((true, None))), with(Some((false, None))));
        check(vec![loud.clone(), silent.clone()], vec![loud.clone()]).unwrap();
        check(vec![loud.clone(), with(Some((false, Some("m"))))], vec![]).unwrap();
        for (train, held_out, says) in [
            (vec![loud.clone()], vec![with(None)], "clip drawn was prepared before"),
            (vec![silent], vec![], "no clip has sound"),
            (vec![loud, with(Some((true, Some("m"))))], vec![], "different acoustic models"),
        ] {
            let said = check(train, held_out).unwrap_err();
            assert!(said.contains(says) && said.contains("prepare again"), "{said}");
        }
    }
}
