//! `headgan reenact`: the main job.

use crate::common::{self, CacheArgs, ControlArgs, ModelArgs};
use crate::driving::{AudioOptions, Driving, own_fit};
use crate::interrupt;
use clap::Args as ClapArgs;
use headgan::controls::Values;
use headgan::controls::choices::{Background, MouthFrom, Quality, ReferenceUses, View};
use headgan::engine::library::Precision;
use headgan::frame::{Color, Frame};
use headgan::media::source::SourceKind;
use headgan::media::still::Format;
use headgan::media::{AudioFrom, Progress, Rational, Sink, SinkSpec, Source, SourceInfo};
use headgan::media::{FrameRange, ffmpeg::Tools, writer};
use headgan::reenact::backend::Backend;
use headgan::reenact::frame_settings::FrameSettings;
use headgan::reenact::shot::{Scratch, Shot};
use headgan::reenact::{
    AudioInput, ContextOptions, Driver, FullPainter, MatteSettings, ReferenceFit, ReferenceUse, RenderContext,
    ShotSpec, bank, view,
};
use headgan::shot::cache;
use headgan::shot::track::Mark;
use headgan::{Error, Result};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{channel, sync_channel};
use std::time::{Duration, Instant};

/// Make the face of one picture perform what the face of a clip performs.
#[derive(ClapArgs)]
pub struct Args {
    /// Whose face it is: an image, a video or an image sequence.
    #[arg(long, value_name = "R")]
    reference: String,
    /// Who performs: a video, an image sequence, an image, a motion file (`headgan analyse CLIP --motion FILE.hgm`), or a Live Link Face
    /// recording (.csv). Without, the reference holds still and speaks what is heard in --audio.
    #[arg(long, value_name = "D", required_unless_present = "audio")]
    driving: Option<String>,
    /// .mp4, .mov or .mkv, or frames such as f_%04d.png (png, exr, tiff, jpg).
    #[arg(short, long, value_name = "OUT")]
    output: String,
    /// Driving frames to render, both included; the statistics are still those of the whole clip.
    #[arg(long, value_name = "A-B", value_parser = parse_range)]
    frames: Option<FrameRange>,
    #[command(flatten)]
    controls: ControlArgs,
    /// Frames a second that a recording, or a sound alone, is performed at; else those of a reference that is a clip, else the
    /// recording's own, or 25.
    #[arg(long, value_name = "RATE")]
    fps: Option<Rational>,
    /// A picture of the reference's size that is white where the person is and black where what is behind shows: instead of the reference's alpha or a pack's
    /// network.
    #[arg(long, value_name = "FILE")]
    matte: Option<PathBuf>,
    /// Keyframes of controls, as JSON.
    #[arg(long, value_name = "FILE.json")]
    keys: Option<PathBuf>,
    /// Sound that counts instead of the driving clip's: for a mouth that follows it (`--set mouth_from=sound`), for a generator that
    /// listens, and under the result.
    #[arg(long, value_name = "FILE")]
    audio: Option<PathBuf>,
    /// No sound under the result.
    #[arg(long, conflicts_with = "audio")]
    no_audio: bool,
    /// draft warps the reference; full runs the generator of a pack.
    #[arg(long, value_parser = ["draft", "full"])]
    quality: Option<String>,
    /// What to deliver.
    #[arg(long, value_parser = ["result", "crop", "pncc", "landmarks", "flow", "mask", "confidence", "matte"])]
    view: Option<String>,
    /// Generator for quality full: a pack's name or a .safetensors file.
    #[arg(long, value_name = "NAME|FILE")]
    generator: Option<String>,
    /// Print a summary as one JSON document.
    #[arg(long)]
    json: bool,
    /// No progress on stderr.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    models: ModelArgs,
    /// What the generator computes in; fp32 unless told. Only the torch engine has others.
    #[arg(long, value_name = "PRECISION", value_parser = Precision::IDS)]
    precision: Option<String>,
    /// Memory that the generator may take on the torch engine, such as 6GB: more is an error. No limit unless told.
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    #[command(flatten)]
    cache: CacheArgs,
}

