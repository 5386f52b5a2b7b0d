//! `headgan demo`: the main job on built-in input, so that it runs on any machine.

use crate::{common, interrupt};
use clap::Args as ClapArgs;
use headgan::controls::choices::View;
use headgan::controls::{Settings, Values};
use headgan::frame::{ContactSheet, Frame};
use headgan::media::ffmpeg::Tools;
use headgan::media::still::{self, StillOptions};
use headgan::media::{AudioFrom, Progress, Sink, SinkSpec, atomic};
use headgan::morphable::PreparedMorphable;
use headgan::morphable::canonical::EXPRESSION_NAMES;
use headgan::reenact::draft::DraftModel;
use headgan::reenact::frame_settings::FrameSettings;
use headgan::reenact::shot::{Scratch, Shot};
use headgan::report::shot_report::{ShotParts, build_for_shot, expressions};
use headgan::report::{Clip, ExpressionGrid, Fact, ModelLine, Picture, Report, Sheet, SheetRow, Stage};
use headgan::shot::{Head, Motion, Track, TrackSettings};
use headgan::{Error, Result, synthetic};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Side of the demo's pictures in pixels.
const SIZE: usize = 512;
/// Columns of the contact sheet.
const COLUMNS: usize = 8;
/// Rows of the contact sheet.
const ROWS: [&str; 3] = ["DRIVING", "PNCC", "RESULT"];

/// Run the main job on built-in input: a drawn portrait performs what another drawn head performs.
///
/// Needs no model pack: the heads are drawn by this program from its own morphable head, so their fits are known.
#[derive(ClapArgs)]
pub struct Args {
    /// Folder for the video, the contact sheet and the report.
    #[arg(long, value_name = "DIR", default_value = "headgan-demo")]
    out: PathBuf,
    /// Frames to render, at 25 a second.
    #[arg(long, value_name = "N", default_value_t = 75, value_parser = clap::value_parser!(u32).range(2..=1500))]
    frames: u32,
    /// Print a summary as one JSON document.
    #[arg(long)]
    json: bool,
    /// No progress on stderr.
    #[arg(long, short)]
    quiet: bool,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let frames = args.frames as usize;
    let folder = &args.out;
    std::fs::create_dir_all(folder).map_err(|e| {
        Error::input(format!("{}: cannot be made ({e}); name another folder with --out", folder.display()))
    })?;
    let video = match Tools::find() {
        Ok(_) => true,
        Err(error) => {
            eprintln!("headgan: {error} (the demo goes on and writes frames instead of videos)");
            false
        }
    };
    let name = |stem: &str| {
        let file = if video { format!("{stem}.mp4") } else { format!("{stem}_%04d.png") };
        folder.join(file)
    };

    // The input: a portrait, a performance with sound, and what is true of them.
    let sound = folder.join("sound.wav");
    let samples = synthetic::demo_sound(frames, synthetic::DEMO_FPS);
    write_file(&sound, &synthetic::sound::wav(&samples))?;
    let (portrait, portrait_fit) = synthetic::demo_portrait(SIZE)?;
    let reference = folder.join("reference.png");
    still::write(&reference, &portrait, &StillOptions::default())?;
    let sink = |stem: &str| {
        let fps = headgan::media::Rational::whole(synthetic::DEMO_FPS as u32);
        let mut spec = SinkSpec::new(SIZE, SIZE, fps);
        spec.audio = video.then(|| AudioFrom { path: sound.clone(), start: 0.0 });
        Ok(Sink::create(&name(stem).to_string_lossy(), spec)?.cancelled_by(interrupt::token()))
    };
    let mut shown: Vec<usize> = (0..COLUMNS).map(|i| i * (frames - 1) / (COLUMNS - 1)).collect();
    shown.dedup();
    let mut sheet: [Vec<Frame>; 3] = Default::default();
    let mut driving = sink("driving")?;
    let mut fits = Vec::with_capacity(frames);
    let mut progress = Progress::new("drawing the driving clip", Some(frames as u64), args.quiet);
    let drawing = Instant::now();
    let model = Arc::new(PreparedMorphable::new(synthetic::head())?);
    for (i, item) in synthetic::demo_driving(SIZE, frames)?.enumerate() {
        interrupt::check()?;
        let (frame, fit) = item?;
        driving.write(&frame)?;
        fits.push(fit);
        if shown.contains(&i) {
            sheet[0].push(frame);
        }
        progress.inc(1);
    }
    driving.finish()?;
    progress.finish();
    let drawing = drawing.elapsed().as_secs_f64();

