//! The verbs of the windows: prepare, train, adapt, judge, export.

use super::common::{DeviceArgs, newest_checkpoint};
use headgan::media::still::{self, StillOptions};
use headgan::models::{ModelSet, Pack, Role};
use headgan::reenact::{ContextOptions, RenderContext};
use headgan::shot::Cache;
use headgan::shot::cache::DEFAULT_LIMIT;
use headgan::{Error, Result};
use headgan_train::windows::store::Kind;
use headgan_train::windows::trainer::{Trainer, config};
use headgan_train::windows::{adapt, blind, export, features::Features, prepare, run};
use std::path::PathBuf;
use tch::Kind as Number;

#[derive(clap::Args)]
pub struct Prepare {
    /// A folder with clips, at any depth; may be given more than once. A people.csv in it says whose they are (columns file, person, split,
    /// clean).
    #[arg(long, value_name = "DIR", required = true)]
    clips: Vec<PathBuf>,
    /// Where the windows go; clips that are finished are not looked at again.
    #[arg(long, value_name = "DATA")]
    out: PathBuf,
    /// A file with the names of clips that are only measured on, one in each line; may be given more than once.
    #[arg(long, value_name = "FILE")]
    hold_out: Vec<PathBuf>,
    /// The pack that fits faces to dense points.
    #[arg(long, value_name = "NAME", default_value = "mediapipe")]
    pack: String,
    /// A cache of analyses.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Clips at a time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    #[arg(long, short)]
    quiet: bool,
}

