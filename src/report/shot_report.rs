//! The report of a shot that drives a reference: curves, crop, events and figures from its track.

use crate::Result;
use crate::controls::{CONTROLS, Settings, Values};
use crate::frame::{Filter, Frame, Window};
use crate::key::Key;
use crate::morphable::arkit::Gaze;
use crate::morphable::retarget::FramePose;
use crate::morphable::rig::{Row, check};
use crate::morphable::{Expression, Fit, PreparedMorphable, RetargetSettings, RigSettings};
use crate::reenact::context::FullPainter;
use crate::reenact::draft::DraftModel;
use crate::reenact::frame_settings::FrameSettings;
use crate::reenact::networks::ModelId;
use crate::reenact::shot::{Scratch, Shot};
use crate::report::{
    Chart, CropPlot, Event, EventKind, ExpressionCell, ExpressionGrid, Fact, Line, ModelLine, Picture, Report,
    SettingLine, Stage, Weight,
};
use crate::shot::analyse::{Analysis, Event as Found};
use crate::shot::track::Mark;
use crate::shot::{Head, Motion, Track, TrackSettings, crop, jitter};
use std::sync::Arc;

/// What a report of a shot is made of besides its pictures.
pub struct ShotParts<'a> {
    /// What was fitted.
    pub model: &'a PreparedMorphable,
    /// What drives the reference.
    pub track: &'a Track,
    /// Of the driving clip; a motion file has none.
    pub analysis: Option<&'a Analysis>,
    /// Width and height of the driving plate in pixels.
    pub plate: (usize, usize),
    /// Frames a second; 0 for a sequence of stills.
    pub fps: f64,
    /// Names of the expression coefficients, where they have any.
    pub coefficients: &'a [&'a str],
    /// What is set.
    pub values: &'a Values,
}

/// The report's curves, events, figures and settings. Title, pictures, models and further stages are the caller's.
///
/// # Errors
/// A track of another model.
pub fn build_for_shot(parts: &ShotParts) -> Result<Report> {
    let ShotParts { track, values, .. } = *parts;
    let steady = crate::shot::steadiness::steadiness(parts.model, track)?;
    let (gaps, outliers) = (track.marked(Mark::Gap), track.marked(Mark::Outlier));
    let (window, path) = windows(parts);
    let travels = path.iter().any(|s| *s != window);
    let frames = track.poses.len();
    let fact = |label: &str, value: String, note: String, warn: bool| Fact { label: label.into(), value, note, warn };
    let count = |n: usize| if n == 1 { "1 frame".to_string() } else { format!("{n} frames") };
    let mut summary = vec![
        fact("Frames", frames.to_string(), format!("{} x {} px", parts.plate.0, parts.plate.1), false),
        fact("Without a face", count(gaps.len()), numbers(&gaps), !gaps.is_empty()),
        fact("Outliers repaired", count(outliers.len()), numbers(&outliers), !outliers.is_empty()),
        fact(
            "Jitter",
            format!("{:.2} px", steady.jitter_raw),
            format!("second difference of the landmarks, {:.2} % of the eyes' distance", steady.jitter_raw_percent),
            false,
        ),
    ];
    let smoothed = track.poses != track.raw;
    if smoothed {
        let note = format!("{:.1} times less, {:+.2} frames late", steady.ratio, steady.lag);
        summary.push(fact("Jitter, smoothed", format!("{:.2} px", steady.jitter), note, steady.lag.abs() >= 0.5));
    }
    if let Some(analysis) = parts.analysis {
        let w = &analysis.work;
        let per = 1e3 * w.seconds / w.frames.max(1) as f64;
        let note = format!("{} observed, {} known from the cache", w.observed, w.reused);
        summary.push(fact("Analysis", format!("{per:.1} ms a frame"), note, false));
    }
    let settings = settings(values);
    let keys = |id: &str| values.curve(id).map_or(&[][..], |curve| curve.keys());
    let line = |s: &SettingLine| {
        let keys: Vec<_> = keys(&s.id).iter().map(|k| format!(" {} {} {}", k.frame, k.value, k.interp.id())).collect();
        format!("{}={}{}", s.id, s.value, keys.concat())
    };
    let lines: Vec<String> = settings.iter().map(line).collect();
    let hash = Key::new("settings", &lines.iter().map(|l| l.as_bytes()).collect::<Vec<_>>()).hex();
    summary.push(fact("Settings", hash[..12].into(), "their hash: equal settings, equal hash".into(), false));
    let program = format!("headgan {}", env!("CARGO_PKG_VERSION"));
    summary.push(fact("Program", program, crate::engine::cpu::description(), false));
    let to_window = |s: &crop::Square| Some(s.window());
    let caption = if travels {
        "The head travels out of a still window: the window follows it, slowly and only as far as it must."
    } else {
        "The head stays within one still window."
    };
    Ok(Report {
        first: track.first,
        frames,
        fps: parts.fps,
        summary,
        charts: charts(parts, &steady)?,
        crop: Some(CropPlot {
            plate: parts.plate,
            window: window.window(),
            path: if travels { path.iter().map(to_window).collect() } else { Vec::new() },
            caption: caption.into(),
        }),
        events: events(parts),
        timings: parts.analysis.map(stages).unwrap_or_default(),
        settings,
        ..Report::default()
    })
}

