//! How near the own network comes to the one that labelled, run by the embedded engine as the program runs it.

use super::label::{LabelledClip, decode};
use crate::interrupt;
use headgan::Result;
use headgan::engine::{Embedded, cpu};
use headgan::evaluate::performance::{Signal, Signals, arrival, signals};
use headgan::face::dense::landmarks::Landmarks;
use headgan::face::dense::{DenseFace, Region};
use headgan::frame::Frame;
use headgan::random::Rng;
use headgan::weights::Weights;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Faces of each clip that are looked at.
const FACES: usize = 24;

/// What is said of a network beside another: medians over clips.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Figures {
    pub clips: usize,
    pub faces: usize,
    /// Mean distance of the 478 points in shares of the distance of the eyes' outer corners: the mean over clips, and the median.
    pub distance: f64,
    pub distance_median: f64,
    /// Of lids and irises, and of lips, the mean over clips.
    pub eyes: f64,
    pub lips: f64,
    /// Correlation and gain of each signal, where the labels move.
    pub signals: BTreeMap<&'static str, [f64; 2]>,
}

impl Figures {
    /// In a line.
    pub fn text(&self) -> String {
        let percent = |v: f64| format!("{:.2} %", 100.0 * v);
        let signals: Vec<String> =
            self.signals.iter().map(|(name, [r, gain])| format!("{name} {r:.3}/{gain:.2}")).collect();
        format!(
            "{} faces of {} clips: points {} (median {}), eyes {}, lips {}; {}",
            self.faces,
            self.clips,
            percent(self.distance),
            percent(self.distance_median),
            percent(self.eyes),
            percent(self.lips),
            signals.join(" ")
        )
    }
}

/// The distance of two faces' points, in shares of the distance of the first one's eyes: all, those of eyes, those of lips.
fn distances(wanted: &[[f32; 3]], got: &[[f32; 3]]) -> [f64; 3] {
    use headgan::face::dense::refinement::{LIPS, lids};
    let flat = |a: &[f32; 3], b: &[f32; 3]| f64::from((a[0] - b[0]).hypot(a[1] - b[1]));
    let eyes = flat(&wanted[33], &wanted[263]).max(1e-6);
    let mean = |all: &mut dyn Iterator<Item = usize>| {
        let (mut sum, mut n) = (0.0, 0usize);
        for i in all {
            sum += flat(&wanted[i], &got[i]);
            n += 1;
        }
        sum / n.max(1) as f64 / eyes
    };
    let [right, left] = lids();
    [
        mean(&mut (0..wanted.len())),
        mean(&mut right.iter().chain(left).copied().chain(468..478)),
        mean(&mut LIPS.iter().copied()),
    ]
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The points that are wanted of a face, and those that were found.
pub type Pair = (Vec<[f32; 3]>, Option<Vec<[f32; 3]>>);

/// Pairs of what was wanted and what was found, clip by clip.
#[derive(Default)]
pub struct Comparison {
    clips: Vec<[f64; 3]>,
    faces: usize,
    signals: BTreeMap<&'static str, Vec<[f64; 2]>>,
}

impl Comparison {
    /// Adds a clip; missing answers are left out.
    pub fn add(&mut self, pairs: &[Pair]) {
        let both: Vec<_> = pairs.iter().filter_map(|(w, g)| Some((w, g.as_ref()?))).collect();
        if both.is_empty() {
            return;
        }
        let mut sum = [0.0; 3];
        for (wanted, got) in &both {
            for (s, d) in sum.iter_mut().zip(distances(wanted, got)) {
                *s += d / both.len() as f64;
            }
        }
        self.clips.push(sum);
        self.faces += both.len();
        let wanted: Vec<Option<Signals>> = both.iter().map(|(w, _)| signals(w)).collect();
        let got: Vec<Option<Signals>> = both.iter().map(|(_, g)| signals(g)).collect();
        for (signal, found) in arrival(&wanted, &got).iter() {
            if let Some(found) = found {
                self.signals.entry(Signal::name(signal)).or_default().push([found.correlation, found.gain]);
            }
        }
    }

    pub fn figures(&self) -> Figures {
        let n = self.clips.len().max(1) as f64;
        let mean = |k: usize| self.clips.iter().map(|c| c[k]).sum::<f64>() / n;
        let signal = |(name, all): (&&'static str, &Vec<[f64; 2]>)| {
            (*name, [0, 1].map(|k| median(all.iter().map(|v| v[k]).collect())))
        };
        Figures {
            clips: self.clips.len(),
            faces: self.faces,
            distance: mean(0),
            distance_median: median(self.clips.iter().map(|c| c[0]).collect()),
            eyes: mean(1),
            lips: mean(2),
            signals: self.signals.iter().map(signal).collect(),
        }
    }
}

/// The labelled faces of clips, each from a region that is a little off: without a finder.
///
/// # Errors
/// Those of the network and the labels.
pub fn crops(weights: Weights, clips: &[LabelledClip]) -> Result<Figures> {
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    let network = Landmarks::own(Embedded::new(Arc::new(weights), &options), false);
    let mut comparison = Comparison::default();
    for (c, clip) in clips.iter().enumerate() {
        interrupt::check()?;
        let every = clip.faces.len().div_ceil(FACES).max(1);
        let mut pairs = Vec::new();
        for (i, face) in clip.faces.iter().enumerate().step_by(every) {
            let picture = decode(&face.jpeg)?;
            let mut frame = Frame::new(picture.width, picture.height);
            for (k, p) in picture.data.as_chunks::<3>().0.iter().enumerate() {
                let [b, g, r] = p.map(|v| f32::from(v) / 255.0);
                frame.set_pixel(k % picture.width, k / picture.width, [r, g, b, 1.0]);
            }
            let mut points = Box::new([[0.0; 3]; 478]);
            points.iter_mut().zip(&face.points).for_each(|(a, p)| *a = *p);
            let wanted = DenseFace { points, presence: 1.0 };
            let mut rng = Rng::from_parts(&[23, c as u64, i as u64]);
            let exact = wanted.region();
            let mut off = || (0.02 * rng.signed()) * exact.side;
            let centre = [exact.centre[0] + off(), exact.centre[1] + off()];
            let side = exact.side * (1.0 + off() / exact.side);
            let found = network.find(&frame, &Region { centre, side, turn: exact.turn })?;
            pairs.push((face.points.clone(), Some(found.points.to_vec())));
        }
        comparison.add(&pairs);
    }
    Ok(comparison.figures())
}

/// What [`clips`] needs.
pub struct Beside<'a> {
    /// The networks that are measured.
    pub own: &'a headgan::reenact::networks::Networks,
    /// Those whose answers are wanted.
    pub wanted: &'a headgan::reenact::networks::Networks,
    /// One frame of so many.
    pub every: usize,
}

