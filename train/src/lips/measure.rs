//! How far the gap of the lips follows: its correlation with the truth's, clip by clip, by the clip's sound and in silence.

use super::store::SpokenClip;
use crate::regressor::measure::correlation;
use headgan::Result;
use headgan::audio::lips::{LipCurves, SoundLips};
use headgan::audio::mel::MelSpectra;
use headgan::engine::Executor;
use serde::Serialize;

/// What a clip's lips came to.
#[derive(Debug, Clone, Serialize)]
pub struct ClipFigures {
    pub name: String,
    pub held: bool,
    /// Correlation of the gap with the truth's, by sound, and where the sound is silence.
    pub by_sound: f64,
    pub in_silence: f64,
    /// Deviation of the gap over that of the truth's, and the truth's as a share of the distance of the eyes.
    pub size: f64,
    pub truth: f64,
    /// The largest correlation of loudness and gap near their moment, which said that the sound belongs to the face.
    pub agreement: f64,
}

/// Figures of clips, in their order.
///
/// # Errors
/// As [`SoundLips::see`].
pub fn measure<E: Executor>(lips: &SoundLips<E>, clips: &[&SpokenClip]) -> Result<Vec<ClipFigures>> {
    let figures = |clip: &&SpokenClip| -> Result<ClipFigures> {
        let curves = lips.see(&clip.spectra, || Ok(()))?;
        // As quiet as a file of zeros.
        let quiet = MelSpectra::from_log(vec![-23.0; clip.spectra.log().len()]);
        let silent = quiet.map(|quiet| lips.see(&quiet, || Ok(()))).transpose()?;
        let (r, size, truth) = compare(clip, &curves);
        let in_silence = silent.map_or(0.0, |silent| compare(clip, &silent).0);
        let note = &clip.note;
        let (name, held, agreement) = (note.name.clone(), note.held, note.agreement);
        Ok(ClipFigures { name, held, by_sound: r, in_silence, size, truth, agreement })
    };
    clips.iter().map(figures).collect()
}

/// Correlation, quotient of the deviations, and the truth's.
fn compare(clip: &SpokenClip, curves: &LipCurves) -> (f64, f64, f64) {
    let seen = (0..clip.gap.len()).filter(|i| clip.confidence[*i] > 0.0);
    let pairs: Vec<(f64, f64)> =
        seen.map(|i| (f64::from(curves.at(i as f64 / clip.note.fps)[0]), f64::from(clip.gap[i]))).collect();
    let deviation = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let n = pairs.len().max(1) as f64;
        let mean = pairs.iter().map(of).sum::<f64>() / n;
        (pairs.iter().map(|p| (of(p) - mean).powi(2)).sum::<f64>() / n).sqrt()
    };
    let (a, b) = (deviation(&|p| p.0), deviation(&|p| p.1));
    (correlation(&pairs), a / b.max(1e-9), b)
}

/// The middle of figures; 0 where there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 { 0.0 } else { 0.5 * (values[(n - 1) / 2] + values[n / 2]) }
}
