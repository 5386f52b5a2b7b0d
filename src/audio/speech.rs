//! Acoustic models: a sound as characters, and when they are spoken.

mod stream;

pub use stream::Stream;

use super::Sound;
use super::ctc::{self, Emissions, Token};
use super::spectrogram::{self, Normalisation, Spectrogram, Statistics, spectrogram, spectrogram_by};
use crate::engine::stoppable::Stoppable;
use crate::engine::{Embedded, Executor, cpu, shape};
use crate::models::{Architecture, Component, ModelSet, Role};
use crate::nets::deepspeech2::{self, deepspeech2};
use crate::weights::Weights;
use crate::{CancelToken, Error, Result};
use std::sync::Arc;

/// The architecture in packs.
pub const ARCHITECTURE: Architecture = Architecture::DeepSpeech2;
/// What stands for the blank in a model's labels.
const BLANK: char = '_';
/// Seconds that a network in both directions sees at a time; longer sounds are seen in pieces.
const PIECE: f64 = 60.0;
/// Seconds before and after a piece that it sees besides.
const CONTEXT: f64 = 5.0;
/// Moments that a beam decodes at a time.
const DECODED: usize = 3_000;

/// What a pack says about its acoustic model.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// A character for each output. The blank is `_`, or the first one where there is none.
    pub labels: String,
    /// The spectrogram that the network takes.
    #[serde(flatten)]
    pub spectrogram: spectrogram::Config,
}

/// A character that was spoken.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Character {
    /// What is said.
    pub character: char,
    /// When it begins, in seconds.
    pub start: f64,
    /// When the model last recognises it, in seconds.
    pub end: f64,
}

/// How characters are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    /// [`ctc::greedy`].
    Greedy,
    /// [`ctc::beam`] of this width, then [`ctc::align`].
    Beam(usize),
}

/// The network that a configuration and weights make, every layer of it checked.
///
/// # Errors
/// [`Error::Model`] naming the layer and both shapes, or what does not fit together.
pub fn check(config: &Config, weights: &Weights) -> Result<deepspeech2::Config> {
    let mut network = deepspeech2::Config::infer(weights)?;
    let labels = config.labels.chars().count();
    if labels != network.labels {
        return Err(Error::model(format!(
            "the network has {} outputs and its labels are {labels} ('{}')",
            network.labels,
            config.labels.escape_debug()
        )));
    }
    network.bins = config.spectrogram.bins()?;
    shape::check(weights, |ops| {
        deepspeech2(ops, &network, &[1, 1, network.bins, 64]);
    })?;
    Ok(network)
}

/// [`check`] of a pack's component.
///
/// # Errors
/// As [`check`], and [`Error::Model`] for a configuration that cannot be read.
pub fn check_component(component: &Component, weights: &Weights) -> Result<()> {
    check(&component.config()?, weights).map(drop)
}

/// An acoustic model on an executor that holds its weights.
#[derive(Debug)]
pub struct Speech<E> {
    executor: E,
    network: deepspeech2::Config,
    spectrogram: spectrogram::Config,
    labels: Vec<char>,
    blank: usize,
}

impl Speech<Embedded> {
    /// Loads the acoustic model of `pack`, or the first there is.
    ///
    /// # Errors
    /// [`Error::Model`] where there is none, or it is damaged; it says what to import.
    pub fn load(models: &ModelSet, pack: Option<&str>, options: &cpu::Options) -> Result<Speech<Embedded>> {
        let (pack, component) = models.find(Role::Speech, Some(&ARCHITECTURE), pack)?;
        let config: Config = component.config()?;
        let weights = pack.load(component, check_component)?;
        Speech::new(&config, weights, |weights| Embedded::new(weights, options))
    }
}

impl<E: Executor> Speech<E> {
    /// An acoustic model on the executor that `make` makes of its weights.
    ///
    /// # Errors
    /// As [`check`].
    pub fn new(config: &Config, weights: Arc<Weights>, make: impl FnOnce(Arc<Weights>) -> E) -> Result<Speech<E>> {
        let network = check(config, &weights)?;
        let labels: Vec<char> = config.labels.chars().collect();
        let blank = labels.iter().position(|c| *c == BLANK).unwrap_or(0);
        Ok(Speech { executor: make(weights), network, spectrogram: config.spectrogram, labels, blank })
    }

    /// Seconds from one moment of [`Speech::emissions`] to the next; the first one is the sound's beginning.
    pub fn step(&self) -> f64 {
        let stride = (f64::from(self.spectrogram.sample_rate) * self.spectrogram.window_stride).floor();
        deepspeech2::STRIDE as f64 * stride / f64::from(self.spectrogram.sample_rate)
    }

    /// The spectrogram that the model takes.
    pub fn spectrogram(&self) -> &spectrogram::Config {
        &self.spectrogram
    }

