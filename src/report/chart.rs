//! Curves as SVG that stretches with the page, and HTML labels around it that do not.

use super::{Chart, Event, EventKind, Line, Report, Weight};
use maud::{Markup, html};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Number of line colours in the style sheet; more names begin again.
const INKS: usize = 6;

/// Colours in the style sheet's order: `l0`, `l1`, ...
const INK_CLASSES: [&str; INKS] = ["l0", "l1", "l2", "l3", "l4", "l5"];

/// Where a chart's frames and values lie in its drawing.
#[derive(Debug, Clone)]
pub(super) struct Plot {
    /// Frames on the x axis, at least 1.
    pub frames: usize,
    /// Size of the drawing; its height is that on the screen in pixels, its width is stretched.
    pub width: f64,
    pub height: f64,
    pub axis: Axis,
}

impl Plot {
    /// Of the frame with this index; half ones are the borders between frames.
    pub fn x(&self, index: f64) -> f64 {
        ((index + 0.5) / self.frames as f64 * self.width).clamp(0.0, self.width)
    }

    /// Of a value; at most one height outside of the drawing.
    pub fn y(&self, value: f64) -> f64 {
        let y = (self.axis.hi - value) / (self.axis.hi - self.axis.lo) * self.height;
        y.clamp(-self.height, 2.0 * self.height)
    }
}

/// The y axis: from `lo` at the bottom to `hi` at the top, with lines at multiples of `step`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub lo: f64,
    pub hi: f64,
    pub step: f64,
}

impl Axis {
    /// The axis from `lo` to `hi` in about `steps` steps, at least 3.
    pub fn new(lo: f64, hi: f64, steps: f64) -> Axis {
        // A constant still needs a height, and a curve that differs by rounding alone is one.
        let half = 0.5 * lo.abs().max(hi.abs());
        let half = if half > 0.0 { half } else { 0.5 };
        let (lo, hi) = if hi - lo > 1e-5 * half { (lo, hi) } else { (lo - half, lo + half) };
        let axis = |steps| Axis { lo, hi, step: round_step((hi - lo) / steps) };
        // One line alone tells no scale.
        if axis(steps).ticks().len() > 1 { axis(steps) } else { axis(2.0 * steps) }
    }

    /// Lines as values and labels.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        // An end that is a multiple is one in spite of rounding.
        let slack = 1e-6;
        let (from, to) = ((self.lo / self.step - slack).ceil() as i64, (self.hi / self.step + slack).floor() as i64);
        (from..=to).map(|k| k as f64 * self.step).map(|v| (v, self.label(v))).collect()
    }

    fn label(&self, value: f64) -> String {
        let digits = -self.step.log10().floor();
        if digits > 5.0 || value.abs() >= 1e6 {
            if value == 0.0 { "0".into() } else { format!("{value:.1e}") }
        } else {
            format!("{value:.0$}", digits.max(0.0) as usize)
        }
    }

    /// Decimals that make sense when a value is read off the drawing.
    fn decimals(&self) -> usize {
        (2.0 - self.step.log10().floor()).clamp(0.0, 6.0) as usize
    }
}

/// The next of 1, 2, 5, 10, 20, ... that is not below `step`.
fn round_step(step: f64) -> f64 {
    let unit = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * unit >= step * (1.0 - 1e-9)).unwrap_or(10.0);
    factor * unit
}

/// The finite values as runs of (index, value), thinned to the smallest and the largest of every one of `columns`.
pub(super) fn thinned(values: &[Option<f32>], columns: usize) -> Vec<Vec<(usize, f32)>> {
    let n = values.len();
    let mut runs: Vec<Vec<(usize, f32)>> = Vec::new();
    let mut open = false;
    for (i, v) in values.iter().enumerate() {
        match v.filter(|v| v.is_finite()) {
            Some(v) if open => runs.last_mut().into_iter().for_each(|run| run.push((i, v))),
            Some(v) => runs.push(vec![(i, v)]),
            None => {}
        }
        open = v.is_some_and(f32::is_finite);
    }
    if n <= 2 * columns {
        return runs;
    }
    let column = |i: usize| i * columns / n;
    for run in &mut runs {
        let mut kept = Vec::with_capacity(run.len().min(2 * columns));
        for part in run.chunk_by(|a, b| column(a.0) == column(b.0)) {
            let (mut low, mut high) = (part[0], part[0]);
            for &p in part {
                if p.1 < low.1 {
                    low = p;
                }
                if p.1 > high.1 {
                    high = p;
                }
            }
            kept.push(if low.0 <= high.0 { low } else { high });
            if low.0 != high.0 {
                kept.push(if low.0 <= high.0 { high } else { low });
            }
        }
        *run = kept;
    }
    runs
}

