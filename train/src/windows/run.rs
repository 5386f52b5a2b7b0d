//! A run of a window's network: `config.json`, `log.jsonl`, `validation.jsonl` (figures on persons held out), `validation/` (pictures of them)
//! and `checkpoints/` in its folder.

use super::features::Features;
use super::prepare::path;
use super::store::{ClipNote, Kind, WindowClip};
use super::trainer::{Augmentation, Batch, Item, Trainer, config};
use crate::checkpoint;
use crate::losses;
use crate::run::{RunFolder, learning_rate, log_line};
use headgan::frame::{Color, Frame};
use headgan::media::still::{self, StillOptions};
use headgan::models::ModelSet;
use headgan::random::Rng;
use headgan::weights::Weights;
use headgan::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use tch::{Device, Kind as Number, Tensor};

/// Windows that a validation looks at.
const VALIDATED: usize = 240;
/// And at a time.
const AT_ONCE: usize = 24;
/// Columns of its picture.
const COLUMNS: usize = 12;
/// What two windows that are alike count, in pixels of difference.
const ALIKE: f64 = 0.7;
/// How often the most usual frame is the reference.
const USUAL: f64 = 0.5;

/// What [`run`] needs.
#[derive(Debug, Clone, Serialize)]
pub struct Settings<'a> {
    pub kind: Kind,
    pub data: &'a Path,
    pub run: &'a Path,
    pub steps: u64,
    /// Windows a step, two and two that follow each other.
    pub batch: usize,
    pub rate: f64,
    /// Share of the steps before the discriminator counts.
    pub plain: f64,
    /// How often a mouth with sound is hidden.
    pub hide: f64,
    pub validate: u64,
    pub seed: u64,
    /// Only clips whose licence allows commercial use.
    pub clean: bool,
    pub checkpoint_minutes: f64,
    /// Whether networks compute in bfloat16.
    pub bf16: bool,
    #[serde(skip)]
    pub device: Device,
    #[serde(skip)]
    pub quiet: bool,
}

/// The clips of a folder that can be used, train and held.
///
/// # Errors
/// [`Error::Input`] where there is none to train on, or one is damaged.
pub fn load(data: &Path, kind: Kind, clean: bool) -> Result<[Vec<WindowClip>; 2]> {
    let cannot = |e: std::io::Error| {
        Error::input(format!("{}: cannot be read ({e}): run headgan-train windows-prepare", data.display()))
            .with_source(e)
    };
    let mut names: Vec<std::path::PathBuf> =
        std::fs::read_dir(data).map_err(cannot)?.flatten().map(|e| e.path()).collect();
    names.retain(|p| p.extension().is_some_and(|e| e == "json") && p.file_stem().is_some_and(|s| s != "report"));
    names.sort();
    let mut out = [Vec::new(), Vec::new()];
    for name in names {
        let text = std::fs::read_to_string(&name).map_err(cannot)?;
        let Ok(note) = serde_json::from_str::<ClipNote>(&text) else { continue };
        let file = path(data, &note.name, kind);
        if note.rejected.is_some() || !file.exists() || (clean && !note.clean && !note.held) {
            continue;
        }
        let held = note.held;
        let clip = WindowClip { note, ..WindowClip::load(&file, kind)? };
        out[usize::from(held)].push(clip);
    }
    if out[0].is_empty() {
        return Err(Error::input(format!(
            "{}: has no {} to train on: run headgan-train windows-prepare",
            data.display(),
            kind.name()
        )));
    }
    Ok(out)
}

