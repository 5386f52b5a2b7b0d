//! The audio values that a generator takes for a shot: [`ALL`] for each frame, kept as the [`SIGNAL`] values of the sound's signal and
//! the [`TOKENS`] letters that an acoustic model recognised around the frame.

use crate::audio::layout::{ALL, LETTERS, SIGNAL, TOKENS};
use crate::audio::speech::{Decoder, Speech};
use crate::audio::windows::{self, OTHER};
use crate::audio::{Alignment, Features, Sound, headgan84};
use crate::engine::Executor;
use crate::media::Rational;
use crate::weights::{Array, Data, Weights};
use crate::{Error, Result};
use std::ops::Range;

/// The width of the beam that finds the characters of a generator's input.
pub const BEAM: usize = 32;

/// The values of every frame that a sound accompanies.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioConditioning {
    /// [`SIGNAL`] a frame.
    signal: Vec<f32>,
    /// [`TOKENS`] a frame, each below [`LETTERS`]; `None` without an acoustic model.
    letters: Option<Vec<u8>>,
}

impl AudioConditioning {
    /// The values of a sound that begins with the first frame of a video of `fps` frames a second, for as many frames as it accompanies.
    /// Frames lie where their time is, at any rate and however long the sound. Without `speech` the values for characters are 0.
    ///
    /// # Errors
    /// As [`headgan84`] and [`Speech::hear`].
    pub fn from_sound<E: Executor>(
        sound: &Sound,
        fps: Rational,
        speech: Option<&Speech<E>>,
    ) -> Result<AudioConditioning> {
        let signal = headgan84(sound, fps, None, Alignment::Time)?;
        let letters = match speech {
            None => None,
            Some(speech) => {
                let spoken = speech.hear(sound, Decoder::Beam(BEAM))?;
                Some(letters_of(&windows::characters(&spoken, sound, fps, Some(signal.frames()))?))
            }
        };
        Ok(AudioConditioning { signal: signal.values().iter().map(|v| *v as f32).collect(), letters })
    }

    /// Frames.
    pub fn frames(&self) -> usize {
        self.signal.len() / SIGNAL
    }

    /// Whether any two frames have different values: silence and a steady hum carry no information.
    pub fn changes(&self) -> bool {
        let differs = |a: &[f32], n: usize| a.chunks_exact(n).any(|row| row != &a[..n]);
        let letters = self.letters.as_deref().unwrap_or_default();
        differs(&self.signal, SIGNAL) || letters.chunks_exact(TOKENS).any(|row| row != &letters[..TOKENS])
    }

    /// Whether an acoustic model recognised characters.
    pub fn has_characters(&self) -> bool {
        self.letters.is_some()
    }

    /// The values at a frame, which may lie between two: the signal's are then between theirs in proportion, the letters the nearer one's.
    /// Before the sound begins it is silent; behind its end its last frame stays, as in [`headgan84`].
    pub fn at(&self, frame: f64) -> [f32; ALL] {
        let mut out = [0.0; ALL];
        let (signal, characters) = out.split_at_mut(SIGNAL);
        let last = self.frames() as f64 - 1.0;
        // What is no number lies before everything.
        let frame = frame.max(-1.0).min(last);
        let (below, share) = (frame.floor(), (frame - frame.floor()) as f32);
        for (row, weight) in [(below, 1.0 - share), (below + 1.0, share)] {
            if (0.0..=last).contains(&row) && weight > 0.0 {
                let start = SIGNAL * row as usize;
                let values = &self.signal[start..start + SIGNAL];
                signal.iter_mut().zip(values).for_each(|(o, v)| *o += weight * v);
            }
        }
        if let Some(letters) = &self.letters {
            let nearest = frame.round();
            for (token, one) in characters.chunks_exact_mut(LETTERS).enumerate() {
                let letter = if nearest < 0.0 { OTHER } else { letters[TOKENS * nearest as usize + token].into() };
                one[letter] = 1.0;
            }
        }
        out
    }

