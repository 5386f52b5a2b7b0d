//! `headgan transcribe`: what is spoken in a sound, and when.

use crate::{common, interrupt};
use clap::{Args as ClapArgs, ValueEnum};
use headgan::audio::ctc::{Greedy, Token};
use headgan::audio::spectrogram::Normalisation;
use headgan::audio::speech::{Decoder, Speech};
use headgan::engine::{Embedded, cpu};
use headgan::media::atomic;
use headgan::weights::{Array, numpy};
use headgan::{Error, Result};
use serde_json::json;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How often an idle stream checks whether Ctrl-C was pressed.
const PATIENCE: Duration = Duration::from_millis(100);

/// Print what is spoken in a sound, as an acoustic model hears it.
#[derive(ClapArgs)]
pub struct Args {
    /// A sound file, or a video with sound; with --stream -, which is stdin.
    sound: PathBuf,
    /// Hear a sound as it comes: samples of 16 bits, little-endian, mono, at the model's rate, without a header. Needs an acoustic model
    /// in one direction.
    #[arg(long, conflicts_with = "emissions")]
    stream: bool,
    /// Print text, characters and their times in seconds as one JSON document; with --stream a line for each character.
    #[arg(long)]
    json: bool,
    /// How characters are chosen: beam unless told, greedy with --stream.
    #[arg(long, value_enum)]
    decoder: Option<Kind>,
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
    if args.stream {
        return stream(&args);
    }
    let speech = args.model.load()?;
    let sound = headgan::audio::Sound::load_cancellable(&args.sound, interrupt::token())?;
    let decoder = match args.decoder {
        Some(Kind::Greedy) => Decoder::Greedy,
        Some(Kind::Beam) | None => Decoder::Beam(args.width.into()),
    };
    if let Some(output) = &args.emissions {
        atomic::check_writable(output)?;
    }
    let emissions = speech.emissions(&sound)?;
    if let Some(output) = &args.emissions {
        let shape = [emissions.moments(), emissions.labels()];
        numpy::save_npy(output, &Array::f32(shape, emissions.values().to_vec()))?;
    }
    let characters = speech.characters(&emissions, decoder);
    let text: String = characters.iter().map(|c| c.character).collect();
    if args.json {
        common::print_json(&json!({
            "sound": args.sound, "seconds": sound.seconds(), "step": speech.step(), "text": text, "characters": characters,
        }))?;
    } else {
        say!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints characters as they settle, until the sound ends, Ctrl-C is pressed or nobody reads any more: none of them is an error.
fn stream(args: &Args) -> Result<ExitCode> {
    if args.decoder == Some(Kind::Beam) {
        let text = "a beam search decodes what has ended, not a stream: use --decoder greedy, or leave --stream out";
        return Err(Error::Usage(text.into()));
    }
    if args.sound.as_os_str() != "-" {
        return Err(Error::usage(format!(
            "--stream hears stdin, not '{}': write - in its place, or leave --stream out",
            args.sound.display()
        )));
    }
    let speech = args.model.load()?;
    let rate = speech.spectrogram().sample_rate;
    let mut recogniser = speech.stream(rate, Normalisation::Running)?;
    let (mut greedy, mut bytes) = (Greedy::default(), Vec::new());
    let incoming = stdin();
    loop {
        match incoming.recv_timeout(PATIENCE) {
            Ok(chunk) => {
                bytes.extend(chunk.map_err(|e| Error::input(format!("stdin cannot be read: {e}")).with_source(e))?);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let samples: Vec<f64> =
            bytes.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0).collect();
        bytes.drain(..2 * samples.len());
        if !print(args.json, &speech, greedy.push(&recogniser.push(&samples)?)) {
            return Ok(ExitCode::SUCCESS);
        }
        if interrupt::check().is_err() {
            break;
        }
    }
    let mut rest = greedy.push(&recogniser.finish()?);
    rest.extend(greedy.finish());
    if print(args.json, &speech, rest) && !args.json {
        say!();
    }
    Ok(ExitCode::SUCCESS)
}

/// The bytes of stdin, read by a thread of its own: a blocked read does not notice Ctrl-C.
fn stdin() -> Receiver<std::io::Result<Vec<u8>>> {
    let (send, receive) = sync_channel(16);
    std::thread::spawn(move || {
        let (mut stdin, mut buffer) = (std::io::stdin().lock(), vec![0; 1 << 14]);
        loop {
            let read = match stdin.read(&mut buffer) {
                Ok(0) => break,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.map(|n| buffer[..n].to_vec()),
            };
            let failed = read.is_err();
            if send.send(read).is_err() || failed {
                break;
            }
        }
    });
    receive
}

/// Whether somebody read the characters, which are written at once.
fn print(json: bool, speech: &Speech<Embedded>, tokens: Vec<Token>) -> bool {
    let characters = tokens.into_iter().map(|token| speech.character(token));
    let text: String = if json {
        characters.map(|c| format!("{}\n", json!(c))).collect()
    } else {
        characters.map(|c| c.character).collect()
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}
