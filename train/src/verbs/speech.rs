//! The verbs of acoustic models: make synthetic speech, train, measure.

use super::common::{RunArgs, newest_checkpoint};
use headgan::engine::cpu;
use headgan::models::ModelSet;
use headgan::{Result, audio};
use headgan_train::speech::{self, measure, synthesis};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct SpeechData {
    /// Gets `manifest.jsonl` and `sounds`.
    #[arg(long, value_name = "DATA")]
    out: PathBuf,
    /// Sentences to train on.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    count: usize,
    /// Sentences of each of the two sets that are held out.
    #[arg(long, value_name = "N", default_value_t = 100)]
    hold_out: usize,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[arg(long, short)]
    quiet: bool,
}

#[derive(clap::Args)]
pub struct Speech {
    /// The run's configuration; what it leaves out is the small model's (docs/TRAINING.md).
    #[arg(long, value_name = "FILE.json")]
    config: PathBuf,
    #[command(flatten)]
    run: RunArgs,
    /// Stop after so many steps.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
}

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
pub struct SpeechMeasure {
    /// The run's folder.
    #[arg(long, value_name = "RUN", group = "which")]
    run: Option<PathBuf>,
    /// The acoustic model of a pack instead, on the embedded engine.
    #[arg(long, value_name = "NAME", group = "which")]
    pack: Option<String>,
    /// A folder with `manifest.jsonl`.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// Normalise spectra as a stream does, by what was heard before them.
    #[arg(long)]
    running: bool,
    /// Print what was said and what was heard of every sound too.
    #[arg(long)]
    each: bool,
    #[arg(long)]
    json: bool,
}

pub fn speech_data(args: &SpeechData) -> Result<()> {
    let SpeechData { out, count, hold_out, seed, quiet } = args;
    let settings = synthesis::Settings { out, count: *count, held_out: *hold_out, seed: *seed, quiet: *quiet };
    let seconds = synthesis::make(&settings)?;
    println!("{}: {:.2} hours of speech", out.display(), seconds / 3600.0);
    Ok(())
}

pub fn train_speech(args: &Speech) -> Result<()> {
    speech::run::run(&speech::run::Settings {
        config: speech::SpeechConfig::load(&args.config)?,
        data: &args.run.data,
        run: &args.run.out,
        device: args.run.device_args.device()?,
        steps: args.steps,
        quiet: args.run.device_args.quiet,
    })
}

pub fn measure_speech(args: &SpeechMeasure) -> Result<()> {
    let data = speech::data::SpeechDataSet::open(&args.data)?;
    let (sets, running) = (&data.held_out, args.running);
    match &args.run {
        Some(run) => {
            let (config, weights) = speech::export::read(&newest_checkpoint(run)?)?;
            let model = measure::model(&config, weights)?;
            print_figures(args, sets.iter().map(|(set, of)| Ok((set, measure::measure(&model, &data, of, running)?))))
        }
        None => {
            let model =
                audio::speech::Speech::load(&ModelSet::discover(&[]), args.pack.as_deref(), &cpu::Options::default())?;
            print_figures(args, sets.iter().map(|(set, of)| Ok((set, measure::measure(&model, &data, of, running)?))))
        }
    }
}

/// A set's name and what was measured of it.
type Measured<'a> = (&'a String, (measure::Figures, Vec<measure::Transcription>));

fn print_figures<'a>(args: &SpeechMeasure, sets: impl Iterator<Item = Result<Measured<'a>>>) -> Result<()> {
    let mut all = serde_json::Map::new();
    for set in sets {
        let (set, (figures, each)) = set?;
        if args.json {
            let each = if args.each { Some(each) } else { None };
            all.insert(set.clone(), serde_json::json!({"figures": figures, "each": each}));
            continue;
        }
        println!(
            "{set}: {} sounds, {} characters, {:.2} % wrong; {} letters timed, {:.0} ms apart, {:+.0} ms late, on average",
            figures.sounds,
            figures.characters,
            100.0 * figures.error_rate,
            figures.timed,
            1000.0 * figures.onset_error,
            1000.0 * figures.onset_delay
        );
        if args.each {
            each.iter().for_each(|h| println!("  {}\n  {}  {:.0} %", h.text, h.heard, 100.0 * h.figures.error_rate));
        }
    }
    if args.json {
        println!("{}", serde_json::Value::Object(all));
    }
    Ok(())
}
