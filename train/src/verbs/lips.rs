//! The verbs of the network from sound to lips: prepare, train, measure, export.

use super::common::{DeviceArgs, newest_checkpoint};
use headgan::audio::lips::{SoundLips, check};
use headgan::engine::{Embedded, cpu};
use headgan::models::{ModelSet, Pack, Role};
use headgan::reenact::{ContextOptions, RenderContext};
use headgan::shot::Cache;
use headgan::shot::cache::DEFAULT_LIMIT;
use headgan::{Error, Result};
use headgan_train::data::clip_files::stem;
use headgan_train::lips::measure::{measure, median};
use headgan_train::lips::store::{SpokenClip, load_all};
use headgan_train::lips::trainer::weights;
use headgan_train::lips::{export, prepare, run};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Prepare {
    /// A folder with clips, at any depth; may be given more than once. A people.csv in it says whose they are (columns file, person, split,
    /// clean).
    #[arg(long, value_name = "DIR", required = true)]
    clips: Vec<PathBuf>,
    /// Where they go; clips that are finished are not looked at again.
    #[arg(long, value_name = "DATA")]
    out: PathBuf,
    /// A file with the names of clips that are only measured on, one in each line; may be given more than once.
    #[arg(long, value_name = "FILE")]
    hold_out: Vec<PathBuf>,
    /// The pack that fits faces with ARKit's shapes.
    #[arg(long, value_name = "NAME", default_value = "mediapipe")]
    pack: String,
    /// A cache of analyses.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    #[arg(long, short)]
    quiet: bool,
}

#[derive(clap::Args)]
pub struct Train {
    /// What lips-prepare wrote.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Steps in all; the rate falls towards the last.
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    steps: u64,
    /// Samples of two seconds a step.
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch: usize,
    #[arg(long, value_name = "RATE", default_value_t = 2e-3)]
    rate: f64,
    /// Channels of the layers.
    #[arg(long, value_name = "N", default_value_t = 96)]
    width: usize,
    /// Of so many persons one is kept apart to validate on; 0 learns from all.
    #[arg(long, value_name = "N", default_value_t = 6)]
    keep_apart: usize,
    /// Which one of them, from 0.
    #[arg(long, value_name = "N", default_value_t = 0)]
    part: usize,
    /// Only clips whose licence allows commercial use (people.csv: clean).
    #[arg(long)]
    clean: bool,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0)]
    checkpoint_minutes: f64,
    #[command(flatten)]
    device_args: DeviceArgs,
}

#[derive(clap::Args)]
pub struct Measure {
    /// What lips-prepare wrote; the clips that are held are measured on.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// The folder of a pack.
    #[arg(long, value_name = "DIR", required_unless_present = "run")]
    pack: Option<PathBuf>,
    /// Or a run's folder.
    #[arg(long, value_name = "RUN", conflicts_with = "pack")]
    run: Option<PathBuf>,
    /// Measure on the clips that are not held instead.
    #[arg(long)]
    learned: bool,
    /// Measure on clips too that lips-prepare rejected since their lips do not go with their sound.
    #[arg(long)]
    rejected: bool,
    /// Only the clips whose names this file has, one in each line.
    #[arg(long, value_name = "FILE")]
    only: Option<PathBuf>,
    /// Print all figures as one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct Export {
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// The pack's folder, whose name is the pack's.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    /// By how much its answers are made larger.
    #[arg(long, value_name = "GAIN", default_value_t = 1.0)]
    gain: f64,
    /// As the manifest states it.
    #[arg(long, value_name = "TEXT", default_value = "research and evaluation only")]
    licence: String,
}

pub fn prepare_lips(args: &Prepare) -> Result<()> {
    let options = ContextOptions { pack: Some(args.pack.clone()), ..ContextOptions::default() };
    let context = RenderContext::load(ModelSet::discover(&[]), options)?;
    let cache = args.cache.as_ref().map(|folder| Cache::open(folder, DEFAULT_LIMIT)).transpose()?;
    let settings =
        prepare::Settings { clips: &args.clips, data: &args.out, hold_out: &args.hold_out, quiet: args.quiet };
    let notes = prepare::prepare(&context, cache.as_ref(), &settings)?;
    let used = notes.iter().filter(|n| n.rejected.is_none());
    let held = used.clone().filter(|n| n.held).count();
    println!("{}: {} clips of {}, {held} of them held", args.out.display(), used.count(), notes.len());
    Ok(())
}