/// The still window of the driving clip, and the one of each frame.
fn windows(parts: &ShotParts) -> (crop::Square, Vec<crop::Square>) {
    let head = Head::from_model(parts.model.model());
    let squares: Vec<crop::Square> = parts.track.poses.iter().map(|p| crop::Square::around(&p.camera, &head)).collect();
    let whole = crop::Square { x: 0.0, y: 0.0, side: 1.0 };
    let window = crop::fixed(&squares).unwrap_or(whole);
    let path = (0..squares.len()).map(|i| crop::path_at(&window, i, squares.len(), |k| squares[k])).collect();
    (window, path)
}

fn charts(parts: &ShotParts, steady: &crate::shot::steadiness::Steadiness) -> Result<Vec<Chart>> {
    let track = parts.track;
    let smoothed = track.poses != track.raw;
    type Value<'v> = &'v dyn Fn(&FramePose) -> f32;
    let both = |name: &str, value: Value| -> Vec<Line> {
        let line = |weight, poses: &[_]| Line {
            name: name.into(),
            weight,
            values: poses.iter().map(|p| Some(value(p))).collect(),
        };
        let mut lines = vec![line(Weight::Strong, &track.poses)];
        if smoothed {
            lines.insert(0, line(Weight::Thin, &track.raw));
        }
        lines
    };
    let weights = || if smoothed { ["as fitted".to_string(), "smoothed".to_string()] } else { Default::default() };
    let made_up = vec![EventKind::Gap, EventKind::Outlier];
    let head = Head::from_model(parts.model.model());
    let mut charts = vec![
        Chart {
            title: "Head pose".into(),
            unit: "degrees".into(),
            lines: ["yaw", "pitch", "roll"]
                .iter()
                .enumerate()
                .flat_map(|(k, name)| {
                    both(name, &|p| {
                        let e = p.camera.euler();
                        [e.yaw, e.pitch, e.roll][k]
                    })
                })
                .collect(),
            weights: weights(),
            reach: vec![0.0],
            marks: made_up.clone(),
            ..Chart::default()
        },
        Chart {
            title: "Head position in the driving plate".into(),
            unit: "px".into(),
            lines: (0..2).flat_map(|c| both(["x", "y"][c], &|p| p.camera.project(head.centre)[c])).collect(),
            weights: weights(),
            marks: made_up.clone(),
            ..Chart::default()
        },
        Chart {
            title: "Head size".into(),
            unit: "px".into(),
            lines: both("size", &|p| head.extent * p.camera.scale),
            weights: weights(),
            marks: made_up.clone(),
            ..Chart::default()
        },
        Chart {
            title: "Confidence".into(),
            lines: vec![Line {
                name: "confidence".into(),
                weight: Weight::Strong,
                values: track.confidence.iter().map(|c| Some(*c)).collect(),
            }],
            reach: vec![0.0, 1.0],
            marks: made_up,
            caption: "0 where a frame's pose is made up from its neighbours.".into(),
            ..Chart::default()
        },
    ];
    let jitter = |poses: &[_]| -> Result<Vec<Option<f32>>> {
        let landmarks = crate::shot::steadiness::landmarks(parts.model, track, poses)?;
        Ok(jitter::jitter(&landmarks.into_iter().map(Some).collect::<Vec<_>>()))
    };
    let mut lines = vec![Line { name: "jitter".into(), weight: Weight::Strong, values: jitter(&track.poses)? }];
    if smoothed {
        lines.insert(0, Line { name: "jitter".into(), weight: Weight::Thin, values: jitter(&track.raw)? });
    }
    charts.push(Chart {
        title: "Jitter: second difference of the 68 landmarks".into(),
        unit: "px".into(),
        caption: steady.to_string(),
        lines,
        weights: weights(),
        reach: vec![0.0],
        cut_peaks: true,
        ..Chart::default()
    });
    charts.push(Chart {
        title: "Expression, mean size of the coefficients".into(),
        lines: both("expression", &|p| p.expr.iter().map(|v| v.abs()).sum::<f32>() / p.expr.len().max(1) as f32),
        weights: weights(),
        reach: vec![0.0],
        ..Chart::default()
    });
    charts.extend(gaze(parts, weights()));
    let coefficients = track.poses.first().map_or(0, |p| p.expr.len());
    for k in 0..coefficients {
        let name = parts.coefficients.get(k).map_or_else(|| format!("expression {}", k + 1), |n| (*n).to_string());
        charts.push(Chart {
            lines: both(&name, &|p| p.expr[k]),
            title: name,
            weights: weights(),
            reach: vec![0.0],
            small: true,
            ..Chart::default()
        });
    }
    Ok(charts)
}