    /// The log probability of each label at each moment.
    ///
    /// A network in both directions sees a minute at a time, with five seconds before and after it: what a longer sound comes to differs a
    /// little from what it would as a whole. The spectrogram is that of the whole sound. A network in one direction sees any sound as
    /// a whole.
    ///
    /// # Errors
    /// As [`spectrogram()`]; [`Error::Engine`] where the network returns values that are not numbers; [`Error::Interrupted`].
    pub fn emissions(&self, sound: &Sound) -> Result<Emissions> {
        if self.network.bidirectional() {
            return self.in_pieces(&spectrogram(sound, &self.spectrogram)?, &sound.cancel);
        }
        self.emissions_by(sound, Normalisation::Known(Statistics::from_sound(sound, &self.spectrogram)?))
    }

    /// The same with spectra normalised by other statistics than the whole sound's: what a stream makes of it, where the
    /// network can be streamed.
    ///
    /// # Errors
    /// As [`Speech::emissions`].
    pub fn emissions_by(&self, sound: &Sound, normalisation: Normalisation) -> Result<Emissions> {
        if self.network.bidirectional() {
            return self.in_pieces(&spectrogram_by(sound, &self.spectrogram, normalisation)?, &sound.cancel);
        }
        let sound = sound.resampled(self.spectrogram.sample_rate)?;
        let mut stream = self.stream(sound.rate(), normalisation)?;
        let mut log = Vec::new();
        for second in sound.samples().chunks(sound.rate() as usize) {
            sound.cancel.check()?;
            log.extend_from_slice(stream.push(second)?.values());
        }
        log.extend_from_slice(stream.finish()?.values());
        Emissions::new(self.labels.len(), self.blank, log)
    }

    fn in_pieces(&self, spectra: &Spectrogram, cancel: &CancelToken) -> Result<Emissions> {
        let moments = deepspeech2::moments(spectra.frames());
        let count = |seconds: f64| ((seconds / self.step()).ceil() as usize).max(1);
        let (piece, context) = (count(PIECE), count(CONTEXT));
        let mut logits: Vec<f32> = Vec::with_capacity(moments * self.labels.len());
        let mut from = 0;
        while from < moments {
            let to = if moments - from <= piece + context { moments } else { from + piece };
            let seen = from.saturating_sub(context)..moments.min(to + context);
            let part = seen.start * deepspeech2::STRIDE..spectra.frames().min(seen.end * deepspeech2::STRIDE);
            let values = self.run(&spectra.part(part.clone()), part.len(), cancel)?;
            // By label, then by moment.
            for moment in from - seen.start..to - seen.start {
                logits.extend(values[moment..].iter().step_by(seen.len()));
            }
            from = to;
        }
        self.emissions_of(logits)
    }

    /// The emissions of logits, `[moments, labels]`.
    fn emissions_of(&self, logits: Vec<f32>) -> Result<Emissions> {
        if logits.iter().any(|v| !v.is_finite()) {
            return Err(Error::Engine("the acoustic model's outputs are not numbers: import it again".into()));
        }
        Emissions::from_logits(self.labels.len(), self.blank, logits)
    }

    /// Logits of a spectrogram, `[labels, moments]`.
    fn run(&self, values: &[f32], frames: usize, cancel: &CancelToken) -> Result<Vec<f32>> {
        let stop = || cancel.is_cancelled();
        let ops = Stoppable::new(&self.executor, &stop);
        let x = self.executor.tensor([1, 1, self.network.bins, frames], values);
        let y = deepspeech2(&ops, &self.network, &crate::engine::stoppable::Tensor::There(x));
        y.there().map(|y| self.executor.values(y)).ok_or(Error::Interrupted)
    }

    /// What emissions of this model say.
    pub fn characters(&self, emissions: &Emissions, decoder: Decoder) -> Vec<Character> {
        let tokens = match decoder {
            Decoder::Greedy => ctc::greedy(emissions),
            Decoder::Beam(width) => {
                let mut tokens = Vec::new();
                for piece in emissions.pieces(DECODED) {
                    let part = emissions.part(piece.clone());
                    let best = ctc::beam(&part, width).into_iter().next();
                    let said = best.and_then(|best| ctc::align(&part, &best.labels)).unwrap_or_default();
                    let moved = |t: Token| Token { first: piece.start + t.first, last: piece.start + t.last, ..t };
                    tokens.extend(said.into_iter().map(moved));
                }
                tokens
            }
        };
        tokens.into_iter().map(|token| self.character(token)).collect()
    }

    /// The character that a token of this model's emissions stands for.
    ///
    /// # Panics
    /// Where its label is none of the model's.
    pub fn character(&self, token: Token) -> Character {
        let step = self.step();
        Character {
            character: self.labels[token.label],
            start: token.first as f64 * step,
            end: (token.last + 1) as f64 * step,
        }
    }