/// Trains until `settings.steps`, or Ctrl-C; goes on at the newest checkpoint. `start` are an exported network's weights to begin with.
///
/// # Errors
/// [`Error::Interrupted`] after Ctrl-C, with all steps saved; [`Error::Input`] where the disk is full, data are missing or the run is
/// another network's.
pub fn run(settings: &Settings, models: &ModelSet, start: Option<&Weights>) -> Result<()> {
    let folder = RunFolder::create(settings.run, settings)?;
    let pictures = folder.file("validation");
    std::fs::create_dir_all(&pictures)
        .map_err(|e| Error::input(format!("{}: cannot be made ({e})", pictures.display())).with_source(e))?;
    let [train, held] = load(settings.data, settings.kind, settings.clean)?;
    let persons = persons(&train);
    let place = (settings.device, if settings.bf16 { Number::BFloat16 } else { Number::Float });
    let features = Features::load(models, settings.kind, place)?;
    let adversarial_from = (settings.plain * settings.steps as f64) as u64;
    let mut trainer =
        Trainer::new(settings.kind, config(settings.kind), Some(features), adversarial_from, settings.seed, place);
    match checkpoint::newest(&folder.checkpoints(), settings.device)? {
        Some(checkpoint) => trainer.restore(&checkpoint)?,
        None => start.map(|weights| trainer.begin_with(weights)).transpose()?.unwrap_or_default(),
    }
    if !settings.quiet {
        let (n, m, p) = (train.len(), held.len(), persons.len());
        eprintln!("headgan-train: windows of {n} clips of {p} persons, {m} clips held out; from step {}", trainer.step);
    }
    let (begun, first) = (Instant::now(), trainer.step);
    folder.truncate_log("log.jsonl", first + 1)?;
    folder.truncate_log("validation.jsonl", first + 1)?;
    folder.train(&mut trainer, settings.steps, settings.checkpoint_minutes, |trainer| {
        let step = trainer.step;
        let batch = batch(settings, &persons, step);
        let record = trainer.train_step(&batch, learning_rate(settings.rate, step, settings.steps));
        let now = trainer.step;
        if (now.is_multiple_of(settings.validate) || now == settings.steps) && !held.is_empty() {
            let (figures, sheet) = validate(trainer, held_items(&held));
            still::write(&pictures.join(format!("step_{now:08}.png")), &sheet, &StillOptions::default())?;
            folder.log("validation.jsonl", &figures)?;
            if !settings.quiet {
                let seconds = begun.elapsed().as_secs_f64() / (now - first) as f64;
                eprintln!("{figures}; {seconds:.2} s a step; {} skipped; {:?}", trainer.skipped, record.losses);
            }
        }
        log_line(&record)
    })
}

/// The clips of each person.
fn persons(clips: &[WindowClip]) -> Vec<Vec<&WindowClip>> {
    let mut out: BTreeMap<&str, Vec<&WindowClip>> = BTreeMap::new();
    for clip in clips {
        out.entry(&clip.note.person).or_default().push(clip);
    }
    out.into_values().collect()
}

/// The windows of a step; they follow from seed and step alone.
fn batch(settings: &Settings, persons: &[Vec<&WindowClip>], step: u64) -> Batch {
    let mut items = Vec::with_capacity(settings.batch);
    for i in 0..(settings.batch / 2).max(1) {
        let mut rng = Rng::from_parts(&[settings.seed, 17, step, i as u64]);
        let item = loop {
            if let Some(item) = draw(persons, &mut rng) {
                break item;
            }
        };
        let how = Augmentation::draw(settings.kind, item.clip.note.has_sound, settings.hide, &mut rng);
        items.extend([(item, how), (Item { target: item.target + 1, ..item }, how)]);
    }
    Batch::collate(settings.kind, &items, settings.device)
}

/// A person, a clip, a window, a reference, and a frame that is rather unlike it. `None` where the window is never seen.
pub(super) fn draw<'a>(persons: &[Vec<&'a WindowClip>], rng: &mut Rng) -> Option<Item<'a>> {
    let clips = &persons[rng.below(persons.len())];
    let clip = clips[rng.below(clips.len())];
    let window = rng.below(clip.kind.parts().len());
    let (references, pairs) = (clip.references(window), clip.pairs(window));
    if references.is_empty() || pairs.is_empty() {
        return None;
    }
    let usual = rng.unit() < USUAL;
    let other = references[rng.below(references.len())];
    let reference = if usual { references[0] } else { other };
    let weights: Vec<f64> = pairs.iter().map(|t| ALIKE + clip.difference(window, reference, *t)).collect();
    let mut left = rng.unit() * weights.iter().sum::<f64>();
    let at = weights.iter().position(|w| {
        left -= w;
        left < 0.0
    });
    Some(Item { clip, window, reference, target: pairs[at.unwrap_or(pairs.len() - 1)] })
}

