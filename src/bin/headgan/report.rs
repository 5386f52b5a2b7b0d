//! `headgan report`: everything that is known of a shot, on one HTML page.

use crate::advice;
use crate::common::{self, CacheArgs, ControlArgs, ModelArgs};
use crate::driving::{AudioOptions, Driving, own_fit};
use crate::interrupt;
use crate::reenact::same_file;
use clap::Args as ClapArgs;
use headgan::controls::choices::{MouthFrom, Quality, View};
use headgan::engine::cpu;
use headgan::evaluate::{driver_signals, result_signals};
use headgan::frame::Frame;
use headgan::media::{FrameRange, Progress, Source, atomic};
use headgan::reenact::frame_settings::FrameSettings;
use headgan::reenact::judge::dense_tracker;
use headgan::reenact::shot::Scratch;
use headgan::reenact::{
    AudioInput, ContextOptions, Driver, MatteSettings, ReferenceFit, ReferenceUse, RenderContext, ShotSpec,
};
use headgan::report::performance::{Measured, performance_charts};
use headgan::report::shot_report::{ShotParts, build_for_shot, expressions, models, painter as painter_line};
use headgan::report::{Picture, Sheet, SheetRow, Stage};
use headgan::{Error, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Write a report of a shot: contact sheet, curves before and after smoothing, driver and result signal by signal, crop, outliers, timing, models, settings.
#[derive(ClapArgs)]
pub struct Args {
    /// The driving clip, or a motion file.
    shot: String,
    /// The page to write; it holds its pictures and needs nothing else.
    #[arg(short, long, value_name = "FILE.html")]
    output: PathBuf,
    /// Whose face performs; the clip's own first face unless told.
    #[arg(long, value_name = "R")]
    reference: Option<String>,
    /// Keyframes of controls, as JSON.
    #[arg(long, value_name = "FILE.json")]
    keys: Option<PathBuf>,
    /// Frames in the contact sheet.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=48))]
    columns: u32,
    /// Frames in which driver and result are compared signal by signal, spread evenly; 0: none. Needs the pack mediapipe.
    #[arg(long, value_name = "N", default_value_t = 50)]
    signals: u32,
    /// Generator for quality full: a pack's name or a .safetensors file.
    #[arg(long, value_name = "NAME|FILE")]
    generator: Option<String>,
    /// No progress on stderr.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    controls: ControlArgs,
    #[command(flatten)]
    models: ModelArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let mut values = args.controls.values(&args.models)?;
    if let Some(keys) = &args.keys {
        values.read_keys(keys)?;
    }
    let base = values.resolve(0.0);
    atomic::check_writable(&args.output)?;
    let driving = Driving::open(&args.shot)?;
    let reference = match (&args.reference, &driving) {
        (Some(reference), _) => Some(Source::open(reference)?.cancelled_by(interrupt::token())),
        (None, Driving::Motion(_) | Driving::Recording(_) | Driving::Sound(_)) => {
            let text = format!("{} holds no picture: say whose face performs with --reference R", args.shot);
            return Err(Error::usage(text));
        }
        (None, Driving::Clip(_)) => None,
    };
    let options = ContextOptions { generator: args.generator.clone(), ..args.models.options(base.device) };
    let packs = common::packs();
    // A motion file shows no driver to compare with.
    let tracker = match &driving {
        Driving::Clip(_) if args.signals > 0 => {
            dense_tracker(&packs, &cpu::Options { threads: args.models.threads, ..cpu::Options::default() })?
        }
        _ => None,
    };
    let context = RenderContext::load(packs, options)?;
    let networks = context.networks();
    let full = base.quality == Quality::Full;
    let painter = full.then(|| context.painter(base.device)).transpose()?;
    let driving = match &reference {
        Some(source) if matches!(driving, Driving::Recording(_)) => {
            let picture = source.frame(source.info().first + base.reference_frame)?;
            let fit = context.reference_fit(&picture, &source.path().display().to_string(), None)?;
            driving.performed_by(networks, &fit, None, &args.shot, args.quiet)?
        }
        _ => driving,
    };
    driving.check(networks, &values, &args.shot)?;

    let cache = args.cache.open()?;
    let (motion, analysis) = driving.motion(&context, &base, cache.as_ref(), args.quiet)?;
    let preparing = Instant::now();
    let track = context.track(&motion, &base.track())?;
    let tracked = preparing.elapsed().as_secs_f64();
    let (first, frames) = (track.first, track.poses.len());
    // Without a reference the clip's own: the first frame that shows the face.
    let seen = motion.frames.iter().position(Option::is_some).unwrap_or(0);
    let (picture, name) = match (&reference, &driving) {
        (Some(source), _) => {
            let name = source.path().display().to_string();
            (source.frame(source.info().first + base.reference_frame)?, name)
        }
        (None, Driving::Clip(source)) => (source.frame(first + seen)?, args.shot.clone()),
        (None, Driving::Motion(_) | Driving::Recording(_) | Driving::Sound(_)) => {
            return Err(Error::Usage("say whose face performs with --reference R".into()));
        }
    };
    let same = args.reference.as_ref().is_none_or(|r| same_file(r, &args.shot));
    let fit = match &analysis {
        Some(analysis) if same => {
            own_fit(analysis, if reference.is_some() { base.reference_frame } else { seen }, &name)?
        }
        _ => context.reference_fit(&picture, &name, None)?,
    };
    let mut lines = models(&networks.models);
    lines.extend(painter.as_ref().map(painter_line));

    let columns = (args.columns as usize).min(frames);
    let shown: Vec<usize> = (0..columns).map(|i| i * (frames - 1) / (columns - 1).max(1)).collect();
    let mut rows: Vec<(&str, Vec<Option<Picture>>)> = Vec::new();
    let mut progress = Progress::new("rendering", Some(shown.len() as u64), args.quiet);
    if let Driving::Clip(source) = &driving {
        let pictures = shown.iter().map(|&i| Picture::new(&source.frame(first + i)?).map(Some));
        rows.push(("DRIVING", pictures.collect::<Result<_>>()?));
    }
    // A model without the landmarks of a face has none; the rest of the report does without.
    let (grid, without) = match expressions(&networks.morphable, &networks.draft, &picture, &fit, &base) {
        Ok(grid) => (Some(grid), None),
        Err(Error::Model(text)) => (None, Some(format!("The expression controls are not shown: {text}."))),
        Err(other) => return Err(other),
    };
    let audio_options = AudioOptions {
        context: &context,
        painter: painter.as_ref(),
        speaks: base.mouth_from == MouthFrom::Sound,
        cache: cache.as_ref(),
        gain: base.audio_gain,
        quiet: args.quiet,
    };
    let shot_audio = audio_options.extract(driving.audio_source(None), driving.fps())?;
    let lips = audio_options.lips(driving.audio_source(None), driving.fps())?;
    let spec = ShotSpec {
        reference: &picture,
        fit: ReferenceFit::Given(&fit),
        driver: Driver::Track(track),
        audio: shot_audio.as_ref().map(|l| AudioInput::starting_at(l, 0.0)),
        lips,
        quality: base.quality,
        uses: ReferenceUse { matte: MatteSettings::from_controls(&base), ..ReferenceUse::default() },
        device: base.device,
    };
    let shot = context.shot(spec, cache.as_ref())?;
    let mut scratch = Scratch::default();
    let mut views = [("PNCC", View::Pncc, Vec::new(), 0.0), ("RESULT", View::Result, Vec::new(), 0.0)];
    for &i in &shown {
        interrupt::check()?;
        for (_, view, pictures, seconds) in &mut views {
            let frame_settings = |k: usize| {
                let frame_settings = FrameSettings::from_controls(&values.resolve((first + k) as f64), same);
                FrameSettings { view: *view, ..frame_settings }
            };
            let started = Instant::now();
            let frame: &Frame = shot.render(i, &frame_settings, &mut scratch)?;
            *seconds += started.elapsed().as_secs_f64();
            pictures.push(Some(Picture::new(frame)?));
        }
        progress.inc(1);
    }
    progress.finish();
    let measured = match (&driving, &tracker) {
        (Driving::Clip(source), Some(tracker)) => {
            let step = frames.div_ceil(args.signals as usize).max(1);
            let mut measured = Measured::default();
            let mut progress = Progress::new("signals", Some(frames.div_ceil(step) as u64), args.quiet);
            let range = FrameRange { first, last: Some(first + frames - 1) };
            for (i, frame) in source.frames(Some(range))?.enumerate() {
                interrupt::check()?;
                let (_, frame) = frame?;
                if i % step != 0 {
                    continue;
                }
                let frame_settings = |k: usize| {
                    let frame_settings = FrameSettings::from_controls(&values.resolve((first + k) as f64), same);
                    FrameSettings { view: View::Result, ..frame_settings }
                };
                let result = shot.render(i, &frame_settings, &mut scratch)?;
                measured.frames.push(i);
                measured.driver.push(driver_signals(tracker, &shot, i, &frame)?);
                measured.result.push(result_signals(tracker, result)?);
                progress.inc(1);
            }
            progress.finish();
            Some(measured)
        }
        _ => None,
    };

    let plate = motion.size;
    let fps = motion.fps.map_or(0.0, |f| f.as_f64());
    let names = networks.morphable.model().expression_names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut report = build_for_shot(&ShotParts {
        model: &networks.morphable,
        track: shot.track(),
        analysis: analysis.as_ref(),
        plate,
        fps,
        coefficients: &names,
        values: &values,
    })?;
    if let Some(measured) = &measured {
        // Before the many small ones of single coefficients.
        let at = report.charts.iter().position(|c| c.small).unwrap_or(report.charts.len());
        report.charts.splice(at..at, performance_charts(measured, frames));
    } else if matches!(driving, Driving::Clip(_)) && args.signals > 0 {
        report.notes.push(format!(
            "Driver and result are not compared signal by signal: that needs the networks of the pack mediapipe ({}).",
            advice::GET_TRACKER.replace('`', "")
        ));
    }
    let file_name = |name: &str| {
        let path = std::path::Path::new(name);
        path.file_name().map_or_else(|| name.to_string(), |n| n.to_string_lossy().into_owned())
    };
    report.title = format!("Shot report: {}", file_name(&args.shot));
    report.subtitle = match &args.reference {
        Some(reference) => format!("{} performs what {} performs.", file_name(reference), file_name(&args.shot)),
        None => "The clip's own face performs what it performs.".into(),
    };
    report.timings.push(Stage { name: "gaps, outliers, smoothing".into(), seconds: tracked, frames });
    for (label, _, pictures, seconds) in views {
        let name = if label == "PNCC" {
            "PNCC"
        } else if full {
            "Full"
        } else {
            "Draft"
        };
        report.timings.push(Stage { name: format!("rendering {name}"), seconds, frames: pictures.len() });
        rows.push((label, pictures));
    }
    let rows = rows.into_iter().map(|(label, pictures)| SheetRow { label: label.into(), pictures }).collect();
    report.sheet = Sheet { columns: shown.iter().map(|i| first + i).collect(), rows };
    report.models = lines;
    report.expressions = grid;
    report.notes.extend(without);
    report.write(&args.output)?;
    say!("{}", args.output.display());
    Ok(ExitCode::SUCCESS)
}
