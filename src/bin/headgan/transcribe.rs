//! `headgan transcribe`: what is spoken in a sound, and when.

use crate::common;
use clap::{Args as ClapArgs, ValueEnum};
use headgan::Result;
use headgan::audio::speech::{Decoder, Speech};
use headgan::engine::cpu;
use headgan::media::atomic;
use headgan::models::{Array, numpy};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print what is spoken in a sound, as an acoustic model hears it.
#[derive(ClapArgs)]
pub struct Args {
    /// A sound file, or a video with sound.
    sound: PathBuf,
    /// Print text, characters and their times in seconds as one JSON document.
    #[arg(long)]
    json: bool,
    /// How characters are chosen.
    #[arg(long, value_enum, default_value = "beam")]
    decoder: Kind,
    /// Beginnings of a text that the beam follows.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    width: u16,
    /// Also write the log probability of each label at each moment, as a numpy array [moments, labels].
    #[arg(long, value_name = "OUT.npy")]
    emissions: Option<PathBuf>,
    #[command(flatten)]
    model: SpeechArgs,
}

/// The acoustic model.
#[derive(ClapArgs)]
pub struct SpeechArgs {
    /// Model pack whose acoustic model to use; the first that has one unless told.
    #[arg(long, value_name = "NAME")]
    pub pack: Option<String>,
    /// Threads of the acoustic model; all cores unless told.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

impl SpeechArgs {
    pub fn load(&self) -> Result<Speech<headgan::engine::Embedded>> {
        let options = cpu::Options { threads: self.threads, ..cpu::Options::default() };
        Speech::load(&common::packs(), self.pack.as_deref(), &options)
    }
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Kind {
    /// The most probable character of every moment.
    Greedy,
    /// The most probable text that a beam search finds.
    Beam,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let speech = args.model.load()?;
    let sound = headgan::audio::Sound::load(&args.sound)?;
    let decoder = match args.decoder {
        Kind::Greedy => Decoder::Greedy,
        Kind::Beam => Decoder::Beam(args.width.into()),
    };
    if let Some(output) = &args.emissions {
        atomic::check_writable(output)?;
    }
    let emissions = speech.emissions(&sound)?;
    if let Some(output) = &args.emissions {
        let shape = [emissions.moments(), emissions.labels()];
        numpy::save_npy(output, &Array::f32(shape, emissions.values().to_vec()))?;
    }
    let heard = speech.characters(&emissions, decoder);
    let text: String = heard.iter().map(|c| c.character).collect();
    if args.json {
        common::print_json(&json!({
            "sound": args.sound, "seconds": sound.seconds(), "step": speech.step(), "text": text, "characters": heard,
        }))?;
    } else {
        say!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}
