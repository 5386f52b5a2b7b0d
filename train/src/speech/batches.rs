//! What a step learns from: sounds of about one length, which follow from seed and step alone.
//!
//! Shorter sounds get silence, before them and behind them, until all are as long as the longest. So every moment of a batch is
//! one that a model may hear, and none is left out of the statistics of batch norms or of the loss.

use super::config::SpeechConfig;
use super::data::{SpeechDataSet, labels};
use headgan::audio::{Sound, spectrogram::spectrogram};
use headgan::nets::deepspeech2;
use headgan::random::Rng;
use headgan::{Error, Result};
use tch::{Device, Kind, Tensor};

/// How far lengths are thought longer or shorter when sounds are sorted, so that not the same ones always meet.
const SHAKE: f64 = 0.1;
/// Most silence that the longest sound of a batch gets, in seconds.
const SILENCE: f64 = 0.3;

/// What a step learns from.
#[derive(Debug)]
pub struct Batch {
    /// `[n, 1, bins, t]`
    pub spectra: Tensor,
    /// Moments of each.
    pub moments: Vec<i64>,
    /// Labels of all texts, one after the other.
    pub labels: Vec<i64>,
    /// Labels of each.
    pub lengths: Vec<i64>,
    /// Letters whose time is known: sound, label, moment.
    pub timed: Vec<[i64; 3]>,
}

/// Which sounds meet in an epoch, a round through all of them.
#[derive(Debug, Default)]
pub struct Epochs {
    epoch: Option<u64>,
    batches: Vec<Vec<usize>>,
}

impl Epochs {
    /// The sounds of a step.
    fn of(&mut self, data: &SpeechDataSet, config: &SpeechConfig, step: u64) -> &[usize] {
        let batches = data.train.len().div_ceil(config.batch).max(1) as u64;
        let epoch = step / batches;
        if self.epoch != Some(epoch) {
            let mut rng = Rng::from_parts(&[config.seed, 1, epoch]);
            let mut order: Vec<(f64, usize)> = data
                .train
                .iter()
                .enumerate()
                .map(|(i, one)| (one.seconds.unwrap_or(0.0) * (1.0 + rng.within(SHAKE)), i))
                .collect();
            order.sort_by(|a, b| a.0.total_cmp(&b.0));
            self.batches = order.chunks(config.batch).map(|c| c.iter().map(|(_, i)| *i).collect()).collect();
            rng.shuffle(&mut self.batches);
            self.epoch = Some(epoch);
        }
        &self.batches[(step % batches) as usize]
    }

    /// The batch of a step.
    ///
    /// # Errors
    /// [`Error::Input`] where there is nothing to learn from or a sound cannot be read.
    pub fn batch(&mut self, data: &SpeechDataSet, config: &SpeechConfig, step: u64, device: Device) -> Result<Batch> {
        if data.train.is_empty() {
            return Err(Error::Input("the manifest has no sound to train on (\"set\": \"train\")".into()));
        }
        let rate = config.spectrogram.sample_rate;
        let mut rng = Rng::from_parts(&[config.seed, 2, step]);
        let mut sounds = Vec::new();
        for &i in self.of(data, config, step) {
            sounds.push((&data.train[i], data.sound(&data.train[i])?.resampled(rate)?));
        }
        let longest = sounds.iter().map(|(_, s)| s.samples().len()).max().unwrap_or(0);
        let all = longest + (rng.unit() * SILENCE * f64::from(rate)) as usize;
        let seconds = deepspeech2::STRIDE as f64 * config.spectrogram.samples()?.1 as f64 / f64::from(rate);
        let (mut values, mut frames) = (Vec::new(), 0);
        let (mut said, mut lengths, mut timed) = (Vec::new(), Vec::new(), Vec::new());
        for (n, (one, sound)) in sounds.iter().enumerate() {
            let before = rng.below(all - sound.samples().len() + 1);
            let mut samples = vec![0.0; all];
            samples[before..before + sound.samples().len()].copy_from_slice(sound.samples());
            let spectra = spectrogram(&Sound::new(rate, samples)?, &config.spectrogram)?;
            frames = spectra.frames();
            values.extend_from_slice(spectra.values());
            let these = labels(&one.text);
            let mut last = -1;
            for (label, onset) in these.iter().zip(&one.onsets) {
                let Some(onset) = onset else { continue };
                let moment = ((onset + before as f64 / f64::from(rate)) / seconds).round() as i64;
                // One moment has one character.
                if moment > last && moment < deepspeech2::moments(frames) as i64 {
                    timed.push([n as i64, *label, moment]);
                    last = moment;
                }
            }
            lengths.push(these.len() as i64);
            said.extend(these);
        }
        let bins = config.spectrogram.bins()? as i64;
        let spectra = Tensor::from_slice(&values).reshape([sounds.len() as i64, 1, bins, frames as i64]);
        Ok(Batch {
            spectra: spectra.to_kind(Kind::Float).to_device(device),
            moments: vec![deepspeech2::moments(frames) as i64; sounds.len()],
            labels: said,
            lengths,
            timed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::MANIFEST;
    use super::*;
    use headgan::synthetic::sound::wav;

    /// Every sound once an epoch; letters' times move with the sound.
    #[test]
    fn rounds() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = String::new();
        for i in 0..7usize {
            let mut samples = vec![0.0; 1_600 * (i + 2)];
            samples[800] = 0.9;
            std::fs::write(folder.path().join(format!("{i}.wav")), wav(&samples)).unwrap();
            manifest += &format!("{{\"sound\": \"{i}.wav\", \"text\": \"ab\", \"onsets\": [0.05, null]}}\n");
        }
        std::fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        let data = SpeechDataSet::open(folder.path()).unwrap();
        let config = SpeechConfig { batch: 3, ..SpeechConfig::default() };
        let mut epochs = Epochs::default();
        for epoch in 0..2 {
            let mut seen: Vec<usize> = (0..3).flat_map(|i| epochs.of(&data, &config, 3 * epoch + i).to_vec()).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..7).collect::<Vec<_>>());
        }
        let batch = epochs.batch(&data, &config, 1, Device::Cpu).unwrap();
        let again = Epochs::default().batch(&data, &config, 1, Device::Cpu).unwrap();
        assert!(batch.spectra.equal(&again.spectra) && batch.timed == again.timed);
        let n = batch.lengths.len();
        assert_eq!((batch.labels.len(), batch.timed.len(), batch.moments.len()), (2 * n, n, n));
        // The click is heard where the letter is timed: the loudest of the spectra around it.
        for [sound, label, moment] in batch.timed {
            let loud = batch.spectra.get(sound).get(0).sum_dim_intlist(0, false, Kind::Float);
            let peak = loud.argmax(0, false).int64_value(&[]);
            assert!(label == 2 && (2 * moment - peak).abs() <= 2, "{moment} {peak}");
        }
    }
}
