//! Another sample rate.

use super::{Sound, check_rate};
use crate::{Error, Result};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

/// Least samples that are transformed at a time: enough for a steep filter.
const CHUNK: usize = 1024;

impl Sound {
    /// The same at `rate` Hz, without what lies above half of it; as long as before, within a sample.
    ///
    /// # Errors
    /// As [`Sound::new`].
    pub fn resampled(&self, rate: u32) -> Result<Sound> {
        check_rate(rate)?;
        if rate == self.rate {
            return Ok(self.clone());
        }
        let fail = |e: &dyn std::fmt::Display| {
            Error::input(format!("the sound cannot be brought from {} to {rate} Hz: {e}", self.rate))
        };
        let (from, to) = (self.rate as usize, rate as usize);
        // The filter's middle falls on a sample of both rates only where it is even in both.
        let block = 2 * from / gcd(from, to);
        let mut fft = Fft::<f64>::new_custom(
            from,
            to,
            CHUNK.next_multiple_of(block),
            1,
            1,
            rubato::WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|e| fail(&e).with_source(e))?;
        let samples =
            InterleavedSlice::new(&self.samples, 1, self.samples.len()).map_err(|e| fail(&e).with_source(e))?;
        let out = fft.process_all(&samples, self.samples.len(), None).map_err(|e| fail(&e).with_source(e))?;
        Ok(Sound::new(rate, out.take_data())?.cancelled_by(&self.cancel))
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hertz: f64, seconds: f64) -> Sound {
        let n = (seconds * f64::from(rate)).round() as usize;
        let step = std::f64::consts::TAU * hertz / f64::from(rate);
        Sound::new(rate, (0..n).map(|i| 0.5 * (step * i as f64).sin()).collect()).unwrap()
    }

    /// A tone stays that tone, in place; one above half the new rate is gone.
    #[test]
    fn tones() {
        for rate in [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000] {
            let (out, wanted) = (tone(rate, 1_000.0, 0.5).resampled(16_000).unwrap(), tone(16_000, 1_000.0, 0.5));
            assert!(out.samples().len().abs_diff(wanted.samples().len()) <= 1, "{rate}");
            let middle = 2_000..6_000;
            let off = out.samples()[middle.clone()].iter().zip(&wanted.samples()[middle]).map(|(a, b)| (a - b).abs());
            let off = off.fold(0.0, f64::max);
            assert!(off < 1e-3, "{rate}: {off}");
        }
        let gone = tone(48_000, 11_000.0, 0.5).resampled(16_000).unwrap();
        assert!(gone.samples()[2_000..6_000].iter().all(|v| v.abs() < 1e-3));
    }

    #[test]
    fn short_ones() {
        for n in [1, 2, 1_000] {
            let out = Sound::new(44_100, vec![0.25; n]).unwrap().resampled(16_000).unwrap();
            assert!(out.samples().len().abs_diff(n * 160 / 441) <= 1);
        }
        let same = tone(16_000, 100.0, 0.1);
        assert_eq!(same.resampled(16_000).unwrap(), same);
        assert!(same.resampled(1).is_err() && same.resampled(u32::MAX).is_err());
    }
}
