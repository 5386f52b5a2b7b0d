//! `headgan evaluate`: how good a reenactment is, beside two floors.

use crate::advice;
use crate::common::{self, CacheArgs, ControlArgs, ModelArgs};
use crate::driving::{AudioOptions, own_fit};
use crate::interrupt;
use clap::Args as ClapArgs;
use headgan::controls::Settings;
use headgan::controls::choices::{Device, MouthFrom, Quality, ReferenceUses};
use headgan::engine::{Embedded, cpu};
use headgan::evaluate::fid::{self, Inception};
use headgan::evaluate::lpips::Lpips;
use headgan::evaluate::performance::Signal;
use headgan::evaluate::{ClipScores, Evaluation, MEASURES, Method, summary};
use headgan::face::dense::DenseTracker;
use headgan::frame::Frame;
use headgan::media::{FrameRange, Rational, Source};
use headgan::reenact::frame_settings::FrameSettings;
use headgan::reenact::judge::dense_tracker;
use headgan::reenact::{
    AudioInput, ContextOptions, Driver, FullPainter, MatteSettings, ReferenceFit, ReferenceUse, RenderContext,
    ShotSpec, bank,
};
use headgan::shot::{AudioSource, Cache};
use headgan::{Error, Result};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measure reenactments: L1, PSNR, SSIM, LPIPS, FID, identity, head rotation, expression, flow, flicker, what arrives of the performance, eyes and mouth, beside the reference's picture copied and Draft.
#[derive(ClapArgs)]
pub struct Args {
    /// Who performs; may be given many times.
    #[arg(long, value_name = "CLIP", required_unless_present = "list")]
    driving: Vec<String>,
    /// Whose face it is. Without, each clip's own frame --reference-frame: self-reenactment, where the true pictures are known.
    #[arg(long, value_name = "R")]
    reference: Option<String>,
    /// A file with a clip to a line, and perhaps, after a tab, its reference; paths count from the file's folder.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// The frame of the clip, counted from its first, that is the reference in self-reenactment.
    #[arg(long, value_name = "N", default_value_t = 0)]
    reference_frame: usize,
    /// Measure the second half of each clip alone; with --set reference_uses=clip the first half lends what its reference frame hides.
    #[arg(long, conflicts_with = "reference")]
    second_half: bool,
    /// Frames to measure in each clip, spread evenly over it; 0: all.
    #[arg(long, value_name = "N", default_value_t = 25)]
    samples: usize,
    /// Measure this generator too: a pack's name, a .safetensors file, or 'any' for the first pack that has one.
    #[arg(long, value_name = "NAME|FILE")]
    generator: Option<String>,
    /// Measure quality full too, as reenact makes it: windows where a pack has them, else the first generator.
    #[arg(long, conflicts_with = "generator")]
    full: bool,
    /// Measure LPIPS too, in self-reenactment: the state dict of lpips.LPIPS(net='alex') or of net='vgg', .pth or .safetensors.
    #[arg(long, value_name = "FILE")]
    lpips: Option<PathBuf>,
    /// Measure FID too, over the frames of all clips: pytorch-fid's pt_inception-2015-12-05-6726825d.pth, or the same as .safetensors.
    #[arg(long, value_name = "FILE")]
    fid: Option<PathBuf>,
    /// Print everything as one JSON document.
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

/// What results are made and measured with.
struct Tools {
    context: RenderContext,
    painter: Option<FullPainter>,
    lpips: Option<Lpips>,
    inception: Option<Inception>,
    tracker: Option<DenseTracker<Embedded>>,
    cache: Option<Cache>,
}

/// A clip and, in cross-reenactment, its reference.
struct Pair {
    driving: String,
    reference: Option<String>,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let pairs = pairs(&args)?;
    let settings = args.controls.values(&args.models)?.resolve(0.0);
    let (generator, whole_face) = (args.generator.clone().filter(|name| name != "any"), args.generator.is_some());
    let context_options = ContextOptions { generator, whole_face, ..args.models.options(args.models.device()) };
    let packs = common::packs();
    let options = cpu::Options { threads: args.models.threads, ..cpu::Options::default() };
    let tracker = dense_tracker(&packs, &options)?;
    let context = RenderContext::load(packs, context_options)?;
    let full = args.full || args.generator.is_some();
    let painter = full.then(|| context.painter(settings.device)).transpose()?;
    let tools = Tools {
        context,
        painter,
        lpips: args.lpips.as_deref().map(|file| Lpips::load(file, &options)).transpose()?,
        inception: args.fid.as_deref().map(|file| Inception::load(file, &options)).transpose()?,
        tracker,
        cache: args.cache.open()?,
    };
    let mut all: Vec<ClipScores> = Vec::with_capacity(pairs.len());
    for (i, pair) in pairs.iter().enumerate() {
        interrupt::check()?;
        if !args.quiet {
            eprintln!("{} of {}: {}", i + 1, pairs.len(), pair.driving);
        }
        all.push(measure(&args, pair, &settings, &tools)?);
    }
    let summary = summary::summarise(&all);
    let performance = summary::performance(&all);
    let fid = fid::summarise(&all);
    if args.json {
        let clips: Vec<serde_json::Value> = pairs
            .iter()
            .zip(&all)
            .map(|(pair, scores)| {
                let lost: BTreeMap<_, _> = scores.faces_lost.iter().map(|(m, n)| (key(*m), n)).collect();
                let methods: BTreeMap<_, _> = scores.methods.iter().map(|(m, s)| (key(*m), s)).collect();
                let performance: BTreeMap<_, _> = scores.performance.iter().map(|(m, p)| (key(*m), p)).collect();
                json!({"driving": pair.driving, "reference": pair.reference, "frames": scores.frames,
                    "faces_lost": lost, "methods": methods,
                    "performance": tools.tracker.as_ref().map(|_| performance)})
            })
            .collect();
        let generator = tools.painter.as_ref().map(|p| json!({"name": p.name(), "blake3": p.blake3()}));
        let lpips = tools.lpips.as_ref().map(|l| json!({"trunk": l.trunk(), "blake3": l.blake3}));
        let fid = tools.inception.as_ref().map(|network| {
            json!({"blake3": network.blake3, "frames": fid.as_ref().map_or(0, |f| f.frames),
                "methods": fid.as_ref().map(|f| &f.methods)})
        });
        common::print_json(&json!({
            "pack": tools.context.networks().pack, "generator": generator, "samples": args.samples,
            "reference_frame": args.reference_frame, "lpips": lpips, "clips": clips,
            "summary": summary, "performance": tools.tracker.as_ref().map(|_| performance), "fid": fid,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    say!("means over {} clips (95 % interval); l1, flow_error and flicker of 255, psnr dB, ard degrees", all.len());
    for (method, measures) in &summary {
        for name in MEASURES {
            let Some(m) = measures.get(name) else { continue };
            let interval = match (m.low, m.high) {
                (Some(low), Some(high)) => format!("  ({low:.4} to {high:.4})"),
                _ => String::new(),
            };
            say!("{:6} {name:15} {:9.4}{interval}", key(*method), m.mean);
        }
    }
    if tools.tracker.is_some() {
        say_performance(&performance);
    } else {
        say!(
            "what arrives of the performance, and eyes and mouth, need the networks of the pack mediapipe ({})",
            advice::GET_TRACKER
        );
    }
    match fid {
        Some(fid) => {
            say!("fid over {} frames on either side; few frames read too high, compare equal numbers only", fid.frames);
            for (method, distance) in &fid.methods {
                say!("{:6} {:15} {distance:9.4}", key(*method), "fid");
            }
        }
        None if tools.inception.is_some() => say!("fid needs at least two frames"),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The table of signals, and a line for each method that says what a viewer would see.
fn say_performance(performance: &BTreeMap<Method, BTreeMap<Signal, summary::Median>>) {
    say!("performance, result against driver: medians over the clips whose driver moves ('-': it hardly does)");
    let [method, signal, correlation, gain, clips] = ["", "signal", "correlation", "gain", "clips"];
    say!("{method:6} {signal:15} {correlation:>11} {gain:>7} {clips:>6}");
    for (method, signals) in performance {
        for signal in Signal::ALL {
            let (method, name) = (key(*method), signal.name());
            let [correlation, gain, clips] = match signals.get(&signal) {
                Some(m) => {
                    [format!("{:.2}", m.arrival.correlation), format!("{:.2}", m.arrival.gain), m.clips.to_string()]
                }
                None => ["-".into(), "-".into(), "0".into()],
            };
            say!("{method:6} {name:15} {correlation:>11} {gain:>7} {clips:>6}");
        }
    }
    for (method, signals) in performance {
        say!("{}", arriving(*method, signals));
    }
}

/// Which signals arrive, in one line.
fn arriving(method: Method, signals: &BTreeMap<Signal, summary::Median>) -> String {
    if signals.is_empty() {
        return format!("{:6} nothing can be said: the driver hardly moves, or the frames are too few", key(method));
    }
    let list = |arrives: bool| {
        let names: Vec<&str> =
            signals.iter().filter(|(_, m)| m.arrival.arrives() == arrives).map(|(s, _)| s.name()).collect();
        if names.is_empty() { "nothing".into() } else { names.join(", ") }
    };
    format!("{:6} arrives: {}; does not: {}", key(method), list(true), list(false))
}

fn key(method: Method) -> &'static str {
    match method {
        Method::Copy => "copy",
        Method::Draft => "draft",
        Method::Full => "full",
    }
}

/// What is to be measured.
fn pairs(args: &Args) -> Result<Vec<Pair>> {
    let mut out: Vec<Pair> = args
        .driving
        .iter()
        .map(|driving| Pair { driving: driving.clone(), reference: args.reference.clone() })
        .collect();
    if let Some(list) = &args.list {
        let text = std::fs::read_to_string(list)
            .map_err(|e| Error::input(format!("{}: {e}: name a text file of clips", list.display())).with_source(e))?;
        let folder = list.parent().unwrap_or(Path::new("."));
        let at = |name: &str| folder.join(name.trim()).display().to_string();
        for line in text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
            let (driving, reference) = match line.split_once('\t') {
                Some((driving, reference)) => (driving, Some(at(reference))),
                None => (line, args.reference.clone()),
            };
            out.push(Pair { driving: at(driving), reference });
        }
    }
    if out.is_empty() {
        return Err(Error::Usage("there is no clip to measure: name some with --driving or --list".into()));
    }
    Ok(out)
}

fn measure(args: &Args, pair: &Pair, settings: &Settings, tools: &Tools) -> Result<ClipScores> {
    let Tools { context, painter, cache, .. } = tools;
    let networks = context.networks();
    let source = Source::open(&pair.driving)?.cancelled_by(interrupt::token());
    let choice = |width, height| settings.face(width, height);
    let analysis = common::analyse(context, &source, choice, cache.as_ref(), args.quiet)?;
    let motion = analysis.motion(networks.model_hash());
    let track = context.track(&motion, &settings.track())?;
    let total = track.poses.len();
    let own = pair.reference.is_none();
    let (picture, fit) = match &pair.reference {
        Some(reference) => {
            let picture = common::picture(reference, None)?;
            let fit = context.reference_fit(&picture, reference, None)?;
            (picture, fit)
        }
        None if args.reference_frame >= total => {
            return Err(Error::usage(format!(
                "{} has {total} frames, --reference-frame is {}: choose one of them, counted from 0",
                pair.driving, args.reference_frame
            )));
        }
        None => {
            let fit = own_fit(&analysis, args.reference_frame, &pair.driving)?;
            (source.frame(motion.first + args.reference_frame)?, fit)
        }
    };
    // A bank of a clip's first half, where its second is measured.
    let half = args.second_half.then_some(total / 2);
    let bank = match half {
        Some(half) if own && settings.reference_uses == ReferenceUses::Clip => {
            let mut first = motion.clone();
            first.frames.truncate(half);
            bank::pictures(networks, &source, &first, motion.first + args.reference_frame, interrupt::token())?
        }
        _ => Vec::new(),
    };
    let audio_options = AudioOptions {
        context,
        painter: painter.as_ref(),
        speaks: settings.mouth_from == MouthFrom::Sound,
        cache: cache.as_ref(),
        gain: settings.audio_gain,
        quiet: args.quiet,
    };
    let fps = source.info().fps.unwrap_or(Rational::whole(25));
    let shot_audio = audio_options.extract(AudioSource::from_clip(&source), fps)?;
    let lips = audio_options.lips(AudioSource::from_clip(&source), fps)?;
    let (quality, device) = match painter {
        Some(_) => (Quality::Full, settings.device),
        // Nothing runs on the controls' device.
        None => (Quality::Draft, Device::Auto),
    };
    let spec = ShotSpec {
        reference: &picture,
        fit: ReferenceFit::Given(&fit),
        driver: Driver::Track(track),
        audio: shot_audio.as_ref().map(|l| AudioInput::starting_at(l, 0.0)),
        lips,
        quality,
        uses: ReferenceUse { matte: MatteSettings::from_controls(settings), bank: &bank, ..ReferenceUse::default() },
        device,
    };
    let shot = context.shot(spec, cache.as_ref())?;
    let frame_settings = FrameSettings::from_controls(settings, own);
    let chosen: Vec<usize> = match half {
        Some(half) => spread(total - half, args.samples, None).into_iter().map(|i| half + i).collect(),
        None => spread(total, args.samples, own.then_some(args.reference_frame)),
    };
    let last = chosen.last().copied().unwrap_or(0);
    let evaluation = Evaluation {
        networks,
        shot: &shot,
        settings: frame_settings,
        full: painter.is_some(),
        own,
        chosen,
        lpips: tools.lpips.as_ref(),
        inception: tools.inception.as_ref(),
        tracker: tools.tracker.as_ref(),
    };
    let range = FrameRange { first: motion.first, last: Some(motion.first + last) };
    let frames = source.frames(Some(range))?.filter_map(|frame| {
        let read = |(n, frame): (usize, Frame)| (n - motion.first, frame);
        match frame.map(read) {
            Ok((index, _)) if !evaluation.needs(index) => None,
            other => Some(interrupt::check().and(other)),
        }
    });
    evaluation.run(frames)
}

/// At most `samples` of `total` frames (0: all), spread evenly, without the one that is the reference.
fn spread(total: usize, samples: usize, without: Option<usize>) -> Vec<usize> {
    let others: Vec<usize> = (0..total).filter(|i| Some(*i) != without || total == 1).collect();
    if samples == 0 || samples >= others.len() {
        return others;
    }
    (0..samples).map(|k| others[(2 * k + 1) * others.len() / (2 * samples)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread() {
        assert_eq!(spread(10, 3, None), [1, 5, 8]);
        assert_eq!(spread(4, 25, Some(0)), [1, 2, 3]);
        assert_eq!(spread(3, 0, None), [0, 1, 2]);
        assert_eq!(spread(1, 5, Some(0)), [0]);
    }

    #[test]
    fn what_arrives_is_said_in_a_line() {
        use headgan::evaluate::performance::Arrival;
        let of = |correlation, gain| summary::Median { arrival: Arrival { correlation, gain }, clips: 2 };
        let signals =
            BTreeMap::from([(Signal::Yaw, of(0.9, 0.9)), (Signal::Mouth, of(0.8, 0.5)), (Signal::Gaze, of(0.9, 0.1))]);
        assert_eq!(arriving(Method::Full, &signals), "full   arrives: mouth, yaw; does not: gaze");
        assert_eq!(
            arriving(Method::Copy, &BTreeMap::new()),
            "copy   nothing can be said: the driver hardly moves, or the frames are too few"
        );
    }
}