    /// [`Speech::emissions`], then [`Speech::characters`].
    ///
    /// # Errors
    /// As [`Speech::emissions`].
    pub fn hear(&self, sound: &Sound, decoder: Decoder) -> Result<Vec<Character>> {
        Ok(self.characters(&self.emissions(sound)?, decoder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Cell, plain::Plain};
    use crate::testing::{Rng, random_weights};
    use crate::weights::Array;

    fn config() -> Config {
        Config { labels: "_'AB ".into(), spectrogram: spectrogram::Config { sample_rate: 8_000, ..Default::default() } }
    }

    fn weights(cell: Cell, context: usize, bins: usize) -> Weights {
        let network = deepspeech2::Config { cell, channels: 32, hidden: 8, layers: 2, context, labels: 5, bins };
        let layers = shape::layers(|ops| {
            deepspeech2(ops, &network, &[1, 1, bins, 9]);
        });
        random_weights(&layers, 4)
    }

    fn fast(weights: Arc<Weights>) -> cpu::Cpu {
        cpu::Cpu::new(weights, &cpu::Options::default())
    }

    fn noise(seconds: f64) -> Sound {
        let mut rng = Rng(9);
        let loud = |i: usize| (i as f64 / 1_500.0).sin();
        Sound::new(8_000, (0..(8_000.0 * seconds) as usize).map(|i| loud(i) * f64::from(rng.signed())).collect())
            .unwrap()
    }

    /// The emissions of a sound that the network sees at once.
    fn whole<E: Executor>(speech: &Speech<E>, sound: &Sound) -> Emissions {
        let spectra = spectrogram(sound, &speech.spectrogram).unwrap();
        let (values, moments) = (
            speech.run(spectra.values(), spectra.frames(), &CancelToken::default()).unwrap(),
            spectra.frames().div_ceil(2),
        );
        let logits = (0..moments).flat_map(|t| values[t..].iter().step_by(moments).copied()).collect();
        Emissions::from_logits(5, 0, logits).unwrap()
    }

    fn apart(a: &Emissions, b: &Emissions) -> f32 {
        assert_eq!(a.moments(), b.moments());
        a.values().iter().zip(b.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn engines_hear_alike_and_times_are_in_order() {
        for (cell, context) in [(Cell::Gru, 0), (Cell::Lstm, 3)] {
            let weights = Arc::new(weights(cell, context, 81));
            let plain = Speech::new(&config(), weights.clone(), Plain::new).unwrap();
            let fast = Speech::new(&config(), weights, fast).unwrap();
            let sound = noise(0.53);
            let (a, b) = (plain.emissions(&sound).unwrap(), fast.emissions(&sound).unwrap());
            // 4240 samples: 54 spectra, 27 moments of 20 ms.
            assert_eq!((a.moments(), a.labels(), a.blank(), plain.step()), (27, 5, 0, 0.02));
            assert!(a.values().iter().zip(b.values()).all(|(a, b)| (a - b).abs() < 1e-4));
            for decoder in [Decoder::Greedy, Decoder::Beam(16)] {
                let heard = fast.characters(&b, decoder);
                assert!(heard.windows(2).all(|c| c[0].end <= c[1].start + 1e-9), "{heard:?}");
                assert!(heard.iter().all(|c| c.start < c.end && c.end <= 0.54 + 1e-9));
            }
        }
    }

    /// Pieces of a long sound are what the whole would be away from their ends, where a state fades within seconds.
    #[test]
    fn long_sounds() {
        // Few bins and long steps make it quick.
        let coarse = spectrogram::Config { window_size: 0.004, window_stride: 0.02, ..config().spectrogram };
        let config = Config { spectrogram: coarse, ..config() };
        let weights = Arc::new(weights(Cell::Gru, 0, 17));
        let speech = Speech::new(&config, weights, fast).unwrap();
        let sound = noise(140.0);
        assert!(apart(&speech.emissions(&sound).unwrap(), &whole(&speech, &sound)) < 1e-3);
    }

    /// Streams `sound` in chunks of what `size` gives, and checks that moments come when [`Speech::delay`] says.
    fn streamed(
        speech: &Speech<impl Executor>,
        sound: &Sound,
        normalisation: Normalisation,
        mut size: impl FnMut() -> usize,
    ) -> Emissions {
        let mut stream = speech.stream(8_000, normalisation).unwrap();
        let (mut heard, mut log) = (0, Vec::new());
        while heard < sound.samples().len() {
            let to = sound.samples().len().min(heard + size());
            log.extend_from_slice(stream.push(&sound.samples()[heard..to]).unwrap().values());
            heard = to;
            let late = heard as f64 / 8_000.0 - speech.delay().unwrap();
            let settled = ((late / speech.step() + 1e-9).floor() + 1.0).max(0.0) as usize;
            assert_eq!(log.len(), 5 * settled, "after {heard} samples");
        }
        log.extend_from_slice(stream.finish().unwrap().values());
        Emissions::new(5, 0, log).unwrap()
    }

    #[test]
    fn chunks_are_heard_as_the_whole() {
        let mut rng = Rng(5);
        for cell in [Cell::Tanh, Cell::Gru, Cell::Lstm] {
            let weights = Arc::new(weights(cell, 3, 81));
            let (plain, fast) = (
                Speech::new(&config(), weights.clone(), Plain::new).unwrap(),
                Speech::new(&config(), weights, fast).unwrap(),
            );
            // 2 + 5 moments and 5 spectra, half a window, and one sample.
            assert!((fast.delay().unwrap() - (0.19 + 0.01 + 1.0 / 8_000.0)).abs() < 1e-12, "{:?}", fast.delay());
            // Shorter than a window, shorter than the look-ahead, and longer.
            for samples in [1, 79, 81, 700, 4_240, 16_001] {
                let sound = Sound::new(8_000, noise(3.0).samples()[..samples].to_vec()).unwrap();
                let whole = whole(&fast, &sound);
                assert!(apart(&fast.emissions(&sound).unwrap(), &whole) < 1e-5);
                let known = Normalisation::Known(Statistics::from_sound(&sound, fast.spectrogram()).unwrap());
                let running = streamed(&fast, &sound, Normalisation::Running, || samples);
                assert!(apart(&fast.emissions_by(&sound, Normalisation::Running).unwrap(), &running) < 1e-5);
                assert_eq!(running.moments(), whole.moments());
                let all: Vec<usize> = [1, 7, 997].into_iter().filter(|size| samples / size < 5_000).collect();
                for size in all {
                    assert!(apart(&streamed(&fast, &sound, known, || size), &whole) < 1e-5, "{cell:?}, {size} a chunk");
                    assert!(apart(&streamed(&fast, &sound, Normalisation::Running, || size), &running) < 1e-5);
                }
                for most in [100, 3_000] {
                    assert!(apart(&streamed(&fast, &sound, known, || 1 + rng.below(most)), &whole) < 1e-5);
                }
                if samples <= 700 {
                    assert!(apart(&streamed(&plain, &sound, known, || 131), &whole) < 1e-4);
                }
            }
        }
    }

    /// A minute and more in one direction is one piece.
    #[test]
    fn long_sounds_in_one_direction() {
        let coarse = spectrogram::Config { window_size: 0.004, window_stride: 0.02, ..config().spectrogram };
        let weights = Arc::new(weights(Cell::Gru, 3, 17));
        let speech = Speech::new(&Config { spectrogram: coarse, ..config() }, weights, fast).unwrap();
        let sound = noise(140.0);
        assert!(apart(&speech.emissions(&sound).unwrap(), &whole(&speech, &sound)) < 1e-5);
    }

    #[test]
    fn what_cannot_be_streamed() {
        let both = Speech::new(&config(), Arc::new(weights(Cell::Gru, 0, 81)), fast).unwrap();
        let text = both.stream(8_000, Normalisation::Running).err().unwrap().to_string();
        assert!(text.contains("look-ahead") && both.delay().is_none(), "{text}");
        let one = Speech::new(&config(), Arc::new(weights(Cell::Gru, 3, 81)), fast).unwrap();
        let text = one.stream(16_000, Normalisation::Running).err().unwrap().to_string();
        assert!(text.contains("8000") && text.contains("16000"), "{text}");
        let mut stream = one.stream(8_000, Normalisation::Running).unwrap();
        assert!(stream.push(&[0.0, f64::NAN]).unwrap_err().to_string().contains("sample 1"));
        assert_eq!(stream.push(&[]).unwrap().moments(), 0);
        assert_eq!(stream.finish().unwrap().moments(), 0, "nothing was heard");
    }

    #[test]
    fn what_does_not_fit() {
        let good = weights(Cell::Gru, 0, 81);
        let text = |config: Config, weights: &Weights| check(&config, weights).unwrap_err().to_string();
        assert!(text(Config { labels: "_ab".into(), ..config() }, &good).contains("5 outputs"));
        let wide = Config { spectrogram: Default::default(), ..config() };
        assert!(text(wide, &good).contains("rnns.0.rnn.weight_ih_l0"));
        let mut bad = good.clone();
        bad.insert("conv.seq_module.0.weight", Array::f32([32, 1, 11, 41], vec![0.0; 32 * 11 * 41]));
        assert!(text(config(), &bad).contains("[32, 1, 41, 11]"));
    }
}