/// How well persons held out are painted: what their windows show, against the true ones.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    pub step: u64,
    pub windows: usize,
    /// Mean difference where the window counts, 0..255: of the reference's window, Draft's and the result.
    pub l1: [f64; 3],
    /// Distance in features of the same three.
    pub features: [f64; 3],
    /// Detail in shares of the true window's: of Draft's and the result.
    pub sharpness: [f64; 2],
    /// Change from frame to frame in shares of the true one: of Draft's and the result.
    pub change: [f64; 2],
    /// Shares of Draft's window, of the reference's, of paint.
    pub shares: [f64; 3],
    /// L1 and distance in features of the true window a frame before: how much of the figures above is grain, compression and the way
    /// that a face goes in one frame.
    pub neighbour: [f64; 2],
    /// L1 of mouths that are hidden from the network, with their own sound and in silence; `None` where no clip has sound.
    pub hidden: Option<[f64; 2]>,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let [copy, draft, own] = self.l1;
        let [fc, fd, fo] = self.features;
        write!(
            f,
            "step {}: held L1 {own:.2} (Draft {draft:.2}, copy {copy:.2}), features {fo:.3} ({fd:.3}, {fc:.3}), sharpness {:.2} ({:.2}), \
             change {:.2} ({:.2}), shares {:.2} {:.2} {:.2}, the frame before {:.2} {:.3}",
            self.step,
            self.sharpness[1],
            self.sharpness[0],
            self.change[1],
            self.change[0],
            self.shares[0],
            self.shares[1],
            self.shares[2],
            self.neighbour[0],
            self.neighbour[1]
        )?;
        self.hidden
            .map_or(Ok(()), |[sound, silence]| write!(f, ", hidden: by sound {sound:.2}, in silence {silence:.2}"))
    }
}

/// What of a held-out person's windows is looked at: the first reference against all frames, evenly over all.
pub(super) fn held_items(held: &[WindowClip]) -> Vec<Item<'_>> {
    let mut all = Vec::new();
    for clip in held {
        for window in 0..clip.kind.parts().len() {
            if let Some(&reference) = clip.references(window).first() {
                all.extend(clip.pairs(window).into_iter().map(|target| Item { clip, window, reference, target }));
            }
        }
    }
    let pairs = VALIDATED / 2;
    if all.len() <= pairs {
        return all;
    }
    (0..pairs).map(|i| all[i * all.len() / pairs]).collect()
}

/// L1 of hidden mouths by their sound and in silence.
fn hidden(trainer: &Trainer, items: &[Item]) -> Option<[f64; 2]> {
    let how = Augmentation { hidden: true, ..Augmentation::NONE };
    let items: Vec<(Item, Augmentation)> =
        items.iter().filter(|i| i.clip.kind == Kind::Mouth && i.clip.note.has_sound).map(|i| (*i, how)).collect();
    let mut sums = [0.0; 2];
    for some in items.chunks(AT_ONCE) {
        let mut batch = Batch::collate(trainer.kind, some, trainer.device());
        for sum in &mut sums {
            let image = trainer.infer(&batch).image;
            *sum +=
                some.len() as f64 * 127.5 * losses::value(&losses::weighted_l1(&image, &batch.truth, &batch.weight));
            batch.sound = batch.sound.map(|s| s.zeros_like());
        }
    }
    (!items.is_empty()).then(|| sums.map(|s| s / items.len() as f64))
}