/// Where the eyes look, of a model that has eyes.
fn gaze(parts: &ShotParts, weights: [String; 2]) -> Option<Chart> {
    let (model, track) = (parts.model.model(), parts.track);
    let of = |pose: &FramePose| model.arkit_curves(&pose.expr).map(|curves| Gaze::from_curves(&curves));
    of(track.poses.first()?)?;
    let names = ["left eye, sideways", "left eye, up", "right eye, sideways", "right eye, up"];
    let line = |k: usize, weight, poses: &[FramePose]| Line {
        name: names[k].into(),
        weight,
        values: poses.iter().map(|p| of(p).map(|g| [g.left, g.right].as_flattened()[k])).collect(),
    };
    let mut lines = Vec::new();
    for k in 0..names.len() {
        if track.poses != track.raw {
            lines.push(line(k, Weight::Thin, &track.raw));
        }
        lines.push(line(k, Weight::Strong, &track.poses));
    }
    Some(Chart {
        title: "Gaze, relative to the head".into(),
        unit: "degrees".into(),
        caption: "Positive to the face's left and up.".into(),
        lines,
        weights,
        reach: vec![0.0],
        ..Chart::default()
    })
}

/// Runs of frames with something to say.
fn events(parts: &ShotParts) -> Vec<Event> {
    let track = parts.track;
    let kind_at = |i: usize| match track.marks[i] {
        Mark::Gap => Some((EventKind::Gap, "no face was seen; the pose is made up from the frames around")),
        Mark::Outlier => Some((EventKind::Outlier, "the fit leapt away for one frame; made up from its neighbours")),
        Mark::Seen => match parts.analysis.and_then(|a| a.faces[i].as_ref()).map(|f| f.event) {
            Some(Found::Followed) => Some((EventKind::Note, "not detected; followed from the frame before")),
            Some(Found::Returned) => Some((EventKind::Note, "detected again")),
            Some(Found::Detected) | None => None,
        },
    };
    let mut out: Vec<Event> = Vec::new();
    for i in 0..track.marks.len() {
        let (Some((kind, text)), number) = (kind_at(i), track.first + i) else { continue };
        match out.last_mut() {
            Some(e) if e.kind == kind && e.text == text && e.last + 1 == number => e.last = number,
            _ => out.push(Event::at(kind, number, text)),
        }
    }
    out
}