#[derive(clap::Args)]
pub struct Train {
    /// Which network: of both eyes, or of the mouth.
    #[arg(long, value_name = "NETWORK", value_parser = ["eye", "mouth"])]
    network: String,
    /// What windows-prepare wrote.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Steps in all; the rate falls towards the last.
    #[arg(long, value_name = "N", default_value_t = 12_000)]
    steps: u64,
    /// Windows a step, two and two that follow each other.
    #[arg(long, value_name = "N", default_value_t = 16)]
    batch: usize,
    #[arg(long, value_name = "RATE", default_value_t = 5e-4)]
    rate: f64,
    /// Share of the steps before the discriminator counts.
    #[arg(long, value_name = "SHARE", default_value_t = 0.35)]
    plain: f64,
    /// How often a mouth that sounds is hidden, so that sound must say what it does.
    #[arg(long, value_name = "SHARE", default_value_t = 0.15)]
    hide: f64,
    /// Steps from one validation to the next.
    #[arg(long, value_name = "N", default_value_t = 250)]
    validate: u64,
    /// Begin with the network of this pack's folder.
    #[arg(long, value_name = "DIR")]
    start: Option<PathBuf>,
    /// Compute in float32: without, networks compute in bfloat16, of which newer processors and cards do several times as much.
    #[arg(long)]
    exact: bool,
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
pub struct Export {
    /// The folder of a run; one for each network.
    #[arg(long, value_name = "RUN", required = true)]
    run: Vec<PathBuf>,
    /// The pack's folder, whose name is the pack's.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    /// As the manifest states it.
    #[arg(long, value_name = "TEXT", default_value = "research and evaluation only")]
    licence: String,
}

#[derive(clap::Args)]
pub struct Adapt {
    /// A clip of the person who is to perform.
    #[arg(long, value_name = "CLIP")]
    reference: PathBuf,
    /// The new pack's folder, whose name is the pack's.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// The pack whose windows are adapted; the first that has any unless told.
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    /// Minutes of training, after the clip has been analysed; it ends earlier where nothing gets better.
    #[arg(long, value_name = "MINUTES", default_value_t = 12.0)]
    minutes: f64,
    /// The pack that fits faces to dense points.
    #[arg(long, value_name = "NAME", default_value = "mediapipe")]
    pack: String,
    /// Windows a step, two and two that follow each other.
    #[arg(long, value_name = "N", default_value_t = 12)]
    batch: usize,
    #[arg(long, value_name = "RATE", default_value_t = 2e-4)]
    rate: f64,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Compute in float32.
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    device_args: DeviceArgs,
}

#[derive(clap::Args)]
pub struct Blind {
    /// What windows-prepare wrote.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// The folder of the pack whose windows are judged.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    /// The folder for the sheets and for key.json.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Rows of a sheet: clips, each with the frame that is least like its reference.
    #[arg(long, value_name = "N", default_value_t = 12)]
    rows: usize,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    device_args: DeviceArgs,
}

pub fn blind_sheets(args: &Blind) -> Result<()> {
    if args.rows == 0 {
        return Err(Error::Usage("--rows must be 1 at least".into()));
    }
    let device = args.device_args.device()?;
    let pack = Pack::open(&args.pack)?;
    let cannot =
        |e: std::io::Error| Error::input(format!("{}: cannot be written ({e})", args.output.display())).with_source(e);
    std::fs::create_dir_all(&args.output).map_err(cannot)?;
    let place = (device, Number::Float);
    let models = ModelSet::discover(&[]);
    let mut keys = serde_json::Map::new();
    for kind in Kind::ALL {
        let Some(component) = pack.network(Role::Window, kind.name()) else { continue };
        let weights = pack.load(component, headgan::import::check)?;
        let features = Features::load(&models, kind, place)?;
        let mut trainer = Trainer::new(kind, config(kind), Some(features), u64::MAX, args.seed, place);
        trainer.begin_with(&weights)?;
        trainer.step = weights.metadata.get("steps").and_then(|s| s.parse().ok()).unwrap_or_default();
        let [_, held] = run::load(&args.data, kind, false)?;
        let made = blind::blind(&trainer, &held, args.rows, args.seed)?;
        let file = args.output.join(format!("{}.png", kind.name()));
        still::write(&file, &made.sheet, &StillOptions::default())?;
        println!("{}: {}", kind.name(), made.figures);
        keys.insert(kind.name().into(), serde_json::json!({ "rows": made.key, "figures": made.figures }));
    }
    if keys.is_empty() {
        return Err(Error::model(format!("{}: the pack has no windows to judge", args.pack.display())));
    }
    let key = args.output.join("key.json");
    std::fs::write(&key, serde_json::Value::Object(keys).to_string()).map_err(cannot)?;
    println!("{}: which column is which; the first is the reference", key.display());
    Ok(())
}

pub fn adapt_windows(args: &Adapt) -> Result<()> {
    if args.batch < 2 || args.minutes.is_nan() || args.minutes <= 0.0 || args.rate.is_nan() || args.rate <= 0.0 {
        return Err(Error::Usage("--batch must be 2 at least, --minutes and --rate above 0".into()));
    }
    headgan_train::export::pack_name(&args.output)?;
    let device = args.device_args.device()?;
    let models = ModelSet::discover(&[]);
    let pack = match &args.from {
        Some(name) => models.pack(name)?,
        None => models.find(Role::Window, None, None)?.0,
    }
    .clone();
    let options = ContextOptions {
        pack: Some(args.pack.clone()),
        threads: args.device_args.threads,
        ..ContextOptions::default()
    };
    let context = RenderContext::load(models.clone(), options)?;
    let settings = adapt::Settings {
        reference: &args.reference,
        minutes: args.minutes,
        batch: args.batch,
        rate: args.rate,
        seed: args.seed,
        bf16: !args.exact,
        device,
        quiet: args.device_args.quiet,
    };
    let adapted = adapt::adapt(&context, None, &models, &pack, &settings)?;
    for a in &adapted {
        let ([features, then], [l1, l1_then]) = (a.features, a.l1);
        println!(
            "{}: {} steps; on the clip's last tenth features {features:.3} before, {then:.3} after, L1 {l1:.2}, {l1_then:.2}",
            a.kind.name(),
            a.steps
        );
    }
    let parts = adapted.into_iter().map(|a| (a.kind, a.weights)).collect();
    let size = export::write(parts, &args.output, &pack.manifest.licence)?;
    println!("{}: {size} bytes; HEADGAN_MODELS names the folder that holds it", args.output.display());
    Ok(())
}

pub fn prepare_windows(args: &Prepare) -> Result<()> {
    let options = ContextOptions { pack: Some(args.pack.clone()), threads: 1, ..ContextOptions::default() };
    let context = RenderContext::load(ModelSet::discover(&[]), options)?;
    let cache = args.cache.as_deref().map(|folder| Cache::open(folder, DEFAULT_LIMIT)).transpose()?;
    let settings = prepare::Settings {
        clips: &args.clips,
        data: &args.out,
        hold_out: &args.hold_out,
        threads: args.threads,
        quiet: args.quiet,
    };
    let notes = prepare::prepare(&context, cache.as_ref(), &settings)?;
    let (rejected, used): (Vec<_>, Vec<_>) = notes.iter().partition(|n| n.rejected.is_some());
    for note in &rejected {
        println!("{}: {}", note.name, note.rejected.as_deref().unwrap_or_default());
    }
    let held = used.iter().filter(|n| n.held).count();
    println!("{} clips, {held} of them held out, {} rejected", used.len(), rejected.len());
    Ok(())
}

pub fn train(args: &Train) -> Result<()> {
    let shares = [args.plain, args.hide].iter().all(|s| (0.0..=1.0).contains(s));
    if args.batch < 2 || args.validate == 0 || args.rate.is_nan() || args.rate <= 0.0 || !shares {
        return Err(Error::Usage(
            "--batch must be 2 at least, --validate and --rate above 0, --plain and --hide within 0 and 1".into(),
        ));
    }
    let device = args.device_args.device()?;
    let kind = if args.network == "eye" { Kind::Eye } else { Kind::Mouth };
    let start = match &args.start {
        Some(folder) => {
            let pack = Pack::open(folder)?;
            let component = pack.network(Role::Window, kind.name()).ok_or_else(|| {
                Error::model(format!("{}: has no window '{}' to begin with", folder.display(), kind.name()))
            })?;
            Some(pack.load(component, headgan::import::check)?)
        }
        None => None,
    };
    let settings = run::Settings {
        kind,
        data: &args.data,
        run: &args.out,
        steps: args.steps,
        batch: args.batch,
        rate: args.rate,
        plain: args.plain,
        hide: args.hide,
        validate: args.validate,
        seed: args.seed,
        clean: args.clean,
        checkpoint_minutes: args.checkpoint_minutes,
        bf16: !args.exact,
        device,
        quiet: args.device_args.quiet,
    };
    run::run(&settings, &ModelSet::discover(&[]), start.as_deref())
}

pub fn export_pack(args: &Export) -> Result<()> {
    let checkpoints = args.run.iter().map(|run| newest_checkpoint(run)).collect::<Result<Vec<_>>>()?;
    let size = export::export_pack(&checkpoints, &args.pack, &args.licence)?;
    let steps = checkpoints.iter().map(|c| c.number("step")).collect::<Result<Vec<_>>>()?;
    println!("{}: steps {steps:?}, {size} bytes", args.pack.display());
    Ok(())
}
