//! `headgan demo`: the main job on built-in input, so that it runs on any machine.

use crate::common;
use clap::Args as ClapArgs;
use headgan::controls::choices::View;
use headgan::frame::{ContactSheet, Frame};
use headgan::media::ffmpeg::Tools;
use headgan::media::still::{self, StillOptions};
use headgan::media::{AudioFrom, Progress, Sink, SinkSpec, atomic, interrupt};
use headgan::morphable::Prepared;
use headgan::reenact::draft::DraftModel;
use headgan::reenact::shot::{Look, Scratch, Shot};
use headgan::shot::{Head, Motion, Track, TrackSettings};
use headgan::{Error, Result, synthetic};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Side of the demo's pictures in pixels.
const SIZE: usize = 512;
/// Columns of the contact sheet.
const COLUMNS: usize = 8;

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
        Error::Input(format!("{}: cannot be made ({e}); name another folder with --out", folder.display()))
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
    let (portrait, portrait_fit) = synthetic::demo_reference(SIZE)?;
    let reference = folder.join("reference.png");
    still::write(&reference, &portrait, &StillOptions::default())?;
    let sink = |stem: &str| {
        let fps = headgan::media::Rational::whole(synthetic::DEMO_FPS as u32);
        let mut spec = SinkSpec::new(SIZE, SIZE, fps);
        spec.audio = video.then(|| AudioFrom { path: sound.clone(), start: 0.0 });
        Sink::create(&name(stem).to_string_lossy(), spec)
    };
    let mut shown: Vec<usize> = (0..COLUMNS).map(|i| i * (frames - 1) / (COLUMNS - 1)).collect();
    shown.dedup();
    let mut sheet: [Vec<Frame>; 3] = Default::default();
    let mut driving = sink("driving")?;
    let mut fits = Vec::with_capacity(frames);
    let mut progress = Progress::new("drawing the driving clip", Some(frames as u64), args.quiet);
    let drawing = Instant::now();
    let model = Arc::new(Prepared::new(synthetic::head())?);
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
    let rendering = Instant::now();
    let head = model.model();
    let motion = Motion::of_fits(&fits, (SIZE, SIZE), "drawn");
    let track = Track::new(&motion, &Head::of(head), &TrackSettings::default())?;
    let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks)?);
    let shot = Shot::with_model(model.clone(), draft, portrait, &portrait_fit, track, None)?;
    let look = Look::from_controls(&headgan::controls::Settings::default(), false);
    let mut scratch = Scratch::default();
    let mut result = sink("demo")?;
    let mut progress = Progress::new("reenacting", Some(frames as u64), args.quiet);
    for i in 0..frames {
        interrupt::check()?;
        let frame = shot.render(i, &|_| look.clone(), &mut scratch)?;
        result.write(frame)?;
        if shown.contains(&i) {
            sheet[2].push(frame.clone());
            let pncc = Look { view: View::Pncc, ..look.clone() };
            sheet[1].push(shot.render(i, &|_| pncc.clone(), &mut scratch)?.clone());
        }
        progress.inc(1);
    }
    result.finish()?;
    progress.finish();
    let rendering = rendering.elapsed().as_secs_f64();

    let contact = folder.join("contact_sheet.png");
    let mut grid = ContactSheet::new(shown.len(), (192, 192));
    for (row, label) in sheet.iter().zip(["DRIVING", "PNCC", "RESULT"]) {
        for (frame, i) in row.iter().zip(&shown) {
            grid.push(frame, &format!("{label} {i}"));
        }
    }
    still::write(&contact, &grid.render(), &StillOptions::default())?;
    let report = folder.join("report.html");
    let fps = frames as f64 / rendering;
    write_file(&report, page(&shot, &look, video, frames, drawing, rendering)?.as_bytes())?;

    if args.json {
        common::print_json(&serde_json::json!({
            "video": name("demo"), "driving": name("driving"), "reference": reference, "contact_sheet": contact,
            "report": report, "frames": frames, "seconds": {"drawing": drawing, "reenacting": rendering},
            "frames_per_second": fps,
        }))?;
    } else {
        say!("video:         {}", name("demo").display());
        say!("contact sheet: {}", contact.display());
        say!("report:        {}", report.display());
        say!("{frames} frames reenacted at {fps:.1} frames a second (Draft quality)");
    }
    Ok(ExitCode::SUCCESS)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    atomic::write(path, |file| file.write_all(bytes).map_err(|e| atomic::write_error(path, &e)))
}

/// The report: what came in, what came out, the pose over time.
fn page(shot: &Shot, look: &Look, video: bool, frames: usize, drawing: f64, rendering: f64) -> Result<String> {
    let mut curves = String::new();
    for (name, ink, angle) in [("yaw", "#e4572e", 0), ("pitch", "#17bebb", 1), ("roll", "#f3a712", 2)] {
        let mut points = String::new();
        for i in 0..frames {
            let e = shot.pose(i, look)?.camera.euler();
            let degrees = [e.yaw, e.pitch, e.roll][angle];
            let x = 640.0 * i as f32 / (frames - 1) as f32;
            let _ = write!(points, "{x:.1},{:.1} ", 80.0 - 2.0 * degrees);
        }
        let _ = write!(
            curves,
            "<polyline points='{points}' fill='none' stroke='{ink}' stroke-width='2'/><text x='650' y='{}' fill='{ink}'>{name}</text>",
            30 + 20 * angle
        );
    }
    let clip = |stem: &str| {
        if video {
            format!("<video src='{stem}.mp4' controls loop width='320'></video>")
        } else {
            format!("<img src='{stem}_0000.png' width='320' alt='{stem}'>")
        }
    };
    Ok(format!(
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>HeadGAN Reenact: demo</title>
<style>body{{font:16px sans-serif;background:#161616;color:#ddd;margin:2em;max-width:1100px}}figure{{display:inline-block;margin:0 1em 1em 0}}svg{{background:#222}}img.sheet{{width:100%}}</style>
<h1>HeadGAN Reenact: demo</h1>
<p>The portrait performs what the driving head performs: pose and expression are the driver's, identity, hair and
background the portrait's. Both heads are drawn by the program; no person was filmed. Quality: Draft (no generator);
the fits are the drawing's own, no face detector runs here.</p>
<figure><img src='reference.png' width='320' alt='reference'><figcaption>reference</figcaption></figure>
<figure>{driving}<figcaption>driving</figcaption></figure>
<figure>{result}<figcaption>result</figcaption></figure>
<h2>Contact sheet</h2><img class='sheet' src='contact_sheet.png' alt='driving, PNCC and result, frame by frame'>
<h2>Head pose, degrees</h2><svg viewBox='0 0 700 160' width='700'><line x1='0' y1='80' x2='640' y2='80' stroke='#555'/>
<line x1='0' y1='20' x2='640' y2='20' stroke='#333'/><line x1='0' y1='140' x2='640' y2='140' stroke='#333'/>
<text x='2' y='16' fill='#888'>30</text><text x='2' y='156' fill='#888'>-30</text>{curves}</svg>
<h2>Timing</h2><p>{frames} frames of {SIZE}x{SIZE}: drawn in {drawing:.1} s, reenacted (with encoding) in {rendering:.1} s, {fps:.1} frames a second.
headgan {version}, {engine}.</p></html>\n",
        driving = clip("driving"),
        result = clip("demo"),
        fps = frames as f64 / rendering,
        version = env!("CARGO_PKG_VERSION"),
        engine = headgan::engine::cpu::description(),
    ))
}
