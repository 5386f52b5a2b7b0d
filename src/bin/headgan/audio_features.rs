//! `headgan audio-features`: the audio features that a generator takes, as a numpy array.

use crate::transcribe::SpeechArgs;
use crate::{common, interrupt};
use clap::{Args as ClapArgs, ValueEnum};
use headgan::audio::conditioning::BEAM;
use headgan::audio::speech::{Decoder, Speech};
use headgan::audio::{Alignment, Features, Layout, Sound, decode, headgan84, headgan300, short68, windows};
use headgan::engine::Embedded;
use headgan::media::ffmpeg::Tools;
use headgan::media::probe::{VideoInfo, probe};
use headgan::media::{Rational, atomic};
use headgan::weights::numpy;
use headgan::{Error, Result};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write the features of a sound as a numpy array of 64-bit floats, a row per feature and a column per frame.
#[derive(ClapArgs)]
pub struct Args {
    /// A sound file, or a video with sound.
    sound: PathBuf,
    /// Which features.
    #[arg(long, value_enum)]
    layout: Kind,
    /// Frames a second; those of the video, else 25, unless told. short68 has 40 columns a second, whatever this says.
    #[arg(long, value_name = "N|N/M")]
    fps: Option<Rational>,
    /// Round windows and steps to samples as the original HeadGAN code does, so that columns drift away from frames.
    #[arg(long)]
    compat: bool,
    /// The file to write, for instance features.npy.
    #[arg(long, short, value_name = "OUT.npy")]
    output: PathBuf,
    /// Print what was written, with the features' names, as one JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: SpeechArgs,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Kind {
    /// 84 values for each frame of a video, as the official HeadGAN code makes them.
    Headgan84,
    /// pyAudioAnalysis's 34 short-term features and their changes, every 25 ms.
    Short68,
    /// headgan84 and 216 values for the characters spoken: a generator's whole input. Needs an acoustic model.
    Headgan300,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let speech = (args.layout == Kind::Headgan300).then(|| args.model.load()).transpose().map_err(|e| match e {
        Error::Model(text) => Error::Model(text.map(|t| format!(
            "headgan300 needs an acoustic model for its 216 character values: {t}, or use --layout headgan84 for the other 84"
        ))),
        other => other,
    })?;
    atomic::check_writable(&args.output)?;
    let video = video(&args.sound)?;
    let sound = match &video {
        // The original code processes a video's sound as if picture and sound began together.
        Some(video) if !args.compat => Sound::from_video(&args.sound, video, interrupt::token())?,
        _ => Sound::load_cancellable(&args.sound, interrupt::token())?,
    };
    let own = video.as_ref().map(|v| v.fps);
    let fps = args.fps.or(own).unwrap_or(Rational::whole(25));
    let (layout, features) = compute(&args, &sound, fps, video.as_ref(), speech.as_ref()).map_err(|e| match e {
        Error::Input(text) => Error::Input(text.map(|t| format!("{}: {t}", args.sound.display()))),
        other => other,
    })?;
    let shape = [features.width(), features.frames()];
    numpy::save_npy_f64(&args.output, &shape, &features.by_feature())?;
    if args.json {
        common::print_json(&json!({
            "sound": args.sound, "rate": sound.rate(), "samples": sound.samples().len(), "seconds": sound.seconds(),
            "silent": sound.is_silent(), "fps": (layout != Layout::Short68).then(|| fps.to_string()), "compat": args.compat,
            "output": args.output, "shape": shape, "names": layout.names(),
        }))?;
    } else {
        say!("{}: {} x {} values of {:.2} s of sound", args.output.display(), shape[0], shape[1], sound.seconds());
    }
    Ok(ExitCode::SUCCESS)
}

fn compute(
    args: &Args,
    sound: &Sound,
    fps: Rational,
    video: Option<&VideoInfo>,
    speech: Option<&Speech<Embedded>>,
) -> Result<(Layout, Features)> {
    if args.layout == Kind::Short68 {
        return Ok((Layout::Short68, short68(sound)?));
    }
    let alignment = if args.compat { Alignment::Original } else { Alignment::Time };
    // At another rate than its own the video's frames are not those that are counted.
    let frames = video.filter(|v| v.fps == fps).and_then(|v| v.frames);
    let signal = headgan84(sound, fps, frames, alignment)?;
    let Some(speech) = speech else { return Ok((Layout::Headgan84, signal)) };
    // Characters have no alignment but time's; there are as many vectors as the signal has.
    let spoken = speech.hear(sound, Decoder::Beam(BEAM))?;
    let characters = windows::characters(&spoken, sound, fps, Some(signal.frames()))?;
    Ok((Layout::Headgan300, headgan300(&signal, &characters)?))
}

/// What a video says about itself; `None` where the file has sound alone.
fn video(path: &Path) -> Result<Option<VideoInfo>> {
    if decode::is_sound_file(path)? {
        return Ok(None);
    }
    Ok(probe(&*Tools::find()?, path).ok())
}
