//! `headgan analyse`: fills the shot cache, prints what is known of a clip, exports its motion.

use crate::common::{self, CacheArgs, ControlArgs, ModelArgs};
use crate::interrupt;
use clap::Args as ClapArgs;
use headgan::evaluate::fitted::fit_quality;
use headgan::media::{Rational, Source};
use headgan::morphable::Euler;
use headgan::morphable::arkit::{ArkitShape, Gaze};
use headgan::morphable::retarget::FramePose;
use headgan::reenact::context::no_face;
use headgan::shot::live_link::{Performance, is_recording_name};
use headgan::shot::motion::{EXTENSION, is_motion_name};
use headgan::shot::track::Mark;
use headgan::shot::{Head, crop, steadiness};
use headgan::{Error, Result};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Analyse a clip: the face of every frame, kept in the shot cache, so that rendering starts at once.
#[derive(ClapArgs)]
pub struct Args {
    /// A video, an image sequence or an image.
    clip: String,
    /// Export pose and expression (no pixel, no face shape) for --driving, for instance actor.hgm.
    #[arg(long, value_name = "FILE.hgm")]
    motion: Option<PathBuf>,
    /// Put the actor's face shape into the motion file too; identity_mix needs it.
    #[arg(long, requires = "motion")]
    with_identity: bool,
    /// Export ARKit's 52 curves, the head's angles and its place as a Live Link Face recording, for Blender, Unreal, Maya or --driving; needs a head
    /// with ARKit's shapes (the pack mediapipe).
    #[arg(long, value_name = "FILE.csv")]
    arkit: Option<PathBuf>,
    /// Leave the head's place out of the recording, as the app does: without the three columns of ours behind its 63.
    #[arg(long, requires = "arkit")]
    without_place: bool,
    /// Print everything, frame by frame, as one JSON document.
    #[arg(long)]
    json: bool,
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
    let base = args.controls.values(&args.models)?.resolve(0.0);
    if let Some(path) = &args.motion {
        if !is_motion_name(path) {
            return Err(Error::usage(format!("{}: the name of a motion file ends in .{EXTENSION}", path.display())));
        }
        headgan::media::atomic::check_writable(path)?;
    }
    if let Some(path) = &args.arkit {
        if !is_recording_name(path) {
            return Err(Error::usage(format!("{}: the name of a recording ends in .csv", path.display())));
        }
        headgan::media::atomic::check_writable(path)?;
    }
    let source = Source::open(&args.clip)?.cancelled_by(interrupt::token());
    let context = args.models.context(base.device)?;
    let networks = context.networks();
    let cache = args.cache.open()?;
    let choice = |width, height| base.face(width, height);
    let analysis = common::analyse(&context, &source, choice, cache.as_ref(), args.quiet)?;
    let motion = analysis.motion(networks.model_hash());
    let track = context.track(&motion, &base.track())?;
    let head = Head::from_model(networks.morphable.model());
    let bytes = args.motion.as_ref().map(|path| motion.save(path, args.with_identity)).transpose()?;
    let rows = args
        .arkit
        .as_ref()
        .map(|path| {
            let shape = motion.identity.as_deref().unwrap_or_default();
            let fps = motion.fps.unwrap_or(Rational::whole(25));
            let performance = Performance::of_motion(&motion, fps, &networks.performer(shape))?;
            let performance = if args.without_place { performance.without_place() } else { performance };
            performance.save(path)?;
            Ok(performance.samples().len())
        })
        .transpose()?;
    let exported = bytes.map(|bytes| (bytes, bytes as f64 / motion.frames.len() as f64, motion.numbers_per_frame()));
    let steadiness = steadiness::steadiness(&networks.morphable, &track)?;
    let squares: Vec<crop::Square> = track.poses.iter().map(|p| crop::Square::around(&p.camera, &head)).collect();
    let window = crop::fixed(&squares).ok_or_else(|| no_face(&args.clip))?;
    let path: Vec<crop::Square> =
        (0..squares.len()).map(|i| crop::path_at(&window, i, squares.len(), |k| squares[k])).collect();
    let travels = path.iter().any(|s| *s != window);
    let (gaps, outliers) = (track.marked(Mark::Gap), track.marked(Mark::Outlier));