/// Figures of the averaged network on items, and their neighbours; and a picture of some.
pub(super) fn validate(trainer: &Trainer, items: Vec<Item>) -> (Figures, Frame) {
    let mut sums: Vec<[f64; 15]> = Vec::new();
    for some in items.chunks(AT_ONCE / 2) {
        let pairs: Vec<(Item, Augmentation)> = some
            .iter()
            .flat_map(|item| [*item, Item { target: item.target + 1, ..*item }].map(|i| (i, Augmentation::NONE)))
            .collect();
        let batch = Batch::collate(trainer.kind, &pairs, trainer.device());
        let made = trainer.infer(&batch);
        let (copy, draft) = (batch.reference.narrow(1, 0, 3), batch.target.narrow(1, 0, 3));
        // Each window's place is taken by the other one of its pair.
        let order: Vec<i64> = (0..pairs.len() as i64).map(|i| i ^ 1).collect();
        let neighbour = batch.truth.index_select(0, &Tensor::from_slice(&order).to_device(trainer.device()));
        let l1 = |t: &Tensor| 127.5 * losses::value(&losses::weighted_l1(t, &batch.truth, &batch.weight));
        let features = |t: &Tensor| trainer.feature_distance(t, &batch.truth);
        let detail = |t: &Tensor| detail(t, &batch.weight);
        let change = |t: &Tensor| {
            let change = losses::frame_differences(t, 2);
            losses::value(&(change.abs() * losses::drop_first_frames(&batch.weight, 2)).mean(None))
        };
        let true_detail = detail(&batch.truth).max(1e-9);
        let true_change = change(&batch.truth).max(1e-9);
        let share = |k: i64| {
            losses::value(&losses::weighted_l1(
                &made.shares.narrow(1, k, 1),
                &Tensor::zeros_like(&batch.weight),
                &batch.weight,
            ))
        };
        let n = some.len() as f64;
        sums.push([
            n * l1(&copy),
            n * l1(&draft),
            n * l1(&made.image),
            n * features(&copy),
            n * features(&draft),
            n * features(&made.image),
            n * detail(&draft) / true_detail,
            n * detail(&made.image) / true_detail,
            n * change(&draft) / true_change,
            n * change(&made.image) / true_change,
            n * share(0),
            n * share(1),
            n * share(2),
            n * l1(&neighbour),
            n * features(&neighbour),
        ]);
    }
    let n = items.len().max(1) as f64;
    let m: [f64; 15] = std::array::from_fn(|i| sums.iter().map(|s| s[i]).sum::<f64>() / n);
    let figures = Figures {
        step: trainer.step,
        windows: 2 * items.len(),
        l1: [m[0], m[1], m[2]],
        features: [m[3], m[4], m[5]],
        sharpness: [m[6], m[7]],
        change: [m[8], m[9]],
        shares: [m[10], m[11], m[12]],
        neighbour: [m[13], m[14]],
        hidden: hidden(trainer, &items),
    };
    (figures, sheet(trainer, &least_alike(items, COLUMNS)))
}

/// Those that differ most from their references, at most `count`, each of another clip.
pub(super) fn least_alike(mut items: Vec<Item>, count: usize) -> Vec<(Item, Augmentation)> {
    let difference = |i: &Item| i.clip.difference(i.window, i.reference, i.target);
    items.sort_by(|a, b| difference(b).total_cmp(&difference(a)));
    let mut chosen: Vec<(Item, Augmentation)> = Vec::new();
    for item in items {
        if chosen.len() < count && chosen.iter().all(|c| c.0.clip.note.name != item.clip.note.name) {
            chosen.push((item, Augmentation::NONE));
        }
    }
    chosen
}

/// Detail of pictures where they count: mean size of the second difference.
fn detail(t: &Tensor, weight: &Tensor) -> f64 {
    let kernel =
        Tensor::from_slice(&[0f32, 1., 0., 1., -4., 1., 0., 1., 0.]).reshape([1, 1, 3, 3]).to_device(t.device());
    let luma = t.mean_dim([1i64].as_slice(), true, Number::Float);
    let second = luma.conv2d(&kernel, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1);
    losses::value(&(second.abs() * weight).mean(None))
}

