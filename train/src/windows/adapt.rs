//! A pack's windows adapted to one person: trained further on a clip of that person alone.
//!
//! The last tenth of the clip is kept apart: the network is kept that paints it best, and training ends where it gets no better.

use super::features::Features;
use super::prepare::prepare_one;
use super::run::{draw, held_items, validate};
use super::store::{Kind, WindowClip};
use super::trainer::{Augmentation, Batch, Item, Trainer, config};
use crate::interrupt;
use headgan::media::Progress;
use headgan::models::{ModelSet, Pack, Role};
use headgan::random::Rng;
use headgan::reenact::RenderContext;
use headgan::shot::Cache;
use headgan::weights::Weights;
use headgan::{Error, Result};
use std::path::Path;
use std::time::Instant;
use tch::{Device, Kind as Number};

/// Share of the driving frames that are kept apart.
const APART: f64 = 0.1;
/// Steps from one look at them to the next, and looks without anything better after which training ends.
const LOOK: u64 = 20;
const PATIENCE: usize = 5;
/// Steps until the full rate.
const WARM_UP: f64 = 20.0;

/// What [`adapt`] needs.
pub struct Settings<'a> {
    /// The clip.
    pub reference: &'a Path,
    /// Minutes of training in all; preparing the clip comes before.
    pub minutes: f64,
    /// Windows a step.
    pub batch: usize,
    pub rate: f64,
    pub seed: u64,
    pub bf16: bool,
    pub device: Device,
    pub quiet: bool,
}

/// What became of a window's network.
#[derive(Debug, Clone)]
pub struct Adapted {
    pub kind: Kind,
    pub steps: u64,
    /// Distance of what was kept apart, in features: before and after.
    pub features: [f64; 2],
    /// And its L1, 0..255.
    pub l1: [f64; 2],
    pub weights: Weights,
}

/// Trains each network of `pack` further on the clip.
///
/// # Errors
/// [`Error::Model`] where the pack has no windows; [`Error::Input`] where the clip shows too little; [`Error::Interrupted`].
pub fn adapt(
    context: &RenderContext,
    cache: Option<&Cache>,
    models: &ModelSet,
    pack: &Pack,
    settings: &Settings,
) -> Result<Vec<Adapted>> {
    let mut starts = Vec::new();
    for kind in Kind::ALL {
        if let Some(component) = pack.network(Role::Window, kind.name()) {
            starts.push((kind, pack.load(component, headgan::import::check)?));
        }
    }
    if starts.is_empty() {
        return Err(Error::model(format!("the pack '{}' has no windows to begin with", pack.name())));
    }
    let mut clips = prepare_one(context, cache, settings.reference)?;
    let seconds = 60.0 * settings.minutes / starts.len() as f64;
    let mut out = Vec::new();
    for (kind, start) in starts {
        let Some(clip) = clips.iter_mut().find(|c| c.kind == kind) else {
            // Never seen well: the network stays as it is.
            let weights = (*start).clone();
            out.push(Adapted { kind, steps: 0, features: [0.0; 2], l1: [0.0; 2], weights });
            continue;
        };
        let place = (settings.device, if settings.bf16 { Number::BFloat16 } else { Number::Float });
        let features = Features::load(models, kind, place)?;
        // Without a discriminator from the first step on, few frames teach mostly to blur.
        let mut trainer = Trainer::new(kind, config(kind), Some(features), 0, settings.seed, place);
        trainer.begin_with(&start)?;
        out.push(train(&mut trainer, clip, settings, seconds)?);
    }
    Ok(out)
}

/// Takes the last driving frames away from a clip; what they show is returned.
fn keep_apart(clip: &mut WindowClip) -> WindowClip {
    let count = clip.note.targets.len();
    let first = ((1.0 - APART) * count as f64) as usize / 2 * 2;
    let mut apart = clip.clone();
    for s in 0..clip.kind.parts().len() {
        clip.target_seen[s * count + first..(s + 1) * count].fill(0);
        apart.target_seen[s * count..s * count + first].fill(0);
    }
    apart
}

fn train(trainer: &mut Trainer, clip: &mut WindowClip, settings: &Settings, seconds: f64) -> Result<Adapted> {
    let kind = trainer.kind;
    let apart = [keep_apart(clip)];
    let persons = [vec![&*clip]];
    let usable = (0..kind.parts().len()).any(|s| !clip.pairs(s).is_empty() && !clip.references(s).is_empty());
    let look = |trainer: &Trainer| validate(trainer, held_items(&apart)).0;
    let before = look(trainer);
    let mut best = (before.features[2], before.l1[2], trainer.step, trainer.averaged()?);
    let (begun, mut waited) = (Instant::now(), 0);
    let mut progress = Progress::new(&format!("adapting {}", kind.name()), Some(seconds as u64), settings.quiet);
    let mut shown = 0;
    while usable && before.windows > 0 && begun.elapsed().as_secs_f64() < seconds && waited < PATIENCE {
        interrupt::check()?;
        let step = trainer.step;
        let mut items: Vec<(Item, Augmentation)> = Vec::new();
        let mut tries = 0;
        while items.len() < settings.batch {
            let mut rng = Rng::from_parts(&[settings.seed, 23, step, tries]);
            tries += 1;
            if let Some(item) = draw(&persons, &mut rng) {
                let how = Augmentation { mirror: false, ..Augmentation::draw(kind, false, 0.0, &mut rng) };
                items.extend([(item, how), (Item { target: item.target + 1, ..item }, how)]);
            }
        }
        let rate = settings.rate * ((step as f64 + 1.0) / WARM_UP).min(1.0);
        trainer.train_step(&Batch::collate(kind, &items, settings.device), rate);
        if trainer.step.is_multiple_of(LOOK) {
            let now = look(trainer);
            waited += 1;
            if now.features[2] < best.0 {
                (best, waited) = ((now.features[2], now.l1[2], trainer.step, trainer.averaged()?), 0);
            }
        }
        let elapsed = begun.elapsed().as_secs_f64().min(seconds) as u64;
        progress.inc(elapsed - shown);
        shown = elapsed;
    }
    progress.finish();
    let (features, l1, steps, weights) = best;
    Ok(Adapted { kind, steps, features: [before.features[2], features], l1: [before.l1[2], l1], weights })
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::clip;
    use super::*;

    #[test]
    fn the_end_of_a_clip_is_kept_apart() {
        let mut seen = clip(Kind::Eye, 1, false);
        seen.note.targets = (0..20).collect();
        let mut clip = WindowClip { target_seen: vec![1; 40], ..WindowClip::empty(Kind::Eye, seen.note) };
        let apart = keep_apart(&mut clip);
        for s in 0..2 {
            assert_eq!(apart.pairs(s), [18]);
            assert_eq!(clip.pairs(s), [0, 2, 4, 6, 8, 10, 12, 14, 16]);
        }
    }
}
