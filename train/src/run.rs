//! A training run: a folder with its configuration, log, checkpoints and page.
//!
//! `config.json`, `log.jsonl` (a line a step), `validation.jsonl`, `checkpoints/`, `validation/` (pictures),
//! `index.html`.

use crate::checkpoint;
use crate::config::TrainConfig;
use crate::data::Batch;
use crate::data::prepare::SHORTEST;
use crate::data::sample::{Sampler, Variation};
use crate::data::split::Split;
use crate::data::store::{self, Stored, write_text};
use crate::page::Page;
use crate::perceptual::Perceptual;
use crate::trainer::{Record, Trainer};
use crate::validate::{self, Pair, Validation};
use headgan::media::{StillOptions, interrupt, still};
use headgan::models::pack::ModelSet;
use headgan::morphable::Prepared;
use headgan::random::Rng;
use headgan::reenact::draft::DraftModel;
use headgan::{Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tch::Device;

/// The clips of a data set, by side.
pub struct DataSet {
    pub train: Vec<Stored>,
    /// Usable frames of each training clip.
    usable: Vec<Vec<usize>>,
    /// Clips of each person who is trained on.
    persons: Vec<Vec<usize>>,
    pub held_out: Vec<Stored>,
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
            let side = if out.contains(&clip.about.name.as_str()) { &mut held_out } else { &mut train };
            side.push(clip);
        }
        if let Some(clip) = train.iter().find(|c: &&Stored| c.usable().len() < SHORTEST) {
            return Err(Error::Input(format!(
                "{}: clip {} has fewer than {SHORTEST} usable frames: prepare the data set again",
                data.display(),
                clip.about.name
            )));
        }
        if train.is_empty() {
            return Err(Error::Input(format!("{}: there is no clip to train on", data.display())));
        }
        let place = |name: &String| train.iter().position(|c: &Stored| c.about.name == *name);
        let persons: Vec<Vec<usize>> = split
            .persons
            .iter()
            .filter(|p| !p.held_out)
            .map(|p| p.clips.iter().filter_map(place).collect())
            .filter(|clips: &Vec<usize>| !clips.is_empty())
            .collect();
        Ok(DataSet { usable: train.iter().map(Stored::usable).collect(), persons, train, held_out })
    }

    /// Whether a generator that listens can learn from it.
    ///
    /// # Errors
    /// [`Error::Input`] where nobody has looked for the sound of a clip, none has any, or different acoustic models listened.
    pub fn check_sound(&self, data: &Path) -> Result<()> {
        let wrong = |what: &str| {
            Err(Error::Input(format!(
                "{}: {what}: run headgan-train prepare again with the same --clips and --out (what is finished stays), or set \
                 generator.audio to 0",
                data.display()
            )))
        };
        let mut heard = Vec::new();
        for clip in self.train.iter().chain(&self.held_out) {
            match &clip.about.sound {
                None => return wrong(&format!("clip {} was prepared before sound was kept", clip.about.name)),
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

    /// The pairs of a step. They follow from seed and step alone. Persons are drawn alike, however many clips they
    /// have.
    ///
    /// # Errors
    /// Those of the clips.
    pub fn batch(&self, sampler: &mut Sampler, config: &TrainConfig, step: u64, device: Device) -> Result<Batch> {
        let in_a_row = config.frames_in_a_row(step);
        let mut samples = Vec::with_capacity(config.batch * in_a_row);
        for i in 0..config.batch {
            let mut rng = Rng::of(&[config.seed, 4, step, i as u64]);
            let person = &self.persons[rng.below(self.persons.len())];
            let clip = person[rng.below(person.len())];
            let usable = &self.usable[clip];
            let reference = usable[rng.below(usable.len())];
            // A part has at least as many usable frames as the longest sequence.
            let first = rng.below(usable.len() + 1 - in_a_row);
            let vary = Variation::draw(&config.augment, &mut rng);
            for &target in &usable[first..first + in_a_row] {
                samples.push(sampler.pair(&self.train[clip], reference, target, &vary)?);
            }
        }
        Ok(Batch::of(&samples, in_a_row, config.precision.master(), device))
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
    pub model: Arc<Prepared>,
    pub draft: Arc<DraftModel>,
    pub models: &'a ModelSet,
    pub quiet: bool,
}

/// A run's folder.
struct Folder(PathBuf);

impl Folder {
    fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }
    fn pictures(&self) -> PathBuf {
        self.0.join("validation")
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
    let folder = Folder(settings.run.to_owned());
    for path in [folder.checkpoints(), folder.pictures()] {
        std::fs::create_dir_all(&path)
            .map_err(|e| Error::Input(format!("{}: cannot be made ({e})", path.display())))?;
    }
    let data = DataSet::open(settings.data)?;
    if config.generator.audio > 0 {
        data.check_sound(settings.data)?;
    }
    let perceptual = Perceptual::load(config, settings.models, *device)?;
    let text = serde_json::to_string_pretty(config).map_err(|e| Error::Engine(format!("config.json: {e}")))?;
    write_text(&folder.0.join("config.json"), &text)?;
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
    let mut sampler = Sampler::new(settings.model.clone(), settings.draft.clone(), config.generator.frames);
    let pairs = validate::pairs(&data.held_out, config.validation_pairs, config.seed);
    // What was logged behind the checkpoint is done again.
    let mut curves = Curves::read(&folder.0.join("log.jsonl"), begun)?;
    let mut validations = read_validations(&folder.0.join("validation.jsonl"), begun);
    let mut log = append(&folder.0.join("log.jsonl"))?;
    let minutes = |m: f64| Duration::from_secs_f64(60.0 * m);
    let (mut saved, mut validated) = (Instant::now(), None::<Instant>);

    let save = |trainer: &Trainer| -> Result<()> {
        checkpoint::write(&folder.checkpoints(), trainer.step, &trainer.checkpoint()?).map(drop)
    };
    let end = config.steps.min(settings.steps.map_or(u64::MAX, |n| begun + n));
    let mut outcome = Ok(());
    while trainer.step < end {
        if let Err(stop) = interrupt::check() {
            outcome = Err(stop);
            break;
        }
        let due = validated.is_none_or(|at| at.elapsed() >= minutes(config.validation_minutes));
        if due && !pairs.is_empty() {
            look(&trainer, &mut sampler, &data.held_out, &pairs, &folder, &mut validations, &curves)?;
            validated = Some(Instant::now());
        }
        let started = Instant::now();
        let batch = data.batch(&mut sampler, config, trainer.step, *device)?;
        let loading = started.elapsed().as_secs_f64();
        let record = trainer.learn(&batch);
        let mut line = serde_json::to_value(&record).map_err(|e| Error::Engine(format!("log: {e}")))?;
        line["loading"] = loading.into();
        writeln!(log, "{line}").map_err(|e| Error::Input(format!("log.jsonl: cannot be written ({e})")))?;
        if !settings.quiet && (trainer.step.is_multiple_of(50) || trainer.step == begun + 1) {
            eprintln!("{}", summary(&record, loading, trainer.skipped));
        }
        curves.push(&record);
        if saved.elapsed() >= minutes(config.checkpoint_minutes) {
            save(&trainer)?;
            saved = Instant::now();
        }
    }
    save(&trainer)?;
    outcome?;
    if !pairs.is_empty() {
        look(&trainer, &mut sampler, &data.held_out, &pairs, &folder, &mut validations, &curves)?;
    }
    Ok(())
}

/// Validates, and writes pictures, figures and page.
fn look(
    trainer: &Trainer,
    sampler: &mut Sampler,
    clips: &[Stored],
    pairs: &[Pair],
    folder: &Folder,
    validations: &mut Vec<Validation>,
    curves: &Curves,
) -> Result<()> {
    let (validation, sheet) = validate::validate(trainer, sampler, clips, pairs)?;
    still::write(&folder.pictures().join(format!("step_{:08}.png", trainer.step)), &sheet, &StillOptions::default())?;
    let line = serde_json::to_string(&validation).map_err(|e| Error::Engine(format!("validation: {e}")))?;
    let mut file = append(&folder.0.join("validation.jsonl"))?;
    writeln!(file, "{line}").map_err(|e| Error::Input(format!("validation.jsonl: cannot be written ({e})")))?;
    let Validation { draft, result, .. } = &validation;
    eprintln!(
        "step {}: held out L1 {:.2} (Draft {:.2}), PSNR {:.2} ({:.2}), SSIM {:.3} ({:.3})",
        trainer.step, result.l1, draft.l1, result.psnr, draft.psnr, result.ssim, draft.ssim
    );
    validations.push(validation);
    let page = Page {
        title: "HeadGAN training".into(),
        state: format!("step {} of {}, {} steps skipped", trainer.step, trainer.config.steps, trainer.skipped),
        curves: curves.0.clone(),
        validations: validations.clone(),
        sheet: Some(sheet),
        config: serde_json::to_string_pretty(&trainer.config).unwrap_or_default(),
    };
    page.write(&folder.0.join("index.html"))
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

/// Opens a file to write behind its end.
///
/// # Errors
/// [`Error::Input`] where that fails.
pub fn append(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    file.map_err(|e| Error::Input(format!("{}: cannot be written ({e})", path.display())))
}

/// The losses of a run so far, a curve a name.
struct Curves(Vec<(String, Vec<(f64, f64)>)>);

impl Curves {
    /// From a log, up to a step; the log is cut there.
    fn read(path: &Path, until: u64) -> Result<Curves> {
        let mut out = Curves(Vec::new());
        let Ok(file) = File::open(path) else { return Ok(out) };
        let mut kept = String::new();
        for line in BufReader::new(file).lines().map_while(std::result::Result::ok) {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            let Some(step) = value["step"].as_u64().filter(|s| *s < until) else { continue };
            for (name, loss) in value["losses"].as_object().into_iter().flatten() {
                if let Some(loss) = loss.as_f64() {
                    out.add(name, step, loss);
                }
            }
            kept.push_str(&line);
            kept.push('\n');
        }
        write_text(path, &kept)?;
        Ok(out)
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

    #[test]
    fn a_generator_that_listens_needs_sound() {
        let folder = tempfile::tempdir().unwrap();
        let stored = clip(folder.path());
        let with = |sound: Option<(bool, Option<&str>)>| {
            let sound = sound.map(|(heard, model)| Sound { heard, acoustic: model.map(str::to_owned) });
            Stored { about: store::About { sound, ..stored.about.clone() }, ..stored.clone() }
        };
        let check = |train: Vec<Stored>, held_out: Vec<Stored>| {
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
