//! What a run is: one JSON file, stored in every checkpoint.

use headgan::audio::{spectrogram, speech};
use headgan::engine::Cell;
use headgan::nets::deepspeech2;
use headgan::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The characters that models of this trainer know, in the order of their outputs; the first is the blank. They are
/// deepspeech.pytorch's.
pub const LABELS: &str = "_'ABCDEFGHIJKLMNOPQRSTUVWXYZ ";
/// The blank's place in [`LABELS`].
pub const BLANK: i64 = 0;

/// The configuration of a training run. What a file leaves out has the value of [`SpeechConfig::default`], a model that
/// two cores train in less than an hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpeechConfig {
    pub cell: Cell,
    /// Channels of both convolutions.
    pub channels: usize,
    /// Values of a recurrent layer's state.
    pub hidden: usize,
    /// Recurrent layers.
    pub layers: usize,
    /// Moments of the look-ahead; 0 for a network that runs in both directions.
    pub context: usize,
    pub spectrogram: spectrogram::Config,
    /// Steps of the whole run.
    pub steps: u64,
    /// Steps in which the learning rate grows from 0, linearly; from there on it falls to 0 at the end, linearly.
    pub warm_up: u64,
    /// Sounds a step.
    pub batch: usize,
    pub seed: u64,
    /// The largest learning rate.
    pub rate: f64,
    /// Adam's.
    pub betas: [f64; 2],
    /// The largest norm of the gradient; longer ones are shortened to it.
    pub clip: f64,
    /// How much of their running averages batch norms leave to a step.
    pub momentum: f64,
    /// Weight of the letters' times, where a sound's are known.
    pub timing: f64,
    pub checkpoint_minutes: f64,
    pub validation_minutes: f64,
    /// Sounds of each held-out set that are looked at as the run goes on.
    pub validation_sounds: usize,
}

impl Default for SpeechConfig {
    fn default() -> SpeechConfig {
        SpeechConfig {
            cell: Cell::Gru,
            channels: 8,
            hidden: 160,
            layers: 2,
            context: 0,
            spectrogram: spectrogram::Config { window_stride: 0.015, ..spectrogram::Config::default() },
            steps: 3600,
            warm_up: 60,
            batch: 8,
            seed: 1,
            rate: 2e-3,
            betas: [0.9, 0.99],
            clip: 2.0,
            momentum: 0.05,
            timing: 1.0,
            checkpoint_minutes: 3.0,
            validation_minutes: 5.0,
            validation_sounds: 20,
        }
    }
}

impl SpeechConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`Error::Usage`] where the file is none, or says what makes no sense.
    pub fn load(path: &Path) -> Result<SpeechConfig> {
        let bad = |e: &dyn std::fmt::Display| Error::usage(format!("{}: {e}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| bad(&e))?;
        let config: SpeechConfig = serde_json::from_str(&text).map_err(|e| bad(&e))?;
        config.check().map_err(|e| bad(&e))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let counts = [
            ("channels", self.channels, 1..=256),
            ("hidden", self.hidden, 1..=4096),
            ("layers", self.layers, 1..=16),
            ("context", self.context, 0..=256),
            ("batch", self.batch, 1..=4096),
        ];
        for (name, n, range) in counts {
            if !range.contains(&n) {
                return Err(format!("{name} is {n}; {} to {} make sense", range.start(), range.end()));
            }
        }
        let numbers = [
            ("rate", self.rate, 1e-9..=1.0),
            ("clip", self.clip, 1e-6..=1e6),
            ("momentum", self.momentum, 1e-4..=1.0),
            ("timing", self.timing, 0.0..=100.0),
            ("betas[0]", self.betas[0], 0.0..=0.9999),
            ("betas[1]", self.betas[1], 0.0..=0.99999),
            ("checkpoint_minutes", self.checkpoint_minutes, 0.0..=1e4),
            ("validation_minutes", self.validation_minutes, 0.0..=1e4),
        ];
        for (name, v, range) in numbers {
            if !range.contains(&v) {
                return Err(format!("{name} is {v}; {} to {} make sense", range.start(), range.end()));
            }
        }
        self.spectrogram.samples().map(drop).map_err(|e| e.to_string())
    }

    /// The network that is trained.
    ///
    /// # Errors
    /// [`Error::Model`] for windows that make no sense.
    pub fn network(&self) -> Result<deepspeech2::Config> {
        let SpeechConfig { cell, channels, hidden, layers, context, .. } = *self;
        let (labels, bins) = (LABELS.len(), self.spectrogram.bins()?);
        Ok(deepspeech2::Config { cell, channels, hidden, layers, context, labels, bins })
    }

    /// What a pack says about the model.
    pub fn speech(&self) -> speech::Config {
        speech::Config { labels: LABELS.into(), spectrogram: self.spectrogram }
    }

    /// The learning rate of a step, counted from 0.
    pub fn rate_at(&self, step: u64) -> f64 {
        let up = (step + 1) as f64 / self.warm_up.max(1) as f64;
        let left = self.steps.saturating_sub(step) as f64 / self.steps.saturating_sub(self.warm_up).max(1) as f64;
        self.rate * up.min(left).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        let config = SpeechConfig { steps: 110, warm_up: 10, rate: 1.0, ..SpeechConfig::default() };
        let rates: Vec<f64> = (0..=110).map(|step| config.rate_at(step)).collect();
        assert_eq!((rates[0], rates[4], rates[9], rates[10], rates[60], rates[110]), (0.1, 0.5, 1.0, 1.0, 0.5, 0.0));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let of = |text: &str| {
            std::fs::write(path.path(), text).unwrap();
            SpeechConfig::load(path.path())
        };
        assert_eq!(of("{}").unwrap(), SpeechConfig::default());
        assert_eq!(of("{\"hidden\": 64}").unwrap().hidden, 64);
        for (text, says) in
            [("{\"hiden\": 1}", "hiden"), ("{\"batch\": 0}", "batch is 0"), ("{\"rate\": -1}", "rate is -1")]
        {
            assert!(of(text).unwrap_err().to_string().contains(says));
        }
    }
}
