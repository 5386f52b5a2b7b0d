//! How much of transcribed speech a model hears, and how near it says when letters begin.

use super::config::SpeechConfig;
use super::data::{SpeechDataSet, Utterance};
use crate::interrupt;
use headgan::audio::spectrogram::Normalisation;
use headgan::audio::speech::{self, Character, Decoder};
use headgan::engine::Executor;
use headgan::weights::Weights;
use headgan::{Error, Result};
use headgan_torch::Torch;
use serde::Serialize;
use std::sync::Arc;
use tch::{Device, Kind};

/// What a set of utterances came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Figures {
    pub sounds: usize,
    /// Characters of the texts.
    pub characters: usize,
    /// Fewest insertions, deletions and substitutions that make the texts of what was heard, over `characters`.
    pub error_rate: f64,
    /// Letters that were heard and whose time is known.
    pub timed: usize,
    /// Mean of how far from their times they were heard to begin, in seconds; 0 where there are none.
    pub onset_error: f64,
    /// Mean of how much later; negative where they are heard early.
    pub onset_delay: f64,
}

/// An utterance, what was heard of it, and what that came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transcription {
    pub text: String,
    pub heard: String,
    pub figures: Figures,
}

/// The model that a program would make of these weights, on libtorch.
///
/// # Errors
/// Those of [`speech::check`].
pub fn model(config: &SpeechConfig, weights: Weights) -> Result<speech::Speech<Torch>> {
    speech::Speech::new(&config.speech(), Arc::new(weights), |w| Torch::new(&w, Device::Cpu, Kind::Float))
}

/// What a model hears of each utterance, by the most probable alignment, and all together. With `running` spectra are normalised as
/// in a stream, by what was heard before them.
///
/// # Errors
/// Those of the sounds and of the model; [`Error::Interrupted`].
pub fn measure<E: Executor>(
    model: &speech::Speech<E>,
    data: &SpeechDataSet,
    utterances: &[Utterance],
    running: bool,
) -> Result<(Figures, Vec<Transcription>)> {
    let (mut all, mut each) = (Sums::default(), Vec::new());
    for one in utterances {
        interrupt::check()?;
        let sound = data.sound(one)?;
        let emissions =
            if running { model.emissions_by(&sound, Normalisation::Running)? } else { model.emissions(&sound)? };
        let heard = model.characters(&emissions, Decoder::Greedy);
        let mut sums = Sums::default();
        sums.add(&one.text, &one.onsets, &heard);
        all.join(&sums);
        let text = heard.iter().map(|c| c.character).collect();
        each.push(Transcription { text: one.text.clone(), heard: text, figures: sums.figures() });
    }
    if all.sounds == 0 {
        return Err(Error::Input("there is nothing to measure: the set has no sounds".into()));
    }
    Ok((all.figures(), each))
}

#[derive(Debug, Default)]
struct Sums {
    sounds: usize,
    characters: usize,
    errors: usize,
    timed: usize,
    far: f64,
    late: f64,
}

impl Sums {
    fn add(&mut self, text: &str, onsets: &[Option<f64>], heard: &[Character]) {
        let text: Vec<char> = text.chars().collect();
        let said: Vec<char> = heard.iter().map(|c| c.character.to_ascii_uppercase()).collect();
        let (errors, pairs) = alignment(&text, &said);
        self.sounds += 1;
        self.characters += text.len();
        self.errors += errors;
        for (i, j) in pairs {
            let Some(onset) = onsets.get(i).copied().flatten().filter(|_| text[i] != ' ') else { continue };
            self.timed += 1;
            self.far += (heard[j].start - onset).abs();
            self.late += heard[j].start - onset;
        }
    }

    fn join(&mut self, other: &Sums) {
        self.sounds += other.sounds;
        self.characters += other.characters;
        self.errors += other.errors;
        self.timed += other.timed;
        self.far += other.far;
        self.late += other.late;
    }

    fn figures(&self) -> Figures {
        let timed = self.timed.max(1) as f64;
        Figures {
            sounds: self.sounds,
            characters: self.characters,
            error_rate: self.errors as f64 / self.characters.max(1) as f64,
            timed: self.timed,
            onset_error: self.far / timed,
            onset_delay: self.late / timed,
        }
    }
}

/// The fewest edits that make `a` of `b` (Levenshtein's distance), and which of their characters are the same in them.
fn alignment(a: &[char], b: &[char]) -> (usize, Vec<(usize, usize)>) {
    let mut cost = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            cost[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => (cost[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]))
                    .min(cost[i - 1][j] + 1)
                    .min(cost[i][j - 1] + 1),
            };
        }
    }
    let (mut i, mut j, mut pairs) = (a.len(), b.len(), Vec::new());
    while i > 0 && j > 0 {
        let same = a[i - 1] == b[j - 1];
        if cost[i][j] == cost[i - 1][j - 1] + usize::from(!same) {
            if same {
                pairs.push((i - 1, j - 1));
            }
            (i, j) = (i - 1, j - 1);
        } else if cost[i][j] == cost[i - 1][j] + 1 {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    pairs.reverse();
    (cost[a.len()][b.len()], pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn characters(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn edits() {
        for (a, b, errors, same) in
            [("KITTEN", "SITTING", 3, 4), ("", "AB", 2, 0), ("AB", "", 2, 0), ("A B", "A B", 0, 3), ("ABC", "AC", 1, 2)]
        {
            let (cost, pairs) = alignment(&characters(a), &characters(b));
            assert_eq!((cost, pairs.len()), (errors, same), "{a} {b}");
        }
    }

    #[test]
    fn figures_by_hand() {
        let heard: Vec<Character> = [('A', 0.10), ('X', 0.20), ('C', 0.30)]
            .map(|(character, start)| Character { character, start, end: start + 0.02 })
            .into();
        let mut sums = Sums::default();
        // The first is 0.04 s late, the last one 0.02 s early, the second not heard.
        sums.add("ABC", &[Some(0.06), Some(0.2), Some(0.32)], &heard);
        let figures = sums.figures();
        assert_eq!((figures.characters, figures.timed), (3, 2));
        assert!((figures.error_rate - 1.0 / 3.0).abs() < 1e-9);
        assert!((figures.onset_error - 0.03).abs() < 1e-9 && (figures.onset_delay - 0.01).abs() < 1e-9);
    }
}
