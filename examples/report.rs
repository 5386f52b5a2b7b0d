//! A report of a shot that nobody filmed: the procedural head's performance, "measured" with noise and smoothed again.
//!
//!     cargo run --release --example report -- report.html [FRAMES]
//!
//! Shows what goes into a `headgan::report::Report`. Noise, gap and outliers are invented; all figures are computed
//! from them.

use anyhow::{Context, Result};
use headgan::controls::CONTROLS;
use headgan::frame::Window;
use headgan::morphable::canonical::EXPRESSION_NAMES;
use headgan::morphable::{Euler, Fit, PreparedMorphable};
use headgan::report::*;
use headgan::shot::jitter::{Landmarks, jitter, lag};
use headgan::synthetic::{self, DEMO_FPS, Renderer};
use std::time::Instant;

const SIZE: usize = 480;
const FIRST: usize = 1001;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().context("name the file to write, for example report.html")?;
    let frames: usize = arguments.next().map_or(Ok(250), |n| n.parse()).context("FRAMES is a number")?;

    let start = Instant::now();
    let model = PreparedMorphable::new(synthetic::head())?;
    let mut fits: Vec<Fit> = Vec::new();
    let mut row = SheetRow { label: "DRIVING".into(), pictures: Vec::new() };
    let shown: Vec<usize> = (0..8).map(|k| k * (frames - 1) / 7).collect();
    for (i, item) in synthetic::demo_driving(SIZE, frames)?.enumerate() {
        let (frame, fit) = item?;
        if shown.contains(&i) {
            row.pictures.push(Some(Picture::new(&frame)?));
        }
        fits.push(fit);
    }
    let drawing = start.elapsed().as_secs_f64();

    // What a tracker would have seen: the truth with noise, a gap, two outliers.
    let start = Instant::now();
    let gap = frames / 3..frames / 3 + 7;
    let outliers = [frames / 2, frames * 3 / 4];
    let mut noise = Noise(1);
    let mut shaken = |v: f32, size: f32| v + size * noise.next();
    let angles: Vec<[f32; 3]> = fits
        .iter()
        .map(|fit| {
            let e = Euler::from_camera(&fit.params.camera);
            [e.yaw, e.pitch, e.roll].map(|v| shaken(v, 1.2))
        })
        .collect();
    let expr: Vec<Vec<f32>> = fits.iter().map(|f| f.params.expr.iter().map(|&v| shaken(v, 0.05)).collect()).collect();
    let mut landmarks: Vec<Landmarks> = Vec::new();
    let mut confidence = Vec::new();
    for (i, fit) in fits.iter().enumerate() {
        let jump = if outliers.contains(&i) { 12.0 } else { 0.0 };
        let [dx, dy] = [shaken(jump, 0.8), shaken(0.0, 0.8)];
        landmarks.push(model.landmarks68(fit)?.map(|[x, y, z]| [shaken(x + dx, 0.3), shaken(y + dy, 0.3), z]));
        confidence.push(if jump > 0.0 { 0.22 } else { shaken(0.88, 0.06).clamp(0.0, 1.0) });
    }
    let seen = |i: usize| !gap.contains(&i);
    let raw: Vec<Option<Landmarks>> = landmarks.iter().enumerate().map(|(i, l)| seen(i).then_some(*l)).collect();
    let used = |i: usize| seen(i) && !outliers.contains(&i);
    let smooth = |v: &dyn Fn(usize) -> f32| smoothed(&(0..frames).map(|i| used(i).then(|| v(i))).collect::<Vec<_>>());
    let mut smooth_landmarks: Vec<Landmarks> = landmarks.clone();
    for (k, c) in (0..68).flat_map(|k| [(k, 0), (k, 1)]) {
        for (to, v) in smooth_landmarks.iter_mut().zip(smooth(&|i| landmarks[i][k][c])) {
            to[k][c] = v;
        }
    }
    let smoothed = smooth_landmarks;

    // The figures.
    let before = jitter(&raw);
    let after = jitter(&smoothed.iter().copied().map(Some).collect::<Vec<_>>());
    let mean = |v: &[Option<f32>]| v.iter().flatten().sum::<f32>() / v.iter().flatten().count().max(1) as f32;
    let (was, is) = (mean(&before), mean(&after));
    let nose = |l: &[Landmarks], c: usize| l.iter().map(|l| l[30][c]).collect::<Vec<f32>>();
    let late = lag(&nose(&landmarks, 0), &nose(&smoothed, 0));
    let (x, y) = (nose(&smoothed, 0), nose(&smoothed, 1));
    let size = |l: &Landmarks| {
        let side = |c: usize| {
            let of = l.iter().map(|p| p[c]);
            of.clone().fold(f32::MIN, f32::max) - of.fold(f32::MAX, f32::min)
        };
        side(0).max(side(1))
    };
    let measuring = start.elapsed().as_secs_f64();

    let line = |name: &str, weight, v: &dyn Fn(usize) -> f32, gaps: bool| Line {
        name: name.into(),
        weight,
        values: (0..frames).map(|i| (!gaps || seen(i)).then(|| v(i))).collect(),
    };
    let both = |name: &str, v: &dyn Fn(usize) -> f32| {
        let strong = smooth(v);
        [line(name, Weight::Thin, v, true), line(name, Weight::Strong, &|i| strong[i], false)]
    };
    let weights = || ["raw".to_string(), "smoothed".to_string()];
    let wrong = vec![EventKind::Gap, EventKind::Outlier];
    let mut charts = vec![
        Chart {
            title: "Head pose".into(),
            unit: "degrees".into(),
            caption: "Yaw above 0 turns towards the picture's left edge.".into(),
            lines: ["yaw", "pitch", "roll"].iter().enumerate().flat_map(|(k, n)| both(n, &|i| angles[i][k])).collect(),
            weights: weights(),
            reach: vec![0.0],
            marks: wrong.clone(),
            ..Chart::default()
        },
        Chart {
            title: "Confidence".into(),
            lines: vec![line("confidence", Weight::Strong, &|i| confidence[i], true)],
            reach: vec![0.0, 1.0],
            marks: wrong.clone(),
            ..Chart::default()
        },
        Chart {
            title: "Second difference of the landmarks".into(),
            unit: "px".into(),
            caption: format!("mean {was:.2} px → {is:.2} px ({:.1}x), lag {late:.2} frames", was / is),
            lines: vec![
                Line { name: "before".into(), weight: Weight::Thin, values: before },
                Line { name: "after".into(), weight: Weight::Strong, values: after },
            ],
            reach: vec![0.0],
            cut_peaks: true,
            marks: vec![EventKind::Outlier],
            ..Chart::default()
        },
        Chart {
            title: "Head position".into(),
            unit: "px".into(),
            lines: (0..2).flat_map(|c| both(["x", "y"][c], &|i| landmarks[i][30][c])).collect(),
            weights: weights(),
            ..Chart::default()
        },
        Chart {
            title: "Head size".into(),
            unit: "px".into(),
            lines: both("size", &|i| size(&landmarks[i])).into(),
            weights: weights(),
            ..Chart::default()
        },
        Chart {
            title: "Expression, mean size of the coefficients".into(),
            lines: both("expression", &|i| expr[i].iter().map(|v| v.abs()).sum::<f32>() / expr[i].len() as f32).into(),
            weights: weights(),
            reach: vec![0.0],
            ..Chart::default()
        },
    ];
    charts.extend(EXPRESSION_NAMES.iter().enumerate().map(|(k, name)| Chart {
        title: (*name).into(),
        lines: both(name, &|i| expr[i][k]).into(),
        reach: vec![0.0],
        small: true,
        ..Chart::default()
    }));

    let mut renderer = Renderer::new(headgan::synthetic::Appearance::reference())?;
    let (_, portrait) = synthetic::demo_reference(SIZE)?;
    let cells = EXPRESSION_NAMES.iter().enumerate().map(|(k, name)| {
        let mut fit = portrait.clone();
        fit.params.expr.fill(0.0);
        fit.params.expr[k] = 1.0;
        let of = expr.iter().map(|e| e[k]);
        Ok(ExpressionCell {
            name: (*name).into(),
            picture: Picture::new(&renderer.render(&fit, SIZE, SIZE)?)?,
            measure: format!("{:.2} to {:.2}", of.clone().fold(f32::MAX, f32::min), of.fold(f32::MIN, f32::max)),
        })
    });
    let cells = cells.collect::<Result<Vec<_>>>()?;

    let mut events = vec![Event {
        kind: EventKind::Gap,
        frame: FIRST + gap.start,
        last: FIRST + gap.end - 1,
        text: "no face in view".into(),
    }];
    events.extend(outliers.map(|i| Event::at(EventKind::Outlier, FIRST + i, "12 px away from its neighbours")));
    events.push(Event::at(EventKind::Note, FIRST, "first frame"));
    let side = 1.9 * f64::from(size(&smoothed[0]));
    let window = |i: usize| Window::square(f64::from(x[i]) - 0.5 * side, f64::from(y[i]) - 0.5 * side, side);
    let settings = CONTROLS.iter().map(|c| {
        let default = c.print(&c.default_value());
        let changed = c.id == "yaw_offset";
        SettingLine { id: c.id.into(), value: if changed { "10".into() } else { default.clone() }, default, changed }
    });
    let fact =
        |label: &str, value: String, note: &str, warn| Fact { label: label.into(), value, note: note.into(), warn };

    let report = Report {
        title: "synthetic_performance_v003".into(),
        subtitle: format!(
            "{SIZE} x {SIZE} px, {frames} frames at {DEMO_FPS} frames/s; invented noise, gap and outliers"
        ),
        first: FIRST,
        frames,
        fps: f64::from(DEMO_FPS),
        summary: vec![
            fact("Frames", format!("{frames}"), &format!("{FIRST} to {}", FIRST + frames - 1), false),
            fact("Gaps", format!("{} frames", gap.len()), "pose made up from neighbours", true),
            fact("Outliers", format!("{} frames", outliers.len()), "rejected", true),
            fact("Second difference", format!("{was:.2} → {is:.2} px"), "landmarks, before and after smoothing", false),
            fact("Lag", format!("{late:.2} frames"), "of the smoothed track", false),
        ],
        clips: Vec::new(),
        sheet: Sheet { columns: shown.iter().map(|i| FIRST + i).collect(), rows: vec![row] },
        charts,
        crop: Some(CropPlot {
            plate: (SIZE, SIZE),
            window: window(frames / 2),
            path: (0..frames).map(|i| Some(window(i))).collect(),
            caption: "The crop follows the smoothed nose.".into(),
        }),
        events,
        timings: vec![
            Stage { name: "draw".into(), seconds: drawing, frames },
            Stage { name: "measure and smooth".into(), seconds: measuring, frames },
        ],
        expressions: Some(ExpressionGrid { caption: "Each coefficient at 1; its range over the shot.".into(), cells }),
        models: vec![ModelLine {
            role: "morphable model".into(),
            name: "procedural head".into(),
            hash: String::new(),
            licence: "MIT OR Apache-2.0".into(),
        }],
        settings: settings.collect(),
        notes: vec!["Noise, gap and outliers are invented, to show what a report looks like.".into()],
    };
    report.write(out.as_ref())?;
    println!("{out}: {} bytes", std::fs::metadata(&out)?.len());
    Ok(())
}

/// Mean over seven frames, gaps bridged by straight lines.
fn smoothed(values: &[Option<f32>]) -> Vec<f32> {
    let known: Vec<(usize, f32)> = values.iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?))).collect();
    let whole = |i: usize| {
        let after = known.partition_point(|k| k.0 < i).min(known.len() - 1);
        let ((a, from), (b, to)) = (known[after.saturating_sub(1)], known[after]);
        let t = if b > a { (i as f32 - a as f32) / (b - a) as f32 } else { 1.0 };
        from + t.clamp(0.0, 1.0) * (to - from)
    };
    let last = values.len() - 1;
    (0..=last).map(|t| (0..7).map(|k| whole((t + k).saturating_sub(3).min(last))).sum::<f32>() / 7.0).collect()
}

/// Values of -1..1 that repeat from run to run.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}