/// `12-80`, `12-` or `12`.
fn parse_range(text: &str) -> Result<FrameRange, String> {
    let wrong = || format!("'{text}' is no range of frames: write 12-80, 12- or 12");
    let number = |t: &str| t.trim().parse::<usize>().map_err(|_| wrong());
    let (first, last) = match text.split_once('-') {
        None => (number(text)?, Some(number(text)?)),
        Some((a, b)) if b.trim().is_empty() => (number(a)?, None),
        Some((a, b)) => (number(a)?, Some(number(b)?)),
    };
    if last.is_some_and(|l| l < first) {
        return Err(format!("the range {text} ends before it starts"));
    }
    Ok(FrameRange { first, last })
}

/// A matte from a picture: its alpha where it has one, else its brightness, as the codes in the file have them.
fn read_matte(file: &Path, reference: &Frame) -> Result<Vec<f32>> {
    let source = Source::open(&file.to_string_lossy())?;
    let picture = source.frame(source.info().first)?;
    let (size, wanted) = ((picture.width, picture.height), (reference.width, reference.height));
    if size != wanted {
        return Err(Error::usage(format!(
            "{}: the matte has {}x{} pixels, the reference {}x{}: make them the same",
            file.display(),
            size.0,
            size.1,
            wanted.0,
            wanted.1
        )));
    }
    let opaque = picture.is_opaque();
    let shown = picture.to_display(Color::Srgb);
    let share = |p: &[f32; 4]| if opaque { (p[0] + p[1] + p[2]) / 3.0 } else { p[3] };
    Ok(shown.data.as_chunks::<4>().0.iter().map(|p| share(p).clamp(0.0, 1.0)).collect())
}

/// What the options say about every frame.
struct Direction {
    values: Values,
    /// Number of the driving clip's first frame; keyframes count as the clip does.
    first: usize,
    same: bool,
}

impl Direction {
    fn frame_settings(&self, index: usize) -> FrameSettings {
        FrameSettings::from_controls(&self.values.resolve((self.first + index) as f64), self.same)
    }
}