    let fit = fit_quality(networks, &analysis)?;

    if args.json {
        // Of the smoothed expression, which is what drives.
        let acted = |expr: &[f32]| {
            let curves = networks.morphable.model().arkit_curves(expr)?;
            let by_name = ArkitShape::ALL.iter().zip(&curves).map(|(s, v)| (s.name().to_owned(), json!(v)));
            Some((Value::Object(by_name.collect()), json!(Gaze::from_curves(&curves))))
        };
        let frames: Vec<Value> = analysis
            .faces
            .iter()
            .enumerate()
            .map(|(i, face)| {
                let seen = face.as_ref().map(|f| {
                    let pose = Euler::from_camera(&f.fit.params.camera);
                    json!({"box": [f.rect.x0, f.rect.y0, f.rect.x1, f.rect.y1], "confidence": f.confidence,
                        "event": f.event, "roi": [f.fit.roi.x0, f.fit.roi.y0, f.fit.roi.x1, f.fit.roi.y1],
                        "params62": f.fit.params.to_vec(), "pose_deg": pose})
                });
                let mut frame = json!({"frame": analysis.first + i, "face": seen, "mark": track.marks[i],
                    "raw": shown(&track.raw[i]), "smoothed": shown(&track.poses[i])});
                if let (Some(frame), Some((arkit, gaze))) = (frame.as_object_mut(), acted(&track.poses[i].expr)) {
                    frame.insert("arkit".into(), arkit);
                    frame.insert("gaze_deg".into(), gaze);
                }
                frame
            })
            .collect();
        common::print_json(&json!({
            "clip": args.clip, "frames": frames.len(), "first": analysis.first, "size": analysis.size,
            "fps": analysis.fps.map(|f| f.to_string()), "pack": networks.pack, "models": networks.models,
            "gaps": gaps, "outliers": outliers, "neutral_expression": track.stats.neutral_expr,
            "crop": {"window": window, "path": travels.then_some(&path)},
            "settings": base.track(), "steadiness": steadiness, "fit": fit,
            "motion": exported.map(|(bytes, per_frame, numbers)| {
                json!({"file": args.motion, "bytes": bytes, "bytes_per_frame": per_frame, "numbers_per_frame": numbers})
            }),
            "arkit": rows.map(|rows| json!({"file": args.arkit, "rows": rows})),
            "work": analysis.work,
            "per_frame": frames,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let w = &analysis.work;
    say!(
        "{}: {} frames, {} without a face, {} outliers repaired; {} observed, {} known already, {:.2} s",
        args.clip,
        w.frames,
        gaps.len(),
        outliers.len(),
        w.observed,
        w.reused,
        w.seconds
    );
    say!("{steadiness}");
    if let Some(fit) = fit {
        say!(
            "the head lies {:.2} % of the eyes' distance from its 478 points, lids and lips {:.2} %",
            fit.all_percent,
            fit.lids_and_lips_percent
        );
    }
    if travels {
        say!("the head travels out of the window of a still camera; the window follows it slowly");
    }
    if let Some((bytes, per_frame, numbers)) = exported {
        say!("motion: {bytes} bytes, {per_frame:.1} a frame, {numbers} numbers a frame");
    }
    if let (Some(rows), Some(path)) = (rows, &args.arkit) {
        say!("{}: {rows} rows of ARKit's curves and the head's angles", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// A pose as people read it.
fn shown(pose: &FramePose) -> Value {
    let [x, y, _] = pose.camera.translation;
    json!({"pose_deg": pose.camera.euler(), "scale": pose.camera.scale, "position": [x, y], "expression": pose.expr})
}
