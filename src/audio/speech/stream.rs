//! Streaming recognition: a sound is processed as it comes.

use super::Speech;
use crate::audio::ctc::Emissions;
use crate::audio::spectrogram::{Normalisation, Normaliser, Spectra};
use crate::audio::{check_rate, check_samples};
use crate::engine::Executor;
use crate::nets::deepspeech2;
use crate::{Error, Result};

/// Samples that go through the network at a time.
const PIECE: usize = 1 << 16;

/// A sound that comes in chunks of any size. See [`Speech::stream`].
pub struct Stream<'a, E: Executor> {
    speech: &'a Speech<E>,
    spectra: Spectra,
    normaliser: Normaliser,
    network: deepspeech2::Stream<'a, E>,
}

impl<E: Executor> Speech<E> {
    /// How many seconds of sound after a moment a stream needs before it returns that moment; `None` where the network runs in both
    /// directions and needs the whole sound.
    pub fn delay(&self) -> Option<f64> {
        let (window, step) = self.spectrogram.samples().ok()?;
        let samples = self.network.reach()? * step + window / 2 + 1;
        Some(samples as f64 / f64::from(self.spectrogram.sample_rate))
    }

    /// Processes a sound as it comes, at the model's own rate ([`Speech::spectrogram`]). The moments do not depend on how the sound is
    /// divided into chunks; with [`Normalisation::Known`] they are those of [`Speech::emissions`]. A moment is returned as soon as the
    /// sound up to [`Speech::delay`] after it is there, and the stream keeps no more than that takes.
    ///
    /// ```no_run
    /// use headgan::audio::ctc::Greedy;
    /// use headgan::audio::spectrogram::Normalisation;
    /// use headgan::audio::speech::Speech;
    /// # fn chunk() -> Option<Vec<f64>> { None }
    /// let speech = Speech::load(&headgan::models::ModelSet::discover(&[]), None, &Default::default())?;
    /// let mut stream = speech.stream(speech.spectrogram().sample_rate, Normalisation::Running)?;
    /// let mut greedy = Greedy::default();
    /// while let Some(samples) = chunk() {
    ///     for token in greedy.push(&stream.push(&samples)?) {
    ///         print!("{}", speech.character(token).character);
    ///     }
    /// }
    /// let rest = stream.finish()?;
    /// for token in greedy.push(&rest).into_iter().chain(greedy.finish()) {
    ///     print!("{}", speech.character(token).character);
    /// }
    /// # Ok::<(), headgan::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] for a network that runs in both directions, [`Error::Input`] for another rate than the model's.
    pub fn stream(&self, rate: u32, normalisation: Normalisation) -> Result<Stream<'_, E>> {
        check_rate(rate)?;
        let own = self.spectrogram.sample_rate;
        if rate != own {
            return Err(Error::input(format!(
                "the acoustic model hears a sound as it comes at {own} samples a second, not at {rate}: convert it before"
            )));
        }
        Ok(Stream {
            speech: self,
            spectra: Spectra::new(&self.spectrogram)?,
            normaliser: Normaliser::new(normalisation),
            network: deepspeech2::Stream::new(&self.executor, &self.network)?,
        })
    }
}

impl<E: Executor> Stream<'_, E> {
    /// Takes the next samples, of full scale 1; returns the moments that they settle, which may be none.
    ///
    /// # Errors
    /// [`Error::Input`] for a sample that is no number: the whole chunk is rejected. [`Error::Engine`] where the network returns
    /// values that are not numbers.
    pub fn push(&mut self, samples: &[f64]) -> Result<Emissions> {
        check_samples(samples)?;
        let mut logits = Vec::new();
        for piece in samples.chunks(PIECE) {
            let mut spectra = Vec::new();
            self.spectra.push(piece, |spectrum| self.normaliser.add(spectrum, &mut spectra));
            logits.extend(self.network.push(&spectra));
        }
        self.speech.emissions_of(logits)
    }

    /// The sound has ended: the other moments. Of a sound of no sample there are none.
    ///
    /// # Errors
    /// As [`Stream::push`].
    pub fn finish(mut self) -> Result<Emissions> {
        let mut spectra = Vec::new();
        self.spectra.finish(|spectrum| self.normaliser.add(spectrum, &mut spectra));
        let mut logits = self.network.push(&spectra);
        logits.extend(self.network.finish());
        self.speech.emissions_of(logits)
    }
}