/// What whole clips gave.
#[derive(Debug, Clone, Serialize)]
pub struct ClipFigures {
    #[serde(flatten)]
    pub figures: Figures,
    /// Frames in which the other networks find a face, and in how many of these the own ones do.
    pub frames: usize,
    pub found: usize,
    /// Milliseconds of observing a frame on one thread, own and other networks: the median, and what a tenth of the frames took less than
    /// (on a busy machine the truer one).
    pub own_ms: [f64; 2],
    pub wanted_ms: [f64; 2],
    /// Clip by clip: its name and its figures.
    pub by_clip: Vec<(String, Figures)>,
}

/// Whole frames, each by itself, from finding the face on, as an analysis sees them: the largest face of each.
///
/// # Errors
/// Those of networks and clips.
pub fn clips(beside: &Beside, paths: &[std::path::PathBuf], quiet: bool) -> Result<ClipFigures> {
    let largest = |networks: &headgan::reenact::networks::Networks, frame: &Frame| -> Result<Option<DenseFace>> {
        let faces = networks.observer().observe(frame)?.faces;
        let dense = faces.into_iter().filter_map(|f| f.fitted?.dense).filter(|d| d.presence > 0.5);
        let area = |d: &DenseFace| d.bounds().width() * d.bounds().height();
        Ok(dense.max_by(|a, b| area(a).total_cmp(&area(b))))
    };
    let timed = |networks, frame: &Frame, times: &mut Vec<f64>| {
        let begun = Instant::now();
        let answer = largest(networks, frame);
        times.push(1e3 * begun.elapsed().as_secs_f64());
        answer
    };
    let [mut own_times, mut wanted_times] = [Vec::new(), Vec::new()];
    let (mut all, mut by_clip, mut frames, mut found) = (Comparison::default(), Vec::new(), 0, 0);
    for path in paths {
        let source = headgan::media::Source::open_with(path, Default::default(), None)?;
        let mut pairs = Vec::new();
        for (i, frame) in source.frames(None)?.enumerate() {
            interrupt::check()?;
            let (_, frame) = frame?;
            if !i.is_multiple_of(beside.every) {
                continue;
            }
            let wanted = timed(beside.wanted, &frame, &mut wanted_times)?;
            let Some(wanted) = wanted else { continue };
            let got = timed(beside.own, &frame, &mut own_times)?;
            // Another face of the picture is none of the one that is meant.
            let near = |d: &DenseFace| {
                let ([a, b], [c, e]) = (d.bounds().center(), wanted.bounds().center());
                (a - c).hypot(b - e) < 0.5 * wanted.bounds().width()
            };
            let got = got.filter(near);
            frames += 1;
            found += usize::from(got.is_some());
            pairs.push((wanted.points.to_vec(), got.map(|d| d.points.to_vec())));
        }
        let mut alone = Comparison::default();
        alone.add(&pairs);
        all.add(&pairs);
        let figures = alone.figures();
        let name = super::label::stem(&path.to_string_lossy());
        if !quiet {
            eprintln!("{name}: {}", figures.text());
        }
        by_clip.push((name, figures));
    }
    let times = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        [2, 10].map(|n| all.get(all.len() / n).copied().unwrap_or(f64::NAN))
    };
    let [own_ms, wanted_ms] = [own_times, wanted_times].map(times);
    Ok(ClipFigures { figures: all.figures(), frames, found, own_ms, wanted_ms, by_clip })
}