/// SVG path data of a curve.
fn path(values: &[Option<f32>], plot: &Plot) -> String {
    let mut d = String::new();
    for run in thinned(values, plot.width as usize) {
        for (k, &(i, v)) in run.iter().enumerate() {
            let lead = if k == 0 { 'M' } else { ' ' };
            let _ = write!(d, "{lead}{:.1} {:.1}", plot.x(i as f64), plot.y(f64::from(v)));
        }
        // Round line ends turn a line without length into a dot.
        if run.len() == 1 {
            d.push_str("h0");
        }
    }
    d
}

/// The axis of a chart, and the finite values above it (how many, the largest, its index).
fn axis_of(chart: &Chart, frames: usize, steps: f64) -> (Axis, Option<(usize, f32, usize)>) {
    let finite = |line: &Line| -> Vec<(usize, f32)> {
        let known = line.values.iter().take(frames).enumerate();
        known.filter_map(|(i, v)| Some((i, v.filter(|v| v.is_finite())?))).collect()
    };
    let values: Vec<(usize, f32)> = chart.lines.iter().flat_map(finite).collect();
    let reach = chart.reach.iter().copied().filter(|v| v.is_finite());
    let (lo, hi) = values
        .iter()
        .map(|v| v.1)
        .chain(reach.clone())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(f64::from(v)), hi.max(f64::from(v))));
    if lo > hi {
        return (Axis::new(0.0, 1.0, steps), None);
    }
    // Curves keep off the edges, except where the axis ends for a reason.
    let (mut lo, mut hi) = (lo, hi);
    let air = 0.06 * (hi - lo);
    let fixed = |end: f64| reach.clone().any(|v| f64::from(v) == end);
    if !fixed(lo) {
        lo -= air;
    }
    if !fixed(hi) {
        hi += air;
    }
    let mut sorted: Vec<f32> = values.iter().map(|v| v.1).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    if chart.cut_peaks && !sorted.is_empty() {
        let bulk = f64::from(sorted[(sorted.len() - 1) * 95 / 100]);
        if bulk > 0.0 && hi > 4.0 * bulk {
            hi = reach.fold(2.0 * bulk, |hi, v| hi.max(f64::from(v)));
        }
    }
    let axis = Axis::new(lo, hi, steps);
    let over: Vec<&(usize, f32)> = values.iter().filter(|v| f64::from(v.1) > axis.hi).collect();
    let above = over.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, v)| (over.len(), *v, *i));
    (axis, above)
}

/// The positions and labels of frame numbers along a plot, as parts of its width.
fn frame_ticks(report: &Report, most: f64) -> Vec<(f64, usize)> {
    let frames = report.frames.max(1);
    let step = (round_step(frames as f64 / most) as usize).max(1);
    let end = report.number(report.frames);
    let first = report.first.checked_next_multiple_of(step).unwrap_or(end);
    (first..end).step_by(step).map(|f| (((f - report.first) as f64 + 0.5) / frames as f64, f)).collect()
}

/// Events of a kind as spans of x, those that fall onto each other drawn once.
fn spans<'a>(report: &'a Report, kind: EventKind, plot: &'a Plot) -> Vec<(f64, f64)> {
    let inside = |e: &&Event| e.kind == kind && e.last >= report.first && e.frame < report.number(report.frames);
    let mut seen = BTreeSet::new();
    let span = |e: &Event| {
        let from = plot.x(e.frame.saturating_sub(report.first) as f64 - 0.5);
        let to = plot.x(e.last.max(e.frame).saturating_sub(report.first) as f64 + 0.5);
        (from, (to - from).max(1.0))
    };
    let unseen = |&(x, w): &(f64, f64)| seen.insert((x.round() as i64, w.round() as i64));
    report.events.iter().filter(inside).map(span).filter(unseen).collect()
}