pub fn train(args: &Train) -> Result<()> {
    if args.batch == 0 || args.width == 0 || args.rate.is_nan() || args.rate <= 0.0 {
        return Err(Error::Usage("--batch, --width and --rate must be above 0".into()));
    }
    let settings = run::Settings {
        data: &args.data,
        run: &args.out,
        steps: args.steps,
        batch: args.batch,
        rate: args.rate,
        seed: args.seed,
        width: args.width,
        keep_apart: args.keep_apart,
        part: args.part,
        clean: args.clean,
        checkpoint_minutes: args.checkpoint_minutes,
        device: args.device_args.device()?,
        quiet: args.device_args.quiet,
    };
    run::run(&settings)
}

pub fn measure_lips(args: &Measure) -> Result<()> {
    let weights = match (&args.pack, &args.run) {
        (Some(folder), _) => {
            let pack = Pack::open(folder)?;
            let part = pack.component(Role::Lips, None);
            let part = part.ok_or_else(|| Error::model(format!("the pack '{}' has no lips", pack.name())))?;
            pack.load(part, headgan::import::check)?
        }
        (None, Some(run)) => Arc::new(weights(&newest_checkpoint(run)?)?),
        (None, None) => return Err(Error::Usage("name a pack or a run: --pack DIR or --run RUN".into())),
    };
    let width = check(&weights)?;
    let lips = SoundLips::new(Embedded::new(weights, &cpu::Options { threads: 1, ..cpu::Options::default() }), width);
    let clips = load_all(&args.data, args.rejected)?;
    let only = match &args.only {
        Some(file) => {
            let cannot = |e| Error::usage(format!("--only {}: cannot be read ({e})", file.display()));
            let text = std::fs::read_to_string(file).map_err(cannot)?;
            Some(text.lines().map(|l| stem(l.trim())).collect::<Vec<_>>())
        }
        None => None,
    };
    let chosen = |c: &&SpokenClip| only.as_ref().is_none_or(|only| only.contains(&c.note.name));
    let clips: Vec<&SpokenClip> = clips.iter().filter(|c| c.note.held != args.learned).filter(chosen).collect();
    if clips.is_empty() {
        return Err(Error::input(format!("{}: no clip is held", args.data.display())));
    }
    let figures = measure(&lips, &clips)?;
    if args.json {
        let text = serde_json::to_string_pretty(&figures).map_err(|e| Error::engine(format!("JSON: {e}")))?;
        println!("{text}");
        return Ok(());
    }
    println!("{:>8} {:>8} {:>8} {:>8} {:>9}  clip", "by sound", "silence", "size", "truth", "agreement");
    for f in &figures {
        let (a, b, c, d) = (f.by_sound, f.in_silence, f.size, f.truth);
        println!("{a:>8.3} {b:>8.3} {c:>8.2} {d:>8.3} {:>9.2}  {}", f.agreement, f.name);
    }
    let of =
        |value: &dyn Fn(&headgan_train::lips::measure::ClipFigures) -> f64| median(figures.iter().map(value).collect());
    println!(
        "median of {} clips: lip gap follows by sound r {:.3}, in silence {:.3}; size {:.2}",
        figures.len(),
        of(&|f| f.by_sound),
        of(&|f| f.in_silence),
        of(&|f| f.size)
    );
    Ok(())
}

pub fn export_pack(args: &Export) -> Result<()> {
    if !args.gain.is_finite() || args.gain <= 0.0 {
        return Err(Error::Usage("--gain must be above 0".into()));
    }
    let checkpoint = newest_checkpoint(&args.run)?;
    let size = export::export_pack(&checkpoint, args.gain, &args.pack, &args.licence)?;
    println!("{}: step {}, {size} bytes", args.pack.display(), checkpoint.number("step")?);
    Ok(())
}
