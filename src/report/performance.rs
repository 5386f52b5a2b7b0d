//! Driver and result as curves, signal by signal.

use super::{Chart, Line, Weight};
use crate::evaluate::performance::{Arrival, Signal, Signals, arrival};

/// Frames of a shot that were read by a tracker.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Ascending indices in the shot.
    pub frames: Vec<usize>,
    /// The driver's signals in these frames; `None` where no face was found.
    pub driver: Vec<Option<Signals>>,
    /// The result's.
    pub result: Vec<Option<Signals>>,
}

/// A chart for each signal, over all `frames` of the shot.
pub fn performance_charts(measured: &Measured, frames: usize) -> Vec<Chart> {
    let performance = arrival(&measured.driver, &measured.result);
    let chart = |(signal, arrival): (Signal, Option<_>)| {
        let line = |name: &str, all: &[Option<Signals>]| Line {
            name: name.into(),
            weight: Weight::Strong,
            values: joined(&measured.frames, all, signal, frames),
        };
        let caption = match arrival {
            Some(Arrival { correlation, gain }) => format!("correlation {correlation:.2}, gain {gain:.2}"),
            None => "the driver hardly moves".into(),
        };
        Chart {
            title: format!("Performance: {}", signal.title()),
            unit: signal.unit().into(),
            caption,
            lines: vec![line("driver", &measured.driver), line("result", &measured.result)],
            ..Chart::default()
        }
    };
    performance.iter().map(chart).collect()
}

/// A value for each frame of the shot: between two measured frames on the line that joins them, none where a face was lost.
fn joined(at: &[usize], all: &[Option<Signals>], signal: Signal, frames: usize) -> Vec<Option<f32>> {
    let mut out = vec![None; frames];
    let known: Vec<(usize, Option<f64>)> =
        at.iter().zip(all).map(|(&i, s)| (i, s.map(|s| s[signal as usize]))).collect();
    for (k, &(i, value)) in known.iter().enumerate() {
        let Some(value) = value else { continue };
        let next = known.get(k + 1).and_then(|&(j, next)| Some((j, next?)));
        let (end, slope) = next.map_or((i + 1, 0.0), |(j, next)| (j, (next - value) / (j - i) as f64));
        for (frame, out) in out.iter_mut().enumerate().take(end).skip(i) {
            *out = Some((value + slope * (frame - i) as f64) as f32);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_join_what_was_measured_and_break_where_a_face_is_lost() {
        let signals = |v: f64| Some([v; Signal::COUNT]);
        let all = [signals(1.0), signals(3.0), None, signals(5.0)];
        let values = joined(&[0, 2, 4, 6], &all, Signal::Gaze, 8);
        assert_eq!(values, [Some(1.0), Some(2.0), Some(3.0), None, None, None, Some(5.0), None]);
    }

    #[test]
    fn a_chart_for_every_signal() {
        let wave = |size: f64| {
            (0..20).map(|t| Some(Signal::ALL.map(|s| size * s.floor() * f64::from(t).sin()))).collect::<Vec<_>>()
        };
        let measured = Measured { frames: (0..20).collect(), driver: wave(4.0), result: wave(2.0) };
        let charts = performance_charts(&measured, 20);
        assert_eq!(charts.len(), Signal::COUNT);
        assert!(charts.iter().all(|c| c.caption == "correlation 1.00, gain 0.50" && c.lines.len() == 2));
        assert!(charts.iter().all(|c| c.lines.iter().all(|l| l.values.iter().all(Option::is_some))));
        let still = Measured { driver: wave(0.1), ..measured };
        assert!(performance_charts(&still, 20).iter().all(|c| c.caption.contains("hardly moves")));
    }
}