/// The classes of a kind of event, as `swatch`, `mark`.
pub(super) fn kind_class(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Gap => "gap",
        EventKind::Outlier => "outlier",
        EventKind::Clipped => "clipped",
        EventKind::Note => "note",
    }
}

/// A chart as a figure.
pub(super) fn figure(chart: &Chart, report: &Report) -> Markup {
    let frames = report.frames.max(1);
    let (width, height, steps, most) = if chart.small { (420.0, 76.0, 3.0, 4.0) } else { (1200.0, 150.0, 5.0, 10.0) };
    let (axis, above) = axis_of(chart, frames, steps);
    let plot = Plot { frames, width, height, axis };
    let mut names: Vec<&str> = Vec::new();
    for line in &chart.lines {
        if !names.contains(&line.name.as_str()) {
            names.push(&line.name);
        }
    }
    let ink = |name: &str| INK_CLASSES[names.iter().position(|n| *n == name).unwrap_or(0) % INKS];
    let has = |w: Weight| chart.lines.iter().any(|l| l.weight == w);
    let explained = has(Weight::Thin) && has(Weight::Strong) && chart.weights.iter().all(|w| !w.is_empty());
    let marks: Vec<(EventKind, Vec<(f64, f64)>)> =
        chart.marks.iter().map(|&kind| (kind, spans(report, kind, &plot))).filter(|(_, s)| !s.is_empty()).collect();
    let numbers = frame_ticks(report, most);
    let ticks = plot.axis.ticks();
    let label = if chart.unit.is_empty() { chart.title.clone() } else { format!("{}, {}", chart.title, chart.unit) };
    html! {
        figure class=(if chart.small { "chart small" } else { "chart" }) {
            header {
                h3 { (chart.title) @if !chart.unit.is_empty() { span.unit { (chart.unit) } } }
                ul.legend {
                    @if !chart.small || names.len() > 1 {
                        @for name in &names {
                            li { i class={ "swatch " (ink(name)) } {} (name) " " output data-name=(name) {} }
                        }
                    } @else {
                        @for name in &names { li { output data-name=(name) {} } }
                    }
                    @if explained && !chart.small {
                        li.key { i.thin {} (chart.weights[0]) }
                        li.key { i.strong {} (chart.weights[1]) }
                    }
                    @for (kind, _) in &marks { li.key { i class={ "mark " (kind_class(*kind)) } {} (kind.name()) } }
                }
            }
            div.plot {
                div.y style=(format!("height:{height}px")) {
                    @for (v, text) in &ticks {
                        span style=(format!("top:{:.2}%", 100.0 * plot.y(*v) / height)) { (text) }
                    }
                }
                div.area style=(format!("height:{height}px")) data-first=(report.first) data-frames=(frames)
                    data-fps=(if report.fps.is_finite() { report.fps } else { 0.0 })
                    data-lo=(plot.axis.lo) data-hi=(plot.axis.hi) data-decimals=(plot.axis.decimals()) {
                    svg viewBox=(format!("0 0 {width} {height}")) preserveAspectRatio="none" role="img"
                        aria-label=(label) {
                        @for (kind, spans) in &marks {
                            @for (x, w) in spans {
                                rect class=(kind_class(*kind)) x=(format!("{x:.1}")) y="0"
                                    width=(format!("{w:.1}")) height=(height) {}
                            }
                        }
                        @for (x, _) in &numbers {
                            @let x = format!("{:.1}", x * width);
                            line.grid x1=(x) x2=(x) y1="0" y2=(height) {}
                        }
                        @for (v, _) in &ticks {
                            @let y = format!("{:.1}", plot.y(*v));
                            line class=(if *v == 0.0 { "zero" } else { "grid" }) x1="0" x2=(width) y1=(y) y2=(y) {}
                        }
                        @for weight in [Weight::Thin, Weight::Strong] {
                            @for line in chart.lines.iter().filter(|l| l.weight == weight) {
                                @let shown = &line.values[..line.values.len().min(frames)];
                                // Shorter lines end early; they are not stretched.
                                @let class = if weight == Weight::Thin { "thin " } else { "strong " };
                                path class={ (class) (ink(&line.name)) }
                                    data-name=(line.name) d=(path(&padded(shown, frames), &plot)) {}
                            }
                        }
                    }
                }
                div.x { @for (x, frame) in &numbers { span style=(format!("left:{:.2}%", 100.0 * x)) { (frame) } } }
            }
            @if !chart.caption.is_empty() || above.is_some() {
                figcaption {
                    (chart.caption)
                    @if let Some((count, most, at)) = above {
                        @if !chart.caption.is_empty() { " · " }
                        span.above {
                            (count) (if count == 1 { " value" } else { " values" }) " above the axis, up to "
                            (number(most)) @if !chart.unit.is_empty() { " " (chart.unit) }
                            " at frame " (report.number(at))
                        }
                    }
                }
            }
        }
    }
}