fn stages(analysis: &Analysis) -> Vec<Stage> {
    let w = &analysis.work;
    let stage = |name: &str, seconds: f64, frames: usize| Stage { name: name.into(), seconds, frames };
    let all = [
        stage("analysis, as waited for", w.seconds, w.frames),
        stage("waiting for the decoder", w.decoding, w.decoded),
        stage("finding and fitting faces, all threads", w.observing, w.observed),
        stage("hashing pictures, all threads", w.hashing, w.decoded),
        stage("reading the cache, all threads", w.reading, w.frames),
        stage("writing the cache, all threads", w.storing, w.observed),
    ];
    all.into_iter().filter(|s| s.seconds > 0.0).collect()
}

/// Every control with its value.
pub fn settings(values: &Values) -> Vec<SettingLine> {
    let line = |c: &'static crate::controls::Control| {
        let default = c.print(&c.default_value());
        let value = match values.curve(c.id) {
            Some(curve) => format!("{} keys", curve.keys().len()),
            None => c.print(&values.get(c, 0.0)),
        };
        SettingLine { id: c.id.into(), changed: value != default, value, default }
    };
    CONTROLS.iter().map(line).collect()
}

/// The models of a pack.
pub fn models(ids: &[ModelId]) -> Vec<ModelLine> {
    let line = |m: &ModelId| ModelLine {
        role: m.role.to_string(),
        name: format!("{} of {}", m.architecture, m.pack),
        hash: m.blake3.clone(),
        licence: m.licence.clone(),
    };
    ids.iter().map(line).collect()
}

/// A generator as a line of the report.
pub fn painter(painter: &FullPainter) -> ModelLine {
    let role = match painter {
        FullPainter::Windows(_) => "windows",
        FullPainter::Generator(_) => "generator",
    };
    ModelLine {
        role: role.into(),
        name: painter.name().into(),
        hash: painter.blake3(),
        licence: painter.licence().into(),
    }
}

/// Frame numbers as text: `3, 7 to 9`, at most a few.
fn numbers(frames: &[usize]) -> String {
    const MOST: usize = 6;
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &n in frames {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => runs.push((n, n)),
        }
    }
    let text = |(a, b): &(usize, usize)| if a == b { a.to_string() } else { format!("{a} to {b}") };
    let mut out = runs.iter().take(MOST).map(text).collect::<Vec<_>>().join(", ");
    if runs.len() > MOST {
        out += ", ...";
    }
    out
}

