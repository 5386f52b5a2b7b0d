//! `headgan-train`: prepares data sets, trains generators, exports them.

use clap::{Parser, Subcommand};
use headgan::engine::cpu;
use headgan::media::interrupt;
use headgan::models::pack::ModelSet;
use headgan::reenact::networks::Networks;
use headgan::shot::cache::{self, Cache};
use headgan::{Error, Result};
use headgan_train::config::TrainConfig;
use headgan_train::data::prepare;
use headgan_train::data::split::HoldOut;
use headgan_train::{checkpoint, export, run};
use std::path::PathBuf;
use std::process::ExitCode;
use tch::{Cuda, Device};

/// Trains generators for HeadGAN Reenact.
#[derive(Parser)]
#[command(name = "headgan-train", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Turn a folder of clips into a data set: faces found and fitted, one window per clip, split by person.
    Prepare(Prepare),
    /// Train a generator; goes on where the run's folder has a checkpoint.
    Generator(Generator),
    /// Write a run's generator as a file that `headgan reenact --quality full --generator FILE` takes.
    Export(Export),
}

#[derive(clap::Args)]
struct Prepare {
    /// Folder with clips.
    #[arg(long, value_name = "DIR")]
    clips: PathBuf,
    /// Folder of the data set; finished clips in it are kept.
    #[arg(long, value_name = "DATA")]
    out: PathBuf,
    /// How many persons to hold out, or a file with the names of prepared clips, a line each, whose persons are held
    /// out.
    #[arg(long, value_name = "FILE|N", default_value = "12")]
    hold_out: String,
    /// Of the draw of who is held out.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A picture within the picture of files whose names contain TEXT, to be painted over: TEXT=X,Y,WIDTH,HEIGHT in
    /// their pixels.
    #[arg(long, value_name = "TEXT=X,Y,W,H", value_parser = inset)]
    inset: Vec<(String, [usize; 4])>,
    /// Model pack to fit faces with.
    #[arg(long, value_name = "NAME")]
    pack: Option<String>,
    /// All cores unless told.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    #[arg(long, short)]
    quiet: bool,
}

#[derive(clap::Args)]
struct Generator {
    /// The run's configuration; what it leaves out is the small generator's (docs/TRAINING.md).
    #[arg(long, value_name = "FILE.json")]
    config: PathBuf,
    /// A prepared data set.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Stop after so many steps.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = ["auto", "cpu", "cuda"])]
    device: String,
    /// Threads on a processor; all cores unless told.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Model pack that the data set was fitted with.
    #[arg(long, value_name = "NAME")]
    pack: Option<String>,
    #[arg(long, short)]
    quiet: bool,
}

#[derive(clap::Args)]
struct Export {
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    #[arg(short, long, value_name = "FILE.safetensors")]
    output: PathBuf,
}

/// `TEXT=X,Y,W,H`.
fn inset(text: &str) -> Result<(String, [usize; 4]), String> {
    let wrong = || format!("'{text}' is no inset: write TEXT=X,Y,WIDTH,HEIGHT");
    let (name, rect) = text.split_once('=').ok_or_else(wrong)?;
    let numbers: Vec<usize> =
        rect.split(',').map(|n| n.trim().parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    Ok((name.to_owned(), numbers.try_into().map_err(|_| wrong())?))
}

fn networks(models: &ModelSet, pack: Option<&str>) -> Result<Networks> {
    Networks::load(models, pack, None, &cpu::Options { threads: 1, ..cpu::Options::default() })
}

fn prepare_data(args: &Prepare) -> Result<()> {
    let hold_out = match args.hold_out.parse() {
        Ok(n) => HoldOut::Drawn(n),
        Err(_) => {
            let text = std::fs::read_to_string(&args.hold_out).map_err(|e| {
                Error::Usage(format!("--hold-out {}: is neither a number nor a file ({e})", args.hold_out))
            })?;
            HoldOut::Named(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect())
        }
    };
    let networks = networks(&ModelSet::discover(&[]), args.pack.as_deref())?;
    let cache = cache::standard_folder().and_then(|folder| Cache::open(&folder, cache::DEFAULT_LIMIT).ok());
    let settings = prepare::Settings {
        clips: &args.clips,
        data: &args.out,
        hold_out,
        seed: args.seed,
        insets: args.inset.clone(),
        threads: args.threads,
        quiet: args.quiet,
    };
    let (entries, split) = prepare::prepare(&networks, cache.as_ref(), &settings)?;
    println!("{}", prepare::text(&entries, &split));
    Ok(())
}

fn device(name: &str) -> Result<Device> {
    match (name, Cuda::is_available()) {
        ("cpu", _) | ("auto", false) => Ok(Device::Cpu),
        (_, true) => Ok(Device::Cuda(0)),
        _ => Err(Error::Engine(
            "device 'cuda': this libtorch has none, or there is no card: build with one that has, or use --device cpu"
                .into(),
        )),
    }
}

fn train(args: Generator) -> Result<()> {
    let config = TrainConfig::load(&args.config)?;
    if args.threads > 0 {
        tch::set_num_threads(i32::try_from(args.threads).unwrap_or(i32::MAX));
    }
    let models = ModelSet::discover(&[]);
    let networks = networks(&models, args.pack.as_deref())?;
    run::run(run::Settings {
        config,
        data: &args.data,
        run: &args.out,
        device: device(&args.device)?,
        steps: args.steps,
        model: networks.morphable.clone(),
        draft: networks.draft.clone(),
        models: &models,
        quiet: args.quiet,
    })
}

fn export_run(args: &Export) -> Result<()> {
    let checkpoint = checkpoint::newest(&args.run.join("checkpoints"), Device::Cpu)?
        .ok_or_else(|| Error::Input(format!("{}: has no checkpoint yet", args.run.display())))?;
    let size = export::export(&checkpoint, &args.output)?;
    println!("{}: step {}, {size} bytes", args.output.display(), checkpoint.number("step")?);
    Ok(())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = interrupt::install().and_then(|()| match cli.verb {
        Verb::Prepare(args) => prepare_data(&args),
        Verb::Generator(args) => train(args),
        Verb::Export(args) => export_run(&args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headgan-train: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