/// A curve as long as the shot.
fn padded(values: &[Option<f32>], frames: usize) -> Vec<Option<f32>> {
    let mut out = values.to_vec();
    out.resize(frames, None);
    out
}

/// A figure in three significant digits.
pub(super) fn number(v: f32) -> String {
    let digits = if v == 0.0 { 0.0 } else { (2.0 - f64::from(v.abs()).log10().floor()).clamp(0.0, 6.0) };
    format!("{v:.*}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(lo: f64, hi: f64) -> Plot {
        Plot { frames: 10, width: 100.0, height: 50.0, axis: Axis::new(lo, hi, 4.0) }
    }

    fn known(values: &[f32]) -> Vec<Option<f32>> {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn axes_have_round_lines() {
        let axis = |lo, hi| Axis::new(lo, hi, 5.0).ticks().iter().map(|t| t.1.clone()).collect::<Vec<_>>().join(" ");
        assert_eq!(axis(-23.0, 31.0), "-20 0 20");
        assert_eq!(axis(0.0, 1.0), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(axis(5.0, 5.0), "3 4 5 6 7");
        assert_eq!(axis(0.0, 0.0), "-0.4 -0.2 0.0 0.2 0.4");
        assert_eq!(axis(0.0, 0.043), "0.00 0.01 0.02 0.03 0.04");
        assert_eq!(axis(11.0, 14.9), "11 12 13 14");
        assert_eq!(axis(-3e38, 3e38), "-2.0e38 0 2.0e38");
        assert_eq!(axis(0.0, 4e-9), "0 1.0e-9 2.0e-9 3.0e-9 4.0e-9");
        assert_eq!(axis(13.0, 13.000_001), axis(13.0, 13.0));
        assert_eq!(axis(1000.0, 1000.1), "1000.00 1000.02 1000.04 1000.06 1000.08 1000.10");
        for k in 0..200 {
            let lo = 0.01 * f64::from(k);
            let lines = Axis::new(lo, lo + 1.0 + 0.1 * f64::from(k % 17), 3.0).ticks().len();
            assert!((2..=7).contains(&lines), "{k}: {lines}");
        }
    }

    #[test]
    fn curves_keep_off_the_edges_unless_these_have_a_meaning() {
        let ends = |values: &[f32], reach: &[f32]| {
            let lines = vec![Line { values: known(values), ..Line::default() }];
            let (axis, above) = axis_of(&Chart { lines, reach: reach.to_vec(), ..Chart::default() }, 9, 5.0);
            assert_eq!(above, None);
            (axis.lo, axis.hi)
        };
        assert_eq!(ends(&[0.0, 100.0], &[]), (-6.0, 106.0));
        assert_eq!(ends(&[0.0, 100.0], &[0.0]), (0.0, 106.0));
        assert_eq!(ends(&[0.2, 0.9], &[0.0, 1.0]), (0.0, 1.0));
        assert_eq!(ends(&[], &[]), (0.0, 1.0));
        // What reaches too far is shown, not cut.
        assert_eq!(ends(&[50.0, 100.0], &[0.0, 1.0]), (0.0, 106.0));
    }

    #[test]
    fn the_largest_value_is_at_the_top() {
        let p = plot(-20.0, 20.0);
        assert_eq!((p.y(20.0), p.y(0.0), p.y(-20.0)), (0.0, 25.0, 50.0));
        assert_eq!(p.y(f64::MAX), -50.0);
        // Frames have a width: the first is half of it from the left edge, the last as much from the right.
        assert_eq!((p.x(0.0), p.x(9.0), p.x(-0.5), p.x(9.5)), (5.0, 95.0, 0.0, 100.0));
        assert_eq!(path(&known(&[20.0, -20.0]), &p), "M5.0 0.0 15.0 50.0");
    }

    #[test]
    fn gaps_break_the_line() {
        let p = plot(0.0, 1.0);
        let values = [Some(0.0), Some(1.0), None, Some(f32::NAN), Some(0.5), Some(f32::INFINITY), Some(0.0), Some(0.0)];
        assert_eq!(path(&values, &p), "M5.0 50.0 15.0 0.0M45.0 25.0h0M65.0 50.0 75.0 50.0");
        assert_eq!(path(&[None, None], &p), "");
    }

    #[test]
    fn thinning_keeps_extremes_and_gaps() {
        let mut values: Vec<Option<f32>> = (0..10_000).map(|i| Some((i as f32 * 0.37).sin())).collect();
        values[4321] = Some(50.0);
        values[4322] = Some(-60.0);
        values[7000] = None;
        let runs = thinned(&values, 500);
        assert_eq!(runs.len(), 2);
        let points: Vec<(usize, f32)> = runs.concat();
        assert!(points.len() <= 2 * 501, "{}", points.len());
        assert!(points.contains(&(4321, 50.0)) && points.contains(&(4322, -60.0)));
        assert!(points.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!((runs[0].last().unwrap().0 < 7000, runs[1][0].0 > 7000), (true, true));
        // Every column keeps its own extremes.
        for (c, chunk) in values.chunks(20).enumerate() {
            let seen: Vec<f32> = points.iter().filter(|p| p.0 / 20 == c).map(|p| p.1).collect();
            let of = |v: &[f32]| {
                (v.iter().copied().fold(f32::INFINITY, f32::min), v.iter().copied().fold(f32::NEG_INFINITY, f32::max))
            };
            assert_eq!(of(&seen), of(&chunk.iter().flatten().copied().collect::<Vec<_>>()), "column {c}");
        }
        assert_eq!(thinned(&values[..900], 500).concat().len(), 900);
    }

    #[test]
    fn peaks_are_cut_only_on_request() {
        let mut values = vec![1.0; 300];
        values[200] = 90.0;
        let mut chart = Chart { lines: vec![Line { values: known(&values), ..Line::default() }], ..Chart::default() };
        chart.reach = vec![0.0];
        let (axis, above) = axis_of(&chart, 300, 4.0);
        assert_eq!((axis.lo, above), (0.0, None));
        assert!(axis.hi > 90.0);
        chart.cut_peaks = true;
        let (axis, above) = axis_of(&chart, 300, 4.0);
        assert_eq!((axis.hi, above), (2.0, Some((1, 90.0, 200))));
    }

    #[test]
    fn frame_numbers_stand_under_their_frames() {
        let report = Report { first: 1001, frames: 250, ..Report::default() };
        let ticks = frame_ticks(&report, 10.0);
        assert_eq!(ticks.iter().map(|t| t.1).collect::<Vec<_>>(), [1050, 1100, 1150, 1200, 1250]);
        assert!((ticks[0].0 - 49.5 / 250.0).abs() < 1e-12);
        assert_eq!(frame_ticks(&Report { first: 7, frames: 1, ..Report::default() }, 10.0), [(0.5, 7)]);
        assert!(frame_ticks(&Report::default(), 10.0).is_empty());
    }

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(
            [0.0, 0.01234, 1.0, 41.23, 999.9, 12345.0, -2.5].map(number).join(" "),
            "0 0.0123 1.00 41.2 1000 12345 -2.50"
        );
    }
}