    // The main job.
    let head = model.model();
    let motion = Motion::from_fits(&fits, (SIZE, SIZE), "drawn");
    let track = Track::new(&motion, &Head::from_model(head), &TrackSettings::default())?;
    let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks)?);
    let grid = expressions(&model, &draft, &portrait, &portrait_fit, &Settings::default())?;
    let rendering = Instant::now();
    let matte = synthetic::demo_matte(SIZE)?;
    let shot = Shot::with_known_matte(model.clone(), draft, portrait, &portrait_fit, track, matte)?;
    let frame_settings = FrameSettings::from_controls(&Settings::default(), false);
    let mut scratch = Scratch::default();
    let mut result = sink("demo")?;
    let mut progress = Progress::new("reenacting", Some(frames as u64), args.quiet);
    for i in 0..frames {
        interrupt::check()?;
        let frame = shot.render(i, &|_| frame_settings.clone(), &mut scratch)?;
        result.write(frame)?;
        if shown.contains(&i) {
            sheet[2].push(frame.clone());
            let pncc = FrameSettings { view: View::Pncc, ..frame_settings.clone() };
            sheet[1].push(shot.render(i, &|_| pncc.clone(), &mut scratch)?.clone());
        }
        progress.inc(1);
    }
    result.finish()?;
    progress.finish();
    let rendering = rendering.elapsed().as_secs_f64();

    let contact = folder.join("contact_sheet.png");
    let mut cells = ContactSheet::new(shown.len(), (192, 192));
    for (row, label) in sheet.iter().zip(ROWS) {
        for (frame, i) in row.iter().zip(&shown) {
            cells.push(frame, &format!("{label} {i}"));
        }
    }
    still::write(&contact, &cells.render(), &StillOptions::default())?;
    let page = folder.join("report.html");
    let fps = frames as f64 / rendering;
    let rows = sheet.iter().zip(ROWS).map(|(row, label)| {
        let pictures = row.iter().map(|frame| Picture::new(frame).map(Some)).collect::<Result<Vec<_>>>()?;
        Ok(SheetRow { label: label.into(), pictures })
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    let sheet = Sheet { columns: shown, rows };
    report(Done { shot: &shot, model: &model, sheet, expressions: grid, video, drawing, rendering })?.write(&page)?;

    if args.json {
        common::print_json(&serde_json::json!({
            "video": name("demo"), "driving": name("driving"), "reference": reference, "contact_sheet": contact,
            "report": page, "frames": frames, "seconds": {"drawing": drawing, "reenacting": rendering},
            "frames_per_second": fps,
        }))?;
    } else {
        say!("video:         {}", name("demo").display());
        say!("contact sheet: {}", contact.display());
        say!("report:        {}", page.display());
        say!("{frames} frames reenacted at {fps:.1} frames a second (Draft quality)");
    }
    Ok(ExitCode::SUCCESS)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    atomic::write(path, |file| file.write_all(bytes).map_err(|e| atomic::write_error(path, e)))
}

/// What the report is made of.
struct Done<'a> {
    shot: &'a Shot,
    model: &'a PreparedMorphable,
    sheet: Sheet,
    expressions: ExpressionGrid,
    /// Whether videos were written, or single frames.
    video: bool,
    /// Seconds.
    drawing: f64,
    rendering: f64,
}

/// The report: what came in, what came out, pose and expression over time.
fn report(done: Done) -> Result<Report> {
    let Done { shot, model, sheet, expressions, video, drawing, rendering } = done;
    let frames = shot.len();
    let values = Values::default();
    let mut report = build_for_shot(&ShotParts {
        model,
        track: shot.track(),
        analysis: None,
        plate: (SIZE, SIZE),
        fps: f64::from(synthetic::DEMO_FPS),
        coefficients: &EXPRESSION_NAMES,
        values: &values,
    })?;
    let fact =
        |label: &str, value: String, note: &str| Fact { label: label.into(), value, note: note.into(), warn: false };
    let clip = |label: &str, stem: &str| {
        let file = if video { format!("{stem}.mp4") } else { format!("{stem}_0000.png") };
        let row = sheet.rows.iter().find(|row| row.label.eq_ignore_ascii_case(label));
        let poster = row.and_then(|row| row.pictures.first()?.clone());
        Clip { label: label.into(), file, poster }
    };
    report.title = "HeadGAN Reenact: demo".into();
    report.subtitle = "The portrait performs what the driving head performs; both heads are drawn by the program, no \
                       person was filmed."
        .into();
    report.summary.extend([
        fact("Quality", "Draft".into(), "the picture is warped, no generator runs"),
        fact("Fits", "known".into(), "the drawing's own, no face detector runs"),
        fact("Speed", format!("{:.1} frames/s", frames as f64 / rendering), "reenacting and encoding"),
    ]);
    report.clips = vec![
        Clip { label: "reference".into(), file: "reference.png".into(), poster: None },
        clip("driving", "driving"),
        clip("result", "demo"),
    ];
    report.sheet = sheet;
    report.expressions = Some(expressions);
    report.timings = vec![
        Stage { name: "draw and encode the driving clip".into(), seconds: drawing, frames },
        Stage { name: "reenact and encode".into(), seconds: rendering, frames },
    ];
    report.models = vec![ModelLine {
        role: "morphable model".into(),
        name: "the program's own head".into(),
        hash: String::new(),
        licence: env!("CARGO_PKG_LICENSE").into(),
    }];
    report.notes = vec![
        "Pose and expression are the driver's; identity, hair and background are the portrait's.".into(),
        "Expression coefficients are 0 at rest and 1 at their full extent.".into(),
    ];
    Ok(report)
}
