//! What lips do while a sound is heard: a network that learned it from people who speak, on a sound.

use super::Sound;
use super::mel::{MelSpectra, PER_SECOND};
use crate::engine::{Embedded, Executor, cpu, shape};
use crate::models::{Architecture, ModelSet, Role};
use crate::nets::sound_lips::{self, BANDS, OUTPUTS, REACH, sound_lips};
use crate::weights::{Array, Weights};
use crate::{Error, Result};

/// The architecture in packs.
pub const ARCHITECTURE: Architecture = Architecture::SoundLips;
/// Moments that the network sees at a time.
const PIECE: usize = 3_000;

/// The width of the network that weights have, every layer of it checked.
///
/// # Errors
/// [`Error::Model`] naming the layer and both shapes.
pub fn check(weights: &Weights) -> Result<usize> {
    let width = sound_lips::width(weights)?;
    shape::check(weights, |ops| {
        sound_lips(ops, width, &[1, BANDS, 1, 64]);
    })?;
    Ok(width)
}

/// What lips do at a moment.
pub type Moment = [f32; OUTPUTS];

/// What lips do through a sound: [`PER_SECOND`] moments a second. The first value of a moment is the gap of the lips as a share of the distance of the
/// eyes, 0 where they touch; the others are those of [`SPOKEN`](crate::morphable::arkit::spoken::SPOKEN), from what they are on the face
/// at rest.
#[derive(Debug, Clone, PartialEq)]
pub struct LipCurves {
    moments: Vec<Moment>,
}

impl LipCurves {
    /// How long the sound is, in moments.
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// What lips do so many seconds after the sound's beginning; before it and behind its end they are closed.
    pub fn at(&self, seconds: f64) -> Moment {
        // No number is the start.
        let at = if seconds.is_nan() { -1.0 } else { seconds * PER_SECOND as f64 };
        let (below, share) = (at.floor(), (at - at.floor()) as f32);
        let row = |i: f64| -> Moment {
            let inside = i >= 0.0 && i < self.moments.len() as f64;
            if inside { self.moments[i as usize] } else { [0.0; OUTPUTS] }
        };
        let (a, b) = (row(below), row(below + 1.0));
        std::array::from_fn(|k| a[k] + share * (b[k] - a[k]))
    }

    /// `lips` [n, 16].
    pub fn to_arrays(&self) -> Weights {
        let mut out = Weights::default();
        out.insert("lips", Array::f32([self.moments.len(), OUTPUTS], self.moments.as_flattened().to_vec()));
        out
    }

    /// What [`LipCurves::to_arrays`] made; `None` for anything else.
    pub fn from_arrays(arrays: &Weights) -> Option<LipCurves> {
        let values = arrays.get("lips").filter(|a| a.shape.len() == 2 && a.shape[1] == OUTPUTS)?.as_f32()?;
        let (moments, _) = values.as_chunks::<OUTPUTS>();
        values.iter().all(|v| v.is_finite()).then(|| LipCurves { moments: moments.to_vec() })
    }
}

/// A network that says what lips do, ready to run.
pub struct SoundLips<E> {
    executor: E,
    width: usize,
}

impl SoundLips<Embedded> {
    /// That of the first pack that has one.
    ///
    /// # Errors
    /// [`Error::Model`] where there is none, or it is damaged.
    pub fn load(models: &ModelSet, options: &cpu::Options) -> Result<SoundLips<Embedded>> {
        let (pack, component) = models.find(Role::Lips, Some(&ARCHITECTURE), None)?;
        let weights = pack.load(component, |_, weights| check(weights).map(drop))?;
        let width = sound_lips::width(&weights)?;
        Ok(SoundLips::new(Embedded::new(weights, options), width))
    }
}

impl<E: Executor> SoundLips<E> {
    /// The network with layers of `width` channels on an executor that holds its weights.
    pub fn new(executor: E, width: usize) -> SoundLips<E> {
        SoundLips { executor, width }
    }