    /// A run of frames by itself; where it leaves the sound, as [`AudioConditioning::at`] says.
    pub fn part(&self, frames: Range<usize>) -> AudioConditioning {
        let last = self.frames().saturating_sub(1);
        let rows = || frames.clone().map(|i| i.min(last)).filter(|_| self.frames() > 0);
        let signal = rows().flat_map(|i| self.signal[SIGNAL * i..SIGNAL * (i + 1)].iter().copied()).collect();
        let letters = self.letters.as_ref();
        let letters = letters.map(|l| rows().flat_map(|i| l[TOKENS * i..TOKENS * (i + 1)].iter().copied()).collect());
        AudioConditioning { signal, letters }
    }

    /// `signal` [n, 84], and with an acoustic model `letters` [n, 8]: 0 to 25 for a to z, 26 for anything else.
    pub fn to_arrays(&self) -> Weights {
        let n = self.frames();
        let mut out = Weights::default();
        out.insert("signal", Array::f32([n, SIGNAL], self.signal.clone()));
        if let Some(letters) = &self.letters {
            let values = letters.iter().map(|l| i32::from(*l)).collect();
            out.insert("letters", Array { shape: vec![n, TOKENS], data: Data::I32(values) });
        }
        out
    }

    /// What [`AudioConditioning::to_arrays`] made.
    ///
    /// # Errors
    /// [`Error::Input`] naming the array that is missing or does not fit.
    pub fn from_arrays(arrays: &Weights) -> Result<AudioConditioning> {
        let bad = |name: &str| Error::input(format!("'{name}' does not hold what is heard in a shot: make it again"));
        let signal = arrays.get("signal").filter(|a| a.shape.len() == 2 && a.shape[1] == SIGNAL);
        let values = signal.and_then(Array::as_f32).filter(|v| v.iter().all(|v| v.is_finite()));
        let signal = values.ok_or_else(|| bad("signal"))?.to_vec();
        let n = signal.len() / SIGNAL;
        let letters = match arrays.get("letters") {
            None => None,
            Some(array) => {
                let values = array.as_i32().filter(|_| array.shape == [n, TOKENS]);
                let letter = |l: &i32| u8::try_from(*l).ok().filter(|l| usize::from(*l) < LETTERS);
                let letters: Option<Vec<u8>> = values.and_then(|v| v.iter().map(letter).collect());
                Some(letters.ok_or_else(|| bad("letters"))?)
            }
        };
        Ok(AudioConditioning { signal, letters })
    }
}

