//! Means and medians over clips, and how sure they are.

use super::performance::{Arrival, Signal};
use super::{ClipScores, MEASURES, Method};
use crate::random::Rng;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A mean over clips with the interval that holds it in 95 of 100 draws of as many clips.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// Over the clips.
    pub mean: f64,
    /// `None` for one clip.
    pub low: Option<f64>,
    /// `None` for one clip.
    pub high: Option<f64>,
    /// Clips that have the measure.
    pub clips: usize,
}

/// Draws of the bootstrap.
const DRAWS: usize = 2000;

/// Each method's measures over all clips, a clip counting once however long it is.
pub fn summarise(clips: &[ClipScores]) -> BTreeMap<Method, BTreeMap<&'static str, Mean>> {
    let mut out: BTreeMap<Method, BTreeMap<&'static str, Mean>> = BTreeMap::new();
    for method in [Method::Copy, Method::Draft, Method::Full] {
        for (k, name) in MEASURES.into_iter().enumerate() {
            let of_method = clips.iter().flat_map(|c| c.methods.iter().filter(|(m, _)| *m == method));
            let values: Vec<f64> = of_method.filter_map(|(_, scores)| scores.values()[k]).collect();
            if let Some(mean) = mean(&values) {
                out.entry(method).or_default().insert(name, mean);
            }
        }
    }
    out
}

/// The medians over the clips whose driver moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Median {
    /// Of correlation and of gain, each for itself.
    #[serde(flatten)]
    pub arrival: Arrival,
    /// Clips whose driver moves.
    pub clips: usize,
}

/// What arrives of the performance, by method and signal; a signal that hardly moves in all clips is missing.
pub fn performance(clips: &[ClipScores]) -> BTreeMap<Method, BTreeMap<Signal, Median>> {
    let mut out: BTreeMap<Method, BTreeMap<Signal, Median>> = BTreeMap::new();
    let methods: BTreeSet<Method> = clips.iter().flat_map(|c| c.performance.iter().map(|(m, _)| *m)).collect();
    for method in methods {
        let of_method = || clips.iter().flat_map(|c| c.performance.iter().filter(|(m, _)| *m == method));
        let signals = out.entry(method).or_default();
        for signal in Signal::ALL {
            let all: Vec<Arrival> = of_method().filter_map(|(_, p)| p.signals[signal as usize]).collect();
            let correlation = median(all.iter().map(|a| a.correlation).collect());
            if let (Some(correlation), Some(gain)) = (correlation, median(all.iter().map(|a| a.gain).collect())) {
                signals.insert(signal, Median { arrival: Arrival { correlation, gain }, clips: all.len() });
            }
        }
    }
    out
}

/// The mean of the two in the middle where their number is even.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(0.5 * (low + high))
}

/// The mean, and the percentiles of the means of `DRAWS` draws with replacement; the draws are always the same.
fn mean(values: &[f64]) -> Option<Mean> {
    let n = values.len();
    let of = |sum: f64| sum / n as f64;
    let middle = (n > 0).then(|| of(values.iter().sum()))?;
    if n == 1 {
        return Some(Mean { mean: middle, low: None, high: None, clips: 1 });
    }
    let mut rng = Rng(1);
    let mut draws: Vec<f64> = (0..DRAWS).map(|_| of((0..n).map(|_| values[rng.below(n)]).sum())).collect();
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| Some(draws[(share * (DRAWS - 1) as f64).round() as usize]);
    Some(Mean { mean: middle, low: at(0.025), high: at(0.975), clips: n })
}

#[cfg(test)]
mod tests {
    use super::super::Scores;
    use super::super::performance::Performance;
    use super::*;

    /// Of 400 values spread evenly over 0..1 the mean's standard error is 0.2887 / 20.
    #[test]
    fn intervals() {
        let values: Vec<f64> = (0..400).map(|i| (i as f64 + 0.5) / 400.0).collect();
        let m = mean(&values).unwrap();
        let (low, high) = (m.low.unwrap(), m.high.unwrap());
        assert!((m.mean - 0.5).abs() < 1e-12);
        assert!((high - low - 2.0 * 1.96 * 0.01443).abs() < 0.004, "{low} {high}");
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[3.0]), Some(Mean { mean: 3.0, low: None, high: None, clips: 1 }));
        assert_eq!(mean(&values), Some(m), "the draws are always the same");
    }

    #[test]
    fn a_clip_counts_once() {
        let clip = |frames, l1| ClipScores {
            frames,
            faces_lost: vec![],
            features: None,
            performance: vec![],
            methods: vec![(Method::Copy, Scores { l1: Some(l1), ..Scores::default() })],
        };
        let all = summarise(&[clip(1000, 10.0), clip(1, 20.0)]);
        assert_eq!(all[&Method::Copy]["l1"].mean, 15.0);
        assert!(!all.contains_key(&Method::Full) && !all[&Method::Copy].contains_key("csim"));
    }

    #[test]
    fn medians_are_over_clips_that_move() {
        let clip = |correlation: Option<f64>| {
            let mut signals = [None; Signal::COUNT];
            signals[Signal::Gaze as usize] = correlation.map(|c| Arrival { correlation: c, gain: 2.0 - c });
            ClipScores {
                frames: 9,
                faces_lost: vec![],
                features: None,
                methods: vec![],
                performance: vec![(Method::Draft, Performance { frames: 9, lost: 0, signals })],
            }
        };
        let of = |all: &[Option<f64>]| performance(&all.iter().map(|c| clip(*c)).collect::<Vec<_>>());
        let found = of(&[Some(0.9), None, Some(0.1), Some(0.2)]);
        assert_eq!(found[&Method::Draft].len(), 1);
        let gaze = found[&Method::Draft][&Signal::Gaze];
        assert_eq!(gaze, Median { arrival: Arrival { correlation: 0.2, gain: 1.8 }, clips: 3 });
        let even = of(&[Some(0.5), Some(0.25)])[&Method::Draft][&Signal::Gaze];
        assert_eq!((even.arrival.correlation, even.arrival.gain), (0.375, 1.625));
        assert!(of(&[None])[&Method::Draft].is_empty() && performance(&[]).is_empty());
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json["draft"]["gaze"], serde_json::json!({"correlation": 0.2, "gain": 1.8, "clips": 3}));
    }
}