    /// What lips do through a sound.
    ///
    /// # Errors
    /// As [`MelSpectra::of`]; [`Error::Engine`] where the network returns values that are not numbers.
    pub fn hear(&self, sound: &Sound) -> Result<LipCurves> {
        let spectra = MelSpectra::of(sound)?;
        self.see(&spectra, || sound.cancel.check())
    }

    /// The same of spectra; `check` is asked between pieces.
    ///
    /// # Errors
    /// [`Error::Engine`] where the network returns values that are not numbers; those of `check`.
    pub fn see(&self, spectra: &MelSpectra, check: impl Fn() -> Result<()>) -> Result<LipCurves> {
        let (frames, input) = (spectra.frames(), spectra.input());
        let mut moments = Vec::with_capacity(frames);
        // A moment depends on what is near: pieces that see as far give what the whole would.
        for from in (0..frames).step_by(PIECE) {
            check()?;
            let to = (from + PIECE).min(frames);
            let seen = from.saturating_sub(REACH)..(to + REACH).min(frames);
            let part = input.chunks_exact(frames).flat_map(|band| &band[seen.clone()]);
            let x: Vec<f32> = part.copied().collect();
            let x = self.executor.tensor([1, BANDS, 1, seen.len()], &x);
            let values = self.executor.values(&sound_lips(&self.executor, self.width, &x));
            if values.iter().any(|v| !v.is_finite()) {
                return Err(Error::Engine("the network from sound to lips returns no numbers: export it again".into()));
            }
            let at = |t: usize| -> Moment { std::array::from_fn(|k| values[k * seen.len() + t - seen.start]) };
            moments.extend((from..to).map(at));
        }
        // No lips overlap.
        moments.iter_mut().for_each(|m| m[0] = m[0].max(0.0));
        Ok(LipCurves { moments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Ops;
    use crate::engine::plain::Plain;
    use crate::morphable::arkit::spoken::SPOKEN;
    use crate::testing::{Rng, random_weights};
    use std::sync::Arc;

    #[test]
    fn pieces_are_the_whole_and_moments_lie_between() {
        assert_eq!(OUTPUTS, 1 + SPOKEN.len());
        let layers = shape::layers(|ops| {
            sound_lips(ops, 3, &[1, BANDS, 1, 9]);
        });
        let weights = Arc::new(random_weights(&layers, 4));
        let lips = SoundLips::new(Plain::new(weights), 3);
        let n = PIECE + 40;
        let spectra = MelSpectra::from_log(Rng(5).vec(BANDS * n)).unwrap();
        let long = lips.see(&spectra, || Ok(())).unwrap();
        assert_eq!(long.moments().len(), n);
        // What is seen around the seam alone, at the whole's level.
        let input = spectra.input();
        let seen = PIECE - 30..n;
        let part: Vec<f32> = input.chunks_exact(n).flat_map(|b| &b[seen.clone()]).copied().collect();
        let x = lips.executor.tensor([1, BANDS, 1, seen.len()], &part);
        let values = lips.executor.values(&sound_lips(&lips.executor, 3, &x));
        for t in PIECE - 5..PIECE + 5 {
            let (a, b) = (long.moments()[t][1], values[seen.len() + t - seen.start]);
            assert!((a - b).abs() < 1e-5, "{t}: {a} {b}");
        }
        assert_eq!(long.at(0.02), long.moments()[1]);
        let between = long.at(0.03)[1];
        assert!((between - 0.5 * (long.moments()[1][1] + long.moments()[2][1])).abs() < 1e-4);
        assert_eq!([long.at(-1.0), long.at(1e9), long.at(f64::NAN)], [[0.0; OUTPUTS]; 3]);
        assert_eq!(LipCurves::from_arrays(&long.to_arrays()), Some(long));
        assert_eq!(LipCurves::from_arrays(&Weights::default()), None);
    }
}