/// The letters that rows of [`windows::characters`] say.
fn letters_of(characters: &Features) -> Vec<u8> {
    let one = |token: &[f64]| token.iter().position(|v| *v == 1.0).unwrap_or(OTHER) as u8;
    characters.rows().flat_map(|row| row.chunks_exact(LETTERS).map(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Embedded;
    use crate::synthetic;

    fn heard(frames: usize, fps: f32, rate: Rational) -> AudioConditioning {
        let samples = synthetic::demo_sound(frames, fps).iter().map(|v| f64::from(*v)).collect();
        let sound = Sound::new(synthetic::sound::SAMPLE_RATE, samples).unwrap();
        AudioConditioning::from_sound::<Embedded>(&sound, rate, None).unwrap()
    }

    fn lettered() -> AudioConditioning {
        let signal = (0..3 * SIGNAL).map(|i| i as f32).collect();
        AudioConditioning { signal, letters: Some((0..3 * TOKENS as u8).collect()) }
    }

    #[test]
    fn rows_are_the_layouts() {
        let fps = Rational::new(30_000, 1_001).unwrap();
        let samples: Vec<f64> = synthetic::demo_sound(40, fps.as_f64() as f32).iter().map(|v| f64::from(*v)).collect();
        let sound = Sound::new(synthetic::sound::SAMPLE_RATE, samples).unwrap();
        let rows = headgan84(&sound, fps, None, Alignment::Time).unwrap();
        let heard = heard(40, fps.as_f64() as f32, fps);
        assert_eq!((heard.frames(), heard.has_characters()), (40, false));
        for (i, row) in rows.rows().enumerate() {
            let row: Vec<f32> = row.iter().map(|v| *v as f32).collect();
            assert_eq!(heard.at(i as f64)[..SIGNAL], row[..]);
            assert_eq!(heard.at(i as f64)[SIGNAL..], [0.0; ALL - SIGNAL]);
        }
        assert_ne!(heard.at(3.0), heard.at(9.0));
        assert!(heard.changes() && !heard.part(3..4).changes() && !heard.part(0..0).changes());
    }

    #[test]
    fn between_frames_before_the_sound_and_behind_it() {
        let h = lettered();
        assert_eq!(h.at(0.25)[1], 1.0 + 0.25 * SIGNAL as f32);
        // The letters are the nearer frame's.
        let letter = |frame: f64, token: usize| {
            let values = h.at(frame);
            let one = &values[SIGNAL + token * LETTERS..][..LETTERS];
            assert_eq!(one.iter().sum::<f32>(), 1.0);
            one.iter().position(|v| *v == 1.0).unwrap()
        };
        assert_eq!((letter(0.25, 3), letter(0.75, 3), letter(1.0, 3)), (3, 11, 11));
        assert_eq!((letter(-1.0, 3), letter(-0.75, 3), letter(-0.25, 3)), (OTHER, OTHER, 3));
        assert_eq!(h.at(-0.5)[1], 0.5);
        for before in [-1.0, -40.0, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(h.at(before)[..SIGNAL], [0.0; SIGNAL]);
        }
        for behind in [2.0, 2.5, 1e9, f64::INFINITY] {
            assert_eq!(h.at(behind), h.at(2.0));
        }
        let part = h.part(1..5);
        assert_eq!(part.frames(), 4);
        assert_eq!([part.at(0.0), part.at(1.0), part.at(3.0)], [h.at(1.0), h.at(2.0), h.at(2.0)]);
    }

    #[test]
    fn arrays_are_read_back() {
        for h in [lettered(), heard(10, 25.0, Rational::whole(25))] {
            assert_eq!(AudioConditioning::from_arrays(&h.to_arrays()).unwrap(), h);
        }
        let mut bad = lettered().to_arrays();
        bad.insert("letters", Array { shape: vec![3, TOKENS], data: Data::I32(vec![27; 3 * TOKENS]) });
        assert!(AudioConditioning::from_arrays(&bad).unwrap_err().to_string().contains("letters"));
        bad.arrays.remove("signal");
        assert!(AudioConditioning::from_arrays(&bad).unwrap_err().to_string().contains("signal"));
    }

    /// Twice as loud is four times the energy; what does not tell loudness stays.
    #[test]
    fn gain_is_heard() {
        let samples: Vec<f64> = synthetic::demo_sound(40, 25.0).iter().map(|v| f64::from(*v)).collect();
        let sound = Sound::new(synthetic::sound::SAMPLE_RATE, samples).unwrap();
        let of = |sound: &Sound| AudioConditioning::from_sound::<Embedded>(sound, Rational::whole(25), None).unwrap();
        let (plain, loud) = (of(&sound), of(&sound.clone().louder(20.0 * 2f64.log10())));
        assert_eq!(of(&sound.louder(0.0)), plain);
        let (a, b) = (plain.at(12.0), loud.at(12.0));
        assert!((b[1] / a[1] - 4.0).abs() < 1e-4 && (b[0] - a[0]).abs() < 1e-6, "{} {}", b[1] / a[1], b[0]);
        assert!(b[8] > a[8], "the first MFCC: {} {}", a[8], b[8]);
    }
}