pub fn run(args: Args) -> Result<ExitCode> {
    let mut values = args.controls.values(&args.models)?;
    for (id, value) in [("quality", &args.quality), ("view", &args.view)] {
        if let Some(value) = value {
            values.set(id, value)?;
        }
    }
    if let Some(keys) = &args.keys {
        values.read_keys(keys)?;
    }

    // Everything that can be wrong with files is found before any work.
    let reference = Source::open(&args.reference)?.cancelled_by(interrupt::token());
    let driving = match (&args.driving, &args.audio) {
        (Some(name), _) => Driving::open(name)?,
        (None, sound) => {
            values.set("mouth_from", "sound")?;
            Driving::Sound(sound.clone().unwrap_or_default())
        }
    };
    // As messages call it.
    let name = match &driving {
        Driving::Sound(path) => path.display().to_string(),
        _ => args.driving.clone().unwrap_or_default(),
    };
    if args.fps.is_some() && !matches!(driving, Driving::Recording(_) | Driving::Sound(_)) {
        let text =
            format!("{name} has frames of its own: --fps is for Live Link Face recordings (.csv) and sounds alone");
        return Err(Error::usage(text));
    }
    let base = values.resolve(0.0);
    let speaks = base.mouth_from == MouthFrom::Sound;
    if let Some(audio) = &args.audio {
        if writer::is_video_name(Path::new(&args.output)) {
            writer::check_sound(&*Tools::find()?, audio)?;
        } else if base.quality == Quality::Draft && !speaks {
            return Err(no_use(&args.output));
        }
    }
    let precision = args.precision.as_deref().and_then(Precision::from_id);
    let memory = args.memory.as_deref().map(cache::parse_size).transpose();
    let memory = memory.map_err(|e| Error::usage(format!("--memory: {e}")))?.unwrap_or(0);
    let full = base.quality == Quality::Full;
    let mut options = args.models.options(base.device);
    if full {
        let (device, generator) = (Some(base.device), args.generator.clone());
        options = ContextOptions { device, generator, precision, memory, ..options };
    }
    let context = RenderContext::load(common::packs(), options)?;
    let networks = context.networks();
    let frame_settings = FrameSettings::from_controls(&base, false);
    let painter = full.then(|| context.painter(base.device)).transpose()?;
    let takes_audio = painter.as_ref().is_some_and(FullPainter::takes_audio);
    if args.audio.is_some() && !takes_audio && !speaks && !writer::is_video_name(Path::new(&args.output)) {
        return Err(no_use(&args.output));
    }
    let number = reference.info().first + base.reference_frame;
    let picture = reference.frame(number)?;
    let matte = args.matte.as_deref().map(|file| read_matte(file, &picture)).transpose()?;
    let same = args.driving.as_ref().is_some_and(|driving| same_file(&args.reference, driving));
    // Of a clip that performs itself the analysis will tell.
    let clip = base.reference_uses == ReferenceUses::Clip;
    if clip && reference.info().kind == SourceKind::Still {
        return Err(Error::usage(format!("{} is one picture: reference_uses=clip needs a clip", args.reference)));
    }
    let cache = args.cache.open()?;
    // A clip is one person: its frames are fitted together.
    let clip = if clip && !same {
        let choice = |width, height| base.face(width, height);
        Some(common::analyse(&context, &reference, choice, cache.as_ref(), args.quiet)?)
    } else {
        None
    };
    let fit = match &clip {
        Some(analysis) => Some(own_fit(analysis, base.reference_frame, &args.reference)?),
        None if same => None,
        None => Some(context.reference_fit(&picture, &args.reference, None)?),
    };

    let driving = match &fit {
        Some(fit) => {
            let clip = (reference.info().kind == SourceKind::Video).then_some(reference.info().fps).flatten();
            let (fps, size) = (args.fps.or(clip), (picture.width, picture.height));
            driving.still(networks, fit, fps, size)?.performed_by(networks, fit, fps, &name, args.quiet)?
        }
        None => driving,
    };
    driving.check(networks, &values, &name)?;
    let range = args.frames.unwrap_or(FrameRange { first: driving.first(), last: None });
    if let Some(frames) = driving.frames(true) {
        check_range(&name, range, driving.first(), frames)?;
    }
    let out = sink_spec(&args, reference.info(), &driving, range, (picture.width, picture.height), frame_settings.view);
    let sink = Sink::create(&args.output, out.clone())?.cancelled_by(interrupt::token());
    let one_only = |frames: usize| {
        if sink.holds_one() && frames > 1 {
            let text = format!("{} holds one frame, {frames} are asked for: name frames like f_%04d.png", args.output);
            return Err(Error::usage(text));
        }
        Ok(())
    };
    if let Some(frames) = args.frames.map_or(driving.frames(false), FrameRange::len) {
        one_only(frames)?;
    }

    let started = Instant::now();
    let (motion, analysis) = driving.motion(&context, &base, cache.as_ref(), args.quiet)?;
    let track = context.track(&motion, &base.track())?;
    let (analysed, total) = (started.elapsed(), track.poses.len());
    let (gaps, outliers) = (track.marked(Mark::Gap).len(), track.marked(Mark::Outlier).len());
    if gaps > 0 && !args.quiet {
        eprintln!("headgan: {name}: no face in {gaps} of {total} frames; their pose is taken from their neighbours");
    }
    check_range(&name, range, motion.first, total)?;
    let last = range.last.unwrap_or(motion.first + total - 1);
    one_only(last - range.first + 1)?;
    let fit = match (fit, &analysis) {
        (None, Some(analysis)) => own_fit(analysis, base.reference_frame, &args.reference)?,
        (None, None) => context.reference_fit(&picture, &args.reference, None)?,
        (Some(fit), _) => fit,
    };
    let bank = match (&clip, &analysis) {
        (Some(analysis), _) | (None, Some(analysis)) if base.reference_uses == ReferenceUses::Clip => {
            let motion = analysis.motion(networks.model_hash());
            bank::pictures(networks, &reference, &motion, number, interrupt::token())?
        }
        _ => Vec::new(),
    };
    let audio_options = AudioOptions {
        context: &context,
        painter: painter.as_ref(),
        speaks,
        cache: cache.as_ref(),
        gain: base.audio_gain,
        quiet: args.quiet,
    };
    let extraction = Instant::now();
    let sound = || driving.audio_source(args.audio.as_deref());
    let shot_audio = audio_options.extract(sound(), driving.fps())?;
    let lips = audio_options.lips(sound(), driving.fps())?;
    let extraction = extraction.elapsed();
    let direction = Direction { values, first: motion.first, same };
    let spec = ShotSpec {
        reference: &picture,
        fit: ReferenceFit::Given(&fit),
        driver: Driver::Track(track),
        audio: shot_audio.as_ref().map(|l| AudioInput::starting_at(l, 0.0)),
        lips,
        quality: base.quality,
        uses: ReferenceUse { matte: MatteSettings::from_controls(&base), known_matte: matte.as_deref(), bank: &bank },
        device: base.device,
    };
    let shot = context.shot(spec, cache.as_ref())?;
    if !shot.has_layers() && base.background == Background::Still && !args.quiet {
        eprintln!(
            "headgan: {}: the background moves with the head, as no pack tells the person from it (headgan models get mediapipe, \
             or --matte FILE; --set background=moves says nothing)",
            args.reference
        );
    }
    // The shot has its own.
    drop(picture);
    let frames = range.first - motion.first..=last - motion.first;
    let data = view::is_data(frame_settings.view).then(|| Path::new(&args.output));
    let at_once = if args.models.threads == 1 { 1 } else { AT_ONCE };
    let rendered = render(&shot, &direction, frames, sink, data, at_once, args.quiet)?;

    let repeated = shot.repeated();
    if repeated > 0 && !args.quiet {
        eprintln!(
            "headgan: {repeated} frames were not numbers in the generator's precision and were computed again in fp32"
        );
    }
    let engine = match &painter {
        Some(FullPainter::Windows(_)) => Some(Backend::Embedded.to_string()),
        Some(FullPainter::Generator(_)) => Some(context.backend(base.device)?.to_string()),
        None => None,
    };
    let frames = last - range.first + 1;
    let fps = frames as f64 / (analysed + rendered).as_secs_f64();
    if args.json {
        common::print_json(&json!({
            "output": args.output, "frames": frames, "size": [out.width, out.height], "pack": networks.pack,
            "quality": base.quality, "engine": engine, "frames_repeated_in_fp32": repeated, "frames_without_face": gaps, "outliers": outliers,
            "generator_given_silence": takes_audio && shot_audio.is_none(),
            "generator_hears": shot_audio.map(|l| json!({
                "frames": l.conditioning.frames(), "characters": l.conditioning.has_characters(), "cached": l.cached,
            })),
            "frames_per_second": fps, "analysis": analysis.map(|a| a.work),
            "seconds": {
                "analysis": analysed.as_secs_f64(), "listening": extraction.as_secs_f64(), "render": rendered.as_secs_f64(),
            },
        }))?;
    } else if !args.quiet {
        eprintln!(
            "{}: {frames} frames, analysed in {:.1} s, rendered in {:.1} s, {fps:.1} frames a second",
            args.output,
            analysed.as_secs_f64(),
            rendered.as_secs_f64()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The error for a sound that neither the output nor the generator takes.
fn no_use(output: &str) -> Error {
    Error::usage(format!(
        "{output}: images take no sound, and neither mouth nor generator listens: leave --audio away, write a video, or give --set mouth_from=sound"
    ))
}

/// Fails where a range leaves the `frames` frames of a clip.
fn check_range(clip: &str, range: FrameRange, first: usize, frames: usize) -> Result<()> {
    let last = first + frames.saturating_sub(1);
    if range.first < first || range.first > last || range.last.is_some_and(|l| l > last) {
        let text = format!("{clip} has frames {first} to {last}, --frames asks for {range}: choose within them");
        return Err(Error::usage(text));
    }
    Ok(())
}

/// Whether two names lead to one file.
pub fn same_file(a: &str, b: &str) -> bool {
    // A pattern is no file: its folder is compared.
    let real = |path: &str| {
        let path = Path::new(path);
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let inside = || Some(std::fs::canonicalize(folder).ok()?.join(path.file_name()?));
        std::fs::canonicalize(path).ok().or_else(inside)
    };
    a == b || real(a).is_some_and(|a| real(b) == Some(a))
}

fn sink_spec(
    args: &Args,
    reference: &SourceInfo,
    driving: &Driving,
    range: FrameRange,
    (width, height): (usize, usize),
    view: View,
) -> SinkSpec {
    let fps = driving.fps();
    let (width, height) = Shot::size_of(view, width, height);
    let mut spec = SinkSpec::new(width, height, fps);
    spec.first_number = range.first;
    // Pictures keep the reference's depth and alpha where the format has them; what is behind them needs neither.
    let picture = !view::is_data(view);
    spec.alpha = picture && reference.alpha;
    if picture {
        spec.depth = Format::from_name(Path::new(&args.output)).and_then(|f| f.nearest_depth(reference.depth));
    }
    spec.audio = match (&args.audio, args.no_audio) {
        (_, true) => None,
        (Some(_), _) if !writer::is_video_name(Path::new(&args.output)) => None,
        (Some(path), _) => {
            let start = (range.first - driving.first()) as f64 / fps.as_f64();
            Some(AudioFrom { path: path.clone(), start })
        }
        (None, false) => driving.sound(range.first),
    };
    spec
}

/// Frames that are rendered at once: while threads of one wait for each other, the next has work for them.
const AT_ONCE: usize = 2;

/// Renders and writes. Renderers take turns; the writer works while they render the next frames.
fn render(
    shot: &Shot,
    direction: &Direction,
    frames: std::ops::RangeInclusive<usize>,
    mut sink: Sink,
    data: Option<&Path>,
    at_once: usize,
    quiet: bool,
) -> Result<Duration> {
    let started = Instant::now();
    let mut progress = Progress::new("rendering", Some(frames.clone().count() as u64), quiet);
    std::thread::scope(|scope| {
        let renderer = |turn: usize| {
            let (to_writer, rendered) = sync_channel::<Result<Frame>>(1);
            // Written frames come back, so that none is allocated per frame.
            let (to_renderer, written) = channel::<Frame>();
            let mine = frames.clone().skip(turn).step_by(at_once);
            scope.spawn(move || {
                let mut scratch = Scratch::default();
                for index in mine {
                    let mut draw = || -> Result<Frame> {
                        interrupt::check()?;
                        let frame_settings = |i| direction.frame_settings(i);
                        let picture =
                            shot.render_cancellable(index, &frame_settings, interrupt::token(), &mut scratch)?;
                        let mut frame = written.try_recv().unwrap_or_else(|_| Frame::new(1, 1));
                        frame.clone_from(picture);
                        if let Some(file) = data {
                            view::tag_data(&mut frame, file);
                        }
                        Ok(frame)
                    };
                    let drawn = draw();
                    let failed = drawn.is_err();
                    // A writer that is gone has an error to tell.
                    if to_writer.send(drawn).is_err() || failed {
                        return;
                    }
                }
            });
            (rendered, to_renderer)
        };
        let renderers: Vec<_> = (0..at_once).map(renderer).collect();
        for ((rendered, to_renderer), _) in renderers.iter().cycle().zip(frames.clone()) {
            // A renderer that ends without a word has panicked, which the scope tells.
            let frame = rendered.recv().map_err(|_| Error::Interrupted)??;
            sink.write(&frame)?;
            progress.inc(1);
            // The renderer may be done already.
            let _ = to_renderer.send(frame);
        }
        Ok(())
    })?;
    sink.finish()?;
    progress.finish();
    Ok(started.elapsed())
}