/// Rows: reference, Draft, result, truth, contours.
fn sheet(trainer: &Trainer, shown: &[(Item, Augmentation)]) -> Frame {
    let side = trainer.kind.side();
    if shown.is_empty() {
        return Frame::new(side, side);
    }
    let batch = Batch::collate(trainer.kind, shown, trainer.device());
    let made = trainer.infer(&batch);
    let rows = [
        batch.reference.narrow(1, 0, 3),
        batch.target.narrow(1, 0, 3),
        made.image,
        batch.truth,
        batch.contours.narrow(1, 0, 3) * 2.0 - 1.0,
    ];
    let (width, height) = (side * shown.len(), side * rows.len());
    let mut out = Frame::filled(width, height, [0.0, 0.0, 0.0, 1.0], Color::Srgb);
    for (r, row) in rows.iter().enumerate() {
        for k in 0..shown.len() {
            paste(&mut out, &picture(side, &row.get(k as i64)), [k * side, r * side]);
        }
    }
    out
}

/// A window of RGB in -1..1 as a picture.
pub(super) fn picture(side: usize, planes: &Tensor) -> Frame {
    let values = Vec::<f32>::try_from(planes.to_device(Device::Cpu).contiguous().reshape([-1])).unwrap_or_default();
    let mut out = Frame::new(side, side);
    if values.len() == 3 * side * side {
        for i in 0..side * side {
            let at = |c: usize| (0.5 * values[c * side * side + i] + 0.5).clamp(0.0, 1.0);
            out.set_pixel(i % side, i / side, [at(0), at(1), at(2), 1.0]);
        }
    }
    out
}

/// Copies a picture into a larger one.
pub(super) fn paste(to: &mut Frame, from: &Frame, [x, y]: [usize; 2]) {
    for j in 0..from.height {
        for i in 0..from.width {
            to.set_pixel(x + i, y + j, from.pixel(i, j));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::clip;
    use super::*;

    #[test]
    fn held_clips_are_kept_apart_and_steps_are_repeatable() {
        let dir = tempfile::tempdir().unwrap();
        for (seed, held) in [(1, false), (2, false), (3, true)] {
            let clip = clip(Kind::Eye, seed, held);
            clip.save(&path(dir.path(), &clip.note.name, Kind::Eye)).unwrap();
            std::fs::write(
                dir.path().join(format!("{}.json", clip.note.name)),
                serde_json::to_string(&clip.note).unwrap(),
            )
            .unwrap();
        }
        let [train, held] = load(dir.path(), Kind::Eye, false).unwrap();
        assert_eq!((train.len(), held.len(), held[0].note.person.as_str()), (2, 1, "p3"));
        assert!(load(dir.path(), Kind::Mouth, false).is_err() && load(dir.path(), Kind::Eye, true).is_err());
        let settings = Settings {
            kind: Kind::Eye,
            data: dir.path(),
            run: dir.path(),
            steps: 10,
            batch: 4,
            rate: 1e-3,
            plain: 0.5,
            hide: 0.1,
            validate: 5,
            seed: 1,
            clean: false,
            checkpoint_minutes: 1.0,
            bf16: false,
            device: Device::Cpu,
            quiet: true,
        };
        let persons = persons(&train);
        let sum = |step: u64| losses::value(&batch(&settings, &persons, step).truth.abs().mean(None));
        assert_eq!(sum(3), sum(3));
        assert_ne!(sum(3), sum(4));
        let trainer = Trainer::new(
            Kind::Eye,
            headgan::nets::window::Config { width: 4, spade: 4, ..config(Kind::Eye) },
            None,
            0,
            1,
            (Device::Cpu, Number::Float),
        );
        let (figures, sheet) = validate(&trainer, held_items(&held));
        assert_eq!((figures.windows, sheet.width, sheet.height), (8, 64, 320));
        assert!((figures.shares.iter().sum::<f64>() - 1.0).abs() < 1e-3 && figures.l1[0] > 0.0, "{figures:?}");
    }
}