/// Every named expression at strength 1 on a reference, Draft, with what it measures on that face.
///
/// # Errors
/// A fit that does not belong to the model.
pub fn expressions(
    model: &Arc<PreparedMorphable>,
    draft: &Arc<DraftModel>,
    picture: &Frame,
    fit: &Fit,
    settings: &Settings,
) -> Result<ExpressionGrid> {
    let rows = check(model, &fit.params.shape)?;
    let motion = Motion::from_fits([fit], (picture.width, picture.height), "");
    let track = Track::new(&motion, &Head::from_model(model.model()), &TrackSettings::default())?;
    let shot = Shot::with_model(model.clone(), draft.clone(), picture.clone(), fit, track, None)?;
    let itself = RetargetSettings { self_reenactment: true, ..RetargetSettings::default() };
    let mask = FrameSettings::from_controls(settings, true).mask;
    let side = f64::from(fit.roi.width().max(1.0));
    let window = Window::square(f64::from(fit.roi.x0), f64::from(fit.roi.y0), side);
    let mut scratch = Scratch::default();
    let mut cells = Vec::with_capacity(Expression::ALL.len());
    for &e in Expression::ALL {
        let rig = RigSettings::single(e, 1.0);
        let settings = FrameSettings { rig, retarget: itself.clone(), mask, ..FrameSettings::default() };
        let frame = shot.render(0, &|_| settings.clone(), &mut scratch)?.crop(window, 240, 240, Filter::Area);
        let control = format!("expr_{}", e.id());
        let measure = |r: &Row| {
            let warn = if r.holds() { "" } else { " (not as named)" };
            format!("{} {:.1} to {:.1} {}{warn}", r.measure, r.before, r.after, r.unit)
        };
        let measures: Vec<String> = rows.iter().filter(|r| r.control == control).map(measure).collect();
        cells.push(ExpressionCell {
            name: e.id().into(),
            picture: Picture::new(&frame)?,
            measure: measures.join("; "),
        });
    }
    let caption = "Each expression control at 1 on the reference, from the face as the reference shows it; the figures are \
                   measured on the same face at rest.";
    Ok(ExpressionGrid { caption: caption.into(), cells })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shot::motion::MotionFrame;
    use crate::synthetic;

    fn motion(frames: usize, travel: f32) -> Motion {
        let fits: Vec<Fit> = synthetic::demo_driving(96, frames).unwrap().map(|item| item.unwrap().1).collect();
        let mut motion = Motion::from_fits(&fits, (96, 96), "drawn");
        for (i, f) in motion.frames.iter_mut().flatten().enumerate() {
            let f: &mut MotionFrame = f;
            f.camera[3] += travel * i as f32;
        }
        motion
    }

    fn report(motion: &Motion, values: &Values) -> Report {
        let model = PreparedMorphable::new(synthetic::head()).unwrap();
        let track = Track::new(motion, &Head::from_model(model.model()), &values.resolve(0.0).track()).unwrap();
        let parts = ShotParts {
            model: &model,
            track: &track,
            analysis: None,
            plate: (96, 96),
            fps: 25.0,
            coefficients: &[],
            values,
        };
        build_for_shot(&parts).unwrap()
    }

    #[test]
    fn a_track_becomes_curves_events_and_settings() {
        let mut motion = motion(30, 0.0);
        (motion.frames[4], motion.frames[5]) = (None, None);
        motion.first = 100;
        let mut values = Values::new();
        let plain = report(&motion, &values);
        assert_eq!((plain.first, plain.frames), (100, 30));
        let gap = Event { kind: EventKind::Gap, frame: 104, last: 105, text: plain.events[0].text.clone() };
        assert_eq!(plain.events, [gap]);
        assert!(plain.crop.as_ref().unwrap().path.is_empty());
        assert!(plain.charts.iter().all(|c| c.lines.iter().all(|l| l.values.len() == 30)));
        assert_eq!(plain.charts[0].lines.len(), 3, "nothing is smoothed");
        assert!(plain.settings.iter().all(|s| !s.changed));
        values.assign("stabilise_rotation=2").unwrap();
        let smoothed = report(&motion, &values);
        assert_eq!(smoothed.charts[0].lines.len(), 6);
        let changed: Vec<&str> = smoothed.settings.iter().filter(|s| s.changed).map(|s| s.id.as_str()).collect();
        assert_eq!(changed, ["stabilise_rotation"]);
        let hash = |r: &Report| r.summary.iter().find(|f| f.label == "Settings").unwrap().value.clone();
        assert_ne!(hash(&plain), hash(&smoothed));
        let keyed = |value: f64| {
            let key = crate::controls::Key { frame: 0.0, value, interp: crate::controls::Interp::Linear };
            let mut values = Values::new();
            values.set_curve("yaw_offset", crate::controls::Curve::new(vec![key]).unwrap()).unwrap();
            hash(&report(&motion, &values))
        };
        assert_ne!(keyed(1.0), keyed(2.0), "curves count too");
        assert!(smoothed.html().contains("104"));
    }

    #[test]
    fn a_head_that_travels_has_a_path() {
        let crop = report(&motion(30, 3.0), &Values::new()).crop.unwrap();
        assert_eq!(crop.path.len(), 30);
    }

    #[test]
    fn runs_are_short() {
        assert_eq!(numbers(&[]), "");
        assert_eq!(numbers(&[3, 7, 8, 9]), "3, 7 to 9");
        assert_eq!(numbers(&[1, 3, 5, 7, 9, 11, 13]), "1, 3, 5, 7, 9, 11, ...");
    }
}
